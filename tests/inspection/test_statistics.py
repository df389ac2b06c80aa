"""The census of images."""

import h5py
import numpy as np
import pytest

import fastpack
from fastpack.inspection.statistics import Bin, SizeCount, image_statistics
from tests.support.images import cmyk_jpeg, jpeg, photo, save, to_pillow, with_orientation


def dataset_of(folder, images: list[bytes]) -> fastpack.Reader:
    with h5py.File(folder / "all.h5", "w") as file:
        offsets = np.cumsum([0, *map(len, images)])
        file["images/bytes"] = np.frombuffer(b"".join(images), np.uint8)
        file["images/offsets"] = offsets.astype(np.uint64)
    return fastpack.open(folder / "all.h5")


def test_sizes_are_those_of_upright_images(tmp_path):
    images = [jpeg(20, 30), with_orientation(jpeg(30, 20), 6), jpeg(30, 20), jpeg(20, 30, seed=1)]
    statistics = image_statistics(dataset_of(tmp_path, images))
    assert statistics.sizes == (SizeCount(30, 20, 3), SizeCount(20, 30, 1))
    assert statistics.num_sizes == 2


def test_only_the_most_frequent_sizes_are_listed(tmp_path):
    statistics = image_statistics(
        dataset_of(tmp_path, [jpeg(10 + i, 10) for i in range(9)] + [jpeg(12, 10)] * 2)
    )
    assert statistics.sizes[0] == SizeCount(10, 12, 3)
    assert (len(statistics.sizes), statistics.num_sizes) == (5, 9)


def test_bins_double(tmp_path):
    statistics = image_statistics(
        dataset_of(tmp_path, [jpeg(8, 8), jpeg(8, 8, seed=1), jpeg(8, 15), jpeg(16, 32)])
    )
    assert statistics.pixels == (
        Bin(64, 128, 3),
        Bin(128, 256, 0),
        Bin(256, 512, 0),
        Bin(512, 1024, 1),
    )


@pytest.mark.parametrize(
    ("value", "first"),
    [(1, 1), (2, 2), (3, 2), (4, 4), (1023, 512), (1024, 1024), (2**40 - 1, 2**39)],
)
def test_bounds_of_a_bin(value, first):
    from fastpack.inspection.statistics import _bins, _in_bins

    assert _bins(_in_bins(np.array([value]))) == (Bin(first, 2 * first, 1),)


def test_stored_bytes_are_all_counted(tmp_path):
    dataset = dataset_of(tmp_path, [jpeg(20 * i + 10, 30) for i in range(12)])
    statistics = image_statistics(dataset)
    for one in statistics.stored_bytes:
        assert one.num_images == ((dataset.sizes >= one.first) & (dataset.sizes < one.end)).sum()
    assert sum(one.num_images for one in statistics.stored_bytes) == 12


def test_traits(tmp_path):
    images = [
        jpeg(20, 30),
        jpeg(20, 30, progressive=True),
        jpeg(20, 30, channels=1),
        cmyk_jpeg(20, 30),
        with_orientation(jpeg(20, 30), 3),
        save(photo(9, 9), "PNG"),
        b"no image at all",
    ]
    assert image_statistics(dataset_of(tmp_path, images)).traits == {
        "progressive": 1,
        "gray": 1,
        "CMYK": 1,
        "turned": 1,
        "unreadable": 1,
    }


def test_pixels_have_no_census(tmp_path):
    with h5py.File(tmp_path / "pixels.h5", "w") as file:
        file["images"] = np.zeros((2, 4, 6, 3), np.uint8)
    assert image_statistics(fastpack.open(tmp_path / "pixels.h5")) is None


def test_nothing_readable(tmp_path):
    statistics = image_statistics(dataset_of(tmp_path, [b"no image"]))
    assert (statistics.pixels, statistics.sizes, statistics.num_sizes, statistics.traits) == (
        (),
        (),
        0,
        {"unreadable": 1},
    )


def test_palettes_are_counted_with_gray_images(tmp_path):
    """Both have one channel, and that is all that their headers say."""
    images = [
        save(photo(8, 9, 1), "PNG"),
        save(to_pillow(photo(8, 9)).convert("P"), "PNG"),
        jpeg(8, 9, channels=1),
    ]
    assert image_statistics(dataset_of(tmp_path, images)).traits == {
        "gray": 1,
        "gray or palette": 2,
    }
