"""DALI on the CPU: a file reader, and a decoder of the random crop alone."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from nvidia.dali import fn, pipeline_def, types

from benches.rivals.protocol import Amount, Task, Workload, count_pixels, serve

_AHEAD = 2  # batches
_SHUFFLED = 1024  # DALI's own default for the reader's buffer


@pipeline_def
def random_crops(paths: list[str], labels: list[int], size: int) -> tuple[Any, Any]:
    encoded, label = fn.readers.file(
        files=paths,
        labels=labels,
        random_shuffle=True,
        initial_fill=_SHUFFLED,
        name="reader",
        pad_last_batch=False,
    )
    drawn = {"random_area": [0.08, 1.0], "random_aspect_ratio": [3 / 4, 4 / 3]}
    images = fn.decoders.image_random_crop(
        encoded, device="cpu", output_type=types.RGB, adjust_orientation=False, **drawn
    )
    resized = fn.resize(images, size=[size, size], interp_type=types.INTERP_LINEAR, antialias=False)
    return fn.flip(resized, horizontal=fn.random.coin_flip()), label


def train(task: Task) -> Workload:
    """Run as many whole batches as an epoch has, after the prefetched ones; it never ends."""
    about = {
        "batch_size": task.batch,
        "num_threads": task.num_threads,
        "device_id": None,
        "prefetch_queue_depth": _AHEAD,
    }
    pipeline = random_crops(task.paths, task.labels, task.size, **about)
    pipeline.build()

    def batches(count: int) -> Iterator[Any]:
        for _ in range(count):
            yield pipeline.run()[0].as_array()

    def run() -> Amount:
        return count_pixels(batches(len(task) // task.batch), task.size)

    return Workload(run, before=lambda: count_pixels(batches(_AHEAD), task.size))


if __name__ == "__main__":
    serve(version("nvidia-dali-cuda120"), {"train": train})
