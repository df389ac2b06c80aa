"""Numerals: which text is a number. What else Python takes for one ("007", "1_0", "+1", "1e5", "nan") may be an id or a name."""

import re

INTEGER = re.compile(r"0|-?[1-9][0-9]*")


def is_integer(text: str) -> bool:
    """Whether text is spelled as programs write integers, and fits into 64 bits.

    >>> [is_integer(text) for text in ("7", "-3", "007", "1_0", "+1", "٣", "9223372036854775808")]
    [True, True, False, False, False, False, False]
    """
    return INTEGER.fullmatch(text) is not None and (len(text) < 19 or fits(text))


def fits(integer: str) -> bool:
    """Whether an integer fits into 64 bits."""
    return len(integer) <= 20 and -(2**63) <= int(integer) < 2**63


def looks_like_number(text: str) -> bool:
    """Whether a person, or Python, may take text for a number.

    >>> [looks_like_number(text) for text in ("007", "1,000", "٣", "cat")]
    [True, True, True, False]
    """
    try:
        float(text.replace(",", ""))
    except ValueError:
        return False
    return True
