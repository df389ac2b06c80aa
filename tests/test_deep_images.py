"""16 bits a channel, kept when asked for."""

import cv2
import numpy as np
import pytest
from images import jpeg, photo, save, to_pillow, with_orientation
from test_engine_reading import packed

import fastpack
from fastpack.errors import OptionError, UnsupportedImageError

HEIGHT, WIDTH = 21, 37


def deep(channels, seed=0):
    return np.random.default_rng(seed).integers(0, 2**16, (HEIGHT, WIDTH, channels)).astype(np.uint16)


def file_of(levels, suffix):
    """What OpenCV writes of RGB levels."""
    return cv2.imencode(suffix, levels[..., ::-1] if levels.shape[2] == 3 else levels)[1].tobytes()


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_every_level_is_kept(suffix, color):
    levels = deep(3)
    pixels = fastpack.decode(file_of(levels, suffix), color=color, bits=16)
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels, levels if color == "RGB" else levels[..., ::-1])


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_gray_levels_are_kept(suffix):
    levels = deep(1)
    np.testing.assert_array_equal(fastpack.decode(file_of(levels, suffix), color="GRAY", bits=16), levels)
    np.testing.assert_array_equal(fastpack.decode(file_of(levels, suffix), bits=16), np.repeat(levels, 3, axis=2))


def test_pillow_reads_the_same_gray_levels():
    from io import BytesIO

    from PIL import Image

    data = file_of(deep(1), ".png")
    np.testing.assert_array_equal(fastpack.decode(data, color="GRAY", bits=16)[..., 0], np.array(Image.open(BytesIO(data))))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP"])
def test_shallow_images_fill_the_range(format):
    data = save(to_pillow(photo(HEIGHT, WIDTH)), format)
    np.testing.assert_array_equal(fastpack.decode(data, bits=16), fastpack.decode(data).astype(np.uint16) * 257)


def test_without_asking_there_are_8_bits():
    levels = deep(3)
    assert fastpack.decode(file_of(levels, ".png")).dtype == np.uint8


def test_floats_are_refused():
    data = cv2.imencode(".tiff", np.zeros((4, 4, 3), np.float32))[1].tobytes()
    with pytest.raises(UnsupportedImageError, match="float32"):
        fastpack.decode(data, bits=16)


@pytest.mark.parametrize("num_workers", [1, 3])
def test_a_reader_keeps_them_beside_shallow_ones(tmp_path, num_workers):
    levels = deep(3)
    turned = with_orientation(jpeg(HEIGHT, WIDTH), 6)
    path = packed(tmp_path, [file_of(levels, ".png"), turned, file_of(levels, ".tiff")], "deep.tfrecord")
    images = fastpack.open(path, bits=16, num_workers=num_workers).read([0, 1, 2, 0])["image"]
    np.testing.assert_array_equal(images[0], levels)
    np.testing.assert_array_equal(images[1], fastpack.decode(turned).astype(np.uint16) * 257)
    np.testing.assert_array_equal(images[2], levels)
    np.testing.assert_array_equal(images[3], levels)


def test_an_output_must_be_as_deep(tmp_path):
    levels = [deep(3, seed) for seed in range(3)]
    dataset = fastpack.open(packed(tmp_path, [file_of(each, ".png") for each in levels], "deep.tfrecord"), bits=16)
    out = np.zeros((3, HEIGHT, WIDTH, 3), np.uint16)
    dataset.read([2, 1, 0], out=out)
    np.testing.assert_array_equal(out, levels[::-1])
    with pytest.raises(fastpack.FastpackError, match="uint16"):
        dataset.read([2, 1, 0], out=out.astype(np.uint8))


@pytest.mark.parametrize("changes", [{"bits": 12}, {"bits": 16, "transform": fastpack.Resize(8)}])
def test_other_depths_and_transforms_are_refused(tmp_path, changes):
    path = packed(tmp_path, [file_of(deep(3), ".png")], "deep.tfrecord")
    with pytest.raises(OptionError, match="bits"):
        fastpack.open(path, **changes)
