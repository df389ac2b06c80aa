"""Crop, turn, resample and mirror pixels. Pillow's bilinear filter is the reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpack._native.decode import Decoder
from fastpack.core.dtypes import VIEW
from tests.support.decode_jobs import view_of
from tests.support.images import noise, photo, resized

BAD_BOX = 14
SIZES = st.integers(1, 130)


def resampled(pixels, view, height, width):
    out = np.full((height, width, pixels.shape[2]), 99, np.uint8)
    assert Decoder().resample(pixels, view, out) is None
    return out


def resample(pixels, height, width):
    return resampled(pixels, view_of(pixels.shape[1], pixels.shape[0]), height, width)


@given(st.sampled_from([noise, photo]), SIZES, SIZES, SIZES, SIZES, st.sampled_from([1, 3]))
def test_within_one_level_of_pillow(make, height, width, new_height, new_width, channels):
    pixels = make(height, width, channels)
    found = resample(pixels, new_height, new_width).astype(int)
    assert np.abs(found - resized(pixels, new_height, new_width)).max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("size", "new_size"),
    [
        ((1, 1), (300, 200)),
        ((300, 200), (1, 1)),
        ((1500, 3), (2, 1500)),
        ((3, 1500), (1500, 2)),
        ((100, 100), (99, 101)),
        ((500, 375), (224, 224)),
    ],
)
def test_extreme_sizes(size, new_size, channels):
    pixels = noise(*size, channels)
    assert np.abs(resample(pixels, *new_size).astype(int) - resized(pixels, *new_size)).max() <= 1


@given(SIZES, SIZES, st.sampled_from([1, 3]))
def test_the_same_size_is_a_copy(height, width, channels):
    pixels = noise(height, width, channels)
    assert (resample(pixels, height, width) == pixels).all()


@pytest.mark.parametrize("value", [0, 1, 127, 254, 255])
@given(height=SIZES, width=SIZES)
def test_one_colour_stays_that_colour(value, height, width):
    assert (resample(np.full((31, 17, 3), value, np.uint8), height, width) == value).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_view_is_resampled_as_if_it_were_all(channels):
    pixels = noise(60, 80, channels)
    crop = np.ascontiguousarray(pixels[5:45, 20:70])
    assert (resampled(pixels, view_of(50, 40, x=20, y=5), 21, 33) == resample(crop, 21, 33)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [1, 3])
def test_turned_and_mirrored(orientation, channels):
    pixels = noise(20, 30, channels)
    upright = pixels[:, ::-1] if orientation in (2, 3, 7, 8) else pixels
    upright = upright[::-1] if orientation in (3, 4, 6, 7) else upright
    upright = upright.swapaxes(0, 1) if orientation > 4 else upright
    height, width = upright.shape[:2]
    turned = view_of(width, height, orientation=orientation)
    mirrored = view_of(width, height, orientation=orientation, flip=True)
    assert (resampled(pixels, turned, height, width) == upright).all()
    assert (resampled(pixels, mirrored, height, width) == upright[:, ::-1]).all()


@pytest.mark.parametrize(
    "box",
    [
        {"x": 1},
        {"y": 1},
        {"width": 0},
        {"height": 0},
        {"width": 31},
        {"x": 2**32 - 1},
        {"orientation": 5},
    ],
)
def test_a_box_outside_the_pixels_is_refused(box):
    outcome = Decoder().resample(
        noise(20, 30, 3),
        view_of(**{"width": 30, "height": 20, **box}),
        np.empty((4, 4, 3), np.uint8),
    )
    assert outcome[0] == BAD_BOX
    assert "outside" in outcome[4]


@pytest.mark.parametrize(
    ("stored", "out", "num_views"),
    [
        ((4, 4, 3), (4, 4, 1), 1),
        ((0, 4, 3), (4, 4, 3), 1),
        ((4, 4, 3), (4, 0, 3), 1),
        ((4, 4, 0), (4, 4, 0), 1),
        ((4, 4, 3), (4, 4, 3), 2),
    ],
)
def test_shapes_that_do_not_fit_are_a_mistake(stored, out, num_views):
    with pytest.raises(ValueError, match="same number of channels|empty"):
        Decoder().resample(
            np.empty(stored, np.uint8), np.ones(num_views, VIEW), np.empty(out, np.uint8)
        )
