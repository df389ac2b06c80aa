"""Processes that answer commands, and their memory. This module needs the standard library alone.

`python -m benches.scale_process MODULE` imports MODULE and prints the seconds that this took. Then
each line of its input is a command: JSON of a function's name and its arguments.
"""

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

_ROOT = Path(__file__).parent.parent


def memory(pid: int | str = "self") -> dict[str, float]:
    """Return MB of a process: private, private without pages of files, proportional, peak."""
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        sizes = {line.partition(":")[0]: int(line.split()[1]) for line in list(lines)[1:]}
    with open(f"/proc/{pid}/status") as lines:
        peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    found = {
        "private": sizes["Private_Clean"] + sizes["Private_Dirty"],
        "dirty": sizes["Private_Dirty"],
        "pss": sizes["Pss"],
        "peak": peak,
    }
    return {name: kilobytes / 1024 for name, kilobytes in found.items()}


def since(started: float) -> float:
    return time.perf_counter() - started


class Process:
    """A new process of an interpreter, with the functions of a module."""

    def __init__(self, module: str, python: Path | str = sys.executable) -> None:
        command = [python, "-m", "benches.scale_process", module]
        pipe, environment = subprocess.PIPE, {**os.environ, "PYTHONPATH": str(_ROOT)}
        self._process = subprocess.Popen(
            command, cwd=_ROOT, env=environment, stdin=pipe, stdout=pipe, text=True
        )
        self._module = module
        self.import_seconds: float = self.receive()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._process.communicate()

    def send(self, command: str, *arguments: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([command, *arguments]) + "\n")
        self._process.stdin.flush()

    def receive(self) -> Any:
        """Wait for the result of the first command without one."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a process with {self._module} ended; its error is above")
        return json.loads(line)

    def call(self, command: str, *arguments: Any) -> Any:
        self.send(command, *arguments)
        return self.receive()


@contextmanager
def processes(count: int, module: str) -> Iterator[list[Process]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Process(module)) for _ in range(count)]


def call_all(all_processes: Sequence[Process], command: str, *arguments: Any) -> list[Any]:
    """Send a command to all before waiting for the first."""
    for process in all_processes:
        process.send(command, *arguments)
    return [process.receive() for process in all_processes]


def serve(module: str) -> None:
    started = time.perf_counter()
    functions = importlib.import_module(module)
    _reply(since(started))
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        _reply(getattr(functions, command)(*arguments))


def _reply(answer: Any) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
