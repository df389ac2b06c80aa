"""The dirt of real sets: every kind of file that one meets there, as Pillow decodes it, or an error that says what it is."""

import base64
import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from images import (
    cmyk_jpeg,
    jpeg,
    photo,
    read_pillow,
    read_upright,
    resized,
    save,
    to_pillow,
    with_orientation,
    ycck_jpeg,
)
from PIL import Image
from test_engine_exact import FACTORS, encoded
from test_engine_reading import packed

import fastpack
from fastpack import CenterCrop, RandomResizedCrop, Resize
from fastpack.errors import CorruptImageError, FastpackWarning, UnsupportedImageError

HEIGHT, WIDTH = 21, 37

# cjpeg -arithmetic, and -progressive besides, of a 33 x 21 image (base 85).
ARITHMETIC = base64.b85decode(
    b"|JeWF01!$>Nk#wx0RR9200961|JwjV01XKW3knDg3knMk4h;_zAQcl55)&sJ9v2`kDKRiEDJ?8BI!Zn>HbyrrEkIX6ModmpQ&KWMT47pHU`kO^"
    b"PygEhLjevB4iga*CKVMXPc<zyPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPf!2J01*fP6#yXv0U`hb5di}c"
    b"0sqVZ3IGrg1pyEd1^?Or3<CiG0ucid06zf#0H6rQowknQKr-X)k&>Fu^^e~MEAJoqO*{$`TH1G?y%tc0Wm#KB{k+UR8G)D+)e~LqGbG=Z4l@UV"
    b"o;UTg7(AH@1*jO$Vs3=zVD$<2{75gG5a1AXPyo#_H4v-ETVm#8je9sEvWS$RwnZO|;*6YeNggt&h+o>JnEnmGQ)cVs+1KW%OE2C!p;p`5Lt~m~"
    b"1)|G`WRK|xS=lSCccVAXU`%hYT<kOp$$9DkGre%t1`!DXh-PQ#&yo$31im!0#BE_Nid4L^?El#"
)
ARITHMETIC_PROGRESSIVE = base64.b85decode(
    b"|JeWF01!$>Nk#wx0RR9200961|JwjV01XKW3knDg3knMk4h;_zAQcl55)&sJ9v2`kDKRiEDJ?8BI!Zn>HbyrrEkIX6ModmpQ&KWMT47pHU`kO^"
    b"PygEhLjevB4iga*CKVMXPc<zyPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPf!2K01*fP6#yXv0U`hb5di}c"
    b"0sqVZ1^^HN5dYc$3<CiG0uTcb0006106++@w<d>r&F9?(;$?sX$o?^3*&ix<dAB-kcTE4x00a;P|Jncu0RaF31p*R=>rfdNv<}#x+%v?zlsy9f"
    b"%m4%t1^?Or2mu2D0Y3p0DaV>{h)gQXSs?$+00a>Q|Jncu0RjO5KLI9(*xmmCmGlOw+HrBf;lCcA9SKn>2EpGqbJ*JA$p=9H%m4%s1^?Or2mt{A"
    b"20sG(sFU-6|I7dc5C#9*00;pA00BQCHm-*?CD7`I77XJ1l76=%4<P^A01N{G00IC50000Gl2rH)!2iqu1Q7-Q+5iXv0|5a)5KT>5eLKTF@jU;`"
    b"00a>Q|Jncu0RjO5KM=Oe*W=pTMk$R$_~<Rq3Cw#6vaN)Y*Rw%V7mA0~BdXE0VgJkk1P}%P+5iXv0RRC%5Z=AT`T8;jyRpGC*BvNqCkyS%pIb<2"
    b"G4Hjpw_4Y3_|vClK>yh"
)


def as_mode(mode):
    """The photo in one of Pillow's modes."""
    picture = to_pillow(photo(HEIGHT, WIDTH))
    return Image.merge("LA", [picture.convert("L")] * 2) if mode == "LA" else picture.convert(mode)


def with_few_colors(count, format="PNG", **options):
    return save(as_mode("RGB").quantize(count), format, **options)


def deep_png(channels):
    levels = (
        np.random.default_rng(channels)
        .integers(0, 2**16, (HEIGHT, WIDTH, channels))
        .astype(np.uint16)
    )
    return cv2.imencode(".png", levels)[1].tobytes()


def animated(format, **options):
    frames = [to_pillow(photo(HEIGHT, WIDTH, seed=seed)) for seed in range(3)]
    return save(frames[0], format, save_all=True, append_images=frames[1:], **options)


def with_exif_orientation(format, orientation, mode="RGB", **options):
    """As Pillow writes it into files of that format."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return save(as_mode(mode), format, exif=exif, **options)


def interlaced_png():
    """Pillow writes none: Adam7's seven passes, each of unfiltered rows (RFC 2083, 2.6)."""
    pixels = photo(HEIGHT, WIDTH)
    passes = [
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ]
    rows = [
        b"\0" + row.tobytes() for y, x, down, across in passes for row in pixels[y::down, x::across]
    ]
    return png(WIDTH, HEIGHT, b"".join(rows), interlaced=1)


def png(width, height, rows, *, interlaced=0):
    def chunk(name, body):
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, interlaced)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def top_down_bmp():
    data = bytearray(save(photo(HEIGHT, WIDTH)[::-1], "BMP"))
    data[22:26] = struct.pack("<i", -HEIGHT)
    return bytes(data)


def segment(marker, body):
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def with_segments(data, *segments):
    """Right after a JPEG's first marker."""
    return data[:2] + b"".join(segments) + data[2:]


PLAIN = jpeg(HEIGHT, WIDTH)
LARGE_ICC = [
    segment(0xE2, b"ICC_PROFILE\0" + bytes([number, 16]) + bytes(65519)) for number in range(1, 17)
]

JPEGS = {
    "jpeg": PLAIN,
    "jpeg gray": jpeg(HEIGHT, WIDTH, channels=1),
    "jpeg gray progressive": jpeg(HEIGHT, WIDTH, channels=1, progressive=True),
    "jpeg rgb": jpeg(HEIGHT, WIDTH, keep_rgb=True),
    "jpeg cmyk": cmyk_jpeg(HEIGHT, WIDTH),
    "jpeg cmyk progressive": cmyk_jpeg(HEIGHT, WIDTH, progressive=True),
    "jpeg ycck": ycck_jpeg(HEIGHT, WIDTH),
    "jpeg progressive": jpeg(HEIGHT, WIDTH, progressive=True),
    "jpeg restart markers": jpeg(HEIGHT, WIDTH, restart_marker_blocks=1),
    "jpeg arithmetic": ARITHMETIC,
    "jpeg arithmetic progressive": ARITHMETIC_PROGRESSIVE,
    "jpeg large icc": with_segments(PLAIN, *LARGE_ICC),
    "jpeg 64 KB of exif": with_segments(PLAIN, segment(0xE1, b"Exif\0\0" + bytes(65527))),
    "jpeg 5000 comments": with_segments(PLAIN, segment(0xFE, b"!") * 5000),
    "jpeg exif behind all else": with_segments(with_orientation(PLAIN, 8), *LARGE_ICC),
    "jpeg junk after the end": PLAIN + b"junk \xff\xd8\xff\xda" * 500,
}
OTHERS = {
    **{f"png {mode}": save(as_mode(mode), "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA")},
    **{f"png palette of {bits} bits": with_few_colors(2**bits, bits=bits) for bits in (1, 2, 4)},
    "png transparent palette": with_few_colors(16, transparency=3),
    "png interlaced": interlaced_png(),
    "png junk after the end": save(as_mode("RGB"), "PNG") + b"junk" * 500,
    "webp lossy": save(as_mode("RGB"), "WEBP", quality=80),
    "webp lossless": save(as_mode("RGB"), "WEBP", lossless=True),
    "webp alpha": save(photo(HEIGHT, WIDTH, 4), "WEBP", lossless=True),
    "webp lossy alpha": save(photo(HEIGHT, WIDTH, 4), "WEBP", quality=80),
    "webp first frame": animated("WEBP", lossless=True),
    **{f"bmp {mode}": save(as_mode(mode), "BMP") for mode in ("1", "L", "P", "RGB", "RGBA")},
    "bmp top-down": top_down_bmp(),
    **{
        f"tiff {mode}": save(as_mode(mode), "TIFF")
        for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK")
    },
    **{
        f"tiff {how}": save(as_mode("RGB"), "TIFF", compression=how)
        for how in ("tiff_lzw", "tiff_adobe_deflate", "packbits")
    },
    "gif": save(as_mode("P"), "GIF"),
    "gif first frame": animated("GIF"),
    "gif transparent": with_few_colors(16, "GIF", transparency=0),
}
KINDS = JPEGS | OTHERS
each_kind = pytest.mark.parametrize("kind", KINDS)
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
    assert np.abs(gray[..., 0] - luma).mean() < 2  # a JPEG's own luma is not clipped as colours are


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
    fastpack.write_tfrecord(
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
    # A random part of the upright image, resampled: of the same upright image in another file it is the same part.
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


# What is not decoded


def flat_jpeg(bits):
    """An extended sequential JPEG of one flat gray block."""
    tables = segment(0xDB, bytes([0]) + bytes([16]) * 64)
    codes = b"".join(segment(0xC4, bytes([kind << 4, 1, *bytes(15), 0])) for kind in (0, 1))
    frame_header = segment(0xC1, struct.pack(">BHHBBBB", bits, 8, 8, 1, 1, 0x11, 0))
    scan = segment(0xDA, bytes([1, 1, 0, 0, 63, 0])) + b"\x3f"
    return b"\xff\xd8" + tables + frame_header + codes + scan + b"\xff\xd9"


def test_twelve_bits_are_told(tmp_path):
    assert (fastpack.decode(flat_jpeg(8)) == 128).all()  # it is a sound file but for that
    with pytest.raises(UnsupportedImageError, match="12; convert the image to 8-bit"):
        fastpack.decode(flat_jpeg(12))
    with pytest.raises(UnsupportedImageError, match=r"12; .*x\.tfrecord, record 0"):
        fastpack.open(packed(tmp_path, [flat_jpeg(12)], "x.tfrecord"))[0]


def test_lossless_jpeg_is_told():
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
