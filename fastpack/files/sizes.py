"""Sizes of files, as users write them."""

import re
from numbers import Integral

from fastpack.core import checks
from fastpack.errors import OptionError

_SIZE_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


_SIZE_UNITS |= {f"{unit}i": 1024**power for power, unit in enumerate("kmgt", start=1)}


def parse_size(text: str | int) -> int:
    """Bytes in a size such as "1GB", "64MiB", "500k" or 4096.

    >>> parse_size("1GB"), parse_size("1.5 MiB")
    (1000000000, 1572864)
    """
    if isinstance(text, Integral):
        return checks.integer("a size", text)
    match = (
        re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?\s*", text.lower())
        if isinstance(text, str)
        else None
    )
    if not match or match[2] not in _SIZE_UNITS:
        raise OptionError(
            f"{checks.shown(text)} is no size; write one like 4096, 500k, 64MiB or 1GB"
        )
    return int(float(match[1]) * _SIZE_UNITS[match[2]])
