"""A scratch disk that is too small for all shards of a pack to a store, or for one."""

import errno

import pytest

import fastpack
from fastpack.errors import UnreadableFileError
from tests.support.small_disk import (
    DISK_BYTES,
    IMAGE_BYTES,
    NUM_IMAGES,
    disk,
    needs_root,
    photos,
)
from tests.support.stores.bucket import Bucket

pytest.importorskip("obstore", reason="pip install obstore")
pytestmark = needs_root
__all__ = ["disk", "photos"]


@pytest.fixture
def bucket(servers, disk):
    return Bucket(servers["seaweedfs"], disk)


def test_a_disk_for_some_shards(bucket, photos, tmp_path):
    """All shards together take several times the disk."""
    copies = tmp_path / "copies"
    for number in range(5):
        (copies / f"{number}").mkdir(parents=True)
        for path in photos.iterdir():
            (copies / f"{number}" / path.name).write_bytes(path.read_bytes())
    assert 5 * NUM_IMAGES * IMAGE_BYTES > 2 * DISK_BYTES
    result = bucket.pack(copies, shards=20, memory="1MB")
    assert result.num_samples == 5 * NUM_IMAGES
    assert len(bucket.shards()) == 20
    assert list(bucket.scratch.iterdir()) == []


def test_a_shard_that_is_too_large(bucket, photos, tmp_path):
    large = tmp_path / "large"
    large.mkdir()
    for path in photos.iterdir():
        (large / path.name).write_bytes(path.read_bytes() + bytes(IMAGE_BYTES))
    with pytest.raises(
        UnreadableFileError, match=r"too little space.*choose another disk"
    ) as raised:
        bucket.pack(large, shards=1)
    assert raised.value.errno == errno.ENOSPC
    assert bucket.names() == []
    bucket.pack(large, shards=8, memory="1MB")
    assert len(fastpack.open(bucket.folder / "train.tfrecord")) == NUM_IMAGES
