"""pack: options, and what it does with bad input."""

import errno
import os
import stat

import h5py
import numpy as np
import pytest

import fastpack
from fastpack import PackOptions, encode, errors, from_folder, pack
from fastpack.core import Ragged
from fastpack.files.atomic import atomic_write
from fastpack.sources import ImageFiles


def make_files(root, count=6, size=(10, 12)):
    paths = []
    for i in range(count):
        path = root / f"class{i % 2}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(np.full((*size, 3), 20 * i, np.uint8), "png"))
        paths.append(path)
    return paths


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir() if path.is_file())


OUTPUTS = ["out.tfrecord", "out.h5"]


@pytest.mark.parametrize("output", OUTPUTS)
class TestBadInput:
    def refuses(self, source, output, tmp_path, error, match):
        (tmp_path / "out").mkdir()
        with pytest.raises(error, match=match) as caught:
            pack(source() if callable(source) else source, tmp_path / "out" / output)
        assert isinstance(caught.value, errors.FastpackError)
        assert leftovers(tmp_path / "out") == []

    def test_missing_source(self, output, tmp_path):
        self.refuses(tmp_path / "nowhere", output, tmp_path, FileNotFoundError, "nowhere")

    def test_missing_file(self, output, tmp_path):
        self.refuses(
            lambda: ImageFiles([tmp_path / "gone.jpg"], [0]),
            output,
            tmp_path,
            FileNotFoundError,
            r"gone\.jpg",
        )

    def test_empty_folder(self, output, tmp_path):
        (tmp_path / "in").mkdir()
        self.refuses(
            tmp_path / "in", output, tmp_path, errors.EmptySourceError, "no images here.*in"
        )

    def test_empty_file(self, output, tmp_path):
        paths = make_files(tmp_path)
        paths[3].write_bytes(b"")
        self.refuses(
            lambda: ImageFiles(paths, range(6)),
            output,
            tmp_path,
            errors.UnsupportedImageError,
            r"empty.*3\.png",
        )

    def test_not_an_image(self, output, tmp_path):
        paths = make_files(tmp_path)
        paths[4].write_bytes(b"<html>not found</html>")
        self.refuses(
            lambda: ImageFiles(paths, range(6)),
            output,
            tmp_path,
            errors.UnsupportedImageError,
            r"header.*4\.png",
        )

    def test_truncated_header(self, output, tmp_path):
        paths = make_files(tmp_path)
        paths[2].write_bytes(paths[2].read_bytes()[:20])
        self.refuses(
            lambda: ImageFiles(paths, range(6)),
            output,
            tmp_path,
            errors.CorruptImageError,
            r"2\.png",
        )

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_unreadable_file(self, output, tmp_path):
        paths = make_files(tmp_path)
        paths[1].chmod(0)
        self.refuses(
            lambda: ImageFiles(paths, range(6)),
            output,
            tmp_path,
            errors.UnreadableFileError,
            r"1\.png",
        )

    def test_device(self, output, tmp_path):
        self.refuses(
            lambda: ImageFiles(["/dev/zero"], [0]),
            output,
            tmp_path,
            errors.UnreadableFileError,
            "/dev/zero",
        )

    def test_fifo(self, output, tmp_path):
        os.mkfifo(tmp_path / "pipe.png")
        self.refuses(
            lambda: ImageFiles([tmp_path / "pipe.png"], [0]),
            output,
            tmp_path,
            errors.UnreadableFileError,
            r"pipe\.png",
        )

    def test_two_files_of_one_key(self, output, tmp_path):
        paths = make_files(tmp_path)
        keys = ["a", "b", "a", "c", "d", "e"]
        source = lambda: ImageFiles(paths, range(6), keys=keys)  # noqa: E731
        self.refuses(source, output, tmp_path, errors.DuplicateKeyError, r"'a'.*0\.png.*2\.png")

    def test_labels_and_paths_of_different_length(self, output, tmp_path):
        paths = make_files(tmp_path)
        self.refuses(
            lambda: ImageFiles(paths, [1, 2]),
            output,
            tmp_path,
            errors.SourceError,
            "6 images but 2 values of 'label'",
        )

    def test_labels_that_are_no_integers(self, output, tmp_path):
        paths = make_files(tmp_path)
        self.refuses(
            lambda: ImageFiles(paths, list("abcdef")),
            output,
            tmp_path,
            errors.SourceError,
            "integer",
        )

    def test_file_that_grew_after_it_was_listed(self, output, tmp_path):
        paths = make_files(tmp_path)
        source = ImageFiles(paths, range(6))
        with open(paths[5], "ab") as file:
            file.write(b"more")
        self.refuses(source, output, tmp_path, errors.SourceError, r"5\.png")

    def test_file_that_vanished_after_it_was_listed(self, output, tmp_path):
        paths = make_files(tmp_path)
        source = ImageFiles(paths, range(6))
        paths[5].unlink()
        self.refuses(source, output, tmp_path, errors.UnreadableFileError, r"5\.png")

    def test_output_that_exists(self, output, tmp_path):
        make_files(tmp_path / "in")
        (tmp_path / output).write_bytes(b"precious")
        with pytest.raises(FileExistsError, match=output):
            pack(tmp_path / "in", tmp_path / output)
        assert (tmp_path / output).read_bytes() == b"precious"

    def test_overwrite_keeps_the_old_file_until_the_new_one_is_whole(self, output, tmp_path):
        paths = make_files(tmp_path / "in")
        (tmp_path / output).write_bytes(b"precious")
        source = ImageFiles(paths, range(6))
        paths[5].unlink()
        with pytest.raises(errors.FastpackError):
            pack(source, tmp_path / output, overwrite=True)
        assert (tmp_path / output).read_bytes() == b"precious"
        pack(ImageFiles(paths[:5], range(5)), tmp_path / output, overwrite=True)
        assert len(fastpack.open(tmp_path / output)) == 5

    def test_output_folder_that_is_missing(self, output, tmp_path):
        make_files(tmp_path / "in")
        with pytest.raises(errors.OptionError, match="nowhere"):
            pack(tmp_path / "in", tmp_path / "nowhere" / output)

    def test_interrupt_leaves_nothing(self, output, tmp_path):
        make_files(tmp_path / "in")
        (tmp_path / "out").mkdir()

        def interrupt(*_):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            pack(tmp_path / "in", tmp_path / "out" / output, progress=interrupt)
        assert leftovers(tmp_path / "out") == []

    def test_failure_in_the_last_shard_leaves_no_shard(self, output, tmp_path):
        paths = make_files(tmp_path)
        source = ImageFiles(paths, range(6))
        paths[5].write_bytes(b"x" * int(source.sizes[5]))
        self.refuses_options(source, output, tmp_path)

    def refuses_options(self, source, output, tmp_path):
        (tmp_path / "out").mkdir()
        with pytest.raises(errors.UnsupportedImageError):
            pack(source, tmp_path / "out" / output, PackOptions(shards=3))
        assert leftovers(tmp_path / "out") == []


@pytest.mark.parametrize("output", OUTPUTS)
class TestOptions:
    @pytest.mark.parametrize("shards", [1, 2, 3, 6])
    def test_shards(self, output, tmp_path, shards):
        packed = pack(
            ImageFiles(make_files(tmp_path), range(6)),
            tmp_path / output,
            PackOptions(shards=shards),
        )
        assert len(packed.paths) == shards
        counts = [len(fastpack.open(path)) for path in packed.paths]
        assert sum(counts) == 6
        assert max(counts) - min(counts) <= 1
        assert fastpack.open(packed.paths).columns["label"].tolist() == list(range(6))

    def test_more_shards_than_samples(self, output, tmp_path):
        assert (
            len(
                pack(
                    ImageFiles(make_files(tmp_path), range(6)),
                    tmp_path / output,
                    PackOptions(shards=50),
                ).paths
            )
            == 6
        )

    def test_shard_size(self, output, tmp_path):
        source = ImageFiles(make_files(tmp_path, 12), range(12))
        limit = 3 * (int(source.sizes.max()) + 128)
        packed = pack(source, tmp_path / output, PackOptions(shard_size=limit))
        assert [len(fastpack.open(path)) for path in packed.paths] == [3, 3, 3, 3]

    def test_sample_larger_than_a_shard_gets_its_own(self, output, tmp_path):
        packed = pack(
            ImageFiles(make_files(tmp_path), range(6)), tmp_path / output, PackOptions(shard_size=1)
        )
        assert len(packed.paths) == 6

    def test_several_batches(self, output, tmp_path, monkeypatch):
        import sys

        monkeypatch.setattr(sys.modules["fastpack.packing.packer"], "_BATCH_SAMPLES", 4)
        done = []
        source = ImageFiles(make_files(tmp_path, 10), range(10))
        pack(source, tmp_path / output, progress=lambda *counts: done.append(counts))
        assert [counts[:2] for counts in done] == [(4, 10), (8, 10), (10, 10)]
        assert done[-1][2] == source.sizes.sum()
        assert fastpack.open(tmp_path / output).columns["label"].tolist() == list(range(10))

    def test_one_file_may_come_many_times(self, output, tmp_path):
        paths = make_files(tmp_path, 2) * 50
        pack(ImageFiles(paths, range(100), keys=True), tmp_path / output)
        assert len(fastpack.open(tmp_path / output)) == 100

    def test_names_in_the_file(self, output, tmp_path):
        options = PackOptions(
            names={"image": "image/encoded" if output.endswith("d") else "pictures"}
        )
        pack(ImageFiles(make_files(tmp_path), range(6)), tmp_path / output, options)
        dataset = fastpack.open(tmp_path / output)
        assert dataset.schema["image"].stored_as == options.names["image"]
        assert dataset[3]["label"] == 3

    def test_no_labels_and_no_keys(self, output, tmp_path):
        pack(ImageFiles(make_files(tmp_path)), tmp_path / output)
        assert list(fastpack.open(tmp_path / output)[0]) == ["image"]

    def test_files_are_left_readable(self, output, tmp_path):
        pack(ImageFiles(make_files(tmp_path), range(6)), tmp_path / output)
        assert stat.S_IMODE((tmp_path / output).stat().st_mode) & 0o400


class TestPixels:
    def test_size(self, tmp_path):
        pack(
            from_folder(tmp_path) if make_files(tmp_path) else None,
            tmp_path / "x.h5",
            PackOptions(size=(4, 5)),
        )
        dataset = fastpack.open(tmp_path / "x.h5")
        assert dataset.schema["image"].shape == (4, 5, 3)
        assert (dataset[3]["image"] == dataset[3]["image"][0, 0]).all()

    def test_without_a_size_all_must_be_equal(self, tmp_path):
        make_files(tmp_path)
        pack(tmp_path, tmp_path / "x.h5", PackOptions(layout="pixels"))
        assert fastpack.open(tmp_path / "x.h5").schema["image"].shape == (10, 12, 3)
        (tmp_path / "class0" / "odd.png").write_bytes(encode(np.zeros((9, 9, 3), np.uint8), "png"))
        with pytest.raises(errors.ShapeError, match="size"):
            pack(tmp_path, tmp_path / "y.h5", PackOptions(layout="pixels"))
        assert not (tmp_path / "y.h5").exists()

    @pytest.mark.parametrize(("color", "channels"), [("RGB", 3), ("BGR", 3), ("GRAY", 1)])
    def test_color(self, tmp_path, color, channels):
        (tmp_path / "a.png").write_bytes(encode(np.full((6, 6, 3), (200, 100, 0), np.uint8), "png"))
        pack(
            ImageFiles([tmp_path / "a.png"]),
            tmp_path / "x.h5",
            PackOptions(layout="pixels", color=color),
        )
        with h5py.File(tmp_path / "x.h5") as file:
            pixel = file["images"][0, 0, 0].astype(int)
        expected = {"RGB": [200, 100, 0], "BGR": [0, 100, 200], "GRAY": [118.5]}[color]
        assert np.abs(pixel - np.array(expected)).max() <= 1
        assert len(pixel) == channels

    @pytest.mark.parametrize("stored", ["RGB", "BGR"])
    @pytest.mark.parametrize("asked", ["RGB", "BGR"])
    def test_color_is_known_when_read(self, tmp_path, stored, asked):
        (tmp_path / "a.png").write_bytes(encode(np.full((6, 6, 3), (200, 100, 0), np.uint8), "png"))
        pack(
            ImageFiles([tmp_path / "a.png"]),
            tmp_path / "x.h5",
            PackOptions(layout="pixels", color=stored),
        )
        pixel = fastpack.open(tmp_path / "x.h5", color=asked)[0]["image"][0, 0]
        assert pixel.tolist() == {"RGB": [200, 100, 0], "BGR": [0, 100, 200]}[asked]

    def test_pixels_are_not_resized_again_in_silence(self, tmp_path):
        make_files(tmp_path)
        pack(tmp_path, tmp_path / "x.h5", PackOptions(size=6))
        with pytest.raises(errors.OptionError, match="holds pixels"):
            pack(fastpack.open(tmp_path / "x.h5"), tmp_path / "y.h5", PackOptions(size=4))

    def test_corrupt_image_is_named(self, tmp_path):
        paths = make_files(tmp_path, 3, (64, 64))
        rng = np.random.default_rng(0)
        jpeg = encode(rng.integers(0, 255, (64, 64, 3), np.uint8), "jpeg")
        paths[1].write_bytes(jpeg[: len(jpeg) // 2])
        with pytest.raises(errors.CorruptImageError, match=r"1\.png"):
            pack(ImageFiles(paths, [0, 1, 2], keys=True), tmp_path / "x.h5", PackOptions(size=8))
        assert not (tmp_path / "x.h5").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"shards": 0},
        {"shards": 2, "shard_size": 5},
        {"shard_size": "much"},
        {"shard_size": 0},
        {"layout": "vertical"},
        {"layout": "encoded", "size": 5},
    ],
    ids=str,
)
def test_options_that_make_no_sense(options):
    with pytest.raises(errors.OptionError):
        PackOptions(**options)


@pytest.mark.parametrize(
    ("output", "options"),
    [
        ("x.zip", {}),
        ("x.tfrecord", {"size": 5}),
        ("x.h5", {"format": "lmdb"}),
        ("x.h5", {"size": 0}),
    ],
)
def test_outputs_that_make_no_sense(tmp_path, output, options):
    make_files(tmp_path)
    with pytest.raises(errors.OptionError):
        pack(tmp_path, tmp_path / output, PackOptions(**options))
    assert not (tmp_path / output).exists()


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with (
        pytest.raises(errors.UnreadableFileError, match=r"No space left.*x\.h5") as caught,
        atomic_write(tmp_path / "x.h5") as temporary,
    ):
        temporary.write_bytes(b"half")
        full()
    assert caught.value.errno == errno.ENOSPC
    assert leftovers(tmp_path) == []


def test_ragged_columns_go_through_tfrecord(tmp_path):
    pack(ImageFiles(make_files(tmp_path), range(6)), tmp_path / "a.tfrecord")
    reader = fastpack.open(tmp_path / "a.tfrecord", decode=False)
    lists = Ragged(np.arange(9), np.array([0, 0, 1, 3, 6, 6, 9]))

    class WithLists:
        schema = fastpack.core.Schema(
            (*reader.schema.fields, fastpack.core.Field("boxes", "int", (None,), "int64"))
        )
        sizes = reader.sizes

        def __len__(self):
            return len(reader)

        def read(self, rows):
            return fastpack.Batch({**reader.read(rows), "boxes": lists.take(rows)}, len(rows))

    pack(WithLists(), tmp_path / "b.tfrecord")
    assert fastpack.open(tmp_path / "b.tfrecord").columns["boxes"] == lists


@pytest.mark.parametrize("name", ["set.tfrecord", "set.h5", "set.tar"])
def test_a_dataset_is_packed_by_its_path(tmp_path, name):
    make_files(tmp_path / "photos")
    pack(tmp_path / "photos", tmp_path / name, shards=2)
    before = leftovers(tmp_path)
    packed = pack(tmp_path / name, tmp_path / "copy.h5", size=8)
    assert packed.num_samples == 6
    assert pack(str(tmp_path / name), tmp_path / "copy.tfrecord").num_samples == 6
    assert fastpack.verify(tmp_path / "copy.tfrecord", against=tmp_path / "photos").is_sound
    new = {file for file in leftovers(tmp_path) if not file.startswith("copy.")}
    assert new == set(before)


def test_a_folder_of_shards_is_packed_by_its_path(tmp_path):
    make_files(tmp_path / "photos")
    (tmp_path / "sets").mkdir()
    pack(tmp_path / "photos", tmp_path / "sets" / "a.tfrecord", shards=2)
    assert pack(tmp_path / "sets", tmp_path / "copy.h5").num_samples == 6


def test_more_shards_than_samples_are_noted(tmp_path):
    make_files(tmp_path / "photos")
    note = "a.h5 gets 6 shards instead of 1,000, since there are only 6 samples; give fewer shards"
    with pytest.warns(fastpack.errors.FastpackWarning, match="6 shards instead of 1,000"):
        packed = pack(tmp_path / "photos", tmp_path / "a.h5", shards=1000)
    assert (len(packed.paths), packed.notes) == (6, (note,))
    assert pack(tmp_path / "photos", tmp_path / "b.h5", shards=6).notes == ()


@pytest.mark.parametrize("options", [{}, {"size": 8}])
def test_a_reader_gives_its_stored_files(tmp_path, options):
    make_files(tmp_path / "in")
    pack(tmp_path / "in", tmp_path / "a.tfrecord")
    pack(fastpack.open(tmp_path / "a.tfrecord"), tmp_path / "b.h5", **options)
    pack(tmp_path / "a.tfrecord", tmp_path / "c.h5", **options)
    assert fastpack.verify(tmp_path / "b.h5", against=tmp_path / "c.h5").problems == ()


def test_a_reader_that_changes_images_is_refused(tmp_path):
    make_files(tmp_path / "in")
    pack(tmp_path / "in", tmp_path / "a.tfrecord")
    changed = fastpack.open(tmp_path / "a.tfrecord", transform=fastpack.Resize(8))
    with pytest.raises(errors.OptionError, match="open the source without a transform"):
        pack(changed, tmp_path / "b.h5")
