"""Lazy: values of the samples of a dataset that are read when needed. Their expressions."""

import operator
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NoReturn, Self

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import Rows
from fastpack.core.ragged import Ragged, Text, concatenate_values
from fastpack.formats.index.arrays import Column
from fastpack.reading.evaluation import Plan
from fastpack.reading.reductions import reduced

# Kinds of dtypes, by numpy's letters. Strings are read as arrays whose width depends on the block,
# so they may enter an expression but not leave it.
_OPERAND_KINDS = "biufcmMUS"
_RESULT_KINDS = "biufcmM"
_SHOWN = 3  # values at each end in a repr
# Attributes that need no value.
_SHAPE_NAMES = frozenset(["dtype", "shape", "ndim", "size", "itemsize", "nbytes"])
# numpy and torch look these up on every object; all other private names belong to Python.
_PROTOCOLS = frozenset(["__dlpack__", "__dlpack_device__"])


def _binary(function: Callable[[Any, Any], Any]) -> tuple[Any, Any]:
    """Return the methods of an operator and of its reflected form."""

    def forward(self: "Lazy", other: Any) -> Any:
        return applied(function, self, other)

    def reflected(self: "Lazy", other: Any) -> Any:
        return applied(function, other, self)

    return forward, reflected


def _unary(function: Callable[[Any], Any]) -> Any:
    def method(self: "Lazy") -> Any:
        return applied(function, self)

    return method


def _reduction(name: str) -> Any:
    def method(self: "Lazy", *args: Any, **kwargs: Any) -> Any:
        return self._reduced(name, args, kwargs)

    method.__name__ = name
    method.__doc__ = f"Return numpy's `{name}`; without arguments, in blocks if that is exact."
    return method


class Lazy:
    """Values of n samples, which behave as an array, a Text or a Ragged, read when needed.

    Immutable. An index reads the rows it selects. Elementwise operators and functions of numpy
    give a LazyExpression; all else loads all values, as `whole` does.
    """

    operands: Sequence[Any] = ()
    depth = 0
    # Values have no hash, as arrays.
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, num_rows: int) -> None:
        self._num_rows = num_rows

    def prototype(self) -> Column:
        """Return no rows: an empty array, Text or Ragged, which shows the type."""
        raise NotImplementedError

    def computed(self, rows: Rows, operands: Sequence[Any]) -> Column:
        """Return the values at `rows`, from the operands' values there."""
        raise NotImplementedError

    # Reading

    def whole(self) -> Any:
        """Read all values into memory: an array (n,), a Text or a Ragged."""
        return self._values(range(self._num_rows))

    def pieces(self) -> Iterator[Any]:
        """Yield all values in order, a block of rows at a time."""
        return Plan(self, Lazy).pieces(range(self._num_rows))

    def _values(self, rows: "range | Rows") -> Any:
        pieces, prototype = Plan(self, Lazy).pieces(rows), self.prototype()
        if isinstance(prototype, Ragged):
            return concatenate_values(list(pieces))
        values = np.empty((len(rows), *prototype.shape[1:]), prototype.dtype)
        first = 0
        for piece in pieces:
            values[first : first + len(piece)] = piece
            first += len(piece)
        return values

    def __len__(self) -> int:
        return self._num_rows

    def __iter__(self) -> Iterator[Any]:
        for piece in self.pieces():
            yield from piece

    def __reversed__(self) -> Iterator[Any]:
        return iter(self.whole()[::-1])

    def __contains__(self, value: object) -> bool:
        if isinstance(self.prototype(), Ragged):
            return value in iter(self)
        return bool(np.any(applied(operator.eq, self, value)))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._values(range(self._num_rows)[index])
        if isinstance(index, Lazy):
            index = index.whole() if index.dtype != np.bool_ else _true_rows(index, self._num_rows)
        if isinstance(index, (list, np.ndarray)) and np.ndim(index) > 0:
            is_empty_list = isinstance(index, list) and not index
            rows = np.asarray(index, np.int64 if is_empty_list else None)
            is_numbers = rows.ndim == 1 and rows.dtype.kind in "biu"
            return self._values(self._row_numbers(rows)) if is_numbers else self.whole()[index]
        if isinstance(index, (bool, np.bool_)) or not hasattr(index, "__index__"):
            return self.whole()[index]
        row = operator.index(index)
        if not -self._num_rows <= row < self._num_rows:
            size = self._num_rows
            raise IndexError(f"index {row} is out of bounds for axis 0 with size {size}")
        return self._values(np.array([row % self._num_rows]))[0]

    def _row_numbers(self, rows: npt.NDArray[Any]) -> Rows:
        """Return the rows of a mask or of numbers. Raises numpy's IndexError."""
        self._without_values()[rows]
        if rows.dtype == np.bool_:
            return np.flatnonzero(rows)
        rows = rows.astype(np.int64)
        return np.where(rows < 0, rows + self._num_rows, rows)

    def _without_values(self) -> npt.NDArray[Any]:
        """Return an array of this shape and dtype in the memory of one value."""
        prototype = self.prototype()
        dtype = np.bool_ if isinstance(prototype, Ragged) else prototype.dtype
        return np.broadcast_to(np.zeros((), dtype), (self._num_rows,))

    def take(self, indices: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the values at `indices` (k,), in that order."""
        indices = indices if args or kwargs else np.asarray(indices)
        if args or kwargs or indices.ndim != 1 or indices.dtype.kind not in "iu":
            return self.whole().take(indices, *args, **kwargs)
        return self[indices]

    # What an array, a Text or a Ragged has

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") and name not in _PROTOCOLS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        prototype = self.prototype()
        if isinstance(prototype, np.ndarray) and name in _SHAPE_NAMES:
            return getattr(self._without_values(), name)
        if isinstance(prototype, Ragged) and name == "lengths":
            return LazyExpression(operator.attrgetter(name), [self], prototype.lengths)
        if isinstance(prototype, Text) and name == "blocks":
            return self._text_blocks
        getattr(prototype, name)  # raises AttributeError
        return getattr(self.whole(), name)

    def _text_blocks(self) -> Iterator[list[str]]:
        for piece in self.pieces():
            yield from piece.blocks()

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the values with another dtype."""
        return applied(operator.methodcaller("astype", dtype, *args, **kwargs), self)

    sum, min, max = _reduction("sum"), _reduction("min"), _reduction("max")
    any, all, mean = _reduction("any"), _reduction("all"), _reduction("mean")

    def _reduced(self, name: str, args: Any, kwargs: Any) -> Any:
        prototype = self.prototype()
        if not args and not kwargs and isinstance(prototype, np.ndarray):
            result = reduced(name, self.pieces(), prototype.dtype)
            if result is not None:
                return result
        whole = self.whole()
        method = getattr(whole, name, None) or partial(getattr(np, name), whole)
        return method(*args, **kwargs)

    def __bool__(self) -> bool:
        if isinstance(self.prototype(), Ragged):
            return self._num_rows > 0
        return bool(self.whole() if self._num_rows == 1 else self._without_values())

    def __int__(self) -> int:
        return int(self.whole() if self._num_rows == 1 else self._without_values())

    def __float__(self) -> float:
        return float(self.whole() if self._num_rows == 1 else self._without_values())

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} cannot be pickled; pickle the Reader, or the values: "
            "column.whole()"
        )

    def __repr__(self) -> str:
        prototype, count = self.prototype(), self._num_rows
        kind = type(prototype).__name__ if isinstance(prototype, Ragged) else prototype.dtype
        is_short = count <= 2 * _SHOWN
        ends = range(count) if is_short else [*range(_SHOWN), *range(count - _SHOWN, count)]
        shown = [
            str(value) if isinstance(prototype, np.ndarray) else repr(value)
            for value in self._values(np.array(ends, np.int64))
        ]
        values = ", ".join(shown if is_short else [*shown[:_SHOWN], "...", *shown[_SHOWN:]])
        return f"{type(self).__name__}({count} x {kind}: {values})"

    # numpy's protocols

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self.whole(), dtype)  # new memory, whatever `copy` is

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(isinstance(out, Lazy) for out in kwargs.get("out", ())):
            return NotImplemented
        is_plain = ufunc.nout == 1 and ufunc.signature is None and method == "__call__"
        if is_plain and kwargs.keys() <= {"dtype", "casting"}:
            return applied(partial(ufunc, **kwargs) if kwargs else ufunc, *inputs, text=True)
        kwargs = {name: whole(value) for name, value in kwargs.items()}
        return getattr(ufunc, method)(*map(whole, inputs), **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if handler := _FUNCTIONS.get(function):
            return handler(function, args, kwargs)
        return _on_wholes(function, args, kwargs)

    # Operators

    __lt__, _ = _binary(operator.lt)
    __le__, _ = _binary(operator.le)
    __gt__, _ = _binary(operator.gt)
    __ge__, _ = _binary(operator.ge)
    __eq__, _ = _binary(operator.eq)
    __ne__, _ = _binary(operator.ne)
    __add__, __radd__ = _binary(operator.add)
    __sub__, __rsub__ = _binary(operator.sub)
    __mul__, __rmul__ = _binary(operator.mul)
    __truediv__, __rtruediv__ = _binary(operator.truediv)
    __floordiv__, __rfloordiv__ = _binary(operator.floordiv)
    __mod__, __rmod__ = _binary(operator.mod)
    __pow__, __rpow__ = _binary(operator.pow)
    __lshift__, __rlshift__ = _binary(operator.lshift)
    __rshift__, __rrshift__ = _binary(operator.rshift)
    __and__, __rand__ = _binary(operator.and_)
    __or__, __ror__ = _binary(operator.or_)
    __xor__, __rxor__ = _binary(operator.xor)
    __neg__, __pos__ = _unary(operator.neg), _unary(operator.pos)
    __abs__, __invert__ = _unary(operator.abs), _unary(operator.invert)

    def __matmul__(self, other: Any) -> Any:
        return self.whole() @ whole(other)

    def __rmatmul__(self, other: Any) -> Any:
        return whole(other) @ self.whole()

    def __divmod__(self, other: Any) -> Any:
        return divmod(self.whole(), whole(other))

    def __rdivmod__(self, other: Any) -> Any:
        return divmod(whole(other), self.whole())


class LazyExpression(Lazy):
    """An elementwise function of lazy columns and constants."""

    def __init__(
        self, function: Callable[..., Any], operands: Sequence[Any], prototype: Column
    ) -> None:
        nodes = [operand for operand in operands if isinstance(operand, Lazy)]
        super().__init__(len(nodes[0]))
        self.operands = operands
        self.depth = 1 + max(node.depth for node in nodes)
        self._function, self._prototype = function, prototype
        # An expression warns as its author's np.errstate asks, wherever it is evaluated.
        self._errors: dict[str, Any] = {**np.geterr(), "call": np.geterrcall()}

    def prototype(self) -> Column:
        """Return no rows: an empty array, which shows the dtype."""
        return self._prototype

    def computed(self, rows: Rows, operands: Sequence[Any]) -> Column:
        """Return the function of the operands' values."""
        with np.errstate(**self._errors):
            values: Column = self._function(*operands)
        return values


class _FixedValues(Lazy):
    """A copy of an array (n,) that is an operand of an expression."""

    def __init__(self, values: npt.NDArray[Any]) -> None:
        super().__init__(len(values))
        self._array = values.copy()

    def prototype(self) -> Column:
        return self._array[:0]

    def computed(self, rows: Rows, operands: Sequence[Any]) -> Column:
        return self._array[rows]


def whole(value: Any) -> Any:
    """Return the values of a Lazy, also of one in a tuple, list or dict; others as they are."""
    if isinstance(value, Lazy):
        return value.whole()
    if type(value) in (list, tuple) and any(_holds_lazy(item) for item in value):
        return type(value)(map(whole, value))
    if type(value) is dict:
        return {name: whole(item) for name, item in value.items()}
    return value


def _holds_lazy(value: Any) -> bool:
    return isinstance(value, (Lazy, list, tuple, dict))


def applied(function: Callable[..., Any], *operands: Any, text: bool = False) -> Any:
    """Return function(*operands): an expression if numpy computes it row by row.

    Args:
        function: an elementwise function of arrays.
        operands: at least one Lazy; scalars and arrays.
        text: convert Text to arrays of strings, as numpy's functions do.
    """
    num_rows = next(len(operand) for operand in operands if isinstance(operand, Lazy))
    settled = [_operand(operand, num_rows, text) for operand in operands]
    if not any(operand is NotImplemented for operand in settled):
        empty = [
            operand.prototype() if isinstance(operand, Lazy) else operand for operand in settled
        ]
        prototype = function(*empty)
        if _is_plain(prototype, _RESULT_KINDS):
            return LazyExpression(function, settled, prototype)
    return function(*map(whole, operands))


def _operand(value: Any, num_rows: int, text: bool) -> Any:
    """Return an operand for blocks of rows; NotImplemented for what has no such form."""
    if isinstance(value, Lazy):
        prototype = value.prototype()
        if text and isinstance(prototype, Text):
            value, prototype = _as_strings(value), np.empty(0, np.str_)
        return value if _is_plain(prototype, _OPERAND_KINDS) and len(value) == num_rows else _NO
    if isinstance(value, (bool, int, float, complex, str, bytes)):
        return value
    if isinstance(value, (list, tuple)) and not any(map(_holds_lazy, value)):
        value = np.asarray(value)
    if not isinstance(value, np.generic) and type(value) is not np.ndarray:
        return _NO
    if value.dtype.kind not in _OPERAND_KINDS:
        return _NO
    if value.shape in ((), (1,)):
        return value.copy()
    return _FixedValues(value) if value.shape == (num_rows,) else _NO


_NO = NotImplemented


def _is_plain(values: Any, kinds: str) -> bool:
    return type(values) is np.ndarray and values.shape == (0,) and values.dtype.kind in kinds


def _as_strings(text: Lazy) -> LazyExpression:
    """Return a Text as numpy's array of strings."""
    return LazyExpression(lambda rows: np.array(list(rows), np.str_), [text], np.empty(0, np.str_))


# Functions of numpy


def _on_wholes(function: Any, args: Any, kwargs: Any) -> Any:
    return function(*map(whole, args), **whole(dict(kwargs)))


def _reduction_of(name: str) -> Any:
    def reduction(function: Any, args: Any, kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and isinstance(args[0], Lazy):
            return args[0]._reduced(name, (), {})
        return _on_wholes(function, args, kwargs)

    return reduction


def _where(function: Any, args: Any, kwargs: Any) -> Any:
    if len(args) == 3 and not kwargs:
        return applied(function, *args, text=True)
    return _on_wholes(function, args, kwargs)


def _clip(function: Any, args: Any, kwargs: Any) -> Any:
    if len(args) != 3 or kwargs:
        return _on_wholes(function, args, kwargs)
    values, low, high = args
    if high is None and low is not None:
        return applied(lambda values, low: function(values, low, None), values, low)
    if low is None and high is not None:
        return applied(lambda values, high: function(values, None, high), values, high)
    return applied(function, values, low, high)


def _isin(function: Any, args: Any, kwargs: Any) -> Any:
    if len(args) == 2 and isinstance(args[0], Lazy) and kwargs.keys() <= {"invert"}:
        element = args[0]
        tests = np.array(whole(args[1]))
        prototype = element.prototype()
        dtype = np.dtype("U1") if isinstance(prototype, Text) else getattr(prototype, "dtype", None)
        if dtype is not None and _compares_exactly(dtype, tests.dtype):
            return applied(partial(function, test_elements=tests, **kwargs), element, text=True)
    return _on_wholes(function, args, kwargs)


def _compares_exactly(one: np.dtype[Any], other: np.dtype[Any]) -> bool:
    """Return True if isin has one result, whichever of its methods numpy takes for the size."""
    if one.kind in "biu" and other.kind in "biu":
        return np.result_type(one, other).kind in "biu"
    return one.kind == other.kind and one.kind in "fU"


def _flatnonzero(function: Any, args: Any, kwargs: Any) -> Any:
    if len(args) == 1 and not kwargs and args[0].dtype == np.bool_:
        return _true_rows(args[0], len(args[0]))
    return _on_wholes(function, args, kwargs)


def _true_rows(mask: Lazy, num_rows: int) -> Any:
    """Return the rows where a lazy mask is True; the mask itself if it has another length."""
    if len(mask) != num_rows:
        return mask.whole()
    first, found = 0, []
    for piece in mask.pieces():
        found.append(np.flatnonzero(piece) + first)
        first += len(piece)
    return np.concatenate(found)


def _of_shape(function: Any, args: Any, kwargs: Any) -> Any:
    if isinstance(args[0], Lazy) and isinstance(args[0].prototype(), np.ndarray):
        return function(args[0]._without_values(), *args[1:], **kwargs)
    return _on_wholes(function, args, kwargs)


_FUNCTIONS: dict[Any, Callable[[Any, Any, Any], Any]] = {
    np.where: _where,
    np.clip: _clip,
    np.isin: _isin,
    np.flatnonzero: _flatnonzero,
    np.shape: _of_shape,
    np.ndim: _of_shape,
    np.size: _of_shape,
    **{
        getattr(np, name): _reduction_of(name)
        for name in ("sum", "min", "max", "mean", "any", "all", "count_nonzero")
    },
}
