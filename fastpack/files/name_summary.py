"""NameSummary: number of names, and the first few, for notes and messages."""

from collections.abc import Collection
from dataclasses import dataclass
from heapq import nsmallest
from typing import Self

from fastpack.core.plural import counted

_MAX_SHOWN = 3


@dataclass(frozen=True)
class NameSummary:
    """Number of names, and the first of them in sorted order.

    >>> str(NameSummary.of(["a", "b", "c", "d"]))
    'a, b, c and 1 more'
    """

    count: int = 0
    first: tuple[str, ...] = ()

    @classmethod
    def of(cls, names: Collection[str]) -> Self:
        """Summarize these names."""
        return cls(len(names), tuple(nsmallest(_MAX_SHOWN, names)))

    def __add__(self, other: "NameSummary") -> "NameSummary":
        first = nsmallest(_MAX_SHOWN, self.first + other.first)
        return NameSummary(self.count + other.count, tuple(first))

    def counted(self, one: str, many: str = "") -> str:
        """Return the number with a noun.

        >>> NameSummary(1).counted("file"), NameSummary(2).counted("file")
        ('1 file', '2 files')
        """
        return counted(self.count, one, many)

    def __str__(self) -> str:
        more = self.count - len(self.first)
        return ", ".join(self.first) + (f" and {more:,} more" if more else "")
