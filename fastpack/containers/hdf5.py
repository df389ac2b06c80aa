"""HDF5, in two layouts that plain h5py opens: `encoded` (image files, as they are) and `pixels`.

The library makes and reads metadata. Image bytes are written and read around it, since it holds one
lock for the whole process.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c
from fastpack.batch import Batch
from fastpack.codecs import probe_blobs
from fastpack.containers import ShardPlan
from fastpack.errors import FormatError, Place, SchemaError, at, from_os_error, raise_status
from fastpack.index import Column, Index
from fastpack.limits import DEFAULT_LIMITS, Limits
from fastpack.ragged import Ragged, Text, offsets_of
from fastpack.schema import Field, Schema
from fastpack.shard import Shard
from fastpack.structs import IMAGE_INFO, NO_SPAN, SPAN

FORMAT_VERSION = 1
_CHUNK_BYTES = 2**20
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# What the datasets of our fields are called, as most people call them.
_DATASETS = {"image": "images", "label": "labels", "key": "keys"}
_FIELDS = {dataset: field for field, dataset in _DATASETS.items()}


class Hdf5Container:
    name = "hdf5"
    suffixes = (".h5", ".hdf5", ".hdf", ".he5")

    def recognises(self, head: bytes) -> bool:
        """The signature stands at byte 0, or at 512 and its doublings when a user block comes first."""
        return any(head[at_byte:].startswith(_SIGNATURE) for at_byte in (0, 512, 1024, 2048))

    def writer(self, path: Path, plan: ShardPlan, num_workers: int | None = None) -> "EncodedWriter | PixelsWriter":
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
            return _Table(path, file, shard).index()

    def fetch(self, path: Path, stored_as: str, record_numbers: Sequence[int]) -> list[Any]:
        with _opened(path) as file:
            return [np.asarray(file[stored_as][number]) for number in record_numbers]


HDF5 = Hdf5Container()


def _opened(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        if not path.exists():
            raise from_os_error(FileNotFoundError(2, "No such file"), "read", path) from error
        raise FormatError(at(f"HDF5 cannot open the file ({error}); restore it from its source", Place(path))) from error


# Writing


def _create(path: Path) -> h5py.File:
    # "earliest" is what every HDF5 reader since 1.6 opens.
    return h5py.File(path, "w", libver=("earliest", "v108"), locking=False)


class _ColumnWriter:
    """Collects the columns of a shard; they are written at its end, when their sizes are known."""

    def __init__(self, plan: ShardPlan) -> None:
        self._plan = plan
        self._fields = plan.schema.columns
        self._pieces: dict[str, list[Any]] = {field.name: [] for field in self._fields}

    def add(self, batch: Batch) -> None:
        for field in self._fields:
            self._pieces[field.name].append(batch[field.name])

    def write(self, file: h5py.File, layout: str) -> None:
        schema = self._plan.schema
        file.attrs["format"] = "fastpack"
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["layout"] = layout
        file.attrs["schema"] = Schema(schema.fields).to_json()
        for field in self._fields:
            name = _DATASETS.get(field.name, field.name)
            pieces = self._pieces[field.name]
            if field.kind == "text":
                file.create_dataset(name, data=_fixed_strings(Text.concatenate(pieces)))
            elif any(isinstance(piece, Ragged) for piece in pieces):
                raise SchemaError(f"HDF5 columns have one value a sample, {field.name!r} has lists; leave it out")
            else:
                file.create_dataset(name, data=np.concatenate(pieces).astype(field.dtype))
        if schema.class_names:
            file.create_dataset("class_names", data=_fixed_strings(Text.of(schema.class_names)))


def _fixed_strings(text: Text) -> npt.NDArray[Any]:
    """Fixed-length UTF-8: read in one go, where HDF5 looks up variable-length strings one by one."""
    length = max(1, int(text.lengths.max(initial=1)))
    rows = [text.bytes(i) for i in range(len(text))]
    return np.array(rows, h5py.string_dtype("utf-8", length))


class EncodedWriter:
    """`/images/bytes`: all files one after the other; `/images/offsets` and `/images/crc32c` find and check them.

    HDF5 lays the empty dataset out; then its bytes are written straight to their place in the file.
    """

    def __init__(self, path: Path, plan: ShardPlan, field: Field) -> None:
        self._path, self._field = path, field
        self._columns = _ColumnWriter(plan)
        self._lengths: list[npt.NDArray[np.int64]] = []
        self._crcs: list[int] = []
        with _create(path) as file:
            creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            creation.set_layout(h5py.h5d.CONTIGUOUS)
            creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            space = h5py.h5s.create_simple((plan.num_bytes,))
            group = file.create_group(_DATASETS.get(field.name, field.name))
            dataset = h5py.h5d.create(group.id, b"bytes", h5py.h5t.STD_U8LE, space, creation)
            first = dataset.get_offset()
        self._first, self._next, self._end = first, first, first + plan.num_bytes
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)

    def write(self, batch: Batch) -> None:
        blobs: Ragged = batch[self._field.name]
        if self._next + len(blobs.values) > self._end:
            raise SchemaError(f"the images have more bytes than the {self._end - self._first} that were planned")
        left = memoryview(np.ascontiguousarray(blobs.values))
        while left:
            written = os.pwrite(self._descriptor, left, self._next)
            left, self._next = left[written:], self._next + written
        self._lengths.append(blobs.lengths)
        self._crcs += [crc32c(blob) for blob in blobs]
        self._columns.add(batch)

    def close(self) -> None:
        self.abandon()
        if self._next != self._end:
            raise SchemaError(f"the images have {self._next - self._first} bytes, not the {self._end - self._first} that were planned")
        offsets = offsets_of(np.concatenate(self._lengths))
        with h5py.File(self._path, "r+", locking=False) as file:
            group = file[_DATASETS.get(self._field.name, self._field.name)]
            group.create_dataset("offsets", data=offsets.astype(np.uint64))
            group.create_dataset("crc32c", data=np.array(self._crcs, np.uint32))
            self._columns.write(file, "encoded")

    def abandon(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class PixelsWriter:
    """`/images` (N, H, W, C), in chunks of whole samples, each handed to the file as it is."""

    def __init__(self, path: Path, plan: ShardPlan, field: Field) -> None:
        if None in field.shape:
            raise SchemaError("the layout `pixels` needs images of one size; give a size")
        self._columns = _ColumnWriter(plan)
        sample_bytes = int(np.prod([size or 1 for size in field.shape])) * np.dtype(field.dtype).itemsize
        self._chunk = pixels_chunk(sample_bytes, plan.num_samples)
        self._file = _create(path)
        self._images = self._file.create_dataset(
            _DATASETS.get(field.name, field.name),
            shape=(plan.num_samples, *field.shape),
            dtype=field.dtype,
            chunks=(self._chunk, *field.shape),
        )
        self._field = field
        self._waiting = np.zeros((self._chunk, *self._images.shape[1:]), field.dtype)
        self._num_waiting = 0
        self._num_written = 0

    def write(self, batch: Batch) -> None:
        images = batch[self._field.name]
        self._columns.add(batch)
        while len(images):
            if self._num_waiting == 0 and len(images) >= self._chunk:
                self._write_chunk(images[: self._chunk])
                images = images[self._chunk :]
                continue
            taken = min(len(images), self._chunk - self._num_waiting)
            self._waiting[self._num_waiting : self._num_waiting + taken] = images[:taken]
            self._num_waiting += taken
            images = images[taken:]
            if self._num_waiting == self._chunk:
                self._write_chunk(self._waiting)
                self._num_waiting = 0

    def _write_chunk(self, chunk: npt.NDArray[Any]) -> None:
        first = (self._num_written, *([0] * (chunk.ndim - 1)))
        self._images.id.write_direct_chunk(first, np.ascontiguousarray(chunk))
        self._num_written += self._chunk

    def close(self) -> None:
        with self._file as file:
            if self._num_waiting:
                self._waiting[self._num_waiting :] = 0
                self._write_chunk(self._waiting)
            self._columns.write(file, "pixels")

    def abandon(self) -> None:
        self._file.close()


def pixels_chunk(sample_bytes: int, num_samples: int) -> int:
    """Samples in a chunk of about 1 MiB. A sample of an unfiltered chunk has a span of its own, so
    random reads do not care; a larger chunk means fewer entries in HDF5's table of them."""
    return max(1, min(num_samples, _CHUNK_BYTES // max(1, sample_bytes)))


# Indexing


class _Table:
    """Finds images and columns in one open file, ours or somebody's."""

    def __init__(self, path: Path, file: h5py.File, shard: Shard) -> None:
        self._path, self._file, self._shard = path, file, shard
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
            raise self._error("the file has no dataset of images: none of three or more dimensions, and no group with `bytes` and `offsets`")
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

    def _error(self, message: str) -> FormatError:
        return FormatError(at(f"{message}; name the datasets as in the README's description of the format", Place(self._path)))

    def _members(self) -> dict[str, Any]:
        """Datasets and groups at the root. A link may lead to another file, so only hard links count."""
        names = [name for name in self._file if isinstance(self._file.get(name, getlink=True), h5py.HardLink)]
        return {name: self._file[name] for name in names}

    def _dataset(self, group: h5py.Group, name: str) -> h5py.Dataset:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink) or not isinstance(group[name], h5py.Dataset):
            raise self._error(f"{group.name}/{name} is missing")
        self._refuse_external(group[name])
        return group[name]

    def _refuse_external(self, dataset: h5py.Dataset) -> None:
        if dataset.external or dataset.is_virtual:
            raise self._error(f"{dataset.name} keeps its data in other files, which are not read")

    def _add_encoded(self, name: str, group: h5py.Group) -> None:
        if "bytes" not in group or "offsets" not in group:
            return
        blob, offsets = self._dataset(group, "bytes"), self._dataset(group, "offsets")[...].astype(np.uint64)
        if len(offsets) < 1 or offsets[0] != 0 or (offsets[1:] < offsets[:-1]).any() or offsets[-1] > blob.shape[0]:
            raise self._error(f"{name}/offsets must rise from 0 to the number of bytes")
        first = _contiguous_offset(blob)
        if first is None:
            raise self._error(f"{name}/bytes must be one contiguous piece")
        field = Field(_FIELDS.get(name, name), "image", stored_as=name)
        spans = np.zeros(len(offsets) - 1, SPAN)
        spans["offset"] = offsets[:-1] + np.uint64(first)
        spans["length"] = offsets[1:] - offsets[:-1]
        if "crc32c" in group:
            spans["crc32c"] = self._dataset(group, "crc32c")[...]
            spans["record_offset"], spans["record_length"] = spans["offset"], spans["length"]
        self._fields.append(field)
        self._spans[field.name] = spans
        self._infos[field.name] = self._probe(spans)

    def _probe(self, spans: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Header facts of blobs that lie one after the other, read in pieces of bounded size."""
        infos = np.zeros(len(spans), IMAGE_INFO)
        size = np.uint64(self._shard.size)
        if len(spans) and (spans["offset"][-1] > size or spans["length"][-1] > size - spans["offset"][-1]):
            raise_status(3, "the images go past the end of the file", Place(self._path))
        row, most = 0, 32 * 2**20
        with open(self._path, "rb", buffering=0) as file:
            while row < len(spans):
                first = int(spans["offset"][row])
                ends = spans["offset"][row:] + spans["length"][row:]
                count = max(1, int(np.searchsorted(ends, first + most, side="right")))
                piece = slice(row, row + count)
                data = np.frombuffer(os.pread(file.fileno(), int(ends[count - 1]) - first, first), np.uint8)
                infos[piece], _ = probe_blobs(Ragged(data, offsets_of(spans["length"][piece])))
                row += count
        return infos

    def _add_pixels(self, name: str, dataset: h5py.Dataset) -> None:
        self._refuse_external(dataset)
        field = Field(_FIELDS.get(name, name), "pixels", tuple(dataset.shape[1:]), dataset.dtype.str, name)
        self._fields.append(field)
        self._spans[field.name] = _pixel_spans(dataset)

    def _add_fetched_images(self, name: str, dataset: h5py.Dataset) -> None:
        self._refuse_external(dataset)
        field = Field(_FIELDS.get(name, name), "image", stored_as=name)
        blobs = Ragged.of_bytes(np.asarray(row).tobytes() for row in dataset)
        self._fields.append(field)
        self._spans[field.name] = _no_spans(len(blobs), blobs.lengths)
        self._infos[field.name], _ = probe_blobs(blobs)

    def _add_column(self, name: str, dataset: h5py.Dataset) -> None:
        self._refuse_external(dataset)
        public = _FIELDS.get(name, "label" if name == "label" else name)
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
