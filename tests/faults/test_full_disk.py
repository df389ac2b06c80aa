"""A disk that is really full: no partial shard, a clear error, and a pack that resumes."""

import errno
import os

import pytest

import fastpack
from fastpack.errors import FastpackError
from fastpack.files.companions import is_beside
from tests.support.small_disk import disk, needs_root, photos

pytestmark = needs_root
__all__ = ["disk", "photos"]


@pytest.fixture(scope="module", params=["tfrecord", "h5"])
def expected(request, photos, tmp_path_factory):
    """Name -> bytes of an undisturbed pack."""
    folder = tmp_path_factory.mktemp("expected")
    pack(photos, folder / f"x.{request.param}")
    return shards_in(folder)


def pack(photos, output, **about):
    # Little memory: then the disk fills up in the middle of a shard, not with its only batch.
    fastpack.pack(photos, output, fastpack.PackOptions(shards=2, memory="1MB"), **about)


def shards_in(folder):
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if not is_beside(path) and path.is_file()
    }


def fill(disk, leave_bytes):
    """Fills the disk except for `leave_bytes`."""
    space = os.statvfs(disk)
    (disk / "ballast").write_bytes(bytes(max(0, space.f_bavail * space.f_frsize - leave_bytes)))


def refused(photos, disk, output, **about):
    with pytest.raises(FastpackError, match=rf"(too little space|No space left).*{disk}") as caught:
        pack(photos, output, **about)
    assert caught.value.errno == errno.ENOSPC
    assert not [name for name in shards_in(disk) if name != "ballast"]  # nothing under a final name


def goes_on(photos, disk, output, expected):
    (disk / "ballast").unlink()
    pack(photos, output, resume=True)
    assert shards_in(disk) == expected
    beside = {".fpindex", ".manifest"}
    assert {path.suffix for path in disk.iterdir()} == {output.suffix, *beside}  # no staging folder


# Nothing; the plan alone; less than a shard; its images without headers; slightly more than a
# shard; nearly all.
@pytest.mark.parametrize(
    "leave_bytes",
    [0, 8192, 1_000_000, 2_402_000, 2_405_000, 2_500_000, 3_500_000, 4_802_000, 4_806_000],
)
def test_little_room(photos, disk, expected, leave_bytes):
    output = disk / f"x.{next(iter(expected)).partition('.')[2]}"
    fill(disk, leave_bytes)
    refused(photos, disk, output)
    goes_on(photos, disk, output, expected)


@pytest.mark.parametrize("num_done", [1, 20, 30, 47])
def test_another_program_fills_the_disk(photos, disk, expected, num_done):
    output = disk / f"x.{next(iter(expected)).partition('.')[2]}"

    def take(samples_done, samples, bytes_done):
        if samples_done >= num_done and not (disk / "ballast").exists():
            fill(disk, 0)

    refused(photos, disk, output, progress=take)
    goes_on(photos, disk, output, expected)
