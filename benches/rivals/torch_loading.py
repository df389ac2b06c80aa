"""torch's DataLoader, tuned as its documentation recommends."""

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from benches.rivals.opencv_crops import alone, random_crop
from benches.rivals.protocol import Task, Workload, count_pixels


def cropped(jpeg: bytes, size: int) -> torch.Tensor:
    return torch.from_numpy(random_crop(jpeg, size))


def workers(task: Task) -> dict[str, Any]:
    """Return options for persistent workers; tensors arrive through shared memory."""
    return {
        "num_workers": task.num_threads,
        "persistent_workers": True,
        "worker_init_fn": prepare_worker,
    }


def prepare_worker(_: int) -> None:
    torch.set_num_threads(1)
    alone()


def loader_of(dataset: Dataset[Any], task: Task, **options: Any) -> DataLoader[Any]:
    return DataLoader(dataset, batch_size=task.batch, **workers(task), **options)


def epochs(loader: Any, task: Task) -> Workload:
    """Return a workload over a loader of (images, labels)."""

    def images() -> Iterator[torch.Tensor]:
        for batch, _ in loader:
            yield batch

    return Workload(lambda: count_pixels(images(), task.size))
