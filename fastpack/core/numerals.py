"""Texts that are numbers.

Python accepts more: "007", "1_0", "+1", "1e5" and "nan" are numbers to it, but may be ids or names.
"""

import re

INTEGER = re.compile(r"0|-?[1-9][0-9]*")


def is_integer(text: str) -> bool:
    """Return whether text is an integer as programs write it, of at most 64 bits.

    >>> [is_integer(text) for text in ("7", "-3", "007", "1_0", "+1", "٣", "9223372036854775808")]
    [True, True, False, False, False, False, False]
    """
    return INTEGER.fullmatch(text) is not None and (len(text) < 19 or fits(text))


def fits(integer: str) -> bool:
    """Return whether the text of an integer fits into 64 bits."""
    return len(integer) <= 20 and -(2**63) <= int(integer) < 2**63


def looks_like_number(text: str) -> bool:
    """Return whether a person or Python may take text for a number.

    >>> [looks_like_number(text) for text in ("007", "1,000", "٣", "cat")]
    [True, True, True, False]
    """
    try:
        float(text.replace(",", ""))
    except ValueError:
        return False
    return True
