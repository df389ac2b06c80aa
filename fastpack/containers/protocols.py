"""What writers do, and what some containers do beside what all do."""

from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from fastpack.batch import Batch
from fastpack.containers.choice import Choice
from fastpack.index import Index
from fastpack.kinds import GUESSED, Kinds
from fastpack.limits import DEFAULT_LIMITS, Limits

# What a writer makes of a batch.
Piece = TypeVar("Piece")


class Writer(Protocol[Piece]):
    """Takes the samples of one shard, batch after batch, each in two steps.

    `encode` may run in any thread, for several batches at once; then comes `place`, for one batch at a time and in the order of the
    samples: a file takes one write after the other anyway, and threads that wait for it burn time.
    """

    def encode(self, batch: Batch) -> Piece:
        """All that can be done without knowing where in the file the batch goes."""
        ...

    def place(self, piece: Piece) -> None:
        """Writes the piece behind the one before, and compares what then stands in the file with what was to be written, as far as
        that can be told so early."""
        ...

    def write(self, batch: Batch) -> None:
        """Both, for a caller who writes batch after batch in one thread."""
        self.place(self.encode(batch))

    def close(self) -> Index | None:
        """Completes the file and compares the rest of what stands there with what was written. Gives the file's index, or None
        when only the container can tell it.

        A writer that is not closed leaves nothing of use.
        """
        ...

    def abandon(self) -> None:
        """Lets go of the file after a failure."""
        ...


@runtime_checkable
class ChoosingContainer(Protocol):
    """A format of which one file may hold several arrays side by side, or in other files; or that can be taken in several ways."""

    def index_chosen(self, path: Path, choice: Choice, limits: Limits = DEFAULT_LIMITS) -> Index: ...

    def explain(self, path: Path) -> list[str]:
        """A line for each array: how it is stored and read, or why it is left out."""
        ...


@runtime_checkable
class SiftingContainer(Protocol):
    """A format whose checksums cover records as a whole, with all of their fields."""

    def index_damaged(self, path: Path, limits: Limits = DEFAULT_LIMITS, kinds: Kinds = GUESSED) -> Index:
        """The table of a file of which some records differ from their checksums: those are its `lost` ones.

        Raises EmptySourceError when all do.
        """
        ...
