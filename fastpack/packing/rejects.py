"""Rejects: samples that a pack left out, and why; and the report that says so, a JSON object a line, beside the output."""

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
    """A sample that was left out.

    - sample: its number in the source.
    - key, path: what it is called and where it lies, as far as that is known.
    - reason: the class of the error, such as "CorruptImageError"; or "duplicate", or "duplicate, kept" of one that is
      only reported.
    - message: what was wrong, and where.

    >>> Reject.of(7, "cat/1.jpg", Location("photos/cat/1.jpg"), FastpackError("no image")).reason
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
        return cls(
            sample,
            key,
            _text(location.path),
            KEPT_DUPLICATE if kept else DUPLICATE,
            f"the bytes are those of {first}",
        )

    @property
    def is_left_out(self) -> bool:
        return self.reason != KEPT_DUPLICATE

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "Reject":
        """Of what `facts` gave. Raises TypeError or KeyError when it is something else."""
        return cls(**facts)

    def facts(self) -> dict[str, Any]:
        return asdict(self)


def _text(path: Any) -> str | None:
    return None if path is None else str(path)


def report_text(rejects: Iterable[Reject]) -> str:
    """A line each, in plain ASCII: JSON's escapes carry names that are no UTF-8."""
    return "".join(json.dumps(reject.facts()) + "\n" for reject in rejects)
