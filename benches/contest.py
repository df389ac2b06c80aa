"""Rivals in interpreters of their own, and the turns that they take."""

import contextlib
import json
import math
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benches.rivals.turns import SMALL_BYTES, Amount, Task

_ROOT = Path(__file__).parent.parent
PATIENCE_SECONDS = 900.0
_FAREWELL_SECONDS = 20
_SAMPLED_SECONDS = 0.1
_LINES_SHOWN = 3
_RAISED = re.compile(
    r"[\w.]*(Error|Exception|Exit)\b"
)  # how a traceback ends: that alone says enough
# Turns so short that it would show if the system had let go of files or memory while the others had theirs.
_TAKEN_TWICE = ("records", "pixels", "open")


class MissingError(Exception):
    """A rival that cannot take part, and why."""


@dataclass(frozen=True)
class Entry:
    """Who takes part: a module of benches.rivals, and one of its variants.

    - environment: which requirements-NAME.txt it needs; "" is fastpack's own interpreter.
    """

    name: str
    module: str
    environment: str = ""
    variant: str = ""


@dataclass
class Standing:
    """What a rival has done so far."""

    name: str
    version: str = ""
    seconds: list[float] = field(default_factory=list)
    num_samples: int = 0
    num_bytes: int = 0
    peak_mb: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Contestant:
    """A rival that has written its files and taken a first turn, which counts for nothing. Raises MissingError.

    - patience_seconds: how long it may be silent; who is longer is missing.
    """

    def __init__(
        self, entry: Entry, python: Path, task: Task, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        if not python.exists():
            raise MissingError(
                f"there is no environment {entry.environment!r}; make bench-rivals builds it"
            )
        self._least = _least_amount(task)
        self._patience_seconds = patience_seconds
        self._is_taken_twice = task.subject in _TAKEN_TWICE
        self.folder = Path(tempfile.mkdtemp(dir=task.folder))
        self._errors = open(self.folder / "stderr", "w+b")  # noqa: SIM115  # closed with the contestant
        command = [python, "-m", f"benches.rivals.{entry.module}"]
        pipe = subprocess.PIPE
        self._rival = subprocess.Popen(
            command,
            cwd=_ROOT,
            stdin=pipe,
            stdout=pipe,
            stderr=self._errors,
            start_new_session=True,
            env=self._environment(task),
        )
        told = asdict(task) | {"folder": str(self.folder), "variant": entry.variant}
        try:
            self.standing = Standing(entry.name, self._ask(json.dumps(told))["version"])
        except MissingError:
            self.close()
            raise

    def _environment(self, task: Task) -> dict[str, str]:
        threads = str(task.num_threads)
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
        return (
            os.environ
            | quiet
            | {"OMP_NUM_THREADS": threads, "TMPDIR": str(self.folder), "HOME": str(self.folder)}
        )

    def turn(self) -> None:
        """Raises MissingError when the rival fails, or delivers less than the task has."""
        if self._is_taken_twice:
            self._ask("turn")
        answer = self._ask("turn")
        seconds, amount = answer["seconds"], Amount(answer["num_samples"], answer["num_bytes"])
        if amount.num_samples < self._least.num_samples or amount.num_bytes < self._least.num_bytes:
            raise MissingError(f"it delivered {amount}, not {self._least}")
        self.standing.seconds.append(seconds)
        self.standing.num_samples, self.standing.num_bytes = amount

    def turn_for_memory(self) -> None:
        """One more turn, not timed: memory is measured meanwhile, and that costs time."""
        done = threading.Event()
        peaks: list[float] = []

        def sample() -> None:
            while not done.wait(_SAMPLED_SECONDS):
                peaks.append(_own_memory(self._rival.pid))

        sampler = threading.Thread(target=sample)
        sampler.start()
        try:
            self._ask("turn")
        finally:
            peaks.append(_own_memory(self._rival.pid))
            done.set()
            sampler.join()
        self.standing.peak_mb = max(peaks)

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._rival.stdin is not None
        assert self._rival.stdout is not None
        try:
            self._rival.stdin.write(line.encode() + b"\n")
            self._rival.stdin.flush()
        except BrokenPipeError:
            raise MissingError(self._last_words()) from None
        answers, _, _ = select.select([self._rival.stdout], [], [], self._patience_seconds)
        if not answers:
            raise MissingError(f"no answer within {self._patience_seconds:g} seconds")
        answer = self._rival.stdout.readline()
        if not answer:
            raise MissingError(self._last_words())
        try:
            return dict(json.loads(answer))
        except ValueError:
            raise MissingError(f"it answered {answer!r}") from None

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = [
            line.strip()
            for line in self._errors.read().decode(errors="replace").splitlines()
            if line.strip()
        ]
        if lines and _RAISED.match(lines[-1]):
            return lines[-1]
        return "; ".join(lines[-_LINES_SHOWN:]) or f"it ended with status {self._rival.wait()}"

    def close(self) -> None:
        """Its workers too, and what it has written. It may end by itself first, as some leave shared memory behind else."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._rival.communicate(timeout=_FAREWELL_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._rival.pid, signal.SIGKILL)
        self._rival.wait()
        self._errors.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _silent(line: str) -> None:
    pass


class Contest:
    """Turns go round, so that what else the machine does meets them all, and each round another begins, so that nobody always
    has the same one before him: A B C, B C A, C A B. Then each takes one more, for its memory. Who fails is missing, and the
    others go on.

    - tell: is told who has done what; it may take minutes.
    """

    def __init__(
        self, patience_seconds: float = PATIENCE_SECONDS, tell: Callable[[str], object] = _silent
    ) -> None:
        self.missing: dict[str, str] = {}
        self._present: list[Contestant] = []
        self._patience_seconds = patience_seconds
        self._tell = tell

    def enter(self, entry: Entry, python: Path, task: Task) -> None:
        started = time.monotonic()
        with self._missed(entry.name):
            self._present.append(Contestant(entry, python, task, self._patience_seconds))
            self._tell(f"{entry.name}: ready after {time.monotonic() - started:.0f} s")

    def go(self, rounds: int, until: float = math.inf) -> list[Standing]:
        """How those stand that took all their turns. With `until`, of time.monotonic(), no round begins that would end, with the
        turns for memory, later than that; but for the first."""
        longest = 0.0
        for number in range(rounds):
            started = time.monotonic()
            if number and started + 2 * longest > until:
                self._tell(f"no time for round {number + 1} of {rounds}")
                break
            self._each(Contestant.turn, first=number)
            longest = max(longest, time.monotonic() - started)
            self._tell(f"round {number + 1} of {rounds}: {time.monotonic() - started:.0f} s")
        self._each(Contestant.turn_for_memory)
        return [rival.standing for rival in self._present]

    def close(self) -> None:
        for rival in self._present:
            rival.close()

    def _each(self, act: Callable[[Contestant], None], first: int = 0) -> None:
        first %= len(self._present) or 1
        for rival in [*self._present[first:], *self._present[:first]]:
            with self._missed(rival.standing.name):
                act(rival)
            if rival.standing.name in self.missing:
                self._present.remove(rival)
                rival.close()

    @contextlib.contextmanager
    def _missed(self, name: str) -> Iterator[None]:
        try:
            yield
        except (MissingError, OSError) as error:
            self.missing[name] = str(error)
            self._tell(f"{name}: missing: {error}")


def _least_amount(task: Task) -> Amount:
    """What a turn must deliver. A loader of whole batches alone may leave out the last."""
    if task.subject in ("train", "eval", "pixels"):
        num_samples = len(task) // task.batch * task.batch
        return Amount(num_samples, num_samples * task.size**2 * 3)
    if task.subject == "open":
        return Amount(task.batch, task.batch * SMALL_BYTES)
    # Of "decode", too: pixels take more than the JPEG.
    return Amount(len(task), sum(os.path.getsize(path) for path in task.paths))


def _own_memory(pid: int) -> float:
    """MB of the process and its descendants that are theirs, shared pages divided among them; without files' pages."""
    total = 0
    for each in (pid, *_descendants(pid)):
        try:
            with open(f"/proc/{each}/smaps_rollup") as lines:
                total += sum(
                    int(line.split()[1])
                    for line in lines
                    if line.startswith(("Pss_Anon", "Pss_Shmem"))
                )
        except OSError:
            continue  # ended meanwhile
    return total / 1024


def _descendants(pid: int) -> list[int]:
    try:
        listed = [
            int(child) for task in os.listdir(f"/proc/{pid}/task") for child in _children(pid, task)
        ]
    except OSError:
        return []
    return listed + [grandchild for child in listed for grandchild in _descendants(child)]


def _children(pid: int, task: str) -> list[str]:
    with open(f"/proc/{pid}/task/{task}/children") as file:
        return file.read().split()
