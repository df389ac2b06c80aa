"""Salvage of HDF5: finds whole samples by the file's tables, or by the saved index."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastpack.core.bisect import bisect
from fastpack.core.dtypes import NO_SPAN, SPAN
from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.core.ragged import Ragged, Text, flat_values, owners
from fastpack.core.schema import Field
from fastpack.errors import FastpackError, Status
from fastpack.formats import registry
from fastpack.formats.index.index import Index
from fastpack.formats.index.kinds import kinds_of
from fastpack.integrity.salvage.survey import Array, Damage, check_spans, of_this_file
from fastpack.reading.options import ReadOptions
from fastpack.reading.reader import Reader

_BATCH_SAMPLES = 64
_CLASS_NAMES = "class_names"
_STATUS_REASONS = {
    Status.TRUNCATED: "the file ends inside this image",
    Status.BAD_DATA_CRC: "the image differs from its CRC32C",
}


@dataclass(frozen=True, eq=False)
class Survey:
    """The index of a file, whether each sample is whole (n,), and the damages."""

    index: Index
    is_whole: npt.NDArray[np.bool_]
    damages: tuple[Damage, ...]

    @property
    def whole(self) -> Index:
        """The whole samples."""
        return self.index.take(np.flatnonzero(self.is_whole))


def survey_hdf5(path: Path, saved: Index | None, limits: Limits = DEFAULT_LIMITS) -> Survey:
    """Survey a damaged HDF5 file; raises the error of indexing it if `saved` does not fit it."""
    saved = of_this_file(path, saved) if saved is not None and _is_borne_out(path, saved) else None
    try:
        index = registry.named("hdf5").index(
            path, check=False, limits=limits, kinds=kinds_of(saved)
        )
    except FastpackError as error:
        if saved is None:
            raise
        reason = f"{error.args[-1]}; the saved index has the same tables"
        index, damages = saved, [Damage(reason, is_lost=False)]
    else:
        damaged = _damaged_columns(path, index, saved)
        damages = [
            _damaged_dataset(name, is_lost=saved is None and _is_missed(index, name))
            for name in damaged
        ]
        if damaged:
            index = saved or _without(index, damaged)
    statuses = _statuses(path, index)
    return Survey(index, statuses == 0, (*damages, *_damaged_samples(index, statuses)))


def _is_borne_out(path: Path, saved: Index) -> bool:
    """True if a checksum of the index matches the file; without checksums, if the size matches."""
    if len(saved.shards) != 1 or not saved.schema.blobs:
        return False
    spans = np.concatenate([flat_values(saved.spans[field.name]) for field in saved.schema.blobs])
    if not spans["record_length"].any():
        return saved.shards[0].size == path.stat().st_size
    return bool((check_spans([path], spans[spans["record_length"] > 0]) == 0).any())


def _damaged_columns(path: Path, index: Index, saved: Index | None) -> list[str]:
    """Name the datasets that differ from their checksums, or without these from the saved index."""
    from fastpack.formats.hdf5.checksums import damaged_datasets

    damaged = damaged_datasets(path)
    if damaged is not None or saved is None:
        return damaged or []
    return [
        field.source_name
        for field in index.schema.columns
        if not _same_column(index, saved, field.name)
    ]


def _damaged_dataset(name: str, *, is_lost: bool) -> Damage:
    return Damage(f"{name}: the values have changed since they were written", is_lost=is_lost)


def _is_missed(index: Index, name: str) -> bool:
    """False for attributes, and for tables of places: the files there have their own checksums."""
    return _is_part(name, _CLASS_NAMES) or any(
        _is_part(name, field.source_name) for field in index.schema.fields if _is_unsafe(field)
    )


def _is_unsafe(field: Field) -> bool:
    """True for values without own checksums, and for lists: only a table has their lengths."""
    return field.is_list or not field.is_blob


def _is_part(name: str, path: str) -> bool:
    """True for a dataset of the field at `path`. Names of columns may begin with "/@"."""
    return f"{name.removeprefix('/')}/".startswith(f"{path}/")


def _same_column(a: Index, b: Index, name: str) -> bool:
    if name not in b.columns:
        return False
    x, y = a.columns[name], b.columns[name]
    return x == y if isinstance(x, Ragged) else isinstance(y, np.ndarray) and np.array_equal(x, y)


def _without(index: Index, damaged: list[str]) -> Index:
    """Drop fields with damaged datasets, since any of their values may be wrong."""
    lost = {
        f.name
        for f in index.schema.fields
        if _is_unsafe(f) and any(_is_part(name, f.source_name) for name in damaged)
    }
    fields = tuple(field for field in index.schema.fields if field.name not in lost)
    has_class_names = not any(_is_part(name, _CLASS_NAMES) for name in damaged)
    class_names = index.schema.class_names if has_class_names else ()
    columns, spans, infos = (
        {name: table for name, table in tables.items() if name not in lost}
        for tables in (index.columns, index.spans, index.infos)
    )
    schema = replace(index.schema, fields=fields, class_names=class_names)
    return replace(index, schema=schema, columns=columns, spans=spans, infos=infos)


def _statuses(path: Path, index: Index) -> npt.NDArray[np.int32]:
    paths = [path] if len(index.shards) == 1 else [shard.path for shard in index.shards]
    worst = np.zeros(len(index), np.int32)
    is_unplaced = np.zeros(len(index), np.bool_)
    for field in index.schema.blobs:
        spans, owner = flat_values(index.spans[field.name]), owners(index.spans[field.name])
        np.maximum.at(worst, owner, check_spans(paths, spans))
        is_unplaced[owner[spans["offset"] == NO_SPAN]] = True
    unplaced = np.flatnonzero(is_unplaced)
    unreadable = list(_unreadable(Reader(index, ReadOptions(decode=False)), unplaced))
    worst[unreadable] = Status.CORRUPT_IMAGE
    return worst


def _unreadable(reader: Reader, rows: npt.NDArray[np.int64]) -> Iterator[int]:
    """Find samples that cannot be read; those without a span have no checksum to compare."""
    for first in range(0, len(rows), _BATCH_SAMPLES):
        for tried, result in bisect(reader.read, rows[first : first + _BATCH_SAMPLES]):
            if isinstance(result, FastpackError):
                yield int(tried[0])


def _damaged_samples(index: Index, statuses: npt.NDArray[np.int32]) -> Iterator[Damage]:
    keys = index.columns.get("key")
    known = index.record_spans
    spans: Array = np.zeros(len(index), SPAN) if known is None else known
    for row in np.flatnonzero(statuses).tolist():
        reason = _STATUS_REASONS.get(int(statuses[row]), "the image cannot be read")
        key = keys[row] if isinstance(keys, Text) else None
        offset = None if spans["offset"][row] == NO_SPAN else int(spans["offset"][row])
        path = index.shards[int(index.shard_numbers[row])].path if len(index.shards) > 1 else None
        yield Damage(reason, row, offset, int(spans["length"][row]), key, path=path)
