"""JPEGs of each kind that decoders distinguish."""

import cv2

from tests.support.images import (
    cmyk_jpeg,
    factored_jpeg,
    jpeg,
    photo,
    sampled_jpeg,
    save,
    to_pillow,
    with_spectrum,
    without_segments,
)
from tests.support.paths import JPEGS

LARGE = {"height": 200, "width": 300, "quality": 95}


def with_precision(data: bytes, bits: int) -> bytes:
    at = data.index(b"\xff\xc0") + 4
    return data[:at] + bytes([bits]) + data[at + 1 :]


KINDS = [
    ("ours", jpeg(**LARGE)),
    ("ours", jpeg(**LARGE, subsampling=2)),
    ("ours", jpeg(**LARGE, channels=1, restart_marker_blocks=3)),
    ("progressive", jpeg(**LARGE, progressive=True)),
    ("progressive", cmyk_jpeg(40, 40, progressive=True)),
    ("arithmetic", (JPEGS / "arithmetic.jpg").read_bytes()),
    ("several scans", (JPEGS / "several-scans.jpg").read_bytes()),
    ("CMYK or RGB", cmyk_jpeg(200, 300)),
    ("CMYK or RGB", save(to_pillow(photo(200, 300)), "JPEG", keep_rgb=True)),
    ("ours", sampled_jpeg(200, 300, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411)),
    ("ours", factored_jpeg(200, 300, ((2, 2),), quality=95)),
    ("subsampling", factored_jpeg(200, 300, ((2, 2), (2, 1), (1, 1)))),
    ("small", jpeg(20, 30)),
    ("not 8 bits", with_precision(jpeg(**LARGE), 12)),
    ("ours", with_spectrum(jpeg(**LARGE), 5)),
    ("unusual headers", without_segments(jpeg(**LARGE), 0xC4)),
    ("unreadable", jpeg(**LARGE)[:300]),
    ("unreadable", b""),
]
