"""Sizes of files, as users write them."""

import re
from numbers import Integral

from fastpack.core import checks
from fastpack.errors import OptionError

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_UNITS |= {f"{unit}i": 1024**power for power, unit in enumerate("kmgt", start=1)}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?\s*")


def parse_size(text: str | int) -> int:
    """Return the bytes of a size such as "1GB", "64MiB", "500k" or 4096.

    >>> parse_size("1GB"), parse_size("1.5 MiB")
    (1000000000, 1572864)
    """
    if isinstance(text, Integral):
        return checks.integer("a size", text)
    match = _SIZE.fullmatch(text.lower()) if isinstance(text, str) else None
    if not match or match[2] not in _UNITS:
        message = f"{checks.shown(text)} is not a valid size"
        raise OptionError(f"{message}; write one like 4096, 500k, 64MiB or 1GB")
    return int(float(match[1]) * _UNITS[match[2]])
