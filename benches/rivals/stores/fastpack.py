"""fastpack: standard files in a store, read by plan.

A variant is FORMAT/MODE. "block" reads and shuffles whole blocks of 8 MiB, without a cache. "none"
shuffles the whole set, without a cache: most images are a request of their own.
"""

from pathlib import Path

import fastpack
from benches.internals import ImageFiles
from benches.rivals.protocol import Task, Workload, count_pixels, serve
from benches.rivals.stores.sets import local_copy, url_of

_NUM_SHARDS = 8
_ENDINGS = {"tfrecord": ".tfrecord", "hdf5": ".h5", "tar": ".tar"}
# 16 blocks are 128 MiB of a set of 1 GB: the whole set must not become one window.
_BLOCKS = {"block": "8MiB", "window": 16}


def write_shards(task: Task, folder: str, form: str) -> None:
    options = fastpack.PackOptions(sync=False, shards=_NUM_SHARDS)
    path = Path(folder) / f"train{_ENDINGS[form]}"
    fastpack.pack(ImageFiles(task.paths, task.labels), path, options)


def train(task: Task) -> Workload:
    form, mode = task.variant.split("/")

    def write(folder: str) -> None:
        write_shards(task, folder, form)

    name = f"train-*{_ENDINGS[form]}"
    if mode == "local":
        return _epochs(task, f"{local_copy(task, form, write)}/{name}")
    url = f"{url_of(task, form, write)}/{name}"
    if mode in ("cold", "warm"):
        return _epochs(task, url, cache=task.fresh_folder("cache"))
    if mode == "block":
        return _epochs(task, url, shuffle=fastpack.Shuffle(0, **_BLOCKS))
    return _epochs(task, url)


def _epochs(
    task: Task, path: str, *, cache: str | None = None, shuffle: fastpack.Shuffle | bool = True
) -> Workload:
    steps = (fastpack.RandomResizedCrop(task.size), fastpack.HorizontalFlip())
    options = {} if cache is None else {"cache": cache, "cache_size": "10GB"}
    reader = fastpack.open(path, transform=steps, orient=False, **options)
    loader = fastpack.Loader(
        reader, batch_size=task.batch, shuffle=shuffle, num_workers=task.num_threads
    )
    return Workload(lambda: count_pixels((batch["image"] for batch in loader), task.size))


if __name__ == "__main__":
    serve(fastpack.__version__, {"train": train})
