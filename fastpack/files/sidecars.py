"""Sidecar: files beside images, with their names and another ending, whose text is a column: captions, labels."""

import os
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from fastpack.core.ragged import Text, digest, offsets_of
from fastpack.core.threads import run_in_threads
from fastpack.errors import FastpackError, Location, MissingFileError, SourceError, with_location
from fastpack.files.escapes import is_utf8
from fastpack.files.file_names import FileNames
from fastpack.files.image_folder import FirstNames, Tree

# Endings that are looked for: WebDataset's of text and of class numbers, and what captions are called beside them.
SIDECARS = ("txt", "caption", "json", "cls")
# Longer files are taken on request only: a column is in memory.
_MAX_GUESSED_BYTES = 2**16
_BLOCK = 4096


@dataclass(frozen=True)
class Sidecar:
    """The files of one ending beside n images.

    - names: of those that are there; `rows`: which images they belong to.
    - sizes, times: of these, in bytes and ns.
    - faults: images whose file cannot be taken, by row.
    - num_strange: files of that ending that no image has the name of.
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
    def of(cls, root: Path, tree: Tree, ending: str, *, is_guess: bool) -> Self:
        beside = Text.of(f"{_stem(file)}.{ending}" for file in tree.files)
        refused = (
            {row: tree.faults[name] for row, name in enumerate(beside) if name in tree.faults}
            if tree.faults
            else {}
        )
        above = os.path.join(root, "")
        names = FileNames(beside, above)
        sizes, times, faults = names.stat(refused)
        faults = faults | refused
        there = np.ones(len(names), np.bool_)
        there[list(faults)] = False
        rows = np.flatnonzero(there)
        absent = {row for row, fault in faults.items() if isinstance(fault, MissingFileError)}
        if (
            len(rows) + len(faults) - len(absent) < tree.others.get(ending, FirstNames()).count
        ):  # else each name listed there is taken
            absent = {
                row for row in absent if not os.path.islink(names[row])
            }  # a link that leads nowhere is a fault
        faults = {row: fault for row, fault in faults.items() if row not in absent}
        strange = max(0, tree.others.get(ending, FirstNames()).count - len(rows) - len(faults))
        taken = FileNames(beside.take(rows), above)
        return cls(
            ending, len(names), taken, rows, sizes[rows], times[rows], faults, is_guess, strange
        )

    @property
    def num_there(self) -> int:
        return len(self.rows) + len(self.faults)

    @property
    def note(self) -> str:
        """What was taken, of how many images it is missing, and how many such files no image has."""
        facts = [
            f"the .{self.ending} files beside {self.num_there:,} images are the field {self.ending!r}"
        ]
        if self.is_guess:
            facts.append("give sidecars=[] to leave them out")
        if missing := self.num_images - self.num_there:
            facts.append(f"{missing:,} without one have an empty text")
        if self.num_strange:
            facts.append(f"{self.num_strange:,} of no image were left out")
        return "; ".join(facts)

    def reason_against(self) -> str:
        """What speaks against taking it unasked."""
        if len(self.sizes) and self.sizes.max() > _MAX_GUESSED_BYTES:
            size = f"some of the .{self.ending} files beside the images have more than {_MAX_GUESSED_BYTES:,} bytes"
            return f"{size}, so they were left out; give sidecars=[{self.ending!r}] to take them"
        return ""

    def stamp(self) -> bytes:
        """Changes when a file does."""
        return (
            f"{self.ending} {digest(self.rows)} {digest(self.sizes)} {digest(self.times)}".encode()
        )

    def text(self) -> Text:
        """(n,): what the files hold; "" where there is none. Raises SourceError for one that is not UTF-8."""
        offsets = offsets_of(self.sizes)
        values = np.empty(int(offsets[-1]), np.uint8)
        left = deque(range(0, len(self.rows), _BLOCK))

        def work() -> None:
            with suppress(IndexError):  # none is left
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
        """(n,), when each file is there and holds a whole number."""
        if len(self.rows) < self.num_images:
            return None
        with suppress(ValueError, OverflowError):
            return np.array([int(text) for text in self.text()], np.int64)
        return None

    def _refuse_odd(self, text: Text) -> None:
        if not is_utf8(text):
            row = next(row for row in range(len(text)) if not is_utf8(text[row : row + 1]))
            message = f"the text is not UTF-8; save it as UTF-8, or give sidecars=[...] without {self.ending!r}"
            raise SourceError(with_location(message, Location(self.names[row])))


def _stem(file: str) -> str:
    above, slash, name = file.rpartition("/")
    return above + slash + name.rpartition(".")[0]
