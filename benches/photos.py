"""Photos for benchmarks: the user's, or generated ones of about the same decoding cost."""

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
# A fingerprint reads this many files; of the others it has names and sizes.
_NUM_READ = 256


def photos(folder: Path | None, scratch: Path) -> list[Path]:
    """Return the JPEGs below `folder` or $FASTPACK_BENCH_PHOTOS, or generate some in `scratch`."""
    named = folder or os.environ.get(VARIABLE)
    if named is None:
        return make_photos(scratch, _NUM_MADE)
    found = sorted(
        path for path in Path(named).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg")
    )
    if not found:
        raise SystemExit(f"{named}: no JPEGs; name a folder of photos, or none to generate some")
    return found


def fingerprint(paths: Sequence[Path]) -> str:
    """Return a digest that identifies the photos of a measurement."""
    digest = hashlib.sha256()
    for number, path in enumerate(paths):
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        if number < _NUM_READ:
            digest.update(path.read_bytes())
    return f"{len(paths)} photos, sha256 {digest.hexdigest()[:16]}"


def make_photos(folder: Path, count: int) -> list[Path]:
    """Generate JPEGs, always the same: 500 x 375, about 100 KB, like ImageNet's photos."""
    paths = [folder / f"made-{i:03d}.jpg" for i in range(count)]
    for seed, path in enumerate(paths):
        path.write_bytes(
            fastpack.encode(_photo_like(np.random.default_rng(seed)), "jpeg", quality=96)
        )
    return paths


def reencoded(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Re-encode the photos at quality 90 and 4:2:0, like most of ImageNet."""
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
            raise SystemExit(f"{path}: OpenCV cannot re-encode this")
    return written


def make_small(folder: Path, count: int) -> list[Path]:
    """Write JPEGs of 1 KB, all different, 1,000 in a folder."""
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
    """Return noise whose amplitude falls with frequency, as in photos."""
    image = np.full((_HEIGHT, _WIDTH, 3), 128, np.float32)
    for cell in (1, 2, 4, 8, 16, 64, 256):
        coarse = random.standard_normal(
            (_HEIGHT // cell + 2, _WIDTH // cell + 2, 3), dtype=np.float32
        )
        image += (
            5 * cell**0.45 * cv2.resize(coarse, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC)
        )
    return np.clip(image, 0, 255).astype(np.uint8)
