"""Many images at once: JPEGs by the batch kernel, the rest one by one in the same threads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.decode import DecodeBatch, Decoder
from fastpack._native.gather import Gather
from fastpack.codecs import Color, codec_of
from fastpack.errors import FastpackError, Place, at, raise_first, raise_status
from fastpack.headers import FORMATS, JPEG
from fastpack.limits import DEFAULT_LIMITS, Limits
from fastpack.pool import num_cores, share
from fastpack.ragged import Ragged, offsets_of

Pixels = npt.NDArray[np.uint8]
Outputs = Pixels | Sequence[Pixels]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Origin:
    """Where spans point into: open files by shard number (int32), or one buffer (uint8)."""

    fds: npt.NDArray[np.int32] | None = None
    memory: Pixels | None = None


@dataclass(frozen=True, eq=False)
class Pictures:
    """Encoded images: where they are, what their headers say, and what to call each in a message."""

    origin: Origin
    spans: npt.NDArray[Any]
    infos: npt.NDArray[Any]
    place_of: Callable[[int], Place]


@dataclass(frozen=True)
class DecodeOptions:
    color: Color = "RGB"
    limits: Limits = DEFAULT_LIMITS
    check: bool = True
    num_workers: int | None = None

    @property
    def channels(self) -> int:
        return 1 if self.color == "GRAY" else 3

    def workers_for(self, num_rows: int) -> int:
        """No more threads than rows: waking one costs as much as a small image."""
        return max(1, min(self.num_workers or num_cores(), num_rows))


def upright_sizes(infos: npt.NDArray[Any], orient: bool) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Widths and heights (n,) as they are once images are turned upright."""
    turned = (infos["orientation"] > 4) & orient
    return np.where(turned, infos["height"], infos["width"]), np.where(turned, infos["width"], infos["height"])


def empty_outputs(views: npt.NDArray[Any], size: tuple[int, int] | None, channels: int) -> Outputs:
    """One array (n, H, W, C) when all have one size, else a list of arrays."""
    if size is None and len(views):
        sizes = {(int(height), int(width)) for height, width in zip(views["height"], views["width"], strict=True)}
        size = sizes.pop() if len(sizes) == 1 else None
    if size is not None:
        return np.empty((len(views), *size, channels), np.uint8)
    return [np.empty((view["height"], view["width"], channels), np.uint8) for view in views]


def decode_pictures(pictures: Pictures, views: npt.NDArray[Any], outs: Outputs, options: DecodeOptions) -> None:
    """Decodes the view of each picture into its output (height, width, channels).

    A view also says which orientation to undo. Raises for the first JPEG that fails, else for the
    first other image.
    """
    infos = pictures.infos
    readable = (infos["width"] > 0) & (infos["height"] > 0)
    if not readable.all():
        row = int(np.argmin(readable))
        raise_status(9 if infos["format"][row] else 8, "the image's header cannot be read", pictures.place_of(row))
    is_jpeg = infos["format"] == JPEG
    if is_jpeg.any():
        _decode_jpegs(pictures, views, outs, options, np.flatnonzero(is_jpeg))
    if not is_jpeg.all():
        _decode_others(pictures, views, outs, options, np.flatnonzero(~is_jpeg))


def _decode_jpegs(pictures: Pictures, views: npt.NDArray[Any], outs: Outputs, options: DecodeOptions, rows: Rows) -> None:
    job = DecodeBatch(
        pictures.spans[rows],
        views[rows],
        [outs[row] for row in rows],
        color=options.color,
        max_pixels=options.limits.max_pixels,
        max_scans=options.limits.max_scans,
        fds=pictures.origin.fds,
        memory=pictures.origin.memory,
        check=options.check,
    )
    raise_first(share(job.run, options.workers_for(len(rows))), lambda row: pictures.place_of(int(rows[row])))


def _decode_others(pictures: Pictures, views: npt.NDArray[Any], outs: Outputs, options: DecodeOptions, rows: Rows) -> None:
    blobs = read_blobs(pictures, rows, options)
    left = iter(range(len(rows)))  # next() on one iterator is atomic: each row is taken once

    def work() -> None:
        decoder = Decoder()
        for i in left:
            row = int(rows[i])
            try:
                info = pictures.infos[row]
                pixels = codec_of(FORMATS[info["format"]]).decode(blobs.bytes(i), info, options.color, options.limits)
            except FastpackError as error:
                raise type(error)(at(str(error), pictures.place_of(row))) from error
            outcome = decoder.place(pixels, views[row : row + 1], outs[row])
            raise_first([outcome], lambda _: pictures.place_of(row))  # noqa: B023 - called before the next row is taken

    share(work, options.workers_for(len(rows)))


def read_blobs(pictures: Pictures, rows: Rows, options: DecodeOptions) -> Ragged:
    """The undecoded bytes of some rows."""
    spans = pictures.spans[rows]
    offsets = offsets_of(spans["length"])
    values = np.empty(offsets[-1], np.uint8)
    origin = pictures.origin
    job = Gather(spans, values, offsets, fds=origin.fds, memory=origin.memory, check=options.check)
    raise_first(share(job.run, options.workers_for(len(rows))), lambda row: pictures.place_of(int(rows[row])))
    return Ragged(values, offsets)


def place_pixels(stored: Sequence[Pixels], views: npt.NDArray[Any], outs: Outputs, options: DecodeOptions) -> None:
    """Crops and resamples pixels that are decoded already."""
    left = iter(range(len(stored)))

    def work() -> None:
        decoder = Decoder()
        for row in left:
            raise_first([decoder.place(np.ascontiguousarray(stored[row]), views[row : row + 1], outs[row])], lambda _: Place())

    share(work, options.workers_for(len(stored)))
