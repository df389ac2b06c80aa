"""Test accuracy of a small network by the way to shuffle: python -m benches.shuffled_training

It needs torch and Fashion-MNIST (Debian: apt install dataset-fashion-mnist): 60,000 training images
of ten classes. Their files are sorted by class, as a packed ImageFolder is, or in random order, as
`fastpack pack --shuffle-seed` writes them. Blocks have 76 samples, as 8 MiB of ImageNet have.
"""

import argparse
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from benches.randomness import SampleCount, mean_entropy
from fastpack import Shuffle
from fastpack.reading import Sequential
from fastpack.reading.order import Sampler

_BATCH = 256
_BLOCK = 76  # samples
_FOLDER = Path("/usr/share/datasets/fashion-mnist")
_RATE = 3e-3


@dataclass(frozen=True)
class Case:
    """A way to shuffle, and the order of the files.

    Args:
        window: in blocks; None for a whole shuffle, 0 for the order of the files.
        is_sorted: by class.
    """

    window: int | None
    is_sorted: bool

    def sampler(self, seed: int) -> Sampler:
        if self.window == 0:
            return Sequential()
        if self.window is None:
            return Shuffle(seed)
        return Shuffle(seed, block=_BLOCK, window=self.window)

    def __str__(self) -> str:
        files = "sorted by class" if self.is_sorted else "random"
        ways = {None: "whole", 0: "none"}
        return f"{files} | {ways.get(self.window, f'blocks, window={self.window}')}"


_WHOLE = Case(None, is_sorted=True)
_CASES = [
    _WHOLE,
    *(Case(window, is_sorted=True) for window in (256, 64, 16, 0)),
    *(Case(window, is_sorted=False) for window in (64, 16, 4)),
]


class Images:
    """Images of 14 x 14 pixels, float32 (n, 1, 14, 14), and labels, int64 (n,)."""

    def __init__(self, folder: Path, name: str, *, is_sorted: bool) -> None:
        pixels = _array(folder / f"{name}-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
        labels = _array(folder / f"{name}-labels-idx1-ubyte.gz", 8).astype(np.int64)
        order = np.argsort(labels, kind="stable") if is_sorted else np.arange(len(labels))
        scaled = torch.from_numpy(pixels[order].astype(np.float32) / 255 - 0.5)
        self.pixels = nn.functional.avg_pool2d(scaled, 2)
        self.labels = torch.from_numpy(labels[order])


def _array(path: Path, header: int) -> npt.NDArray[np.uint8]:
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header)


def network() -> nn.Module:
    """Return a network whose batch normalization depends on the classes of a batch."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * 7 * 7, 10),
    )


def trained(images: Images, shuffle: Sampler, seed: int, num_epochs: int) -> nn.Module:
    """Train a network; the seed decides its first weights too."""
    torch.manual_seed(seed)
    model, order = network(), shuffle.order(SampleCount(len(images.labels)))
    optimizer = torch.optim.Adam(model.parameters(), _RATE)
    num_steps = num_epochs * (len(images.labels) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=num_steps)
    for epoch in range(num_epochs):
        for first in range(0, len(images.labels) - _BATCH + 1, _BATCH):
            rows = torch.from_numpy(
                order.samples_at(epoch, np.arange(first, first + _BATCH)).samples
            )
            loss = nn.functional.cross_entropy(model(images.pixels[rows]), images.labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model


@torch.no_grad()
def accuracy(model: nn.Module, images: Images) -> float:
    """Return the percentage of images whose class is right."""
    model.eval()
    found = torch.cat([model(part).argmax(1) for part in images.pixels.split(1000)])
    return 100 * float((found == images.labels).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=_FOLDER)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder, epochs, seeds = arguments.folder, arguments.epochs, range(arguments.seeds)
    train = {is_sorted: Images(folder, "train", is_sorted=is_sorted) for is_sorted in (True, False)}
    test = Images(folder, "t10k", is_sorted=False)
    print("| files | shuffle | class entropy of a batch, bits | accuracy, % | minus whole |")
    print("|---|---|--:|--:|--:|")
    whole: list[float] = []
    for case in _CASES:
        images = train[case.is_sorted]
        models = (trained(images, case.sampler(seed), seed, epochs) for seed in seeds)
        found = [accuracy(model, test) for model in models]
        whole = whole or found
        difference = _spread(np.subtract(found, whole))
        entropy = mean_entropy(classes_of(images, case))
        print(f"| {case} | {entropy:.2f} | {_spread(np.array(found))} | {difference} |", flush=True)


def classes_of(images: Images, case: Case) -> npt.NDArray[np.int64]:
    """Return the classes in the order of the first epoch."""
    labels = images.labels.numpy()
    order = case.sampler(0).order(SampleCount(len(labels)))
    return labels[order.samples_at(0, np.arange(len(labels))).samples]


def _spread(values: npt.NDArray[np.float64]) -> str:
    """Return the mean and the standard deviation."""
    return f"{values.mean():.2f} ± {values.std(ddof=1):.2f}"


if __name__ == "__main__":
    main()
