"""Every store keeps the promises of Store, whatever server it is."""

import os
import time

import pytest

from fastpack.errors import (
    ChangedFileError,
    FastpackError,
    MissingFileError,
    OutputExistsError,
    StoreError,
    TruncatedFileError,
)
from fastpack.stores.registry import store_of

READABLE = ["seaweedfs", "moto", "moto-as-gcs", "azurite", "nginx", "rclone-http"]
BUCKETS = ["seaweedfs", "rclone", "moto", "moto-as-gcs", "azurite"]
HONEST = ["seaweedfs", "moto", "azurite"]
ODD_NAMES = [
    "plain.tfrecord",
    "with space.tar",
    "ünï/çødé-図.h5",
    "100%",
    "a%20b",
    "a+b=c&d",
    "what?x=1",
    "#1",
    "semi;colon,comma",
    "it's",
    "(round)[square]{curly}",
    "tilde~at@dollar$",
    "colon:star*",
    "=",
    ".hidden",
    "a..b",
    "deep/" * 20 + "end",
    "x" * 200,
]


@pytest.fixture(params=READABLE)
def readable(request, reach):
    return reach(request.param)


@pytest.fixture(params=BUCKETS)
def bucket(request, reach):
    return reach(request.param)


@pytest.fixture(params=HONEST)
def honest(request, reach):
    return reach(request.param)


@pytest.mark.parametrize("name", ODD_NAMES, ids=lambda name: name[:24])
def test_names_are_kept(readable, name):
    data = os.urandom(100)
    key = readable.put(name, data)
    assert readable.store.facts(key).key == key
    assert readable.store.facts(key).size == 100
    assert readable.store.read(key) == data
    (part,) = readable.store.read_ranges(key, [3], [50])
    assert bytes(part) == data[3:50]


@pytest.mark.parametrize("name", ODD_NAMES, ids=lambda name: name[:24])
def test_names_are_written_and_deleted(bucket, name):
    bucket.store.put(bucket.key(name), b"data")
    bucket.put("zz")
    assert bucket.names() == sorted([name, "zz"])
    assert bucket.server.read(bucket.key(name)) == b"data"
    bucket.store.delete([bucket.key(name)])
    assert bucket.names() == ["zz"]


def test_facts(readable):
    key = readable.put("a", b"x" * 1000)
    facts = readable.store.facts(key)
    assert (facts.key, facts.size) == (key, 1000)
    assert abs(facts.mtime_ns / 1e9 - time.time()) < 600


def test_facts_do_not_change_while_the_object_does_not(honest):
    key = honest.put("a")
    assert honest.store.facts(key) == honest.store.facts(key)
    (listed,) = honest.store.list_objects(f"{honest.prefix}/")
    assert listed == honest.store.facts(key)


def test_the_etag_changes_with_the_content(bucket):
    key = bucket.put("a", b"one")
    before = bucket.store.facts(key).etag
    bucket.put("a", b"two")
    assert "" != bucket.store.facts(key).etag != before


def test_listing(bucket):
    names = ["a", "b/1", "b/2", "b/c/d", "b-x", "bb", "z"]
    for name in names:
        bucket.put(name, name.encode())
    keys = [bucket.key(name) for name in names]
    found = [*bucket.store.list_objects(f"{bucket.prefix}/")]
    assert [facts.key for facts in found] == sorted(keys)
    assert [facts.size for facts in found] == [
        len(key) - len(bucket.key("")) for key in sorted(keys)
    ]
    starting = [facts.key for facts in bucket.store.list_objects(bucket.key("b"))]
    assert starting == sorted(bucket.key(name) for name in names if name.startswith("b"))
    assert [*bucket.store.list_objects(bucket.key("nothing"))] == []


def test_listing_of_a_folder(bucket):
    for name in ("f/a", "f/b/1", "f/c/2/3", "f/z", "fa", "g/x"):
        bucket.put(name)
    objects, folders = bucket.store.list_folder(bucket.key("f/"))
    assert [facts.key for facts in objects] == [bucket.key("f/a"), bucket.key("f/z")]
    assert folders == ["b", "c"]
    assert bucket.store.list_folder(bucket.key("nothing/")) == ([], [])


def test_odd_names_are_listed(bucket):
    for name in ODD_NAMES:
        bucket.put(name)
    found = [facts.key for facts in bucket.store.list_objects(f"{bucket.prefix}/")]
    assert found == sorted(bucket.key(name) for name in ODD_NAMES)
    for key in found:
        assert bucket.store.facts(key).size == 10


def test_more_objects_than_a_page_of_the_listing(reach):
    moto = reach("moto")
    names = [f"{number:05}" for number in range(1203)]
    for name in names:
        moto.put(name, b"")
    found = [facts.key for facts in moto.store.list_objects(f"{moto.prefix}/")]
    assert found == [moto.key(name) for name in names]


RANGES = {
    "none": [],
    "one byte": [(0, 1)],
    "last byte": [(9_999, 10_000)],
    "suffix": [(9_000, 10_000)],
    "all": [(0, 10_000)],
    "empty": [(5, 5)],
    "empty among others": [(0, 4), (7, 7), (9, 12)],
    "overlapping": [(0, 100), (50, 150), (50, 150), (99, 100)],
    "backwards": [(500, 600), (100, 200), (0, 1)],
    "many": [(start, start + 13) for start in range(0, 9_900, 97)],
}


@pytest.mark.parametrize("ranges", RANGES.values(), ids=RANGES)
def test_ranges(readable, ranges):
    data = os.urandom(10_000)
    key = readable.put("a", data)
    etag = readable.store.facts(key).etag
    starts, ends = [start for start, _ in ranges], [end for _, end in ranges]
    for known in ("", etag):
        buffers = readable.store.read_ranges(key, starts, ends, known)
        assert [bytes(each) for each in buffers] == [data[start:end] for start, end in ranges]


@pytest.mark.parametrize("ranges", [[(5, 11)], [(10, 12)], [(0, 4), (20, 30)], [(20, 30), (0, 4)]])
def test_ranges_past_the_end(readable, ranges):
    key = readable.put("a", b"0123456789")
    with pytest.raises(TruncatedFileError, match="ends before byte") as raised:
        readable.store.read_ranges(key, *([*each] for each in zip(*ranges, strict=True)))
    assert key in str(raised.value)


def test_empty_objects(readable):
    key = readable.put("empty", b"")
    assert readable.store.facts(key).size == 0
    assert readable.store.read(key) == b""
    assert [*map(bytes, readable.store.read_ranges(key, [0], [0]))] == [b""]


def test_whole_objects(readable):
    data = os.urandom(3_000_000)
    key = readable.put("a", data)
    assert readable.store.read(key) == data
    assert readable.store.read(key, readable.store.facts(key).etag) == data


def test_another_etag_is_refused(bucket):
    key = bucket.put("a", b"first content")
    etag = bucket.store.facts(key).etag
    bucket.put("a", b"other content")
    with pytest.raises(ChangedFileError) as raised:
        bucket.store.read(key, etag)
    assert key in str(raised.value)


def test_ranges_of_another_etag_are_refused(honest):
    key = honest.put("a", b"first content")
    etag = honest.store.facts(key).etag
    honest.put("a", b"other content")
    with pytest.raises(ChangedFileError) as raised:
        honest.store.read_ranges(key, [0, 3], [2, 5], etag)
    assert key in str(raised.value)


def test_a_store_without_ranges_is_named(reach):
    rclone = reach("rclone")  # it answers 200, with a part of the object
    key = rclone.put("a")
    with pytest.raises(StoreError, match="range") as raised:
        rclone.store.read_ranges(key, [2], [5])
    assert key in str(raised.value)


def test_put(bucket):
    key = bucket.key("a")
    first = bucket.store.put(key, b"one")
    assert bucket.server.read(key) == b"one"
    assert first.etag == bucket.store.facts(key).etag
    second = bucket.store.put(key, b"three")
    assert bucket.server.read(key) == b"three"
    assert second.etag == bucket.store.facts(key).etag != first.etag
    assert (second.key, second.size) == (key, 5)


@pytest.mark.parametrize("name", [*HONEST, "moto-as-gcs"])
def test_put_if_absent(reach, name):
    honest = reach(name)
    key = honest.key("a")
    facts = honest.store.put(key, b"one", if_absent=True)
    assert facts.etag == honest.store.facts(key).etag
    with pytest.raises(OutputExistsError) as raised:
        honest.store.put(key, b"two", if_absent=True)
    assert key in str(raised.value)
    assert honest.server.read(key) == b"one"


def test_put_if_match(honest):
    key = honest.key("a")
    first = honest.store.put(key, b"one")
    second = honest.store.put(key, b"two", if_match=first.etag)
    assert honest.server.read(key) == b"two"
    with pytest.raises(ChangedFileError) as raised:
        honest.store.put(key, b"three", if_match=first.etag)
    assert key in str(raised.value)
    assert honest.server.read(key) == b"two"
    assert honest.store.facts(key).etag == second.etag


def test_put_if_match_of_a_missing_object(honest):
    with pytest.raises((ChangedFileError, MissingFileError)):
        honest.store.put(honest.key("a"), b"one", if_match='"5d41402abc4b2a76b9719d911017c592"')
    assert honest.names() == []


@pytest.mark.parametrize("size", [0, 1, 5 << 20, (8 << 20) - 1, 8 << 20])
def test_uploads(bucket, tmp_path, size):
    check_upload(bucket, tmp_path / "shard", size)


@pytest.mark.parametrize("size", [(8 << 20) + 1, 16 << 20, 40 << 20])
def test_uploads_in_parts(honest, tmp_path, size):
    check_upload(honest, tmp_path / "shard", size)


def check_upload(reached, path, size):
    path.write_bytes(data := os.urandom(size))
    seen = []
    facts = reached.store.upload(reached.key("a"), path, progress=lambda *done: seen.append(done))
    assert reached.server.read(reached.key("a")) == data
    assert facts.size == size
    assert facts.etag == reached.store.facts(reached.key("a")).etag
    assert seen[-1:] == [(size, size)]


def test_an_upload_in_parts_to_a_store_without_ranges(reach, tmp_path):
    """Its etag is not the one of the parts, and the object cannot be read back."""
    with pytest.raises(StoreError, match="ignores byte ranges"):
        check_upload(reach("rclone"), tmp_path / "shard", 17 << 20)


def test_uploads_replace(bucket, tmp_path):
    path = tmp_path / "shard"
    path.write_bytes(b"new")
    bucket.put("a", b"old")
    bucket.store.upload(bucket.key("a"), path)
    assert bucket.server.read(bucket.key("a")) == b"new"


def test_delete(bucket):
    keys = [bucket.put(f"{number:04}", b"") for number in range(30)]
    bucket.store.delete(keys[1:])
    assert bucket.names() == ["0000"]
    bucket.store.delete([keys[5], keys[0]])  # one of them is missing
    assert bucket.names() == []
    bucket.store.delete([])


def test_missing_objects(readable):
    readable.put("there")
    key = readable.key("not-there")
    for read in (
        lambda: readable.store.facts(key),
        lambda: readable.store.read(key),
        lambda: readable.store.read_ranges(key, [0], [100]),
        lambda: readable.store.read_ranges(key, [0, 0], [100, 5]),
    ):
        with pytest.raises(MissingFileError) as raised:
            read()
        assert key in str(raised.value)


@pytest.mark.parametrize("name", ["nginx", "rclone-http"])
def test_what_http_cannot_do(reach, name):
    http = reach(name)
    key = http.put("a")
    for call in (
        lambda: http.store.put(http.key("b"), b"data"),
        lambda: [*http.store.list_objects(http.prefix)],
        lambda: http.store.list_folder(f"{http.prefix}/"),
        lambda: http.store.delete([key]),
    ):
        with pytest.raises(FastpackError, match="http") as raised:
            call()
        assert http.server.url in str(raised.value)
    assert http.names() == ["a"]


def test_https(reach):
    nginx = reach("nginx")
    key = nginx.put("a", b"0123456789")
    url = f"{nginx.server.secure_url}/{key}"
    store, key = store_of(url, {"allow_invalid_certificates": True})
    assert store.read(key) == b"0123456789"
    assert [*map(bytes, store.read_ranges(key, [2, 8], [4, 10]))] == [b"23", b"89"]


def test_an_unknown_certificate_is_refused(reach):
    nginx = reach("nginx")
    key = nginx.put("a", b"0123456789")
    store, key = store_of(f"{nginx.server.secure_url}/{key}", {"deadline": 2})
    with pytest.raises(FastpackError, match=nginx.server.secure_url):
        store.read(key)


# Clients of Azure and GCS take no permission for plain HTTP from the environment.
@pytest.mark.parametrize("name", ["seaweedfs", "rclone", "moto", "nginx", "rclone-http"])
def test_the_environment_is_enough(reachable, name):
    server = reachable(name)
    server.put("environment/a", b"0123456789")
    store, key = store_of(f"{server.url}/environment/a")
    assert store.read(key) == b"0123456789"
    if not server.is_read_only:
        store.put("environment/b", b"data")
        assert server.read("environment/b") == b"data"


def test_plain_http_needs_permission(reach):
    azurite = reach("azurite", allow_http=False)
    with pytest.raises(StoreError, match="allow_http=True in storage_options") as raised:
        azurite.store.read("a")
    assert f"{azurite.server.url}/a" in str(raised.value)
