"""Sizes with their units, as messages and reprs show them."""

from fastpack.core.plural import counted


def readable_size(num_bytes: int) -> str:
    """Format a size in the units that `parse_size` reads.

    >>> readable_size(22_690_000), readable_size(999_999), readable_size(12)
    ('22.7 MB', '1.0 MB', '12 bytes')
    """
    if num_bytes < 1000:
        return counted(num_bytes, "byte")
    size = num_bytes / 1000
    for unit in ("kB", "MB", "GB"):
        if size < 999.95:
            return f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
