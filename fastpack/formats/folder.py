"""A folder of image files as a read-only dataset; folders are classes.

Files are opened when they are read: a process cannot have half a million files open.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c
from fastpack._native.probe import ProbeFiles
from fastpack.core.dtypes import IMAGE_INFO, NO_SPAN, SPAN, Rows
from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.core.progress import BytesDone
from fastpack.core.ragged import Ragged, Text, offsets_of
from fastpack.core.schema import Field, Schema
from fastpack.core.threads import run_in_threads
from fastpack.errors import (
    EmptySourceError,
    FastpackError,
    FormatError,
    Location,
    OptionError,
    Outcome,
    changed_file_error,
    outcome_error,
    with_location,
)
from fastpack.files.escapes import raw_name
from fastpack.files.file_names import FileNames
from fastpack.files.image_folder import FolderRules, ImageFolder, scan_folder
from fastpack.files.shard import Shard
from fastpack.formats.file_options import Layout
from fastpack.formats.index.arrays import Column
from fastpack.formats.index.folder_files import Files
from fastpack.formats.index.index import Index
from fastpack.formats.index.kinds import GUESSED, Kinds, given_kind
from fastpack.formats.index_options import IndexOptions
from fastpack.formats.protocols import ShardPlan, Writer


class FolderContainer:
    name = "folder"
    title = "image folder"
    suffixes: tuple[str, ...] = ()
    layouts: tuple[Layout, ...] = ()
    index_options = frozenset({"class_folder", "sidecars"})
    saves_index = False  # the folder belongs to its user
    reads_objects = False

    def recognizes(self, head: bytes) -> bool:
        return False  # a folder has no first bytes

    def writer(self, path: Path, plan: ShardPlan, num_workers: int | None = None) -> Writer[Any]:
        message = "to write image files into a folder, use `fastpack extract`"
        raise OptionError(with_location(message, Location(path)))

    def refuse_fields(self, schema: Schema) -> None:
        """Refuse no field, since nothing is written."""

    def shard(self, path: Path) -> Shard:
        """Return the checksum of the names, sizes and times of all files."""
        found = scan_folder(path, FolderRules())
        sizes, times, faults = found.names.stat(found.faults)
        _raise_first(faults | dict(found.faults))
        return _identity(found, sizes.astype(np.uint64), times)

    def index(
        self,
        path: Path,
        *,
        check: bool = True,
        limits: Limits = DEFAULT_LIMITS,
        progress: BytesDone | None = None,
        kinds: Kinds = GUESSED,
    ) -> Index:
        """Index all files. They have no checksums, so reads compare sizes and times."""
        return _with_kinds(_index(scan_folder(path, FolderRules()), keep_going=False), kinds)

    def index_with(
        self, path: Path, options: IndexOptions, limits: Limits = DEFAULT_LIMITS
    ) -> Index:
        """Index the files; with `keep_damaged`, leave out and note those that cannot be opened."""
        rules = FolderRules(options.allow_external, options.class_folder, options.sidecars)
        return _with_kinds(
            _index(scan_folder(path, rules), keep_going=options.keep_damaged), options.kinds
        )

    def explain(self, path: Path) -> list[str]:
        return []

    def import_for_fetching(self) -> None:
        """Import nothing: this module imports all it needs."""

    def fetch(
        self, shard: Shard, field: Field, record_numbers: Sequence[int], files: Files | None = None
    ) -> list[Any]:
        """Return the bytes of files, which the index numbers."""
        if files is None:
            message = "the index does not name the files; delete it, and it is rebuilt"
            raise FormatError(with_location(message, Location(shard.path)))
        names = FileNames(_path_below(shard.path, raw_name(file)) for file in files.names)
        sizes, times, faults = names.stat()
        _raise_first(faults)
        if (times != files.times).any():
            raise changed_file_error(Location(names[int(np.argmax(times != files.times))]))
        offsets = offsets_of(sizes)
        values = np.empty(offsets[-1], np.uint8)
        return list(names.read(np.arange(len(names)), values, offsets))


FOLDER = FolderContainer()


def _raise_first(faults: dict[int, FastpackError]) -> None:
    if faults:
        raise faults[min(faults)]


def _index(found: ImageFolder, *, keep_going: bool) -> Index:
    _, _, missing = found.names.stat(found.faults)
    faults = missing | dict(found.faults)
    if not keep_going:
        _raise_first(faults)
    rows = np.delete(np.arange(len(found.files)), list(faults))
    names = [os.fsencode(found.root / file) for file in found.files.take(rows)]
    sizes, times = np.empty(len(rows), np.uint64), np.empty(len(rows), np.int64)
    infos = np.zeros(len(rows), IMAGE_INFO)
    unreadable = _probe(found, rows, names, sizes, times, infos) if len(rows) else {}
    if not keep_going:
        _raise_first(unreadable)
    is_good = ~np.isin(rows, list(unreadable))
    faults |= unreadable
    if not is_good.any():
        message = f"no image here can be read, the first: {faults[min(faults)]}; check the folder"
        raise EmptySourceError(with_location(message, Location(found.root)))
    shard = _identity(found, sizes[is_good], times[is_good])
    return _table(
        found, rows[is_good], shard, sizes[is_good], times[is_good], infos[is_good], _note(faults)
    )


def _with_kinds(index: Index, kinds: Kinds) -> Index:
    if given_kind(kinds, "image")[0] != "mask":
        return index
    fields = tuple(
        replace(field, kind="mask") if field.name == "image" else field
        for field in index.schema.fields
    )
    return replace(index, schema=replace(index.schema, fields=fields))


def _probe(
    found: ImageFolder, rows: Rows, names: list[bytes], sizes: Any, times: Any, infos: Any
) -> dict[int, FastpackError]:
    """Fill the tables from the files' headers; return the files that cannot be read, by row."""

    def fault(outcome: Outcome, row: int) -> FastpackError:
        return outcome_error(outcome, Location(found.root / found.files[row]))

    outcomes = [
        outcome for outcome in run_in_threads(ProbeFiles(names, sizes, times, infos).run) if outcome
    ]
    if not outcomes:
        return {}
    each = (
        ProbeFiles([name], *(array[i : i + 1] for array in (sizes, times, infos))).run()
        for i, name in enumerate(names)
    )
    return {
        row: fault(outcome, row)
        for row, outcome in zip(rows.tolist(), each, strict=True)
        if outcome
    }


def _note(faults: dict[int, FastpackError]) -> tuple[str, ...]:
    if not faults:
        return ()
    which = "1 file or folder" if len(faults) == 1 else f"{len(faults):,} files and folders"
    first = faults[min(faults)]
    return (f"left out {which} that cannot be read, or must not; the first: {first}",)


def _table(
    found: ImageFolder,
    rows: Rows,
    shard: Shard,
    sizes: Any,
    times: Rows,
    infos: Any,
    notes: tuple[str, ...],
) -> Index:
    beside = found.columns()
    labels = beside.pop("label", found.labels)
    columns: dict[str, Column] = {} if labels is None else {"label": labels}
    columns |= {"key": found.keys, **beside}
    fields = [
        Field("image", "image"),
        *(_field_of(name, column) for name, column in columns.items()),
    ]
    spans = np.zeros(len(rows), SPAN)
    spans["offset"], spans["length"] = NO_SPAN, sizes
    columns = {
        name: column.take(rows) if isinstance(column, Ragged) else column[rows]
        for name, column in columns.items()
    }
    return Index(
        (shard,),
        Schema(tuple(fields), found.class_names),
        np.zeros(len(rows), np.uint32),
        np.arange(len(rows)),
        columns,
        {"image": spans},
        {"image": infos},
        files=Files(columns["key"], times),  # type: ignore[arg-type]  # a Text
        notes=found.notes + notes,
    )


def _field_of(name: str, column: Column) -> Field:
    return Field(name, "text") if isinstance(column, Text) else Field(name, "int", dtype="int64")


def _identity(
    found: ImageFolder, sizes: npt.NDArray[np.uint64], times: npt.NDArray[np.int64]
) -> Shard:
    """Return an identity that covers the files, their sidecars and the notes on left-out ones."""
    fingerprint = crc32c(os.fsencode("\0".join((*found.files, *found.class_names, *found.notes))))
    fingerprint = crc32c(times.view(np.uint8), crc32c(sizes.view(np.uint8), fingerprint))
    for sidecar in found.sidecars:
        fingerprint = crc32c(sidecar.stamp(), fingerprint)
    return Shard(found.root, FOLDER.name, int(sizes.sum()), int(times.max(initial=0)), fingerprint)


def _path_below(root: Path, file: str) -> str:
    """Return the path of a file. Raises FormatError if it is outside the folder.

    An index of another program could name any file.
    """
    if file.startswith("/") or ".." in file.split("/"):
        message = f"the index names {file!r}, outside the folder; delete it, and it is rebuilt"
        raise FormatError(with_location(message, Location(root)))
    return os.path.join(root, file)
