"""Many images at once: JPEGs by the batch kernel, other formats and masks one by one in the same threads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastpack._native.decode import DecodeBatch, Decoder
from fastpack._native.gather import Gather
from fastpack.core.buffer_pool import BufferPool
from fastpack.core.dtypes import Rows
from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.core.ragged import Ragged, offsets_of
from fastpack.core.threads import num_cores, run_in_threads
from fastpack.errors import (
    FastpackError,
    Location,
    ShapeError,
    Status,
    UnsupportedImageError,
    outcome_error,
    raise_first,
    status_error,
    with_location,
)
from fastpack.images.codec import Alpha, Bits, Color, PixelFormat
from fastpack.images.codecs import codec_of, decode_numbers, decode_stored
from fastpack.images.deep import resample_deep, resample_numbers
from fastpack.images.headers import FORMATS, JPEG
from fastpack.images.seek_points import SeekPoints
from fastpack.images.transforms import Plan

Interpolation = Literal["nearest", "bilinear", "bicubic", "area"]
Mode = Literal["exact", "fast"]
Truncated = Literal["error", "accept"]
Pixels = npt.NDArray[Any]
Outputs = Pixels | list[Pixels]
Failures = dict[int, FastpackError]


@dataclass(frozen=True, eq=False)
class SpanSource:
    """Where spans point into: open files by shard number (int32), or one buffer (uint8)."""

    fds: npt.NDArray[np.int32] | None = None
    memory: Pixels | None = None


@dataclass(frozen=True, eq=False)
class EncodedImages:
    """Encoded images: where they are, what their headers say, what to call each in a message, and which could not be had."""

    origin: SpanSource
    spans: npt.NDArray[Any]
    infos: npt.NDArray[Any]
    location_of: Callable[[int], Location]
    failures: Failures = field(default_factory=dict)
    seek_points: SeekPoints | None = None

    def take(self, rows: Rows) -> "EncodedImages":
        """The given ones of those that could be had."""
        marks = None if self.seek_points is None else self.seek_points.take(rows)
        return EncodedImages(
            self.origin,
            self.spans[rows],
            self.infos[rows],
            lambda row: self.location_of(int(rows[row])),
            seek_points=marks,
        )


@dataclass(frozen=True)
class DecodeOptions:
    color: Color = "RGB"
    interpolation: Interpolation = "bilinear"
    mode: Mode = "exact"
    limits: Limits = DEFAULT_LIMITS
    check: bool = True
    num_workers: int | None = None
    keep_going: bool = False
    truncated: Truncated = "error"
    bits: Bits = 8
    keeps_bits: bool = False  # refuse an image of more or fewer bits
    alpha: Alpha = "drop"
    seek_points: bool = True  # use those that are there
    check_pixels: bool = False  # compare also what reading does not decode
    memory: BufferPool = field(
        default_factory=BufferPool, compare=False
    )  # where batches are written

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint16 if self.bits == 16 else np.uint8)

    @property
    def pixel_format(self) -> PixelFormat:
        return PixelFormat(self.color, None if self.keeps_bits else self.bits, self.alpha)

    @property
    def channels(self) -> int:
        return 1 if self.color == "GRAY" else 3

    def workers_for(self, num_rows: int) -> int:
        """No more threads than rows: waking one costs as much as a small image."""
        return max(1, min(self.num_workers or num_cores(), num_rows))


def import_codecs(formats: Sequence[int], options: DecodeOptions) -> None:
    """Imports the codecs that images of these formats, as IMAGE_INFO has them, will need."""
    for number in formats:
        if 0 < number < len(FORMATS) and (number != JPEG or options.bits != 8):
            codec_of(FORMATS[number])


def refuse_pictures(encoded: EncodedImages, options: DecodeOptions) -> Failures:
    """Those that must not be decoded, by what their headers say."""
    infos = encoded.infos
    unreadable = (
        (infos["width"] == 0)
        | (infos["height"] == 0)
        | (infos["format"] == 0)
        | (infos["format"] >= len(FORMATS))
    )
    too_large = infos["width"].astype(np.uint64) * infos["height"].astype(np.uint64) > np.uint64(
        options.limits.max_pixels
    )
    bad = np.flatnonzero(unreadable | too_large).tolist()
    return {
        row: _refusal(infos[row], bool(unreadable[row]), options.limits, encoded.location_of(row))
        for row in bad
    } | encoded.failures


def _refusal(
    info: npt.NDArray[Any], is_unreadable: bool, limits: Limits, location: Location
) -> FastpackError:
    if not is_unreadable:
        return status_error(
            Status.PIXEL_LIMIT,
            f"{info['width']} x {info['height']} pixels are more than {limits.max_pixels}",
            location,
        )
    return status_error(
        9 if 0 < info["format"] < len(FORMATS) else 8, "the image's header cannot be read", location
    )


def upright_sizes(
    infos: npt.NDArray[Any], orient: bool, refused: Failures, *, stand_in: int = 1
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Widths and heights (n,) once images are turned upright.

    A refused image is planned like the first good one, or, when there is none, as a square of `stand_in`.
    """
    turned = (infos["orientation"] > 4) & orient
    widths, heights = (
        np.where(turned, infos["height"], infos["width"]),
        np.where(turned, infos["width"], infos["height"]),
    )
    if refused:
        good = next((row for row in range(len(infos)) if row not in refused), None)
        rows = list(refused)
        widths[rows], heights[rows] = (
            (stand_in, stand_in) if good is None else (widths[good], heights[good])
        )
    return widths, heights


def empty_outputs(
    plan: Plan, channels: int, dtype: npt.DTypeLike = np.uint8, memory: BufferPool | None = None
) -> Outputs:
    """One array (n, H, W, C), or (n, C, H, W), when all have one size, else a list of such."""
    if plan.size is not None:
        shape, kind = _shape_of(plan, plan.size, channels, dtype)
        return (memory or BufferPool()).empty((len(plan.views), *shape), kind)
    sizes = zip(plan.heights.tolist(), plan.widths.tolist(), strict=True)
    if len(plan.views):
        return [np.empty(*_shape_of(plan, size, channels, dtype)) for size in sizes]
    shape, kind = _shape_of(plan, (0, 0), channels, dtype)
    return np.empty((0, *shape), kind)


def _shape_of(
    plan: Plan, size: tuple[int, int], channels: int, dtype: npt.DTypeLike
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of one output that is (height, width) = `size`."""
    if plan.normalize is None:
        return (*size, channels), np.dtype(dtype)
    return (channels, *size) if plan.normalize.layout == "NCHW" else (*size, channels), np.dtype(
        plan.normalize.dtype
    )


def check_output(out: Pixels, plan: Plan, channels: int, dtype: npt.DTypeLike = np.uint8) -> Pixels:
    """`out`, if it is what the plan fills; else raises ShapeError."""
    if not out.flags.writeable:
        raise ShapeError("out is read-only; give an array that may be written")
    if len(plan.views) == 0 and len(out) == 0:
        return out
    if plan.size is None:
        raise ShapeError("out needs images of one size; give a transform such as Resize")
    of_one, kind = _shape_of(plan, plan.size, channels, dtype)
    shape = (len(plan.views), *of_one)
    if out.shape != shape or out.dtype != kind:
        raise ShapeError(f"out must be {kind} {shape}, not {out.dtype} {out.shape}")
    return out


def _rows_of(outs: Outputs, plan: Plan) -> list[Pixels]:
    """Each output as (height, width, channels), whatever its layout; without its padding, which is written here."""
    rows = list(outs)
    if plan.normalize is not None and plan.normalize.layout == "NCHW":
        rows = [out.transpose(1, 2, 0) for out in rows]
    if plan.insets is None:
        return rows
    for row in rows:
        row[...] = _padding(plan, row)
    return [out[plan.insets.of(row)] for row, out in enumerate(rows)]


def _padding(plan: Plan, out: Pixels) -> Pixels | int:
    """What is written for the level of the padding."""
    assert plan.insets is not None
    if plan.normalize is not None:
        return plan.normalize.written(np.full(out.shape[2], plan.insets.fill / 255))
    return plan.insets.fill * (257 if out.dtype == np.uint16 else 1)


def _table(plan: Plan, channels: int) -> Pixels | None:
    return (
        None
        if plan.normalize is None
        else plan.normalize.table(channels).reshape(-1).view(np.uint8)
    )


def decode_pictures(
    encoded: EncodedImages, plan: Plan, outs: Outputs, options: DecodeOptions, refused: Failures
) -> Failures:
    """Decodes what the plan wants of each image into its output, but for those that are refused.

    The plan's views also say which orientation to undo. With keep_going, gives the failures by row, the refused
    among them, whose outputs hold nothing of use; else raises for the lowest row that fails.
    """
    failures = dict(refused)
    native = (encoded.infos["format"] == JPEG) & (options.bits == 8)
    for decode, of_kind in ((_decode_jpegs, native), (_decode_others, ~native)):
        wanted = of_kind.copy()
        wanted[list(refused)] = False
        if failures and not options.keep_going:
            wanted[min(failures) :] = False  # the lowest failure is what is told
        if wanted.any():
            failures |= decode(encoded, plan, outs, options, np.flatnonzero(wanted))
    if failures and not options.keep_going:
        raise failures[min(failures)]
    return failures


def _decode_jpegs(
    encoded: EncodedImages, plan: Plan, outs: Outputs, options: DecodeOptions, rows: Rows
) -> Failures:
    targets = _rows_of(outs, plan)
    marks = (
        encoded.seek_points.take(rows)
        if options.seek_points and encoded.seek_points is not None
        else None
    )
    job = DecodeBatch(
        encoded.spans[rows],
        plan.views[rows],
        targets if len(rows) == len(targets) else [targets[row] for row in rows],
        color=options.color,
        interpolation=options.interpolation,
        may_reduce=options.mode == "fast",
        accept_damage=options.truncated == "accept",
        table=_table(plan, options.channels),
        max_pixels=options.limits.max_pixels,
        max_scans=options.limits.max_scans,
        fds=encoded.origin.fds,
        memory=encoded.origin.memory,
        check=options.check,
        keep_going=options.keep_going,
        seek_points=None if marks is None else (marks.words, marks.starts, marks.ends),
    )
    run_in_threads(job.run, options.workers_for(len(rows)))
    failed = [(int(rows[outcome[2]]), outcome) for outcome in job.failures() if outcome]
    return {row: outcome_error(outcome, encoded.location_of(row)) for row, outcome in failed}


def _decode_others(
    encoded: EncodedImages, plan: Plan, outs: Outputs, options: DecodeOptions, rows: Rows
) -> Failures:
    targets = _rows_of(outs, plan)

    def draw(row: int, data: bytes, decoder: Decoder) -> None:
        info = encoded.infos[row]
        pixels = decode_stored(data, info, options.pixel_format, options.limits)
        if pixels.dtype != options.dtype:
            raise _of_other_bits(pixels, options)
        _resample(pixels, plan, row, targets[row], options, decoder)

    return _draw_each(encoded, options, rows, draw)


def decode_masks(
    encoded: EncodedImages,
    plan: Plan,
    sizes: Sequence[tuple[int, int]],
    outs: Outputs,
    options: DecodeOptions,
    refused: Failures,
) -> Failures:
    """Decode masks (n, height, width) by the plan of their images; failures as `decode_pictures` has them.

    - sizes: (height, width) of each image, upright, which the plan's views count in.
    """
    targets = _rows_of(outs, plan)

    def draw(row: int, data: bytes, decoder: Decoder) -> None:
        info = encoded.infos[row]
        numbers = decode_numbers(data, info, options.limits)[..., 0]
        if numbers.itemsize > targets[row].itemsize:
            raise _of_other_bits(numbers, options)
        resample_numbers(numbers, plan.views[row], sizes[row], targets[row])

    wanted = [row for row in range(len(encoded.infos)) if row not in refused]
    failures = refused | _draw_each(encoded, options, np.array(wanted, np.int64), draw)
    if failures and not options.keep_going:
        raise failures[min(failures)]
    return failures


def _draw_each(
    encoded: EncodedImages,
    options: DecodeOptions,
    rows: Rows,
    draw: Callable[[int, bytes, Decoder], None],
) -> Failures:
    """Calls `draw` with the undecoded bytes of each row, from several threads; gives the failures, with their places."""
    left = iter(rows.tolist())  # next() on one iterator is atomic: each row is taken once
    failures: Failures = {}

    def work() -> None:
        decoder = Decoder()
        for row in left:
            try:
                data = read_blobs(encoded, np.array([row]), replace(options, num_workers=1)).bytes(
                    0
                )
            except FastpackError as error:
                failures[row] = error
                continue
            try:
                draw(row, data, decoder)
            except FastpackError as error:
                failures[row] = type(error)(with_location(str(error), encoded.location_of(row)))

    run_in_threads(work, options.workers_for(len(rows)))
    return failures


def _of_other_bits(pixels: Pixels, options: DecodeOptions) -> FastpackError:
    return UnsupportedImageError(
        f"the image has {8 * pixels.itemsize} bits a channel, and others, or the index, say {options.bits}; "
        "say which to give with bits=8 or bits=16, or rebuild the index with `fastpack index --rebuild`"
    )


def _resample(
    pixels: Pixels, plan: Plan, row: int, target: Pixels, options: DecodeOptions, decoder: Decoder
) -> None:
    """Crops, resamples and writes stored pixels."""
    if pixels.dtype == np.uint16:
        resample_deep(pixels, plan.views[row], target, options.interpolation, plan.normalize)
        return
    table, view = _table(plan, pixels.shape[2]), plan.views[row : row + 1]
    raise_first(
        [decoder.resample(pixels, view, target, interpolation=options.interpolation, table=table)],
        lambda _: Location(),
    )


def read_blobs(encoded: EncodedImages, rows: Rows, options: DecodeOptions) -> Ragged:
    """The undecoded bytes of some rows. Raises for the lowest row that fails, whatever keep_going says."""
    blobs, _ = _gather(encoded, rows, replace(options, keep_going=False))
    return blobs


def read_good_blobs(encoded: EncodedImages, options: DecodeOptions) -> tuple[Ragged, Failures]:
    """The undecoded bytes of all rows. With keep_going, a row that fails is empty, and the failures are told by row; else raises
    for the lowest row that fails."""
    if encoded.failures and not options.keep_going:
        raise encoded.failures[min(encoded.failures)]  # what could be had lies in memory by now
    blobs, failures = _gather(encoded, np.arange(len(encoded.spans)), options)
    if not failures:
        return blobs, encoded.failures
    lengths = blobs.lengths
    is_good = np.ones(len(lengths), np.bool_)
    is_good[list(failures)] = False
    return Ragged(
        blobs.values[np.repeat(is_good, lengths)], offsets_of(lengths * is_good)
    ), encoded.failures | failures


def _gather(encoded: EncodedImages, rows: Rows, options: DecodeOptions) -> tuple[Ragged, Failures]:
    spans, origin = encoded.spans.take(rows), encoded.origin
    offsets = offsets_of(spans["length"])
    values = options.memory.empty((int(offsets[-1]),), np.uint8)
    job = Gather(
        spans,
        values,
        offsets,
        fds=origin.fds,
        memory=origin.memory,
        check=options.check,
        keep_going=options.keep_going,
    )
    run_in_threads(job.run, options.workers_for(len(rows)))
    failed = [(int(rows[outcome[2]]), outcome) for outcome in job.failures() if outcome]
    failures = {row: outcome_error(outcome, encoded.location_of(row)) for row, outcome in failed}
    if failures and not options.keep_going:
        raise next(iter(failures.values()))
    return Ragged(values, offsets), failures


def resample(stored: Pixels, plan: Plan, outs: Outputs, options: DecodeOptions) -> None:
    """Crops, resamples and writes pixels (n, height, width, channels) that are decoded already."""
    left = iter(range(len(stored)))
    targets = _rows_of(outs, plan)

    def work() -> None:
        decoder = Decoder()
        for row in left:
            _resample(np.ascontiguousarray(stored[row]), plan, row, targets[row], options, decoder)

    run_in_threads(work, options.workers_for(len(stored)))
