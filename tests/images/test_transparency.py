"""Alpha, transparent levels and colors, and the first frame of an animation."""

import struct

import cv2
import numpy as np
import pytest
from PIL import Image

import fastpack
from fastpack.errors import CorruptImageError, FastpackWarning
from tests.support.images import photo, save
from tests.support.raster_files import HEIGHT, WIDTH, animation, chunk, noise, png, with_alpha
from tests.support.tiffs import RGB, tiff


def associated(levels):
    parts = levels[..., 3:] / 255
    return np.concatenate(
        [np.rint(levels[..., :3] * parts).astype(np.uint8), levels[..., 3:]], axis=2
    )


# Transparency.


ALPHA = with_alpha()


WITH_ALPHA = {
    "png": save(ALPHA, "PNG"),
    "webp": save(ALPHA, "WEBP", lossless=True, exact=True),
    "tiff": save(ALPHA, "TIFF"),
    "tiff of OpenCV": tiff(ALPHA, RGB),
    "planar tiff": tiff(ALPHA, RGB, planar=True, tags={338: (2,)}),
    "associated tiff": tiff(associated(ALPHA), RGB, tags={338: (1,)}),
    "deep png": png(ALPHA.astype(np.uint16) * 257, 6, 16),
}


@pytest.mark.parametrize("kind", WITH_ALPHA)
def test_alpha_is_dropped(kind):
    found = fastpack.decode(WITH_ALPHA[kind], bits=8).astype(int)
    if kind != "associated tiff":
        assert (found == ALPHA[..., :3]).all()
        return
    opacity = ALPHA[..., 3:].astype(int)
    known = np.broadcast_to(
        opacity > 0, found.shape
    )  # nothing is left of colors that were multiplied with 0
    assert (np.abs(found - ALPHA[..., :3]) <= 128 / np.maximum(opacity, 1) + 1)[known].all()


@pytest.mark.parametrize("ground", ["white", "black"])
@pytest.mark.parametrize("kind", WITH_ALPHA)
def test_alpha_on_a_ground(kind, ground):
    level = 255 if ground == "white" else 0
    parts = ALPHA[..., 3:] / 255
    expected = ALPHA[..., :3] * parts + level * (1 - parts)
    found = fastpack.decode(WITH_ALPHA[kind], bits=8, alpha=ground)
    assert np.abs(found - expected).max() <= 1 + (kind == "associated tiff")


def test_transparency_of_gray_palettes_and_colors(tmp_path):
    gray, palette = noise(1, HEIGHT, WIDTH, 1), noise(2, HEIGHT, WIDTH, 1)
    color = int(gray[3, 5, 0])
    clear_gray = png(gray, 0, 8, extra=chunk(b"tRNS", struct.pack(">H", color)))
    assert (fastpack.decode(clear_gray, color="GRAY") == gray).all()
    assert (
        fastpack.decode(clear_gray, color="GRAY", alpha="white")
        == np.where(gray == color, 255, gray)
    ).all()
    clear_index = png(palette, 3, 8, extra=chunk(b"tRNS", bytes([0] * 200)))
    colors = np.frombuffer(bytes(range(256)) * 3, np.uint8).reshape(256, 3)[palette[..., 0]]
    assert (fastpack.decode(clear_index) == colors).all()
    assert (fastpack.decode(clear_index, alpha="black") == np.where(palette < 200, 0, colors)).all()
    both = save(np.concatenate([gray, palette], axis=2), "PNG")
    assert (fastpack.decode(both, color="GRAY") == gray).all()
    (tmp_path / "a.png").write_bytes(clear_gray)
    fastpack.pack(
        fastpack.from_folder(tmp_path),
        tmp_path / "x.h5",
        fastpack.PackOptions(layout="pixels", alpha="white", color="GRAY"),
    )
    assert (
        fastpack.open(tmp_path / "x.h5")[0]["image"] == np.where(gray == color, 255, gray)
    ).all()


@pytest.mark.parametrize("bits", [2, 8])
def test_a_transparent_level_has_as_many_bits_as_the_image(bits):
    """PNG, 3rd edition, 11.3.1.1: the others do not count."""
    levels = noise(1, HEIGHT, WIDTH, 1, bits)
    data = png(levels, 0, bits, extra=chunk(b"tRNS", struct.pack(">H", 2**bits * 7 + 3)))
    shown = levels.astype(int) * (255 // (2**bits - 1))
    np.testing.assert_array_equal(
        fastpack.decode(data, color="GRAY", alpha="white"), np.where(levels == 3, 255, shown)
    )


def test_gray_of_a_gray_palette_is_gray():
    indices = noise(2, HEIGHT, WIDTH, 1)
    image = Image.fromarray(indices[..., 0], "P")
    image.putpalette(np.repeat(np.arange(255, -1, -1), 3).tolist())
    assert (fastpack.decode(save(image, "PNG"), color="GRAY") == 255 - indices).all()
    image.putpalette(bytes(range(256)) * 3)
    with pytest.warns(FastpackWarning, match="palette indices"):
        assert (fastpack.decode(save(image, "PNG"), color="GRAY", bits=16) == indices).all()


def test_a_palette_that_lacks_colors():
    indices = noise(2, HEIGHT, WIDTH, 1)
    data = png(indices, 3, 8, num_colors=1)
    with pytest.warns(FastpackWarning, match="palette indices"):
        assert (fastpack.decode(data, color="GRAY") == indices).all()
    with pytest.raises(CorruptImageError, match='palette index 255 of 1 colors; .*"mask"'):
        fastpack.decode(data)


# Animations.


@pytest.mark.parametrize(
    "options", [{}, {"lossless": True}, {"lossless": True, "minimize_size": True}], ids=str
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("alpha", ["drop", "white"])
def test_the_first_frame_of_a_webp_is_opencvs(mode, options, alpha):
    data = animation(mode, **options)
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    expected = fastpack.decode(cv2.imencode(".png", stored)[1], alpha=alpha)
    np.testing.assert_array_equal(fastpack.decode(data, alpha=alpha), expected)


def test_a_small_frame_lies_where_the_file_says():
    frame = save(photo(5, 7), "WEBP", lossless=True)[12:]
    sides = (13).to_bytes(3, "little") + (9).to_bytes(3, "little")
    head = b"\2\0\0\1\0\0" + (6).to_bytes(3, "little") + (4).to_bytes(3, "little") + bytes(4)
    body = (
        riff(b"VP8X", b"\2\0\0\0" + sides) + riff(b"ANIM", bytes(6)) + riff(b"ANMF", head + frame)
    )
    expected = np.full((10, 14, 3), 255, np.uint8)
    expected[2:7, 4:11] = photo(5, 7)
    np.testing.assert_array_equal(
        fastpack.decode(riff(b"RIFF", b"WEBP" + body), alpha="white"), expected
    )
    outside = body.replace(b"\2\0\0\1\0\0", b"\6\0\0\1\0\0")
    with pytest.raises(CorruptImageError, match="larger than the image"):
        fastpack.decode(riff(b"RIFF", b"WEBP" + outside))


def riff(name, body):
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
