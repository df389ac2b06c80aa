"""Decoding of many images: JPEGs in a batch kernel, other formats and masks one by one."""

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
from fastpack.core.memories import Memories
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
Buffer = bytes | npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class SpanSource:
    """The bytes that spans refer to: open files (int32), or blocks of memory, by shard number."""

    fds: npt.NDArray[np.int32] | None = None
    memories: Memories | None = None

    @classmethod
    def of(cls, buffer: Buffer) -> "SpanSource":
        """Return the source of spans of shard 0, which is one buffer."""
        return cls(memories=Memories.of([buffer]))


@dataclass(frozen=True, eq=False)
class EncodedImages:
    """Encoded images of a batch, not read yet.

    Args:
        origin: the files or the memory of the spans.
        spans: SPAN (n,).
        infos: IMAGE_INFO (n,).
        location_of: row -> its location, for messages.
        failures: errors by row, of images that have no bytes.
        seek_points: seek tables (n,), if known.
    """

    origin: SpanSource
    spans: npt.NDArray[Any]
    infos: npt.NDArray[Any]
    location_of: Callable[[int], Location]
    failures: Failures = field(default_factory=dict)
    seek_points: SeekPoints | None = None

    def take(self, rows: Rows) -> "EncodedImages":
        """Return the given images, which must not have failed."""
        seek_points = None if self.seek_points is None else self.seek_points.take(rows)
        return EncodedImages(
            self.origin,
            self.spans[rows],
            self.infos[rows],
            lambda row: self.location_of(int(rows[row])),
            seek_points=seek_points,
        )


@dataclass(frozen=True)
class DecodeOptions:
    """How to decode a batch; ReadOptions has the user's words for most of it."""

    color: Color = "RGB"
    interpolation: Interpolation = "bilinear"
    mode: Mode = "exact"
    limits: Limits = DEFAULT_LIMITS
    check: bool = True
    num_workers: int | None = None
    keep_going: bool = False
    truncated: Truncated = "error"
    bits: Bits = 8
    keeps_bits: bool = False  # refuse images of another depth
    alpha: Alpha = "drop"
    seek_points: bool = True  # use known ones
    check_pixels: bool = False  # also check pixels that a crop does not need
    memory: BufferPool = field(default_factory=BufferPool, compare=False)  # for outputs

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of decoded pixels."""
        return np.dtype(np.uint16 if self.bits == 16 else np.uint8)

    @property
    def pixel_format(self) -> PixelFormat:
        """Channels and depth, for a codec."""
        return PixelFormat(self.color, None if self.keeps_bits else self.bits, self.alpha)

    @property
    def channels(self) -> int:
        """The number of channels."""
        return 1 if self.color == "GRAY" else 3

    def workers_for(self, num_rows: int) -> int:
        """Return how many threads to use; one wake-up costs as much as a small image."""
        return max(1, min(self.num_workers or num_cores(), num_rows))


def import_codecs(formats: Sequence[int], options: DecodeOptions) -> None:
    """Import the codecs of these formats (numbers of IMAGE_INFO)."""
    for number in formats:
        if 0 < number < len(FORMATS) and (number != JPEG or options.bits != 8):
            codec_of(FORMATS[number])


def refuse_images(encoded: EncodedImages, options: DecodeOptions) -> Failures:
    """Return the errors of images that failed before, or whose header does not permit decoding."""
    infos = encoded.infos
    is_empty = (infos["width"] == 0) | (infos["height"] == 0)
    is_unknown = (infos["format"] == 0) | (infos["format"] >= len(FORMATS))
    num_pixels = infos["width"].astype(np.uint64) * infos["height"].astype(np.uint64)
    unreadable = is_empty | is_unknown
    bad = unreadable | (num_pixels > np.uint64(options.limits.max_pixels))
    return {
        row: _refusal(infos[row], bool(unreadable[row]), options.limits, encoded.location_of(row))
        for row in np.flatnonzero(bad).tolist()
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
    is_known = 0 < info["format"] < len(FORMATS)
    status = Status.CORRUPT_IMAGE if is_known else Status.NOT_AN_IMAGE
    return status_error(status, "the image's header cannot be read", location)


def upright_sizes(
    infos: npt.NDArray[Any], orient: bool, refused: Failures, *, stand_in: int = 1
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the widths and heights (n,) of upright images.

    A refused image gets the size of the first good one; without one, a square of side `stand_in`.
    """
    turned = (infos["orientation"] > 4) & orient
    widths = np.where(turned, infos["height"], infos["width"])
    heights = np.where(turned, infos["width"], infos["height"])
    if refused:
        good = next((row for row in range(len(infos)) if row not in refused), None)
        rows = list(refused)
        widths[rows] = stand_in if good is None else widths[good]
        heights[rows] = stand_in if good is None else heights[good]
    return widths, heights


def empty_outputs(
    plan: Plan, channels: int, dtype: npt.DTypeLike = np.uint8, memory: BufferPool | None = None
) -> Outputs:
    """Make the output: one array (n, H, W, C) or (n, C, H, W); if sizes differ, a list."""
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
    """Shape and dtype of one output of (height, width) = `size`."""
    if plan.normalize is None:
        return (*size, channels), np.dtype(dtype)
    shape = (channels, *size) if plan.normalize.layout == "NCHW" else (*size, channels)
    return shape, np.dtype(plan.normalize.dtype)


def check_output(out: Pixels, plan: Plan, channels: int, dtype: npt.DTypeLike = np.uint8) -> Pixels:
    """Return `out` if the plan can fill it; else raise ShapeError."""
    if not out.flags.writeable:
        raise ShapeError("out is read-only; give a writable array")
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
    """Each output as (height, width, channels) without its padding, which is written here."""
    rows = list(outs)
    if plan.normalize is not None and plan.normalize.layout == "NCHW":
        rows = [out.transpose(1, 2, 0) for out in rows]
    if plan.insets is None:
        return rows
    for row in rows:
        row[...] = _padding(plan, row)
    return [out[plan.insets.of(row)] for row, out in enumerate(rows)]


def _padding(plan: Plan, out: Pixels) -> Pixels | int:
    """The level of the padding as the output stores it."""
    assert plan.insets is not None
    if plan.normalize is not None:
        return plan.normalize.written(np.full(out.shape[2], plan.insets.fill / 255))
    return plan.insets.fill * (257 if out.dtype == np.uint16 else 1)


def _table(plan: Plan, channels: int) -> Pixels | None:
    """The bytes of Normalize's table, for the kernel."""
    if plan.normalize is None:
        return None
    return plan.normalize.table(channels).reshape(-1).view(np.uint8)


def decode_images(
    encoded: EncodedImages, plan: Plan, outs: Outputs, options: DecodeOptions, refused: Failures
) -> Failures:
    """Decode each image's view into its output, except for refused images.

    The views include the orientation to undo. With keep_going, returns all failures by row, with
    the refused ones; their outputs are undefined. Else raises the error of the lowest row.
    """
    failures = dict(refused)
    native = (encoded.infos["format"] == JPEG) & (options.bits == 8)
    for decode, of_kind in ((_decode_jpegs, native), (_decode_others, ~native)):
        wanted = of_kind.copy()
        wanted[list(refused)] = False
        if failures and not options.keep_going:
            wanted[min(failures) :] = False  # only the lowest failure is reported
        if wanted.any():
            failures |= decode(encoded, plan, outs, options, np.flatnonzero(wanted))
    if failures and not options.keep_going:
        raise failures[min(failures)]
    return failures


def _decode_jpegs(
    encoded: EncodedImages, plan: Plan, outs: Outputs, options: DecodeOptions, rows: Rows
) -> Failures:
    targets = _rows_of(outs, plan)
    seek_points = encoded.seek_points if options.seek_points else None
    tables = None if seek_points is None else seek_points.take(rows)
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
        memories=encoded.origin.memories,
        check=options.check,
        keep_going=options.keep_going,
        seek_points=None if tables is None else (tables.words, tables.starts, tables.ends),
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
    """Decode masks (n, height, width) by their images' plan; failures as in `decode_images`.

    `sizes` are the upright images' (height, width), which the plan's views count in.
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
    """Call `draw` with the undecoded bytes of each row, in threads; return the failures."""
    left = iter(rows.tolist())  # next() is atomic: each row is taken once
    options_of_one = replace(options, num_workers=1)
    failures: Failures = {}

    def work() -> None:
        decoder = Decoder()
        for row in left:
            try:
                data = read_blobs(encoded, np.array([row]), options_of_one).bytes(0)
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
        f"the image has {8 * pixels.itemsize} bits a channel, but {options.bits} are expected; "
        "choose with bits=8 or bits=16, or rebuild the index with `fastpack index --rebuild`"
    )


def _resample(
    pixels: Pixels, plan: Plan, row: int, target: Pixels, options: DecodeOptions, decoder: Decoder
) -> None:
    """Crop, resample and write the stored pixels of one image."""
    if pixels.dtype == np.uint16:
        resample_deep(pixels, plan.views[row], target, options.interpolation, plan.normalize)
        return
    table, view = _table(plan, pixels.shape[2]), plan.views[row : row + 1]
    raise_first(
        [decoder.resample(pixels, view, target, interpolation=options.interpolation, table=table)],
        lambda _: Location(),
    )


def read_blobs(encoded: EncodedImages, rows: Rows, options: DecodeOptions) -> Ragged:
    """Return the undecoded bytes of the given rows; raise for the lowest row that fails."""
    blobs, _ = _gather(encoded, rows, replace(options, keep_going=False))
    return blobs


def read_good_blobs(encoded: EncodedImages, options: DecodeOptions) -> tuple[Ragged, Failures]:
    """Return the undecoded bytes of all rows, and the failures by row.

    With keep_going, a row that fails is empty. Else raises for the lowest row that fails.
    """
    if encoded.failures and not options.keep_going:
        raise encoded.failures[min(encoded.failures)]
    blobs, failures = _gather(encoded, np.arange(len(encoded.spans)), options)
    if not failures:
        return blobs, encoded.failures
    lengths = blobs.lengths
    is_good = np.ones(len(lengths), np.bool_)
    is_good[list(failures)] = False
    values = blobs.values[np.repeat(is_good, lengths)]
    return Ragged(values, offsets_of(lengths * is_good)), encoded.failures | failures


def _gather(encoded: EncodedImages, rows: Rows, options: DecodeOptions) -> tuple[Ragged, Failures]:
    spans, origin = encoded.spans.take(rows), encoded.origin
    offsets = offsets_of(spans["length"])
    values = options.memory.empty((int(offsets[-1]),), np.uint8)
    job = Gather(
        spans,
        values,
        offsets,
        fds=origin.fds,
        memories=origin.memories,
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
    """Crop, resample and write decoded pixels (n, height, width, channels)."""
    left = iter(range(len(stored)))
    targets = _rows_of(outs, plan)

    def work() -> None:
        decoder = Decoder()
        for row in left:
            _resample(np.ascontiguousarray(stored[row]), plan, row, targets[row], options, decoder)

    run_in_threads(work, options.workers_for(len(stored)))
