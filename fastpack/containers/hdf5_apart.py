"""Indexing an HDF5 file in a process of its own: HDF5's library can crash, hang or take all memory on a file that was made to do
harm, and then only that process is lost. Runs as `python -m fastpack.containers.hdf5_apart`, with its orders as JSON on
the standard input; ends well with an index in a file, or says as JSON which error it met."""

import json
import resource
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from fastpack import errors
from fastpack.containers import Choice
from fastpack.errors import FastpackError, FormatError, LimitError, Place, at
from fastpack.index import Index
from fastpack.limits import Limits


def index_apart(path: Path, choice: Choice, limits: Limits) -> Index:
    """The index of one file, built by a child that may use max_index_bytes of memory and max_index_seconds.

    Raises what indexing raises; FormatError when the child dies, LimitError when it takes too long.
    """
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "index.npz"
        orders = {"path": str(path.absolute()), "saved": str(saved), "limits": asdict(limits), "choice": asdict(choice)}
        child = [sys.executable, "-m", __name__]
        try:
            ended = subprocess.run(child, input=json.dumps(orders).encode(), capture_output=True, timeout=limits.max_index_seconds)
        except subprocess.TimeoutExpired as error:
            raise _slow(path, limits) from error
        if ended.returncode != 0:
            raise _failure(ended, path, limits)
        return Index.load(saved, path.parent)


def _slow(path: Path, limits: Limits) -> LimitError:
    return LimitError(
        at(f"indexing takes longer than {limits.max_index_seconds} s; raise max_index_seconds if the file is real", Place(path))
    )


def _failure(ended: "subprocess.CompletedProcess[bytes]", path: Path, limits: Limits) -> FastpackError:
    try:
        told = json.loads(ended.stdout)
        kind = getattr(errors, told["error"])
        return kind(*told["arguments"]) if issubclass(kind, FastpackError) else FormatError(told["arguments"][-1])
    except (ValueError, KeyError, AttributeError, TypeError):
        if ended.returncode == -signal.SIGXCPU:
            return _slow(path, limits)
        how = signal.strsignal(-ended.returncode) if ended.returncode < 0 else f"exit status {ended.returncode}"
        return FormatError(at(f"HDF5's library broke down on the file ({how}); restore it from its source", Place(path)))


def _main() -> int:
    orders = json.loads(sys.stdin.buffer.read())
    limits, choice = Limits(**orders["limits"]), Choice(**orders["choice"])
    _restrain(limits)
    from fastpack.containers.hdf5 import HDF5

    try:
        index = HDF5.index(Path(orders["path"]), limits=limits, choice=choice)
        index.save(Path(orders["saved"]))
    except FastpackError as error:
        arguments = [argument for argument in error.args if isinstance(argument, (str, int)) or argument is None]
        sys.stdout.write(json.dumps({"error": type(error).__name__, "arguments": arguments}))
        return 1
    return 0


def _restrain(limits: Limits) -> None:
    bounds = {
        resource.RLIMIT_AS: limits.max_index_bytes,
        resource.RLIMIT_CPU: limits.max_index_seconds,
        resource.RLIMIT_CORE: 0,
    }
    for what, most in bounds.items():
        _, hard = resource.getrlimit(what)
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


if __name__ == "__main__":
    sys.exit(_main())
