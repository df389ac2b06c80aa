"""Options that were renamed."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from fastpack.errors import OptionError

Options = TypeVar("Options")


def renamed(**new_names: str) -> Callable[[type[Options]], type[Options]]:
    """Make a dataclass of options refuse former names with an error that says the new ones.

    Example:
        >>> from fastpack import ReadOptions
        >>> ReadOptions(checkpoints=True)
        Traceback (most recent call last):
            ...
        fastpack.errors.OptionError: the option checkpoints is now seek_points; use the new name
    """

    def decorate(options: type[Options]) -> type[Options]:
        initialize = options.__init__

        @wraps(initialize)
        def checked(self: Options, *values: Any, **named: Any) -> None:
            for name in named.keys() & new_names.keys():
                raise OptionError(f"the option {name} is now {new_names[name]}; use the new name")
            initialize(self, *values, **named)

        options.__init__ = checked  # type: ignore[assignment, method-assign]
        return options

    return decorate
