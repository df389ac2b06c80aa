"""Crops of JPEGs with every subsampling, and the kernel with and without vectors."""

import contextlib

import cv2
from hypothesis import strategies as st

from fastpack._native.decode import allow_vectors

FACTORS = {
    name: getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{name}")
    for name in ("444", "422", "440", "420", "411")
}
SIZES = st.integers(1, 200)


def encoded(pixels, factors, quality, restart_interval, progressive):
    flags = {
        cv2.IMWRITE_JPEG_QUALITY: quality,
        cv2.IMWRITE_JPEG_RST_INTERVAL: restart_interval,
        cv2.IMWRITE_JPEG_PROGRESSIVE: int(progressive),
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR: factors,
    }
    return cv2.imencode(".jpg", pixels, [number for flag in flags.items() for number in flag])[
        1
    ].tobytes()


@st.composite
def boxes(draw, width, height):
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return x, y, draw(st.integers(1, width - x)), draw(st.integers(1, height - y))


@contextlib.contextmanager
def plain_paths(bits=0):
    """Vectors have that many bits at most."""
    allow_vectors(bits)
    try:
        yield
    finally:
        allow_vectors(512)
