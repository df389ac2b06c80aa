"""HDF5: our two layouts, `encoded` and `pixels` (see hdf5_writers.py), and files that others wrote.

The library reads metadata; image bytes are read around it, since it holds one lock for the whole process.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c
from fastpack.containers import ShardPlan
from fastpack.containers.hdf5_writers import DATASETS, EncodedWriter, PixelsWriter
from fastpack.errors import FastpackError, FormatError, LimitError, Place, SchemaError, at, from_os_error, raise_status
from fastpack.headers import probe_blobs
from fastpack.index import Column, Index
from fastpack.limits import DEFAULT_LIMITS, Limits
from fastpack.ragged import Ragged, Text, offsets_of
from fastpack.schema import Field, Schema
from fastpack.shard import Shard
from fastpack.structs import IMAGE_INFO, NO_SPAN, SPAN

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# What h5py throws for a file whose bytes are damaged: it depends on which.
_LIBRARY_ERRORS = (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError)
_PROBED_BYTES = 8 * 2**20
_FIELDS = {dataset: field for field, dataset in DATASETS.items()}


class Hdf5Container:
    name = "hdf5"
    suffixes: tuple[str, ...] = (".h5", ".hdf5", ".hdf", ".he5")

    def recognises(self, head: bytes) -> bool:
        """The signature stands at byte 0, or at 512 and its doublings when a user block comes first."""
        return any(head[at_byte:].startswith(_SIGNATURE) for at_byte in (0, 512, 1024, 2048))

    def writer(self, path: Path, plan: ShardPlan, num_workers: int | None = None) -> EncodedWriter | PixelsWriter:
        field = plan.schema.picture
        if field is None:
            raise SchemaError("there is no image field to write")
        if field.kind == "pixels":
            return PixelsWriter(path, plan, field)
        if plan.layout == "pixels":
            raise SchemaError("the layout `pixels` needs decoded images of one size; give a size")
        return EncodedWriter(path, plan, field)

    def index(self, path: Path, *, check: bool = True, limits: Limits = DEFAULT_LIMITS) -> Index:
        shard = Shard.of(path, self.name)
        with _opened(path) as file:
            try:
                return _Table(path, file, shard, check).index()
            except MemoryError as error:
                raise LimitError(at("the file claims more samples than fit in memory; check it with h5dump", Place(path))) from error
            except _LIBRARY_ERRORS as error:
                raise _library_error(error, path) from error

    def fetch(self, path: Path, stored_as: str, record_numbers: Sequence[int]) -> list[Any]:
        with _opened(path) as file:
            try:
                dataset = _safe_dataset(file, stored_as)
                if dataset is None:
                    raise FormatError(at(f"there is no dataset {stored_as!r} at the root; delete the index", Place(path)))
                return [np.asarray(dataset[number]) for number in record_numbers]
            except _LIBRARY_ERRORS as error:
                raise _library_error(error, path) from error


HDF5 = Hdf5Container()


def _opened(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        if not path.exists():
            raise from_os_error(FileNotFoundError(2, "No such file"), "read", path) from error
        raise _library_error(error, path) from error


def _library_error(error: Exception, path: Path) -> FastpackError:
    """What HDF5 throws for a damaged file."""
    if isinstance(error, FastpackError):
        return error
    return FormatError(at(f"HDF5 cannot read the file ({error}); restore it from its source", Place(path)))


class _Table:
    """Finds images and columns in one open file, ours or somebody's."""

    def __init__(self, path: Path, file: h5py.File, shard: Shard, check: bool) -> None:
        self._path, self._file, self._shard, self._check = path, file, shard, check
        self._names = _FIELDS | _own_names(file)
        self._spans: dict[str, npt.NDArray[Any]] = {}
        self._infos: dict[str, npt.NDArray[Any]] = {}
        self._columns: dict[str, Column] = {}
        self._fields: list[Field] = []

    def index(self) -> Index:
        members = self._members()
        for name, member in members.items():
            if isinstance(member, h5py.Group):
                self._add_encoded(name, member)
            elif member.ndim >= 3 and member.dtype.kind in "uif":
                self._add_pixels(name, member)
            elif member.ndim == 1 and h5py.check_vlen_dtype(member.dtype) == np.uint8:
                self._add_fetched_images(name, member)
        if not self._fields:
            raise self._error(
                "the file has no dataset of images: none of three or more dimensions, and no group with `bytes` and `offsets`"
            )
        num_samples = len(next(iter(self._spans.values())))
        class_names = self._class_names(members)
        for name, member in members.items():
            if name != "class_names" and isinstance(member, h5py.Dataset) and member.shape == (num_samples,):
                self._add_column(name, member)
        odd = [name for name, spans in self._spans.items() if len(spans) != num_samples]
        if odd:
            raise self._error(f"{odd[0]} and {self._fields[0].name} have different numbers of samples")
        usual = ("image", "label", "key")
        fields = sorted(self._fields, key=lambda field: usual.index(field.name) if field.name in usual else len(usual))
        index = Index(
            (self._shard,),
            Schema(tuple(fields), class_names),
            np.zeros(num_samples, np.uint32),
            np.arange(num_samples),
            self._columns,
            self._spans,
            self._infos,
        )
        index.check_spans()
        return index

    def _public_name(self, dataset: str) -> str:
        """Our usual name for it, unless another dataset has that name."""
        usual = self._names.get(dataset, dataset)
        return dataset if usual in self._file else usual

    def _error(self, message: str) -> FormatError:
        return FormatError(at(f"{message}; name the datasets as in the README's description of the format", Place(self._path)))

    def _members(self) -> dict[str, Any]:
        """Datasets and groups at the root. A link may lead to another file, so only hard links count."""
        names = [name for name in self._file if isinstance(self._file.get(name, getlink=True), h5py.HardLink)]
        members = {name: self._file[name] for name in names}
        found = {name: member for name, member in members.items() if isinstance(member, (h5py.Dataset, h5py.Group))}
        return {name: member for name, member in found.items() if isinstance(member, h5py.Group) or member.shape is not None}

    def _vector(self, group: h5py.Group, name: str, kinds: str, length: int | None = None) -> h5py.Dataset:
        """A member of a group that must be there, in one dimension, of numbers of these kinds."""
        dataset = _safe_dataset(group, name)
        if dataset is None or dataset.ndim != 1 or dataset.dtype.kind not in kinds or length not in (None, len(dataset)):
            count = "" if length is None else f" {length}"
            raise self._error(f"{group.name}/{name} must be{count} integers in one dimension, in this file")
        return dataset

    def _refuse_external(self, dataset: h5py.Dataset) -> None:
        if dataset.external or dataset.is_virtual:
            raise self._error(f"{dataset.name} keeps its data in other files, which are not read")

    def _refuse_outside(self, first: int, num_bytes: int, name: str) -> None:
        if first + num_bytes > self._shard.size:
            raise_status(3, f"{name} goes past the end of the file", Place(self._path, offset=first))

    def _refuse_many(self, num_samples: int, name: str) -> None:
        """Each sample takes a byte at least, but in a dataset that claims to be larger than its file."""
        if num_samples > self._shard.size:
            message = f"{name} claims {num_samples} samples in a file of {self._shard.size} bytes; restore the file from its source"
            raise LimitError(at(message, Place(self._path)))

    def _add_encoded(self, name: str, group: h5py.Group) -> None:
        if "bytes" not in group or "offsets" not in group:
            return
        blob, stored_offsets = self._vector(group, "bytes", "u"), self._vector(group, "offsets", "iu")
        self._refuse_many(len(stored_offsets), stored_offsets.name)
        if blob.dtype != np.uint8:
            raise self._error(f"{blob.name} must be uint8")
        offsets = stored_offsets[...].astype(np.uint64)
        if len(offsets) < 1 or offsets[0] != 0 or (offsets[1:] < offsets[:-1]).any() or offsets[-1] > blob.shape[0]:
            raise self._error(f"{name}/offsets must rise from 0 to the number of bytes")
        first = _contiguous_offset(blob)
        if first is None:
            raise self._error(f"{name}/bytes must be one contiguous piece")
        self._refuse_outside(first, blob.shape[0], blob.name)
        field = Field(self._public_name(name), "image", stored_as=name)
        spans = np.zeros(len(offsets) - 1, SPAN)
        spans["offset"] = offsets[:-1] + np.uint64(first)
        spans["length"] = offsets[1:] - offsets[:-1]
        if "crc32c" in group:
            spans["crc32c"] = self._vector(group, "crc32c", "u", len(spans))[...]
            spans["record_offset"], spans["record_length"] = spans["offset"], spans["length"]
        self._fields.append(field)
        self._spans[field.name] = spans
        self._infos[field.name] = self._probe(spans)

    def _probe(self, spans: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Header facts of blobs that lie one after the other, read, and checked, in pieces of bounded size."""
        infos = np.zeros(len(spans), IMAGE_INFO)
        row = 0
        with open(self._path, "rb", buffering=0) as file:
            while row < len(spans):
                first = int(spans["offset"][row])
                ends = spans["offset"][row:] + spans["length"][row:]
                count = max(1, int(np.searchsorted(ends, first + _PROBED_BYTES, side="right")))
                piece = slice(row, row + count)
                data = np.frombuffer(os.pread(file.fileno(), int(ends[count - 1]) - first, first), np.uint8)
                blobs = Ragged(data, offsets_of(spans["length"][piece]))
                infos[piece], _ = probe_blobs(blobs)
                self._check_blobs(blobs, spans[piece], row)
                row += count
        return infos

    def _check_blobs(self, blobs: Ragged, spans: npt.NDArray[Any], first_record: int) -> None:
        if not self._check or not spans["record_length"].any():
            return
        for i, blob in enumerate(blobs):
            if crc32c(blob) != spans["crc32c"][i]:
                raise_status(5, "the image differs from its CRC32C", Place(self._path, first_record + i, int(spans["offset"][i])))

    def _add_pixels(self, name: str, dataset: h5py.Dataset) -> None:
        self._refuse_external(dataset)
        self._refuse_many(dataset.shape[0], dataset.name)
        color = _text_attribute(dataset, "color")
        known_color = color if color in ("RGB", "BGR", "GRAY") else ""
        field = Field(self._public_name(name), "pixels", tuple(dataset.shape[1:]), dataset.dtype.str, name, known_color)
        self._fields.append(field)
        if (first := _contiguous_offset(dataset)) is not None:
            self._refuse_outside(first, dataset.nbytes, dataset.name)
        self._spans[field.name] = _pixel_spans(dataset)

    def _add_fetched_images(self, name: str, dataset: h5py.Dataset) -> None:
        self._refuse_external(dataset)
        self._refuse_many(dataset.shape[0], dataset.name)
        field = Field(self._public_name(name), "image", stored_as=name)
        blobs = Ragged.of_bytes(np.asarray(row).tobytes() for row in dataset)
        self._fields.append(field)
        self._spans[field.name] = _no_spans(len(blobs), blobs.lengths)
        self._infos[field.name], _ = probe_blobs(blobs)

    def _add_column(self, name: str, dataset: h5py.Dataset) -> None:
        self._refuse_external(dataset)
        public = self._public_name(name)
        kind = dataset.dtype.kind
        if kind in "iub":
            self._fields.append(Field(public, "int", dtype="int64", stored_as=name))
            self._columns[public] = dataset[...].astype(np.int64)
        elif kind == "f":
            self._fields.append(Field(public, "float", dtype=dataset.dtype.newbyteorder("=").name, stored_as=name))
            self._columns[public] = dataset[...].astype(dataset.dtype.newbyteorder("="))
        elif h5py.check_string_dtype(dataset.dtype):
            self._fields.append(Field(public, "text", stored_as=name))
            self._columns[public] = Text.of_bytes(bytes(row) for row in dataset[...])

    def _class_names(self, members: dict[str, Any]) -> tuple[str, ...]:
        dataset = members.get("class_names")
        if not isinstance(dataset, h5py.Dataset) or not h5py.check_string_dtype(dataset.dtype) or dataset.ndim != 1:
            return ()
        self._refuse_external(dataset)
        return tuple(Text.of_bytes(bytes(row) for row in dataset[...]))


def _safe_dataset(group: h5py.Group, name: str) -> h5py.Dataset | None:
    """The dataset of that name right in the group: not through a link, and with its data in this file."""
    if "/" in name or not isinstance(group.get(name, getlink=True), h5py.HardLink):
        return None
    member = group[name]
    if not isinstance(member, h5py.Dataset) or member.shape is None or member.external or member.is_virtual:
        return None
    return member


def _text_attribute(member: h5py.File | h5py.Dataset, name: str) -> str:
    """An attribute of ours, or "". Only text of fixed length is read: that of variable length lies in a heap, and in
    a damaged heap the library can go round in circles for ever."""
    try:
        if name not in member.attrs or member.attrs.get_id(name).dtype.kind != "S":
            return ""
        return bytes(member.attrs[name]).decode("ascii", "replace")
    except (OSError, RuntimeError, KeyError, TypeError, ValueError):
        return ""


def _own_names(file: h5py.File) -> dict[str, str]:
    """Dataset name -> field name, as a file of ours says in its schema."""
    try:
        schema = Schema.from_json(_text_attribute(file, "schema"))
    except SchemaError:
        return {}
    return {field.stored_as: field.name for field in schema.fields if field.stored_as}


def _contiguous_offset(dataset: h5py.Dataset) -> int | None:
    """The byte of the file where the data begins, when they are one piece."""
    if dataset.chunks is not None or dataset.external:
        return None
    offset: int | None = dataset.id.get_offset()
    return offset


def _no_spans(num_samples: int, lengths: Any) -> npt.NDArray[Any]:
    spans = np.zeros(num_samples, SPAN)
    spans["offset"], spans["length"] = NO_SPAN, lengths
    return spans


def _pixel_spans(dataset: h5py.Dataset) -> npt.NDArray[Any]:
    """A span a sample, where samples lie in the file as they are; else none."""
    num_samples, sample_shape = dataset.shape[0], dataset.shape[1:]
    sample_bytes = int(np.prod(sample_shape)) * dataset.dtype.itemsize
    spans = _no_spans(num_samples, sample_bytes)
    rows = np.arange(num_samples)
    if (first := _contiguous_offset(dataset)) is not None:
        spans["offset"] = first + rows * sample_bytes
    elif dataset.chunks is not None and dataset.chunks[1:] == sample_shape and _is_unfiltered(dataset):
        chunk_offsets = _chunk_offsets(dataset)
        chunk = rows // dataset.chunks[0]
        placed = chunk_offsets[chunk] != NO_SPAN
        within = (rows % dataset.chunks[0] * sample_bytes).astype(np.uint64)
        spans["offset"][placed] = (chunk_offsets[chunk] + within)[placed]
    return spans


def _is_unfiltered(dataset: h5py.Dataset) -> bool:
    return bool(dataset.id.get_create_plist().get_nfilters() == 0)


def _chunk_offsets(dataset: h5py.Dataset) -> npt.NDArray[np.uint64]:
    """Where each chunk of samples begins, NO_SPAN for one that was never written. One walk over the
    library's table: asking for chunk after chunk would walk it each time."""
    offsets = np.full(-(-dataset.shape[0] // dataset.chunks[0]), NO_SPAN, np.uint64)

    def note(chunk: Any) -> None:
        offsets[chunk.chunk_offset[0] // dataset.chunks[0]] = chunk.byte_offset

    dataset.id.chunk_iter(note)
    return offsets
