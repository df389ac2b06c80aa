"""The decoder's pixels: `exact` equals Pillow's full decode, crop and resample; `fast` is close."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import fastpack
from fastpack._native.decode import Decoder
from fastpack.core.dtypes import VIEW
from tests.support.crops import FACTORS, SIZES, boxes, encoded, plain_paths
from tests.support.decode_jobs import batch, run, run_all, view_of
from tests.support.extent import num_examples
from tests.support.images import (
    jpeg,
    noise,
    photo,
    read_upright,
    resized,
    to_pillow,
    with_orientation,
)

INTERPOLATIONS = ["nearest", "bilinear", "bicubic", "area"]
COLORS = st.sampled_from(["RGB", "BGR", "GRAY"])


@st.composite
def jpegs(draw):
    pixels = photo(
        draw(SIZES), draw(SIZES), draw(st.sampled_from([3, 3, 3, 1])), seed=draw(st.integers(0, 3))
    )
    quality, interval = draw(st.integers(1, 100)), draw(st.sampled_from([0, 0, 1, 2, 7]))
    return encoded(
        pixels, FACTORS[draw(st.sampled_from([*FACTORS]))], quality, interval, draw(st.booleans())
    )


def full_decode(data, orientation, color):
    return fastpack.decode(with_orientation(data, orientation), color=color)


@st.composite
def crops(draw):
    """A file, a view of it, a color, and the pixels of the view before it is mirrored."""
    data, orientation, color = draw(jpegs()), draw(st.integers(1, 8)), draw(COLORS)
    full = full_decode(data, orientation, color)
    x, y, width, height = draw(boxes(full.shape[1], full.shape[0]))
    view = np.array([(x, y, width, height, 0, 0, 0, 0, orientation, draw(st.booleans()), 0)], VIEW)
    return data, view, color, full[y : y + height, x : x + width]


def mirrored(pixels, view):
    return pixels[:, ::-1] if view["flip"][0] else pixels


def decoded(data, view, shape, color="RGB", **options):
    out = np.full((*shape, 1 if color == "GRAY" else 3), 99, np.uint8)
    assert run(data, view, out, color=color, **options) is None
    return out


def difference(found, expected):
    """The largest, in levels."""
    return np.abs(found.astype(int) - expected).max()


@settings(max_examples=num_examples(2500))
@given(crops())
def test_a_crop_is_that_of_the_full_decode_bit_for_bit(crop):
    data, view, color, expected = crop
    assert (decoded(data, view, expected.shape[:2], color) == mirrored(expected, view)).all()


@settings(max_examples=num_examples(400))
@given(crops())
def test_fast_without_resampling_is_exact(crop):
    data, view, color, expected = crop
    assert (
        decoded(data, view, expected.shape[:2], color, may_reduce=True) == mirrored(expected, view)
    ).all()


@settings(max_examples=num_examples(400))
@given(crops(), SIZES, SIZES)
def test_a_resampled_crop_is_pillows(crop, height, width):
    data, view, color, pixels = crop
    expected = mirrored(resized(np.ascontiguousarray(pixels), height, width), view)
    assert difference(decoded(data, view, (height, width), color), expected) <= 1


@pytest.mark.parametrize("factors", FACTORS.values(), ids=FACTORS)
@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
def test_crops_at_every_offset(factors, progressive):
    """Boxes along a row and down a column, at any offset in blocks and chroma samples."""
    data = encoded(photo(53, 71), factors, 90, 0, progressive)
    full = fastpack.decode(data)
    views = [view_of(width, 40, x=x, y=3) for width in (1, 2, 17) for x in range(71 - width + 1)]
    views += [
        view_of(60, height, x=5, y=y) for height in (1, 2, 17) for y in range(53 - height + 1)
    ]
    boxes = [view[0].item()[:4] for view in views]
    outs = [np.empty((height, width, 3), np.uint8) for _, _, width, height in boxes]
    assert run_all(batch([data] * len(views), np.concatenate(views), outs)) == []
    wrong = [
        box
        for box, out in zip(boxes, outs, strict=True)
        if (out != full[box[1] :, box[0] :][: box[3], : box[2]]).any()
    ]
    assert wrong == []


# Resampling


def resampled(pixels, height, width, interpolation, window=None, flip=False):
    """Resamples to height x width and cuts `window`: (left, top, width, height) out of it."""
    left, top, out_width, out_height = window or (0, 0, width, height)
    view = np.array(
        [(0, 0, pixels.shape[1], pixels.shape[0], width, height, left, top, 1, flip, 0)], VIEW
    )
    out = np.full((out_height, out_width, pixels.shape[2]), 99, np.uint8)
    assert Decoder().resample(pixels, view, out, interpolation=interpolation) is None
    return out


EXTREMES = [
    ((1, 1), (200, 200)),
    ((1, 200), (200, 1)),
    ((2000, 1), (1, 3)),
    ((1, 2000), (2, 1)),
    ((2000, 5), (1, 200)),
    ((600, 2000), (1, 1)),
    ((3, 4), (200, 199)),
    ((200, 199), (199, 200)),
]
each_interpolation = pytest.mark.parametrize("interpolation", INTERPOLATIONS)
each_width = pytest.mark.parametrize("bits", [0, 256])
each_channels = pytest.mark.parametrize("channels", [1, 3])
each_extreme = pytest.mark.parametrize(("size", "new_size"), EXTREMES, ids=str)


@each_interpolation
@each_channels
@each_width
@given(st.data(), SIZES, SIZES, SIZES, SIZES, st.booleans())
def test_vectors_give_the_plain_paths_pixels(
    interpolation, channels, bits, data, height, width, new_height, new_width, flip
):
    pixels, window = noise(height, width, channels), data.draw(boxes(new_width, new_height))
    found = resampled(pixels, new_height, new_width, interpolation, window, flip)
    with plain_paths(bits):
        assert (
            resampled(pixels, new_height, new_width, interpolation, window, flip) == found
        ).all()


@each_interpolation
@each_channels
@each_width
@each_extreme
def test_vectors_give_the_plain_paths_pixels_at_extremes(
    interpolation, channels, bits, size, new_size
):
    pixels = noise(*size, channels)
    found = resampled(pixels, *new_size, interpolation)
    with plain_paths(bits):
        assert (resampled(pixels, *new_size, interpolation) == found).all()


@each_interpolation
@each_channels
@given(st.data(), SIZES, SIZES, SIZES, SIZES)
def test_the_mirror_comes_after_resampling(
    interpolation, channels, data, height, width, new_height, new_width
):
    pixels, window = noise(height, width, channels), data.draw(boxes(new_width, new_height))
    mirrored = resampled(pixels, new_height, new_width, interpolation, window, flip=True)
    assert (
        mirrored[:, ::-1] == resampled(pixels, new_height, new_width, interpolation, window)
    ).all()


@each_interpolation
@pytest.mark.parametrize("color", ["RGB", "GRAY"])
def test_vectors_give_the_plain_paths_pixels_of_jpegs(interpolation, color):
    data = jpeg(150, 190, seed=4)
    view = np.array([(7, 9, 130, 170, 99, 88, 5, 6, 6, 1, 0)], VIEW)
    found = decoded(data, view, (70, 80), color, interpolation=interpolation)
    with plain_paths():
        assert (decoded(data, view, (70, 80), color, interpolation=interpolation) == found).all()


@each_interpolation
@each_channels
@given(st.data(), SIZES, SIZES, SIZES, SIZES)
def test_a_window_is_a_crop_of_what_is_resampled(
    interpolation, channels, data, height, width, new_height, new_width
):
    pixels = noise(height, width, channels)
    left, top, out_width, out_height = window = data.draw(boxes(new_width, new_height))
    whole = resampled(pixels, new_height, new_width, interpolation)
    found = resampled(pixels, new_height, new_width, interpolation, window)
    # The weights' precision goes by those that the window needs, so roundings may differ.
    tolerance = 0 if interpolation == "nearest" else 1
    assert difference(found, whole[top : top + out_height, left : left + out_width]) <= tolerance


def by_pillow(pixels, height, width, filter):
    image = to_pillow(pixels).resize((width, height), filter)
    return np.asarray(image).reshape(height, width, pixels.shape[2])


@each_channels
@settings(max_examples=num_examples(150))
@given(SIZES, SIZES, SIZES, SIZES)
def test_area_is_pillows_box(channels, height, width, new_height, new_width):
    pixels = noise(height, width, channels)
    expected = by_pillow(pixels, new_height, new_width, Image.Resampling.BOX)
    assert difference(resampled(pixels, new_height, new_width, "area"), expected) <= 1


@each_channels
@pytest.mark.parametrize(("size", "new_size"), EXTREMES, ids=str)
def test_area_is_pillows_box_at_extremes(channels, size, new_size):
    pixels = noise(*size, channels)
    assert (
        difference(
            resampled(pixels, *new_size, "area"), by_pillow(pixels, *new_size, Image.Resampling.BOX)
        )
        <= 1
    )


@each_channels
@settings(max_examples=num_examples(150))
@given(st.sampled_from([noise, photo]), SIZES, SIZES, SIZES, SIZES)
def test_bicubic_is_pillows(channels, make, height, width, new_height, new_width):
    """Levels 64 to 191: Pillow clips black and white between its passes, the kernel does not."""
    pixels = 64 + make(height, width, channels) // 2
    expected = by_pillow(pixels, new_height, new_width, Image.Resampling.BICUBIC)
    assert difference(resampled(pixels, new_height, new_width, "bicubic"), expected) <= 1


def nearest_inputs(size, new_size):
    """The input under each output's center; two where the center lies between them."""
    doubled = (2 * np.arange(new_size) + 1) * size
    return doubled // (2 * new_size), np.maximum(0, -(-doubled // (2 * new_size)) - 1)


@settings(max_examples=num_examples(150))
@given(st.integers(1, 256), st.integers(1, 256), SIZES, SIZES)
def test_nearest_takes_the_pixel_under_the_center(height, width, new_height, new_width):
    y, x = np.mgrid[0:height, 0:width].astype(np.uint8)
    found = resampled(np.stack([y, x, y ^ x], axis=-1), new_height, new_width, "nearest")
    rows, columns = nearest_inputs(height, new_height), nearest_inputs(width, new_width)
    assert ((found[..., 0] == rows[0][:, None]) | (found[..., 0] == rows[1][:, None])).all()
    assert ((found[..., 1] == columns[0]) | (found[..., 1] == columns[1])).all()
    assert (found[..., 2] == found[..., 0] ^ found[..., 1]).all()  # one pixel, not one a channel


# The fast mode

HEIGHT, WIDTH = 160, 240
PHOTO = jpeg(HEIGHT, WIDTH, seed=1, quality=90)
WHOLE = view_of(WIDTH, HEIGHT)


@settings(max_examples=num_examples(200))
@given(boxes(WIDTH, HEIGHT), st.data())
def test_fast_is_exact_where_half_the_size_would_not_do(box, data):
    x, y, width, height = box
    across, down = data.draw(st.integers(1, 2 * width)), data.draw(st.integers(1, 2 * height))
    if (
        width // 2 >= across and height // 2 >= down
    ):  # it may reduce: make one side need all there is
        across = width // 2 + 1
    view = view_of(width, height, x=x, y=y)
    assert (
        decoded(PHOTO, view, (down, across), may_reduce=True)
        == decoded(PHOTO, view, (down, across))
    ).all()


@pytest.mark.parametrize("orientation", range(2, 9))
def test_fast_is_exact_of_turned_images(orientation):
    height, width = (WIDTH, HEIGHT) if orientation > 4 else (HEIGHT, WIDTH)
    view = view_of(width, height, orientation=orientation)
    assert (decoded(PHOTO, view, (20, 20), may_reduce=True) == decoded(PHOTO, view, (20, 20))).all()


@pytest.mark.parametrize(
    ("size", "factor"),
    [
        ((161, 240), 1),
        ((81, 60), 1),
        ((60, 121), 1),
        ((80, 120), 2),
        ((41, 60), 2),
        ((40, 61), 2),
        ((40, 60), 4),
        ((20, 31), 4),
        ((20, 30), 8),
        ((1, 1), 8),
    ],
    ids=str,
)
def test_fast_reduces_as_far_as_nothing_must_be_enlarged(size, factor):
    with Image.open(io.BytesIO(PHOTO)) as image:
        image.draft("RGB", (WIDTH // factor, HEIGHT // factor))
        reduced = np.asarray(image)
    assert reduced.shape == (HEIGHT // factor, WIDTH // factor, 3)
    assert difference(decoded(PHOTO, WHOLE, size, may_reduce=True), resized(reduced, *size)) <= 1


def enlarged(seed):
    """An image as cameras make them: no detail as small as a pixel, except noise."""
    smooth = cv2.resize(
        photo(HEIGHT // 4, WIDTH // 4, seed=seed), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC
    )
    return np.clip(smooth + np.random.default_rng(seed).normal(0, 3, smooth.shape), 0, 255).astype(
        np.uint8
    )


# Of the mean difference. Chroma that is subsampled along one axis only is decoded smaller along
# both, and blurs. There `fast` reduces one step less, and half the size is not reduced at all.
FAST_BOUNDS = {"444": 1.0, "420": 1.0, "422": 2.0, "440": 5.0, "411": 9.0}


@pytest.mark.parametrize("subsampling", FACTORS)
@pytest.mark.parametrize("size", [(64, 90), (33, 45), (17, 13)], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_fast_is_near_exact(subsampling, size, seed):
    data = encoded(enlarged(seed), FACTORS[subsampling], 90, 0, False)
    view = view_of(201, 143, x=23, y=11)  # of odd sides, at an odd place
    found, expected = (decoded(data, view, size, may_reduce=may) for may in (True, False))
    goes_less_far = subsampling in ("422", "440", "411") and size == (64, 90)
    assert (found != expected).any() != goes_less_far  # it did decode smaller
    assert np.abs(found.astype(int) - expected).mean() < FAST_BOUNDS[subsampling]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_full_decode_stands_upright(orientation):
    """The crops above are parts of this."""
    assert (
        full_decode(PHOTO, orientation, "RGB") == read_upright(with_orientation(PHOTO, orientation))
    ).all()
