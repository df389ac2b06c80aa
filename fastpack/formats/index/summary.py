"""Summary: facts about all samples of an index, which its file keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import NO_SPAN
from fastpack.core.ragged import Ragged, flat_values
from fastpack.core.schema import Schema
from fastpack.formats.index.index import Index

_DEEP_BITS = 16
_MAX_FORMATS = 256  # the number of a format is a byte


@dataclass(frozen=True)
class BlobSummary:
    """Facts about the blobs of a field.

    Args:
        num_bytes: bytes of all blobs.
        num_deep: images with 16 bits a channel, by their headers.
        num_shallow: images with fewer bits whose header can be read.
        formats: bit f is set if some image has the format number f.
        num_fetched: blobs without a span.
        num_with_seek_points: images with seek points; None if none was searched.
    """

    num_bytes: int = 0
    num_deep: int = 0
    num_shallow: int = 0
    formats: int = 0
    num_fetched: int = 0
    num_with_seek_points: int | None = None

    @classmethod
    def of(cls, index: Index, name: str) -> "BlobSummary":
        """Count the blobs of an index."""
        spans, seek_points = flat_values(index.spans[name]), index.seek_points.get(name)
        infos = flat_values(index.infos[name]) if name in index.infos else None
        num_readable, num_deep, formats = (0, 0, 0) if infos is None else _image_counts(infos)
        return cls(
            int(spans["length"].sum(dtype=np.uint64)),
            num_deep,
            num_readable - num_deep,
            formats,
            int((spans["offset"] == NO_SPAN).sum()),
            None if seek_points is None else seek_points.num_with_seek_points,
        )

    def __or__(self, other: "BlobSummary") -> "BlobSummary":
        found = (self.num_with_seek_points, other.num_with_seek_points)
        counts = [count for count in found if count is not None]
        return BlobSummary(
            self.num_bytes + other.num_bytes,
            self.num_deep + other.num_deep,
            self.num_shallow + other.num_shallow,
            self.formats | other.formats,
            self.num_fetched + other.num_fetched,
            sum(counts) if counts else None,
        )


@dataclass(frozen=True)
class Summary:
    """Facts about all samples of an index.

    Args:
        blobs: of each blob field.
        ranges: least and greatest value of each column of numbers that has some.
        empty_texts: columns of text that are empty in all samples.
    """

    blobs: Mapping[str, BlobSummary]
    ranges: Mapping[str, tuple[Any, Any]]
    empty_texts: tuple[str, ...] = ()

    @classmethod
    def of(cls, index: Index) -> "Summary":
        """Count the samples of an index."""
        blobs = {field.name: BlobSummary.of(index, field.name) for field in index.schema.blobs}
        ranges = {name: _range(flat_values(column)) for name, column in index.columns.items()}
        return cls(
            blobs,
            {name: found for name, found in ranges.items() if found is not None},
            tuple(name for name, column in index.columns.items() if _is_empty(column)),
        )

    @classmethod
    def joined(cls, parts: Sequence["Summary"]) -> "Summary":
        """Return the summary of the samples of all; fields that one lacks are left out."""
        blobs = dict(parts[0].blobs)
        ranges = dict(parts[0].ranges)
        empty = set(parts[0].empty_texts)
        for part in parts[1:]:
            blobs = {name: blobs[name] | part.blobs[name] for name in blobs if name in part.blobs}
            for name, (least, greatest) in part.ranges.items():
                low, high = ranges.get(name, (least, greatest))
                ranges[name] = min(low, least), max(high, greatest)
            empty &= set(part.empty_texts)
        return cls(blobs, ranges, tuple(sorted(empty)))

    def renamed(self, names: Mapping[str, str]) -> "Summary":
        """Return the summary of some fields under new names: new name -> name here."""
        return Summary(
            {new: self.blobs[old] for new, old in names.items() if old in self.blobs},
            {new: self.ranges[old] for new, old in names.items() if old in self.ranges},
            tuple(new for new, old in names.items() if old in self.empty_texts),
        )

    def check_fit(self, schemas: Sequence[Schema]) -> None:
        """Raise ValueError unless it has the blobs that all these schemas have."""
        names = [{field.name for field in schema.blobs} for schema in schemas]
        if self.blobs.keys() != set.intersection(*names):
            raise ValueError("its summary is of other fields")

    def to_json(self) -> dict[str, Any]:
        """Return what `of_json` takes."""
        return {
            "blobs": {name: list(vars(blob).values()) for name, blob in self.blobs.items()},
            "ranges": {name: list(found) for name, found in self.ranges.items()},
            "empty_texts": list(self.empty_texts),
        }

    @classmethod
    def of_json(cls, facts: Mapping[str, Any]) -> "Summary":
        """Make a summary of saved facts. May raise any of DATA_ERRORS."""
        return cls(
            {str(name): _blob_of(counts) for name, counts in facts["blobs"].items()},
            {str(name): _range_of(*found) for name, found in facts["ranges"].items()},
            tuple(map(str, facts["empty_texts"])),
        )


def _image_counts(infos: npt.NDArray[Any]) -> tuple[int, int, int]:
    """Return the number of readable images, of those with 16 bits, and a bit for each format."""
    is_readable = infos["width"] > 0
    num_deep = np.count_nonzero((infos["bits"] == _DEEP_BITS) & is_readable)
    formats = np.flatnonzero(np.bincount(infos["format"])).tolist()
    return int(np.count_nonzero(is_readable)), int(num_deep), sum(1 << each for each in formats)


def _blob_of(saved: Sequence[Any]) -> BlobSummary:
    *numbers, num_with_seek_points = saved
    num_bytes, num_deep, num_shallow, formats, num_fetched = map(int, numbers)
    seek_points = None if num_with_seek_points is None else int(num_with_seek_points)
    found = BlobSummary(num_bytes, num_deep, num_shallow, formats, num_fetched, seek_points)
    counts = (num_deep, num_shallow, num_fetched, seek_points or 0)
    are_counts = all(0 <= count < 2**63 for count in counts)
    if not are_counts or num_bytes < 0 or not 0 <= formats < 1 << _MAX_FORMATS:
        raise ValueError("its summary has numbers that cannot be")
    return found


def _range_of(least: Any, greatest: Any) -> tuple[Any, Any]:
    if not all(isinstance(value, int | float) for value in (least, greatest)):
        raise ValueError("a range is not of numbers")
    return least, greatest


def _range(values: Any) -> tuple[Any, Any] | None:
    """Return the least and greatest number; None without numbers. NaN is left out."""
    if isinstance(values, Ragged) or values.dtype.kind not in "iuf":
        return None
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    if not len(values):
        return None
    least, greatest = values.min().item(), values.max().item()
    if isinstance(least, int | float):
        return least, greatest
    # A long double, which JSON cannot keep: the float of it that is not inside of the range.
    return _outer(least, -np.inf), _outer(greatest, np.inf)


def _outer(bound: Any, towards: float) -> float:
    """Return a long double as a float, or the next one `towards` if that is nearer to zero."""
    nearest = float(bound)
    is_inside = nearest > bound if towards < 0 else nearest < bound
    return float(np.nextafter(nearest, towards)) if is_inside else nearest


def _is_empty(column: Any) -> bool:
    if not isinstance(column, Ragged):
        return False
    values = flat_values(column)
    return isinstance(values, Ragged) and not len(values.values)
