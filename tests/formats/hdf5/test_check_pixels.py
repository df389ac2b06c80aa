"""`check=True` compares uncompressed pixels with their checksums on reading."""

import os

import h5py
import numpy as np
import pytest

import fastpack
from fastpack import PackOptions
from fastpack.errors import CorruptRecordError, OptionError
from fastpack.sources import ImageFiles
from tests.support.images import photo


def pack_pixels(folder, **storage):
    for row in range(6):
        (folder / f"{row}.png").write_bytes(fastpack.encode(photo(20, 24, seed=row), "png"))
    source = ImageFiles([folder / f"{row}.png" for row in range(6)], range(6))
    fastpack.pack(source, folder / "x.h5", PackOptions(layout="pixels", size=(20, 24), **storage))
    return folder / "x.h5"


def flip_pixel(path, row):
    """A bit of a sample, after the file was indexed; the file keeps its size and its time."""
    status = path.stat()
    with h5py.File(path, "r+") as f:
        f["images"][row, 3, 4, 1] ^= 16
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def damaged_reader(folder, **options):
    path = pack_pixels(folder)
    reader = fastpack.open(path, **options)
    flip_pixel(path, 3)
    return fastpack.concat([reader]), path


def test_a_changed_pixel_is_an_error_that_names_its_sample(tmp_path):
    reader, _ = damaged_reader(tmp_path, check=True)
    assert reader.read([0, 1, 2, 4, 5])["label"].tolist() == [0, 1, 2, 4, 5]
    with pytest.raises(
        CorruptRecordError, match=r"pixels differ from their CRC32C.*x\.h5, record 3"
    ):
        reader.read([5, 3, 0])
    with pytest.raises(CorruptRecordError, match="record 3"):
        reader[3]


def test_a_changed_pixel_with_a_transform(tmp_path):
    reader, _ = damaged_reader(tmp_path, check=True, transform=fastpack.Resize(8))
    with pytest.raises(CorruptRecordError, match="record 3"):
        reader.read([5, 3, 0])


@pytest.mark.parametrize("on_error", ["mask", "skip"])
def test_changed_pixels_are_masked(tmp_path, on_error):
    reader, _ = damaged_reader(tmp_path, check=True, on_error=on_error)
    batch = reader.read(range(6))
    assert "record 3" in str(batch.failures[0])
    assert batch["label"].tolist() == (
        [0, 1, 2, 4, 5] if on_error == "skip" else [0, 1, 2, 3, 4, 5]
    )
    if on_error == "mask":
        assert not batch["image"][3].any()


@pytest.mark.parametrize("check", [None, False])
def test_reading_alone_compares_no_pixels(tmp_path, check):
    reader, _ = damaged_reader(tmp_path, check=check)
    assert (reader.read([3])["image"][0] != photo(20, 24, seed=3)).sum() == 1


def test_sound_pixels_pass(tmp_path):
    reader = fastpack.open(pack_pixels(tmp_path), check=True)
    assert (
        reader.read([4, 0])["image"] == np.stack([photo(20, 24, seed=row) for row in (4, 0)])
    ).all()


def test_pixels_without_checksums_pass(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as f:
        f["images"] = np.stack([photo(8, 8, seed=row) for row in range(3)])
    assert len(fastpack.open(tmp_path / "x.h5", check=True).read([0, 1, 2])["image"]) == 3


def test_check_takes_three_values(tmp_path):
    with pytest.raises(OptionError, match="check"):
        fastpack.ReadOptions(check="pixels")
