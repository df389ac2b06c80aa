"""LitData: chunks of `optimize`, read by StreamingDataset and StreamingDataLoader."""

import os
from importlib.metadata import version
from typing import Any

import litdata
from litdata.streaming.cache import Dir

from benches.rivals.protocol import Task, Workload, count_bytes, packing, serve
from benches.rivals.torch_loading import cropped, epochs, workers


class Photos(litdata.StreamingDataset):
    def __init__(self, source: str | Dir, size: int) -> None:
        super().__init__(source, shuffle=True)
        self.size_of_crop = size

    def __getitem__(self, index: Any) -> Any:
        sample = super().__getitem__(index)
        return cropped(sample["image"], self.size_of_crop), sample["label"]


def sample_of(entry: tuple[str, int]) -> dict[str, Any]:
    path, label = entry
    with open(path, "rb") as file:
        return {"image": file.read(), "label": label}


def write(task: Task, folder: str, chunk_bytes: str = "64MB") -> None:
    os.environ["DATA_OPTIMIZER_CACHE_FOLDER"] = task.fresh_folder("cache")
    os.environ["DATA_OPTIMIZER_DATA_CACHE_FOLDER"] = task.fresh_folder("data-cache")
    inputs = list(zip(task.paths, task.labels, strict=True))
    options = {
        "chunk_bytes": chunk_bytes,
        "num_workers": task.num_threads,
        "reorder_files": False,
        "start_method": "fork",
    }
    litdata.optimize(sample_of, inputs, folder, verbose=False, mode="overwrite", **options)


def optimized(task: Task) -> str:
    folder = task.fresh_folder("chunks")
    write(task, folder)
    return folder


def train(task: Task) -> Workload:
    photos = Photos(optimized(task), task.size)
    return epochs(
        litdata.StreamingDataLoader(
            photos, batch_size=task.batch, drop_last=False, **workers(task)
        ),
        task,
    )


def records(task: Task) -> Workload:
    """Read in its order, in this process: workers would send each record through a pipe."""
    dataset = litdata.StreamingDataset(optimized(task), shuffle=True)
    return Workload(lambda: count_bytes([sample["image"]] for sample in dataset))


def pack(task: Task) -> Workload:
    return packing(task, lambda folder: write(task, folder))


if __name__ == "__main__":
    serve(version("litdata"), {"train": train, "records": records, "pack": pack})
