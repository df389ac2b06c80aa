r"""Names of files that are not UTF-8, as text that is, and back: each byte that is not becomes \x and two hexadecimal digits.

A backslash before what reads like such an escape is escaped too, as \x5c. So two names never become one text.
"""

import re
from collections.abc import Iterable

from fastpack.core.ragged import Text

# What `surrogateescape` makes of bytes that are not UTF-8.
_BYTE = re.compile(r"[\udc80-\udcff]")
_ESCAPE = re.compile(r"\\x(5c|[89a-f][0-9a-f])")
_BACKSLASH = re.compile(r"\\(?=x(?:5c|[89a-f][0-9a-f]))")


def escaped_name(name: str) -> str:
    r"""
    >>> print(escaped_name("caf\udce9.jpg"), escaped_name("café.jpg"), escaped_name(r"caf\xe9.jpg"))
    caf\xe9.jpg café.jpg caf\x5cxe9.jpg
    """
    return _BYTE.sub(lambda byte: f"\\x{ord(byte[0]) - 0xDC00:02x}", _BACKSLASH.sub(r"\\x5c", name))


def raw_name(text: str) -> str:
    r"""The name that `escaped_name` was given, as the system's functions take it. Gives no slash, dot or NUL that was not there.

    >>> raw_name(r"caf\xe9.jpg"), raw_name(r"caf\x5cxe9.jpg"), raw_name(r"\x2e\x2e")
    ('caf\udce9.jpg', 'caf\\xe9.jpg', '\\x2e\\x2e')
    """
    return _ESCAPE.sub(
        lambda escape: "\\" if escape[1] == "5c" else chr(0xDC00 + int(escape[1], 16)), text
    )


def escaped_names(names: Text) -> Text:
    """All of them; the same object where nothing needs an escape."""
    if all(map(_is_plain, _pieces(names))):
        return names
    return Text.of(map(escaped_name, names))


def is_utf8(text: Text) -> bool:
    """Whether each row is."""
    return all(map(_is_text, _pieces(text)))


def escaped_bytes(text: Text) -> Text:
    """The same text with what is not UTF-8 escaped; rows that are UTF-8 stay as they are, and so does what is escaped already."""
    return (
        text
        if is_utf8(text)
        else Text.of(escaped_name(row) if _BYTE.search(row) else row for row in text)
    )


def _pieces(text: Text) -> Iterable[str]:
    """Blocks of rows, joined by NULs: so no row's end can complete what the one before it began."""
    return map("\0".join, text.blocks())


def _is_text(piece: str) -> bool:
    return piece.isascii() or not _BYTE.search(piece)


def _is_plain(piece: str) -> bool:
    return _is_text(piece) and not ("\\x" in piece and _ESCAPE.search(piece))
