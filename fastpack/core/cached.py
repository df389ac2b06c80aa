"""cached_property without a lock.

That of functools has one lock for all objects of a class in Python 3.11. It makes threads wait for
one another, and a child that is forked meanwhile waits forever.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

Value = TypeVar("Value")


class cached_property(Generic[Value]):  # noqa: N801  # a decorator, named like that of functools
    """A property that is computed when it is first used, then kept.

    Two threads may compute it at once; one of the values is kept.

    >>> class Squares:
    ...     @cached_property
    ...     def all(self) -> list[int]:
    ...         return [n * n for n in range(3)]
    >>> squares = Squares()
    >>> squares.all is squares.all
    True
    """

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> "cached_property[Value]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: object | None, owner: type) -> "cached_property[Value] | Value":
        if instance is None:
            return self
        kept: Value = instance.__dict__.setdefault(self._name, self._compute(instance))
        return kept
