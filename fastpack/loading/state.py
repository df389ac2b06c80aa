"""State of a loader: the entries of a state_dict, and their comparison."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from fastpack._native.crc32c import crc32c
from fastpack.core import checks
from fastpack.errors import StateError
from fastpack.reading.order import Sampler

STATE_VERSION = 1
_MAX_ORDER_TEXT = 48  # characters in a state


def check_state(state: Any, known: Mapping[str, Any]) -> None:
    """Raise StateError if a state is not of the loader whose own state is `known`."""
    missing = known.keys() - state.keys() if isinstance(state, Mapping) else known.keys()
    if missing or not _are_equal(state["version"], STATE_VERSION):
        raise StateError(
            f"this is not a loader's state of version {STATE_VERSION}: {checks.shown(state)}; "
            "give what state_dict() returned"
        )
    for name in ("dataset", "order", "seed"):
        theirs, ours = state[name], known[name]
        if not _are_equal(theirs, ours):
            difference = _differing(theirs, ours) if name == "dataset" else ""
            raise StateError(
                f"the state is of another {name}: {theirs}, this loader has {ours}{difference}; "
                "give the loader what the state was saved with, or start from the beginning"
            )


def order_text(sampler: Sampler) -> str:
    """Return the name and values of a sampler; if that is long, its name and a checksum."""
    text = repr(sampler)
    if is_dataclass(sampler):
        values = {field.name: getattr(sampler, field.name) for field in fields(sampler)}
        given = [f"{name}={value}" for name, value in values.items() if value is not None]
        text = f"{type(sampler).__name__}({', '.join(given)})"
    if len(text) <= _MAX_ORDER_TEXT:
        return text
    return f"{type(sampler).__name__}#{crc32c(text.encode()):08x}"


def _are_equal(theirs: Any, ours: int | str) -> bool:
    """Compare with anything: frameworks save numbers as arrays without axes."""
    return bool(np.array_equal(theirs, ours))


def _differing(theirs: Any, ours: str) -> str:
    names = ("number of samples", "fields", "files", "choice of samples")
    pairs = zip(names, str(theirs).split(":"), ours.split(":"), strict=False)
    return f" (the {' and the '.join(name for name, one, other in pairs if one != other)} differ)"
