"""Numbers, names and tables as text."""

from collections.abc import Sequence

# Longer lists are cut in text, never in JSON.
MAX_LINES = 12
BAR_WIDTH = 20


def printable(text: str) -> str:
    """Put text on one line and escape control characters: names come from untrusted files."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line for each row, its cells in columns."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def cut(lines: list[str]) -> list[str]:
    """Keep the first lines, and count the rest."""
    more = len(lines) - MAX_LINES
    return [*lines[:MAX_LINES], f"and {more:,} more"] if more > 0 else lines


def in_blocks(blocks: Sequence[tuple[str, list[str]]]) -> str:
    """Join blocks of lines, each with its title before the first line."""
    return "\n".join(
        f"{'' if number else title:<9}{line}"
        for title, lines in blocks
        for number, line in enumerate(lines)
    )
