"""A web server whose answers lack what a test wants them to lack."""

import contextlib
import email.utils
import http.server
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class WebServer:
    """Files by their decoded path, and how they are served.

    Args:
        files: the content of each path.
        times: when each file was modified, in s; a path that lacks one has no Last-Modified.
        etag: a function of the content; None for no etag.
        has_ranges: without, each answer is the whole file.
        signature: the query that each request must have.
        methods: that are answered.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    etag: Any = None
    has_ranges: bool = True
    signature: str = ""
    methods: tuple[str, ...] = ("GET", "HEAD")
    requests: list[tuple[str, str]] = field(default_factory=list)
    conditions: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, target: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
        path, _, query = target.partition("?")
        key = urllib.parse.unquote(path).lstrip("/")
        self.requests.append((method, target))
        if method not in self.methods or query != self.signature:
            return 403, {}, b"denied"
        if key not in self.files:
            return 404, {}, b""
        data, facts = self.files[key], {}
        if key in self.times:
            facts["Last-Modified"] = email.utils.formatdate(self.times[key], usegmt=True)
        if self.etag:
            facts["ETag"] = self.etag(data)
        if wanted := headers.get("If-Match"):
            self.conditions.append(wanted)
            # The comparison is strong: a weak etag is equal to none.
            if wanted != facts.get("ETag") or wanted.startswith("W/"):
                return 412, {}, b""
        if not self.has_ranges or not headers.get("Range"):
            return 200, facts, data
        first, last = map(int, headers["Range"].removeprefix("bytes=").split("-"))
        if first >= len(data):
            return 416, {}, b""
        part = data[first : last + 1]
        facts["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{len(data)}"
        return 206, facts, part


@contextlib.contextmanager
def web_server(**settings: Any) -> Iterator[WebServer]:
    """A running server."""
    served = WebServer(**settings)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = served.answer(self.command, self.path, self.headers)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        served.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
