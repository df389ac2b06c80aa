"""Indexing of an untrusted HDF5 file in a child process, which runs sandbox_child.py.

A hostile file can make HDF5's library crash, hang or use all memory. Then only the child is lost.
"""

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
from fastpack.formats.index.index_file import IndexFile
from fastpack.formats.index_options import IndexOptions

_CHILD = Path(__file__).with_name("sandbox_child.py")
_PACKAGE = Path(errors.__file__).parent


def index_apart(path: Path, options: IndexOptions, limits: Limits) -> Index:
    """Build the index of one file in a child with limited memory and time.

    Raises the errors of indexing. Also FormatError if the child dies, LimitError if it exceeds
    max_index_seconds, and UnreadableFileError if the OS cannot start a process.
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
    remedy = (
        "allow more processes (`ulimit -u`) and a writable temporary folder, "
        "or open a trusted file without untrusted"
    )
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
        return IndexFile.open(folder / "index", path).load()


def _packages() -> dict[str, str]:
    """The folder of each package that the child imports: those of this process."""
    files = {module.__name__: Path(module.__file__ or "") for module in (h5py, np)}
    folders = {name: str(file.absolute().parents[1]) for name, file in files.items()}
    return folders | {"fastpack": str(_PACKAGE.absolute().parent), "hdf5plugin": folders["h5py"]}


def _run(folder: Path, seconds: float) -> "subprocess.CompletedProcess[bytes]":
    """Run the child in an empty folder: the dynamic linker may search the current one."""
    command = [sys.executable, "-I", "-S", str(_CHILD.absolute()), str(folder)]
    with _lifeline() as stdin:
        return subprocess.run(
            command, stdin=stdin, capture_output=True, timeout=seconds, cwd=folder
        )


@contextlib.contextmanager
def _lifeline() -> Iterator[int]:
    """A pipe that ends with this process."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)


def _slow(path: Path, limits: Limits) -> LimitError:
    message = (
        f"indexing takes longer than {limits.max_index_seconds} s; "
        "raise max_index_seconds if the file is real"
    )
    return LimitError(with_location(message, Location(path)))


def _failure(
    ended: "subprocess.CompletedProcess[bytes]", path: Path, limits: Limits
) -> FastpackError:
    """The error that the child reports, or how it died."""
    try:
        report = json.loads(ended.stdout)
        kind, arguments = getattr(errors, report["error"]), report["arguments"]
        return kind(*arguments) if issubclass(kind, FastpackError) else FormatError(arguments[-1])
    except (ValueError, KeyError, AttributeError, TypeError):
        if ended.returncode == -signal.SIGXCPU:
            return _slow(path, limits)
        how = f"exit status {ended.returncode}"
        if ended.returncode < 0:
            how = signal.strsignal(-ended.returncode) or how
        message = f"HDF5's library crashed on the file ({how}); restore it from its source"
        return FormatError(with_location(message, Location(path)))
