"""A slow network on this machine: two network namespaces, and a link between them.

Linux's `tc netem` would do the same, but its module is missing in many virtual machines. Packets
pass through a program (link.c), so TCP sees a real round trip, a queue and losses. Packets have
9,001 bytes, as within AWS. This needs root and /dev/net/tun.
"""

import contextlib
import ctypes
import fcntl
import os
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

SERVER_HOST, CLIENT_HOST = "10.213.0.1", "10.213.0.2"
_MTU = 9001
_QUEUE_PACKETS = 10_000
_QUEUE_SECONDS = 0.05  # of the bandwidth; what waits longer is dropped
# <linux/if_tun.h>
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000


@contextlib.contextmanager
def slow_link(delay_ms: float, bytes_per_second: float) -> Iterator[tuple[str, ...]]:
    """Move this thread to the far end of a slow link, with the processes that it starts.

    Yields the command that runs a server at the near end, at SERVER_HOST.

    - delay_ms: added to a round trip, half of it in each direction.
    """
    names = [f"fastpack-{side}-{os.getpid()}" for side in ("server", "client")]
    with contextlib.ExitStack() as stack:
        for name in names:
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "delete", name)
        ends = []
        for name, host, peer in zip(
            names, (SERVER_HOST, CLIENT_HOST), (CLIENT_HOST, SERVER_HOST), strict=True
        ):
            ends.append(stack.enter_context(_tun(name, host, peer)))
        program = stack.enter_context(_compiled())
        queue = _QUEUE_SECONDS * bytes_per_second
        numbers = [delay_ms * 1000 / 2, bytes_per_second, queue]
        given = [*map(str, ends), *(f"{number:.0f}" for number in numbers)]
        process = subprocess.Popen([program, *given], pass_fds=ends)
        stack.callback(process.wait)
        stack.callback(process.kill)
        server, client = names
        stack.enter_context(_inside(client))
        yield "ip", "netns", "exec", server


@contextlib.contextmanager
def _inside(namespace: str) -> Iterator[None]:
    """Move this thread to a network namespace, and back."""
    setns = ctypes.CDLL(None, use_errno=True).setns
    with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{namespace}") as there:
        if setns(there.fileno(), 0):
            raise OSError(ctypes.get_errno(), f"cannot enter the network {namespace}")
        try:
            yield
        finally:
            setns(home.fileno(), 0)


@contextlib.contextmanager
def _tun(namespace: str, host: str, peer: str) -> Iterator[int]:
    """Make a TUN device in a namespace and yield its file descriptor."""
    with open("/dev/net/tun", "r+b", buffering=0) as device:
        name = f"fp{os.getpid()}{namespace[9]}"[:15]
        fcntl.ioctl(
            device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI)
        )
        os.set_blocking(device.fileno(), False)
        _ip("link", "set", name, "netns", namespace)
        _ip("-n", namespace, "link", "set", "lo", "up")
        _ip("-n", namespace, "address", "add", host, "peer", peer, "dev", name)
        link = ("-n", namespace, "link", "set", "dev", name)
        _ip(*link, "mtu", str(_MTU), "txqueuelen", str(_QUEUE_PACKETS), "up")
        yield device.fileno()


@contextlib.contextmanager
def _compiled() -> Iterator[Path]:
    source = Path(__file__).with_suffix(".c")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "link"
        compiler = os.environ.get("CC", "cc")
        subprocess.run([compiler, "-O2", "-o", program, source], check=True)
        yield program


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
