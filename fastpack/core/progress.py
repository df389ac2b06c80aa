"""Progress: the callbacks of long operations."""

from collections.abc import Callable
from typing import TypeAlias

# Called with (items done, items in all, bytes done). Items are samples or, for an index, bytes.
Progress: TypeAlias = Callable[[int, int, int], None]
# Called with the bytes done so far.
BytesDone: TypeAlias = Callable[[int], None]
