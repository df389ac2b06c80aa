"""Walks through a pack: at every call that opens, writes, syncs, renames or removes something the program is killed, or
the call fails, and what then stands on the disk is looked at; then the pack is resumed.

    python tests/faults/walk.py FOLDER [--photos DIR] [--altering] [--formats tfrecord hdf5] [--faults kill tear EIO ...] [--random N]

Runs itself again with the shim preloaded. Prints a line for each format and fault, and ends with 1 when anything was found.
"""

import argparse
import ctypes
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

KILL, SHORT, TEAR = -1, -2, -3
FAULTS = {"kill": KILL, "tear": TEAR, "short": SHORT} | {name: getattr(errno, name) for name in ("EIO", "ENOSPC", "EMFILE", "EINTR")}
SUFFIXES = {"tfrecord": ".tfrecord", "hdf5": ".h5"}
# The sizes of what is written are not those that were planned.
ALTERING = {"jpeg": "fast", "metadata": "strip", "on_error": "skip"}
# How a child ends.
DONE, REFUSED, EXISTS, STRANGE = 0, 3, 4, 5


class Walk:
    """Packs of one source to one name, each in a child, with one fault at most.

    - options: of PackOptions.
    """

    def __init__(self, shim: ctypes.CDLL, source: Path, output: Path, options: Mapping[str, Any]) -> None:
        self._shim, self._source, self._folder, self._output, self._options = shim, source, output.parent, output, options
        self.problems: list[str] = []
        self._expected = self._undisturbed()

    def _undisturbed(self) -> dict[str, bytes]:
        self._empty()
        status, told = self._pack()
        if status != DONE:
            raise SystemExit(f"the pack fails without any fault: {told}")
        return self._found()

    def _empty(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()

    def _found(self) -> dict[str, bytes]:
        """Name -> bytes of everything in the folder; of an index only the name, since it holds times."""
        return {path.name: b"" if path.name.endswith(".npz") or path.is_dir() else path.read_bytes() for path in self._folder.iterdir()}

    def _pack(self, call: int = 0, fault: int = 0, *, resume: bool = False, until: float | None = None) -> tuple[int, str]:
        """(how the child ended, what it said); a negative number is the signal that ended it."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            os._exit(self._packs(call, fault, resume, writing))
        os.close(writing)
        if until is not None:
            time.sleep(until)
            os.kill(child, signal.SIGKILL)
        with os.fdopen(reading, errors="replace") as pipe:
            told = pipe.read()
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), told

    def _packs(self, call: int, fault: int, resume: bool, writing: int) -> int:
        import fastpack
        from fastpack.errors import OutputExistsError

        self._shim.fault_arm(os.fsencode(self._folder), call, fault)
        try:
            fastpack.pack(self._source, self._output, fastpack.PackOptions(shards=2, **self._options), resume=resume)
            status, told = DONE, str(self._shim.fault_count())
        except OutputExistsError as error:
            status, told = EXISTS, str(error)
        except fastpack.FastpackError as error:
            status, told = REFUSED, str(error)
        except BaseException as error:
            status, told = STRANGE, f"{type(error).__name__}: {error}"
        self._shim.fault_arm(b"", 0, 0)
        os.write(writing, told.encode())
        return status

    def num_calls(self) -> int:
        self._empty()
        return int(self._pack()[1])

    def at_call(self, call: int, fault: int) -> None:
        self._empty()
        self._check(f"call {call}", fault, *self._pack(call, fault))

    def at_time(self, seconds: float) -> None:
        self._empty()
        self._check(f"after {seconds:.4f} s", KILL, *self._pack(until=seconds))

    def _check(self, where: str, fault: int, status: int, told: str) -> None:
        self._check_end(where, fault, status, told)
        for name, data in self._found().items():
            if not name.startswith(".") and self._expected.get(name) != data:
                self.problems.append(f"{where}: {name} stands under its final name and is not whole")
        status, told = self._pack(resume=True)
        if status not in (DONE, EXISTS):
            self.problems.append(f"{where}: resuming failed: {told}")
        found = self._found()
        if found != self._expected:
            self.problems.append(f"{where}: after resuming there are {sorted(found)}, or their bytes differ")

    def _check_end(self, where: str, fault: int, status: int, told: str) -> None:
        """A child that was not killed either succeeds or says which path failed and how."""
        if status in (-signal.SIGKILL, DONE):
            return
        names_both = str(self._folder) in told and os.strerror(fault) in told if fault > 0 else False
        if status != REFUSED or not names_both:
            self.problems.append(f"{where}: ended with {status}: {told}")


def walk(walks: Walk, faults: Iterable[str], every: int, num_random: int, told: Callable[[str], None]) -> None:
    num_calls = walks.num_calls()
    for name in faults:
        before = len(walks.problems)
        for call in range(1, num_calls + 1, every):
            walks.at_call(call, FAULTS[name])
        told(f"{name} at {len(range(0, num_calls, every))} of {num_calls} calls: {len(walks.problems) - before} problems")
    started = time.perf_counter()
    walks.num_calls()
    whole = time.perf_counter() - started
    before = len(walks.problems)
    for number in range(num_random):
        walks.at_time(random.Random(number).uniform(0, whole))
    if num_random:
        told(f"killed at {num_random} random times within {whole:.2f} s: {len(walks.problems) - before} problems")


def built_shim(folder: Path) -> Path:
    shim = folder / "shim.so"
    source = Path(__file__).with_name("shim.c")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    return shim


def made_photos(folder: Path, count: int) -> Path:
    import cv2
    import numpy as np

    for i in range(count):
        path = folder / f"class-{i % 3}" / f"{i:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (24 + i % 5, 32, 3)).astype(np.uint8)
        cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_PROGRESSIVE, i % 2])
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to pack, for as long as this runs")
    parser.add_argument("--photos", type=Path, help="images to pack (default: a few that are made)")
    parser.add_argument("--altering", action="store_true", help="alter the images while packing, and leave a bad one out")
    parser.add_argument("--formats", nargs="+", choices=SUFFIXES, default=list(SUFFIXES))
    parser.add_argument("--faults", nargs="*", choices=FAULTS, default=list(FAULTS))
    parser.add_argument("--every", type=int, default=1, metavar="N", help="stop at each Nth call only")
    parser.add_argument("--random", type=int, default=0, metavar="N", help="kills at random times")
    arguments = parser.parse_args()
    if "fault_arm" not in os.environ.get("FASTPACK_FAULTS", ""):
        with tempfile.TemporaryDirectory() as folder:
            environment = os.environ | {"LD_PRELOAD": str(built_shim(Path(folder))), "FASTPACK_FAULTS": "fault_arm"}
            return subprocess.run([sys.executable, __file__, *sys.argv[1:]], check=False, env=environment).returncode

    # All that a pack imports, here once instead of in each child.
    import concurrent.futures.thread  # noqa: F401

    import fastpack.containers.hdf5
    import fastpack.containers.tar
    import fastpack.containers.tfrecord
    import fastpack.npz
    import fastpack.packing.pack  # noqa: F401

    shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
    num_problems = 0
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        source = arguments.photos or made_photos(folder / "photos", 12)
        if arguments.altering and arguments.photos is None:
            (source / "class-1" / "bad.jpg").write_bytes(b"<html>")
        for format in arguments.formats:
            walks = Walk(shim, source, folder / "packed" / f"set{SUFFIXES[format]}", ALTERING if arguments.altering else {})
            walk(
                walks,
                arguments.faults,
                arguments.every,
                arguments.random,
                lambda line, format=format: print(f"{format}: {line}", flush=True),
            )
            for problem in walks.problems[:20]:
                print(f"  {problem}")
            num_problems += len(walks.problems)
    return 1 if num_problems else 0


if __name__ == "__main__":
    sys.exit(main())
