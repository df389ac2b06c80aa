"""Amazon's S3 connector for PyTorch: an object for each image, read by workers of DataLoader."""

import os
from importlib.metadata import version
from typing import Any

import torch
from s3torchconnector import S3ClientConfig, S3MapDataset, S3ReaderConstructor

from benches.rivals.protocol import Task, Workload, serve
from benches.rivals.stores.sets import url_of
from benches.rivals.torch_loading import cropped, epochs, loader_of


class _Crops:
    """Crops an object's image. Its label is the name of its folder."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __call__(self, reader: Any) -> tuple[torch.Tensor, int]:
        return cropped(reader.read(), self._size), int(reader.key.split("/")[-2])


def train(task: Task) -> Workload:
    def write(folder: str) -> None:
        for number, (jpeg, label) in enumerate(task.samples()):
            os.makedirs(f"{folder}/{label:04d}", exist_ok=True)
            with open(f"{folder}/{label:04d}/{number:08d}.jpg", "xb") as file:
                file.write(jpeg)

    dataset = S3MapDataset.from_prefix(
        url_of(task, "objects", write) + "/",
        region=os.environ["AWS_REGION"],
        endpoint=os.environ["AWS_ENDPOINT_URL"],
        transform=_Crops(task.size),
        s3client_config=S3ClientConfig(force_path_style=True),
        reader_constructor=S3ReaderConstructor.sequential(),
    )
    return epochs(loader_of(dataset, task, shuffle=True), task)


if __name__ == "__main__":
    serve(version("s3torchconnector"), {"train": train})
