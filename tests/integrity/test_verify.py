"""verify: what it must notice, and what it must take for sound."""

import json
import os
import shutil
import tarfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import fastpack
from fastpack import PackOptions, pack, verify
from fastpack.core.dtypes import SPAN
from fastpack.errors import MissingFileError
from fastpack.files import naming
from fastpack.files.companions import index_path
from fastpack.formats.index.digest import RecordDigest
from fastpack.formats.indexing import build_indexes
from fastpack.integrity.verify import _Job, _Work
from fastpack.sources import ImageFiles
from tests.support.damage import change, flip_in_image, flipped
from tests.support.images import jpeg
from tests.support.samples import two_classes
from tests.support.wire import bytes_list, entry, example, frame, int_list

ENDINGS = ("tfrecord", "h5")
NUM_SAMPLES = 6


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return two_classes(tmp_path / "photos")


@pytest.fixture(params=ENDINGS)
def packed(request, files, tmp_path) -> Path:
    return pack_photos(tmp_path, f"all.{request.param}")


def pack_photos(tmp_path: Path, name: str, **options) -> Path:
    pack(tmp_path / "photos", tmp_path / name, PackOptions(sync=False, **options))
    return tmp_path / name


def frames_of(path: Path) -> list[tuple[int, int]]:
    """First byte and end of each record of a TFRecord."""
    data, frames, first = path.read_bytes(), [], 0
    while first < len(data):
        end = first + 16 + int.from_bytes(data[first : first + 8], "little")
        frames.append((first, end))
        first = end
    return frames


def test_a_sound_file(packed):
    found = verify(packed, decode=True)
    assert (found.num_files, found.num_samples, found.num_unchecked, found.problems) == (
        1,
        NUM_SAMPLES,
        0,
        (),
    )
    assert found.is_sound


def test_report_as_json(packed):
    assert json.loads(verify(packed).to_json()) == {
        "num_files": 1,
        "num_samples": NUM_SAMPLES,
        "num_unchecked": 0,
        "problems": [],
        "num_repeated_keys": 0,
        "repeated_keys": [],
        "is_sound": True,
    }


def test_nothing_is_modified(packed, files):
    flip_in_image(packed, files[1].read_bytes())
    before = {path.name: path.read_bytes() for path in packed.parent.iterdir() if path.is_file()}
    verify(packed, decode=True)
    assert {
        path.name: path.read_bytes() for path in packed.parent.iterdir() if path.is_file()
    } == before


@pytest.mark.parametrize("with_index", [True, False])
def test_each_damaged_image_is_named(packed, files, with_index):
    for row in (1, 4):
        flip_in_image(packed, files[row].read_bytes())
    if not with_index:
        index_path(packed).unlink()
    found = verify(packed)
    assert len(found.problems) == 2
    assert found.num_samples == NUM_SAMPLES
    for problem, row in zip(found.problems, (1, 4), strict=True):
        assert f"{packed}, record {row}, byte 0x" in problem


def test_keys_of_damaged_images_are_named(packed, files):
    flip_in_image(packed, files[4].read_bytes())
    assert verify(packed).problems[0].endswith("key dog/1.jpg")


@pytest.mark.parametrize(
    "part", ["labels", "keys", "class_names", "images/offsets", "images/crc32c"]
)
def test_damaged_columns_of_hdf5(files, tmp_path, part):
    """Without the saved index: only the file's own checksums can detect it."""
    path = pack_photos(tmp_path, "all.h5")
    index_path(path).unlink()
    with h5py.File(path) as file:
        at_byte = file[part].id.get_offset()
    path.write_bytes(flipped(path.read_bytes(), at_byte))
    (problem, *_) = verify(path).problems
    assert part in problem


def test_a_changed_attribute_of_hdf5(files, tmp_path):
    path = pack_photos(tmp_path, "all.h5")
    index_path(path).unlink()
    change(path, b'"name":"label"', b'"name":"labem"')
    assert "@schema" in verify(path).problems[0]


def test_columns_that_others_add_to_hdf5_do_no_harm(files, tmp_path):
    path = pack_photos(tmp_path, "all.h5")
    with h5py.File(path, "r+") as file:
        file["notes"] = np.arange(NUM_SAMPLES)
        file.attrs["author"] = "somebody"
    index_path(path).unlink()
    assert verify(path).is_sound


def test_a_label_changed_in_hdf5_that_has_no_checksums(files, tmp_path):
    """As in files of another program: the saved index remembers."""
    path = pack_photos(tmp_path, "all.h5")
    with h5py.File(path, "r+") as file:
        del file.attrs["checksums"]
        file["labels"][5] = 0
    assert "record 5 first" in verify(path).problems[0]


def test_the_last_records_cut_off(files, tmp_path):
    path = pack_photos(tmp_path, "all.tfrecord")
    os.truncate(path, frames_of(path)[3][1])
    (problem,) = verify(path).problems
    assert "4 records, but its saved index has 6" in problem


def test_two_records_swapped(files, tmp_path):
    path = pack_photos(tmp_path, "all.tfrecord")
    data, frames = path.read_bytes(), frames_of(path)
    records = [data[first:end] for first, end in frames]
    records[2], records[5] = records[5], records[2]
    path.write_bytes(b"".join(records))
    (problem,) = verify(path).problems
    assert "record 2 first" in problem


def test_two_records_swapped_that_differ_in_their_images_only(files, tmp_path):
    path = tmp_path / "all.tfrecord"
    pack(ImageFiles(files), path)
    data, frames = path.read_bytes(), frames_of(path)
    records = [data[first:end] for first, end in frames]
    path.write_bytes(b"".join([records[1], records[0], *records[2:]]))
    (problem,) = verify(path).problems
    assert "record 0 first" in problem


def test_a_new_time_is_no_problem(packed):
    os.utime(packed, ns=(1, 1))
    assert verify(packed).is_sound


def test_a_damaged_index_is_reported(packed):
    where = index_path(packed)
    where.write_bytes(where.read_bytes()[:-100])
    (problem,) = verify(packed).problems
    assert "index is damaged" in problem
    assert where.name in problem


def test_indexes_in_a_folder_of_their_own(files, tmp_path):
    path, elsewhere = pack_photos(tmp_path, "all.tfrecord"), tmp_path / "indexes"
    elsewhere.mkdir()
    index_path(path).unlink()
    build_indexes(path, index_dir=elsewhere)
    os.truncate(path, frames_of(path)[3][1])
    assert verify(path).is_sound
    (problem,) = verify(path, index_dir=elsewhere).problems
    assert str(index_path(path, elsewhere)) in problem
    repaired = fastpack.repair(path, tmp_path / "new.tfrecord", index_dir=elsewhere)
    assert [damage.key for damage in repaired.damages] == ["dog/1.jpg", "dog/2.jpg"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_missing_shard(files, tmp_path, ending):
    pack_photos(tmp_path, f"set.{ending}", shards=3)
    middle = tmp_path / f"set-00001-of-00003.{ending}"
    assert verify(str(tmp_path / f"set*.{ending}")).is_sound
    middle.unlink()
    (problem,) = verify(str(tmp_path / f"set*.{ending}")).problems
    assert problem.endswith(str(middle))
    assert verify(tmp_path / f"set-00000-of-00003.{ending}").is_sound


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["a-00000-of-00002.x", "a-00001-of-00002.x", "a-00002-of-00003.x"], []),
        (["a-00000-of-00002.x", "a-00002-of-00003.x"], ["a-00001-of-00002.x"]),
        (
            ["a-00000-of-00002.x", "a-00001-of-00002.x", "a-00003-of-00004.x"],
            ["a-00002-of-00004.x"],
        ),
        (["a.x", "a-00001-of-00002.x"], []),
        (["a-00001-of-00002.x"], ["a-00000-of-00002.x"]),
        (
            ["a-00000-of-00002.x", "b-00001-of-00002.x"],
            ["a-00001-of-00002.x", "b-00000-of-00002.x"],
        ),
        (["a-00000-of-00001", "plain.x", "a-00000-of-00001.y"], []),
    ],
)
def test_missing_shards_of_sets_that_were_appended_to(names, missing):
    problems = list(naming.missing([Path("/sets") / name for name in names]))
    assert [problem.rsplit("/", 1)[1] for problem in problems] == missing


def test_a_name_that_claims_any_count():
    problems = list(naming.missing([Path("/sets/a-00003-of-99999999999.x")]))
    assert len(problems) == 101
    assert problems[-1].startswith("99,999,999,898 more files of the set are missing")


def test_problems_come_in_the_order_of_the_files(files, tmp_path):
    pack_photos(tmp_path, "set.tfrecord", shards=3)
    for row in (0, 3, 5):
        flip_in_image(tmp_path / f"set-0000{row // 2}-of-00003.tfrecord", files[row].read_bytes())
    found = verify(str(tmp_path / "set*.tfrecord"))
    assert [f"set-0000{shard}-of" in problem for shard, problem in enumerate(found.problems)] == [
        True,
        True,
        True,
    ]
    assert (found.num_files, found.num_samples) == (3, NUM_SAMPLES)


def test_decode_finds_what_no_checksum_can(files, tmp_path):
    files[3].write_bytes(files[3].read_bytes()[:-60])  # packed as it is, so its checksum holds
    path = pack_photos(tmp_path, "all.tfrecord")
    assert verify(path).is_sound
    (problem,) = verify(path, decode=True).problems
    assert "record 3" in problem


def test_decode_goes_on_beside_damaged_records(files, tmp_path):
    files[3].write_bytes(files[3].read_bytes()[:-60])
    path = pack_photos(tmp_path, "all.tfrecord")
    flip_in_image(path, files[1].read_bytes())
    found = verify(path, decode=True)
    assert sorted(problem.split("record ")[-1][0] for problem in found.problems) == ["1", "3"]


def test_pixels_without_checksums_are_reported(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["images"] = np.zeros((9, 12, 10, 3), np.uint8)
    found = verify(tmp_path / "x.h5")
    assert (found.is_sound, found.num_unchecked) == (True, 9)


@pytest.mark.parametrize("decode", [False, True])
def test_damaged_chunks_are_found_by_reading_them(tmp_path, decode):
    path = tmp_path / "all.h5"
    with h5py.File(path, "w") as file:
        images = np.random.default_rng(0).integers(0, 255, (9, 12, 10, 3), np.uint8)
        stored = file.create_dataset("images", data=images, chunks=(1, 12, 10, 3), fletcher32=True)
        at_byte = stored.id.get_chunk_info(4).byte_offset
    path.write_bytes(flipped(path.read_bytes(), at_byte + 40))
    found = verify(path, decode=decode)
    assert (found.num_samples, found.num_unchecked, len(found.problems)) == (9, 0, 1)
    assert "record 4" in found.problems[0] or "sample 4" in found.problems[0]


def test_a_file_that_is_none(tmp_path):
    (tmp_path / "x.tfrecord").write_bytes(
        b"this is no record, and it is long enough to have a header"
    )
    assert not verify(tmp_path / "x.tfrecord").is_sound
    with pytest.raises(MissingFileError):
        verify(tmp_path / "nowhere.tfrecord")


def test_records_that_are_no_examples(tmp_path):
    (tmp_path / "x.tfrecord").write_bytes(frame(b"\xff\xff not an Example") * 3)
    (problem,) = verify(tmp_path / "x.tfrecord").problems
    assert "tf.train.Example" in problem


@pytest.mark.parametrize("shards", [1, 3])
def test_progress_rises_to_the_whole(files, tmp_path, shards):
    pack_photos(tmp_path, "set.tfrecord", shards=shards)
    calls: list[tuple[int, int, int]] = []
    verify(str(tmp_path / "set*.tfrecord"), decode=True, progress=lambda *call: calls.append(call))
    assert [call[0] for call in calls] == sorted(call[0] for call in calls)
    assert calls[-1][0] == calls[-1][1] > 0


def test_an_exception_in_progress_ends_the_work(files, tmp_path):
    """Of all threads: those that have not met it find no files left."""
    pack_photos(tmp_path, "set.tfrecord", shards=3)

    def refuse(done: int, total: int, num_bytes: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify(str(tmp_path / "set*.tfrecord"), progress=refuse)
    work = _Work(sorted(tmp_path.glob("*.tfrecord")), _Job(), refuse, num_passes=1)
    with pytest.raises(KeyboardInterrupt):
        work.run()
    work.run()
    assert not work.findings


def test_unknown_features_are_covered_too(tmp_path):
    """A record's checksum covers all its bytes, also those that no field shows."""
    record = example(
        entry(b"image", bytes_list(jpeg())),
        entry(b"label", int_list(1)),
        entry(b"odd", bytes_list(b"x" * 50)),
    )
    path = tmp_path / "x.tfrecord"
    path.write_bytes(frame(record))
    assert verify(path).is_sound
    change(path, b"x" * 50, b"x" * 49 + b"y")
    assert not verify(path).is_sound


def test_shards_are_verified_where_they_were_moved(packed, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for path in (packed, index_path(packed)):
        shutil.move(path, folder / path.name)
    assert verify(folder).is_sound
    assert len(fastpack.open(folder)) == NUM_SAMPLES


def test_other_containers(files, tmp_path):
    """Without checksums, all that can be known is that everything can be read."""
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        for number, path in enumerate(files):
            archive.add(path, f"{number}.jpg")
    for container in (tmp_path / "all.tar", tmp_path / "photos"):
        found = verify(container, decode=True)
        assert (found.problems, found.num_samples, found.num_unchecked) == (
            (),
            NUM_SAMPLES,
            NUM_SAMPLES,
        )


@pytest.mark.parametrize("look", [fastpack.open, build_indexes], ids=["opened", "indexed"])
def test_a_new_index_does_not_make_verify_forget(files, tmp_path, look):
    """Opening a truncated file rebuilds its index, which keeps the original record count."""
    path = pack_photos(tmp_path, "all.tfrecord")
    os.truncate(path, frames_of(path)[3][1])
    assert len(fastpack.open(path)) == 4
    os.truncate(path, frames_of(path)[2][1])
    look(path)
    (problem,) = verify(path).problems
    assert "3 records, but had 6 when first indexed" in problem


def test_records_swapped_are_remembered_too(files, tmp_path):
    path = pack_photos(tmp_path, "all.tfrecord")
    data, frames = path.read_bytes(), frames_of(path)
    records = [data[first:end] for first, end in frames]
    path.write_bytes(b"".join([records[1], records[0], *records[2:]]))
    fastpack.open(path)
    assert not verify(path).is_sound


def test_a_file_that_was_changed_on_purpose(files, tmp_path):
    path = pack_photos(tmp_path, "all.tfrecord")
    os.truncate(path, frames_of(path)[3][1])
    fastpack.open(path)
    build_indexes(path, rebuild=True)
    assert verify(path).is_sound


def test_a_file_that_came_back_is_sound(files, tmp_path):
    path = pack_photos(tmp_path, "all.tfrecord")
    data = path.read_bytes()
    path.write_bytes(data[: frames_of(path)[3][1]])
    fastpack.open(path)
    path.write_bytes(data)
    fastpack.open(path)
    assert verify(path).is_sound


@pytest.mark.parametrize(
    ("lengths", "crcs"),
    [
        ([8, 8, 5], [2, 1, 3]),
        ([5, 8, 8], [1, 2, 3]),
        ([8, 8], [1, 2]),
        ([8, 8, 5, 0], [1, 2, 3, 0]),
    ],
)
def test_a_seal_is_of_lengths_and_checksums_in_order(lengths, crcs):
    def spans_of(lengths: list[int], crcs: list[int]) -> np.ndarray:
        spans = np.zeros(len(lengths), SPAN)
        spans["record_length"], spans["crc32c"] = lengths, crcs
        return spans

    assert RecordDigest.of(spans_of(lengths, crcs)) != RecordDigest.of(
        spans_of([8, 8, 5], [1, 2, 3])
    )
