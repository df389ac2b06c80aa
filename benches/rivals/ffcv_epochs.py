"""FFCV's loader by the epoch, in an interpreter that has FFCV: one line in, one epoch, one line out.

The first line is JSON and says what to load; it is answered with FFCV's version when the file is written and the loader
has run once, so that what numba compiles is not timed.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
from ffcv.fields import IntField, RGBImageField
from ffcv.fields.rgb_image import CenterCropRGBImageDecoder, RandomResizedCropRGBImageDecoder, encode_jpeg
from ffcv.loader import Loader, OrderOption
from ffcv.transforms import RandomHorizontalFlip
from ffcv.writer import DatasetWriter

_QUALITY = 90


class Photos:
    def __init__(self, paths, count):
        self._paths, self._count = paths, count

    def __len__(self):
        return self._count

    def __getitem__(self, i):
        pixels = cv2.imread(self._paths[i % len(self._paths)], cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
        return pixels, i


def write(wanted):
    """The file, and beside it, as single JPEGs, the very bytes that it holds."""
    file = Path(wanted["folder"]) / "photos.beton"
    photos = Photos(wanted["paths"], wanted["num_images"])
    fields = {"image": RGBImageField(write_mode="jpg", jpeg_quality=_QUALITY), "label": IntField()}
    DatasetWriter(str(file), fields, num_workers=wanted["num_threads"]).from_indexed_dataset(photos)
    written = file.read_bytes()
    for i in range(min(len(photos), len(wanted["paths"]))):
        encoded = encode_jpeg(photos[i][0], _QUALITY).tobytes()
        if encoded not in written:
            sys.exit(f"{wanted['paths'][i]}: FFCV's file holds other bytes")
        file.with_name(f"{i:06d}.jpg").write_bytes(encoded)
    return file


def loader_of(file, wanted):
    size = (wanted["size"], wanted["size"])
    train = [RandomResizedCropRGBImageDecoder(size), RandomHorizontalFlip()]
    evaluate = [CenterCropRGBImageDecoder(size, wanted["size"] / 256)]
    return Loader(
        str(file),
        batch_size=wanted["batch"],
        num_workers=wanted["num_threads"],
        order=OrderOption.SEQUENTIAL,
        os_cache=True,
        drop_last=False,
        pipelines={"image": train if wanted["subject"] == "train" else evaluate, "label": None},
    )


def epoch(loader, wanted):
    shapes = [batch[0].shape for batch in loader]
    if np.sum([shape[0] for shape in shapes]) != wanted["num_images"] or shapes[0][1:] != (wanted["size"], wanted["size"], 3):
        sys.exit(f"FFCV gave other batches: {shapes}")


def main():
    answers, sys.stdout = sys.stdout, sys.stderr  # FFCV and numba print what they like
    wanted = json.loads(sys.stdin.readline())
    loader = loader_of(write(wanted), wanted)
    epoch(loader, wanted)
    print(version("ffcv"), file=answers, flush=True)
    for _ in sys.stdin:
        epoch(loader, wanted)
        print("done", file=answers, flush=True)


if __name__ == "__main__":
    main()
