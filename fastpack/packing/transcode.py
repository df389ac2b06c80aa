"""Transcoded: a source whose JPEGs that take long to decode have become fast ones, without a loss."""

import os
import tempfile
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from fastpack._native.transcode import Transcoder
from fastpack.batch import Batch
from fastpack.errors import FastpackError, Place, from_os_error
from fastpack.headers import JPEG, probe_blobs
from fastpack.limits import Limits
from fastpack.pool import share
from fastpack.ragged import Ragged, offsets_of
from fastpack.schema import Schema
from fastpack.sources import Source

Jpeg = Literal["keep", "fast"]
Metadata = Literal["keep", "strip"]

JPEG_CHOICES: tuple[Jpeg, ...] = ("keep", "fast")
METADATA_CHOICES: tuple[Metadata, ...] = ("keep", "strip")
# Enough for a thread to be worth waking.
_PORTION = 32


@dataclass(frozen=True)
class Transcodes:
    """What became of the JPEGs of a source.

    - num_transcoded: how many were replaced; bytes_before, bytes_after: of these, in all.
    - left_alone: why others were not -> how many: "fast already"; "would grow", by more than a quarter; "unusual": damaged,
      of a kind that libjpeg-turbo cannot rewrite, or with something behind the image that would get lost.
    """

    num_transcoded: int
    bytes_before: int
    bytes_after: int
    left_alone: dict[str, int]


class Transcoded:
    """A Source over another one. Progressive and arithmetic JPEGs, and those of several scans, become sequential ones of one
    scan with Huffman codes made for them. Their quantised coefficients stay what they are, which each image is read back for, so
    every decoder gives the same pixels; all other images are the source's, byte for byte.

    All images are read once when this is made, since their sizes must be known before files are laid out. What is new of
    them waits in a file without a name in `folder` for as long as this lives.

    - metadata: "keep" all, or "strip" it from those that are transcoded, but for the orientation.
    - num_workers: threads; None is one a core.

    >>> import io
    >>> from PIL import Image
    >>> from fastpack.limits import DEFAULT_LIMITS
    >>> from fastpack.sources import Paths
    >>> folder = Path(getfixture("tmp_path"))
    >>> Image.new("RGB", (64, 48), "teal").save(folder / "slow.jpg", progressive=True)
    >>> Transcoded(Paths([folder / "slow.jpg"]), folder, limits=DEFAULT_LIMITS).transcodes.num_transcoded
    1
    """

    def __init__(
        self, source: Source, folder: Path, *, metadata: Metadata = "keep", limits: Limits, num_workers: int | None = None
    ) -> None:
        self._source = source
        self._strip, self._limits = metadata == "strip", limits
        self._folder = folder
        self._offsets = np.full(len(source), -1, np.int64)  # in the file; -1: the source's
        self._sizes = source.sizes.copy()
        self._end = 0
        self._placing = threading.Lock()
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                self._fd = os.dup(file.fileno())
        except OSError as error:
            raise from_os_error(error, "write", folder) from error
        weakref.finalize(self, os.close, self._fd)
        self._left_alone: Counter[str] = Counter()
        picture = source.schema.picture
        self._name = picture.name if picture is not None and picture.kind == "image" else None
        if self._name is not None:
            portions = iter(range(0, len(source), _PORTION))  # next() on one iterator is atomic: each is taken once
            share(lambda: self._transcode(portions), num_workers)

    @property
    def schema(self) -> Schema:
        return self._source.schema

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        return self._sizes

    @property
    def transcodes(self) -> Transcodes:
        is_new = self._offsets >= 0
        before, after = (int(sizes[is_new].sum()) for sizes in (self._source.sizes, self._sizes))
        return Transcodes(int(np.count_nonzero(is_new)), before, after, dict(sorted(self._left_alone.items())))

    def fingerprints(self) -> dict[str, str]:
        found: dict[str, str] = getattr(self._source, "fingerprints", dict)()
        return found

    def __len__(self) -> int:
        return len(self._source)

    def place(self, row: int) -> Place:
        return self._source.place(row)

    def read(self, rows: npt.NDArray[np.int64]) -> Batch:
        batch = self._source.read(rows)
        if self._name is None or not (self._offsets[rows] >= 0).any():
            return batch
        images: Ragged = batch[self._name]
        values = np.empty(int(self._sizes[rows].sum()), np.uint8)
        offsets = offsets_of(self._sizes[rows])
        for i, row in enumerate(rows):
            values[offsets[i] : offsets[i + 1]] = self._stored(row) if self._offsets[row] >= 0 else images[i]
        return Batch({**batch, self._name: Ragged(values, offsets)}, len(rows))

    def _stored(self, row: int) -> npt.NDArray[np.uint8]:
        try:
            data = os.pread(self._fd, int(self._sizes[row]), int(self._offsets[row]))
        except OSError as error:
            raise from_os_error(error, "read", self._folder) from error
        return np.frombuffer(data, np.uint8)

    def _transcode(self, portions: Iterator[int]) -> None:
        transcoder = Transcoder(self._strip, max_pixels=self._limits.max_pixels, max_scans=self._limits.max_scans)
        for first in portions:
            for rows, images in self._readable(np.arange(first, min(first + _PORTION, len(self._source)))):
                infos, _ = probe_blobs(images)
                for i in np.flatnonzero(infos["format"] == JPEG).tolist():
                    self._keep(int(rows[i]), transcoder.transcode(np.ascontiguousarray(images[i])))

    def _readable(self, rows: npt.NDArray[np.int64]) -> Iterator[tuple[npt.NDArray[np.int64], Ragged]]:
        """Images that can be read; whoever reads the others again will say what is wrong with them."""
        assert self._name is not None
        try:
            images = self._source.read(rows)[self._name]
        except FastpackError:
            if len(rows) > 1:
                for row in rows:
                    yield from self._readable(np.array([row]))
            return
        if isinstance(images, Ragged):  # else the source decodes them, which whoever writes them will object to
            yield rows, images

    def _keep(self, row: int, found: bytes | str) -> None:
        with self._placing:
            if isinstance(found, str):
                self._left_alone[found] += 1
                return
            self._offsets[row], self._sizes[row] = self._end, len(found)
            self._end += len(found)
        try:
            written = 0
            while written < len(found):
                written += os.pwrite(self._fd, found[written:], int(self._offsets[row]) + written)
        except OSError as error:
            raise from_os_error(error, "write", self._folder) from error
