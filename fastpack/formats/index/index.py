"""Index: the table of a dataset's samples. Scalars as columns in memory, blobs as places in files."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.spans import first_outside
from fastpack.core.checks import settle
from fastpack.core.dtypes import IMAGE_INFO, SPAN
from fastpack.core.ragged import (
    Ragged,
    Text,
    concatenate_values,
    flat_values,
    owners,
    read_only,
    take,
    to_arrays,
)
from fastpack.core.schema import Field, Schema
from fastpack.errors import (
    FastpackError,
    FormatError,
    Location,
    OptionError,
    TruncatedFileError,
    status_error,
    with_location,
)
from fastpack.files.atomic import atomic_write
from fastpack.files.classes import ClassMap
from fastpack.files.shard import Shard
from fastpack.formats.index.arrays import (
    Column,
    are_alike,
    are_pixels,
    are_places,
    chunk_tables,
    escaped,
    from_arrays,
    is_column,
)
from fastpack.formats.index.chunks import ChunkTable
from fastpack.formats.index.digest import RecordDigest
from fastpack.formats.index.folder_files import Files
from fastpack.formats.index.joined_schema import common_schema
from fastpack.images.seek_points import SeekPoints

INDEX_VERSION = 1
_LOST = {
    5: "the record differs from its CRC32C",
    7: "the record is not a tf.train.Example",
}  # by kernels' status


@dataclass(frozen=True, eq=False)
class Index:
    """Where the samples of some shards are, and what is known of them. Immutable.

    - shard_numbers (n,) uint32, record_numbers (n,) int64: which record of which shard a sample is.
    - columns: field name -> (n,) array, Text or Ragged.
    - spans: blob name -> (n,) SPAN; of a list of blobs, Ragged of SPAN.
    - infos: image or mask name -> IMAGE_INFO, one for each span.
    - files (n,): what is known of the samples in a shard that is a folder; None when there is none.
    - chunks: pixels name -> shard number -> ChunkTable: of samples that have no span; record numbers count in it.
    - seek_points: image name -> Seek points (n,), where they were made.
    - original_digest: of the file as it was first indexed, when it has changed since.
    - lost (n,) uint8: 0, or for a sample of which nothing is known the kernels' status that says why; None when there are none.
      Such an index is not saved.
    - notes: what was guessed about the files, or left out of them, a sentence each.
    - receipt: a digest of the pack that wrote the file, by which the same pack knows that it was finished; "" where it is not known.
    """

    shards: tuple[Shard, ...]
    schema: Schema
    shard_numbers: npt.NDArray[np.uint32]
    record_numbers: npt.NDArray[np.int64]
    columns: Mapping[str, Column]
    spans: Mapping[str, Any]
    infos: Mapping[str, Any]
    chunks: Mapping[str, Mapping[int, ChunkTable]] = dataclass_field(default_factory=dict)
    files: Files | None = None
    seek_points: Mapping[str, SeekPoints] = dataclass_field(default_factory=dict)
    original_digest: RecordDigest | None = None
    lost: npt.NDArray[np.uint8] | None = None
    notes: tuple[str, ...] = ()
    receipt: str = ""

    def __post_init__(self) -> None:
        """Takes views that cannot be written to: readers, threads and parts share these arrays."""
        for name in ("shard_numbers", "record_numbers", "lost"):
            if (values := getattr(self, name)) is not None:
                settle(self, **{name: read_only(values)})
        for name in ("columns", "spans", "infos"):
            settle(
                self,
                **{name: {key: read_only(values) for key, values in getattr(self, name).items()}},
            )

    def __len__(self) -> int:
        return len(self.record_numbers)

    def take(self, rows: npt.NDArray[np.int64]) -> "Index":
        """The given samples, in that order."""
        return replace(
            self,
            shard_numbers=self.shard_numbers[rows],
            record_numbers=self.record_numbers[rows],
            columns={name: take(column, rows) for name, column in self.columns.items()},
            spans={name: take(spans, rows) for name, spans in self.spans.items()},
            infos={name: take(infos, rows) for name, infos in self.infos.items()},
            files=None if self.files is None else self.files.take(rows),
            seek_points={
                name: seek_points.take(rows) for name, seek_points in self.seek_points.items()
            },
            lost=None if self.lost is None else self.lost[rows],
        )

    def select(self, names: Mapping[str, str]) -> "Index":
        """The fields that `names` (new name -> name here, or in the file) lists, under their new names."""
        found = {new: self._find_field(old).name for new, old in names.items()}
        fields = tuple(
            replace(self.schema[old], name=new, stored_as=self.schema[old].source_name)
            for new, old in found.items()
        )
        return replace(
            self,
            schema=replace(self.schema, fields=fields),
            columns={new: self.columns[old] for new, old in found.items() if old in self.columns},
            spans={new: self.spans[old] for new, old in found.items() if old in self.spans},
            infos={new: self.infos[old] for new, old in found.items() if old in self.infos},
            chunks={new: self.chunks[old] for new, old in found.items() if old in self.chunks},
            seek_points={
                new: self.seek_points[old] for new, old in found.items() if old in self.seek_points
            },
        )

    def relabeled(self, class_names: tuple[str, ...]) -> "Index":
        """The same samples, whose labels count in `class_names`. Raises SourceError for a class that is not among these."""
        if "label" not in self.columns:
            raise OptionError(
                with_location(
                    "there are no labels to count in the classes; leave classes out",
                    self.location(0),
                )
            )
        labels = ClassMap.between(self.schema.class_names, class_names).relabeled(
            self.columns["label"]
        )
        return replace(
            self,
            columns={**self.columns, "label": labels},
            schema=replace(self.schema, class_names=class_names),
        )

    def has_fields(self, names: Sequence[str]) -> bool:
        """True when each is a field here, or in the file."""
        known = {name for field in self.schema.fields for name in (field.name, field.source_name)}
        return all(name in known or name.strip("/") in known for name in names)

    def _find_field(self, name: str) -> Any:
        if name not in self.schema:
            for field in self.schema.fields:
                if field.source_name in (name, name.strip("/")):
                    return field
        return self.schema[name]  # raises SchemaError, which lists the fields

    def location(self, row: int, *, offset: int | None = None) -> Location:
        """Where sample `row` comes from, for messages."""
        keys = self.columns.get("key")
        return Location(
            self.shards[int(self.shard_numbers[row])].path,
            record=int(self.record_numbers[row]),
            offset=offset,
            key=keys[int(row)] if isinstance(keys, Text) else None,
        )

    def failures(self, rows: npt.NDArray[np.int64]) -> dict[int, FastpackError]:
        """Which of these samples are lost, by their place in `rows`, and what is to be said of them."""
        if self.lost is None:
            return {}
        statuses = self.lost[rows]
        lost = np.flatnonzero(statuses).tolist()
        return {
            row: status_error(
                int(statuses[row]), _LOST[int(statuses[row])], self.location(int(rows[row]))
            )
            for row in lost
        }

    @property
    def record_digest(self) -> RecordDigest | None:
        """What the records of this file are known by; None when there are no blobs, or several files."""
        spans = self.record_spans
        return RecordDigest.of(spans) if spans is not None and len(self.shards) == 1 else None

    @property
    def record_spans(self) -> npt.NDArray[Any] | None:
        """A span of each record, (n,); None when some record has no blob."""
        blobs = sorted(self.schema.blobs, key=lambda field: field.is_list)
        spans = self.spans[blobs[0].name] if blobs else None
        if not isinstance(spans, Ragged):
            return spans
        return spans.values[spans.offsets[:-1]] if spans.lengths.all() else None

    def remembering(self, earlier: "Index | None") -> "Index":
        """This index, and what an earlier one of the same file says that the file held at first."""
        return (
            self
            if earlier is None
            else replace(self, original_digest=earlier.original_digest or earlier.record_digest)
        )

    def check_spans(self) -> None:
        """Raises TruncatedFileError when a span goes past its file, FormatError when it names no file."""
        sizes = np.array([shard.size for shard in self.shards], np.uint64)
        for name, spans in self.spans.items():
            of_blobs = flat_values(spans)
            if (number := first_outside(of_blobs, sizes)) < 0:
                continue
            if of_blobs["shard"][number] >= len(sizes):
                raise FormatError(
                    f"{name}: a span names a shard that the index does not have; build the index again"
                )
            location = self.location(
                int(owners(spans)[number]), offset=int(of_blobs["offset"][number])
            )
            raise TruncatedFileError(
                with_location(
                    f"{name} lies past the end of the file; restore the file from its source",
                    location,
                )
            )

    def check_chunks(self) -> None:
        """Raises FormatError or TruncatedFileError when a table of chunks does not fit its file, its field or the samples."""
        for name, tables in self.chunks.items():
            field = self.schema[name]
            for number, table in tables.items():
                if not 0 <= number < len(self.shards):
                    raise FormatError(
                        f"{name}: a table of chunks names a shard that the index does not have; build the index again"
                    )
                location = Location(self.shards[number].path)
                table.check(self.shards[number].size, location)
                records = self.record_numbers[self.shard_numbers == number]
                fits = (
                    table.shape[1:] == field.shape
                    and len(table.fill) == np.dtype(field.dtype).itemsize
                )
                if not fits or (
                    len(records) and not 0 <= records.min() <= records.max() < table.shape[0]
                ):
                    raise FormatError(
                        with_location(
                            f"the chunks of {name} are of another shape; delete the index and it is built again",
                            location,
                        )
                    )

    def save(self, path: Path, *, sync: bool = False) -> None:
        """Writes an uncompressed .npz; shards are named without their folder. With `sync`, waits for the disk."""
        arrays: dict[str, npt.NDArray[Any]] = {
            "shard_numbers": self.shard_numbers,
            "record_numbers": self.record_numbers,
            "about": np.frombuffer(self._about().encode(), np.uint8),
        }
        for kind, tables in {
            "column": self.columns,
            "span": self.spans,
            "info": self.infos,
        }.items():
            for name, table in tables.items():
                arrays |= to_arrays(f"{kind}/{escaped(name)}", table)
        for name, seek_points in self.seek_points.items():
            arrays |= seek_points.to_arrays(f"seek_points/{escaped(name)}")
        for name, of_shards in self.chunks.items():
            for number, chunks in of_shards.items():
                arrays |= chunks.to_arrays(f"chunk/{number}/{escaped(name)}")
        if self.files is not None:
            arrays["file_times"] = self.files.times
        from fastpack.files.npz import save_npz

        with atomic_write(path, sync=sync) as temporary:
            save_npz(temporary, arrays)

    def _about(self) -> str:
        folder = self.shards[0].path.parent
        shards = [
            [
                os.path.relpath(shard.path, folder),
                shard.container,
                shard.size,
                shard.mtime_ns,
                shard.fingerprint,
            ]
            for shard in self.shards
        ]
        # A folder's files are called by their keys, so they are saved as such.
        about = {
            "version": INDEX_VERSION,
            "schema": self.schema.to_json(),
            "shards": shards,
            "has_files": self.files is not None,
        }
        about["escaped"] = True  # the names of the arrays
        if self.notes:
            about["notes"] = self.notes
        if self.receipt:
            about["receipt"] = self.receipt
        if self.original_digest is not None:
            about["first_seal"] = [self.original_digest.num_records, self.original_digest.digest]
        return json.dumps(about)

    @classmethod
    def load(
        cls, path: Path, folder: Path | None = None, *, max_bytes: int | None = None
    ) -> "Index":
        """The index in a file, of shards in `from_folder`; None is the folder of the file. `max_bytes` is what the file may have.

        Raises FormatError when the file is damaged, hostile or of another version.
        """
        # Late: zipfile takes a tenth of the time that importing fastpack may take.
        from fastpack.files.npz import NPZ_ERRORS, load_npz

        try:
            index = cls._of_arrays(load_npz(path, max_bytes), folder or path.parent)
            index._check_shape()
            index.check_spans()
            index.check_chunks()
        except FastpackError:
            raise
        except NPZ_ERRORS as error:
            raise FormatError(
                f"the index is damaged ({error}); delete it and it is built again - at {path}"
            ) from error
        return index

    @classmethod
    def _of_arrays(cls, arrays: dict[str, npt.NDArray[Any]], folder: Path) -> "Index":
        arrays = _with_present_names(arrays)
        about = json.loads(arrays["about"].tobytes())
        if about["version"] != INDEX_VERSION:
            raise FormatError(
                f"the index has version {about['version']}, not {INDEX_VERSION}; delete it and it is built again"
            )
        schema = Schema.from_json(about["schema"])
        images = [field.name for field in schema.blobs if field.is_image_file]
        stored = escaped if about.get("escaped") else str
        n = len(arrays["record_numbers"])
        scalars = [name for name in images if not schema[name].is_list]
        seek_points = {
            name: SeekPoints.from_arrays(f"seek_points/{stored(name)}", arrays, n)
            for name in scalars
        }
        columns = {
            field.name: from_arrays(f"column/{stored(field.name)}", arrays, field)
            for field in schema.columns
        }
        return cls(
            shards=tuple(Shard(folder / shard[0], *shard[1:]) for shard in about["shards"]),
            schema=schema,
            shard_numbers=arrays["shard_numbers"],
            record_numbers=arrays["record_numbers"],
            columns=columns,
            spans={
                field.name: from_arrays(f"span/{stored(field.name)}", arrays, field)
                for field in schema.blobs
            },
            infos={
                name: from_arrays(f"info/{stored(name)}", arrays, schema[name]) for name in images
            },
            chunks={
                field.name: chunk_tables(stored(field.name), len(about["shards"]), arrays)
                for field in schema.blobs
                if field.kind == "pixels"
            },
            seek_points={
                name: tables for name, tables in seek_points.items() if tables is not None
            },
            files=Files(columns["key"], arrays["file_times"]) if about.get("has_files") else None,  # type: ignore[arg-type]  # _check_shape looks
            original_digest=RecordDigest(*map(int, about["first_seal"]))
            if "first_seal" in about
            else None,
            notes=tuple(map(str, about.get("notes", ()))),
            receipt=str(about.get("receipt", "")),
        )

    def _check_shape(self) -> None:
        """What a file could say that is no table of samples: any of it means that the index is damaged or a lie."""
        n, sound = len(self), True
        tables: list[tuple[npt.NDArray[Any], np.dtype[Any]]] = [
            (self.shard_numbers, np.dtype(np.uint32)),
            (self.record_numbers, np.dtype(np.int64)),
        ]
        if self.files is not None:
            tables.append((self.files.times, np.dtype(np.int64)))
            sound = isinstance(self.files.names, Text) and len(self.files.names) == n
        sound = sound and all(
            table.shape == (n,) and table.dtype == dtype for table, dtype in tables
        )
        sound = sound and all(
            are_places(self.schema[name], spans, SPAN, n) for name, spans in self.spans.items()
        )
        sound = sound and all(
            are_places(self.schema[name], infos, IMAGE_INFO, n)
            for name, infos in self.infos.items()
        )
        sound = sound and all(
            are_alike(self.spans[name], infos) for name, infos in self.infos.items()
        )
        sound = sound and all(
            is_column(self.columns[field.name], field, n) for field in self.schema.columns
        )
        sound = sound and (n == 0 or int(self.shard_numbers.max()) < len(self.shards))
        sound = sound and all(
            are_pixels(field, self.spans[field.name])
            for field in self.schema.blobs
            if field.kind == "pixels"
        )
        if not sound:
            raise FormatError(
                "the index has tables of another type or length; delete it and it is built again"
            )


def _with_present_names(arrays: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Arrays by their present names: indexes saved before seek points had this name are read too."""
    return {re.sub("^checkpoint/", "seek_points/", name): values for name, values in arrays.items()}


def concatenate(indexes: Sequence[Index]) -> Index:
    """One index over the samples of all, in order. Raises SchemaError when their fields differ."""
    if len(indexes) == 1:
        return indexes[0]
    schema = common_schema([(index.shards[0].path, index.schema) for index in indexes])
    first_shard = np.cumsum([0, *(len(index.shards) for index in indexes[:-1])])
    return Index(
        shards=tuple(shard for index in indexes for shard in index.shards),
        schema=schema,
        shard_numbers=np.concatenate(
            [
                index.shard_numbers + np.uint32(first)
                for index, first in zip(indexes, first_shard, strict=True)
            ]
        ),
        record_numbers=np.concatenate([index.record_numbers for index in indexes]),
        columns={
            field.name: _concatenate(
                [index.columns[field.name] for index in indexes], field.is_list
            )
            for field in schema.columns
        },
        spans={
            field.name: _concatenate_spans(
                [index.spans[field.name] for index in indexes], first_shard, field
            )
            for field in schema.blobs
        },
        infos={
            name: _concatenate([index.infos[name] for index in indexes], schema[name].is_list)
            for name in indexes[0].infos
        },
        chunks={
            field.name: _join_tables(
                [index.chunks.get(field.name, {}) for index in indexes], first_shard
            )
            for field in schema.blobs
        },
        files=Files.concatenate(
            [index.files for index in indexes], [len(index) for index in indexes]
        ),
        seek_points=_join_seek_points(indexes, schema),
        lost=_join_lost(indexes),
        notes=tuple(
            dict.fromkeys(
                [
                    *(note for index in indexes for note in index.notes),
                    *_notes_on_classes(indexes, schema),
                ]
            )
        ),
    )


def _join_lost(indexes: Sequence[Index]) -> npt.NDArray[np.uint8] | None:
    if all(index.lost is None for index in indexes):
        return None
    return np.concatenate(
        [np.zeros(len(index), np.uint8) if index.lost is None else index.lost for index in indexes]
    )


def _join_seek_points(indexes: Sequence[Index], schema: Schema) -> dict[str, SeekPoints]:
    """Where some have none, those of the others are kept. Lists of images have none."""
    names = dict.fromkeys(
        name for index in indexes for name in index.seek_points if not schema[name].is_list
    )
    pieces = {
        name: [index.seek_points.get(name) or SeekPoints.none(len(index)) for index in indexes]
        for name in names
    }
    return {name: SeekPoints.concatenate(tables) for name, tables in pieces.items()}


def _notes_on_classes(indexes: Sequence[Index], schema: Schema) -> Iterator[str]:
    """On files whose labels get the class names of others."""
    named = next((index for index in indexes if index.schema.class_names), None)
    for index in indexes:
        if named is None or index.schema.class_names or "label" not in index.columns:
            continue
        labels = flat_values(index.columns["label"])
        if (
            isinstance(labels, np.ndarray)
            and ((labels >= 0) & (labels < len(schema.class_names))).any()
        ):
            path = index.shards[0].path.name
            yield f"{path} has labels without class names; they are taken to count in those of {named.shards[0].path.name}"


def _concatenate(columns: list[Column], is_list: bool) -> Column:
    """Scalars of one shard become lists of one where another shard has lists."""
    if is_list:
        columns = [c if type(c) is Ragged else Ragged(c, np.arange(len(c) + 1)) for c in columns]
    return concatenate_values(columns)  # type: ignore[no-any-return]


def _concatenate_spans(pieces: list[Any], first_shard: npt.NDArray[np.int64], field: Field) -> Any:
    spans = _concatenate(pieces, field.is_list)
    flat_values(spans)["shard"] += np.repeat(
        first_shard, [len(flat_values(piece)) for piece in pieces]
    ).astype(np.uint32)
    return spans


def _join_tables(
    pieces: list[Mapping[int, ChunkTable]], first_shard: npt.NDArray[np.int64]
) -> dict[int, ChunkTable]:
    return {
        number + int(first): table
        for tables, first in zip(pieces, first_shard, strict=True)
        for number, table in tables.items()
    }
