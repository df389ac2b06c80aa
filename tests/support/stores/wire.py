"""Heads and bodies of HTTP/1.1 messages on a socket."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

CHUNK = 1 << 18
_MAX_HEAD = 1 << 17


@dataclass
class Head:
    """The first line of a message and its headers, in the order in which they came."""

    line: str
    headers: list[tuple[str, str]]

    @classmethod
    def parse(cls, data: bytes) -> "Head":
        line, *fields = data.decode("latin-1").split("\r\n")
        pairs = (field.split(":", 1) for field in fields if field)
        return cls(line, [(name.strip(), value.strip()) for name, value in pairs])

    def get(self, name: str, default: str = "") -> str:
        return next((value for key, value in self.headers if key.lower() == name), default)

    def set(self, name: str, value: str) -> None:
        self.drop(name.lower())
        self.headers.append((name, value))

    def drop(self, name: str) -> None:
        self.headers = [(key, value) for key, value in self.headers if key.lower() != name]

    @property
    def status(self) -> int:
        return int(self.line.split(" ", 2)[1])

    @property
    def is_chunked(self) -> bool:
        return self.get("transfer-encoding").lower() == "chunked"

    def encode(self) -> bytes:
        fields = [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join([self.line, *fields, "", ""]).encode("latin-1")


class Wire:
    """A socket from which one message after another is read."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._left = b""
        self._block = memoryview(bytearray(CHUNK))

    def head(self) -> Head | None:
        """Reads the next head; None if the other side closed the connection."""
        data = self._left
        while (end := data.find(b"\r\n\r\n")) < 0:
            more = self.socket.recv(CHUNK)
            if not more or len(data) > _MAX_HEAD:
                return None
            data += more
        self._left = data[end + 4 :]
        return Head.parse(data[:end])

    def body(self, head: Head, is_reply: bool = False) -> Iterator[memoryview]:
        """Yields the body in blocks; each is valid until the next one. Chunks keep their frames."""
        if head.is_chunked:
            yield from self._chunked()
        elif length := head.get("content-length"):
            yield from self._exactly(int(length))
        elif is_reply:
            yield from self._until_closed()

    def _exactly(self, length: int) -> Iterator[memoryview]:
        while length:
            if self._left:
                block, self._left = memoryview(self._left[:length]), self._left[length:]
            elif size := self.socket.recv_into(self._block, min(length, CHUNK)):
                block = self._block[:size]
            else:
                raise ConnectionError("the server closed the connection within a body")
            length -= len(block)
            yield block

    def _chunked(self) -> Iterator[memoryview]:
        size = -1
        while size:
            line = self._line()
            size = int(line.split(b";")[0], 16)
            yield memoryview(line)
            yield from self._exactly(size)
            yield memoryview(self._line())

    def _line(self) -> bytes:
        while (end := self._left.find(b"\r\n")) < 0:
            more = self.socket.recv(CHUNK)
            if not more:
                raise ConnectionError("the server closed the connection within a body")
            self._left += more
        line, self._left = self._left[: end + 2], self._left[end + 2 :]
        return line

    def _until_closed(self) -> Iterator[memoryview]:
        if self._left:
            yield memoryview(self._left)
        while size := self.socket.recv_into(self._block):
            yield self._block[:size]


def reply(status: int, body: bytes, kind: str = "application/xml") -> bytes:
    """Returns a whole answer."""
    head = Head(f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", [("Content-Type", kind)])
    head.set("Content-Length", str(len(body)))
    return head.encode() + body
