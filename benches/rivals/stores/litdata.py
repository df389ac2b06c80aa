"""LitData: chunks in a store, with its cache folder.

Of a chunk that two workers share, each worker reads the whole file for each sample. In a small set
such chunks would be many, so chunks have 16 MB instead of the usual 64 MB.

Its fast client, obstore, refuses http:// unless it is allowed, and LitData has no option for that.
"""

from importlib.metadata import version

import litdata
from litdata.streaming import downloader
from litdata.streaming.cache import Dir

from benches.rivals.litdata import Photos, write
from benches.rivals.protocol import Task, Workload, serve
from benches.rivals.stores.sets import local_copy, url_of
from benches.rivals.torch_loading import epochs, workers

downloader._OBSTORE_CLIENT_OPTIONS["allow_http"] = True


def _loader(task: Task, source: str | Dir) -> litdata.StreamingDataLoader:
    photos = Photos(source, task.size)
    options = {"batch_size": task.batch, "drop_last": False, **workers(task)}
    return litdata.StreamingDataLoader(photos, **options)


def train(task: Task) -> Workload:
    def chunks(folder: str) -> None:
        write(task, folder, chunk_bytes="16MB")

    if task.variant == "local":
        return epochs(_loader(task, str(local_copy(task, "litdata", chunks))), task)
    url = url_of(task, "litdata", chunks)
    return epochs(_loader(task, Dir(path=task.fresh_folder("cache"), url=url)), task)


if __name__ == "__main__":
    serve(version("litdata"), {"train": train})
