"""open and Reader: one way to read, whatever the container."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from fastpack import containers
from fastpack.batch import Batch
from fastpack.blobs import Blobs
from fastpack.codecs.batch import (
    Failures,
    check_output,
    decode_pictures,
    empty_outputs,
    place_pixels,
    read_blobs,
    refuse_pictures,
    upright_sizes,
)
from fastpack.draws import Draws
from fastpack.errors import OptionError, Place, ShapeError
from fastpack.index import Column, Index, concatenate
from fastpack.options import OnError, ReadOptions
from fastpack.ragged import Ragged
from fastpack.schema import Field, Schema
from fastpack.shard import OpenShards
from fastpack.transforms import Plan, least_side, plan_batch

# Iterating sample by sample reads this many ahead: enough to keep all threads at work.
_ITERATED_SAMPLES = 32


def open(
    path: containers.Paths,
    *,
    fields: Mapping[str, str] | Sequence[str] | None = None,
    options: ReadOptions | None = None,
    save_index: bool = True,
    **changes: Any,
) -> "Reader":
    """Opens TFRecord or HDF5 files, whoever wrote them, for random access.

    - path: a file, a glob such as "train-*.tfrecord", a folder of shards, or a list of these.
    - fields: which fields, and under which names: ["image", "label"] or {"picture": "image/encoded"}.
    - options, and `changes` to them: a ReadOptions, or its fields by name, as in decode=False.
    - save_index: keep the index beside each file, so that the next open is instant.

    Raises MissingFileError, EmptySourceError, FormatError, CorruptRecordError or SchemaError.

    >>> dataset = open(getfixture("digits"), transform=None)
    >>> len(dataset), dataset[0]["image"].shape
    (10, (8, 8, 3))
    """
    indexes = [containers.index_of(shard, save=save_index) for shard in containers.find_shards(path)]
    index = concatenate(indexes)
    if fields is not None:
        index = index.select(fields if isinstance(fields, Mapping) else {name: name for name in fields})
    return Reader(index, replace(options or ReadOptions(), **changes))


class Reader(Sequence[dict[str, Any]]):
    """The samples of a dataset, in the order of its files. Stateless, thread-safe, picklable, fork-safe.

    An integer gives a sample (a dict), a slice a Reader over those samples, `read` a Batch.
    """

    def __init__(
        self,
        index: Index,
        options: ReadOptions | None = None,
        files: OpenShards | None = None,
        sample_numbers: npt.NDArray[np.int64] | None = None,
    ) -> None:
        """`sample_numbers` (n,): what random transforms know the samples by; None counts them."""
        self._index = index
        self._sample_numbers = np.arange(len(index)) if sample_numbers is None else sample_numbers
        self._options = options or ReadOptions()
        self._files = files or OpenShards(index.shards)
        self._blobs = Blobs(index, self._files)

    @property
    def index(self) -> Index:  # type: ignore[override]  # not Sequence.index: samples are found by number
        return self._index

    @property
    def schema(self) -> Schema:
        return self._index.schema

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by label; empty when the files do not tell."""
        return self._index.schema.class_names

    @property
    def columns(self) -> Mapping[str, Column]:
        """All columns of all samples, in memory: `columns["label"]` touches no image.

        For the main image there are also its header's facts: width, height, orientation and so on.
        """
        columns = dict(self._index.columns)
        picture = self.schema.picture
        if picture is not None and picture.name in self._index.infos:
            infos = self._index.infos[picture.name]
            facts: dict[str, Column] = {name: infos[name] for name in infos.dtype.names or () if name != "reserved"}
            columns = facts | columns
        return MappingProxyType(columns)

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of each sample's stored image, (n,)."""
        picture = self.schema.picture
        if picture is None:
            return np.zeros(len(self), np.int64)
        return self._index.spans[picture.name]["length"].astype(np.int64)

    def place(self, row: int) -> Place:
        """Where a sample comes from, for messages."""
        return self._index.place(row)

    def with_options(self, **changes: Any) -> "Reader":
        """The same samples, read otherwise: `with_options(decode=False)`."""
        return Reader(self._index, replace(self._options, **changes), self._files, self._sample_numbers)

    def take(self, rows: Sequence[int] | npt.NDArray[np.integer[Any]]) -> "Reader":
        """A Reader over the given samples, in that order; a random transform gives each what it gets here."""
        taken = self._rows(rows)
        return Reader(self._index.take(taken), self._options, self._files, self._sample_numbers[taken])

    def __len__(self) -> int:
        return len(self._index)

    def __repr__(self) -> str:
        fields = ", ".join(f"{field.name}: {field.kind}" for field in self.schema.fields)
        return f"Reader({len(self)} samples in {len(self._index.shards)} files; {fields})"

    @overload
    def __getitem__(self, i: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, i: slice) -> "Reader": ...
    def __getitem__(self, i: int | slice) -> "dict[str, Any] | Reader":
        if isinstance(i, slice):
            return self.take(np.arange(len(self))[i])
        return self.read([i]).sample(0)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for first in range(0, len(self), _ITERATED_SAMPLES):
            batch = self.read(np.arange(first, min(first + _ITERATED_SAMPLES, len(self))))
            yield from (batch.sample(i) for i in range(batch.num_samples))

    def read(self, indices: Sequence[int] | npt.NDArray[np.integer[Any]], *, epoch: int = 0, out: npt.NDArray[Any] | None = None) -> Batch:
        """The samples with these numbers, in that order; a number may come more than once.

        - epoch: random transforms draw for (seed, epoch, sample), so each epoch has crops of its own and
          the same call gives the same pixels again.
        - out: an array (n, H, W, C), or as Normalize has it, of any strides, that receives the pixels of the
          main image field.

        Raises IndexError, ShapeError (`out` does not fit), and what damaged files raise, with the place.
        """
        if not 0 <= epoch < 2**32:
            raise OptionError(f"epoch must lie between 0 and 2**32 - 1, not {epoch}")
        rows = self._rows(indices)
        picture = self.schema.picture
        failures: Failures = {}
        fields: dict[str, Any] = {}
        for field in self.schema.fields:
            if field.is_blob:
                fields[field.name] = self._read_blobs(field, rows, epoch, out if field == picture else None, failures)
            else:
                column = self._index.columns[field.name]
                fields[field.name] = column.take(rows) if isinstance(column, Ragged) else column[rows]
        return _settle(fields, len(rows), failures, self._options.on_error)

    def _rows(self, indices: Sequence[int] | npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
        rows = np.asarray(indices)
        if rows.size == 0:
            return np.zeros(0, np.int64)
        if rows.ndim != 1 or rows.dtype.kind not in "iu":
            raise OptionError(f"indices must be a list of integers, not {rows.dtype} {rows.shape}")
        rows = rows.astype(np.int64)
        if rows.min() < -len(self) or rows.max() >= len(self):
            raise IndexError(f"sample {rows.max() if rows.max() >= len(self) else rows.min()} of {len(self)}")
        return np.where(rows < 0, rows + len(self), rows)

    def _read_blobs(self, field: Field, rows: npt.NDArray[np.int64], epoch: int, out: npt.NDArray[Any] | None, failures: Failures) -> Any:
        if field.kind == "pixels":
            stored = self._blobs.pixels(field, rows, self._options.for_decoding)
            return self._transform_pixels(self._in_color(field, stored), rows, epoch, out)
        pictures, options = self._blobs.pictures(field, rows), self._options.for_decoding
        if field.kind == "bytes" or not self._options.decode:
            return read_blobs(pictures, np.arange(len(rows)), options)
        refused, stand_in = refuse_pictures(pictures, options), least_side(self._options.steps)
        sizes = upright_sizes(pictures.infos, self._options.orient, refused, stand_in=stand_in)
        plan = self._plan(rows, epoch, *sizes)
        if self._options.orient:
            plan.views["orientation"] = pictures.infos["orientation"]
        kind = options.channels, options.dtype
        outs = empty_outputs(plan, *kind) if out is None else check_output(out, plan, *kind)
        failed = decode_pictures(pictures, plan, outs, options, refused)
        for row in failed:
            if isinstance(outs, list):
                outs[row] = np.zeros_like(outs[row])  # memory that nobody has touched yet stays so
            else:
                outs[row][...] = 0
        failures |= failed
        return outs

    def _plan(self, rows: npt.NDArray[np.int64], epoch: int, widths: npt.ArrayLike, heights: npt.ArrayLike) -> Plan:
        return plan_batch(self._options.steps, widths, heights, Draws(self._options.seed, epoch, self._sample_numbers[rows]))

    def _in_color(self, field: Field, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """RGB and BGR are one another's mirror; other stored colours come as they are."""
        if {field.color, self._options.color} == {"RGB", "BGR"}:
            return np.ascontiguousarray(pixels[..., ::-1])
        return pixels

    def _transform_pixels(
        self, pixels: npt.NDArray[Any], rows: npt.NDArray[np.int64], epoch: int, out: npt.NDArray[Any] | None
    ) -> npt.NDArray[Any]:
        if not self._options.steps:
            return pixels if out is None else _copy_into(out, pixels)
        if pixels.ndim != 4 or pixels.dtype != np.uint8:
            raise ShapeError(f"a transform needs uint8 pixels (n, height, width, channels), not {pixels.dtype} {pixels.shape}")
        count, height, width, channels = pixels.shape
        plan = self._plan(rows, epoch, np.full(count, width), np.full(count, height))
        outs = empty_outputs(plan, channels) if out is None else check_output(out, plan, channels)
        place_pixels(pixels, plan, outs, self._options.for_decoding)
        return outs  # type: ignore[return-value]  # one array: all stored pixels have one size


def _settle(fields: dict[str, Any], num_samples: int, failures: Failures, on_error: OnError) -> Batch:
    """The batch as on_error has it, when the samples in `failures` could not be decoded."""
    told = [failures[row] for row in sorted(failures)]
    mask = np.ones(num_samples, np.bool_)
    mask[list(failures)] = False
    if on_error == "skip" and failures:
        good = np.flatnonzero(mask)
        return Batch({name: _take(values, good) for name, values in fields.items()}, len(good), failures=told)
    return Batch(fields, num_samples, mask=mask, failures=told)


def _take(values: Any, rows: npt.NDArray[np.int64]) -> Any:
    if isinstance(values, Ragged):
        return values.take(rows)
    return [values[row] for row in rows] if isinstance(values, list) else values[rows]


def _copy_into(out: npt.NDArray[Any], pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if out.shape != pixels.shape or out.dtype != pixels.dtype:
        raise ShapeError(f"out must be {pixels.dtype} {pixels.shape}, not {out.dtype} {out.shape}")
    out[...] = pixels
    return out
