"""Operators of a class, all computed by one method."""

import operator
from collections.abc import Callable
from typing import Any


def _binary(function: Callable[[Any, Any], Any]) -> tuple[Any, Any]:
    """Return the methods of an operator and of its reflected form."""

    def forward(self: "Operators", other: Any) -> Any:
        return self._applied(function, self, other)

    def reflected(self: "Operators", other: Any) -> Any:
        return self._applied(function, other, self)

    return forward, reflected


def _unary(function: Callable[[Any], Any]) -> Any:
    def method(self: "Operators") -> Any:
        return self._applied(function, self)

    return method


class Operators:
    """Base of classes whose operators are one method: `_applied(function, *operands)`.

    The functions are those of the module `operator`, so that arrays get the operator itself: x**2
    and np.power(x, 2) differ in the last bit.
    """

    __hash__ = None  # type: ignore[assignment]  # the operator == gives no bool

    def _applied(self, function: Callable[..., Any], *operands: Any) -> Any:
        raise NotImplementedError

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
        return self._applied(operator.matmul, self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return self._applied(operator.matmul, other, self)

    def __divmod__(self, other: Any) -> Any:
        return self._applied(divmod, self, other)

    def __rdivmod__(self, other: Any) -> Any:
        return self._applied(divmod, other, self)
