"""A proxy before a store: it counts requests, adds delay, limits bandwidth and makes faults.

    python -m tests.support.stores.fault_proxy 127.0.0.1:8333 --port 9000 --latency-ms 20 --rate 2e8

The delay is one round trip: it comes before each request, and once more before the first of a
connection. The rate is shared by all connections, in each direction. TCP's slow start is not
imitated. The proxy alone passes on 2 GB/s, measured before nginx. In the process of a test it
shares the GIL with the client, so benchmarks start it in a process of its own.
"""

import argparse
import contextlib
import select
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.support.stores.faults import Fault, Request, Rules, error_document, shifted
from tests.support.stores.wire import CHUNK, Head, Wire, reply

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST
_POLL_S = 0.02


class HungUp(Exception):
    """The connection to the client has ended."""


class Limiter:
    """Bytes a second, shared by all that pass."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._lock = threading.Lock()
        self._free_at = 0.0

    def wait(self, num_bytes: int) -> None:
        if not self.rate:
            return
        with self._lock:
            now = time.monotonic()
            self._free_at = max(now, self._free_at) + num_bytes / self.rate
            delay = self._free_at - now
        if delay > 0.0005:
            time.sleep(delay)


class FaultProxy:
    """Listens on a free port of this machine and passes requests on to `target`.

    `rules` says what goes wrong; `requests` has all that were seen since `forget`. `translate`
    changes the head of each request for a server with another dialect.
    """

    def __init__(
        self,
        target: tuple[str, int],
        port: int = 0,
        latency_s: float = 0.0,
        rate: float = 0.0,
        translate: Callable[[Head], None] | None = None,
    ) -> None:
        self.target, self.latency_s, self.translate = target, latency_s, translate
        self.rules = Rules()
        self.requests: list[Request] = []
        self.down, self.up = Limiter(rate), Limiter(rate)
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._active = 0
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port = self._listener.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "FaultProxy":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops listening; connections end at their next block."""
        self.closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def forget(self) -> None:
        """Removes all rules and the requests seen so far."""
        self.rules.set()
        with self._lock:
            self.requests = []

    @property
    def active(self) -> int:
        """Requests that are not yet answered in full, of clients that still wait."""
        return self._active

    def counts(self) -> Counter[str]:
        """How many requests of each kind, also those that were answered by a fault."""
        with self._lock:
            return Counter(request.kind for request in self.requests)

    def num_received(self) -> int:
        """Bytes of bodies that clients were sent."""
        with self._lock:
            return sum(request.num_received for request in self.requests)

    def begun(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)
            self._active += 1

    def ended(self) -> None:
        with self._lock:
            self._active -= 1

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=Connection(self, client).run, daemon=True).start()


@dataclass
class _Body:
    """How much of an answer's body goes to the client, and what follows."""

    fault: Fault
    end: int | None = None  # no byte after this one
    sent: int = 0

    def cut(self, block: memoryview) -> memoryview:
        """Returns the part of the next block that the client gets, changed where that is due."""
        start, flip = self.sent, self.fault.flip_byte
        part = block if self.end is None else block[: max(0, self.end - start)]
        if flip is not None and start <= flip < start + len(part):
            part = memoryview(bytearray(part))
            part[flip - start] ^= 0xFF
        self.sent += len(part)
        return part

    @property
    def is_over(self) -> bool:
        return self.end is not None and self.sent >= self.end


class Connection:
    """One client's connection, and the connection to the server that answers it."""

    def __init__(self, proxy: FaultProxy, client: socket.socket) -> None:
        self.proxy = proxy
        self.client = Wire(client)
        self.server: Wire | None = None
        self._is_first = True

    def run(self) -> None:
        """Answers requests until one side hangs up."""
        try:
            while not self.proxy.closing.is_set() and (head := self.client.head()):
                self._answer(head)
        except (OSError, HungUp, ValueError):
            pass
        finally:
            self.client.socket.close()
            self._leave_server()

    def _answer(self, head: Head) -> None:
        if self.proxy.translate is not None:
            self.proxy.translate(head)
        method, target, _ = head.line.split(" ", 2)
        request = Request.of(method, target, head.get("range"))
        fault = request.fault = self.proxy.rules.fault_of(request)
        begun = time.monotonic()
        self.proxy.begun(request)
        try:
            self._delay(fault)
            self._exchange(head, request, fault or Fault())
        finally:
            request.seconds = time.monotonic() - begun
            self.proxy.ended()

    def _delay(self, fault: Fault | None) -> None:
        round_trips = 2 if self._is_first else 1
        self._is_first = False
        self._sleep(round_trips * self.proxy.latency_s + (fault.latency_s if fault else 0))

    def _exchange(self, head: Head, request: Request, fault: Fault) -> None:
        if fault.act:
            fault.act(request)
        if fault.hang_up:
            raise HungUp
        if fault.status and not fault.after_server:
            self._drain(head, request)
            self._refuse(request, fault)
            return
        if fault.stall_after is not None and fault.stall_after < 0:
            self._drain(head, request)
            self._stall()
        answer = self._ask(head, request)
        if fault.status:
            for _ in self._reply_body(answer, request):
                pass
            self._refuse(request, fault)
        else:
            self._pass_on(answer, request, fault)

    def _ask(self, head: Head, request: Request) -> Head:
        """Sends the request to the server; returns the head of its answer."""
        if head.get("expect"):
            head.drop("expect")
            self.client.socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        server = self._connected()
        server.socket.sendall(head.encode())
        for block in self.client.body(head):
            self.proxy.up.wait(len(block))
            server.socket.sendall(block)
            request.num_sent += len(block)
        answer = server.head()
        while answer is not None and answer.status == 100:
            answer = server.head()
        if answer is None:
            raise HungUp
        return answer

    def _pass_on(self, answer: Head, request: Request, fault: Fault) -> None:
        body = _Body(fault, self._edit(answer, fault))
        request.status = answer.status
        self.client.socket.sendall(answer.encode())
        pace = Limiter(fault.rate)
        if not body.is_over:
            for block in self._reply_body(answer, request, self._length):
                part = body.cut(block)
                self._send(part, pace)
                request.num_received += len(part)
                if body.is_over:
                    break
        self._end(body, fault)
        if answer.get("connection").lower() == "close":
            raise HungUp

    def _edit(self, answer: Head, fault: Fault) -> int | None:
        """Changes the head as the fault wants; returns the end of the body, if it ends early."""
        self._length = answer.get("content-length")
        for name, value in fault.headers:
            answer.set(name, value)
        if fault.shift_range and (given := answer.get("content-range")):
            answer.set("Content-Range", shifted(given, fault.shift_range))
        if fault.shorten_by and self._length:
            end = max(0, int(self._length) - fault.shorten_by)
            answer.set("Content-Length", str(end))
            return end
        ends = (fault.reset_after, fault.cut_after, fault.stall_after)
        return next((end for end in ends if end is not None), None)

    def _end(self, body: _Body, fault: Fault) -> None:
        """Does what follows a body that ended early."""
        if not body.is_over or not (self._length and body.sent < int(self._length)):
            return
        if fault.stall_after is not None:
            self._stall()
        if fault.reset_after is not None:
            self.client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        if fault.shorten_by:
            self._leave_server()  # the rest of its body is still under way
            return
        raise HungUp

    def _reply_body(
        self, answer: Head, request: Request, length: str | None = None
    ) -> Iterator[memoryview]:
        if request.method == "HEAD" or answer.status in (204, 304):
            return iter(())
        if length:
            answer = Head(answer.line, [("Content-Length", length)])
        assert self.server is not None
        return self.server.body(answer, is_reply=True)

    def _send(self, block: memoryview, pace: Limiter) -> None:
        if pace.rate:  # small blocks, or a slow body would come in bursts
            step = max(1, min(CHUNK, int(pace.rate * _POLL_S)))
            for start in range(0, len(block), step):
                part = block[start : start + step]
                pace.wait(len(part))
                self._check()
                self.client.socket.sendall(part)
            return
        self.proxy.down.wait(len(block))
        self.client.socket.sendall(block)

    def _drain(self, head: Head, request: Request) -> None:
        if head.get("expect"):
            self.client.socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        for block in self.client.body(head):
            request.num_sent += len(block)

    def _refuse(self, request: Request, fault: Fault) -> None:
        request.status = fault.status
        answer = reply(fault.status, error_document(fault, request))
        if request.method == "HEAD":
            answer = answer[: answer.index(b"\r\n\r\n") + 4]
        self.client.socket.sendall(answer)

    def _stall(self) -> None:
        """Sends nothing until the client hangs up."""
        while True:
            self._sleep(60)

    def _sleep(self, seconds: float) -> None:
        """Waits; ends early if the client hangs up."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._check(min(left, 1.0))

    def _check(self, seconds: float = 0.0) -> None:
        """Raises HungUp if the client hangs up, or the proxy closes, within a time."""
        poll = select.poll()
        poll.register(self.client.socket, select.POLLRDHUP)
        if poll.poll(1000 * seconds) or self.proxy.closing.is_set():
            raise HungUp

    def _connected(self) -> Wire:
        """Returns a connection to the server that it has not closed."""
        if self.server is not None:
            poll = select.poll()
            poll.register(self.server.socket, select.POLLRDHUP | select.POLLIN)
            if poll.poll(0):
                self._leave_server()
        if self.server is None:
            self.server = Wire(socket.create_connection(self.proxy.target))
        return self.server

    def _leave_server(self) -> None:
        if self.server is not None:
            self.server.socket.close()
            self.server = None


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", help="host:port of the store")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=0)
    parser.add_argument("--rate", type=float, default=0, help="bytes a second, of all together")
    given = parser.parse_args()
    host, port = given.target.rsplit(":", 1)
    proxy = FaultProxy((host, int(port)), given.port, given.latency_ms / 1000, given.rate)
    print(proxy.address, flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        print(dict(proxy.counts()), flush=True)


if __name__ == "__main__":
    _main()
