"""Stripped metadata: coded data, pixels and orientation are unchanged; the rest is gone."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

import fastpack
from fastpack import decode, probe
from fastpack.errors import CorruptImageError
from fastpack.images.headers import FORMATS
from fastpack.packing.metadata import strip_metadata
from tests.support.images import (
    cmyk_jpeg,
    jpeg,
    photo,
    read_pillow,
    read_upright,
    save,
    to_pillow,
    ycck_jpeg,
)

SECRET = b"Somewhere 12, Sometown"


def strip(data):
    info = probe(data)
    return strip_metadata(data, FORMATS[info["format"]], int(info["orientation"]))


def segment(marker, body):
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def dressed(data, orientation=1):
    """A JPEG with everything that cameras and programs add; a thumbnail in JFIF, too."""
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    exif[0x0112] = orientation
    added = (
        segment(0xE1, exif.tobytes())
        + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + SECRET)
        + segment(0xE2, b"ICC_PROFILE\0" + SECRET)
    )
    added += (
        segment(0xED, b"Photoshop 3.0\0" + SECRET)
        + segment(0xFE, SECRET)
        + b"\xff\xff\xff"
        + segment(0xEF, SECRET)[1:]
    )
    at = 2
    if data[2:4] == b"\xff\xe0":
        end = 4 + struct.unpack_from(">H", data, 4)[0]
        data = (
            data[:2]
            + segment(0xE0, data[6:18] + b"\x01\x01abc")
            + segment(0xE0, b"JFXX\0\x10" + SECRET)
            + data[end:]
        )
        at = 2 + 4 + 14 + 3
    return data[:at] + added + data[at:] + SECRET


JPEGS = {
    "baseline": jpeg(),
    "progressive": jpeg(progressive=True),
    "restarts": jpeg(restart_marker_blocks=2),
    "gray": jpeg(channels=1),
    "4:4:4": jpeg(subsampling=0),
    "cmyk": cmyk_jpeg(20, 30),
    "ycck": ycck_jpeg(20, 30),
}


def scans(data):
    """From the first SOS to the last byte of EOI."""
    return data[data.index(b"\xff\xda") : data.rindex(b"\xff\xd9") + 2]


@pytest.mark.parametrize("name", JPEGS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg(name, orientation):
    plain = JPEGS[name]
    data = dressed(plain, orientation)
    bare = strip(data)
    assert SECRET not in bare
    assert scans(bare) == scans(plain)
    assert probe(bare)["orientation"] == probe(data)["orientation"] == orientation
    mode = "CMYK" if name in ("cmyk", "ycck") else "RGB"
    assert np.array_equal(read_pillow(bare, mode), read_pillow(data, mode))
    assert np.array_equal(read_upright(bare), read_upright(data))
    assert np.array_equal(decode(bare), decode(data))
    assert len(bare) <= len(plain) + (36 if orientation > 1 else 0)
    assert strip(bare) == bare


def test_what_stands_between_scans_goes_too():
    data = jpeg(progressive=True)
    second = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    between = data.rindex(b"\xff\xc4", 0, second)
    assert strip(data[:between] + segment(0xFE, SECRET) + data[between:]) == strip(data)


@pytest.mark.parametrize(
    "data", [b"\xff\xd8\xff\xe0\0", b"\xff\xd8\xff", b"\xff\xd8\xff\xfe\0\x04hixx"]
)
def test_a_jpeg_that_cannot_be_followed(data):
    with pytest.raises(CorruptImageError):
        strip_metadata(data, "jpeg", 1)


def png(mode, orientation):
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    exif[0x0112] = orientation
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", SECRET.decode())
    text.add_itxt("XML:com.adobe.xmp", SECRET.decode())
    channels = {"RGB": 3, "RGBA": 4, "L": 1, "P": 3}[mode]
    image = to_pillow(photo(20, 30, channels))
    image = image.quantize(16) if mode == "P" else image
    return save(
        image,
        "PNG",
        exif=exif,
        pnginfo=text,
        dpi=(300, 300),
        **({"transparency": 3} if mode == "P" else {}),
    )


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
@pytest.mark.parametrize("orientation", [1, 6, 8])
def test_png(mode, orientation):
    data = png(mode, orientation)
    bare = strip(data + SECRET)
    assert SECRET in data
    assert SECRET not in bare
    assert b"pHYs" not in bare
    assert probe(bare)["orientation"] == orientation
    assert np.array_equal(read_pillow(bare, "RGBA"), read_pillow(data, "RGBA"))  # transparency, too
    assert np.array_equal(decode(bare), decode(data))
    assert strip(bare) == bare
    at, names = 8, []
    while at < len(bare):
        size, name = struct.unpack_from(">I4s", bare, at)
        assert (
            zlib.crc32(bare[at + 4 : at + 8 + size])
            == struct.unpack_from(">I", bare, at + 8 + size)[0]
        )
        names.append(name)
        at += 12 + size
    assert set(names) <= {
        b"IHDR",
        b"PLTE",
        b"tRNS",
        b"IDAT",
        b"IEND",
        *([b"eXIf"] if orientation > 1 else []),
    }


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("orientation", [1, 6])
def test_webp(lossless, channels, orientation):
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    exif[0x0112] = orientation
    data = save(
        to_pillow(photo(20, 31, channels)),
        "WEBP",
        lossless=lossless,
        exif=exif,
        xmp=SECRET,
        icc_profile=SECRET,
    )
    bare = strip(data + SECRET)
    assert data.count(SECRET) == 3
    assert SECRET not in bare
    assert probe(bare)["orientation"] == orientation
    assert np.array_equal(read_pillow(bare, "RGBA"), read_pillow(data, "RGBA"))
    with Image.open(io.BytesIO(bare)) as image:
        assert image.getexif().get(0x0112, 1) == orientation
        assert not image.info.get("icc_profile")
    assert strip(bare) == bare


@pytest.mark.parametrize(
    "data", [save(photo(5, 6), "BMP"), save(photo(5, 6), "TIFF")], ids=["bmp", "tiff"]
)
def test_other_formats_stay(data):
    assert strip(data) == data


@given(
    st.sampled_from([*JPEGS.values(), png("P", 6), png("RGBA", 1), save(photo(9, 8), "WEBP")]),
    st.data(),
)
def test_damage_is_an_error_or_goes_through(data, draw):
    """Nothing but CorruptImageError comes out, and it comes to an end."""
    damaged = bytearray(data[: draw.draw(st.integers(12, len(data)))])
    for _ in range(draw.draw(st.integers(0, 4))):
        damaged[draw.draw(st.integers(0, len(damaged) - 1))] = draw.draw(st.integers(0, 255))
    for format in ("jpeg", "png", "webp"):
        with contextlib.suppress(CorruptImageError):
            strip_metadata(bytes(damaged), format, 6)


def test_stripped_packs(tmp_path):
    files = {"a.jpg": dressed(jpeg(), 6), "b.png": png("RGB", 1), "c.bmp": save(photo(5, 6), "BMP")}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    for output in ("x.tfrecord", "x.h5"):
        fastpack.pack(tmp_path, tmp_path / output, fastpack.PackOptions(metadata="strip"))
        assert SECRET not in (tmp_path / output).read_bytes()
        assert fastpack.verify(tmp_path / output, decode=True).is_sound
        for sample in fastpack.open(tmp_path / output):
            assert np.array_equal(sample["image"], decode(files[sample["key"]]))
