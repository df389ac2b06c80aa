"""A disk of 8 MiB, and photos of which it cannot hold two sets."""

import os
import subprocess
import sys

import pytest

from tests.support.images import jpeg

needs_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root mounts a disk"
)
DISK_BYTES = 8 * 2**20
NUM_IMAGES, IMAGE_BYTES = 48, 100_000


@pytest.fixture
def disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder],
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number in range(NUM_IMAGES):
        image = jpeg(40, 50, seed=number)
        (folder / f"{number:02}.jpg").write_bytes(
            image + bytes(IMAGE_BYTES - len(image))
        )  # a file may have more after its end
    return folder
