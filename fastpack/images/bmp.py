"""BMP: palettes, runs, and bit masks of any width (Microsoft, "Bitmap Storage")."""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.raster import unpack_runs
from fastpack.errors import CorruptImageError, UnsupportedImageError
from fastpack.images.codec import CONVERT, RESTORE
from fastpack.images.raster import Raster, RasterCodec

_RGB, _RLE8, _RLE4, _BITFIELDS, _ALPHA_BITFIELDS = 0, 1, 2, 3, 6
_CORE_HEADER, _INFO_HEADER, _OS2_HEADER, _HEADER_WITH_ALPHA = 12, 40, 64, 56
# Masks of red, green and blue for files of 16 and 32 bits without masks.
_USUAL_MASKS = {16: (0x7C00, 0x03E0, 0x001F), 32: (0xFF0000, 0x00FF00, 0x0000FF)}


@dataclass(frozen=True)
class _Header:
    size: int
    first: int
    width: int
    height: int
    is_top_down: bool
    bits: int
    compression: int
    num_colors: int

    @classmethod
    def of(cls, data: bytes) -> "_Header":
        first, size = struct.unpack_from("<II", data, 10)
        if size == _CORE_HEADER:
            width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
            return cls(size, first, width, height, False, bits, _RGB, 0)
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
        (num_colors,) = struct.unpack_from("<I", data, 46)
        return cls(size, first, width, abs(height), height < 0, bits, compression, num_colors)


def read_bmp(data: bytes, format: str) -> Raster:
    """Return the samples of a BMP file."""
    try:
        header = _Header.of(data)
        _refuse_unknown(header)
        if header.bits <= 8:
            return Raster(_indices(data, header), "PALETTE", palette=_palette(data, header))
        return _colored(data, header)
    except struct.error as error:
        raise CorruptImageError(
            f"the header of the BMP is not valid ({error}); {RESTORE}"
        ) from error


def _refuse_unknown(header: _Header) -> None:
    known = {
        _RGB: (1, 2, 4, 8, 16, 24, 32),
        _RLE8: (8,),
        _RLE4: (4,),
        _BITFIELDS: (16, 32),
        _ALPHA_BITFIELDS: (16, 32),
    }
    is_odd_os2 = header.size == _OS2_HEADER and header.compression > _RLE4
    if header.bits not in known.get(header.compression, ()) or is_odd_os2:
        raise UnsupportedImageError(
            f"a BMP of {header.bits} bits a pixel and compression {header.compression} "
            f"is not supported; {CONVERT}"
        )


def _rows(data: bytes, header: _Header) -> npt.NDArray[np.uint8]:
    """The bytes of each row from the top, with the row's padding."""
    row_bytes = (header.width * header.bits + 31) // 32 * 4
    if len(data) - header.first < row_bytes * header.height:
        raise CorruptImageError(f"the BMP ends before its last row; {RESTORE}")
    rows = np.frombuffer(data, np.uint8, row_bytes * header.height, header.first).reshape(
        header.height, row_bytes
    )
    return rows if header.is_top_down else rows[::-1]


def _indices(data: bytes, header: _Header) -> npt.NDArray[np.uint8]:
    if header.compression in (_RLE8, _RLE4):
        out = np.zeros((header.height, header.width), np.uint8)
        if header.is_top_down or not unpack_runs(
            np.frombuffer(data, np.uint8)[header.first :], header.bits, out
        ):
            raise CorruptImageError(f"the runs of the BMP are damaged; {RESTORE}")
        return np.ascontiguousarray(out[::-1])[..., None]
    return unpack_indices(_rows(data, header), header.bits, header.width)[..., None]


def unpack_indices(rows: npt.NDArray[np.uint8], bits: int, width: int) -> npt.NDArray[np.uint8]:
    """Unpack numbers of 1, 2, 4 or 8 bits, highest bits first, to bytes (height, width)."""
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    numbers = (rows[:, :, None] >> shifts) & np.uint8(2**bits - 1)
    return np.ascontiguousarray(numbers.reshape(len(rows), -1)[:, :width])


def _palette(data: bytes, header: _Header) -> npt.NDArray[np.uint8]:
    """The palette (2**bits, 3); colors that the file lacks are black, as in other readers."""
    begin, entry = 14 + header.size, 3 if header.size == _CORE_HEADER else 4
    count = min(header.num_colors or 2**header.bits, 2**header.bits)
    stored = data[begin : min(begin + count * entry, header.first)]
    colors = np.frombuffer(stored[: len(stored) // entry * entry], np.uint8).reshape(-1, entry)
    palette = np.zeros((2**header.bits, 3), np.uint8)
    palette[: len(colors)] = colors[:, 2::-1]
    return palette


def _colored(data: bytes, header: _Header) -> Raster:
    rows = _rows(data, header)
    if header.bits == 24:
        pixels = rows[:, : header.width * 3].reshape(header.height, header.width, 3)
        return Raster(np.ascontiguousarray(pixels[..., ::-1]))
    numbers = np.ascontiguousarray(rows).view(f"<u{header.bits // 8}")[:, : header.width]
    masks = _masks(data, header)
    channels = [_level(numbers, mask) for mask in masks]
    return Raster(np.stack(channels, axis=2), alpha="straight" if len(masks) == 4 else "none")


def _masks(data: bytes, header: _Header) -> tuple[int, ...]:
    """The masks of red, green, blue, and alpha if the file has it."""
    if header.compression == _RGB:
        return _USUAL_MASKS[header.bits]
    has_alpha = header.compression == _ALPHA_BITFIELDS or header.size >= _HEADER_WITH_ALPHA
    masks = struct.unpack_from("<IIII" if has_alpha else "<III", data, 14 + _INFO_HEADER)
    is_known = all(mask >> header.bits == 0 and _is_run(mask) for mask in masks)
    if not is_known or not all(masks[:3]):
        listed = ", ".join(f"{mask:#x}" for mask in masks)
        raise UnsupportedImageError(
            f"a BMP with the bit masks {listed} is not supported; {CONVERT}"
        )
    return masks if masks[-1] else masks[:3]


def _is_run(mask: int) -> bool:
    """True if the bits that are set are neighbors."""
    lowest = mask & -mask
    return (mask + lowest) & mask == 0


def _level(numbers: npt.NDArray[Any], mask: int) -> npt.NDArray[np.uint8]:
    """The bits under a mask, scaled to 0..255 and rounded."""
    lowest = mask & -mask
    top = mask // lowest
    field = (numbers.astype(np.uint64) & np.uint64(mask)) // np.uint64(lowest)
    scaled = field * np.uint64(255) + np.uint64(top // 2)
    return (scaled // np.uint64(top)).astype(np.uint8)


BMP_CODEC = RasterCodec(("bmp",), read_bmp)
