"""Photographs for the demo: those that PyPI packages ship inside their wheels, cut into some thousands of JPEGs."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[Any]  # (height, width), gray, or (height, width, 3), BGR

PICTURES_PER_PHOTO = 215
# Class name -> (distribution on PyPI, file inside its wheel). The packages are not imported.
PHOTOS = {
    "astronaut": ("scikit-image", "skimage/data/astronaut.png"),
    "bricks": ("scikit-image", "skimage/data/brick.png"),
    "cat": ("scikit-image", "skimage/data/chelsea.png"),
    "coffee": ("scikit-image", "skimage/data/coffee.png"),
    "coins": ("scikit-image", "skimage/data/coins.png"),
    "dahlia": ("scikit-learn", "sklearn/datasets/images/flower.jpg"),
    "galaxies": ("scikit-image", "skimage/data/hubble_deep_field.jpg"),
    "grass": ("scikit-image", "skimage/data/grass.png"),
    "gravel": ("scikit-image", "skimage/data/gravel.png"),
    "moon": ("scikit-image", "skimage/data/moon.png"),
    "motorcycle": ("scikit-image", "skimage/data/motorcycle_left.png"),
    "pagoda": ("scikit-learn", "sklearn/datasets/images/china.jpg"),
    "photographer": ("scikit-image", "skimage/data/camera.png"),
    "rocket": ("scikit-image", "skimage/data/rocket.jpg"),
}
_LONG_SIDES = (120, 500)
_QUALITIES = (80, 95)
_SEED = 1
# A small photo is not blown up further than this: JPEGs of blur are unlike those of a camera.
_MAX_ENLARGED = 1.5


def cut_photos(folder: Path, progress: Callable[[int, int], None]) -> None:
    """Fills `from_folder` with class folders of JPEGs, the same ones each time.

    `progress` is called with (images done, images in all).
    """
    shutil.rmtree(folder, ignore_errors=True)
    with ThreadPoolExecutor() as pool:
        cuts = [pool.submit(_cut_photo, folder / name, *where) for name, where in PHOTOS.items()]
        for done, cut in enumerate(cuts, start=1):
            cut.result()
            progress(done * PICTURES_PER_PHOTO, len(PHOTOS) * PICTURES_PER_PHOTO)


def _cut_photo(folder: Path, package: str, file: str) -> None:
    photo = cv2.imread(str(distribution(package).locate_file(file)), cv2.IMREAD_ANYCOLOR)
    if photo is None:
        raise FileNotFoundError(f"{package} ships no {file} any more")
    folder.mkdir(parents=True)
    rng = np.random.default_rng([_SEED, *folder.name.encode()])
    for number in range(PICTURES_PER_PHOTO):
        (folder / f"{number:04d}.jpg").write_bytes(_encode(_cut(photo, rng), rng))


def _cut(photo: Pixels, rng: np.random.Generator) -> Pixels:
    """A box of the photo, upright or lying, at a size of its own; every other one mirrored."""
    long_side, aspect = rng.integers(*_LONG_SIDES, endpoint=True), rng.uniform(1, 1.6)
    size = np.array([long_side, long_side / aspect])[:: rng.choice([1, -1])].astype(
        int
    )  # height, width
    largest = (np.array(photo.shape[:2]) / size).min()
    smallest = min(largest, 1 / _MAX_ENLARGED)
    box = (size * rng.uniform(smallest, largest)).astype(int)
    top, left = rng.integers(np.array(photo.shape[:2]) - box, endpoint=True)
    picture = cv2.resize(
        photo[top : top + box[0], left : left + box[1]],
        tuple(size[::-1].tolist()),
        interpolation=cv2.INTER_AREA,
    )
    return picture[:, :: rng.choice([1, -1])]


def _encode(picture: Pixels, rng: np.random.Generator) -> bytes:
    """JPEG as cameras and web sites make it: mostly with halved chroma, one in five with full."""
    sampling = rng.choice(
        [cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444],
        p=[0.8, 0.2],
    )
    quality = rng.integers(*_QUALITIES, endpoint=True)
    flags = [
        cv2.IMWRITE_JPEG_QUALITY,
        int(quality),
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        int(sampling),
    ]
    return cv2.imencode(".jpg", picture, flags)[1].tobytes()
