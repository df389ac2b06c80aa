"""Write small images as seeds for fuzzing: python fuzz/seeds.py FOLDER"""

import itertools
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support.images import factored_jpeg, jpeg, with_spectrum, without_segments
from tests.support.paths import JPEGS

FACTORS = [
    getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{name}")
    for name in ("444", "422", "440", "420", "411")
]
# Factors that OpenCV does not write: across and down, of each component.
ANY_FACTORS = [
    (luma, chroma, chroma)
    for luma, chroma in [((4, 2), (1, 1)), ((1, 4), (1, 2)), ((3, 1), (1, 1)), ((2, 2), (2, 1))]
]
ANY_FACTORS += [((2, 2),), ((1, 3),)]
OTHERS = ("png", "webp", "bmp", "tiff")
# APP1 with one tag: the image is rotated by 90 degrees.
EXIF = b"\xff\xe1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"


def picture(random: np.random.Generator, channels: int) -> npt.NDArray[np.uint8]:
    height, width = (int(size) for size in random.integers(5, 90, 2))
    coarse = random.integers(0, 256, (height // 4 + 1, width // 4 + 1, channels), np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).reshape(
        height, width, channels
    )
    return np.clip(smooth + random.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)


def encode(pixels: npt.NDArray[np.uint8], suffix: str, flags: dict[int, int]) -> bytes:
    encoded = cv2.imencode(suffix, pixels, [value for flag in flags.items() for value in flag])[1]
    return encoded.tobytes()


def odd_jpegs() -> dict[str, bytes]:
    """Return JPEGs that libjpeg accepts with a warning, and JPEGs without tables."""
    plain, restarts = jpeg(40, 56), jpeg(40, 56, restart_marker_blocks=2)
    return {
        "spectrum": with_spectrum(plain, 0),
        "spectrum-restarts": with_spectrum(restarts, 0),
        "jfif": plain.replace(b"JFIF\0\1", b"JFIF\0\7", 1),
        "before-frame": plain.replace(b"\xff\xc0", bytes(9) + b"\xff\xc0", 1),
        "padded": plain[:-2] + bytes(99) + plain[-2:],
        "padded-restart": restarts.replace(b"\xff\xd1", bytes(20) + b"\xff\xd1", 1),
        "no-huffman": without_segments(plain, 0xC4),
        "no-quantization": without_segments(plain, 0xDB),
    }


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    kinds = itertools.product(FACTORS, (0, 1, 3), (5, 50, 90, 100), (False, True), (3, 1))
    for number, (factors, restart_interval, quality, optimize, channels) in enumerate(kinds):
        flags = {
            cv2.IMWRITE_JPEG_QUALITY: quality,
            cv2.IMWRITE_JPEG_RST_INTERVAL: restart_interval,
            cv2.IMWRITE_JPEG_OPTIMIZE: int(optimize),
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR: factors,
        }
        pixels = picture(random, channels)
        data = encode(pixels, ".jpg", flags)
        (folder / f"{number:03}.jpg").write_bytes(data)
        if optimize and quality != 100:
            slow = encode(pixels, ".jpg", {**flags, cv2.IMWRITE_JPEG_PROGRESSIVE: 1})
            (folder / f"{number:03}-progressive.jpg").write_bytes(
                slow[:2] + EXIF + slow[2:] if number % 3 == 0 else slow
            )
    for suffix in OTHERS:
        (folder / f"one.{suffix}").write_bytes(encode(picture(random, 3), f".{suffix}", {}))
    for number, factors in enumerate(ANY_FACTORS):
        for options in (
            {"quality": 90},
            {"quality": 60, "optimize": True, "restart_marker_blocks": 3},
        ):
            data = factored_jpeg(70, 90, factors, seed=number, **options)
            (folder / f"factors-{number}-{options['quality']}.jpg").write_bytes(data)
    for name, data in odd_jpegs().items():
        (folder / f"{name}.jpg").write_bytes(data)
    for path in JPEGS.iterdir():
        shutil.copy(path, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
