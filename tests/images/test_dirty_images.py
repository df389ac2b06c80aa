"""Odd files of real datasets: decoded as Pillow decodes them, or an error that explains them."""

import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

import fastpack
from fastpack import CenterCrop, RandomResizedCrop, Resize
from fastpack.errors import CorruptImageError, FastpackWarning, UnsupportedImageError
from tests.support.crops import FACTORS, encoded
from tests.support.dirty_images import HEIGHT, KINDS, PLAIN, WIDTH, as_mode, each_kind, segment
from tests.support.images import photo, read_pillow, read_upright, resized, save
from tests.support.samples import packed


def deep_png(channels):
    levels = (
        np.random.default_rng(channels)
        .integers(0, 2**16, (HEIGHT, WIDTH, channels))
        .astype(np.uint16)
    )
    return cv2.imencode(".png", levels)[1].tobytes()


def with_exif_orientation(format, orientation, mode="RGB", **options):
    """As Pillow writes it into files of that format."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return save(as_mode(mode), format, exif=exif, **options)


PALETTES = [
    kind for kind in KINDS if "palette" in kind or kind.endswith(" P") or kind.startswith("gif")
]


def difference(found, expected):
    return np.abs(found.astype(int) - expected).max()


def center(pixels, height, width):
    y, x = round((pixels.shape[0] - height) / 2), round((pixels.shape[1] - width) / 2)
    return pixels[y : y + height, x : x + width]


# Kinds of files


@each_kind
def test_pixels_are_pillows(kind):
    expected = read_upright(KINDS[kind])
    assert (fastpack.decode(KINDS[kind]) == expected).all()
    assert (fastpack.decode(KINDS[kind], color="BGR") == expected[..., ::-1]).all()


@pytest.fixture(scope="module", params=["tfrecord", "h5"])
def reader(request, tmp_path_factory):
    """Of all kinds; the files have one name or another, which means nothing."""
    folder = tmp_path_factory.mktemp("kinds")
    return fastpack.open(packed(folder, KINDS.values(), f"x.{request.param}"))


@each_kind
def test_reader_and_transforms_give_pillows_pixels(reader, kind):
    row, expected = [*KINDS].index(kind), read_upright(KINDS[kind])
    assert (reader[row]["image"] == expected).all()
    cropped = reader.with_options(transform=CenterCrop((9, 15)))[row]["image"]
    assert (cropped == center(expected, 9, 15)).all()
    small = reader.with_options(transform=Resize((11, 14)))[row]["image"]
    assert difference(small, resized(expected, 11, 14)) <= 1


def test_all_kinds_in_one_batch(reader):
    batch = reader.with_options(transform=Resize((40, 40)), num_workers=8).read(range(len(KINDS)))
    expected = np.stack([resized(read_upright(data), 40, 40) for data in KINDS.values()])
    assert difference(batch["image"], expected) <= 1


@pytest.mark.parametrize("kind", PALETTES)
def test_gray_of_a_colored_palette_is_its_indices(reader, kind):
    with pytest.warns(FastpackWarning, match="palette indices"):
        gray = reader.with_options(color="GRAY")[[*KINDS].index(kind)]["image"]
    assert (gray[..., 0] == np.array(Image.open(io.BytesIO(KINDS[kind])))).all()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in PALETTES])
def test_gray_is_near_pillows(reader, kind):
    gray = reader.with_options(color="GRAY")[[*KINDS].index(kind)]["image"]
    assert gray.shape[2] == 1
    luma = read_upright(KINDS[kind]) @ np.array([0.299, 0.587, 0.114])
    assert np.abs(gray[..., 0] - luma).mean() < 2  # a JPEG's own luma is not clipped as colors are


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_deep_png_keeps_the_upper_bits(channels):
    data = deep_png(channels)
    levels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED).reshape(
        HEIGHT, WIDTH, channels
    )
    expected = (levels >> 8).astype(np.uint8)[..., [0, 0, 0] if channels == 1 else [2, 1, 0]]
    assert (fastpack.decode(data, bits=8) == expected).all()


def test_a_png_named_jpeg(tmp_path):
    (tmp_path / "cat.JPEG").write_bytes(KINDS["png RGB"])
    (tmp_path / "dog.png").write_bytes(PLAIN)
    fastpack.packing.snippets.write_tfrecord(
        [tmp_path / "cat.JPEG", tmp_path / "dog.png"], [0, 1], tmp_path / "x.tfrecord"
    )
    images = fastpack.open(tmp_path / "x.tfrecord").read([0, 1])["image"]
    assert (images == np.stack([photo(HEIGHT, WIDTH), read_pillow(PLAIN)])).all()


ODD_SIZES = [
    (1, 1),
    (1, 2),
    (2, 1),
    (1, 19),
    (19, 1),
    (3, 5),
    (7, 9),
    (8, 8),
    (9, 7),
    (15, 17),
    (17, 31),
    (33, 33),
]


@pytest.mark.parametrize("size", ODD_SIZES, ids=str)
@pytest.mark.parametrize("factors", FACTORS.values(), ids=FACTORS)
@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
def test_subsamplings_of_odd_sizes(size, factors, progressive):
    data = encoded(photo(*size), factors, 80, 1, progressive)
    assert (fastpack.decode(data) == read_pillow(data)).all()


@pytest.mark.parametrize("format", ["PNG", "WEBP", "BMP", "TIFF", "GIF"])
@pytest.mark.parametrize("size", ODD_SIZES, ids=str)
def test_odd_sizes_of_other_formats(format, size):
    data = save(photo(*size), format)
    assert (fastpack.decode(data) == read_pillow(data)).all()


# Orientation


TURNED = [
    *[(format, orientation) for format in ("JPEG", "TIFF") for orientation in range(1, 9)],
    *[(format, orientation) for format in ("PNG", "WEBP") for orientation in (1, 6)],
]
each_turned = pytest.mark.parametrize(("format", "orientation"), TURNED)


@each_turned
def test_turned_upright(format, orientation):
    data = with_exif_orientation(format, orientation)
    assert (fastpack.decode(data) == read_upright(data)).all()


@each_turned
def test_turned_then_transformed(tmp_path, format, orientation):
    data = with_exif_orientation(format, orientation)
    upright = read_upright(data)
    dataset = fastpack.open(packed(tmp_path, [data], "x.tfrecord"))
    assert (
        dataset.with_options(transform=CenterCrop((13, 9)))[0]["image"] == center(upright, 13, 9)
    ).all()
    assert (
        difference(
            dataset.with_options(transform=Resize((30, 12)))[0]["image"], resized(upright, 30, 12)
        )
        <= 1
    )
    # A random part of the upright image, resampled. The same image in another file gives the same
    # part.
    reference = fastpack.open(
        packed(tmp_path, [save(upright, "PNG")], "y.tfrecord"), transform=RandomResizedCrop(8)
    )
    assert (
        difference(
            dataset.with_options(transform=RandomResizedCrop(8))[0]["image"], reference[0]["image"]
        )
        <= 0
    )


@pytest.mark.parametrize(
    ("format", "options"), [("JPEG", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})]
)
def test_left_as_stored_when_asked(tmp_path, format, options):
    data = with_exif_orientation(format, 3, **options)
    stored = read_pillow(data) if format == "JPEG" else photo(HEIGHT, WIDTH)
    assert (fastpack.decode(data, orient=False) == stored).all()
    dataset = fastpack.open(
        packed(tmp_path, [data], "x.tfrecord"), orient=False, transform=CenterCrop((13, 9))
    )
    assert (dataset[0]["image"] == center(stored, 13, 9)).all()


# Images that are not decoded


def flat_jpeg(bits):
    """An extended sequential JPEG of one flat gray block."""
    tables = segment(0xDB, bytes([0]) + bytes([16]) * 64)
    codes = b"".join(segment(0xC4, bytes([kind << 4, 1, *bytes(15), 0])) for kind in (0, 1))
    frame_header = segment(0xC1, struct.pack(">BHHBBBB", bits, 8, 8, 1, 1, 0x11, 0))
    scan = segment(0xDA, bytes([1, 1, 0, 0, 63, 0])) + b"\x3f"
    return b"\xff\xd8" + tables + frame_header + codes + scan + b"\xff\xd9"


def test_twelve_bits_are_reported(tmp_path):
    assert (fastpack.decode(flat_jpeg(8)) == 128).all()  # the file is sound otherwise
    with pytest.raises(UnsupportedImageError, match="12; convert the image to 8-bit"):
        fastpack.decode(flat_jpeg(12))
    with pytest.raises(UnsupportedImageError, match=r"12; .*x\.tfrecord, record 0"):
        fastpack.open(packed(tmp_path, [flat_jpeg(12)], "x.tfrecord"))[0]


def test_lossless_jpeg_is_reported():
    at = PLAIN.index(b"\xff\xc0") + 1
    with pytest.raises(UnsupportedImageError, match="SOF type"):
        fastpack.decode(PLAIN[:at] + b"\xc3" + PLAIN[at + 1 :])


@pytest.mark.parametrize("junk", [b"\0", b"\n", b"\xff", b"HTTP/1.1 200 OK\r\n\r\n"], ids=repr)
@pytest.mark.parametrize("kind", ["jpeg", "png RGB", "webp lossy", "bmp RGB", "tiff RGB", "gif"])
def test_junk_before_the_signature_is_no_image(kind, junk):
    """A file is known by its first bytes; Pillow says the same."""
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(io.BytesIO(junk + KINDS[kind]))
    with pytest.raises(UnsupportedImageError, match="header cannot be read"):
        fastpack.decode(junk + KINDS[kind])


def test_two_beginnings_are_corrupt():
    with pytest.raises(CorruptImageError, match="two SOI"):
        fastpack.decode(b"\xff\xd8" + PLAIN)
