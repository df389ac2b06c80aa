"""Salvage of HDF5: which samples are whole, by the file's own tables or, where those are damaged, by the saved index."""

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
from fastpack.errors import FastpackError
from fastpack.formats import registry
from fastpack.formats.index.index import Index
from fastpack.formats.index.kinds import kinds_of
from fastpack.integrity.salvage.survey import Array, Damage, check_spans, of_this_file
from fastpack.reading.options import ReadOptions
from fastpack.reading.reader import Reader
from fastpack.reading.samples import Samples

_BATCH_SAMPLES = 64
_CLASS_NAMES = "class_names"
_UNREADABLE = 9  # as a kernel's status
_STATUS_REASONS = {3: "the file ends inside this image", 5: "the image differs from its CRC32C"}


@dataclass(frozen=True, eq=False)
class Survey:
    """A file's index, whether each of its samples is whole (n,), and its damages."""

    index: Index
    is_whole: npt.NDArray[np.bool_]
    damages: tuple[Damage, ...]

    @property
    def whole(self) -> Index:
        """The samples that are whole."""
        return self.index.take(np.flatnonzero(self.is_whole))


def survey_hdf5(path: Path, told: Index | None, limits: Limits = DEFAULT_LIMITS) -> Survey:
    """Goes through a damaged HDF5 file. Raises what indexing it raises, when `told` knows nothing that the file bears out."""
    told = of_this_file(path, told) if told is not None and _is_borne_out(path, told) else None
    try:
        index = registry.named("hdf5").index(path, check=False, limits=limits, kinds=kinds_of(told))
    except FastpackError as error:
        if told is None:
            raise
        index, damages = (
            told,
            [Damage(f"{error.args[-1]}; the saved index knows what the file held", is_lost=False)],
        )
    else:
        damaged = _damaged_columns(path, index, told)
        damages = [
            _damaged_dataset(name, is_lost=told is None and _is_missed(index, name))
            for name in damaged
        ]
        if damaged:
            index = told or _without(index, damaged)
    statuses = _statuses(path, index)
    return Survey(index, statuses == 0, (*damages, *_damaged_samples(index, statuses)))


def _is_borne_out(path: Path, told: Index) -> bool:
    """Does the index speak of this file? Where it knows checksums, one holds; where it knows none, the size is the same."""
    if len(told.shards) != 1 or not told.schema.blobs:
        return False
    spans = np.concatenate([flat_values(told.spans[field.name]) for field in told.schema.blobs])
    if not spans["record_length"].any():
        return told.shards[0].size == path.stat().st_size
    return bool((check_spans([path], spans[spans["record_length"] > 0]) == 0).any())


def _damaged_columns(path: Path, index: Index, told: Index | None) -> list[str]:
    """Names of what differs from its checksum, or, in a file that has none, from the saved index."""
    from fastpack.formats.hdf5.checksums import damaged_datasets

    damaged = damaged_datasets(path)
    if damaged is not None or told is None:
        return damaged or []
    return [
        field.source_name
        for field in index.schema.columns
        if not _same_column(index, told, field.name)
    ]


def _damaged_dataset(name: str, *, is_lost: bool) -> Damage:
    return Damage(f"{name}: the values are not those that were written", is_lost=is_lost)


def _is_missed(index: Index, name: str) -> bool:
    """False for attributes, and for the tables that find files: what these find has checksums of its own."""
    return _is_part(name, _CLASS_NAMES) or any(
        _is_part(name, field.source_name) for field in index.schema.fields if _is_unsafe(field)
    )


def _is_unsafe(field: Field) -> bool:
    """True for values without checksums of their own, and for lists: which files are one sample's, only a table knows."""
    return field.is_list or not field.is_blob


def _is_part(name: str, path: str) -> bool:
    """True for a dataset of the field at that path. Names of columns may begin with "@"; then "/" stands before."""
    return f"{name.removeprefix('/')}/".startswith(f"{path}/")


def _same_column(a: Index, b: Index, name: str) -> bool:
    if name not in b.columns:
        return False
    x, y = a.columns[name], b.columns[name]
    return x == y if isinstance(x, Ragged) else isinstance(y, np.ndarray) and np.array_equal(x, y)


def _without(index: Index, damaged: list[str]) -> Index:
    """The fields whose values can be trusted: a column that is damaged somewhere may be wrong anywhere."""
    lost = {
        f.name
        for f in index.schema.fields
        if _is_unsafe(f) and any(_is_part(name, f.source_name) for name in damaged)
    }
    fields = tuple(field for field in index.schema.fields if field.name not in lost)
    class_names = (
        () if any(_is_part(name, _CLASS_NAMES) for name in damaged) else index.schema.class_names
    )
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
    worst[list(_unreadable(Reader(Samples.of(index), ReadOptions(decode=False)), unplaced))] = _UNREADABLE
    return worst


def _unreadable(reader: Reader, rows: npt.NDArray[np.int64]) -> Iterator[int]:
    """Find samples that cannot be read. Those without a span can only be tried."""
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
