"""Images in a store are packed as from disk; what fails for good is named."""

import pytest

import fastpack
from fastpack.errors import ChangedFileError, FastpackError, StoreError
from fastpack.files.file_names import path_of
from tests.support.stores import faults
from tests.support.stores.faults import Fault, Rule
from tests.support.stores.sets import make_images


@pytest.fixture
def images(reachable, tmp_path):
    """A server with the images of a local folder, and their URL there."""
    server = reachable("seaweedfs")
    local, folder = make_images(tmp_path / "images"), tmp_path.name
    for path in local.rglob("*.jpg"):
        server.put(f"{folder}/images/{path.relative_to(local)}", path.read_bytes())
    fastpack.pack(local, tmp_path / "local.tfrecord")
    return server, f"{server.url}/{folder}/images"


def packed(url, tmp_path) -> bool:
    """Packs, and returns True if the file is that of the local folder."""
    fastpack.pack(url, tmp_path / "stored.tfrecord", overwrite=True)
    one, other = tmp_path / "local.tfrecord", tmp_path / "stored.tfrecord"
    return one.read_bytes() == other.read_bytes()


def test_one_listing_and_one_get_for_each(images, tmp_path):
    server, url = images
    assert packed(url, tmp_path)
    counts = server.proxy.counts()
    assert (counts["get"], counts["list"]) == (40, 1)


@pytest.mark.parametrize(
    "fault",
    [faults.SLOW_DOWN, faults.INTERNAL_ERROR, Fault(hang_up=True), Fault(cut_after=9)],
    ids=["503", "500", "hang up", "cut"],
)
def test_a_storm_passes(images, tmp_path, fault):
    server, url = images
    server.proxy.rules.set(Rule(fault, kinds=("get", "list"), probability=0.3, seed=18))
    assert packed(url, tmp_path)


def test_no_permission(images, tmp_path):
    server, url = images
    server.proxy.rules.set(Rule(faults.ACCESS_DENIED, keys="*/b/07.jpg", kinds=("get",)))
    with pytest.raises(StoreError, match=rf"refuses access.*{url}/b/07.jpg"):
        packed(url, tmp_path)
    server.proxy.rules.set(Rule(faults.ACCESS_DENIED, kinds=("list",)))
    with pytest.raises(FastpackError, match=rf"refuses access.*{url}"):
        packed(url, tmp_path)
    assert not (tmp_path / "stored.tfrecord").exists()


def test_an_object_that_becomes_another_while_packing(images, tmp_path):
    server, url = images
    key = f"{tmp_path.name}/images/b/07.jpg"
    other = server.read(f"{tmp_path.name}/images/a/00.jpg")
    replace = Fault(act=lambda request: server.put(key, other))
    server.proxy.rules.set(Rule(replace, keys=key, kinds=("get",), count=1))
    with pytest.raises(ChangedFileError, match=f"{url}/b/07.jpg"):
        packed(url, tmp_path)


def test_names_that_are_odd(images, tmp_path):
    server, url = images
    local = tmp_path / "images"
    for name in ("a/x y.jpg", "a/100%.jpg", "a/ä+b&c.jpg", "a/.hidden.jpg", "a/07.txt"):
        (local / name).write_bytes(data := (local / "a" / "00.jpg").read_bytes())
        server.put(f"{tmp_path.name}/images/{name}", data)
    fastpack.pack(local, tmp_path / "local.tfrecord", overwrite=True)
    assert packed(url, tmp_path)
    found = fastpack.from_folder(url)
    assert found.notes == tuple(
        note.replace(str(local), url) for note in fastpack.from_folder(local).notes
    )
    assert str(path_of("url", url)) == url
