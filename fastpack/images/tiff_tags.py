"""The tags of a TIFF's first image (TIFF 6.0, section 2)."""

import struct
from dataclasses import dataclass

from fastpack.errors import CorruptImageError
from fastpack.images.codec import RESTORE

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, PLANES = 273, 277, 278, 279, 284
PREDICTOR, COLOR_MAP, EXTRA_SAMPLES = 317, 320, 338
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 322, 323, 324, 325
T4_OPTIONS, T6_OPTIONS, SAMPLE_FORMAT, JPEG_TABLES = 292, 293, 339, 347

# Type number -> struct's letter, for the types of the tags above.
_TYPES = {1: "B", 3: "H", 4: "I", 7: "B"}
# Values of tags that a file leaves out.
_DEFAULTS = {
    BITS: (1,),
    COMPRESSION: (1,),
    FILL_ORDER: (1,),
    SAMPLES: (1,),
    PLANES: (1,),
    PREDICTOR: (1,),
    SAMPLE_FORMAT: (1,),
}


@dataclass(frozen=True)
class Tags:
    """Tag number -> its values."""

    values: dict[int, tuple[int, ...]]
    byte_order: str

    @classmethod
    def of(cls, data: bytes) -> "Tags":
        """Read the tags of a file's first image."""
        order = ">" if data[:1] == b"M" else "<"
        try:
            (directory,) = struct.unpack_from(order + "I", data, 4)
            (count,) = struct.unpack_from(order + "H", data, directory)
            found = dict(_entry(data, order, directory + 2 + 12 * i) for i in range(count))
        except struct.error as error:
            raise CorruptImageError(
                f"the tags of the TIFF lie outside of the file; {RESTORE}"
            ) from error
        return cls({tag: values for tag, values in found.items() if values}, order)

    def all(self, tag: int) -> tuple[int, ...]:
        """Return all values of a tag; () if it is missing and has no default."""
        return self.values.get(tag, _DEFAULTS.get(tag, ()))

    def one(self, tag: int, missing: int | None = None) -> int:
        """Return the first value of a tag, or `missing`; without both, raise CorruptImageError."""
        values = self.all(tag)
        if not values and missing is None:
            raise CorruptImageError(f"the TIFF has no tag {tag}; {RESTORE}")
        return values[0] if values else int(missing or 0)


def _entry(data: bytes, order: str, at: int) -> tuple[int, tuple[int, ...]]:
    """A tag and its values; () for a type that is not known."""
    tag, type_number, count = struct.unpack_from(order + "HHI", data, at)
    letter, first = _TYPES.get(type_number), at + 8
    if letter is None:
        return tag, ()
    num_bytes = struct.calcsize(letter) * count
    if num_bytes > len(data):
        raise struct.error(f"{count} values")
    if num_bytes > 4:
        (first,) = struct.unpack_from(order + "I", data, first)
    return tag, struct.unpack_from(f"{order}{count}{letter}", data, first)
