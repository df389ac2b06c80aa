"""The child process of sandbox.py: indexes one file under limits."""

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


class PackageFinder:
    """An import hook that finds each package of `folders` (name -> folder) in its folder only."""

    def __init__(self, folders: dict[str, str]) -> None:
        self._folders = folders

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the spec of a package; None for other names."""
        return PathFinder.find_spec(name, [self._folders[name]]) if name in self._folders else None


def main(folder: Path) -> int:
    """Follow the orders of `folder`; return the exit status."""
    orders = json.loads((folder / "orders.json").read_bytes())
    die_with(orders["parent"])
    sys.meta_path.insert(0, PackageFinder(orders["packages"]))
    from fastpack.core.limits import Limits
    from fastpack.errors import FastpackError
    from fastpack.formats.hdf5.container import HDF5
    from fastpack.formats.index.index_file import save_index
    from fastpack.formats.index_options import IndexOptions

    limits, options = Limits(**orders["limits"]), IndexOptions(**orders["options"])
    restrain(limits.max_index_bytes, limits.max_index_seconds)
    try:
        index = HDF5.index(Path(orders["path"]), limits=limits, options=options)
        save_index(index, folder / "index")
    except FastpackError as error:
        arguments = [each for each in error.args if each is None or isinstance(each, (str, int))]
        sys.stdout.write(json.dumps({"error": type(error).__name__, "arguments": arguments}))
        return 1
    return 0


def die_with(parent: int) -> None:
    """End this process when its parent ends, even if a signal kills the parent.

    On Linux the kernel does so. Elsewhere a thread waits for the end of the standard input, which
    only the parent has open.
    """
    try:
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    except (ImportError, AttributeError, OSError):
        threading.Thread(target=_wait_for_the_end, daemon=True).start()
    if os.getppid() != parent:  # it has already ended
        os._exit(1)


def _wait_for_the_end() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def restrain(num_bytes: int, num_seconds: int) -> None:
    """Limit memory, CPU time, and core files of this process.

    Memory that is already in use does not count: a sanitizer reserves terabytes of addresses, and
    OpenBLAS a few megabytes for each core.
    """
    limits = {
        resource.RLIMIT_AS: address_space() + num_bytes,
        resource.RLIMIT_CPU: num_seconds,
        resource.RLIMIT_CORE: 0,
    }
    for kind, limit in limits.items():
        _, hard = resource.getrlimit(kind)
        soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (soft, hard))


def address_space() -> int:
    """Return the bytes of address space of this process; 0 if the OS does not report them."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
