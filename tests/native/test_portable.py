"""The JPEG kernels, compiled for other processors, give libjpeg-turbo's pixels byte for byte.

Skipped without a cross compiler and an emulator. On Debian: apt-get install gcc-aarch64-linux-gnu
libc6-dev-arm64-cross qemu-user.
"""

import shutil
import subprocess
from pathlib import Path

import cv2
import pytest

from tests.support.images import factored_jpeg, jpeg, read_pillow, sampled_jpeg
from tests.support.paths import ROOT

KERNELS = ROOT / "src_cython" / "kernels"
SOURCES = [
    "crc32c",
    "entropy",
    "huffman",
    "idct",
    "seek_points",
    "sequential",
    "span",
    "status",
    "upsample",
    "vectors",
    "ycc",
]
SOURCES += ["geometry", "resample", "weights"]  # these are only compiled
# A processor's compiler, and what runs its programs.
PROCESSORS = {"this one": ("cc", []), "aarch64": ("aarch64-linux-gnu-gcc", ["qemu-aarch64"])}
IMAGES = {
    "4:4:4": jpeg(75, 131, quality=90, subsampling=0),
    "4:1:1": factored_jpeg(75, 131, ((4, 1), (1, 1), (1, 1))),
    "4:2:2": jpeg(75, 131, subsampling=1, optimize=True),
    "4:2:0": jpeg(75, 131, subsampling=2, restart_marker_blocks=2),
    "4:4:0": sampled_jpeg(75, 131, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440),
    "gray": jpeg(75, 131, channels=1, quality=30),
    "noise": jpeg(64, 64, quality=100),
}


@pytest.fixture(scope="module", params=PROCESSORS)
def program(request, tmp_path_factory) -> list[str]:
    compiler, emulator = PROCESSORS[request.param]
    for name in (compiler, *emulator):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
    out = tmp_path_factory.mktemp("portable") / "pixels"
    sources = [path for name in SOURCES if (path := KERNELS / f"{name}.c").exists()]
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-iquote", str(KERNELS)]
    subprocess.run(
        [compiler, *flags, Path(__file__).with_name("pixels.c"), *sources, "-lm", "-o", out],
        check=True,
    )
    return [*emulator, str(out)]


@pytest.mark.parametrize("plain", [0, 1])
@pytest.mark.parametrize("name", IMAGES)
def test_pixels_are_the_same_everywhere(program, name, plain, tmp_path):
    (tmp_path / "image.jpg").write_bytes(IMAGES[name])
    made = subprocess.run(
        [*program, str(tmp_path / "image.jpg"), str(plain)], check=True, capture_output=True
    )
    assert made.stdout == read_pillow(IMAGES[name]).tobytes()
