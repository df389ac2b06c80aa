"""Writes small JPEGs to start fuzzing from: python fuzz/seeds.py FOLDER."""

import itertools
import sys
from pathlib import Path

import cv2
import numpy as np

FACTORS = [getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{name}") for name in ("444", "422", "440", "420", "411")]


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    kinds = itertools.product(FACTORS, (0, 1, 3), (5, 50, 90, 100), (False, True), (3, 1))
    for number, (factors, restart_interval, quality, optimize, channels) in enumerate(kinds):
        height, width = (int(size) for size in random.integers(5, 90, 2))
        coarse = random.integers(0, 256, (height // 4 + 1, width // 4 + 1, channels), np.uint8)
        smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)
        pixels = np.clip(smooth + random.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)
        flags = {
            cv2.IMWRITE_JPEG_QUALITY: quality,
            cv2.IMWRITE_JPEG_RST_INTERVAL: restart_interval,
            cv2.IMWRITE_JPEG_OPTIMIZE: int(optimize),
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR: factors,
        }
        encoded = cv2.imencode(".jpg", pixels, [value for flag in flags.items() for value in flag])[1]
        (folder / f"{number:03}.jpg").write_bytes(encoded.tobytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
