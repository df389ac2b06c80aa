"""Indexes an HDF5 file in a process of its own. HDF5's library can crash, hang or take all memory on a file that was made to
do harm; then only that process is lost. sandbox_child.py is what it runs."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import h5py
import numpy as np

from fastpack import errors
from fastpack.core.limits import Limits
from fastpack.errors import (
    FastpackError,
    FormatError,
    LimitError,
    Location,
    UnreadableFileError,
    with_location,
)
from fastpack.formats.index.index import Index
from fastpack.formats.index_options import IndexOptions

_CHILD = Path(__file__).with_name("sandbox_child.py")
_PACKAGE = Path(errors.__file__).parent


def index_apart(path: Path, options: IndexOptions, limits: Limits) -> Index:
    """Builds the index of one file in a child that may use max_index_bytes of memory and max_index_seconds.

    Raises what indexing raises; FormatError when the child dies, LimitError when it takes too long, UnreadableFileError when
    the system starts no process.
    """
    try:
        return _index_apart(path, options, limits)
    except OSError as error:
        if isinstance(error, FastpackError):
            raise
        raise _refused(error, path) from error


def _refused(error: OSError, path: Path) -> UnreadableFileError:
    reason = error.strerror or str(error)
    message = f"cannot start the process that indexes an untrusted HDF5 file: {reason}"
    remedy = "allow more processes (`ulimit -u`) and a writable temporary folder, or open a file that you trust without untrusted"
    return UnreadableFileError(error.errno, with_location(f"{message}; {remedy}", Location(path)))


def _index_apart(path: Path, options: IndexOptions, limits: Limits) -> Index:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        orders = {
            "path": str(path.absolute()),
            "limits": asdict(limits),
            "options": asdict(options),
            "parent": os.getpid(),
            "packages": _packages(),
        }
        (folder / "orders.json").write_text(json.dumps(orders))
        try:
            ended = _run(folder, limits.max_index_seconds)
        except subprocess.TimeoutExpired as error:
            raise _slow(path, limits) from error
        if ended.returncode != 0:
            raise _failure(ended, path, limits)
        return Index.load(folder / "index.npz", path.parent)


def _packages() -> dict[str, str]:
    """The folder of each package that the child imports, as this process has imported them."""
    folders = {
        module.__name__: str(Path(module.__file__ or "").absolute().parents[1])
        for module in (h5py, np)
    }
    return folders | {"fastpack": str(_PACKAGE.absolute().parent), "hdf5plugin": folders["h5py"]}


def _run(folder: Path, seconds: float) -> "subprocess.CompletedProcess[bytes]":
    """Runs the child in our own empty folder: a path of the dynamic linker may name the current one."""
    command = [sys.executable, "-I", "-S", str(_CHILD.absolute()), str(folder)]
    with _lifeline() as stdin:
        return subprocess.run(
            command, stdin=stdin, capture_output=True, timeout=seconds, cwd=folder
        )


@contextlib.contextmanager
def _lifeline() -> Iterator[int]:
    """A pipe that ends when this process does."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)


def _slow(path: Path, limits: Limits) -> LimitError:
    return LimitError(
        with_location(
            f"indexing takes longer than {limits.max_index_seconds} s; raise max_index_seconds if the file is real",
            Location(path),
        )
    )


def _failure(
    ended: "subprocess.CompletedProcess[bytes]", path: Path, limits: Limits
) -> FastpackError:
    try:
        told = json.loads(ended.stdout)
        kind = getattr(errors, told["error"])
        return (
            kind(*told["arguments"])
            if issubclass(kind, FastpackError)
            else FormatError(told["arguments"][-1])
        )
    except (ValueError, KeyError, AttributeError, TypeError):
        if ended.returncode == -signal.SIGXCPU:
            return _slow(path, limits)
        how = (
            signal.strsignal(-ended.returncode)
            if ended.returncode < 0
            else f"exit status {ended.returncode}"
        )
        return FormatError(
            with_location(
                f"HDF5's library broke down on the file ({how}); restore it from its source",
                Location(path),
            )
        )
