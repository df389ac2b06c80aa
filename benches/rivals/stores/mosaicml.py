"""MosaicML Streaming: MDS shards in a store, with its local folder."""

from importlib.metadata import version
from typing import Any

from benches.rivals.mosaicml import Photos, write
from benches.rivals.protocol import Task, Workload, serve
from benches.rivals.stores.sets import local_copy, url_of
from benches.rivals.torch_loading import epochs, loader_of


def _epochs(task: Task, **folders: Any) -> Workload:
    return epochs(loader_of(Photos(task, **folders), task), task)


def train(task: Task) -> Workload:
    def shards(folder: str) -> None:
        write(task, folder)

    if task.variant == "local":
        return _epochs(task, folder=str(local_copy(task, "mds", shards)))
    url = url_of(task, "mds", shards)
    return _epochs(task, folder=task.fresh_folder("cache"), remote=url)


if __name__ == "__main__":
    serve(version("mosaicml-streaming"), {"train": train})
