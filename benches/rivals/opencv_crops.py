"""RandomResizedCrop and flip by OpenCV, for loaders without a decoder; faster than Pillow."""

import math
import random

import cv2
import numpy as np

_TRIES = 10
_AREA = (0.08, 1.0)
_LOG_RATIO = (math.log(3 / 4), math.log(4 / 3))


def alone() -> None:
    """Use one OpenCV thread: the loader has workers."""
    cv2.setNumThreads(0)


def _box(width: int, height: int) -> tuple[int, int, int, int]:
    """Draw x, y, width, height like torchvision."""
    for _ in range(_TRIES):
        area = width * height * random.uniform(*_AREA)
        ratio = math.exp(random.uniform(*_LOG_RATIO))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return random.randint(0, width - w), random.randint(0, height - h), w, h
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side, side


def random_crop(jpeg: bytes, size: int) -> np.ndarray:
    """Return pixels, (size, size, 3) uint8, RGB."""
    image = cv2.imdecode(
        np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    )
    x, y, width, height = _box(image.shape[1], image.shape[0])
    crop = cv2.resize(
        image[y : y + height, x : x + width], (size, size), interpolation=cv2.INTER_LINEAR
    )
    return cv2.flip(crop, 1) if random.random() < 0.5 else crop
