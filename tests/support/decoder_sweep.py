"""Decodes generated JPEGs with fastpack's own decoder and libjpeg-turbo, and compares all pixels.

`python -m tests.support.decoder_sweep 20000` compares 20,000 images. Hypothesis generates them and
simplifies a failing one; `--seed` gives others.
"""

import argparse
import contextlib
import functools
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from fastpack._native.decode import allow_vectors, use_sequential
from tests.support.decode_jobs import batch, run_all, view_of
from tests.support.images import factored_jpeg

FACTORS = {
    name: getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{name}")
    for name in ("444", "422", "440", "420", "411")
}
# Others, which OpenCV does not write: of luma and of chroma, across and down.
ANY_FACTORS = {
    "410": ((4, 2), (1, 1), (1, 1)),
    "441": ((1, 4), (1, 1), (1, 1)),
    "311": ((3, 1), (1, 1), (1, 1)),
    "444 twice": ((2, 1), (2, 1), (2, 1)),
    "422 twice": ((2, 2), (1, 2), (1, 2)),
    "440 twice": ((2, 2), (2, 1), (2, 1)),
    "four rows": ((1, 4), (1, 2), (1, 2)),
    "gray 2 x 2": ((2, 2),),
    "gray 1 x 3": ((1, 3),),
}
SAMPLINGS = (*FACTORS, *ANY_FACTORS)
CONTENTS = ("smooth", "noise", "flat", "edges")
COLORS = ("RGB", "BGR", "GRAY")


@dataclass(frozen=True)
class Jpeg:
    """Content and encoding of an image."""

    height: int
    width: int
    content: str
    is_gray: bool
    sampling: str
    quality: int
    optimize: bool
    restart_interval: int
    seed: int

    @functools.cached_property
    def encoded(self) -> bytes:
        if self.sampling in ANY_FACTORS:
            options = {
                "quality": self.quality,
                "restart_marker_blocks": self.restart_interval,
                "optimize": self.optimize,
            }
            return factored_jpeg(
                self.height, self.width, ANY_FACTORS[self.sampling], seed=self.seed, **options
            )
        flags = {
            cv2.IMWRITE_JPEG_QUALITY: self.quality,
            cv2.IMWRITE_JPEG_RST_INTERVAL: self.restart_interval,
            cv2.IMWRITE_JPEG_OPTIMIZE: int(self.optimize),
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR: FACTORS[self.sampling],
        }
        return cv2.imencode(
            ".jpg", _drawn(self), [number for flag in flags.items() for number in flag]
        )[1].tobytes()


def _drawn(jpeg: Jpeg) -> npt.NDArray[np.uint8]:
    random = np.random.default_rng(jpeg.seed)
    shape = (jpeg.height, jpeg.width, 1 if jpeg.is_gray else 3)
    if jpeg.content == "noise":
        return random.integers(0, 256, shape, np.uint8)
    if jpeg.content == "flat":
        return np.broadcast_to(random.integers(0, 256, shape[2], np.uint8), shape).copy()
    if jpeg.content == "edges":
        coarse = random.integers(
            0, 2, (shape[0] // 5 + 1, shape[1] // 5 + 1, shape[2]), np.uint8
        ) * np.uint8(255)
        return coarse.repeat(5, axis=0).repeat(5, axis=1)[: shape[0], : shape[1]]
    coarse = random.integers(0, 256, (shape[0] // 16 + 2, shape[1] // 16 + 2, shape[2])).astype(
        np.float32
    )
    smooth = cv2.resize(coarse, shape[1::-1], interpolation=cv2.INTER_CUBIC).reshape(shape)
    return np.clip(smooth + random.normal(0, 4, shape), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Wish:
    """How an image is decoded: a box in thousandths of the image, a scale, colors, vectors."""

    box: tuple[int, int, int, int] | None
    color: str
    vectors: bool
    smaller: int = 1


JPEGS = st.builds(
    Jpeg,
    st.integers(1, 200),
    st.integers(1, 200),
    st.sampled_from(CONTENTS),
    st.booleans(),
    st.sampled_from((*FACTORS, *FACTORS, *ANY_FACTORS)),
    st.integers(1, 100),
    st.booleans(),
    st.sampled_from((0, 0, 1, 2, 3, 7, 25)),
    st.integers(0, 2**32 - 1),
)
WISHES = st.builds(
    Wish,
    st.none() | st.tuples(*[st.integers(0, 999)] * 4),
    st.sampled_from(COLORS),
    st.sampled_from((True, True, False)),
    st.sampled_from((1, 1, 1, 2, 4, 8)),
)


def _part(limit: int, begin: int, extent: int) -> tuple[int, int]:
    first = begin * limit // 1000
    return first, 1 + extent * (limit - first - 1) // 1000


def _decoded(jpeg: Jpeg, wish: Wish, use: str) -> tuple[npt.NDArray[np.uint8], int]:
    (x, width), (y, height) = (0, jpeg.width), (0, jpeg.height)
    if wish.box is not None:
        (x, width), (y, height) = (
            _part(jpeg.width, *wish.box[:2]),
            _part(jpeg.height, *wish.box[2:]),
        )
    size = max(1, height // wish.smaller), max(1, width // wish.smaller)
    out = np.full((*size, 1 if wish.color == "GRAY" else 3), 99, np.uint8)
    job = batch(
        [jpeg.encoded],
        view_of(width, height, x=x, y=y),
        [out],
        color=wish.color,
        may_reduce=wish.smaller > 1,
    )
    use_sequential(use)
    failures = run_all(job)
    assert not failures, failures
    return out, job.num_sequential()


@contextlib.contextmanager
def _kernels_as_they_were() -> Iterator[None]:
    try:
        yield
    finally:
        use_sequential("where it pays")
        allow_vectors(512)


def compare(jpeg: Jpeg, wish: Wish) -> bool:
    """Asserts that the pixels are the same; returns whether fastpack's own decoder made them."""
    with _kernels_as_they_were():
        allow_vectors(512 if wish.vectors else 0)
        ours, is_own = _decoded(jpeg, wish, "always")
        theirs, _ = _decoded(jpeg, wish, "never")
    np.testing.assert_array_equal(ours, theirs)
    return bool(is_own)


def run(count: int, start: int) -> Counter[str]:
    """Counts compared images of fastpack's own decoder by sampling; "left" counts the others."""
    seen: Counter[str] = Counter()

    @seed(start)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(JPEGS, WISHES)
    def check(jpeg: Jpeg, wish: Wish) -> None:
        is_own = compare(jpeg, wish)
        seen["gray" if jpeg.is_gray and jpeg.sampling in FACTORS else jpeg.sampling] += is_own
        seen["left"] += not is_own

    check()
    return seen


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.process_time()
    counts = run(arguments.count, arguments.seed)
    left, took = counts.pop("left"), time.process_time() - started
    print(
        f"{counts.total():,} images, all pixels equal: {dict(counts)}; "
        f"{left:,} left to libjpeg-turbo; {took:.0f} s"
    )
