"""Images of every kind that real sets contain."""

import base64
import struct
import zlib

import pytest
from PIL import Image

from tests.support.images import (
    cmyk_jpeg,
    jpeg,
    photo,
    save,
    to_pillow,
    with_orientation,
    ycck_jpeg,
)

HEIGHT, WIDTH = 21, 37
# cjpeg -arithmetic, and -progressive besides, of a 33 x 21 image (base 85).
ARITHMETIC = base64.b85decode(
    b"|JeWF01!$>Nk#wx0RR9200961|JwjV01XKW3knDg3knMk4h;_zAQcl55)&sJ9v2`kDKRiEDJ?8BI!Zn>HbyrrEkIX6"
    b"ModmpQ&KWMT47pHU`kO^PygEhLjevB4iga*CKVMXPc<zyPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%z"
    b"Pft%zPft%zPft%zPf!2J01*fP6#yXv0U`hb5di}c0sqVZ3IGrg1pyEd1^?Or3<CiG0ucid06zf#0H6rQowknQKr-X)"
    b"k&>Fu^^e~MEAJoqO*{$`TH1G?y%tc0Wm#KB{k+UR8G)D+)e~LqGbG=Z4l@UVo;UTg7(AH@1*jO$Vs3=zVD$<2{75gG"
    b"5a1AXPyo#_H4v-ETVm#8je9sEvWS$RwnZO|;*6YeNggt&h+o>JnEnmGQ)cVs+1KW%OE2C!p;p`5Lt~m~1)|G`WRK|x"
    b"S=lSCccVAXU`%hYT<kOp$$9DkGre%t1`!DXh-PQ#&yo$31im!0#BE_Nid4L^?El#"
)
ARITHMETIC_PROGRESSIVE = base64.b85decode(
    b"|JeWF01!$>Nk#wx0RR9200961|JwjV01XKW3knDg3knMk4h;_zAQcl55)&sJ9v2`kDKRiEDJ?8BI!Zn>HbyrrEkIX6"
    b"ModmpQ&KWMT47pHU`kO^PygEhLjevB4iga*CKVMXPc<zyPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%z"
    b"Pft%zPft%zPft%zPf!2K01*fP6#yXv0U`hb5di}c0sqVZ1^^HN5dYc$3<CiG0uTcb0006106++@w<d>r&F9?(;$?sX"
    b"$o?^3*&ix<dAB-kcTE4x00a;P|Jncu0RaF31p*R=>rfdNv<}#x+%v?zlsy9f%m4%t1^?Or2mu2D0Y3p0DaV>{h)gQX"
    b"Ss?$+00a>Q|Jncu0RjO5KLI9(*xmmCmGlOw+HrBf;lCcA9SKn>2EpGqbJ*JA$p=9H%m4%s1^?Or2mt{A20sG(sFU-6"
    b"|I7dc5C#9*00;pA00BQCHm-*?CD7`I77XJ1l76=%4<P^A01N{G00IC50000Gl2rH)!2iqu1Q7-Q+5iXv0|5a)5KT>5"
    b"eLKTF@jU;`00a>Q|Jncu0RjO5KM=Oe*W=pTMk$R$_~<Rq3Cw#6vaN)Y*Rw%V7mA0~BdXE0VgJkk1P}%P+5iXv0RRC%"
    b"5Z=AT`T8;jyRpGC*BvNqCkyS%pIb<2G4Hjpw_4Y3_|vClK>yh"
)


def as_mode(mode):
    """The photo in one of Pillow's modes."""
    image = to_pillow(photo(HEIGHT, WIDTH))
    return Image.merge("LA", [image.convert("L")] * 2) if mode == "LA" else image.convert(mode)


def with_few_colors(count, format="PNG", **options):
    return save(as_mode("RGB").quantize(count), format, **options)


def animated(format, **options):
    frames = [to_pillow(photo(HEIGHT, WIDTH, seed=seed)) for seed in range(3)]
    return save(frames[0], format, save_all=True, append_images=frames[1:], **options)


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
    "jpeg exif after all else": with_segments(with_orientation(PLAIN, 8), *LARGE_ICC),
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
