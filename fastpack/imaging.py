"""Imaging: from stored images and arrays to what a batch has of them."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.blobs import Blobs
from fastpack.codecs.batch import (
    Failures,
    Outputs,
    Pictures,
    check_output,
    decode_pictures,
    empty_outputs,
    import_codecs,
    place_pixels,
    read_good_blobs,
    refuse_pictures,
    upright_sizes,
)
from fastpack.draws import Draws
from fastpack.errors import ShapeError
from fastpack.learned import Learned
from fastpack.memory import Memory
from fastpack.options import ReadOptions
from fastpack.pool import num_cores
from fastpack.schema import Field
from fastpack.transforms import Plan, least_side, plan_batch

Rows = npt.NDArray[np.int64]
Pixels = npt.NDArray[Any]


class Imaging:
    """The bytes or pixels of samples, transformed as the options say. Thread-safe.

    - blobs: where they are stored.
    - sample_numbers (n,): what random transforms know the samples by.
    - memory: where batches are written.
    - learned: the checkpoints that are made as images are first decoded, if they are.
    """

    def __init__(self, blobs: Blobs, options: ReadOptions, sample_numbers: Rows, memory: Memory, learned: Learned | None) -> None:
        self._blobs, self._options, self._sample_numbers, self._learned = blobs, options, sample_numbers, learned
        self.decoding = replace(options.for_decoding, memory=memory)

    def import_modules(self) -> None:
        """Imports what reading and decoding import, as threads may read while a process is forked."""
        self._blobs.import_modules()
        if self._options.decode:
            import_codecs(self._blobs.formats, self.decoding)

    def values(self, field: Field, rows: Rows, epoch: int | Rows, out: Pixels | None) -> tuple[Any, Failures]:
        """What a batch of these samples has of one field, and which of them could not be had, whose pixels are 0; or raises for
        the first of these.

        - out: an array that receives the pixels; else there is a new one.
        """
        if field.kind == "pixels":
            return self._stored_pixels(field, rows, epoch, out)
        pictures = self._blobs.pictures(field, rows, self.decoding)
        if field.kind == "bytes" or not self._options.decode:
            return read_good_blobs(pictures, self.decoding)
        if len(rows) == 0 and out is None:
            side = least_side(self._options.steps)
            return self._no_images([side, 2 * side], [side, side], self.decoding.channels, self.decoding.dtype), {}
        if self._learned and self.decoding.checkpoints:
            num_workers = self.decoding.num_workers or num_cores()
            pictures = self._learned.completed(field.name, self._sample_numbers[rows], pictures, num_workers)
        return self._decoded(pictures, rows, epoch, out)

    def _decoded(self, pictures: Pictures, rows: Rows, epoch: int | Rows, out: Pixels | None) -> tuple[Outputs, Failures]:
        options = self.decoding
        refused, stand_in = refuse_pictures(pictures, options), least_side(self._options.steps)
        plan = self._plan(rows, epoch, *upright_sizes(pictures.infos, self._options.orient, refused, stand_in=stand_in))
        if self._options.orient:
            plan.views["orientation"] = pictures.infos["orientation"]
        kind = options.channels, options.dtype
        outs = empty_outputs(plan, *kind, options.memory) if out is None else check_output(out, plan, *kind)
        failures = decode_pictures(pictures, plan, outs, options, refused)
        for row in failures:
            if isinstance(outs, list):
                outs[row] = np.zeros_like(outs[row])  # memory that nobody has touched yet stays so
            else:
                outs[row][...] = 0
        return outs, failures

    def _plan(self, rows: Rows, epoch: int | Rows, widths: npt.ArrayLike, heights: npt.ArrayLike) -> Plan:
        return plan_batch(self._options.steps, widths, heights, Draws(self._options.seed, epoch, self._sample_numbers[rows]))

    def _no_images(self, widths: list[int], heights: list[int], channels: int, dtype: npt.DTypeLike) -> Pixels:
        """None, but of the size that a batch of two of these would have, when the transform gives all images one size."""
        steps = self._options.steps
        outs = empty_outputs(plan_batch(steps, widths, heights, Draws(0, 0, np.arange(2))), channels, dtype)
        if isinstance(outs, list):
            outs = empty_outputs(plan_batch(steps, [], [], Draws(0, 0, np.arange(0))), channels, dtype)
        return outs[:0]  # type: ignore[return-value]  # an array: no image, or two of one size

    # Stored pixels.

    def _stored_pixels(self, field: Field, rows: Rows, epoch: int | Rows, out: Pixels | None) -> tuple[Pixels, Failures]:
        is_mirrored = {field.color, self._options.color} == {"RGB", "BGR"}  # other stored colours come as they are
        is_final = not self._options.steps and not is_mirrored
        stored, failures = self._blobs.pixels(field, rows, self.decoding, out if is_final else None)
        if is_mirrored:
            stored = np.ascontiguousarray(stored[..., ::-1])
        pixels = stored if is_final else self._transformed(stored, rows, epoch, out)
        if failures:
            pixels[list(failures)] = 0
        return pixels, failures

    def _transformed(self, pixels: Pixels, rows: Rows, epoch: int | Rows, out: Pixels | None) -> Pixels:
        if not self._options.steps:
            return pixels if out is None else _copy_into(out, pixels)
        if pixels.ndim != 4 or pixels.dtype != np.uint8:
            raise ShapeError(f"a transform needs uint8 pixels (n, height, width, channels), not {pixels.dtype} {pixels.shape}")
        count, height, width, channels = pixels.shape
        if count == 0 and out is None:
            return self._no_images([width] * 2, [height] * 2, channels, np.uint8)
        plan = self._plan(rows, epoch, np.full(count, width), np.full(count, height))
        outs = empty_outputs(plan, channels, np.uint8, self.decoding.memory) if out is None else check_output(out, plan, channels)
        place_pixels(pixels, plan, outs, self.decoding)
        return outs  # type: ignore[return-value]  # one array: all stored pixels have one size


def _copy_into(out: Pixels, pixels: Pixels) -> Pixels:
    if out.shape != pixels.shape or out.dtype != pixels.dtype:
        raise ShapeError(f"out must be {pixels.dtype} {pixels.shape}, not {out.dtype} {out.shape}")
    out[...] = pixels
    return out
