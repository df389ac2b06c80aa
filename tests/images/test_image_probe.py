"""Probed headers equal Pillow's for each kind of file; truncated files have no wrong size."""

import io
import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import fastpack
from fastpack._native.image import probe_many
from fastpack.core.dtypes import IMAGE_INFO
from fastpack.core.ragged import Ragged
from fastpack.errors import CorruptImageError, UnsupportedImageError
from fastpack.images.headers import FORMATS, probe_blobs
from tests.support.images import (
    cmyk_jpeg,
    exif_segment,
    jpeg,
    photo,
    sampled_jpeg,
    save,
    to_pillow,
    with_orientation,
)

HEIGHT, WIDTH = 19, 37
NOT_AN_IMAGE = 8


def of_mode(mode):
    """An image of any of Pillow's modes."""
    if mode.startswith("I;16"):
        return Image.frombytes(mode, (WIDTH, HEIGHT), bytes(2 * WIDTH * HEIGHT))
    image = to_pillow(photo(HEIGHT, WIDTH))
    return Image.merge("LA", [image.convert("L")] * 2) if mode == "LA" else image.convert(mode)


def of_channels(channels, format, **options):
    return save(photo(HEIGHT, WIDTH, channels), format, **options)


def os2_bmp():
    """The oldest header: sizes of 16 bits."""
    pixels = bytes((3 * WIDTH + 3) // 4 * 4 * HEIGHT)
    return (
        b"BM" + struct.pack("<IIIIHHHH", 26 + len(pixels), 0, 26, 12, WIDTH, HEIGHT, 1, 24) + pixels
    )


def top_down_bmp():
    data = bytearray(of_channels(3, "BMP"))
    data[22:26] = struct.pack("<i", -HEIGHT)
    return bytes(data)


def animated(format):
    frames = [to_pillow(photo(HEIGHT, WIDTH, seed=seed)) for seed in range(3)]
    return save(frames[0], format, save_all=True, append_images=frames[1:])


# name -> (format, file, channels of the stored pixels or 0 where the header lacks them, bits)
KINDS = {
    "jpeg": ("jpeg", jpeg(HEIGHT, WIDTH), 3, 8),
    "jpeg progressive": ("jpeg", jpeg(HEIGHT, WIDTH, progressive=True), 3, 8),
    "jpeg gray": ("jpeg", jpeg(HEIGHT, WIDTH, channels=1), 1, 8),
    "jpeg cmyk": ("jpeg", cmyk_jpeg(HEIGHT, WIDTH), 4, 8),
    "jpeg with a thumbnail": (
        "jpeg",
        jpeg(HEIGHT, WIDTH, exif=exif_segment(1, "<")[4:] + jpeg(7, 9)),
        3,
        8,
    ),
    "png 1": ("png", save(of_mode("1"), "PNG"), 1, 1),
    "png L": ("png", save(of_mode("L"), "PNG"), 1, 8),
    "png LA": ("png", save(of_mode("LA"), "PNG"), 2, 8),
    "png P": ("png", save(of_mode("P"), "PNG"), 1, 8),
    "png RGB": ("png", save(of_mode("RGB"), "PNG"), 3, 8),
    "png RGBA": ("png", save(of_mode("RGBA"), "PNG"), 4, 8),
    "png I;16": ("png", save(of_mode("I;16"), "PNG"), 1, 16),
    "webp": ("webp", of_channels(3, "WEBP"), 3, 8),
    "webp alpha": ("webp", of_channels(4, "WEBP"), 4, 8),
    "webp lossless": ("webp", of_channels(3, "WEBP", lossless=True), 3, 8),
    "webp lossless alpha": ("webp", of_channels(4, "WEBP", lossless=True), 4, 8),
    "webp with exif": ("webp", of_channels(3, "WEBP", exif=exif_segment(1, "<")[4:]), 3, 8),
    "webp animated": ("webp", animated("WEBP"), 3, 8),
    "bmp 1": ("bmp", save(of_mode("1"), "BMP"), 1, 8),
    "bmp L": ("bmp", save(of_mode("L"), "BMP"), 1, 8),
    "bmp P": ("bmp", save(of_mode("P"), "BMP"), 1, 8),
    "bmp RGB": ("bmp", save(of_mode("RGB"), "BMP"), 3, 8),
    "bmp RGBA": ("bmp", save(of_mode("RGBA"), "BMP"), 3, 8),
    "bmp os/2": ("bmp", os2_bmp(), 3, 8),
    "bmp top-down": ("bmp", top_down_bmp(), 3, 8),
    "tiff L": ("tiff", of_channels(1, "TIFF"), 1, 8),
    "tiff RGB": ("tiff", of_channels(3, "TIFF"), 3, 8),
    "tiff RGBA": ("tiff", of_channels(4, "TIFF"), 4, 8),
    "tiff lzw": ("tiff", of_channels(3, "TIFF", compression="tiff_lzw"), 3, 8),
    "tiff big-endian": ("tiff", save(of_mode("I;16B"), "TIFF"), 1, 16),
    "gif": ("gif", save(of_mode("P"), "GIF"), 1, 8),
    "gif animated": ("gif", animated("GIF"), 1, 8),
}
each_kind = pytest.mark.parametrize(
    ("format", "data", "channels", "bits"), KINDS.values(), ids=KINDS
)


def probe_one(data):
    infos, statuses = probe_blobs(Ragged.of_bytes([data]))
    return infos[0], int(statuses[0])


def size_of(info):
    return int(info["width"]), int(info["height"])


@each_kind
def test_header_is_as_pillow_has_it(format, data, channels, bits):
    info = fastpack.probe(data)
    with Image.open(io.BytesIO(data)) as image:
        assert image.format.lower() == format
        assert size_of(info) == image.size == (WIDTH, HEIGHT)
        assert bool(info["progressive"]) == bool(image.info.get("progressive"))
    assert (FORMATS[info["format"]], info["components"], info["bits"], info["orientation"]) == (
        format,
        channels,
        bits,
        1,
    )


@each_kind
def test_never_a_wrong_size_wherever_the_file_ends(format, data, channels, bits):
    infos, statuses = probe_blobs(Ragged.of_bytes(data[:end] for end in range(len(data) + 1)))
    sizes = {size_of(info) for info in infos[statuses == 0]}
    assert sizes == {(WIDTH, HEIGHT)}
    assert {size_of(info) for info in infos[statuses != 0]} == {(0, 0)}
    assert statuses[-1] == 0
    assert statuses[0] == NOT_AN_IMAGE


@each_kind
def test_bytes_after_the_end_do_not_matter(format, data, channels, bits):
    ends = np.arange(len(data) + 1)
    infos, statuses = np.zeros(len(ends), IMAGE_INFO), np.zeros(len(ends), np.int32)
    probe_many(
        np.frombuffer(data, np.uint8), np.zeros_like(ends), ends, infos, statuses
    )  # each is followed by the rest of the file
    alone_infos, alone_statuses = probe_blobs(
        Ragged.of_bytes(data[:end] for end in ends)
    )  # each is followed by another file
    assert (infos == alone_infos).all()
    assert (statuses == alone_statuses).all()


@pytest.mark.parametrize(
    ("factors", "subsampling"),
    [
        (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444, 0x11),
        (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422, 0x21),
        (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420, 0x22),
        (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411, 0x41),
        (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440, 0x12),
    ],
)
def test_subsampling(factors, subsampling):
    assert fastpack.probe(sampled_jpeg(HEIGHT, WIDTH, factors))["subsampling"] == subsampling


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(10))
def test_orientation(orientation, order):
    info = fastpack.probe(with_orientation(jpeg(HEIGHT, WIDTH), orientation, order))
    assert info["orientation"] == (
        orientation if 1 <= orientation <= 8 else 1
    )  # 0 and 9 are not valid
    assert size_of(info) == (WIDTH, HEIGHT)  # as stored


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_as_pillow_writes_it(orientation):
    exif = Image.Exif()
    exif[0x010F] = "a maker"  # tags before and after, as cameras have them
    exif[0x0112] = orientation
    exif[0x0131] = "a program"
    assert fastpack.probe(jpeg(HEIGHT, WIDTH, exif=exif))["orientation"] == orientation
    assert fastpack.probe(of_channels(3, "TIFF", exif=exif))["orientation"] == orientation


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_damaged_exif_is_no_orientation(body, tail):
    segment = b"Exif\0\0" + body + tail
    data = jpeg(HEIGHT, WIDTH)
    info, status = probe_one(
        data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]
    )
    assert (status, size_of(info)) == (0, (WIDTH, HEIGHT))
    assert 1 <= info["orientation"] <= 8


@given(
    st.sampled_from([*KINDS.values()]),
    st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=6),
    st.integers(0, 4000),
)
def test_damaged_headers_give_a_size_or_a_status(kind, changes, end):
    data = bytearray(kind[1][: max(end, 1)])
    for at, byte in changes:
        data[at % min(64, len(data))] = byte
    info, status = probe_one(bytes(data))
    assert (status == 0) == (min(size_of(info)) > 0)


@given(st.sampled_from([data[:12] for _, data, *_ in KINDS.values()]), st.binary(max_size=200))
def test_garbage_after_a_signature(signature, tail):
    info, status = probe_one(signature + tail)
    assert (status == 0) == (min(size_of(info)) > 0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"\xff\xd8",
        b"text, not an image",
        b"RIFF0000WAVE",
        b"BM, said the text of many words",
        bytes(99),
    ],
)
def test_no_image(data):
    assert probe_one(data)[1] == NOT_AN_IMAGE
    with pytest.raises(UnsupportedImageError, match="image"):
        fastpack.probe(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff\xda" + bytes(20),  # a scan before any frame
        b"\xff\xd8\xff\xd9",  # the end before any frame
        b"\xff\xd8\xff\xe0\x00\x01" + bytes(20),  # a segment shorter than its own length
        b"\xff\xd8\xff\xc0\x00\x0b\x08\x00\x00\x00\x10\x01\x01\x11\x00",  # no height
        b"\x89PNG\r\n\x1a\n" + bytes(40),
        b"GIF89a" + bytes(20),
        b"II*\0" + bytes(20),
    ],
)
def test_damaged_header(data):
    with pytest.raises(CorruptImageError):
        fastpack.probe(data)


def test_many_images_of_one_buffer():
    files = [
        jpeg(5, 6),
        b"no image",
        save(photo(7, 8), "PNG"),
        jpeg(9, 10)[:30],
        save(photo(11, 12), "BMP"),
    ]
    infos, statuses = probe_blobs(Ragged.of_bytes(files))
    assert [size_of(info) for info in infos] == [(6, 5), (0, 0), (8, 7), (0, 0), (12, 11)]
    assert (statuses == 0).tolist() == [True, False, True, False, True]


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 11), (11, 0), (-1, 2), (2, -1), (9, 2), (2**62, 2**62)]
)
def test_images_outside_the_data_are_a_mistake(offset, length):
    with pytest.raises(ValueError, match="outside"):
        probe_many(
            np.zeros(10, np.uint8),
            np.array([offset]),
            np.array([length]),
            np.zeros(1, IMAGE_INFO),
            np.zeros(1, np.int32),
        )


def test_results_have_room_for_all():
    data, one = np.zeros(10, np.uint8), np.zeros(1, np.int64)
    with pytest.raises(ValueError, match="as long as"):
        probe_many(data, one, one, np.zeros(2, IMAGE_INFO), np.zeros(2, np.int32))
