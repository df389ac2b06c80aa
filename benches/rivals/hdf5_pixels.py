"""HDF5 pixels in chunks of one image: h5py in two ways, hidefix, and numpy.memmap."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import cv2
import h5py
import numpy as np

from benches.rivals.protocol import Task, Workload, count_pixels, serve, shuffled

Read = Callable[[list[int]], np.ndarray]


def resized(task: Task) -> Iterator[np.ndarray]:
    decoded: dict[str, np.ndarray] = {}
    for path in task.paths:
        if path not in decoded:
            decoded[path] = cv2.resize(
                cv2.imread(path, cv2.IMREAD_COLOR_RGB),
                (task.size, task.size),
                interpolation=cv2.INTER_AREA,
            )
        yield decoded[path]


def written(task: Task) -> str:
    path = task.file("pixels.h5")
    shape = (task.size, task.size, 3)
    with h5py.File(path, "w") as file:
        images = file.create_dataset("images", (len(task), *shape), np.uint8, chunks=(1, *shape))
        for i, pixels in enumerate(resized(task)):
            images.id.write_direct_chunk((i, 0, 0, 0), pixels.tobytes())
    return path


def by_h5py_directly(task: Task) -> Read:
    """Call `read_direct` for each image, into the batch."""
    images = h5py.File(written(task))["images"]

    def read(batch: list[int]) -> np.ndarray:
        out = np.empty((len(batch), *images.shape[1:]), np.uint8)
        for row, i in enumerate(batch):
            images.read_direct(out, np.s_[i], np.s_[row])
        return out

    return read


def by_h5py_fancy(task: Task) -> Read:
    """Index with a list of numbers, which must ascend."""
    images = h5py.File(written(task))["images"]

    def read(batch: list[int]) -> np.ndarray:
        order = np.argsort(batch)
        sorted_rows = images[np.asarray(batch)[order]]
        out = np.empty_like(sorted_rows)
        out[order] = sorted_rows
        return out

    return read


def by_hidefix(task: Task) -> Read:
    import hidefix

    images = hidefix.Index(written(task)).dataset("images")
    pool = ThreadPoolExecutor(task.num_threads)
    return lambda batch: np.stack(
        list(pool.map(lambda i: images[i : i + 1,].reshape(images.shape()[1:]), batch))
    )


def by_memmap(task: Task) -> Read:
    path = task.file("pixels.npy")
    images = np.lib.format.open_memmap(path, "w+", np.uint8, (len(task), task.size, task.size, 3))
    for i, pixels in enumerate(resized(task)):
        images[i] = pixels
    images.flush()
    mapped = np.load(path, mmap_mode="r")
    return lambda batch: mapped[batch]


_READERS: dict[str, Callable[[Task], Read]] = {
    "direct": by_h5py_directly,
    "fancy": by_h5py_fancy,
    "hidefix": by_hidefix,
    "memmap": by_memmap,
}


_DISTRIBUTIONS = {"direct": "h5py", "fancy": "h5py", "hidefix": "hidefix", "memmap": "numpy"}


def pixels(task: Task) -> Workload:
    read = _READERS[task.variant](task)
    return Workload(lambda: count_pixels(map(read, shuffled(task)), task.size))


if __name__ == "__main__":
    serve(lambda variant: version(_DISTRIBUTIONS[variant]), {"pixels": pixels})
