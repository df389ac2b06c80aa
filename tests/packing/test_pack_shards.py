"""Several files of one pack: appended ones, and the virtual dataset that shows all as one."""

import dataclasses
import json
import subprocess
import sys
import time

import h5py
import hdf5plugin  # noqa: F401 - makes its filters known to h5py
import numpy as np
import pytest

import fastpack
from fastpack import PackOptions, errors, pack
from fastpack.files.companions import index_path
from fastpack.files.naming import num_shards_of
from fastpack.formats import registry
from fastpack.formats.index.index_file import save_index
from fastpack.sources import ImageFiles
from tests.support.images import write_striped

NUM_IMAGES = 23


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_striped(tmp_path_factory.mktemp("photos"), NUM_IMAGES)


def source(photos):
    return ImageFiles(
        photos[0],
        np.arange(NUM_IMAGES) % 5,
        keys=[path.name for path in photos[0]],
        class_names=list("abcde"),
    )


@pytest.mark.parametrize("suffix", ["tfrecord", "h5"])
class TestAppend:
    def test_old_shards_are_left_alone_and_numbers_go_on(self, photos, tmp_path, suffix):
        first = pack(
            ImageFiles(photos[0][:10], range(10)), tmp_path / f"x.{suffix}", PackOptions(shards=2)
        )
        before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in first.paths}
        second = pack(
            ImageFiles(photos[0][10:], range(10, NUM_IMAGES)),
            tmp_path / f"x.{suffix}",
            PackOptions(shards=3),
            append=True,
        )
        assert [path.name for path in second.paths] == [
            f"x-{i:05d}-of-00005.{suffix}" for i in (2, 3, 4)
        ]
        assert {
            path: (path.read_bytes(), path.stat().st_mtime_ns) for path in first.paths
        } == before
        dataset = fastpack.open(str(tmp_path / f"x-*.{suffix}"))
        assert dataset.columns["label"].tolist() == list(range(NUM_IMAGES))
        assert (dataset[15]["image"] == photos[1][15]).all()
        assert fastpack.verify(tmp_path).is_sound  # none is missing

    def test_to_one_file(self, photos, tmp_path, suffix):
        pack(ImageFiles(photos[0][:10]), tmp_path / f"x.{suffix}")
        second = pack(ImageFiles(photos[0][10:]), tmp_path / f"x.{suffix}", append=True)
        assert [path.name for path in second.paths] == [f"x-00001-of-00002.{suffix}"]
        assert len(fastpack.open(tmp_path)) == NUM_IMAGES

    def test_to_nothing(self, photos, tmp_path, suffix):
        assert pack(source(photos), tmp_path / f"x.{suffix}", append=True).paths == (
            tmp_path / f"x.{suffix}",
        )

    def test_not_with_overwrite(self, photos, tmp_path, suffix):
        with pytest.raises(errors.OptionError, match="append or overwrite"):
            pack(source(photos), tmp_path / f"x.{suffix}", append=True, overwrite=True)


def test_only_shards_of_the_name_are_counted(tmp_path):
    for name in (
        "x-00003-of-00004.h5",
        "xy-00009-of-00010.h5",
        "x-00007-of-00010.tfrecord",
        "x-00009-of-00010.h5.fpindex",
    ):
        (tmp_path / name).touch()
    assert num_shards_of(tmp_path / "x.h5") == 4
    assert num_shards_of(tmp_path / "nowhere" / "x.h5") == 0


PACK_SHARD = """
import json, sys
from pathlib import Path
from fastpack import PackOptions, pack
from fastpack.sources import ImageFiles

first, last, output = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
paths = [Path(path) for path in json.loads(sys.argv[1])][first:last]
images = ImageFiles(paths, range(first, last), keys=[path.name for path in paths])
pack(images, output, PackOptions(layout="pixels", chunk=3))
"""


class TestVirtualDataset:
    def pack(self, photos, folder, rows, **about):
        options = PackOptions(layout="pixels", shards=2, virtual=True, chunk=3)
        labels = np.arange(NUM_IMAGES)[rows]
        images = ImageFiles(
            photos[0][rows],
            labels,
            keys=[f"{'k' * label}" for label in labels],
            class_names=["cat"],
        )
        return pack(images, folder / "x.h5", options, **about)

    def test_h5py_sees_one_file_from_wherever(self, photos, tmp_path, monkeypatch):
        self.pack(photos, tmp_path, slice(None))
        monkeypatch.chdir("/")
        with h5py.File(tmp_path / "x.h5") as file:
            assert file["images"].is_virtual
            assert (file["images"][...] == photos[1]).all()
            assert file["labels"][...].tolist() == list(range(NUM_IMAGES))
            assert file["keys"][...].tolist() == [b"k" * i for i in range(NUM_IMAGES)]
            assert file["class_names"][...].tolist() == [b"cat"]
            assert file["images"].attrs["color"] == b"RGB"

    def test_it_follows_what_is_appended(self, photos, tmp_path):
        self.pack(photos, tmp_path, slice(0, 10))
        self.pack(photos, tmp_path, slice(10, None), append=True)
        with h5py.File(tmp_path / "x.h5") as file:
            assert (file["images"][...] == photos[1]).all()

    def test_a_folder_of_both_shows_each_sample_once(self, photos, tmp_path):
        self.pack(photos, tmp_path, slice(None))
        for path in (tmp_path, tmp_path / "x*.h5", tmp_path / "x.h5"):
            dataset = fastpack.open(path)
            assert dataset.columns["label"].tolist() == list(range(NUM_IMAGES))
            assert (dataset.read(range(NUM_IMAGES))["image"] == photos[1]).all()

    def test_a_file_that_is_not_a_virtual_dataset_is_refused_beside_shards(self, photos, tmp_path):
        self.pack(photos, tmp_path, slice(0, 10))
        other = pack(
            ImageFiles(photos[0][10:], np.arange(10, NUM_IMAGES), keys=True),
            tmp_path / "other.h5",
            PackOptions(layout="pixels"),
        )
        other.paths[0].replace(tmp_path / "x.h5")
        with pytest.raises(
            errors.MixedSetError, match=r"x\.h5 and x-00000-of-00002\.h5 do not belong together"
        ):
            fastpack.open(tmp_path)
        assert len(fastpack.open(tmp_path / "x.h5")) == NUM_IMAGES - 10

    def test_runs_give_the_same_bytes(self, photos, tmp_path):
        for run in ("a", "b"):
            time.sleep(
                1.1 * (run == "b")
            )  # HDF5 likes to note the second in which it made something
            (tmp_path / run).mkdir()
            self.pack(photos, tmp_path / run, slice(None))
        assert (tmp_path / "a" / "x.h5").read_bytes() == (tmp_path / "b" / "x.h5").read_bytes()

    def test_shards_of_several_processes(self, photos, tmp_path):
        """They are those that one process writes, and are shown as one."""
        pixels = PackOptions(layout="pixels", shards=3, chunk=3)
        images = ImageFiles(
            photos[0], np.arange(NUM_IMAGES), keys=[path.name for path in photos[0]]
        )
        (tmp_path / "one").mkdir()
        expected = pack(images, tmp_path / "one/x.h5", pixels).paths
        cuts = np.cumsum([0, *(len(fastpack.open(path)) for path in expected)])
        listed = json.dumps([str(path) for path in photos[0]])
        processes = [
            subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    PACK_SHARD,
                    listed,
                    *map(str, (first, last, tmp_path / path.name)),
                ]
            )
            for path, first, last in zip(expected, cuts[:-1], cuts[1:], strict=True)
        ]
        assert [process.wait() for process in processes] == [0, 0, 0]
        assert [(tmp_path / path.name).read_bytes() for path in expected] == [
            path.read_bytes() for path in expected
        ]
        fastpack.packing.write_virtual_dataset(tmp_path / "x.h5")
        with h5py.File(tmp_path / "x.h5") as file:
            assert (file["images"][...] == photos[1]).all()
        assert len(fastpack.open(tmp_path)) == NUM_IMAGES

    @pytest.mark.parametrize(
        ("shards", "error"),
        [
            (["one/x-00000-of-00002.h5"], errors.OptionError),
            ([], errors.OptionError),
            (["nowhere.h5"], errors.MissingFileError),
            (["plain.txt"], errors.FormatError),
            (["new.h5"], errors.OptionError),
            (["encoded.h5"], errors.SchemaError),
        ],
    )
    def test_what_cannot_be_shown(self, photos, tmp_path, shards, error):
        (tmp_path / "one").mkdir()
        self.pack(photos, tmp_path / "one", slice(None))
        (tmp_path / "plain.txt").write_text("no dataset")
        pack(source(photos), tmp_path / "encoded.h5")
        with pytest.raises(error):
            fastpack.packing.write_virtual_dataset(
                tmp_path / "new.h5", [tmp_path / shard for shard in shards]
            )
        assert not (tmp_path / "new.h5").exists()

    def test_a_file_that_is_there_is_kept(self, photos, tmp_path):
        self.pack(photos, tmp_path, slice(None))
        with pytest.raises(errors.OutputExistsError):
            fastpack.packing.write_virtual_dataset(tmp_path / "x.h5")

    def test_it_is_indexed_once(self, photos, tmp_path, monkeypatch):
        self.pack(photos, tmp_path, slice(None))
        fastpack.open(tmp_path / "x.h5")
        monkeypatch.setattr(registry.named("hdf5"), "index", None)
        assert (fastpack.open(tmp_path / "x.h5").read([22, 3])["image"] == photos[1][[22, 3]]).all()

    def test_a_shard_that_changed_is_noticed(self, photos, tmp_path):
        self.pack(photos, tmp_path, slice(None))
        fastpack.open(tmp_path / "x.h5")
        with h5py.File(tmp_path / "x-00001-of-00002.h5", "r+") as file:
            file["images"][-1] = 7
        with pytest.raises(errors.CorruptRecordError, match="x-00001-of-00002.h5"):
            fastpack.open(tmp_path / "x.h5")

    def test_an_index_that_names_a_file_elsewhere_is_not_believed(self, photos, tmp_path):
        (tmp_path / "elsewhere").mkdir()
        self.pack(photos, tmp_path, slice(None))
        (tmp_path / "elsewhere/secret").write_bytes(bytes(10_000))
        index = fastpack.open(tmp_path / "x.h5").index
        secret = registry.named("hdf5").shard(tmp_path / "elsewhere/secret")
        spans = {"image": index.spans["image"].copy()}
        spans["image"]["offset"] = 0
        lie = dataclasses.replace(
            index, shards=(index.shards[0], secret, index.shards[2]), spans=spans
        )
        save_index(lie, index_path(tmp_path / "x.h5"))
        assert (fastpack.open(tmp_path / "x.h5").read([0])["image"] == photos[1][0]).all()

    def test_verify_looks_into_the_shards(self, photos, tmp_path):
        packed = self.pack(photos, tmp_path, slice(None))
        assert fastpack.verify(tmp_path / "x.h5").is_sound
        for num_damaged, shard in enumerate(packed.paths, start=1):
            with h5py.File(shard) as file:
                at_byte = file["images"].id.get_chunk_info(1).byte_offset
            data = bytearray(shard.read_bytes())
            data[at_byte] ^= 1
            shard.write_bytes(data)
            problems = fastpack.verify(tmp_path / "x.h5").problems
            assert len(problems) == num_damaged
            assert str(shard) in problems[-1]

    def test_image_files_have_none(self):
        with pytest.raises(errors.OptionError, match="virtual"):
            PackOptions(virtual=True)
