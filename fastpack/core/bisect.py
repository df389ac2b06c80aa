"""Search for the rows of a batch that cannot be read."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from fastpack.core.dtypes import Rows
from fastpack.errors import FastpackError, StoreError

Result = TypeVar("Result")


def bisect(
    read: Callable[[Rows], Result], rows: Rows
) -> Iterator[tuple[Rows, Result | FastpackError]]:
    """Read rows as one batch; read the halves of a batch that fails, down to single rows.

    Yields (rows, result) in order; the result of a single row that fails is its error. Raises the
    StoreError of a store that does not answer: each half would wait for it again.

    >>> import numpy as np
    >>> def read(rows):
    ...     if 2 in rows:
    ...         raise FastpackError("damaged")
    ...     return rows.sum()
    >>> [(rows.tolist(), str(result)) for rows, result in bisect(read, np.arange(4))]
    [([0, 1], '1'), ([2], 'damaged'), ([3], '3')]
    """
    if len(rows) == 0:
        return
    try:
        result: Result | FastpackError = read(rows)
    except StoreError:
        raise
    except FastpackError as error:
        result = error
    if not isinstance(result, FastpackError) or len(rows) == 1:
        yield rows, result
        return
    # The error holds its traceback and so open files. The halves may lack just these.
    del result
    middle = len(rows) // 2
    yield from bisect(read, rows[:middle])
    yield from bisect(read, rows[middle:])
