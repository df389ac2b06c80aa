"""Hugging Face datasets: a memory-mapped Arrow file of binary values, rows by number."""

import random
from importlib.metadata import version
from typing import Any

import datasets

from benches.rivals.protocol import Amount, Task, Workload, count_bytes, reading, serve

_FEATURES = datasets.Features(
    {"image": datasets.Value("large_binary"), "label": datasets.Value("int64")}
)


def rows(task: Task) -> Any:
    for image, label in task.samples():
        yield {"image": image, "label": label}


def saved(task: Task) -> str:
    folder = task.fresh_folder("arrow")
    cache = task.fresh_folder("cache")
    made = datasets.Dataset.from_generator(
        rows, features=_FEATURES, cache_dir=cache, gen_kwargs={"task": task}
    )
    made.save_to_disk(folder)
    return folder


def records(task: Task) -> Workload:
    dataset = datasets.load_from_disk(saved(task))
    return reading(task, lambda batch: dataset[batch]["image"])


def first_batch(task: Task) -> Workload:
    folder = saved(task)

    def run() -> Amount:
        dataset = datasets.load_from_disk(folder)
        return count_bytes([dataset[random.sample(range(len(task)), task.batch)]["image"]])

    return Workload(run)


if __name__ == "__main__":
    datasets.disable_progress_bars()
    serve(version("datasets"), {"records": records, "open": first_batch})
