"""Axes of arrays in other programs' HDF5 files: given by the user, or guessed.

Axes are letters: N samples, H height, W width, C channels. "" is an array of samples that are read
as they are stored.
"""

import re
from collections.abc import Collection, Sequence

from fastpack.core.schema import DOUBTFUL, PLAIN
from fastpack.errors import OptionError

CHANNELS = (1, 3, 4)
_AXES = re.compile(r"[NHWC]+")


def guessed_axes(shape: Sequence[int], columns: Collection[int], stacks: Collection[int]) -> str:
    """Guess the axes of an array of that shape.

    Args:
        shape: of the array.
        columns: lengths of the columns in the same group.
        stacks: numbers of samples of the other arrays in the same group.
    """
    if len(shape) == 4:
        return _axes_of_stack(shape, columns)
    if len(shape) == 3 and shape[2] in CHANNELS[1:] and shape[0] not in (*columns, *stacks):
        return "HWC"
    return DOUBTFUL if len(shape) == 3 and min(shape[1:]) <= max(CHANNELS) else ""


def _axes_of_stack(shape: Sequence[int], columns: Collection[int]) -> str:
    if shape[2] in CHANNELS and shape[3] in columns and shape[0] not in columns:
        return "HWCN"
    if shape[3] in CHANNELS:
        return DOUBTFUL if shape[1] == shape[3] == 3 else ""
    is_channels_first = shape[1] in CHANNELS and min(shape[2:]) > max(CHANNELS)
    return "NCHW" if is_channels_first else DOUBTFUL


def checked_axes(name: str, shape: Sequence[int], axes: str) -> str:
    """Return given axes; raise OptionError if an array of this shape cannot have them."""
    is_valid = isinstance(axes, str) and _AXES.fullmatch(axes) and {"H", "W"} <= set(axes)
    if not is_valid or not len(set(axes)) == len(axes) == len(shape):
        raise OptionError(
            f"axes of {name!r} must have N, H, W or C for each dimension, such as 'NCHW', "
            f"not {axes!r} for shape {tuple(shape)}"
        )
    return "" if axes in ("NHW", "NHWC") else axes


def sample_shape(shape: Sequence[int], axes: str) -> tuple[int, ...]:
    """Return the shape of a sample of an array."""
    if axes in ("", DOUBTFUL, PLAIN):
        return tuple(shape[1:])
    return tuple(size for size, axis in zip(shape, axes, strict=True) if axis != "N")


def is_aligned(shape: Sequence[int], axes: str, sides: Sequence[int]) -> bool:
    """Return whether samples of the array have these sides, (height, width), in any layout."""
    if len(shape) > len("NHWC"):
        return False
    known = sides_of(shape, axes)
    return tuple(sides) in ((known,) if axes != DOUBTFUL else (known, tuple(shape[2:4])))


def sides_of(shape: Sequence[int], axes: str) -> tuple[int, ...]:
    """Return the height and width of a sample.

    >>> sides_of((5, 3, 20, 30), "NCHW"), sides_of((5, 20, 30), "")
    ((20, 30), (20, 30))
    """
    known = axes if axes not in ("", DOUBTFUL, PLAIN) else "NHWC"
    sizes = dict(zip(known, shape, strict=False))
    return sizes.get("H", 0), sizes.get("W", 0)
