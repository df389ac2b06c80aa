"""torch's DataLoader over image files.

torchvision's ImageFolder with Pillow or torchcodec, and the same files with OpenCV.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from benches.rivals.protocol import Task, Workload, serve
from benches.rivals.pure_torchvision import imported
from benches.rivals.torch_loading import cropped, epochs, loader_of

ImageFolder = imported("torchvision.datasets").ImageFolder
v2 = imported("torchvision.transforms.v2")


class OpenCVFolder(Dataset):
    def __init__(self, samples: list[tuple[str, int]], size: int) -> None:
        self._samples, self._size = samples, size

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        path, label = self._samples[i]
        return cropped(Path(path).read_bytes(), self._size), label


def class_folders(task: Task) -> str:
    """Link the files into a folder for each class."""
    folder = Path(task.fresh_folder("classes"))
    for label in set(task.labels):
        (folder / f"{label:04d}").mkdir()
    for i, (path, label) in enumerate(zip(task.paths, task.labels, strict=True)):
        (folder / f"{label:04d}" / f"{i:08d}.jpg").symlink_to(path)
    return str(folder)


def by_pillow(folder: str, size: int) -> Any:
    return ImageFolder(folder, v2.Compose([*steps(size), v2.PILToTensor()]))


def by_torchcodec(folder: str, size: int) -> Any:
    from torchcodec.decoders import decode_image

    return ImageFolder(folder, v2.Compose(steps(size)), loader=decode_image)


def by_opencv(folder: str, size: int) -> Any:
    return OpenCVFolder(ImageFolder(folder).samples, size)


def steps(size: int) -> list[Any]:
    return [v2.RandomResizedCrop(size), v2.RandomHorizontalFlip()]


def train(task: Task) -> Workload:
    dataset_of = {"pillow": by_pillow, "torchcodec": by_torchcodec, "opencv": by_opencv}[
        task.variant
    ]
    return epochs(loader_of(dataset_of(class_folders(task), task.size), task, shuffle=True), task)


if __name__ == "__main__":
    serve(version("torch"), {"train": train})
