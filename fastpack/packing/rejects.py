"""Reject: a sample that `pack` left out; the report lists rejects, one JSON object a line."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from fastpack.errors import FastpackError, Location

OnError = Literal["raise", "skip"]
Duplicates = Literal["keep", "report", "drop"]
DUPLICATE, KEPT_DUPLICATE = "duplicate", "duplicate, kept"


@dataclass(frozen=True)
class Reject:
    """A sample that `pack` left out, or a duplicate that it reports.

    Args:
        sample: its number in the source, from 0.
        key: its key; None if unknown.
        path: its file; None if unknown.
        reason: class of the error, such as "CorruptImageError"; "duplicate"; or "duplicate, kept"
            for a duplicate that was packed.
        message: the error with its location.

    Example:
        >>> error = FastpackError("no image")
        >>> Reject.of(7, "cat/1.jpg", Location("photos/cat/1.jpg"), error).reason
        'FastpackError'
    """

    sample: int
    key: str | None
    path: str | None
    reason: str
    message: str

    @classmethod
    def of(cls, sample: int, key: str | None, location: Location, error: FastpackError) -> "Reject":
        return cls(sample, key, _text(location.path), type(error).__name__, str(error))

    @classmethod
    def duplicate(
        cls,
        sample: int,
        key: str | None,
        location: Location,
        first: Location,
        *,
        kept: bool = False,
    ) -> "Reject":
        reason = KEPT_DUPLICATE if kept else DUPLICATE
        return cls(sample, key, _text(location.path), reason, f"the bytes are those of {first}")

    @property
    def is_left_out(self) -> bool:
        """False for a duplicate that was packed."""
        return self.reason != KEPT_DUPLICATE

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "Reject":
        """Make a reject from `facts`; raises TypeError for other values."""
        return cls(**facts)

    def facts(self) -> dict[str, Any]:
        return asdict(self)


def _text(path: Any) -> str | None:
    return None if path is None else str(path)


def report_text(rejects: Iterable[Reject]) -> str:
    """Write a line for each reject, in ASCII; JSON escapes carry other bytes."""
    return "".join(json.dumps(reject.facts()) + "\n" for reject in rejects)
