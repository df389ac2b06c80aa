"""Rivals in interpreters of their own, run in interleaved rounds."""

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

from benches.rivals.protocol import SMALL_BYTES, Amount, Task

_ROOT = Path(__file__).parent.parent
TIMEOUT_SECONDS = 900.0
_EXIT_SECONDS = 20
_SAMPLING_SECONDS = 0.1
_LINES_SHOWN = 3
_RAISED = re.compile(
    r"[\w.]*(Error|Exception|Exit)\b"
)  # the last line of a traceback, which is enough
# Runs so short that an idle rival's pages may be evicted meanwhile: the second run counts.
_RUN_TWICE = ("records", "pixels", "open")


class RivalUnavailableError(Exception):
    """A rival that cannot run, with the reason."""


@dataclass(frozen=True)
class RivalSpec:
    """A module of benches.rivals and one of its variants.

    - environment: NAME of its requirements-NAME.txt; "" is fastpack's own interpreter.
    - is_fresh: each run is the first of a new process.
    """

    name: str
    module: str
    environment: str = ""
    variant: str = ""
    is_fresh: bool = False


@dataclass
class RivalResult:
    """A rival's figures so far."""

    name: str
    version: str = ""
    seconds: list[float] = field(default_factory=list)
    num_samples: int = 0
    num_bytes: int = 0
    peak_mb: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class RivalProcess:
    """A rival that has written its files and, unless its runs are fresh, done a warm-up run.

    Raises RivalUnavailableError, also if an answer takes longer than timeout_seconds.
    """

    result_type = RivalResult

    def __init__(
        self, spec: RivalSpec, python: Path, task: Task, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        if not python.exists():
            raise RivalUnavailableError(
                f"no environment {spec.environment!r}; build it: make bench-rivals"
            )
        self._least = _least_amount(task)
        self._timeout_seconds = timeout_seconds
        self._runs_twice = task.subject in _RUN_TWICE
        self._spec, self._python, self._task = spec, python, task
        self._has_run = False
        self._start()
        self.result = self.result_type(spec.name, self._version)

    def _start(self) -> None:
        spec, task = self._spec, self._task
        self.folder = Path(tempfile.mkdtemp(dir=task.folder))
        self._errors = open(self.folder / "stderr", "w+b")  # noqa: SIM115  # close() closes it
        pipe = subprocess.PIPE
        self._rival = subprocess.Popen(
            [self._python, "-m", f"benches.rivals.{spec.module}"],
            cwd=_ROOT,
            stdin=pipe,
            stdout=pipe,
            stderr=self._errors,
            start_new_session=True,
            env=self._environment(task),
        )
        own = {"folder": str(self.folder), "variant": spec.variant, "is_fresh": spec.is_fresh}
        try:
            self._version = str(self._ask(json.dumps(asdict(task) | own))["version"])
        except RivalUnavailableError:
            self.close()
            raise

    def prepare_run(self) -> None:
        """Start a new process if each run needs one, and this one has run."""
        if self._spec.is_fresh and self._has_run:
            self.close()
            self._start()
            self._has_run = False

    def _environment(self, task: Task) -> dict[str, str]:
        threads = str(task.num_threads)
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
        return (
            os.environ
            | quiet
            | {"OMP_NUM_THREADS": threads, "TMPDIR": str(self.folder), "HOME": str(self.folder)}
        )

    def run_round(self) -> None:
        """Run once; raise RivalUnavailableError if it fails or delivers too little."""
        self.prepare_run()
        if self._runs_twice:
            self._ask("run")
        answer = self._run()
        seconds, amount = answer["seconds"], Amount(answer["num_samples"], answer["num_bytes"])
        if amount.num_samples < self._least.num_samples or amount.num_bytes < self._least.num_bytes:
            raise RivalUnavailableError(f"it delivered {amount}, not {self._least}")
        self.result.seconds.append(seconds)
        self.result.num_samples, self.result.num_bytes = amount

    def cpu_seconds(self) -> float:
        """Return the processor time that the rival and its workers have used so far."""
        return sum(map(_cpu_seconds, (self._rival.pid, *_descendants(self._rival.pid))))

    def measure_memory(self) -> None:
        """Run once more and sample its memory. Sampling costs time, so this run is not timed."""
        self.prepare_run()
        done = threading.Event()
        peaks: list[float] = []

        def sample() -> None:
            while not done.wait(_SAMPLING_SECONDS):
                peaks.append(_own_memory(self._rival.pid))

        sampler = threading.Thread(target=sample)
        sampler.start()
        try:
            self._run()
        finally:
            peaks.append(_own_memory(self._rival.pid))
            done.set()
            sampler.join()
        self.result.peak_mb = max(peaks)

    def _run(self) -> dict[str, Any]:
        self._has_run = True
        return self._ask("run")

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._rival.stdin is not None
        assert self._rival.stdout is not None
        try:
            self._rival.stdin.write(line.encode() + b"\n")
            self._rival.stdin.flush()
        except BrokenPipeError:
            raise RivalUnavailableError(self._failure()) from None
        answers, _, _ = select.select([self._rival.stdout], [], [], self._timeout_seconds)
        if not answers:
            raise RivalUnavailableError(f"no answer within {self._timeout_seconds:g} seconds")
        answer = self._rival.stdout.readline()
        if not answer:
            raise RivalUnavailableError(self._failure())
        try:
            return dict(json.loads(answer))
        except ValueError:
            raise RivalUnavailableError(f"it answered {answer!r}") from None

    def _failure(self) -> str:
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
        """End the process and its workers, and remove its files.

        It may exit by itself first: some rivals remove their shared memory at exit.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._rival.communicate(timeout=_EXIT_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._rival.pid, signal.SIGKILL)
        self._rival.wait()
        self._errors.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _silent(line: str) -> None:
    pass


class RivalBenchmark:
    """Rivals that run in rotation: A B C, B C A, C A B.

    Thus load affects all rivals, and no rival always follows the same one. A rival that fails is
    listed in `missing`; the others continue. `log` receives progress. `start` starts a rival.
    """

    def __init__(
        self,
        timeout_seconds: float = TIMEOUT_SECONDS,
        log: Callable[[str], object] = _silent,
        start: Callable[[RivalSpec, Path, Task, float], RivalProcess] = RivalProcess,
    ) -> None:
        self.missing: dict[str, str] = {}
        self._processes: list[RivalProcess] = []
        self._timeout_seconds = timeout_seconds
        self._log, self._start = log, start

    def add(self, spec: RivalSpec, python: Path, task: Task) -> None:
        started = time.monotonic()
        with self._recording_failure(spec.name):
            self._processes.append(self._start(spec, python, task, self._timeout_seconds))
            self._log(f"{spec.name}: ready after {time.monotonic() - started:.0f} s")

    def run(self, rounds: int, until: float = math.inf) -> list[RivalResult]:
        """Run all rounds and return the results of rivals that finished.

        No round but the first begins if it could end after `until` (time.monotonic()), with the
        runs that measure memory.
        """
        longest = 0.0
        for number in range(rounds):
            started = time.monotonic()
            if number and started + 2 * longest > until:
                self._log(f"no time for round {number + 1} of {rounds}")
                break
            self._each(lambda rival: rival.run_round(), first=number)
            longest = max(longest, time.monotonic() - started)
            self._log(f"round {number + 1} of {rounds}: {time.monotonic() - started:.0f} s")
        self._each(lambda rival: rival.measure_memory())
        return [rival.result for rival in self._processes]

    def close(self) -> None:
        for rival in self._processes:
            rival.close()

    def _each(self, act: Callable[[RivalProcess], None], first: int = 0) -> None:
        first %= len(self._processes) or 1
        for rival in [*self._processes[first:], *self._processes[:first]]:
            with self._recording_failure(rival.result.name):
                act(rival)
            if rival.result.name in self.missing:
                self._processes.remove(rival)
                rival.close()

    @contextlib.contextmanager
    def _recording_failure(self, name: str) -> Iterator[None]:
        try:
            yield
        except (RivalUnavailableError, OSError) as error:
            self.missing[name] = str(error)
            self._log(f"{name}: missing: {error}")


def _least_amount(task: Task) -> Amount:
    """Return what a run must deliver. A loader of whole batches may drop the last."""
    if task.subject in ("train", "eval", "pixels"):
        num_samples = len(task) // task.batch * task.batch
        return Amount(num_samples, num_samples * task.size**2 * 3)
    if task.subject == "open":
        return Amount(task.batch, task.batch * SMALL_BYTES)
    # For "decode" too: pixels take more bytes than the JPEG.
    return Amount(len(task), sum(os.path.getsize(path) for path in task.paths))


def _own_memory(pid: int) -> float:
    """Return private memory of a process and its descendants in MB, shared pages divided."""
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
            continue  # the process ended meanwhile
    return total / 1024


def _cpu_seconds(pid: int) -> float:
    """Return the processor time of a process, and of its children that have ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0  # the process ended; its parent has its time
    fields = text.rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


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
