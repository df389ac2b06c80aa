"""Compares fastpack's own decoder with libjpeg-turbo."""

import contextlib
import itertools
import math
import struct

import cv2
import numpy as np

from fastpack._native.decode import use_sequential
from tests.support.decode_jobs import batch, run_all, view_of

COLORS = ["RGB", "BGR", "GRAY"]
# Of each component, across and down: all that fit in an MCU of ten blocks, with equal chroma.
ANY_FACTORS = [
    (luma, chroma, chroma)
    for luma in itertools.product(range(1, 5), repeat=2)
    for chroma in itertools.product(range(1, 5), repeat=2)
    if luma[0] % chroma[0] == luma[1] % chroma[1] == 0
    and math.prod(luma) + 2 * math.prod(chroma) <= 10
]
ANY_FACTORS += [(factors,) for factors in itertools.product(range(1, 5), repeat=2)]


def encoded(pixels, factors, quality, restart_interval=0, *, optimize=False):
    flags = {
        cv2.IMWRITE_JPEG_QUALITY: quality,
        cv2.IMWRITE_JPEG_RST_INTERVAL: restart_interval,
        cv2.IMWRITE_JPEG_OPTIMIZE: int(optimize),
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR: factors,
    }
    return cv2.imencode(".jpg", pixels, [number for flag in flags.items() for number in flag])[
        1
    ].tobytes()


@contextlib.contextmanager
def using_sequential(use):
    use_sequential(use)
    try:
        yield
    finally:
        use_sequential("always")


def libjpeg_alone():
    return using_sequential("never")


def decode(data, view, color="RGB", **options):
    """Status (None for success), pixels, and whether the decoder of our own made them."""
    out = np.full((view["height"][0], view["width"][0], 1 if color == "GRAY" else 3), 99, np.uint8)
    job = batch([data], view, [out], color=color, **options)
    failures = run_all(job)
    return failures[0][0] if failures else None, out, job.num_sequential() == 1


def verdicts(data, view, color="RGB", **options):
    """Asserts that both decoders agree; returns the status and whether ours decoded all of it."""
    status, pixels, is_own = decode(data, view, color, **options)
    with libjpeg_alone():
        expected_status, expected, is_own_again = decode(data, view, color, **options)
    assert status == expected_status
    assert status is not None or (pixels == expected).all()
    assert not is_own_again
    return status, is_own


def size_of(data):
    return struct.unpack_from(">HH", data, start_of_frame(data) + 5)[::-1]


def segment(data, code):
    """Finds the first marker of this code; skips segments before it."""
    at = 2
    while data[at + 1] != code:
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at


def start_of_frame(data):
    return segment(data, 0xC0)


def start_of_data(data):
    at = segment(data, 0xDA)
    return at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def whole(data):
    return view_of(*size_of(data))
