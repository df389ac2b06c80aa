"""Requests: the requests of one store, each repeated until it succeeds or time is up."""

import errno
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fastpack.errors import FastpackError, Location, StoreError, with_location
from fastpack.stores.engine import Patience, engine, until_done
from fastpack.stores.failures import Failures
from fastpack.stores.limiter import Limiter
from fastpack.stores.url import joined_url

Result = TypeVar("Result")
# An attempt is made again if it raises TransientError.
Attempt = Callable[[], Coroutine[Any, Any, Result]]


class Requests:
    """How the requests of one store are sent, repeated and given up.

    Args:
        root: the URL of the store.
        exceptions: the module of the client's exceptions.
        patience: how long a request may take.
    """

    def __init__(self, root: str, exceptions: Any, patience: Patience) -> None:
        self._root, self._exceptions, self.patience = root, exceptions, patience
        self.limiter = Limiter()

    def url(self, key: str) -> str:
        """Return the URL of an object."""
        return joined_url(self._root, key)

    def location(self, key: str, offset: int | None = None) -> Location:
        """Return the location of an object, or of a byte of it."""
        return Location(self.url(key), offset=offset)

    def failures(self, key: str, start: int | None = None, end: int | None = None) -> Failures:
        """Return a context that turns the client's exceptions into ours."""
        return Failures(self._exceptions, self.location(key, start), end)

    @property
    def missing(self) -> tuple[type[Exception], ...]:
        """The client's exceptions for an object that is not there."""
        return self._exceptions.NotFoundError, FileNotFoundError

    def run(
        self,
        attempt: Attempt[Result],
        key: str,
        *,
        num_bytes: int = 0,
        may_hedge: bool = True,
    ) -> Result:
        """Send a request, and wait for it; see `until_done`."""
        return engine().run(self.until_done(attempt, key, num_bytes=num_bytes, may_hedge=may_hedge))

    def until_done(
        self,
        attempt: Attempt[Result],
        key: str,
        start: int | None = None,
        end: int | None = None,
        *,
        num_slots: int = 1,
        num_bytes: int = 0,
        may_hedge: bool = True,
    ) -> Coroutine[Any, Any, Result]:
        """Make attempts until one succeeds; other arguments are those of `engine.until_done`.

        - key: of the object, for messages.
        - start, end: of the bytes that are asked for, for messages.
        """
        return until_done(
            attempt,
            self.limiter,
            self.patience,
            self.given_up(key, start, end),
            num_slots=num_slots,
            num_bytes=num_bytes,
            may_hedge=may_hedge,
        )

    def given_up(
        self, key: str, start: int | None, end: int | None
    ) -> Callable[[str, int, float], FastpackError]:
        """Return a function that makes the error of (last reason, attempts, seconds)."""

        def give_up(reason: str, num_attempts: int, seconds: float) -> FastpackError:
            tried = f"{num_attempts} attempts in {seconds:.1f} s"
            part = "" if start is None else f"bytes {start} to {end}: "
            remedy = "check the network and the store, or raise the deadline"
            message = f"the store did not answer after {tried} ({part}{reason}); {remedy}"
            return StoreError(errno.ETIMEDOUT, with_location(message, self.location(key, start)))

        return give_up
