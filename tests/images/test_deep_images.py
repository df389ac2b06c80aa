"""16 bits a channel, kept when asked for."""

import cv2
import numpy as np
import pytest
from PIL import Image

import fastpack
from fastpack.errors import OptionError, UnsupportedImageError
from fastpack.inspection.contact_sheet import contact_sheet
from fastpack.inspection.doctor import doctor
from fastpack.inspection.page import html_page
from tests.support.images import jpeg, photo, save, to_pillow, with_orientation
from tests.support.samples import packed

HEIGHT, WIDTH = 21, 37


def deep(channels, seed=0):
    return (
        np.random.default_rng(seed).integers(0, 2**16, (HEIGHT, WIDTH, channels)).astype(np.uint16)
    )


def file_of(levels, suffix):
    """Encodes RGB levels with OpenCV."""
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
    np.testing.assert_array_equal(
        fastpack.decode(file_of(levels, suffix), color="GRAY", bits=16), levels
    )
    np.testing.assert_array_equal(
        fastpack.decode(file_of(levels, suffix), bits=16), np.repeat(levels, 3, axis=2)
    )


def test_pillow_reads_the_same_gray_levels():
    from io import BytesIO

    from PIL import Image

    data = file_of(deep(1), ".png")
    np.testing.assert_array_equal(
        fastpack.decode(data, color="GRAY", bits=16)[..., 0], np.array(Image.open(BytesIO(data)))
    )


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP"])
def test_shallow_images_fill_the_range(format):
    data = save(to_pillow(photo(HEIGHT, WIDTH)), format)
    np.testing.assert_array_equal(
        fastpack.decode(data, bits=16), fastpack.decode(data).astype(np.uint16) * 257
    )


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_without_asking_all_bits_are_kept(tmp_path, suffix):
    data = file_of(levels := deep(3), suffix)
    np.testing.assert_array_equal(fastpack.decode(data), levels)
    path = packed(tmp_path, [data, data], "deep.tfrecord")
    np.testing.assert_array_equal(fastpack.open(path)[1]["image"], levels)
    np.testing.assert_array_equal(fastpack.open(path, bits=8)[1]["image"], levels >> 8)


def test_images_of_both_depths_need_a_choice(tmp_path):
    path = packed(tmp_path, [file_of(deep(3), ".png"), jpeg(HEIGHT, WIDTH)], "both.tfrecord")
    with pytest.raises(
        OptionError,
        match="1 images of 'image' have 16 bits a channel and 1 have 8; .*bits=8 or bits=16",
    ):
        fastpack.open(path).read([0])
    assert fastpack.open(path, bits=8).read([0, 1])["image"].dtype == np.uint8
    assert fastpack.open(path, decode=False).read([0, 1]).num_samples == 2
    assert fastpack.open(path).take([1])[0]["image"].dtype == np.uint8


def test_floats_are_refused():
    data = cv2.imencode(".tiff", np.zeros((4, 4, 3), np.float32))[1].tobytes()
    with pytest.raises(UnsupportedImageError, match="float values of 32 bits"):
        fastpack.decode(data, bits=16)


@pytest.mark.parametrize("num_workers", [1, 3])
def test_a_reader_keeps_them_beside_shallow_ones(tmp_path, num_workers):
    levels = deep(3)
    turned = with_orientation(jpeg(HEIGHT, WIDTH), 6)
    path = packed(
        tmp_path, [file_of(levels, ".png"), turned, file_of(levels, ".tiff")], "deep.tfrecord"
    )
    images = fastpack.open(path, bits=16, num_workers=num_workers).read([0, 1, 2, 0])["image"]
    np.testing.assert_array_equal(images[0], levels)
    np.testing.assert_array_equal(images[1], fastpack.decode(turned).astype(np.uint16) * 257)
    np.testing.assert_array_equal(images[2], levels)
    np.testing.assert_array_equal(images[3], levels)


def test_an_output_must_be_as_deep(tmp_path):
    levels = [deep(3, seed) for seed in range(3)]
    dataset = fastpack.open(
        packed(tmp_path, [file_of(each, ".png") for each in levels], "deep.tfrecord"), bits=16
    )
    out = np.zeros((3, HEIGHT, WIDTH, 3), np.uint16)
    dataset.read([2, 1, 0], out=out)
    np.testing.assert_array_equal(out, levels[::-1])
    with pytest.raises(fastpack.FastpackError, match="uint16"):
        dataset.read([2, 1, 0], out=out.astype(np.uint8))


def test_other_depths_are_refused(tmp_path):
    path = packed(tmp_path, [file_of(deep(3), ".png")], "deep.tfrecord")
    with pytest.raises(OptionError, match="bits"):
        fastpack.open(path, bits=12)


FLOATS = fastpack.Normalize((0.2, 0.3, 0.4), (0.5, 0.25, 2.0))
STEPS = {
    "crop": [fastpack.CenterCrop((9, 15))],
    "crop, resize and flip": [fastpack.RandomResizedCrop((12, 10)), fastpack.HorizontalFlip(0.5)],
    "resize and crop": [fastpack.ResizeShort(24), fastpack.CenterCrop(20)],
    "shrink": [fastpack.Resize((5, 7))],
    "padding crop": [
        fastpack.CenterCrop((40, 30), pad_if_needed=True, fill=7),
        fastpack.HorizontalFlip(0.5),
    ],
    "normalize": [fastpack.Resize((9, 9)), FLOATS],
}


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "area"])
@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_transforms_of_16_bits_are_those_of_8(tmp_path, steps, interpolation):
    """Of the same images, with each level 257 times as high: the kernel is the oracle."""
    exif = Image.Exif()
    exif[0x0112] = 6
    files = [
        save(to_pillow(photo(HEIGHT, WIDTH, seed=seed)), "PNG", exif=exif) for seed in range(4)
    ]
    shallow = fastpack.open(
        packed(tmp_path, files, "8.tfrecord"), transform=steps, interpolation=interpolation
    )
    expected, found = (
        reader.read(range(4))["image"] for reader in (shallow, shallow.with_options(bits=16))
    )
    if found.dtype == np.uint16:
        assert np.abs(found / 257 - expected).max() <= 1
    else:
        assert np.abs(found - expected).max() <= 1 / 255 / min(FLOATS.std) + 1e-6


def test_stored_pixels_of_16_bits(tmp_path):
    files = [file_of(deep(1, number), ".png") for number in range(3)]
    dataset = fastpack.open(packed(tmp_path, files, "x.h5", layout="pixels", color="GRAY"))
    assert np.dtype(dataset.schema["image"].dtype) == np.uint16
    for number in range(3):
        np.testing.assert_array_equal(dataset[number]["image"], deep(1, number))
    cropped = dataset.with_options(transform=fastpack.CenterCrop(9))[2]["image"]
    np.testing.assert_array_equal(cropped, deep(1, 2)[6:15, 14:23])


@pytest.mark.parametrize("bits", [8, 16])
def test_pixels_of_both_depths_need_a_choice(tmp_path, bits):
    files = [file_of(deep(3), ".png"), save(photo(HEIGHT, WIDTH), "PNG")]
    with pytest.raises(
        UnsupportedImageError,
        match="8 bits a channel, but 16 are expected; .*bits=8 or bits=16.*-01",
    ):
        packed(tmp_path, files, "x.h5", layout="pixels")
    stored = fastpack.open(packed(tmp_path, files, "y.h5", layout="pixels", bits=bits)).read(
        [0, 1]
    )["image"]
    expected = fastpack.open(packed(tmp_path, files, "y.tfrecord"), bits=bits).read([0, 1])["image"]
    np.testing.assert_array_equal(stored, expected)


def test_looking_and_measuring_need_no_choice(tmp_path):
    path = packed(tmp_path, [file_of(deep(3), ".png"), jpeg(HEIGHT, WIDTH)], "both.tfrecord")
    dataset = fastpack.open(path)
    assert fastpack.verify(path, decode=True).is_sound
    assert contact_sheet(dataset, [0, 1], tile=32).dtype == np.uint8
    assert html_page(dataset, [0, 1]).count("data:image/jpeg") == 2
    assert doctor(dataset, num_workers=1, seconds=0.01).stages
