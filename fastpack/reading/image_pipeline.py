"""ImagePipeline: from stored images and arrays to the values of a batch."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import Rows
from fastpack.core.ragged import Ragged
from fastpack.core.rng import CounterRng
from fastpack.core.schema import DOUBTFUL, PLAIN, Field
from fastpack.core.threads import num_cores
from fastpack.errors import SchemaError, ShapeError, with_location
from fastpack.formats.index.index import Index
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
from fastpack.reading.blob_reader import BlobReader
from fastpack.reading.options import ReadOptions
from fastpack.reading.pixel_reader import PixelReader
from fastpack.reading.samples import Depth, Samples

Pixels = npt.NDArray[Any]


@dataclass(frozen=True)
class Request:
    """The samples of a batch.

    Args:
        entries: their index.
        numbers: their numbers in the dataset, by which random transforms draw, (n,).
        epoch: one for all, or (n,).
    """

    entries: Index
    numbers: Rows
    epoch: int | Rows

    def __len__(self) -> int:
        return len(self.numbers)

    def repeated(self, counts: Rows) -> "Draws":
        """Return the random numbers for `counts` blobs of each sample."""
        rows = np.repeat(np.arange(len(self)), counts)
        epoch = self.epoch if isinstance(self.epoch, int) else self.epoch[rows]
        return Draws(rows, self.numbers[rows], epoch)

    @property
    def draws(self) -> "Draws":
        """The random numbers for one blob of each sample."""
        return Draws(np.arange(len(self)), self.numbers, self.epoch)


@dataclass(frozen=True)
class Draws:
    """The samples of some blobs, from which random transforms draw.

    Args:
        rows: the entry of each blob, (k,).
        numbers: number of its sample, (k,).
        epoch: one for all, or (k,).
    """

    rows: Rows
    numbers: Rows
    epoch: int | Rows


class ImagePipeline:
    """The bytes or transformed pixels of samples. Thread-safe."""

    def __init__(self, blobs: BlobReader, samples: Samples, options: ReadOptions) -> None:
        self._blobs, self._samples, self._options = blobs, samples, options
        self._pixels = PixelReader(samples.files)
        self._seek_point_cache = samples.seek_point_cache
        self.decoding = replace(options.for_decoding, memory=samples.memory)
        self._depths: dict[str, Depth] = {}

    def import_modules(self) -> None:
        """Import what reading and decoding import: threads may read while a process is forked."""
        self._blobs.import_modules()
        if self._options.decode:
            import_codecs(self._blobs.formats, self.decoding)

    def values(self, field: Field, batch: Request, out: Pixels | None) -> tuple[Any, Failures]:
        """Return a field's values for a batch, and the failures by position, whose pixels are 0.

        With on_error="raise", raise the first failure instead.

        - out: an array that receives the pixels, or None for a new one.
        """
        if field.kind == "pixels":
            return self._stored_pixels(field, batch, out)
        if field.is_list:
            return self._lists(field, batch)
        entries = batch.entries
        encoded = self._blobs.images(field, entries, self.decoding)
        if field.kind == "bytes" or not self._options.decode:
            return read_good_blobs(encoded, self.decoding)
        options = self._decoding_of(field)
        if field.kind == "mask":
            return self._masks(encoded, entries, batch.draws, options)
        if len(batch) == 0 and out is None:
            side = least_side(self._options.steps)
            kind = options.channels, options.dtype
            return self._no_images([side, 2 * side], [side, side], *kind), {}
        if self._seek_point_cache and self.decoding.seek_points:
            encoded = self._seek_point_cache.completed(
                field.name, batch.numbers, encoded, self.decoding.num_workers or num_cores()
            )
        return self._decoded(encoded, batch.draws, out, options)

    def _lists(self, field: Field, batch: Request) -> tuple[Any, Failures]:
        """Return the blobs of each sample.

        Encoded, they are a Ragged of Raggeds. Decoded, each sample has an array (k, H, W, C), or a
        list of k arrays if sizes differ. A sample's images all get the same random numbers.
        """
        offsets = batch.entries.spans[field.name].offsets
        encoded = self._blobs.images(field, batch.entries, self.decoding)
        if field.kind == "bytes" or not self._options.decode:
            blobs, failures = read_good_blobs(encoded, self.decoding)
            return Ragged(blobs, offsets), _by_owner(failures, offsets)
        if offsets[-1] == 0:
            no_images = (0, 0, 0, self.decoding.channels)
            return [np.empty(no_images, self.decoding.dtype) for _ in range(len(batch))], {}
        draws, options = batch.repeated(np.diff(offsets)), self._decoding_of(field)
        if field.kind == "mask":
            outs, failures = self._masks(encoded, batch.entries, draws, options)
        else:
            outs, failures = self._decoded(encoded, draws, None, options)
        values = [outs[first:end] for first, end in pairwise(offsets.tolist())]
        return values, _by_owner(failures, offsets)

    def _decoding_of(self, field: Field) -> DecodeOptions:
        """Return the options for a field; without `bits`, as many bits as its images have."""
        if field.name not in self._depths:
            self._depths[field.name] = self._samples.depth(field)
        depth = self._depths[field.name]
        if self._options.bits is not None and field.kind != "mask":
            return self.decoding
        if field.kind != "mask":
            depth.refuse_mixture(field)
        return replace(self.decoding, bits=16 if depth.num_deep else 8, keeps_bits=True)

    def _decoded(
        self,
        encoded: EncodedImages,
        draws: Draws,
        out: Pixels | None,
        options: DecodeOptions,
    ) -> tuple[Outputs, Failures]:
        refused, stand_in = refuse_images(encoded, options), least_side(self._options.steps)
        sizes = upright_sizes(encoded.infos, self._options.orient, refused, stand_in=stand_in)
        plan = self._plan(draws, *sizes)
        refused |= _refused_by_plan(plan, encoded, refused)
        if self._options.orient:
            plan.views["orientation"] = encoded.infos["orientation"]
        outs = _outputs(out, plan, (options.channels, options.dtype), options)
        failures = decode_images(encoded, plan, outs, options, refused)
        return _cleared(outs, failures), failures

    def _masks(
        self,
        encoded: EncodedImages,
        entries: Index,
        draws: Draws,
        options: DecodeOptions,
    ) -> tuple[Outputs, Failures]:
        """Return class numbers (n, H, W): each mask gets the crop of its image.

        Masks take the nearest pixels and are not normalized.
        """
        refused = refuse_images(encoded, options)
        own = upright_sizes(encoded.infos, self._options.orient, refused)
        widths, heights = self._guiding_sizes(entries, draws.rows, own)
        plan = self._plan(draws, widths, heights)
        insets = None if plan.insets is None else replace(plan.insets, fill=0)
        plan = replace(plan, normalize=None, insets=insets)
        refused |= _refused_by_plan(plan, encoded, refused)
        refused |= _refused_by_shape(own, (widths, heights), encoded, refused)
        if self._options.orient:
            plan.views["orientation"] = encoded.infos["orientation"]
        outs = empty_outputs(plan, 1, options.dtype, options.memory)
        numbers: Outputs = [out[..., 0] for out in outs] if isinstance(outs, list) else outs[..., 0]
        sizes = list(zip(heights.tolist(), widths.tolist(), strict=True))
        failures = decode_masks(encoded, plan, sizes, numbers, options, refused)
        return _cleared(numbers, failures), failures

    def _guiding_sizes(
        self, entries: Index, rows: Rows, own: tuple[Pixels, Pixels]
    ) -> tuple[Pixels, Pixels]:
        """Return widths and heights of the images whose crops masks get.

        These are the masks' own sizes without a transform, or without an image.
        """
        if not self._options.steps:
            return own
        sizes = self._blobs.upright_sizes(entries, rows, self._options.orient)
        if sizes is None:
            return own
        is_known = (sizes[0] > 0) & (sizes[1] > 0)  # otherwise decoding the image fails
        return np.where(is_known, sizes[0], own[0]), np.where(is_known, sizes[1], own[1])

    def _plan(self, draws: Draws, widths: npt.ArrayLike, heights: npt.ArrayLike) -> Plan:
        rng = CounterRng(self._options.seed, draws.epoch, draws.numbers)
        return plan_batch(self._options.steps, widths, heights, rng)

    def _no_images(
        self, widths: list[int], heights: list[int], channels: int, dtype: npt.DTypeLike
    ) -> Pixels:
        """Return no images, with the size of a batch's images if the transform gives one size.

        - widths, heights: of two images, whose outputs show whether the sizes are equal.
        """
        steps = self._options.steps
        plan = plan_batch(steps, widths, heights, CounterRng(0, 0, np.arange(2)))
        outs = empty_outputs(plan, channels, dtype)
        if isinstance(outs, list):
            plan = plan_batch(steps, [], [], CounterRng(0, 0, np.arange(0)))
            outs = empty_outputs(plan, channels, dtype)
        return outs[:0]  # type: ignore[return-value]  # an array: no image, or two of one size

    # Stored pixels.

    def _stored_pixels(
        self, field: Field, batch: Request, out: Pixels | None
    ) -> tuple[Pixels, Failures]:
        # Stored pixels of other colors stay as they are.
        is_mirrored = {field.color, self._options.color} == {"RGB", "BGR"}
        are_images = len(field.shape) > 1 and field.axes != PLAIN
        is_final = (not self._options.steps and not is_mirrored) or not are_images
        unread = out if is_final else None
        stored, failures = self._pixels.read(field, batch.entries, self.decoding, unread)
        if is_mirrored and are_images:
            stored = np.ascontiguousarray(stored[..., ::-1])
        pixels = stored if is_final else self._transformed(field, stored, batch, out)
        if failures:
            pixels[list(failures)] = 0
        return pixels, failures

    def _transformed(
        self, field: Field, pixels: Pixels, batch: Request, out: Pixels | None
    ) -> Pixels:
        if not self._options.steps:
            return pixels if out is None else _copy_into(out, pixels)
        self._refuse_arrays(field, pixels, batch.entries)
        has_layout = any(isinstance(step, Normalize) for step in self._options.steps)
        if has_layout or field.to_image == tuple(range(len(field.to_image))):
            return self._resampled(_as_images(field, pixels), batch.draws, out)
        images = self._resampled(_as_images(field, pixels), batch.draws, None)
        back = np.argsort((*field.to_image, 2)[:3]) + 1  # the axes as the file has them
        images = np.ascontiguousarray(images.transpose(0, *back))
        return images if out is None else _copy_into(out, images)

    def _refuse_arrays(self, field: Field, pixels: Pixels, entries: Index) -> None:
        """Raise for arrays that a transform cannot take as images."""
        if pixels.ndim > 4 or pixels.dtype not in (np.uint8, np.uint16):
            message = (
                f"{field.name}: a transform needs uint8 or uint16 pixels (n, height, width, "
                f"channels), not {pixels.dtype} {pixels.shape}; leave it out with fields=..., "
                "or read without a transform"
            )
            raise ShapeError(with_location(message, self._blobs.file_of(entries)))
        if field.axes == DOUBTFUL:
            axes = '"NHW"' if pixels.ndim == 3 else '"NHWC"'
            other = ', or "NCHW"' if pixels.ndim == 4 else ""
            message = (
                f"{field.name}: the shape {field.shape} does not show which axis is the channels; "
                f'open it with axes={{"{field.source_name}": {axes}}}{other}, '
                "or leave it out with fields=..."
            )
            raise SchemaError(with_location(message, self._blobs.file_of(entries)))

    def _resampled(self, pixels: Pixels, draws: Draws, out: Pixels | None) -> Pixels:
        """Transform images (n, H, W, C)."""
        if 0 in pixels.shape[1:]:
            shape = pixels.shape[1:]
            raise ShapeError(
                f"the stored images have no pixels: {shape}; read them without a transform"
            )
        count, height, width, channels = pixels.shape
        kind = channels, pixels.dtype
        if count == 0 and out is None:
            return self._no_images([width] * 2, [height] * 2, *kind)
        plan = self._plan(draws, np.full(count, width), np.full(count, height))
        if plan.refused:  # all stored pixels have one size
            raise ShapeError(plan.refused[0])
        outs = _outputs(out, plan, kind, self.decoding)
        resample(pixels, plan, outs, self.decoding)
        return outs  # type: ignore[return-value]  # one array: all stored pixels have one size


def _outputs(
    out: Pixels | None, plan: Plan, kind: tuple[int, npt.DTypeLike], options: DecodeOptions
) -> Outputs:
    """Return the user's array, checked, or new ones. `kind` is channels and dtype."""
    if out is not None:
        return check_output(out, plan, *kind)
    return empty_outputs(plan, *kind, options.memory)


def _by_owner(failures: Failures, offsets: Rows) -> Failures:
    """Return the first failure of each list."""
    owners = np.searchsorted(offsets, sorted(failures), side="right") - 1
    found: Failures = {}
    for owner, blob in zip(owners.tolist(), sorted(failures), strict=True):
        found.setdefault(owner, failures[blob])
    return found


def _as_images(field: Field, pixels: Pixels) -> Pixels:
    """Move the axes of stored pixels to (n, H, W, C); C is 1 if there are no channels."""
    if pixels.ndim != len(field.to_image) + 1:
        return pixels  # it has more dimensions than an image
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
    """Return failures of masks whose aspect ratio is not their image's: crops would not match."""
    widths, heights = (sizes.astype(np.int64) for sizes in own)
    skew = np.abs(widths * guiding[1] - heights * guiding[0])
    bad = np.flatnonzero(skew > np.maximum(guiding[0], guiding[1])).tolist()
    return {row: _other_shape(own, guiding, row, encoded) for row in bad if row not in refused}


def _other_shape(
    own: tuple[Pixels, Pixels], guiding: tuple[Pixels, Pixels], row: int, encoded: EncodedImages
) -> ShapeError:
    mask, image = (f"{heights[row]} x {widths[row]}" for widths, heights in (own, guiding))
    message = (
        f"the mask is {mask} and its image {image}, of another shape; "
        "give both one shape, or read them without a transform"
    )
    return ShapeError(with_location(message, encoded.location_of(row)))


def _cleared(outs: Outputs, failures: Failures) -> Outputs:
    for row in failures:
        if isinstance(outs, list):
            outs[row] = np.zeros_like(outs[row])  # untouched pages stay unallocated
        else:
            outs[row][...] = 0
    return outs


def _copy_into(out: Pixels, pixels: Pixels) -> Pixels:
    if out.shape != pixels.shape or out.dtype != pixels.dtype:
        raise ShapeError(f"out must be {pixels.dtype} {pixels.shape}, not {out.dtype} {out.shape}")
    out[...] = pixels
    return out
