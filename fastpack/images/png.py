"""PNG: samples by the native kernel, colors by `raster`."""

import struct
from collections.abc import Iterator

import numpy as np

from fastpack._native.raster import png_samples
from fastpack.errors import Location, Status, raise_status
from fastpack.images.raster import Raster, RasterCodec

_HAS_ALPHA = (4, 6)
_PALETTE_TYPE = 3


def read_png(data: bytes, format: str) -> Raster:
    """Return the samples of a PNG file."""
    failure, samples = png_samples(np.frombuffer(data, np.uint8))
    if failure is not None or samples is None:
        status, message = failure or (Status.CORRUPT_IMAGE, "the PNG has no samples")
        raise_status(status, message, Location())
    chunks = dict(_chunks_before_samples(data))
    bits, color_type = data[24], data[25]
    if color_type == _PALETTE_TYPE:
        palette = _palette(chunks.get(b"PLTE", b""), chunks.get(b"tRNS", b""))
        return Raster(samples, "PALETTE", palette=palette)
    clear, top = chunks.get(b"tRNS", b""), 2**bits - 1
    levels: tuple[int, ...] = ()
    if len(clear) == 2 * samples.shape[2]:
        # An image of fewer bits uses the low ones (PNG 3rd edition, 11.3.1.1).
        levels = tuple(level & top for level in struct.unpack(f">{samples.shape[2]}H", clear))
    return Raster(
        samples,
        "GRAY" if color_type in (0, 4) else "RGB",
        top=top,
        alpha="straight" if color_type in _HAS_ALPHA else "none",
        clear=levels,
    )


def _chunks_before_samples(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks before the first IDAT; palette and transparency are among them."""
    at = 8
    while at + 12 <= len(data) and (name := data[at + 4 : at + 8]) != b"IDAT":
        (length,) = struct.unpack_from(">I", data, at)
        yield name, data[at + 8 : at + 8 + length]
        at += length + 12


def _palette(colors: bytes, alphas: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The palette (n, 3), or (n, 4) with transparency; colors without a tRNS entry are opaque."""
    palette = np.frombuffer(colors[: len(colors) // 3 * 3], np.uint8).reshape(-1, 3)
    if not alphas:
        return palette
    column = np.full((len(palette), 1), 255, np.uint8)
    known = np.frombuffer(alphas, np.uint8)[: len(palette)]
    column[: len(known), 0] = known
    return np.concatenate([palette, column], axis=1)


PNG_CODEC = RasterCodec(("png",), read_png)
