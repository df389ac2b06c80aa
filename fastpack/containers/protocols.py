"""What some containers do beside what all do."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from fastpack.index import Index
from fastpack.kinds import GUESSED, Kinds
from fastpack.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from fastpack.containers import Choice


@runtime_checkable
class ChoosingContainer(Protocol):
    """A format of which one file may hold several arrays side by side, or in other files; or that can be taken in several ways."""

    def index_chosen(self, path: Path, choice: "Choice", limits: Limits = DEFAULT_LIMITS) -> Index: ...

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
