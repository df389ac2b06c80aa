"""Index: the table of a dataset's samples. Scalars as columns in memory, blobs as places in files."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.errors import FastpackError, FormatError, Place, SchemaError, TruncatedFileError, at
from fastpack.ragged import Ragged, Text, concatenate_values
from fastpack.schema import Field, Schema, merge_class_names
from fastpack.shard import Shard, written_whole
from fastpack.structs import IMAGE_INFO, NO_SPAN, SPAN

Column = npt.NDArray[Any] | Ragged
INDEX_VERSION = 1
_INDEX_SUFFIX = ".index.npz"


@dataclass(frozen=True, eq=False)
class Index:
    """Where the samples of some shards are, and what is known of them. Immutable.

    - shard_numbers (n,) uint32, record_numbers (n,) int64: which record of which shard a sample is.
    - columns: field name -> (n,) array, Text or Ragged.
    - spans: blob name -> (n,) SPAN.
    - infos: image name -> (n,) IMAGE_INFO.
    """

    shards: tuple[Shard, ...]
    schema: Schema
    shard_numbers: npt.NDArray[np.uint32]
    record_numbers: npt.NDArray[np.int64]
    columns: Mapping[str, Column]
    spans: Mapping[str, npt.NDArray[Any]]
    infos: Mapping[str, npt.NDArray[Any]]

    def __len__(self) -> int:
        return len(self.record_numbers)

    def take(self, rows: npt.NDArray[np.int64]) -> "Index":
        """The given samples, in that order."""
        return replace(
            self,
            shard_numbers=self.shard_numbers[rows],
            record_numbers=self.record_numbers[rows],
            columns={name: _take(column, rows) for name, column in self.columns.items()},
            spans={name: spans[rows] for name, spans in self.spans.items()},
            infos={name: infos[rows] for name, infos in self.infos.items()},
        )

    def select(self, names: Mapping[str, str]) -> "Index":
        """The fields that `names` (new name -> name here, or in the file) lists, under their new names."""
        found = {new: self._find_field(old).name for new, old in names.items()}
        fields = tuple(replace(self.schema[old], name=new, stored_as=self.schema[old].source_name) for new, old in found.items())
        return replace(
            self,
            schema=replace(self.schema, fields=fields),
            columns={new: self.columns[old] for new, old in found.items() if old in self.columns},
            spans={new: self.spans[old] for new, old in found.items() if old in self.spans},
            infos={new: self.infos[old] for new, old in found.items() if old in self.infos},
        )

    def _find_field(self, name: str) -> Any:
        for field in self.schema.fields:
            if name in (field.name, field.source_name):
                return field
        return self.schema[name]  # which raises, and lists what there is

    def place(self, row: int, *, offset: int | None = None) -> Place:
        """Where sample `row` comes from, for messages."""
        keys = self.columns.get("key")
        return Place(
            self.shards[int(self.shard_numbers[row])].path,
            record=int(self.record_numbers[row]),
            offset=offset,
            key=keys[int(row)] if isinstance(keys, Text) else None,
        )

    def check_spans(self) -> None:
        """Raises TruncatedFileError when a span goes past its file, FormatError when it names no file."""
        sizes = np.array([shard.size for shard in self.shards], np.uint64)
        for name, spans in self.spans.items():
            if (spans["shard"] >= len(sizes)).any():
                raise FormatError(f"{name}: a span names a shard that the index does not have; build the index again")
            placed = spans["offset"] != NO_SPAN
            limits = sizes[spans["shard"]]
            outside = placed & ~_within(spans["offset"], spans["length"], limits)
            outside |= ~_within(spans["record_offset"], spans["record_length"], limits)
            if outside.any():
                row = int(np.flatnonzero(outside)[0])
                place = self.place(row, offset=int(spans["offset"][row]))
                raise TruncatedFileError(at(f"{name} lies past the end of the file; restore the file from its source", place))

    def save(self, path: Path) -> None:
        """Writes an uncompressed .npz; shards are named relative to its folder."""
        arrays: dict[str, npt.NDArray[Any]] = {
            "shard_numbers": self.shard_numbers,
            "record_numbers": self.record_numbers,
            "about": np.frombuffer(self._about(path.parent).encode(), np.uint8),
        }
        for name, column in self.columns.items():
            arrays |= _to_arrays(f"column/{name}", column)
        arrays |= {f"span/{name}": spans for name, spans in self.spans.items()}
        arrays |= {f"info/{name}": infos for name, infos in self.infos.items()}
        with written_whole(path, sync=False) as temporary, open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def _about(self, folder: Path) -> str:
        shards = [
            [str(shard.path.relative_to(folder)), shard.container, shard.size, shard.mtime_ns, shard.fingerprint] for shard in self.shards
        ]
        return json.dumps({"version": INDEX_VERSION, "schema": self.schema.to_json(), "shards": shards})

    @classmethod
    def load(cls, path: Path) -> "Index":
        """Raises FormatError when the file is damaged, hostile or of another version."""
        import zipfile  # a tenth of the time that importing fastpack may take

        try:
            with zipfile.ZipFile(path) as members:
                if any(member.compress_type != zipfile.ZIP_STORED for member in members.infolist()):
                    raise FormatError(f"an index is never compressed; delete it - at {path}")
            with np.load(path, allow_pickle=False) as arrays:
                index = cls._from_arrays(dict(arrays), path.parent)
            index._check_shape()
            index.check_spans()
        except FastpackError:
            raise
        except (OSError, ValueError, KeyError, TypeError, IndexError, EOFError, MemoryError, RecursionError, zipfile.BadZipFile) as error:
            raise FormatError(f"the index is damaged ({error}); delete it and it is built again - at {path}") from error
        return index

    @classmethod
    def _from_arrays(cls, arrays: dict[str, npt.NDArray[Any]], folder: Path) -> "Index":
        about = json.loads(arrays["about"].tobytes())
        if about["version"] != INDEX_VERSION:
            raise FormatError(f"the index has version {about['version']}, not {INDEX_VERSION}; delete it and it is built again")
        schema = Schema.from_json(about["schema"])
        columns = {field.name: _from_arrays(f"column/{field.name}", arrays, field) for field in schema.columns}
        return cls(
            shards=tuple(Shard(folder / shard[0], *shard[1:]) for shard in about["shards"]),
            schema=schema,
            shard_numbers=arrays["shard_numbers"],
            record_numbers=arrays["record_numbers"],
            columns=columns,
            spans={field.name: arrays[f"span/{field.name}"] for field in schema.blobs},
            infos={field.name: arrays[f"info/{field.name}"] for field in schema.blobs if field.kind == "image"},
        )

    def _check_shape(self) -> None:
        """What a file could say that is no table of samples: any of it means that the index is damaged or a lie."""
        n = len(self)
        tables: list[tuple[npt.NDArray[Any], np.dtype[Any]]] = [
            (self.shard_numbers, np.dtype(np.uint32)),
            (self.record_numbers, np.dtype(np.int64)),
            *((spans, SPAN) for spans in self.spans.values()),
            *((infos, IMAGE_INFO) for infos in self.infos.values()),
        ]
        sound = all(table.shape == (n,) and table.dtype == dtype for table, dtype in tables)
        sound = sound and all(_is_column(self.columns[field.name], field, n) for field in self.schema.columns)
        sound = sound and (n == 0 or int(self.shard_numbers.max()) < len(self.shards))
        sound = sound and all(_are_pixels(field, self.spans[field.name]) for field in self.schema.blobs if field.kind == "pixels")
        if not sound:
            raise FormatError("the index has tables of another type or length; delete it and it is built again")


def _is_column(column: Column, field: Field, num_samples: int) -> bool:
    if isinstance(column, Ragged):
        return len(column) == num_samples and isinstance(column, Text) == (field.kind == "text" and field.shape == ())
    return column.shape == (num_samples,) and column.dtype.kind == {"int": "i", "float": "f"}.get(field.kind)


def _are_pixels(field: Field, spans: npt.NDArray[Any]) -> bool:
    """True when each span is as long as the numbers that the field says it holds."""
    dtype = np.dtype(field.dtype)
    sizes = [size for size in field.shape if isinstance(size, int) and size >= 0]
    num_bytes = math.prod(sizes) * dtype.itemsize
    return dtype.kind in "uif" and len(sizes) == len(field.shape) and bool((spans["length"] == num_bytes).all())


def index_path(shard: Path) -> Path:
    """Where the index of a shard is saved: beside it."""
    return shard.with_name(shard.name + _INDEX_SUFFIX)


def is_index(path: Path) -> bool:
    return path.name.endswith(_INDEX_SUFFIX)


def concatenate(indexes: Sequence[Index]) -> Index:
    """One index over the samples of all, in order. Raises SchemaError when their fields differ."""
    if len(indexes) == 1:
        return indexes[0]
    schema = _common_schema(indexes)
    first_shard = np.cumsum([0, *(len(index.shards) for index in indexes[:-1])])
    return Index(
        shards=tuple(shard for index in indexes for shard in index.shards),
        schema=schema,
        shard_numbers=np.concatenate([index.shard_numbers + np.uint32(first) for index, first in zip(indexes, first_shard, strict=True)]),
        record_numbers=np.concatenate([index.record_numbers for index in indexes]),
        columns={field.name: _concatenate([index.columns[field.name] for index in indexes], field.shape != ()) for field in schema.columns},
        spans={field.name: _concatenate_spans([index.spans[field.name] for index in indexes], first_shard) for field in schema.blobs},
        infos={name: np.concatenate([index.infos[name] for index in indexes]) for name in indexes[0].infos},
    )


def _common_schema(indexes: Sequence[Index]) -> Schema:
    first = indexes[0]
    fields = first.schema.fields
    for index in indexes[1:]:
        if [(f.name, f.kind) for f in index.schema.fields] != [(f.name, f.kind) for f in fields]:
            ours = ", ".join(f"{f.name}: {f.kind}" for f in fields)
            theirs = ", ".join(f"{f.name}: {f.kind}" for f in index.schema.fields)
            raise SchemaError(
                f"{first.shards[0].path} has the fields {ours}, but {index.shards[0].path} has {theirs}; "
                "open them apart, or choose what they share with fields=..."
            )
        fields = tuple(
            mine if mine.shape == other.shape else replace(mine, shape=(None,) * max(1, len(mine.shape)))
            for mine, other in zip(fields, index.schema.fields, strict=True)
        )
    return Schema(fields, merge_class_names([index.schema.class_names for index in indexes]))


def _concatenate(columns: list[Column], is_list: bool) -> Column:
    """Scalars of one shard become lists of one where another shard has lists."""
    if is_list:
        columns = [c if type(c) is Ragged else Ragged(c, np.arange(len(c) + 1)) for c in columns]
    return concatenate_values(columns)  # type: ignore[no-any-return]


def _concatenate_spans(pieces: list[npt.NDArray[Any]], first_shard: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    spans = np.concatenate(pieces)
    spans["shard"] += np.repeat(first_shard, [len(piece) for piece in pieces]).astype(np.uint32)
    return spans


def _to_arrays(name: str, column: Column) -> dict[str, npt.NDArray[Any]]:
    if not isinstance(column, Ragged):
        return {name: column}
    return {f"{name}/offsets": column.offsets, **_to_arrays(f"{name}/values", column.values)}


def _from_arrays(name: str, arrays: Mapping[str, npt.NDArray[Any]], field: Field) -> Column:
    if name in arrays:
        return arrays[name]
    offsets, is_list = arrays[f"{name}/offsets"], field.shape != ()
    if field.kind == "text" and not is_list:
        return Text(arrays[f"{name}/values"], offsets)
    inner = replace(field, shape=())
    return Ragged(_from_arrays(f"{name}/values", arrays, inner), offsets)


def _take(column: Column, rows: npt.NDArray[np.int64]) -> Column:
    return column.take(rows) if isinstance(column, Ragged) else column[rows]


def _within(offsets: npt.NDArray[np.uint64], lengths: npt.NDArray[np.uint64], limits: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """offset + length <= limit, without the sum, which could overflow."""
    return (offsets <= limits) & (lengths <= limits - np.minimum(offsets, limits))
