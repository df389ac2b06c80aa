"""The error of a saved index that is damaged."""

from pathlib import Path

from fastpack.errors import FormatError, Location, with_location

# Errors of JSON and arrays that are not those of an index.
DATA_ERRORS = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)


def damaged_index(why: object, path: Path | None) -> FormatError:
    """Return the error of the saved index at `path`; None for an index in memory."""
    message = f"the index is damaged ({why}); delete it, and it is built again"
    return FormatError(with_location(message, Location(path)))
