"""Salvage of HDF5: samples that are whole by the file's own tables or by its saved index."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import NO_SPAN, SPAN
from fastpack.core.limits import Limits
from fastpack.core.ragged import Ragged, Text, flat_values, owners
from fastpack.core.schema import Field
from fastpack.errors import FastpackError, Status
from fastpack.formats.hdf5.checksums import damaged_datasets
from fastpack.formats.index.index import Index
from fastpack.formats.index.kinds import kinds_of
from fastpack.formats.protocols import Container
from fastpack.formats.salvage import Array, Damage, FindUnreadable, Survey, check_spans

_CLASS_NAMES = "class_names"
_STATUS_REASONS = {
    Status.TRUNCATED: "the file ends inside this image",
    Status.BAD_DATA_CRC: "the image differs from its CRC32C",
}


def survey(
    container: Container,
    path: Path,
    saved: Index | None,
    limits: Limits,
    find_unreadable: FindUnreadable,
) -> Survey:
    """Check all samples of a damaged file.

    Raises what indexing raises if `saved` is None or does not describe this file.
    """
    known = None
    if saved is not None and _is_of_file(path, saved):
        known = replace(saved, shards=(container.shard(path),))
    index, damages = _indexed(container, path, known, limits)
    statuses = _statuses(path, index, find_unreadable)
    whole = index.take(np.flatnonzero(statuses == 0))
    return Survey(len(index), whole, (*damages, *_damaged_samples(index, statuses)))


def _indexed(
    container: Container, path: Path, known: Index | None, limits: Limits
) -> tuple[Index, list[Damage]]:
    """Return an index without damaged columns, and the damages of the file's tables."""
    try:
        index = container.index(path, check=False, limits=limits, kinds=kinds_of(known))
    except FastpackError as error:
        if known is None:
            raise
        reason = f"{error.args[-1]}; the saved index knows what the file held"
        return known, [Damage(reason, is_lost=False)]
    damaged = _damaged_columns(path, index, known)
    damages = [
        Damage(
            f"{name}: the values are not those that were written",
            is_lost=known is None and _is_missed(index, name),
        )
        for name in damaged
    ]
    return (known or _without(index, damaged)) if damaged else index, damages


def _is_of_file(path: Path, saved: Index) -> bool:
    """Return True if the index describes this file.

    One of its checksums must hold. An index without checksums must have the file's size.
    """
    if len(saved.shards) != 1 or not saved.schema.blobs:
        return False
    spans = np.concatenate([flat_values(saved.spans[field.name]) for field in saved.schema.blobs])
    if not spans["record_length"].any():
        return saved.shards[0].size == path.stat().st_size
    return bool((check_spans([path], spans[spans["record_length"] > 0]) == 0).any())


def _damaged_columns(path: Path, index: Index, known: Index | None) -> list[str]:
    """Return names of datasets that differ from their checksums, or else from the saved index."""
    damaged = damaged_datasets(path)
    if damaged is not None or known is None:
        return damaged or []
    return [
        field.source_name
        for field in index.schema.columns
        if not _same_column(index, known, field.name)
    ]


def _is_missed(index: Index, name: str) -> bool:
    """Return False for attributes and tables of spans: the blobs have their own checksums."""
    return _is_part(name, _CLASS_NAMES) or any(
        _is_part(name, field.source_name) for field in index.schema.fields if _is_unsafe(field)
    )


def _is_unsafe(field: Field) -> bool:
    """Return True for fields without checksums of their own.

    Only the offsets of a list say which blobs belong to one sample.
    """
    return field.is_list or not field.is_blob


def _is_part(name: str, path: str) -> bool:
    """Return True for a dataset of the field at that path.

    Names of columns may begin with "@"; then "/" precedes it.
    """
    return f"{name.removeprefix('/')}/".startswith(f"{path}/")


def _same_column(a: Index, b: Index, name: str) -> bool:
    if name not in b.columns:
        return False
    x, y = a.columns[name], b.columns[name]
    return x == y if isinstance(x, Ragged) else isinstance(y, np.ndarray) and np.array_equal(x, y)


def _without(index: Index, damaged: list[str]) -> Index:
    """Return the index without damaged columns: any of their values may be wrong."""
    lost = {
        field.name
        for field in index.schema.fields
        if _is_unsafe(field) and any(_is_part(name, field.source_name) for name in damaged)
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


def _statuses(path: Path, index: Index, find_unreadable: FindUnreadable) -> npt.NDArray[np.int32]:
    paths = [path] if len(index.shards) == 1 else [shard.path for shard in index.shards]
    worst = np.zeros(len(index), np.int32)
    is_unplaced = np.zeros(len(index), np.bool_)
    for field in index.schema.blobs:
        spans, owner = flat_values(index.spans[field.name]), owners(index.spans[field.name])
        np.maximum.at(worst, owner, check_spans(paths, spans))
        is_unplaced[owner[spans["offset"] == NO_SPAN]] = True
    worst[list(find_unreadable(index, np.flatnonzero(is_unplaced)))] = Status.CORRUPT_IMAGE
    return worst


def _damaged_samples(index: Index, statuses: npt.NDArray[np.int32]) -> Iterator[Damage]:
    keys = index.columns.get("key")
    known = index.record_spans
    spans: Array = np.zeros(len(index), SPAN) if known is None else known
    for row in np.flatnonzero(statuses).tolist():
        reason = _STATUS_REASONS.get(Status(statuses[row]), "the image cannot be read")
        key = keys[row] if isinstance(keys, Text) else None
        offset = None if spans["offset"][row] == NO_SPAN else int(spans["offset"][row])
        path = index.shards[int(index.shard_numbers[row])].path if len(index.shards) > 1 else None
        yield Damage(reason, row, offset, int(spans["length"][row]), key, path=path)
