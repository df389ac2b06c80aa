"""The client of object stores, obstore, for this process.

The client has threads and a runtime of its own, for the whole process. A forked child has neither:
there a call of the client never returns, also with a store that the child makes. So a child whose
parent has loaded the client loads it again, from a copy of its files: 4 ms.

Sources: https://docs.rs/tokio (a runtime does not survive a fork), and a trial with obstore 0.12.
"""

import importlib
import os
import shutil
import sys
import tempfile
import threading
import time
from types import ModuleType
from typing import Any

from fastpack.errors import MissingPackageError

# At the end of the process: at least 10 ms, at most 1 s.
_SETTLE_SECONDS = 0.002
_QUIET_STEPS, _SETTLE_STEPS = 5, 500

# The process that loaded the client, and its module.
_loaded: dict[int, ModuleType] = {}
_loading = threading.Lock()
os.register_at_fork(after_in_child=_loading._at_fork_reinit)  # type: ignore[attr-defined]


def client() -> Any:
    """Return the module `obstore` for this process. Raises MissingPackageError."""
    process = os.getpid()
    if process not in _loaded:
        with _loading:  # by one thread: a copy takes the place of other modules for a moment
            if process not in _loaded:
                is_forked = bool(_loaded) or _is_used_before()
                _loaded[process] = _copy() if is_forked else _original()
    return _loaded[process]


# The process that imported this module: a child that is forked later finds another number.
_importer = os.getpid()


def _is_used_before() -> bool:
    """Return True if a parent may have used the client on its own."""
    return _importer != os.getpid() and "obstore" in sys.modules


def settle() -> None:
    """Wait until the client's threads have left Python, before Python ends.

    A thread of the client takes the GIL to hand over a result. If Python ends meanwhile, the thread
    is unwound and the process aborts. Of processes that ended right after a request, 1 in 6 did.
    """
    ours = {thread.ident for thread in threading.enumerate()}
    for quiet in range(_SETTLE_STEPS):
        time.sleep(_SETTLE_SECONDS)  # without the GIL
        if quiet >= _QUIET_STEPS and not sys._current_frames().keys() - ours:
            return


def _original() -> ModuleType:
    try:
        module = importlib.import_module("obstore")
        importlib.import_module("obstore.store")
    except ImportError as error:
        message = "object stores need the package obstore; run `pip install fastpack-io[cloud]`"
        raise MissingPackageError(message) from error
    return module


def _copy() -> ModuleType:
    """Load the client from a copy: the OS loads a library of the same file only once."""
    original = _original()
    modules = {name: module for name, module in sys.modules.items() if _is_of_client(name)}
    folder = tempfile.mkdtemp(prefix="fastpack-client-")
    try:
        shutil.copytree(os.path.dirname(str(original.__file__)), os.path.join(folder, "obstore"))
        for name in modules:
            del sys.modules[name]
        sys.path.insert(0, folder)
        try:
            importlib.invalidate_caches()
            return _original()
        finally:
            sys.path.remove(folder)
            for name in [name for name in sys.modules if _is_of_client(name)]:
                del sys.modules[name]
            sys.modules.update(modules)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_of_client(name: str) -> bool:
    return name == "obstore" or name.startswith("obstore.")
