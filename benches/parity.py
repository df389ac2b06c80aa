"""Differences from other libraries' pixels: python -m benches.parity writes docs/parity.md"""

import argparse
import io
import math
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

import fastpack
from benches.crops import STEPS, opencv_view
from benches.internals import CounterRng, ImageFiles, plan_batch
from benches.photos import VARIABLE, photos
from benches.workloads import plain_jpegs

Pixels = npt.NDArray[np.uint8]
# Takes a JPEG's bytes, its view and the size of the square output.
Reference = Callable[[bytes, Any, int], Pixels]

TITLES = {
    "train": "RandomResizedCrop(224), HorizontalFlip()",
    "eval": "ResizeShort(256), CenterCrop(224)",
}
_SUBSAMPLINGS = {0x11: "4:4:4 or gray", 0x21: "4:2:2", 0x12: "4:4:0", 0x22: "4:2:0", 0x41: "4:1:1"}


def _numbers(view: Any) -> tuple[int, ...]:
    return tuple(int(view[name]) for name in view.dtype.names[:8])


def _window(pixels: Pixels, view: Any, size: int) -> Pixels:
    left, top = int(view["left"]), int(view["top"])
    pixels = pixels[top : top + size, left : left + size]
    return pixels[:, ::-1] if view["flip"] else pixels


def by_pillow(jpeg: bytes, view: Any, size: int) -> Pixels:
    x, y, width, height, scaled_width, scaled_height, *_ = _numbers(view)
    box = Image.open(io.BytesIO(jpeg)).convert("RGB").crop((x, y, x + width, y + height))
    return _window(
        np.asarray(box.resize((scaled_width, scaled_height), Image.Resampling.BILINEAR)), view, size
    )


def by_opencv(jpeg: bytes, view: Any, size: int, interpolation: int) -> Pixels:
    image = cv2.imdecode(
        np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    )
    out = np.empty((size, size, 3), np.uint8)
    opencv_view(image, view, interpolation, out)
    return out


def by_tensorflow(jpeg: bytes, view: Any, size: int) -> Pixels:
    import tensorflow as tf

    x, y, width, height, scaled_width, scaled_height, *_ = _numbers(view)
    # The other libraries use the accurate transform by default.
    box = tf.image.decode_and_crop_jpeg(
        jpeg, [y, x, height, width], channels=3, dct_method="INTEGER_ACCURATE"
    )
    scaled = tf.image.resize(box, [scaled_height, scaled_width], antialias=True)
    return _window(np.rint(np.clip(scaled.numpy(), 0, 255)).astype(np.uint8), view, size)


REFERENCES: dict[str, Reference] = {
    "Pillow, BILINEAR": by_pillow,
    "tf.image, antialias=True": by_tensorflow,
    "OpenCV, INTER_AREA": lambda *about: by_opencv(*about, cv2.INTER_AREA),
    "OpenCV, INTER_LINEAR": lambda *about: by_opencv(*about, cv2.INTER_LINEAR),
}


class Difference:
    """Largest and mean difference of many pairs of images, in levels, and the PSNR of all."""

    def __init__(self) -> None:
        self.largest, self.num_images = 0, 0
        self._sum, self._squares, self._levels = 0.0, 0.0, 0

    def add(self, ours: Pixels, theirs: Pixels) -> None:
        apart = np.abs(ours.astype(np.int32) - theirs)
        self.largest = max(self.largest, int(apart.max()))
        self.num_images += 1
        self._sum += float(apart.sum())
        self._squares += float((apart**2).sum())
        self._levels += apart.size

    @property
    def mean(self) -> float:
        return self._sum / self._levels

    @property
    def psnr(self) -> float:
        return 10 * math.log10(255**2 * self._levels / self._squares) if self._squares else math.inf


def differences(
    paths: list[Path], subject: str, folder: Path
) -> dict[tuple[str, str, str], Difference]:
    """Return differences by subsampling, mode and reference; `exact` is a reference of `fast`."""
    fastpack.pack(ImageFiles(paths), folder / f"{subject}.tfrecord")
    reader = fastpack.open(folder / f"{subject}.tfrecord", transform=STEPS[subject], orient=False)
    columns, rows = reader.columns, np.arange(len(reader))
    views = plan_batch(
        STEPS[subject], columns["width"], columns["height"], CounterRng(0, 0, rows)
    ).views
    exact, fast = (reader.with_options(mode=mode).read(rows)["image"] for mode in ("exact", "fast"))
    found: dict[tuple[str, str, str], Difference] = defaultdict(Difference)
    for row, path in enumerate(paths):
        jpeg, view = path.read_bytes(), views[row]
        subsampling = _SUBSAMPLINGS.get(int(columns["subsampling"][row]), "other")
        found[subsampling, "fast", "fastpack, exact"].add(fast[row], exact[row])
        for name, reference in REFERENCES.items():
            theirs = reference(jpeg, view, exact.shape[1])
            found[subsampling, "exact", name].add(exact[row], theirs)
            found[subsampling, "fast", name].add(fast[row], theirs)
    return found


def table(found: dict[tuple[str, str, str], Difference]) -> Iterator[str]:
    yield "| JPEGs | mode | against | largest | mean | PSNR, dB |"
    yield "|---|---|---|--:|--:|--:|"
    order = ["fastpack, exact", *REFERENCES]
    for key in sorted(found, key=lambda key: (key[0], key[1], order.index(key[2]))):
        one = found[key]
        psnr = "equal" if math.isinf(one.psnr) else f"{one.psnr:.1f}"
        figures = f"{one.largest} | {one.mean:.3f} | {psnr}"
        yield f"| {one.num_images} of {key[0]} | `{key[1]}` | {key[2]} | {figures} |"


HEADER = """# Parity

How far fastpack's pixels differ from those of other libraries. Differences are in levels of
0..255, over all pixels and channels of the batch. The PSNR is of all images together. `exact`
equals a full decode, cropped and resampled. `fast` may decode at 1/2, 1/4 or 1/8 if the image
shrinks by at least that factor.

- Pillow decodes the whole image, crops it and resizes the crop. It rounds to whole levels between
  its two passes.
- torchvision could not be installed on the measuring machine. For PIL images its crops and resizes
  are Pillow's.
- tf.image decodes only the box (`decode_and_crop_jpeg`, `dct_method="INTEGER_ACCURATE"`). It
  resizes in floats, rounded here to the nearest level. It decodes no margin for chroma upsampling,
  so with 4:2:0 the last column of a crop can differ.
- OpenCV's `INTER_LINEAR` never widens its filter, so shrunk images are aliased. A large difference
  there is one of methods, not of decoding. `INTER_AREA` averages boxes if both sides shrink;
  otherwise it is another linear interpolation.
"""


def document(paths: list[Path], about: str, folder: Path) -> str:
    versions = ", ".join(f"{name} {version(package)}" for name, package in PACKAGES.items())
    parts = [
        HEADER,
        f"Measured on {about}.\nVersions: {versions}.\n"
        "`python -m benches.parity` writes this file.",
    ]
    for subject, title in TITLES.items():
        parts.append(f"\n## {title}\n")
        parts.extend(table(differences(paths, subject, folder)))
    return "\n".join(parts) + "\n"


PACKAGES = {
    "fastpack": "fastpack-io",
    "Pillow": "pillow",
    "OpenCV": "opencv-python-headless",
    "TensorFlow": "tensorflow-cpu",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benches.parity", description=__doc__)
    parser.add_argument(
        "--photos", type=Path, help=f"folder of JPEGs (default: ${VARIABLE}, else generated)"
    )
    parser.add_argument("--about", help="description of the photos, for the document")
    parser.add_argument(
        "--output", type=Path, default=Path(fastpack.__file__).parent.parent / "docs" / "parity.md"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = plain_jpegs(photos(arguments.photos, Path(folder)))
        arguments.output.write_text(
            document(paths, arguments.about or f"{len(paths)} JPEGs", Path(folder))
        )


if __name__ == "__main__":
    main()
