"""Faults, and the rules that choose requests for them."""

import random
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass
class Request:
    """One request that the proxy saw, and how it ended."""

    method: str
    bucket: str
    key: str
    query: dict[str, str]
    range: str = ""
    status: int = 0
    num_sent: int = 0  # bytes of the body from the client
    num_received: int = 0  # bytes of the body that went to the client
    seconds: float = 0.0
    fault: "Fault | None" = None

    @classmethod
    def of(cls, method: str, target: str, range: str) -> "Request":
        parts = urlsplit(target)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        return cls(method, bucket, key, query, range)

    @property
    def kind(self) -> str:
        """`get`, `list`, `head`, `put`, `part` of an upload, `start`, `complete`, `abort`, ..."""
        if self.method == "GET":
            return "list" if not self.key or "list-type" in self.query else "get"
        if self.method == "PUT":
            return "part" if "partNumber" in self.query else "put"
        if self.method == "POST":
            named = {"uploads": "start", "uploadId": "complete", "delete": "delete"}
            return next((kind for name, kind in named.items() if name in self.query), "post")
        return "abort" if "uploadId" in self.query else self.method.lower()


@dataclass(frozen=True)
class Fault:
    """How an answer differs from the server's. Byte counts are of the body.

    Args:
        status: Answers this itself; the server sees nothing. `code` is the store's error code.
        code: The word in the error document, such as "SlowDown".
        after_server: The server does what was asked, but the client gets `status`.
        hang_up: Closes the connection without any answer.
        reset_after: Resets the connection (RST) after so many bytes.
        cut_after: Closes the connection (FIN) after so many bytes; Content-Length stays.
        shorten_by: Sends a complete answer with a good status that lacks the last bytes.
        stall_after: Sends so many bytes and then nothing more; -1: not even a head.
        rate: Bytes a second of this answer.
        latency_s: Added before the server is asked.
        shift_range: Added to both numbers of Content-Range; the bytes stay.
        flip_byte: The byte at this offset is inverted.
        headers: Replaced in the answer.
        act: Called before the server is asked; may change the store.
    """

    status: int = 0
    code: str = ""
    after_server: bool = False
    hang_up: bool = False
    reset_after: int | None = None
    cut_after: int | None = None
    shorten_by: int = 0
    stall_after: int | None = None
    rate: float = 0.0
    latency_s: float = 0.0
    shift_range: int = 0
    flip_byte: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    act: Callable[[Request], None] | None = None


SLOW_DOWN = Fault(503, "SlowDown")
INTERNAL_ERROR = Fault(500, "InternalError")
ACCESS_DENIED = Fault(403, "AccessDenied")
NO_SUCH_KEY = Fault(404, "NoSuchKey")
NO_SUCH_BUCKET = Fault(404, "NoSuchBucket")
EXPIRED_TOKEN = Fault(400, "ExpiredToken")
THROTTLED = Fault(429, "TooManyRequests")


@dataclass
class Rule:
    """Which requests a fault hits: of `kinds` and keys, `skip` later, `count` of them, by chance.

    Args:
        fault: What goes wrong.
        kinds: See Request.kind; empty: all.
        keys: A pattern as of a shell, of the whole key within its bucket.
        skip: So many matching requests are left alone first.
        count: So many are hit; None: all.
        probability: Of those that are due. The random number depends on the request and the
            number of its attempt, so the order of requests does not matter.
        seed: Of these numbers.
    """

    fault: Fault
    kinds: tuple[str, ...] = ()
    keys: str = "*"
    skip: int = 0
    count: int | None = None
    probability: float = 1.0
    seed: int = 0
    num_hits: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._attempts: Counter[str] = Counter()
        self._left_alone = 0

    def hits(self, request: Request) -> bool:
        """Decides about one request; called once for each, one at a time."""
        if self.kinds and request.kind not in self.kinds:
            return False
        if not fnmatchcase(request.key, self.keys):
            return False
        if self._left_alone < self.skip:
            self._left_alone += 1
            return False
        if self.count is not None and self.num_hits >= self.count:
            return False
        if self.probability < 1 and self._chance(request) >= self.probability:
            return False
        self.num_hits += 1
        return True

    def _chance(self, request: Request) -> float:
        same = f"{request.method} {request.key} {request.range} {request.query}"
        self._attempts[same] += 1
        return random.Random(f"{self.seed} {same} {self._attempts[same]}").random()


class Rules:
    """The rules of a proxy; the first that hits a request decides."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []

    def set(self, *rules: Rule) -> None:
        with self._lock:
            self._rules = [*rules]

    def fault_of(self, request: Request) -> Fault | None:
        with self._lock:
            return next((rule.fault for rule in self._rules if rule.hits(request)), None)


_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(.*)")


def shifted(content_range: str, by: int) -> str:
    """Returns a Content-Range that is `by` bytes off."""
    matched = _CONTENT_RANGE.fullmatch(content_range)
    if matched is None:
        return content_range
    first, last, size = matched.groups()
    return f"bytes {int(first) + by}-{int(last) + by}/{size}"


def error_document(fault: Fault, request: Request) -> bytes:
    """The body of an error in the manner of S3, which other clients ignore."""
    resource = f"/{request.bucket}/{request.key}".replace("&", "&amp;").replace("<", "&lt;")
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{fault.code}</Code><Message>made by the proxy of the tests</Message>"
        f"<Resource>{resource}</Resource><RequestId>0</RequestId></Error>"
    ).encode()
