"""Imaging: from stored images and arrays to what a batch has of them."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.buffer_pool import BufferPool
from fastpack.core.dtypes import Rows
from fastpack.core.ragged import Ragged
from fastpack.core.rng import CounterRng
from fastpack.core.schema import DOUBTFUL, PLAIN, Field
from fastpack.core.threads import num_cores
from fastpack.errors import SchemaError, ShapeError, with_location
from fastpack.formats.index.seek_point_cache import SeekPointCache
from fastpack.images.decode import (
    DecodeOptions,
    EncodedImages,
    Failures,
    Outputs,
    check_output,
    decode_images,
    decode_masks,
    empty_outputs,
    import_codecs,
    read_good_blobs,
    refuse_images,
    resample,
    upright_sizes,
)
from fastpack.images.transforms import Normalize, Plan, least_side, plan_batch
from fastpack.reading.blob_reader import BlobReader, Depth
from fastpack.reading.options import ReadOptions

Pixels = npt.NDArray[Any]


class ImagePipeline:
    """The bytes or pixels of samples, transformed as the options say. Thread-safe.

    - blobs: where they are stored.
    - sample_numbers (n,): what random transforms know the samples by.
    - memory: where batches are written.
    - seek_point_cache: the seek points that are made as images are first decoded, if they are.
    """

    def __init__(
        self,
        blobs: BlobReader,
        options: ReadOptions,
        sample_numbers: Rows,
        memory: BufferPool,
        seek_point_cache: SeekPointCache | None,
    ) -> None:
        self._blobs, self._options, self._sample_numbers, self._seek_point_cache = (
            blobs,
            options,
            sample_numbers,
            seek_point_cache,
        )
        self.decoding = replace(options.for_decoding, memory=memory)
        self._depths: dict[str, Depth] = {}

    def import_modules(self) -> None:
        """Imports what reading and decoding import, as threads may read while a process is forked."""
        self._blobs.import_modules()
        if self._options.decode:
            import_codecs(self._blobs.formats, self.decoding)

    def values(
        self, field: Field, rows: Rows, epoch: int | Rows, out: Pixels | None
    ) -> tuple[Any, Failures]:
        """What a batch of these samples has of one field, and which of them could not be had, whose pixels are 0; or raises for
        the first of these.

        - out: an array that receives the pixels; else there is a new one.
        """
        if field.kind == "pixels":
            return self._stored_pixels(field, rows, epoch, out)
        if field.is_list:
            return self._lists(field, rows, epoch)
        encoded = self._blobs.images(field, rows, self.decoding)
        if field.kind == "bytes" or not self._options.decode:
            return read_good_blobs(encoded, self.decoding)
        options = self._decoding_of(field)
        if field.kind == "mask":
            return self._masks(field, encoded, rows, epoch, options)
        if len(rows) == 0 and out is None:
            side = least_side(self._options.steps)
            return self._no_images(
                [side, 2 * side], [side, side], options.channels, options.dtype
            ), {}
        if self._seek_point_cache and self.decoding.seek_points:
            num_workers = self.decoding.num_workers or num_cores()
            encoded = self._seek_point_cache.completed(
                field.name, self._sample_numbers[rows], encoded, num_workers
            )
        return self._decoded(encoded, rows, epoch, out, options)

    def _lists(self, field: Field, rows: Rows, epoch: int | Rows) -> tuple[Any, Failures]:
        """The blobs of each sample: a Ragged of Raggeds; decoded, an array (k, H, W, C) for each, or a list of k arrays where
        they differ in size. All images of a sample are transformed with the same random numbers."""
        offsets = self._blobs.list_offsets(field, rows)
        lengths = np.diff(offsets)
        encoded = self._blobs.images(field, rows, self.decoding)
        if field.kind == "bytes" or not self._options.decode:
            blobs, failures = read_good_blobs(encoded, self.decoding)
            return Ragged(blobs, offsets), _by_owner(failures, offsets)
        if offsets[-1] == 0:
            return [
                np.empty((0, 0, 0, self.decoding.channels), self.decoding.dtype) for _ in rows
            ], {}
        epochs = epoch if isinstance(epoch, int) else np.repeat(epoch, lengths)
        outs, failures = self._files(field, encoded, np.repeat(rows, lengths), epochs)
        return [outs[first:end] for first, end in pairwise(offsets.tolist())], _by_owner(
            failures, offsets
        )

    def _files(
        self, field: Field, encoded: EncodedImages, rows: Rows, epoch: int | Rows
    ) -> tuple[Outputs, Failures]:
        options = self._decoding_of(field)
        if field.kind == "mask":
            return self._masks(field, encoded, rows, epoch, options)
        return self._decoded(encoded, rows, epoch, None, options)

    def _decoding_of(self, field: Field) -> DecodeOptions:
        """The options for the images of a field: of as many bits as they have, when nobody says how many."""
        if field.name not in self._depths:
            self._depths[field.name] = self._blobs.depth(field)
        depth = self._depths[field.name]
        if self._options.bits is not None and field.kind != "mask":
            return self.decoding
        if field.kind != "mask":
            depth.refuse_mixture(field)
        return replace(self.decoding, bits=16 if depth.num_deep else 8, keeps_bits=True)

    def _decoded(
        self,
        encoded: EncodedImages,
        rows: Rows,
        epoch: int | Rows,
        out: Pixels | None,
        options: DecodeOptions,
    ) -> tuple[Outputs, Failures]:
        refused, stand_in = refuse_images(encoded, options), least_side(self._options.steps)
        plan = self._plan(
            rows,
            epoch,
            *upright_sizes(encoded.infos, self._options.orient, refused, stand_in=stand_in),
        )
        refused |= _refused_by_plan(plan, encoded, refused)
        if self._options.orient:
            plan.views["orientation"] = encoded.infos["orientation"]
        kind = options.channels, options.dtype
        outs = (
            empty_outputs(plan, *kind, options.memory)
            if out is None
            else check_output(out, plan, *kind)
        )
        failures = decode_images(encoded, plan, outs, options, refused)
        return _cleared(outs, failures), failures

    def _masks(
        self,
        field: Field,
        encoded: EncodedImages,
        rows: Rows,
        epoch: int | Rows,
        options: DecodeOptions,
    ) -> tuple[Outputs, Failures]:
        """Class numbers (n, height, width): what the transform takes of each mask's image, nearest pixels, not normalized."""
        own = upright_sizes(
            encoded.infos, self._options.orient, refused := refuse_images(encoded, options)
        )
        widths, heights = self._guiding_sizes(rows, own)
        plan = self._plan(rows, epoch, widths, heights)
        plan = replace(
            plan,
            normalize=None,
            insets=None if plan.insets is None else replace(plan.insets, fill=0),
        )
        refused |= _refused_by_plan(plan, encoded, refused) | _refused_by_shape(
            own, (widths, heights), encoded, refused
        )
        if self._options.orient:
            plan.views["orientation"] = encoded.infos["orientation"]
        outs = empty_outputs(plan, 1, options.dtype, options.memory)
        numbers: Outputs = [out[..., 0] for out in outs] if isinstance(outs, list) else outs[..., 0]
        sizes = list(zip(heights.tolist(), widths.tolist(), strict=True))
        failures = decode_masks(encoded, plan, sizes, numbers, options, refused)
        return _cleared(numbers, failures), failures

    def _guiding_sizes(self, rows: Rows, own: tuple[Pixels, Pixels]) -> tuple[Pixels, Pixels]:
        """Widths and heights of the images that masks follow: their own where there is no transform, or no picture."""
        sizes = (
            self._blobs.upright_sizes(rows, self._options.orient) if self._options.steps else None
        )
        if sizes is None:
            return own
        is_known = (sizes[0] > 0) & (sizes[1] > 0)  # else the sample fails for its image
        return np.where(is_known, sizes[0], own[0]), np.where(is_known, sizes[1], own[1])

    def _plan(
        self, rows: Rows, epoch: int | Rows, widths: npt.ArrayLike, heights: npt.ArrayLike
    ) -> Plan:
        return plan_batch(
            self._options.steps,
            widths,
            heights,
            CounterRng(self._options.seed, epoch, self._sample_numbers[rows]),
        )

    def _no_images(
        self, widths: list[int], heights: list[int], channels: int, dtype: npt.DTypeLike
    ) -> Pixels:
        """None, but of the size that a batch of two of these would have, when the transform gives all images one size."""
        steps = self._options.steps
        outs = empty_outputs(
            plan_batch(steps, widths, heights, CounterRng(0, 0, np.arange(2))), channels, dtype
        )
        if isinstance(outs, list):
            outs = empty_outputs(
                plan_batch(steps, [], [], CounterRng(0, 0, np.arange(0))), channels, dtype
            )
        return outs[:0]  # type: ignore[return-value]  # an array: no image, or two of one size

    # Stored pixels.

    def _stored_pixels(
        self, field: Field, rows: Rows, epoch: int | Rows, out: Pixels | None
    ) -> tuple[Pixels, Failures]:
        is_mirrored = {field.color, self._options.color} == {
            "RGB",
            "BGR",
        }  # other stored colours come as they are
        are_images = len(field.shape) > 1 and field.axes != PLAIN
        is_final = (not self._options.steps and not is_mirrored) or not are_images
        stored, failures = self._blobs.pixels(field, rows, self.decoding, out if is_final else None)
        if is_mirrored and are_images:
            stored = np.ascontiguousarray(stored[..., ::-1])
        pixels = stored if is_final else self._transformed(field, stored, rows, epoch, out)
        if failures:
            pixels[list(failures)] = 0
        return pixels, failures

    def _transformed(
        self, field: Field, pixels: Pixels, rows: Rows, epoch: int | Rows, out: Pixels | None
    ) -> Pixels:
        if not self._options.steps:
            return pixels if out is None else _copy_into(out, pixels)
        self._refuse_arrays(field, pixels, rows)
        if field.to_image == tuple(range(len(field.to_image))) or any(
            isinstance(step, Normalize) for step in self._options.steps
        ):
            return self._placed(_as_images(field, pixels), rows, epoch, out)
        placed = self._placed(_as_images(field, pixels), rows, epoch, None)
        back = (
            np.argsort((*field.to_image, 2)[:3]) + 1
        )  # as the file has its axes; Normalize has a layout of its own
        placed = np.ascontiguousarray(placed.transpose(0, *back))
        return placed if out is None else _copy_into(out, placed)

    def _refuse_arrays(self, field: Field, pixels: Pixels, rows: Rows) -> None:
        """Raises for arrays that a transform cannot take as images."""
        if pixels.ndim > 4 or pixels.dtype not in (np.uint8, np.uint16):
            message = f"{field.name}: a transform needs uint8 or uint16 pixels (n, height, width, channels), not {pixels.dtype}"
            remedy = "leave it out with fields=..., or read without a transform"
            raise ShapeError(
                with_location(f"{message} {pixels.shape}; {remedy}", self._blobs.file_of(rows))
            )
        if field.axes == DOUBTFUL:
            choice = f'open it with axes={{"{field.source_name}": "{"NHW" if pixels.ndim == 3 else "NHWC"}"}}'
            choice += ', or "NCHW"' if pixels.ndim == 4 else ""
            message = f"{field.name}: samples of {field.shape} do not tell where their channels are; {choice}"
            raise SchemaError(
                with_location(
                    f"{message}, or leave it out with fields=...", self._blobs.file_of(rows)
                )
            )

    def _placed(self, pixels: Pixels, rows: Rows, epoch: int | Rows, out: Pixels | None) -> Pixels:
        """Images (n, height, width, channels), transformed."""
        if 0 in pixels.shape[1:]:
            raise ShapeError(
                f"the stored images have no pixels: {pixels.shape[1:]}; read them without a transform"
            )
        count, height, width, channels = pixels.shape
        kind = channels, pixels.dtype
        if count == 0 and out is None:
            return self._no_images([width] * 2, [height] * 2, *kind)
        plan = self._plan(rows, epoch, np.full(count, width), np.full(count, height))
        if plan.refused:  # all stored pixels have one size
            raise ShapeError(plan.refused[0])
        outs = (
            empty_outputs(plan, *kind, self.decoding.memory)
            if out is None
            else check_output(out, plan, *kind)
        )
        resample(pixels, plan, outs, self.decoding)
        return outs  # type: ignore[return-value]  # one array: all stored pixels have one size


def _by_owner(failures: Failures, offsets: Rows) -> Failures:
    """The first failure of each list."""
    owners = np.searchsorted(offsets, sorted(failures), side="right") - 1
    found: Failures = {}
    for owner, blob in zip(owners.tolist(), sorted(failures), strict=True):
        found.setdefault(owner, failures[blob])
    return found


def _as_images(field: Field, pixels: Pixels) -> Pixels:
    """Stored pixels with height, width and channels in that order; one channel where there is none."""
    if pixels.ndim != len(field.to_image) + 1:
        return pixels  # of more dimensions than an image has
    images = pixels.transpose(0, *(axis + 1 for axis in field.to_image))
    return np.ascontiguousarray(images[..., None] if images.ndim == 3 else images)


def _refused_by_plan(plan: Plan, encoded: EncodedImages, refused: Failures) -> Failures:
    return {
        row: ShapeError(with_location(why, encoded.location_of(row)))
        for row, why in plan.refused.items()
        if row not in refused
    }


def _refused_by_shape(
    own: tuple[Pixels, Pixels],
    guiding: tuple[Pixels, Pixels],
    encoded: EncodedImages,
    refused: Failures,
) -> Failures:
    """Masks that are no scaled copy of their image: what fits the one would be somewhere else in the other."""
    widths, heights = (sizes.astype(np.int64) for sizes in own)
    skew = np.abs(widths * guiding[1] - heights * guiding[0])
    bad = np.flatnonzero(skew > np.maximum(guiding[0], guiding[1])).tolist()
    return {row: _other_shape(own, guiding, row, encoded) for row in bad if row not in refused}


def _other_shape(
    own: tuple[Pixels, Pixels], guiding: tuple[Pixels, Pixels], row: int, encoded: EncodedImages
) -> ShapeError:
    sizes = f"{own[1][row]} x {own[0][row]} and its picture {guiding[1][row]} x {guiding[0][row]}"
    message = f"the mask is {sizes}, of another shape; make both of one shape, or read them without a transform"
    return ShapeError(with_location(message, encoded.location_of(row)))


def _cleared(outs: Outputs, failures: Failures) -> Outputs:
    for row in failures:
        if isinstance(outs, list):
            outs[row] = np.zeros_like(outs[row])  # memory that nobody has touched yet stays so
        else:
            outs[row][...] = 0
    return outs


def _copy_into(out: Pixels, pixels: Pixels) -> Pixels:
    if out.shape != pixels.shape or out.dtype != pixels.dtype:
        raise ShapeError(f"out must be {pixels.dtype} {pixels.shape}, not {out.dtype} {out.shape}")
    out[...] = pixels
    return out
