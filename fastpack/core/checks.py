"""Checks of options: each returns the value as Python's own type, or raises OptionError.

numpy's integers and floats are accepted wherever a number is. A bool is never a number.
"""

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from fastpack.errors import OptionError

Size = int | tuple[int, int]
_MAX_SHOWN = 80  # characters of a value in a message
_MAX_SEED = 2**64 - 1
_MAX_SIDE = 2**31 - 1


def integer(name: str, value: Any, least: int | None = None, most: int | None = None) -> int:
    """Return an integer from `least` to `most`, both included.

    >>> integer("shards", np.int64(3), least=1)
    3
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or not _lies_between(number, least, most):
        raise OptionError(f"{name} must be an integer{_range(least, most)}, not {shown(value)}")
    return number


def optional_integer(
    name: str, value: Any, least: int | None = None, most: int | None = None
) -> int | None:
    """Return None or an integer from `least` to `most`."""
    return None if value is None else integer(name, value, least, most)


def bits(name: str, value: Any) -> int | None:
    """Return the bits of a channel: 8, 16, or None for the images' own depth."""
    if (found := optional_integer(name, value)) not in (None, 8, 16):
        raise OptionError(f"{name} must be 8, 16 or None, not {shown(value)}")
    return found


def seed(name: str, value: Any) -> int:
    """Return an integer from 0 to 2**64 - 1."""
    return integer(name, value, 0, _MAX_SEED)


def number(name: str, value: Any, least: float | None = None, most: float | None = None) -> float:
    """Return a finite number from `least` to `most`, both included."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    try:
        found = float(value) if is_number else math.nan
    except OverflowError:
        found = math.inf
    if not math.isfinite(found) or not _lies_between(found, least, most):
        raise OptionError(f"{name} must be a number{_range(least, most)}, not {shown(value)}")
    return found


def numbers(name: str, values: Any, least: float | None = None) -> tuple[float, ...]:
    """Return at least one number, of a list, a tuple or an array.

    >>> numbers("mean", [0, 0.5])
    (0.0, 0.5)
    """
    if not _is_list(values) or len(values) == 0:
        raise OptionError(f"{name} must be a list of numbers, not {shown(values)}")
    return tuple(number(name, value, least) for value in values)


def low_high(name: str, values: Any) -> tuple[float, float]:
    """Return two positive numbers, the lower one first."""
    pair = numbers(name, values)
    if len(pair) != 2 or not 0 < pair[0] <= pair[1]:
        raise OptionError(f"{name} must be (low, high), both positive, not {shown(values)}")
    return pair[0], pair[1]


def size(name: str, value: Any) -> Size:
    """Return (height, width), or one number for both, in pixels.

    >>> size("size", [224, np.int32(256)])
    (224, 256)
    """
    if not _is_list(value):
        return integer(name, value, 1, _MAX_SIDE)
    if len(value) != 2:
        raise OptionError(f"{name} must be (height, width) or one integer, not {shown(value)}")
    return integer(name, value[0], 1, _MAX_SIDE), integer(name, value[1], 1, _MAX_SIDE)


def flag(name: str, value: Any) -> bool:
    """Return a bool; numpy's is accepted."""
    if not isinstance(value, (bool, np.bool_)):
        raise OptionError(f"{name} must be True or False, not {shown(value)}")
    return bool(value)


def function(name: str, value: Any) -> Any:
    """Return the value if it can be called."""
    if not callable(value):
        raise OptionError(f"{name} must be a function, not {shown(value)}")
    return value


def choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return one of the strings of `choices`."""
    if not isinstance(value, str) or value not in choices:
        expected = " or ".join(map(repr, choices))
        hint = suggestion(value, choices)
        raise OptionError(f"{name} must be {expected}, not {shown(value)}{hint}")
    return value


def known_names(function: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise TypeError for a keyword that a function does not take, as Python does."""
    known = tuple(known)
    for name in given:
        if name not in known:
            message = f"{function}() got an unexpected keyword argument {name!r}"
            raise TypeError(f"{message}{suggestion(name, known)}")


def suggestion(value: Any, known: Iterable[str]) -> str:
    """Return a question that names the most similar known word, or nothing.

    >>> suggestion("cubic", ["bilinear", "bicubic"])
    "; did you mean 'bicubic'?"
    """
    import difflib  # late: only a mistake needs it

    similar = difflib.get_close_matches(value, known, n=1) if isinstance(value, str) else []
    return f"; did you mean {similar[0]!r}?" if similar else ""


def texts(name: str, values: Any) -> tuple[str, ...]:
    """Return the strings of a list; a single string is refused, since it is a list of letters."""
    if isinstance(values, str):
        raise OptionError(f"{name} must be a list, such as [{values!r}]")
    found = None if isinstance(values, Mapping) else listed(values)
    if found is None or not all(isinstance(value, str) for value in found):
        raise OptionError(f"{name} must be a list of strings, not {shown(values)}")
    return found


def listed(values: Any) -> tuple[Any, ...] | None:
    """Return the values, or None if they cannot be iterated, such as an array without axes."""
    try:
        return tuple(values)
    except TypeError:
        return None


def mapping(name: str, values: Any, example: str) -> dict[str, Any]:
    """Return a dict of values by name; `example` is for the message."""
    if not isinstance(values, Mapping) or not all(isinstance(key, str) for key in values):
        raise OptionError(f"{name} must be a mapping such as {example}, not {shown(values)}")
    return dict(values)


def encoded(name: str, value: Any) -> bytes:
    """Return the bytes of a file.

    >>> encoded("data", np.array([66, 77], np.uint8))
    b'BM'
    """
    is_array = isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim == 1
    if not is_array and not isinstance(value, (bytes, bytearray, memoryview)):
        raise OptionError(
            f"{name} must be the bytes of a file "
            f"(bytes, bytearray, memoryview or a uint8 array (n,)), not {shown(value)}"
        )
    return bytes(value)


def instance(name: str, value: Any, kind: Any, remedy: str) -> None:
    """Raise OptionError unless the value is a `kind`; `remedy` says what it must be."""
    if not isinstance(value, kind):
        raise OptionError(f"{name} must be {remedy}, not {shown(value)}")


def settle(options: object, **values: Any) -> None:
    """Set checked values of a frozen dataclass in its `__post_init__`."""
    for name, value in values.items():
        object.__setattr__(options, name, value)


def shown(value: Any) -> str:
    """Return the value as text for a message."""
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _is_list(value: Any) -> bool:
    is_array = isinstance(value, np.ndarray) and value.ndim == 1
    return is_array or (
        isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray))
    )


def _lies_between(value: Any, least: float | None, most: float | None) -> bool:
    return (least is None or value >= least) and (most is None or value <= most)


def _range(least: float | None, most: float | None) -> str:
    if most is not None:
        shown_most = "2**64 - 1" if most == _MAX_SEED else most
        return f" from {least} to {shown_most}"
    return "" if least is None else f" of at least {least}"
