"""The child of sandbox.py: indexes one file under limits."""

import json
import os
import resource
import signal
import sys
import threading
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1


class Places:
    """Finds the packages of `folders` (name -> folder), each in its own folder and nowhere else."""

    def __init__(self, folders: dict[str, str]) -> None:
        self._folders = folders

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [self._folders[name]]) if name in self._folders else None


def main(folder: Path) -> int:
    orders = json.loads((folder / "orders.json").read_bytes())
    die_with(orders["parent"])
    sys.meta_path.insert(0, Places(orders["packages"]))
    from fastpack.core.limits import Limits
    from fastpack.errors import FastpackError
    from fastpack.formats.hdf5.container import HDF5
    from fastpack.formats.index_options import IndexOptions

    limits, options = Limits(**orders["limits"]), IndexOptions(**orders["options"])
    restrain(limits.max_index_bytes, limits.max_index_seconds)
    try:
        HDF5.index(Path(orders["path"]), limits=limits, options=options).save(folder / "index.npz")
    except FastpackError as error:
        arguments = [
            argument
            for argument in error.args
            if isinstance(argument, (str, int)) or argument is None
        ]
        sys.stdout.write(json.dumps({"error": type(error).__name__, "arguments": arguments}))
        return 1
    return 0


def die_with(parent: int) -> None:
    """Ends this process when its parent ends, even if a signal kills that. On Linux the kernel does so; elsewhere a thread
    waits for the end of the standard input, which only the parent holds open."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    except (ImportError, AttributeError, OSError):
        threading.Thread(target=_wait_for_the_end, daemon=True).start()
    if os.getppid() != parent:  # it ended before
        os._exit(1)


def _wait_for_the_end() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def restrain(num_bytes: int, num_seconds: int) -> None:
    """Bounds memory, time of the processor, and core files. What Python and the libraries have taken before does not
    count: a sanitizer reserves terabytes of addresses, and OpenBLAS some megabytes for each core."""
    bounds = {
        resource.RLIMIT_AS: address_space() + num_bytes,
        resource.RLIMIT_CPU: num_seconds,
        resource.RLIMIT_CORE: 0,
    }
    for what, most in bounds.items():
        _, hard = resource.getrlimit(what)
        resource.setrlimit(
            what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard)
        )


def address_space() -> int:
    """Bytes of addresses that this process has, 0 if the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
