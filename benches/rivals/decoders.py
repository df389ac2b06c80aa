"""Decoders that release the GIL, in threads: JPEGs in memory to RGB."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

from benches.rivals.protocol import Amount, Task, Workload, serve


def by_simplejpeg(jpeg: bytes) -> Any:
    import simplejpeg

    return simplejpeg.decode_jpeg(jpeg, "RGB")


def by_opencv(jpeg: bytes) -> Any:
    import cv2
    import numpy as np

    return cv2.imdecode(
        np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    )


def by_pillow(jpeg: bytes) -> Any:
    import numpy as np
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))


def by_torchcodec(jpeg: bytes) -> Any:
    from torchcodec.decoders import decode_jpeg

    return decode_jpeg(jpeg, mode="RGB")


_DECODERS: dict[str, tuple[str, Callable[[bytes], Any]]] = {
    "simplejpeg": ("simplejpeg", by_simplejpeg),
    "opencv": ("opencv-python-headless", by_opencv),
    "pillow": ("pillow", by_pillow),
    "torchcodec": ("torchcodec", by_torchcodec),
}


def decode(task: Task) -> Workload:
    _, decoded = _DECODERS[task.variant]
    decoded(next(task.samples())[0])  # imports in this thread
    jpegs = [jpeg for jpeg, _ in task.samples()]

    def run() -> Amount:
        with ThreadPoolExecutor(task.num_threads) as pool:
            sizes = list(pool.map(lambda jpeg: decoded(jpeg).nbytes, jpegs))
        return Amount(len(sizes), sum(sizes))

    return Workload(run)


if __name__ == "__main__":
    serve(lambda variant: version(_DECODERS[variant][0]), {"decode": decode})
