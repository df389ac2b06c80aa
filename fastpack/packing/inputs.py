"""PackInput: batches that a pack writes, of unchanged image files or of pixels of one size."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import SPAN, Rows
from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.core.ragged import Ragged, owners
from fastpack.core.schema import Field, Schema
from fastpack.errors import FastpackError, OptionError, ShapeError, Status, status_error
from fastpack.images.batch import Batch
from fastpack.images.codec import Bits
from fastpack.images.decode import (
    DecodeOptions,
    EncodedImages,
    Failures,
    SpanSource,
    decode_images,
    empty_outputs,
    refuse_images,
    upright_sizes,
)
from fastpack.images.headers import probe_blobs
from fastpack.images.transforms import Plan, Resize, plan_batch
from fastpack.sources import Source

# Names with one meaning for the readers of all formats.
_RESERVED = ("image", "label", "key", "class_name", "class_names")


class PackInput(Protocol):
    """Reads batches in the form in which they are written, from any thread.

    Args:
        schema: fields of the batches, with their names in the files.
        sizes: bytes of each sample's image in the file, (n,).
        keeps_sizes: whether `sizes` are exact or close; False if re-encoding changes them.
        memory_sizes: bytes of memory that each sample takes in a batch, (n,).
    """

    schema: Schema
    sizes: npt.NDArray[np.int64]
    memory_sizes: npt.NDArray[np.int64]
    keeps_sizes: bool

    def read(self, rows: Rows) -> Batch: ...


def files_of(field: Field, values: Any) -> Ragged:
    """Return the image files of all samples; of lists, those of all lists."""
    return values.values if field.is_list else values  # type: ignore[no-any-return]


def _renamed(schema: Schema, names: Mapping[str, str]) -> Schema:
    """Give the source's fields their names in the files."""
    for name in names:
        schema[name]  # raises for a field that is not there
    _refuse_taken(schema, names)
    return replace(
        schema,
        fields=tuple(replace(each, stored_as=names.get(each.name, "")) for each in schema.fields),
    )


def _refuse_taken(schema: Schema, names: Mapping[str, str]) -> None:
    """Raise OptionError for a new name that belongs to another field, or is reserved."""
    called = {each.name: names.get(each.name, each.name) for each in schema.fields}
    for name, new in called.items():
        others = {other for field, other in called.items() if field != name} | (
            called.keys() - {name}
        )
        if name in names and (new in others or (new in _RESERVED and new != name)):
            why = "another field has that name" if new in others else "that name is reserved"
            raise OptionError(f"names would call {name!r} {new!r}, but {why}; choose another name")


class EncodedInput:
    """Image files of the source, unchanged."""

    keeps_sizes = True

    def __init__(
        self, source: Source, names: Mapping[str, str], limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self._source, self._limits = source, limits
        self.schema = _renamed(source.schema, names)
        self.sizes = self.memory_sizes = source.sizes
        if not isinstance(beside := getattr(source, "sizes_beside", 0), int):
            self.memory_sizes = self.sizes + beside

    def read(self, rows: Rows) -> Batch:
        batch = self._source.read(rows)
        for blob in self.schema.blobs:
            if blob.is_image_file and not isinstance(batch[blob.name], Ragged):
                message = f"the source decodes {blob.name!r}"
                raise OptionError(f"{message}; open it with decode=False to pack its files")
            if blob.is_image_file:
                self._refuse_bombs(
                    files_of(blob, batch[blob.name]),
                    rows[owners(batch[blob.name])] if blob.is_list else rows,
                )
        return batch

    def _refuse_bombs(self, blobs: Ragged, rows: Rows) -> None:
        """Raise LimitError for images that no reader would decode."""
        infos, _ = probe_blobs(blobs)
        areas = infos["width"].astype(np.uint64) * infos["height"].astype(np.uint64)
        if (bad := np.flatnonzero(areas > np.uint64(self._limits.max_pixels))).size:
            info, location = infos[bad[0]], self._source.location(int(rows[bad[0]]))
            pixels = f"{info['width']} x {info['height']} pixels"
            message = f"{pixels} are more than {self._limits.max_pixels}"
            raise status_error(Status.PIXEL_LIMIT, message, location)


class PixelInput:
    """Decoded pixels of one size and depth.

    The calling thread decodes the batch, so call `read` from several threads.

    Args:
        size: pixels; None: the common size of all images.
        bits: bits of a channel; None: those of all images.
    """

    keeps_sizes = True

    def __init__(
        self,
        source: Source,
        names: Mapping[str, str],
        size: int | tuple[int, int] | None,
        options: DecodeOptions,
        bits: Bits | None = None,
    ) -> None:
        self._source = source
        image_field = source.schema.image_field
        assert image_field is not None
        self._name = image_field.name
        self._steps = () if size is None else (Resize(size),)
        self._options = replace(options, num_workers=1)
        first = self._first_good() if size is None or bits is None else None
        if bits is None and first is not None:
            self._options = replace(
                self._options, bits=16 if first.infos["bits"][0] == 16 else 8, keeps_bits=True
            )
        elif bits is not None:
            self._options = replace(self._options, bits=bits)
        height, width = (size, size) if isinstance(size, int) else size or _upright_size(first)
        dtype = self._options.dtype.str
        pixels = Field(
            image_field.name,
            "pixels",
            (height, width, options.channels),
            dtype,
            color=options.color,
        )
        fields = tuple(pixels if other == image_field else other for other in source.schema.fields)
        self.schema = _renamed(Schema(fields, source.schema.class_names), names)
        sample_bytes = height * width * options.channels * self._options.dtype.itemsize
        self.sizes = np.broadcast_to(np.int64(sample_bytes), len(source))
        self.memory_sizes = self.sizes + source.sizes + getattr(source, "sizes_beside", 0)

    def _first_good(self) -> EncodedImages:
        """Return the first image with a valid header."""
        failure: FastpackError | None = None
        for number in range(len(self._source)):
            row = np.array([number], np.int64)
            try:
                encoded = self._images(self._source.read(row), row)
                refused = refuse_images(encoded, self._options)
                if not refused:
                    return encoded
                failure = failure or refused[0]
            except FastpackError as error:
                failure = failure or error
        assert failure is not None
        raise failure

    def read(self, rows: Rows) -> Batch:
        batch = self._source.read(rows)
        encoded = self._images(batch, rows)
        plan, refused = self._plan(encoded)
        outs = empty_outputs(
            plan, self._options.channels, self._options.dtype, self._options.memory
        )
        if not isinstance(outs, np.ndarray) or outs.shape[1:] != self.schema[self._name].shape:
            message = "the images have different sizes; give a size to resample them to"
            raise ShapeError(f"{message}, or choose the layout `encoded`")
        decode_images(encoded, plan, outs, self._options, refused)
        return Batch({**batch, self._name: outs}, len(rows))

    def _images(self, batch: Batch, rows: Rows) -> EncodedImages:
        blobs: Ragged = batch[self._name]
        infos, _ = probe_blobs(blobs)
        spans = np.zeros(len(blobs), SPAN)
        spans["offset"], spans["length"] = blobs.offsets[:-1], blobs.lengths
        return EncodedImages(
            SpanSource.of(blobs.values),
            spans,
            infos,
            lambda row: self._source.location(int(rows[row])),
        )

    def _plan(self, encoded: EncodedImages) -> tuple[Plan, Failures]:
        refused = refuse_images(encoded, self._options)
        plan = plan_batch(self._steps, *upright_sizes(encoded.infos, True, refused))
        plan.views["orientation"] = encoded.infos["orientation"]
        return plan, refused


def _upright_size(encoded: EncodedImages | None) -> tuple[int, int]:
    """Return (height, width) of the first image in pixels."""
    assert encoded is not None
    widths, heights = upright_sizes(encoded.infos, True, {})
    return int(heights[0]), int(widths[0])
