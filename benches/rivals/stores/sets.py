"""Sets of the benchmark in the store: written once, by the first rival that needs them.

    python -m benches.rivals.stores.sets FOLDER NAME

uploads a folder. It runs in a process of its own, since LitData does not use its fast client in
workers whose parent has used it too.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benches.rivals.protocol import Task

# The root of the store, and a folder for copies of its sets on a local disk.
STORE_VARIABLE, COPIES_VARIABLE = "FASTPACK_BENCH_STORE", "FASTPACK_BENCH_COPIES"
_UPLOADS = 8  # at once


def url_of(task: Task, name: str, write: Callable[[str], object]) -> str:
    """Return the URL of a set. `write` makes its files in a folder, if it is not there yet."""
    folder = local_copy(task, name, write)
    marker = folder.with_suffix(".uploaded")
    if not marker.exists():
        module = [sys.executable, "-m", "benches.rivals.stores.sets"]
        subprocess.run([*module, str(folder), folder.name], check=True)
        marker.touch()
    return f"{os.environ[STORE_VARIABLE]}/{folder.name}"


def local_copy(task: Task, name: str, write: Callable[[str], object]) -> Path:
    """Return a folder on a local disk with the files of a set."""
    folder = Path(os.environ[COPIES_VARIABLE]) / f"{name}-{len(task)}"
    if not folder.exists():
        begun = folder.with_suffix(".begun")
        shutil.rmtree(begun, ignore_errors=True)
        begun.mkdir(parents=True)
        write(str(begun))
        begun.rename(folder)
    return folder


def _upload(folder: Path, name: str) -> None:
    import obstore

    store = obstore.store.from_url(os.environ[STORE_VARIABLE])

    def put(path: Path) -> None:
        obstore.put(store, f"{name}/{path.relative_to(folder)}", path)

    with ThreadPoolExecutor(_UPLOADS) as pool:
        list(pool.map(put, (path for path in sorted(folder.rglob("*")) if path.is_file())))


if __name__ == "__main__":
    _upload(Path(sys.argv[1]), sys.argv[2])
