"""The photographs that benches work on: the user's, or made-up ones that cost a JPEG decoder about as much."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

import fastpack

REENCODED = "re-encoded, quality 90, 4:2:0"
VARIABLE = "FASTPACK_BENCH_PHOTOS"
_HEIGHT, _WIDTH = 375, 500
_NUM_MADE = 32
# Of a large folder of photographs these many files' bytes go into its fingerprint, and the names and sizes of all.
_NUM_READ = 256


def photos(folder: Path | None, scratch: Path) -> list[Path]:
    """The JPEGs below `from_folder`, or below the folder that the environment names, or else made ones in `scratch`."""
    named = folder or os.environ.get(VARIABLE)
    if named is None:
        return make_photos(scratch, _NUM_MADE)
    found = sorted(
        path for path in Path(named).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg")
    )
    if not found:
        raise SystemExit(
            f"{named}: no JPEGs here; name a folder of photographs, or none to have some made"
        )
    return found


def fingerprint(paths: Sequence[Path]) -> str:
    """Tells whether two measurements were made over the same photographs."""
    digest = hashlib.sha256()
    for number, path in enumerate(paths):
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        if number < _NUM_READ:
            digest.update(path.read_bytes())
    return f"{len(paths)} photos, sha256 {digest.hexdigest()[:16]}"


def make_photos(folder: Path, count: int) -> list[Path]:
    """Always the same JPEGs: 500 x 375, about 100 KB, like the photographs of ImageNet."""
    paths = [folder / f"made-{i:03d}.jpg" for i in range(count)]
    for seed, path in enumerate(paths):
        path.write_bytes(
            fastpack.encode(_photo_like(np.random.default_rng(seed)), "jpeg", quality=96)
        )
    return paths


def reencoded(paths: Sequence[Path], folder: Path) -> list[Path]:
    """The photographs encoded anew at quality 90 and 4:2:0, which most of ImageNet resembles."""
    (folder / "reencoded").mkdir()
    flags = [
        cv2.IMWRITE_JPEG_QUALITY,
        90,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    ]
    written = [folder / "reencoded" / f"{number}.jpg" for number in range(len(paths))]
    for path, output in zip(paths, written, strict=True):
        pixels = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if pixels is None or not cv2.imwrite(str(output), pixels, flags):
            raise SystemExit(f"{path}: OpenCV cannot encode this anew")
    return written


def make_small(folder: Path, count: int) -> list[Path]:
    """JPEGs of 1 KB, no two alike, 1,000 to a folder."""
    image = fastpack.encode(
        np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8), "jpeg", quality=85
    )
    paths = [folder / f"{i // 1000:04d}" / f"{i:07d}.jpg" for i in range(count)]
    for i, path in enumerate(paths):
        if i % 1000 == 0:
            path.parent.mkdir(parents=True)
        comment = b"\xff\xfe" + (1024 - len(image) - 2).to_bytes(2, "big") + i.to_bytes(8, "big")
        path.write_bytes(image[:2] + comment.ljust(1024 - len(image), b"\0") + image[2:])
    return paths


def _photo_like(random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Noise whose strength falls with its fineness, as in photographs."""
    image = np.full((_HEIGHT, _WIDTH, 3), 128, np.float32)
    for cell in (1, 2, 4, 8, 16, 64, 256):
        coarse = random.standard_normal(
            (_HEIGHT // cell + 2, _WIDTH // cell + 2, 3), dtype=np.float32
        )
        image += (
            5 * cell**0.45 * cv2.resize(coarse, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC)
        )
    return np.clip(image, 0, 255).astype(np.uint8)
