"""status: committed, missing, stale and orphaned objects of a set in a store."""

import json

import pytest

from fastpack.errors import OptionError, StagingBusyError, StoreError
from fastpack.integrity.set_status import set_status
from fastpack.packing import claim
from fastpack.stores.store_path import StorePath
from fastpack.stores.unfinished import UnfinishedUpload
from tests.support.command_line import run
from tests.support.images import jpeg
from tests.support.stores.bucket import Bucket
from tests.support.stores.faults import ACCESS_DENIED, Rule

pytest.importorskip("obstore", reason="pip install obstore")


@pytest.fixture
def photos(tmp_path):
    for number in range(6):
        path = tmp_path / "photos" / ("cat", "dog")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(40, 50, seed=number))
    return tmp_path / "photos"


@pytest.fixture
def bucket(servers, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "scratch").mkdir()
    return Bucket(servers["seaweedfs"], tmp_path / "scratch")


def status(bucket, **options):
    return set_status(bucket.folder / "train.tfrecord", **options)


class Stop(BaseException):
    pass


def interrupted(bucket, photos, **options):
    """Packs until a shard is uploaded."""

    def stop(done, *_):
        if done >= 3:
            while "shard-00000.json" not in str(bucket.names()):
                pass
            raise Stop

    with pytest.raises(Stop):
        bucket.pack(photos, num_workers=1, progress=stop, **options)


def test_a_whole_set(bucket, photos):
    bucket.pack(photos)
    found = status(bucket)
    assert found.is_sound
    assert found.has_manifest
    assert found.committed == tuple(f"train-0000{number}-of-00003.tfrecord" for number in range(3))
    assert (found.num_samples, found.interrupted) == (6, "")
    assert not (*found.missing, *found.stale, *found.orphaned, *found.others)


def test_missing_and_stale_shards(bucket, photos):
    bucket.pack(photos)
    bucket.server.delete(f"{bucket.prefix}/train-00000-of-00003.tfrecord")
    bucket.server.delete(f"{bucket.prefix}/train-00002-of-00003.tfrecord.fpindex")
    bucket.server.put(f"{bucket.prefix}/train-00001-of-00003.tfrecord", b"other")
    found = status(bucket, clean=True)
    assert not found.is_sound
    assert found.missing == (
        "train-00000-of-00003.tfrecord",
        "train-00002-of-00003.tfrecord.fpindex",
    )
    assert found.stale == ("train-00001-of-00003.tfrecord",)
    assert found.removed == ()


def test_objects_of_others_stay(bucket, photos):
    """An object is deleted only if a sign shows that fastpack wrote it."""
    theirs = ["train-00000-of-00002.tfrecord", "train.tfrecord", "train-x.tfrecord"]
    for name in theirs:
        bucket.server.put(f"{bucket.prefix}/{name}", b"theirs")
    found = status(bucket, clean=True)
    assert not found.has_manifest
    assert found.others == tuple(sorted(theirs[:2]))
    assert found.removed == ()
    assert bucket.names() == sorted(theirs)


def test_an_interrupted_pack(bucket, photos):
    interrupted(bucket, photos)
    found = status(bucket)
    assert found.interrupted == "a pack has uploaded 1 of 3 shards"
    assert not found.has_manifest
    assert not found.is_running
    assert "train-00000-of-00003.tfrecord" in found.orphaned
    removed = status(bucket, clean=True).removed
    assert set(found.orphaned) <= set(removed)
    assert bucket.names() == []
    bucket.pack(photos, resume=True)
    assert len(bucket.shards()) == 3


def test_cleaning_keeps_the_committed_set(bucket, photos):
    bucket.pack(photos, include=["cat/*"])
    old = bucket.shards()
    interrupted(bucket, photos, overwrite=True, exclude=["cat/0*"])
    found = status(bucket)
    assert found.committed == tuple(old)
    assert any(name.count(".") == 2 for name in found.orphaned)
    status(bucket, clean=True)
    assert bucket.shards() == old
    assert len(bucket.names()) == 7


def test_a_set_whose_old_objects_were_not_deleted(bucket, photos):
    """As after a kill: `clean` deletes what the completed pack had to."""
    bucket.pack(photos, include=["cat/*"])
    bucket.faults(Rule(ACCESS_DENIED, ("delete",), skip=1))
    with pytest.raises(StoreError):
        bucket.pack(photos, overwrite=True)
    bucket.faults()
    bucket.server.delete(f"{bucket.prefix}/.train.tfrecord.packing/claim.json")
    new = bucket.shards()
    assert len(status(bucket).orphaned) > 4
    assert len(status(bucket, clean=True).committed) == 3
    assert bucket.shards() == new
    assert len(bucket.names()) == 7


def test_a_running_pack_is_not_cleaned(bucket, photos, monkeypatch):
    seen = []

    def look(done, *_):
        seen.append(status(bucket))
        with pytest.raises(StagingBusyError, match=r"process \d+ on .*wait for its end"):
            status(bucket, clean=True)

    bucket.pack(photos, progress=look)
    assert all(each.is_running and not each.orphaned for each in seen)
    bucket.server.put(f"{bucket.prefix}/.train.tfrecord.packing/claim.json", b"{}")
    assert status(bucket).is_running
    monkeypatch.setattr("fastpack.integrity.set_status.LIFE_SECONDS", -5)
    assert status(bucket, clean=True).removed == (".train.tfrecord.packing/claim.json",)
    assert claim.LIFE_SECONDS == 60


def test_unfinished_uploads(bucket, photos, monkeypatch):
    bucket.pack(photos)
    uploads = [
        UnfinishedUpload(name, f"{bucket.prefix}/{name}", "7")
        for name in ("train-00007-of-00009.tfrecord", "other.tfrecord")
    ]
    aborted = []
    module = "fastpack.integrity.set_status"
    monkeypatch.setattr(f"{module}.unfinished_uploads", lambda folder: uploads)
    monkeypatch.setattr(f"{module}.abort_upload", lambda folder, upload: aborted.append(upload))
    assert status(bucket).uploads == ("train-00007-of-00009.tfrecord",)
    assert status(bucket, clean=True).removed == ("train-00007-of-00009.tfrecord",)
    assert aborted == uploads[:1]


def test_unfinished_uploads_at_a_server(servers, bucket, tmp_path):
    pytest.importorskip("boto3", reason="pip install boto3")
    from fastpack.stores.unfinished import abort_upload, unfinished_uploads

    begun = bucket.server.client.create_multipart_upload(
        Bucket=bucket.server.bucket, Key=f"{bucket.prefix}/train.tfrecord"
    )
    (found,) = unfinished_uploads(bucket.folder)
    assert (found.name, found.number) == ("train.tfrecord", begun["UploadId"])
    abort_upload(bucket.folder, found)
    assert unfinished_uploads(bucket.folder) == []


def test_the_command(bucket, photos, monkeypatch, tmp_path):
    for name, value in bucket.server.environment.items():
        monkeypatch.setenv(name, value)
    url = f"{bucket.server.url}/{bucket.prefix}/train.tfrecord"
    assert "there is no manifest" in run("status", url).stdout
    run("pack", photos, "-o", url, "--shards", 2, "--scratch", tmp_path / "scratch")
    assert f"{url}: 2 shards committed, 6 samples" in run("status", url).stdout
    bucket.server.delete(f"{bucket.prefix}/train-00000-of-00002.tfrecord")
    result = run("status", url)
    assert result.exit_code == 1
    assert "missing (restore them, or pack again):\n  train-00000-of-00002" in result.stdout
    facts = json.loads(run("status", url, "--json").stdout)
    assert facts["missing"] == ["train-00000-of-00002.tfrecord"]
    assert run("status", photos).exit_code == 2


def test_a_url_without_a_name(bucket):
    with pytest.raises(OptionError, match="no name of a set"):
        set_status(StorePath("s3://bucket", ""))
