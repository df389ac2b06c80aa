"""Photos for the demo: pictures inside two PyPI wheels, cut into about 3,000 JPEGs."""

import shutil
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[Any]  # (height, width), gray, or (height, width, 3), BGR

PICTURES_PER_PHOTO = 215
# Class name -> (wheel on PyPI, file inside it). The wheels are downloaded, not installed.
PHOTOS = {
    "astronaut": ("scikit_image", "skimage/data/astronaut.png"),
    "bricks": ("scikit_image", "skimage/data/brick.png"),
    "cat": ("scikit_image", "skimage/data/chelsea.png"),
    "coffee": ("scikit_image", "skimage/data/coffee.png"),
    "coins": ("scikit_image", "skimage/data/coins.png"),
    "dahlia": ("scikit_learn", "sklearn/datasets/images/flower.jpg"),
    "galaxies": ("scikit_image", "skimage/data/hubble_deep_field.jpg"),
    "grass": ("scikit_image", "skimage/data/grass.png"),
    "gravel": ("scikit_image", "skimage/data/gravel.png"),
    "moon": ("scikit_image", "skimage/data/moon.png"),
    "motorcycle": ("scikit_image", "skimage/data/motorcycle_left.png"),
    "pagoda": ("scikit_learn", "sklearn/datasets/images/china.jpg"),
    "photographer": ("scikit_image", "skimage/data/camera.png"),
    "rocket": ("scikit_image", "skimage/data/rocket.jpg"),
}
_LONG_SIDES = (120, 500)
_QUALITIES = (80, 95)
_SEED = 1
# Photos are enlarged at most by this: JPEGs of blur differ from those of a camera.
_MAX_ENLARGED = 1.5


def cut_photos(wheels: Path, folder: Path, progress: Callable[[int, int], None]) -> None:
    """Fill `folder` with class folders of JPEGs, always the same.

    - wheels: the folder of the downloaded wheels.
    - progress: called with (pictures done, all pictures).
    """
    shutil.rmtree(folder, ignore_errors=True)
    with ThreadPoolExecutor() as pool:
        cuts = [
            pool.submit(_cut_photo, folder / name, _photo(wheels, *where))
            for name, where in PHOTOS.items()
        ]
        for done, cut in enumerate(cuts, start=1):
            cut.result()
            progress(done * PICTURES_PER_PHOTO, len(PHOTOS) * PICTURES_PER_PHOTO)


def _photo(wheels: Path, package: str, file: str) -> Pixels:
    found = sorted(wheels.glob(f"{package}-*.whl"))
    if not found:
        raise SystemExit(f"demo: {wheels} has no wheel of {package}; run `make demo`")
    with zipfile.ZipFile(found[-1]) as wheel:
        photo = cv2.imdecode(np.frombuffer(wheel.read(file), np.uint8), cv2.IMREAD_ANYCOLOR)
    if photo is None:
        raise SystemExit(f"demo: {file} in {found[-1]} is not an image")
    return photo


def _cut_photo(folder: Path, photo: Pixels) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng([_SEED, *folder.name.encode()])
    for number in range(PICTURES_PER_PHOTO):
        (folder / f"{number:04d}.jpg").write_bytes(_encode(_cut(photo, rng), rng))


def _cut(photo: Pixels, rng: np.random.Generator) -> Pixels:
    """Return a random box of the photo, portrait or landscape, resized; half are flipped."""
    long_side, aspect = rng.integers(*_LONG_SIDES, endpoint=True), rng.uniform(1, 1.6)
    height_width = np.array([long_side, long_side / aspect])[:: rng.choice([1, -1])]
    size = height_width.astype(int)
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
    """Encode like cameras and web sites: 4:2:0 chroma, in one of five 4:4:4."""
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
