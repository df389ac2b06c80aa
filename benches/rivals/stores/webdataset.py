"""WebDataset: tar shards in a store, through `pipe:aws s3 cp` or through fsspec.

It has no handler for s3:// of its own; its documentation names both of these ways.
"""

from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import fsspec

from benches.rivals.protocol import Task, Workload, serve
from benches.rivals.stores.sets import local_copy, url_of
from benches.rivals.webdataset import SHARDS_A_WORKER, crops, write


def _opened(url: str, mode: str = "rb", bufsize: int = 0) -> Any:
    return fsspec.open(url, mode).open()


import_module("webdataset.gopen").gopen_schemes["s3"] = _opened


def train(task: Task) -> Workload:
    def shards(folder: str) -> None:
        write(task, folder, task.num_threads * SHARDS_A_WORKER)

    folder = local_copy(task, "webdataset", shards)
    names = sorted(path.name for path in Path(folder).glob("*.tar"))
    if task.variant == "local":
        return crops(task, [f"{folder}/{name}" for name in names])
    url = url_of(task, "webdataset", shards)
    if task.variant == "pipe":
        return crops(task, [f"pipe:aws s3 cp {url}/{name} -" for name in names])
    return crops(task, [f"{url}/{name}" for name in names])


if __name__ == "__main__":
    serve(version("webdataset"), {"train": train})
