"""TIFF, its first image: 1 to 16 bits, gray, palette, RGB and CMYK, in strips or tiles.

Strips are plain or compressed by LZW, Deflate, PackBits, JPEG or CCITT fax. Other features are
refused by name. Every strip must have exactly its rows.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastpack._native.raster import unpack, unpack_fax
from fastpack.core.limits import DEFAULT_LIMITS
from fastpack.errors import CorruptImageError, UnsupportedImageError
from fastpack.images.bmp import unpack_indices
from fastpack.images.codec import CONVERT, RESTORE, PixelFormat
from fastpack.images.headers import probe
from fastpack.images.jpeg import JPEG_CODEC
from fastpack.images.raster import Raster, RasterCodec
from fastpack.images.tiff_tags import (
    BITS,
    COLOR_MAP,
    COMPRESSION,
    EXTRA_SAMPLES,
    FILL_ORDER,
    HEIGHT,
    JPEG_TABLES,
    PHOTOMETRIC,
    PLANES,
    PREDICTOR,
    ROWS_PER_STRIP,
    SAMPLE_FORMAT,
    SAMPLES,
    STRIP_BYTES,
    STRIP_OFFSETS,
    T4_OPTIONS,
    T6_OPTIONS,
    TILE_BYTES,
    TILE_HEIGHT,
    TILE_OFFSETS,
    TILE_WIDTH,
    WIDTH,
    Tags,
)

Levels = npt.NDArray[Any]
_NONE, _JPEG = 1, 7
_PACKED: dict[int, Literal["LZW", "PackBits", "Deflate"]] = {
    5: "LZW",
    8: "Deflate",
    32946: "Deflate",
    32773: "PackBits",
}
_FAX = (2, 3, 4)
# Other compressions ignore the tag of the predictor, as in libtiff.
_WITH_PREDICTOR = (5, 8, 32946)
_OTHERS = {6: "old JPEG", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP"}
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_COLORS: dict[int, tuple[Literal["GRAY", "RGB", "CMYK", "PALETTE"], int]] = {
    _WHITE_IS_ZERO: ("GRAY", 1),
    _BLACK_IS_ZERO: ("GRAY", 1),
    _RGB: ("RGB", 3),
    _PALETTE: ("PALETTE", 1),
    _CMYK: ("CMYK", 4),
    _YCBCR: ("RGB", 3),
}
_ALPHAS: dict[int, Literal["associated", "straight"]] = {1: "associated", 2: "straight"}
_MIXED_FAX, _UNCOMPRESSED_FAX = 1, 2
# At most so many pixels in a tile that is larger than the image.
_MAX_TILE = 2**24
_MAX_OF_PALETTE = 2**16 - 1
# Bytes that one compressed byte becomes at most, except in fax data.
_MAX_INFLATION = 4096
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def read_tiff(data: bytes, format: str) -> Raster:
    """Return the samples of a TIFF file's first image."""
    tags = Tags.of(data)
    _refuse_unknown(tags)
    color, num_colors = _COLORS[tags.one(PHOTOMETRIC)]
    alpha = _alpha_of(tags, num_colors)
    bits = tags.one(BITS)
    return Raster(
        _read_segments(data, tags),
        color,
        top=2**bits - 1,
        alpha=alpha,
        palette=_palette(tags, bits) if color == "PALETTE" else None,
        is_inverted=tags.one(PHOTOMETRIC) == _WHITE_IS_ZERO,
    )


def _unsupported(feature: str) -> UnsupportedImageError:
    return UnsupportedImageError(f"a TIFF with {feature} is not supported; {CONVERT}")


def _refuse_unknown(tags: Tags) -> None:
    bits, kinds = set(tags.all(BITS)), set(tags.all(SAMPLE_FORMAT))
    if kinds - {1, 4}:
        kind = {2: "signed", 3: "float"}.get(max(kinds), "complex")
        raise _unsupported(f"{kind} values of {max(bits)} bits")
    if len(bits) != 1 or not bits <= {1, 2, 4, 8, 16}:
        raise _unsupported(f"{' and '.join(map(str, sorted(bits)))} bits a sample")
    photometric = tags.one(PHOTOMETRIC)
    if photometric not in _COLORS or (photometric == _YCBCR and tags.one(COMPRESSION) != _JPEG):
        raise _unsupported(f"colors of the kind {photometric} (PhotometricInterpretation)")
    if photometric in (_RGB, _CMYK) and bits < {8}:
        raise _unsupported(f"{min(bits)} bits a channel")
    if (compression := tags.one(COMPRESSION)) not in (_NONE, _JPEG, *_FAX, *_PACKED):
        raise _unsupported(f"the compression {_OTHERS.get(compression, compression)}")
    if (predictor := _predictor(tags)) != 1 and not (predictor == 2 and bits <= {8, 16}):
        raise _unsupported(f"the predictor {predictor}")
    if compression in _FAX and (bits != {1} or tags.one(SAMPLES) != 1):
        raise _unsupported("fax data of more than one bit")
    if (tags.one(T4_OPTIONS, 0) | tags.one(T6_OPTIONS, 0)) & _UNCOMPRESSED_FAX:
        raise _unsupported("uncompressed parts in its fax data")
    is_odd_jpeg = photometric in (_PALETTE, _CMYK) or tags.one(SAMPLES) not in (1, 3)
    if compression == _JPEG and (bits != {8} or tags.one(PLANES) != 1 or is_odd_jpeg):
        raise _unsupported("JPEG data other than gray, RGB or YCbCr of 8 bits")


def _predictor(tags: Tags) -> int:
    return tags.one(PREDICTOR) if tags.one(COMPRESSION) in _WITH_PREDICTOR else 1


def _alpha_of(tags: Tags, num_colors: int) -> Literal["none", "straight", "associated"]:
    num_samples, extra = tags.one(SAMPLES), tags.all(EXTRA_SAMPLES)
    if num_samples == num_colors:
        return "none"
    # OpenCV and other programs write RGBA without a tag for the fourth channel.
    if num_samples == 4 and num_colors == 3 and not extra:
        return "straight"
    if num_samples == num_colors + 1 and extra and extra[0] in _ALPHAS:
        return _ALPHAS[extra[0]]
    raise _unsupported(
        f"{num_samples} bands, {num_samples - num_colors} of them neither color nor alpha "
        f"(ExtraSamples {extra})"
    )


def _palette(tags: Tags, bits: int) -> npt.NDArray[np.uint8]:
    """The palette (2**bits, 3); stored as all red, all green, then all blue values of 16 bits."""
    values = tags.all(COLOR_MAP)
    if bits > 8 or len(values) != 3 * 2**bits:
        raise CorruptImageError(
            f"the TIFF has {len(values)} palette values for indices of {bits} bits; {RESTORE}"
        )
    if max(values) > _MAX_OF_PALETTE:
        raise CorruptImageError(
            f"the TIFF has a palette value of {max(values)}, more than {_MAX_OF_PALETTE}; {RESTORE}"
        )
    colors = (np.array(values, np.uint16) >> 8).astype(np.uint8).reshape(3, -1)
    return np.ascontiguousarray(colors.T)


# Segments: strips, or tiles, of all channels or of one.


@dataclass(frozen=True)
class _Grid:
    """How the image is cut into segments of (height, width), by rows and columns."""

    width: int
    height: int
    segment: tuple[int, int]
    offsets: tuple[int, ...]
    lengths: tuple[int, ...]
    is_tiled: bool

    @classmethod
    def of(cls, tags: Tags, num_bytes: int) -> "_Grid":
        width, height = tags.one(WIDTH), tags.one(HEIGHT)
        if tags.all(TILE_WIDTH):
            segment = tags.one(TILE_HEIGHT), tags.one(TILE_WIDTH)
            return cls(width, height, segment, tags.all(TILE_OFFSETS), tags.all(TILE_BYTES), True)
        rows = min(tags.one(ROWS_PER_STRIP, height), height)
        offsets, lengths = tags.all(STRIP_OFFSETS), tags.all(STRIP_BYTES)
        if not lengths and tags.one(COMPRESSION) == _NONE:  # old writers leave the tag out
            lengths = tuple(max(0, num_bytes - offset) for offset in offsets)
        return cls(width, height, (rows, width), offsets, lengths, False)

    def boxes(self, num_planes: int) -> list[tuple[int, int, int]]:
        """Return (plane, top, left) of each segment, in the file's order."""
        is_empty = min(*self.segment, self.width, self.height) < 1
        if is_empty or len(self.offsets) != len(self.lengths):
            raise CorruptImageError(f"the strips or tiles of the TIFF have no size; {RESTORE}")
        if self.segment[0] * self.segment[1] > max(self.width * self.height, _MAX_TILE):
            raise CorruptImageError(
                f"the tiles of the TIFF are {self.segment[1]} x {self.segment[0]} pixels; {RESTORE}"
            )
        down, across = -(-self.height // self.segment[0]), -(-self.width // self.segment[1])
        if len(self.offsets) < down * across * num_planes:
            raise CorruptImageError(
                f"the TIFF has {len(self.offsets)} strips or tiles, "
                f"not {down * across * num_planes}; {RESTORE}"
            )
        tops, lefts = range(0, self.height, self.segment[0]), range(0, self.width, self.segment[1])
        return list(product(range(num_planes), tops, lefts))


def _read_segments(data: bytes, tags: Tags) -> Levels:
    grid, num_samples = _Grid.of(tags, len(data)), tags.one(SAMPLES)
    is_planar = tags.one(PLANES) == 2 and num_samples > 1
    boxes = grid.boxes(num_samples if is_planar else 1)
    samples = np.empty(
        (grid.height, grid.width, num_samples), np.uint16 if tags.one(BITS) == 16 else np.uint8
    )
    for number, (plane, top, left) in enumerate(boxes):
        height = grid.segment[0] if grid.is_tiled else min(grid.segment[0], grid.height - top)
        packed = data[grid.offsets[number] : grid.offsets[number] + grid.lengths[number]]
        if len(packed) < grid.lengths[number]:
            raise CorruptImageError(f"the TIFF ends before its strip or tile {number}; {RESTORE}")
        shape = height, grid.segment[1], 1 if is_planar else num_samples
        segment = _segment(packed, tags, shape, number)
        target = samples[
            top : top + height,
            left : left + grid.segment[1],
            plane : plane + 1 if is_planar else num_samples,
        ]
        target[...] = segment[: target.shape[0], : target.shape[1]]
    return samples


def _segment(packed: bytes, tags: Tags, shape: tuple[int, int, int], number: int) -> Levels:
    """The samples (height, width, channels) of one strip or tile."""
    compression, bits = tags.one(COMPRESSION), tags.one(BITS)
    if compression == _JPEG:
        return _jpeg_segment(packed, tags, shape, number)
    height, width, channels = shape
    row_bytes = (width * channels * bits + 7) // 8
    if tags.one(FILL_ORDER) == 2:
        packed = packed.translate(_REVERSED)
    data = np.frombuffer(packed, np.uint8)
    if compression in _FAX:
        return _fax_segment(data, tags, shape, number)
    if compression == _NONE:
        rows, is_whole = data[: row_bytes * height], len(data) >= row_bytes * height
    elif is_whole := row_bytes * height <= _MAX_INFLATION * len(data):
        rows = np.empty(row_bytes * height, np.uint8)
        is_whole = unpack(data, rows, _PACKED[compression])
    if not is_whole:
        name = _PACKED.get(compression, "plain")
        raise CorruptImageError(
            f"the {name} data of the TIFF's strip or tile {number} is damaged, "
            f"or not as long as its rows; {RESTORE}"
        )
    return _undo_predictor(_levels(rows, shape, bits, tags.byte_order), _predictor(tags))


def _fax_segment(
    data: npt.NDArray[np.uint8], tags: Tags, shape: tuple[int, int, int], number: int
) -> Levels:
    rows = np.zeros(shape[:2], np.uint8)
    is_mixed = bool(tags.one(T4_OPTIONS, 0) & _MIXED_FAX)
    if not unpack_fax(data, tags.one(COMPRESSION), is_mixed and tags.one(COMPRESSION) == 3, rows):
        raise CorruptImageError(
            f"the fax data of the TIFF's strip or tile {number} is damaged, "
            f"or not as long as its rows; {RESTORE}"
        )
    return rows[..., None]


def _levels(
    rows: npt.NDArray[np.uint8], shape: tuple[int, int, int], bits: int, byte_order: str
) -> Levels:
    if bits == 16:
        return rows.view(f"{byte_order}u2").astype(np.uint16, copy=False).reshape(shape)
    if bits == 8:
        return rows.reshape(shape)
    return unpack_indices(rows.reshape(shape[0], -1), bits, shape[1] * shape[2]).reshape(shape)


def _undo_predictor(levels: Levels, predictor: int) -> Levels:
    """Add up levels that are stored as differences from their left neighbors (section 14)."""
    return levels if predictor == 1 else np.cumsum(levels, axis=1, dtype=levels.dtype)


def _jpeg_segment(packed: bytes, tags: Tags, shape: tuple[int, int, int], number: int) -> Levels:
    """A JPEG stream whose tables may be in a tag (Adobe, "TIFF Technical Note 2")."""
    tables = bytes(tags.all(JPEG_TABLES))
    # Adobe's marker says whether three components are YCbCr. Without it libjpeg guesses.
    is_ycbcr = bytes([tags.one(PHOTOMETRIC) == _YCBCR])
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + is_ycbcr
    marker = adobe if shape[2] == 3 else b""
    stream = b"\xff\xd8" + marker + tables[2:-2] + packed[2:]
    info = probe(stream)
    if (int(info["height"]), int(info["width"]), int(info["components"])) != shape:
        raise CorruptImageError(
            f"the JPEG in the TIFF's strip or tile {number} has another size; {RESTORE}"
        )
    pixel_format = PixelFormat("GRAY" if shape[2] == 1 else "RGB")
    return JPEG_CODEC.decode(stream, info, pixel_format, DEFAULT_LIMITS)


TIFF_CODEC = RasterCodec(("tiff",), read_tiff)
