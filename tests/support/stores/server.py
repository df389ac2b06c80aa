"""Server programs on free ports of this machine, ended for certain."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# A server that is not ready by then fails the test with the end of its log.
READY_S = 60
_LOG_BYTES = 4000


def free_ports(count: int) -> list[int]:
    """Returns ports that were free just now, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [each.getsockname()[1] for each in sockets]


def program(*names: str, remedy: str) -> str:
    """Returns the path of a program, beside this Python or in PATH; else skips the test."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"])
    for name in names:
        if found := shutil.which(name, path=path):
            return found
    pytest.skip(f"{names[0]} is not installed; {remedy}")


class Process:
    """A server program, whose output goes to a file.

    The kernel kills it when the thread that started it ends, in whatever way. So it must be started
    by a thread that lives as long as it is needed.
    """

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str] | None = None):
        self.log = folder / "log.txt"
        self.name = Path(command[0]).name
        dies_with_us = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*dies_with_us, *command],
                cwd=folder,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C at the terminal is for pytest
            )

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        """Returns when the server is ready; fails with its log if it ends or takes too long."""
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            if self.process.poll() is not None:
                pytest.fail(
                    f"{self.name} ended with {self.process.returncode}:\n{self.last_lines()}"
                )
            with contextlib.suppress(OSError):
                if is_ready():
                    return
            time.sleep(0.02)
        self.stop()
        pytest.fail(f"{self.name} is not ready after {READY_S} s:\n{self.last_lines()}")

    def last_lines(self) -> str:
        return self.log.read_bytes()[-_LOG_BYTES:].decode(errors="replace")

    def stop(self) -> None:
        """Kills the server and its children. Its data is not needed again."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, 9)
        self.process.wait()


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def open_local(what: str | urllib.request.Request) -> Any:
    """Opens a URL of this machine, whatever proxy the environment names."""
    return _opener.open(what, timeout=60)


def answers(url: str, *statuses: int) -> bool:
    """Whether a GET has one of these statuses; any at all, if none is given."""
    try:
        with open_local(url) as answer:
            status = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
        error.close()
    return not statuses or status in statuses
