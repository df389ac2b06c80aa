r"""Escapes: file names that are not UTF-8 as UTF-8 text, and back.

Each byte that is not UTF-8 becomes \x and two hexadecimal digits. A backslash before such an escape
becomes \x5c. So two names never become the same text.
"""

import re
from collections.abc import Iterable

from fastpack.core.ragged import Text

# Characters that `surrogateescape` decodes from bytes that are not UTF-8.
_BYTE = re.compile(r"[\udc80-\udcff]")
_ESCAPE = re.compile(r"\\x(5c|[89a-f][0-9a-f])")
_BACKSLASH = re.compile(r"\\(?=x(?:5c|[89a-f][0-9a-f]))")


def escaped_name(name: str) -> str:
    r"""Return the name as UTF-8 text.

    >>> print(escaped_name("caf\udce9.jpg"), escaped_name("café.jpg"), escaped_name(r"caf\xe9.jpg"))
    caf\xe9.jpg café.jpg caf\x5cxe9.jpg
    """
    return _BYTE.sub(lambda byte: f"\\x{ord(byte[0]) - 0xDC00:02x}", _BACKSLASH.sub(r"\\x5c", name))


def raw_name(text: str) -> str:
    r"""Return the name that `escaped_name` escaped, as functions of the OS take it.

    The result has no slash, dot or NUL that the text does not have.

    >>> raw_name(r"caf\xe9.jpg"), raw_name(r"caf\x5cxe9.jpg"), raw_name(r"\x2e\x2e")
    ('caf\udce9.jpg', 'caf\\xe9.jpg', '\\x2e\\x2e')
    """
    return _ESCAPE.sub(
        lambda escape: "\\" if escape[1] == "5c" else chr(0xDC00 + int(escape[1], 16)), text
    )


def escaped_names(names: Text) -> Text:
    """Return all names escaped; the same object if none needs an escape."""
    if all(map(_is_plain, _pieces(names))):
        return names
    return Text.of(map(escaped_name, names))


def is_utf8(text: Text) -> bool:
    """Return True if each row is UTF-8."""
    return all(map(_is_text, _pieces(text)))


def escaped_bytes(text: Text) -> Text:
    """Escape the rows that are not UTF-8.

    Other rows stay as they are, with or without escapes.
    """
    if is_utf8(text):
        return text
    return Text.of(escaped_name(row) if _BYTE.search(row) else row for row in text)


def _pieces(text: Text) -> Iterable[str]:
    """Return blocks of rows joined by NULs. No escape crosses the end of a row."""
    return map("\0".join, text.blocks())


def _is_text(piece: str) -> bool:
    return piece.isascii() or not _BYTE.search(piece)


def _is_plain(piece: str) -> bool:
    return _is_text(piece) and not ("\\x" in piece and _ESCAPE.search(piece))
