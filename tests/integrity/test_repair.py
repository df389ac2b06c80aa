"""repair saves all whole records, names the lost ones, and leaves the damaged file as it is."""

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow as tf

import fastpack
from fastpack import PackOptions, pack, repair
from fastpack.errors import (
    CorruptRecordError,
    FormatError,
    MissingFileError,
    OptionError,
    OutputExistsError,
)
from fastpack.files.companions import index_path
from tests.support import extent
from tests.support.disk_damage import DAMAGERS, ENDINGS, complaints, make_original
from tests.support.images import jpeg
from tests.support.wire import bytes_list, entry, example, frame, int_list


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("damager", DAMAGERS)
def test_every_whole_record_comes_back(tmp_path, ending, damager):
    """As `python -m tests.support.disk_damage` does it a thousand times."""
    original = make_original(tmp_path, ending, num_samples=10)
    random = np.random.default_rng(7)
    for _ in range(8 if extent.is_full() else 3):
        data = DAMAGERS[damager](original.data, random)
        for with_index in (True, False):
            assert not list(
                complaints(original, data, tmp_path / f"damaged.{ending}", with_index=with_index)
            )


# TFRecord

PAYLOADS = [
    example(
        entry(b"image", bytes_list(jpeg(seed=i))),
        entry(b"label", int_list(i)),
        entry(b"odd", bytes_list(b"?")),
    )
    for i in range(5)
]
FRAMES = [frame(payload) for payload in PAYLOADS]


def starts() -> list[int]:
    return [sum(map(len, FRAMES[:i])) for i in range(len(FRAMES))]


def written(tmp_path: Path, data: bytes, *, index_of: bytes | None = None) -> Path:
    """A file; `index_of`: what it was when it was indexed."""
    path = tmp_path / "damaged.tfrecord"
    if index_of is not None:
        path.write_bytes(index_of)
        fastpack.open(path)
    path.write_bytes(data)
    return path


def flipped(data: bytes, *offsets: int) -> bytes:
    changed = bytearray(data)
    for offset in offsets:
        changed[offset] ^= 0x40
    return bytes(changed)


def records_of(path: Path) -> list[bytes]:
    """As TensorFlow reads them."""
    return [record.numpy() for record in tf.data.TFRecordDataset(str(path))]


def test_records_keep_their_bytes(tmp_path):
    path = written(tmp_path, b"".join(FRAMES))
    found = repair(path, tmp_path / "new.tfrecord")
    assert (tmp_path / "new.tfrecord").read_bytes() == path.read_bytes()
    assert (found.num_samples, found.damages) == (5, ())


def test_what_is_lost_is_named(tmp_path):
    path = written(tmp_path, flipped(b"".join(FRAMES), starts()[2] + 50))
    found = repair(path, tmp_path / "new.tfrecord")
    assert records_of(found.output) == [*PAYLOADS[:2], *PAYLOADS[3:]]
    (damage,) = found.damages
    assert (damage.record, damage.offset, damage.length, damage.is_lost) == (
        2,
        starts()[2],
        len(FRAMES[2]),
        True,
    )
    assert (found.num_samples, found.num_lost) == (4, 1)


@pytest.mark.parametrize(
    "offset", [0, 7, 8, 11], ids=["length", "length's end", "checksum", "checksum's end"]
)
def test_data_after_a_damaged_header_are_saved(tmp_path, offset):
    path = written(tmp_path, flipped(b"".join(FRAMES), starts()[1] + offset))
    found = repair(path, tmp_path / "new.tfrecord")
    assert records_of(found.output) == PAYLOADS
    (damage,) = found.damages
    assert (damage.record, damage.is_lost) == (1, False)


@pytest.mark.parametrize("offset", [0, -1], ids=["header", "footer"])
def test_the_index_saves_what_lies_between_damaged_frames(tmp_path, offset):
    whole = b"".join(FRAMES)
    ends = [start + len(data) for start, data in zip(starts(), FRAMES, strict=True)]
    offsets = [(starts() if offset == 0 else ends)[row] + offset for row in (1, 2)]
    alone = repair(written(tmp_path, flipped(whole, *offsets)), tmp_path / "alone.tfrecord")
    assert records_of(alone.output) == [PAYLOADS[0], *PAYLOADS[3:]]
    informed = repair(
        written(tmp_path, flipped(whole, *offsets), index_of=whole), tmp_path / "informed.tfrecord"
    )
    assert records_of(informed.output) == PAYLOADS
    assert [(damage.record, damage.is_lost) for damage in informed.damages] == [
        (1, False),
        (2, False),
    ]


@pytest.mark.parametrize("left", [1, 11, 12, 15, 16, 40])
@pytest.mark.parametrize("indexed", [True, False])
def test_a_torn_tail(tmp_path, left, indexed):
    whole = b"".join(FRAMES)
    path = written(tmp_path, whole[: starts()[4] + left], index_of=whole if indexed else None)
    found = repair(path, tmp_path / "new.tfrecord")
    assert records_of(found.output) == PAYLOADS[:4]
    (damage,) = found.damages
    assert (damage.record, damage.offset, damage.is_lost) == (4, starts()[4], True)


def test_records_cut_off_whole_are_named_by_the_index(tmp_path):
    whole = b"".join(FRAMES)
    found = repair(
        written(tmp_path, whole[: starts()[3]], index_of=whole), tmp_path / "new.tfrecord"
    )
    assert [damage.record for damage in found.damages] == [3, 4]
    assert found.num_lost == 2


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize(
    "change",
    [lambda data: data[20:], lambda data: b"#" * 33 + data, lambda data: bytes(4096)],
    ids=["gone", "more", "zero"],
)
def test_what_follows_is_found_where_bytes_are_missing_or_too_many(tmp_path, indexed, change):
    whole = b"".join(FRAMES)
    data = b"".join([FRAMES[0], change(FRAMES[1]), *FRAMES[2:]])
    found = repair(
        written(tmp_path, data, index_of=whole if indexed else None), tmp_path / "new.tfrecord"
    )
    assert [record for record in records_of(found.output) if record != PAYLOADS[1]] == [
        PAYLOADS[0],
        *PAYLOADS[2:],
    ]
    assert found.damages


def test_after_a_stretch_of_unknown_records_numbers_are_not_known(tmp_path):
    data = b"".join(
        [FRAMES[0], bytes(len(FRAMES[1] + FRAMES[2])), FRAMES[3], flipped(FRAMES[4], 50)]
    )
    found = repair(written(tmp_path, data), tmp_path / "new.tfrecord")
    assert [(damage.record, damage.offset) for damage in found.damages] == [
        (1, starts()[1]),
        (None, starts()[4]),
    ]


def test_records_inside_a_record_are_not_taken_for_records(tmp_path):
    """An image field that holds a TFRecord file; the index knows that it is one value."""
    nested = frame(
        example(entry(b"image", bytes_list(b"".join(FRAMES))), entry(b"label", int_list(9)))
    )
    whole = b"".join([FRAMES[0], nested, FRAMES[1]])
    damaged = flipped(
        whole, len(FRAMES[0]) + 1, len(FRAMES[0]) + len(nested) - 1
    )  # both ends of its frame
    found = repair(written(tmp_path, damaged, index_of=whole), tmp_path / "new.tfrecord")
    assert found.output.read_bytes() == whole
    lost = flipped(damaged, len(FRAMES[0]) + 14)  # and its data
    found = repair(written(tmp_path, lost, index_of=whole), tmp_path / "other.tfrecord")
    assert found.output.read_bytes() == FRAMES[0] + FRAMES[1]
    assert [damage.record for damage in found.damages] == [1]


def test_an_index_of_another_file_is_not_believed(tmp_path):
    other = b"".join(
        frame(example(entry(b"image", bytes_list(jpeg(seed=99 + i))))) for i in range(3)
    )
    path = written(tmp_path, flipped(b"".join(FRAMES), starts()[2] + 50), index_of=other)
    found = repair(path, tmp_path / "new.tfrecord")
    assert records_of(found.output) == [*PAYLOADS[:2], *PAYLOADS[3:]]
    assert [damage.record for damage in found.damages] == [2]


def test_records_that_are_no_examples_are_saved_too(tmp_path):
    frames = [frame(b"\xff" * size) for size in (5, 0, 100)]
    path = written(tmp_path, flipped(b"".join(frames), len(frames[0]) + 16 + 30))
    assert records_of(repair(path, tmp_path / "new.tfrecord").output) == [b"\xff" * 5, b""]


def test_the_new_file_has_an_index(tmp_path):
    path = written(tmp_path, flipped(b"".join(FRAMES), starts()[2] + 50))
    output = repair(path, tmp_path / "new.tfrecord").output
    assert index_path(output).exists()
    assert fastpack.open(output).columns["label"].tolist() == [0, 1, 3, 4]


# HDF5


@pytest.fixture
def photos(tmp_path: Path) -> list[bytes]:
    images = [jpeg(20 + i, 30, seed=i) for i in range(6)]
    for i, image in enumerate(images):
        path = tmp_path / "photos" / ("cat" if i < 3 else "dog") / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image)
    return images


@pytest.fixture
def encoded(photos, tmp_path) -> Path:
    pack(tmp_path / "photos", tmp_path / "damaged.h5", PackOptions(sync=False))
    return tmp_path / "damaged.h5"


def change_bytes(path: Path, first: int, new: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[first : first + len(new)] = new
    path.write_bytes(data)


def location_of(path: Path, name: str) -> int:
    with h5py.File(path) as file:
        return file[name].id.get_offset()


def samples_of(path: Path) -> list[tuple[bytes, str, str]]:
    dataset = fastpack.open(path, decode=False)
    return [
        (sample["image"], dataset.class_names[sample["label"]], sample["key"]) for sample in dataset
    ]


def expected_samples(photos: list[bytes]) -> list[tuple[bytes, str, str]]:
    names = ["cat"] * 3 + ["dog"] * 3
    return [
        (image, name, f"{name}/{i}.jpg")
        for i, (image, name) in enumerate(zip(photos, names, strict=True))
    ]


@pytest.mark.parametrize("num_bytes", [8, 96, 2048])
def test_the_index_stands_in_for_damaged_tables(encoded, photos, tmp_path, num_bytes):
    change_bytes(encoded, 0, bytes(num_bytes))
    found = repair(encoded, tmp_path / "new.h5")
    lost = {damage.record for damage in found.damages if damage.is_lost}
    assert samples_of(found.output) == [
        sample for row, sample in enumerate(expected_samples(photos)) if row not in lost
    ]
    assert not any(damage.is_lost for damage in found.damages if damage.record is None)
    assert len(lost) <= 3  # of those that the first 2 KiB touch


def test_without_tables_and_index_it_says_so(encoded, tmp_path):
    change_bytes(encoded, 0, bytes(96))
    index_path(encoded).unlink()
    with pytest.raises(FormatError, match="damaged.h5"):
        repair(encoded, tmp_path / "new.h5")


def test_a_damaged_image_is_named_and_left_out(encoded, photos, tmp_path):
    change_bytes(encoded, location_of(encoded, "images/bytes") + len(photos[0]) + 100, b"\0\1\2\3")
    found = repair(encoded, tmp_path / "new.h5")
    assert samples_of(found.output) == [
        sample for row, sample in enumerate(expected_samples(photos)) if row != 1
    ]
    (damage,) = found.damages
    assert (damage.record, damage.key, damage.length, damage.is_lost) == (
        1,
        "cat/1.jpg",
        len(photos[1]),
        True,
    )


def test_damaged_labels_come_from_the_index(encoded, photos, tmp_path):
    change_bytes(encoded, location_of(encoded, "labels") + 16, b"\1")
    found = repair(encoded, tmp_path / "new.h5")
    assert samples_of(found.output) == expected_samples(photos)
    assert [(damage.reason.split(":")[0], damage.is_lost) for damage in found.damages] == [
        ("labels", False)
    ]


def test_damaged_labels_are_left_out_where_they_are_unknown(encoded, photos, tmp_path):
    change_bytes(encoded, location_of(encoded, "labels") + 16, b"\1")
    index_path(encoded).unlink()
    found = repair(encoded, tmp_path / "new.h5")
    dataset = fastpack.open(found.output, decode=False)
    assert "label" not in dataset.schema
    assert [sample["image"] for sample in dataset] == photos
    assert [(damage.reason.split(":")[0], damage.is_lost) for damage in found.damages] == [
        ("labels", True)
    ]


def test_labels_without_checksums_come_from_the_index(encoded, photos, tmp_path):
    """As in a file that was written before there were any."""
    with h5py.File(encoded, "r+") as file:
        del file.attrs["checksums"]
        file["labels"][2] = 1
    found = repair(encoded, tmp_path / "new.h5")
    assert samples_of(found.output) == expected_samples(photos)
    assert [(damage.reason.split(":")[0], damage.is_lost) for damage in found.damages] == [
        ("labels", False)
    ]


def test_damaged_checksums_of_images_lose_their_images_only(encoded, photos, tmp_path):
    change_bytes(encoded, location_of(encoded, "images/crc32c") + 8, b"\0\0\0\0")
    index_path(encoded).unlink()
    found = repair(encoded, tmp_path / "new.h5")
    assert samples_of(found.output) == [
        sample for row, sample in enumerate(expected_samples(photos)) if row != 2
    ]
    assert [(damage.record, damage.is_lost) for damage in found.damages] == [
        (None, False),
        (2, True),
    ]


def test_own_names_of_datasets_are_kept(photos, tmp_path):
    pack(
        tmp_path / "photos",
        tmp_path / "damaged.h5",
        PackOptions(names={"image": "pictures", "label": "classes"}, sync=False),
    )
    with h5py.File(repair(tmp_path / "damaged.h5", tmp_path / "new.h5").output) as file:
        assert {"pictures", "classes", "keys"} <= set(file)


def test_pixels_are_saved_by_the_index(photos, tmp_path):
    path = tmp_path / "damaged.h5"
    pack(tmp_path / "photos", path, PackOptions(size=16, sync=False))
    before = fastpack.open(path).read(range(6))
    change_bytes(path, 0, bytes(96))
    after = fastpack.open(repair(path, tmp_path / "new.h5").output).read(range(6))
    assert np.array_equal(before["image"], after["image"])
    assert before["label"].tolist() == after["label"].tolist()


@pytest.mark.parametrize("indexed", [True, False])
def test_compressed_pixels_are_saved_where_they_can_be_read(tmp_path, indexed):
    images = np.random.default_rng(0).integers(0, 255, (9, 12, 10, 3), np.uint8)
    path = tmp_path / "damaged.h5"
    with h5py.File(path, "w") as file:
        stored = file.create_dataset(
            "images", data=images, chunks=(1, 12, 10, 3), compression="gzip", fletcher32=True
        )
        file["labels"] = np.arange(9)
        at_byte = stored.id.get_chunk_info(4).byte_offset
    if indexed:
        fastpack.open(path)
    change_bytes(path, at_byte + 40, b"\0\1\2\3")
    found = repair(path, tmp_path / "new.h5")
    batch = fastpack.open(found.output).read(range(8))
    assert batch["label"].tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert np.array_equal(batch["image"], np.delete(images, 4, axis=0))
    assert [(damage.record, damage.offset, damage.is_lost) for damage in found.damages] == [
        (4, None, True)
    ]


# both


@pytest.fixture(params=ENDINGS)
def sound(request, photos, tmp_path) -> Path:
    pack(tmp_path / "photos", tmp_path / f"all.{request.param}", PackOptions(sync=False))
    return tmp_path / f"all.{request.param}"


def test_a_sound_file_comes_out_with_the_same_samples(sound, photos, tmp_path):
    found = repair(sound, tmp_path / f"new{sound.suffix}")
    assert samples_of(found.output) == samples_of(sound)
    assert (found.num_samples, found.num_lost, found.output_bytes) == (
        6,
        0,
        found.output.stat().st_size,
    )


def test_the_damaged_file_is_left_alone(sound, tmp_path):
    os.truncate(sound, sound.stat().st_size - 100)
    before = sound.read_bytes(), sound.stat().st_mtime_ns, index_path(sound).read_bytes()
    repair(sound, tmp_path / f"new{sound.suffix}")
    assert (sound.read_bytes(), sound.stat().st_mtime_ns, index_path(sound).read_bytes()) == before


def test_the_output_is_never_the_damaged_file(sound, tmp_path):
    os.symlink(sound, tmp_path / "same")
    for output in (sound, tmp_path / "same"):
        with pytest.raises(OptionError, match="never changed"):
            repair(sound, output, overwrite=True)


def test_an_output_that_is_there_is_kept_unless_asked(sound, tmp_path):
    output = tmp_path / f"new{sound.suffix}"
    output.write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        repair(sound, output)
    assert output.read_bytes() == b"mine"
    assert repair(sound, output, overwrite=True).num_samples == 6


def test_nothing_whole(sound, tmp_path):
    sound.write_bytes(b"\1" * 5000)
    with pytest.raises((CorruptRecordError, FormatError)):
        repair(sound, tmp_path / f"new{sound.suffix}")
    assert not (tmp_path / f"new{sound.suffix}").exists()


def test_other_files(tmp_path):
    (tmp_path / "notes.txt").write_text("no dataset")
    with pytest.raises(FormatError):
        repair(tmp_path / "notes.txt", tmp_path / "new.h5")
    with pytest.raises(MissingFileError):
        repair(tmp_path / "nowhere.h5", tmp_path / "new.h5")


def test_progress(sound, tmp_path):
    calls: list[tuple[int, int, int]] = []
    repair(sound, tmp_path / f"new{sound.suffix}", progress=lambda *call: calls.append(call))
    assert calls
    assert [call[0] for call in calls] == sorted(call[0] for call in calls)
    assert all(done <= total for done, total, _ in calls)


def test_report_as_json(sound, tmp_path):
    os.truncate(sound, sound.stat().st_size - 10)
    report = json.loads(repair(sound, tmp_path / f"new{sound.suffix}").to_json())
    assert set(report) == {
        "path",
        "output",
        "num_samples",
        "output_bytes",
        "damages",
        "num_lost",
        "notes",
    }
    assert set(report["damages"][0]) == {
        "reason",
        "record",
        "offset",
        "length",
        "key",
        "is_lost",
        "path",
    }
