"""Walks through the system calls of a pack and lets one call fail each time.

At a call that opens, writes, syncs, renames or removes a file, the pack is killed or the call
fails. Then the walk checks the files on the disk, and resumes the pack.

    python tests/faults/walk.py FOLDER [--photos DIR] [--altering] [--formats tfrecord hdf5]
        [--faults kill tear EIO ...] [--to nothing old appended] [--virtual] [--last N] [--random N]

Runs itself again with the shim preloaded. Prints a line for each format and fault. The exit status
is 1 if there is any problem.
"""

import argparse
import ctypes
import errno
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

KILL, SHORT, TEAR = -1, -2, -3
FAULTS = {"kill": KILL, "tear": TEAR, "short": SHORT} | {
    name: getattr(errno, name) for name in ("EIO", "ENOSPC", "EMFILE", "EINTR")
}
SUFFIXES = {"tfrecord": ".tfrecord", "hdf5": ".h5"}
# The sizes of what is written are not those that were planned.
ALTERING = {"jpeg": "fast", "metadata": "strip", "on_error": "skip"}
# How a child ends.
DONE, REFUSED, EXISTS, STRANGE = 0, 3, 4, 5


def _shards_and_indexes(names: Iterable[str]) -> list[str]:
    """A pack that is stopped after its files have their names leaves the manifest to `open`."""
    return sorted(name for name in names if not name.endswith(".manifest"))


class Walk:
    """Packs of one source to one name, each in a child, with one fault at most.

    - options: of PackOptions.
    - to: the output before the pack: "nothing"; an "old" set of more files that is overwritten; or
      a set that is "appended" to.
    """

    def __init__(
        self,
        shim: ctypes.CDLL,
        source: Path,
        output: Path,
        options: Mapping[str, Any],
        to: str = "nothing",
    ) -> None:
        self._shim, self._source, self._folder, self._output, self._options = (
            shim,
            source,
            output.parent,
            output,
            options,
        )
        self._how: dict[str, bool] = {"old": {"overwrite": True}, "appended": {"append": True}}.get(
            to, {}
        )
        self.problems: list[str] = []
        self._before: dict[str, bytes] = {}
        if to != "nothing":
            self._before = self._undisturbed(
                {"shards": 3 if to == "old" else 1, "include": ["class-0/*"]}, {}
            )
        size_before = self._num_samples() if self._before else 0
        self._expected = self._undisturbed({}, self._how)
        self._size = self._num_samples()
        self._sizes = {size_before, self._size}

    def _undisturbed(self, options: Mapping[str, Any], how: Mapping[str, bool]) -> dict[str, bytes]:
        """The files after a pack that meets no fault."""
        self._empty()
        status, message = self._pack(options=options, how=how)
        if status != DONE:
            raise SystemExit(f"the pack fails without any fault: {message}")
        return {path.name: path.read_bytes() for path in self._folder.iterdir()}

    def _empty(self) -> None:
        """Restores the folder to its state before the pack."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        for name, data in self._before.items():
            (self._folder / name).write_bytes(data)

    def _num_samples(self) -> int | str:
        """How many samples a reader finds in the folder, or the error that it meets."""
        status, message = self._in_child(self._counts)
        return int(message) if status == DONE else message

    def _counts(self) -> str:
        import fastpack

        dataset = fastpack.open(self._folder, save_index=False)
        if any(dataset.read([row]).failures for row in range(len(dataset))):
            raise AssertionError("a sample cannot be read")
        return str(len(dataset))

    def _found(self) -> dict[str, bytes]:
        """Name -> bytes of everything in the folder."""
        return {
            path.name: b"" if path.is_dir() else path.read_bytes()
            for path in self._folder.iterdir()
        }

    def _pack(
        self,
        call: int = 0,
        fault: int = 0,
        *,
        options: Mapping[str, Any] = MappingProxyType({}),
        how: Mapping[str, bool] | None = None,
        until: float | None = None,
    ) -> tuple[int, str]:
        """(how the child ended, what it said); a negative number is the signal that ended it."""
        chosen = {"shards": 2, **self._options, **options}
        return self._in_child(
            lambda: self._packs(call, fault, chosen, self._how if how is None else how), until
        )

    def _in_child(self, work: Callable[[], str], until: float | None = None) -> tuple[int, str]:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            os._exit(_ended(work, writing))
        os.close(writing)
        if until is not None:
            time.sleep(until)
            os.kill(child, signal.SIGKILL)
        with os.fdopen(reading, errors="replace") as pipe:
            message = pipe.read()
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), message

    def _packs(
        self, call: int, fault: int, options: Mapping[str, Any], how: Mapping[str, bool]
    ) -> str:
        import fastpack

        self._shim.fault_arm(os.fsencode(self._folder), call, fault)
        try:
            fastpack.pack(self._source, self._output, fastpack.PackOptions(**options), **how)
            return str(self._shim.fault_count())
        finally:
            self._shim.fault_arm(b"", 0, 0)

    def num_calls(self) -> int:
        self._empty()
        return int(self._pack()[1])

    def at_call(self, call: int, fault: int) -> None:
        self._empty()
        self._check(f"call {call}", fault, *self._pack(call, fault))

    def at_time(self, seconds: float) -> None:
        self._empty()
        self._check(f"after {seconds:.4f} s", KILL, *self._pack(until=seconds))

    def _check(self, where: str, fault: int, status: int, message: str) -> None:
        self._check_end(where, fault, status, message)
        self._check_files(where)
        if isinstance(size := self._num_samples(), int) and size not in self._sizes:
            self.problems.append(f"{where}: a reader finds {size} samples")
        status, message = self._pack(how={**self._how, "resume": True})
        if status not in (DONE, EXISTS):
            self.problems.append(f"{where}: resuming failed: {message}")
        self._check_files(where)
        if (found := _shards_and_indexes(self._found())) != _shards_and_indexes(self._expected):
            self.problems.append(f"{where}: after resuming there are {found}")
        if (size := self._num_samples()) != self._size:
            self.problems.append(f"{where}: after resuming a reader finds {size} samples")

    def _check_files(self, where: str) -> None:
        """Indexes and manifests hold times, so a reader says whether they fit."""
        for name, data in self._found().items():
            if (
                not name.startswith(".")
                and not name.endswith((".fpindex", ".manifest"))
                and data not in (self._expected.get(name), self._before.get(name))
            ):
                self.problems.append(
                    f"{where}: {name} stands under its final name and is not whole"
                )

    def _check_end(self, where: str, fault: int, status: int, message: str) -> None:
        """A child that was not killed either succeeds or says which path failed and how."""
        if status in (-signal.SIGKILL, DONE):
            return
        names_both = (
            str(self._folder) in message and os.strerror(fault) in message if fault > 0 else False
        )
        if status != REFUSED or not names_both:
            self.problems.append(f"{where}: ended with {status}: {message}")


def _ended(work: Callable[[], str], writing: int) -> int:
    """Does a child's work and reports the result through the pipe. Returns the exit status."""
    from fastpack.errors import FastpackError, OutputExistsError

    try:
        status, message = DONE, work()
    except OutputExistsError as error:
        status, message = EXISTS, str(error)
    except FastpackError as error:
        status, message = REFUSED, str(error)
    except BaseException as error:
        status, message = STRANGE, f"{type(error).__name__}: {error}"
    os.write(writing, message.encode())
    return status


def walk(
    walks: Walk, faults: Iterable[str], calls: slice, num_random: int, report: Callable[[str], None]
) -> None:
    """`calls`: which of the numbered calls."""
    num_calls = walks.num_calls()
    for name in faults:
        before = len(walks.problems)
        chosen = range(1, num_calls + 1)[calls]
        for call in chosen:
            walks.at_call(call, FAULTS[name])
        report(
            f"{name} at {len(chosen)} of {num_calls} calls: {len(walks.problems) - before} problems"
        )
    started = time.perf_counter()
    walks.num_calls()
    whole = time.perf_counter() - started
    before = len(walks.problems)
    for number in range(num_random):
        walks.at_time(random.Random(number).uniform(0, whole))
    if num_random:
        report(
            f"killed at {num_random} random times within {whole:.2f} s: "
            f"{len(walks.problems) - before} problems"
        )


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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where to pack, for as long as this runs")
    parser.add_argument("--photos", type=Path, help="images to pack (default: a few that are made)")
    parser.add_argument(
        "--altering",
        action="store_true",
        help="alter the images while packing, and leave a bad one out",
    )
    parser.add_argument(
        "--to",
        nargs="+",
        choices=["nothing", "old", "appended"],
        default=["nothing"],
        help="what is there before",
    )
    parser.add_argument(
        "--virtual", action="store_true", help="pack pixels, and a virtual dataset (HDF5)"
    )
    parser.add_argument(
        "--last", type=int, metavar="N", help="only at the last N calls: those that publish"
    )
    parser.add_argument("--formats", nargs="+", choices=SUFFIXES, default=list(SUFFIXES))
    parser.add_argument("--faults", nargs="*", choices=FAULTS, default=list(FAULTS))
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="stop at each Nth call only"
    )
    parser.add_argument("--random", type=int, default=0, metavar="N", help="kills at random times")
    arguments = parser.parse_args()
    if "fault_arm" not in os.environ.get("FASTPACK_FAULTS", ""):
        with tempfile.TemporaryDirectory() as folder:
            environment = os.environ | {
                "LD_PRELOAD": str(built_shim(Path(folder))),
                "FASTPACK_FAULTS": "fault_arm",
            }
            return subprocess.run(
                [sys.executable, __file__, *sys.argv[1:]], check=False, env=environment
            ).returncode

    # All that a pack imports, here once instead of in each child.
    import concurrent.futures.thread  # noqa: F401

    import fastpack.files.table_file
    import fastpack.formats.hdf5.container
    import fastpack.formats.tar.container
    import fastpack.formats.tfrecord.container
    import fastpack.packing.pack
    import fastpack.reading.reader

    warnings.simplefilter(
        "ignore", fastpack.errors.FastpackWarning
    )  # appending says which classes are new
    shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
    num_problems = 0
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        source = arguments.photos or made_photos(folder / "photos", 12)
        if arguments.altering and arguments.photos is None:
            (source / "class-1" / "bad.jpg").write_bytes(b"<html>")
        options = (
            ALTERING
            if arguments.altering
            else {"size": 8, "virtual": True}
            if arguments.virtual
            else {}
        )
        calls = slice(-arguments.last if arguments.last else None, None, arguments.every)
        for format, to in itertools.product(arguments.formats, arguments.to):
            walks = Walk(shim, source, folder / "packed" / f"set{SUFFIXES[format]}", options, to)
            name = f"{format} to {to}"
            walk(
                walks,
                arguments.faults,
                calls,
                arguments.random,
                lambda line, name=name: print(f"{name}: {line}", flush=True),
            )
            for problem in walks.problems[:20]:
                print(f"  {problem}")
            num_problems += len(walks.problems)
    return 1 if num_problems else 0


if __name__ == "__main__":
    sys.exit(main())
