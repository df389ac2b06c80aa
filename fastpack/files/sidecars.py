"""Sidecar: files beside images, with another ending, whose text is a column."""

import os
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from fastpack.core.ragged import Text, digest, offsets_of
from fastpack.core.threads import run_in_threads
from fastpack.errors import FastpackError, Location, MissingFileError, SourceError, with_location
from fastpack.files.escapes import is_utf8
from fastpack.files.file_names import FileNames
from fastpack.files.image_tree import ImageTree
from fastpack.files.name_summary import NameSummary

# Endings that are taken unasked: WebDataset's of text and of class numbers, and of captions.
SIDECARS = ("txt", "caption", "json", "cls")
# Longer files are taken on request only: columns are in memory.
_MAX_GUESSED_BYTES = 2**16
_BLOCK = 4096


@dataclass(frozen=True)
class Sidecar:
    """The files of one ending beside n images.

    Args:
        ending: without a dot.
        num_images: n.
        names: of the k files that exist.
        rows: the images that they belong to, (k,).
        sizes: in bytes, (k,) int64.
        times: of modification, in ns, (k,) int64.
        faults: errors of files that cannot be read, by image.
        is_guess: whether the ending was chosen by its frequency.
        num_strange: files with this ending whose name is not that of an image.
    """

    ending: str
    num_images: int
    names: FileNames
    rows: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    faults: Mapping[int, FastpackError] = field(default_factory=dict)
    is_guess: bool = True
    num_strange: int = 0

    @classmethod
    def of(cls, tree: ImageTree, ending: str, *, is_guess: bool) -> Self:
        """Find the sidecars of a tree's images."""
        beside = Text.of(f"{_stem(file)}.{ending}" for file in tree.files)
        names = tree.all_files.names(beside)
        refused = _faults_of(beside, tree)
        sizes, times, faults = names.stat(refused)
        faults = faults | refused
        exists = np.ones(len(names), np.bool_)
        exists[list(faults)] = False
        rows = np.flatnonzero(exists)
        num_listed = tree.others.get(ending, NameSummary()).count
        absent = {row for row, fault in faults.items() if isinstance(fault, MissingFileError)}
        if len(rows) + len(faults) - len(absent) < num_listed:
            # Some listed names are not explained yet: broken links, which are faults.
            absent = {row for row in absent if not os.path.islink(names[row])}
        faults = {row: fault for row, fault in faults.items() if row not in absent}
        return cls(
            ending,
            len(names),
            tree.all_files.names(beside.take(rows)),
            rows,
            sizes[rows],
            times[rows],
            faults,
            is_guess,
            num_strange=max(0, num_listed - len(rows) - len(faults)),
        )

    @property
    def num_present(self) -> int:
        """Number of images with such a file."""
        return len(self.rows) + len(self.faults)

    @property
    def note(self) -> str:
        """A sentence on the files that were taken, are missing, or belong to no image."""
        count, field_name = f"{self.num_present:,}", repr(self.ending)
        facts = [f"the .{self.ending} files beside {count} images are the field {field_name}"]
        if self.is_guess:
            facts.append("give sidecars=[] to leave them out")
        if missing := self.num_images - self.num_present:
            facts.append(f"{missing:,} without one have an empty text")
        if self.num_strange:
            facts.append(f"{self.num_strange:,} of no image were left out")
        return "; ".join(facts)

    def reason_against(self) -> str:
        """Return why such files must not be taken unasked; "" for no reason."""
        if not len(self.sizes) or self.sizes.max() <= _MAX_GUESSED_BYTES:
            return ""
        size = f"some of the .{self.ending} files beside the images have more than"
        why = f"{size} {_MAX_GUESSED_BYTES:,} bytes, so they were left out"
        return f"{why}; give sidecars=[{self.ending!r}] to take them"

    def stamp(self) -> bytes:
        """Return bytes that differ if a file differs."""
        return (
            f"{self.ending} {digest(self.rows)} {digest(self.sizes)} {digest(self.times)}".encode()
        )

    def text(self) -> Text:
        """Read the files, (n,); "" for images without one.

        Raises SourceError if not UTF-8.
        """
        offsets = offsets_of(self.sizes)
        values = np.empty(int(offsets[-1]), np.uint8)
        left = deque(range(0, len(self.rows), _BLOCK))

        def work() -> None:
            with suppress(IndexError):  # the queue is empty
                while True:
                    first = left.popleft()
                    ends = offsets[first : first + _BLOCK + 1]
                    self.names.read(
                        np.arange(first, first + len(ends) - 1),
                        values[ends[0] : ends[-1]],
                        ends - ends[0],
                    )

        run_in_threads(work, None if len(self.rows) > _BLOCK else 1)
        self._refuse_odd(Text(values, offsets))
        lengths = np.zeros(self.num_images, np.int64)
        lengths[self.rows] = self.sizes
        return Text(values, offsets_of(lengths))

    def numbers(self) -> npt.NDArray[np.int64] | None:
        """Return the integers (n,) in the files; None if a file lacks one."""
        if len(self.rows) < self.num_images:
            return None
        with suppress(ValueError, OverflowError):
            return np.array([int(text) for text in self.text()], np.int64)
        return None

    def _refuse_odd(self, text: Text) -> None:
        if not is_utf8(text):
            row = next(row for row in range(len(text)) if not is_utf8(text[row : row + 1]))
            remedy = f"save it as UTF-8, or give sidecars=[...] without {self.ending!r}"
            message = f"the text is not UTF-8; {remedy}"
            raise SourceError(with_location(message, Location(self.names[row])))


def _faults_of(names: Text, tree: ImageTree) -> dict[int, FastpackError]:
    if not tree.faults:
        return {}
    return {row: tree.faults[name] for row, name in enumerate(names) if name in tree.faults}


def _stem(file: str) -> str:
    above, slash, name = file.rpartition("/")
    return above + slash + name.rpartition(".")[0]
