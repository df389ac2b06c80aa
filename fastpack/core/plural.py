"""Plurals in messages."""


def counted(count: int, one: str, many: str = "") -> str:
    """Write a number and its noun; the plural is `many`, or `one` with an "s".

    >>> counted(1, "sample"), counted(1200, "sample"), counted(2, "copy", "copies")
    ('1 sample', '1,200 samples', '2 copies')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"
