"""Failures of the client, as ours: those that may be repeated, and those that the user must end."""

import errno
import re
from typing import Any, NoReturn

from fastpack.errors import (
    ChangedFileError,
    FastpackError,
    Location,
    MissingFileError,
    OutputExistsError,
    StoreError,
    TruncatedFileError,
    with_location,
)
from fastpack.stores.engine import TransientError

# HTTP answers, and parts of messages, of failures that may not happen again.
_TRANSIENT_STATUS = (408, 429, 500, 502, 503, 504)
_TRANSIENT_CODES = ("internalerror", "serviceunavailable", "requesttimeout", "operationaborted")
_TRANSIENT = (
    "error sending request",
    "connection",
    "timed out",
    "timeout",
    "response body",
    "end of file",
    "reset",
    "broken pipe",
    "incomplete",
    "invalid list response",  # cut, with a good status
)
_SLOW_DOWN_STATUS = (429, 503)
_SLOW_DOWN = ("slowdown", "slow down", "timed out", "timeout")
# The client's words for a range that begins after the end, for an answer with all bytes, and for
# an answer with other bytes.
_PAST_THE_END = "wanted range starting at"
_NO_RANGES = ("received non-partial response", "range request not supported")
_REFUSED_HTTP = "builder error"
_EMPTY = "0--1/0"  # Azurite's range of an empty object
_OTHER_RANGE = re.compile(r"requested \d+\.\.\d+, got \d+\.\.\d+")
_STATUS = re.compile(r"status code: ((\d{3})[^:<\n]*)")
_CODE = re.compile(r"<code>([^<]*)</code>|\(code: (\w+)\)", re.IGNORECASE)
# The query of a URL, which may be a signature.
_QUERY = re.compile(r"(https?://[^\s?\"']+)\?[^\s\"')]*")
_MESSAGE = re.compile(r"<message>([^<]*)</message>", re.IGNORECASE)
_EXPIRED = ("expiredtoken", "token has expired", "tokenrefreshrequired")
_CLOCK = "requesttimetooskewed"
_DENIED = ("accessdenied", "access denied")
# The operating system's reasons, in the client's account of a failed connection.
_CAUSE = re.compile(r'(?:message|error): "([^"]*)"')


class Failures:
    """A context that turns the client's exceptions into ours.

    Args:
        exceptions: the module of the client's exceptions.
        location: of the object, and of the first byte that was asked for.
        end: the byte after the last that was asked for.
    """

    def __init__(self, exceptions: Any, location: Location, end: int | None = None) -> None:
        self._exceptions, self._location, self._end = exceptions, location, end

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, FastpackError | TransientError) or not isinstance(error, Exception):
            return
        self._raise(error)

    def _raise(self, error: Exception) -> NoReturn:
        known = self._exceptions
        text = _text(error)
        code, status = code_of(error).lower(), status_of(error)
        reason = reason_of(error)
        if isinstance(error, known.NotFoundError | FileNotFoundError) or status == 404:
            missing = "there is no such object or bucket; check the URL"
            raise MissingFileError(errno.ENOENT, self._at(missing)) from None
        if self._end is not None and (status == 416 or _PAST_THE_END in text):
            raise ends_early(self._end, self._location) from None
        if isinstance(error, known.AlreadyExistsError):
            message = "the object exists already; choose another name, or overwrite"
            raise OutputExistsError(errno.EEXIST, self._at(message)) from None
        if isinstance(error, known.PreconditionError):
            raise changed(self._location) from None
        is_slow_down = status in _SLOW_DOWN_STATUS or any(part in text for part in _SLOW_DOWN)
        is_silent = status == 0 and any(part in text for part in _TRANSIENT)
        is_failure = status in _TRANSIENT_STATUS or code in _TRANSIENT_CODES
        if is_slow_down or is_silent or is_failure or _OTHER_RANGE.search(text):
            raise TransientError(reason, is_slow_down=is_slow_down, is_answer=status != 0) from None
        self._refuse(reason, text, status, error)

    def _refuse(self, reason: str, text: str, status: int, error: Exception) -> NoReturn:
        """Raise the error of an answer that will not change."""
        known = self._exceptions
        denied = (known.PermissionDeniedError, known.UnauthenticatedError, PermissionError)
        is_denied = isinstance(error, denied) or status in (401, 403)
        number = errno.EACCES
        if any(part in text for part in _EXPIRED):
            message = f"the credentials have expired ({reason}); renew them, and go on"
        elif _CLOCK in text:
            message = f"the clock of this machine is wrong ({reason}); set it, and go on"
        elif is_denied or any(part in text for part in _DENIED):
            remedy = "check the credentials and the permissions of the bucket"
            message = f"the store refuses access ({reason}); {remedy}"
        elif any(part in text for part in _NO_RANGES):
            number = errno.ENOTSUP
            message = "the store ignores byte ranges; copy the object to a store that has them"
        elif _REFUSED_HTTP in text:
            message = 'the client refuses plain http://; give storage_options={"allow_http": True}'
        else:
            number = errno.EIO
            message = f"the store refuses the request ({reason}); check the URL and the options"
        raise StoreError(number, self._at(message)) from None

    def _at(self, message: str) -> str:
        return with_location(message, self._location)


def ends_early(end: int, location: Location) -> TruncatedFileError:
    """Return the error of an object that is shorter than its index has it."""
    message = f"the object ends before byte {end}; restore it from its source"
    return TruncatedFileError(with_location(message, location))


def changed(location: Location) -> ChangedFileError:
    """Return the error of an object that has another content than before."""
    message = "the object was replaced since it was listed; open the dataset again"
    return ChangedFileError(with_location(message, location))


def is_of_range(error: Exception) -> bool:
    """Return True for a range of an empty object, and for a store without ranges."""
    text = _text(error)
    return status_of(error) == 416 or any(
        part in text for part in (_PAST_THE_END, _EMPTY, *_NO_RANGES)
    )


def status_of(error: Exception) -> int:
    """Return the status of the store's answer; 0 without an answer."""
    answer = _STATUS.search(_text(error))
    return int(answer[2]) if answer else 0


def code_of(error: Exception) -> str:
    """Return the store's word for an error, such as "SlowDown", or ""."""
    code = _CODE.search(_report(error))
    return (code[1] or code[2]) if code else ""


def reason_of(error: Exception) -> str:
    """Return the store's answer, or the reason of the failed connection, in one line."""
    report = _report(error)
    answer, message = _STATUS.search(report), _MESSAGE.search(report)
    if answer:
        parts = [answer[1].strip(), code_of(error), message[1] if message else ""]
        return ": ".join(filter(None, parts))[:300]
    first = report.partition("\n")[0].strip()
    causes = _CAUSE.findall(str(error).partition("Debug source")[2])
    return ": ".join([first[:300], *causes[-1:]])


def _report(error: Exception) -> str:
    """The client's message without its account of its own parts."""
    return _QUERY.sub(r"\1", str(error).partition("Debug source")[0])


def _text(error: Exception) -> str:
    return _report(error).lower()
