"""Opening sets in stores: each way to name one, with and without what fastpack saves beside it."""

import time

import numpy as np
import pytest

import fastpack
from fastpack.errors import (
    ChangedFileError,
    EmptySourceError,
    MissingFileError,
    MixedSetError,
    OptionError,
)
from tests.support.stores.sets import ENDINGS, NUM_SAMPLES, NUM_SHARDS


def assert_same(reader, other):
    assert len(reader) == len(other)
    assert reader.schema == other.schema
    assert np.array_equal(reader.columns["label"], other.columns["label"])
    batch, expected = reader.read(range(len(other))), other.read(range(len(other)))
    for image, same in zip(batch["image"], expected["image"], strict=True):
        assert np.array_equal(image, same)


@pytest.mark.parametrize("companions", [True, False])
@pytest.mark.parametrize("format", ENDINGS)
def test_a_set_is_the_same_as_on_disk(copy, format, companions):
    stored = copy(format, companions=companions)
    local = stored.opened_locally()
    ending = stored.local.suffix
    for what in (stored.local.name, f"train-*{ending}", f"train-0000?-of-*{ending}", ""):
        assert_same(stored.open(what), local)
    urls = [f"{stored.server.url}/{stored.key(path.name)}" for path in stored.shards]
    assert_same(fastpack.open(urls, storage_options=stored.server.options, transform=None), local)
    one = stored.open(stored.shards[1].name)
    assert_same(one, fastpack.open(stored.shards[1], transform=None))
    some = stored.open(f"train-0000[12]*{ending}")
    assert_same(some, fastpack.open(stored.shards[1:3], transform=None))


def test_globs_in_folders(copy):
    stored = copy()
    pattern = f"{stored.server.url}/{stored.folder[:-1]}?/train-*"
    found = fastpack.open(pattern, storage_options=stored.server.options, transform=None)
    num_sets, rest = divmod(len(found), NUM_SAMPLES)
    assert num_sets
    assert not rest


def test_what_is_not_there(copy):
    stored = copy()
    for what in ("other.tfrecord", "other-*.tfrecord", "train-00009-of-00004.tfrecord"):
        with pytest.raises(MissingFileError) as raised:
            stored.open(what)
        assert f"{stored.server.url}/{stored.folder}/{what}" in str(raised.value)
    stored.server.put(stored.key("texts/a.txt"), b"text")
    with pytest.raises(EmptySourceError, match="no TFRecord, HDF5 or tar objects"):
        stored.open("texts")


def test_a_missing_shard_is_noticed(copy):
    stored = copy(companions=False)
    stored.server.delete(stored.key(stored.shards[2].name))
    with pytest.raises(MixedSetError, match="a file of the set is missing"):
        stored.open()


def test_the_root_manifest_defines_the_set(copy):
    stored = copy().put_root_manifest()
    orphan = stored.shards[0].with_name("train-00004-of-00005.tfrecord")
    stored.server.put(stored.key(orphan.name), b"an interrupted pack")
    for what in (stored.local.name, "train-*.tfrecord", ""):
        assert_same(stored.open(what), stored.opened_locally())


def test_opening_reads_the_root_manifest_alone(copy):
    stored = copy().put_root_manifest()
    stored.server.proxy.forget()
    reader = stored.open()
    assert len(reader) == NUM_SAMPLES
    assert stored.server.proxy.counts() == {"head": 1, "get": 1}
    stored.server.proxy.forget()
    stored.open()
    assert stored.server.proxy.counts() == {"head": 1}
    stored.server.proxy.forget()
    reader.read([0, NUM_SAMPLES - 1])
    reads = [request.key.rpartition("/")[2] for request in stored.server.proxy.requests]
    first, last = stored.shards[0].name, stored.shards[-1].name
    assert sorted(set(reads)) == [first, f"{first}.fpindex", last, f"{last}.fpindex"]


def test_a_replaced_object_is_noticed(copy):
    stored = copy(companions=False)
    reader = stored.open()
    first, second = (path.read_bytes() for path in stored.shards[:2])
    stored.server.put(stored.key(stored.shards[0].name), second)
    with pytest.raises(ChangedFileError, match=stored.shards[0].name):
        reader.read([0])
    again = stored.open()
    assert np.array_equal(again.columns["label"][:10], reader.columns["label"][10:20])
    stored.server.put(stored.key(stored.shards[0].name), first)
    assert_same(stored.open(), stored.opened_locally())


def test_an_index_of_another_content_is_not_used(copy):
    stored = copy()
    index = stored.shards[1].with_name(f"{stored.shards[1].name}.fpindex").read_bytes()
    stored.server.put(stored.key(f"{stored.shards[0].name}.fpindex"), index)
    assert_same(stored.open(), stored.opened_locally())


@pytest.mark.parametrize("damage", [b"", b"no index", bytes(100_000)])
def test_damaged_companions_in_the_store_are_ignored(copy, damage):
    stored = copy()
    for name in (f"{stored.shards[0].name}.fpindex", f"{stored.local.name}.manifest"):
        stored.server.put(stored.key(name), damage)
    assert_same(stored.open(), stored.opened_locally())


def test_damaged_local_copies_are_downloaded_again(copy, metadata):
    stored = copy().put_root_manifest()
    stored.open().read(range(NUM_SAMPLES))
    copies = [path for path in metadata.rglob("*") if path.is_file()]
    assert len(copies) == NUM_SHARDS + 1
    for path in copies:
        path.write_bytes(path.read_bytes()[:-100])
    assert_same(stored.open(), stored.opened_locally())
    sound = {path: path.read_bytes() for path in copies}
    for path in copies:
        data = bytearray(path.read_bytes())
        data[-200:] = bytes(200)
        path.write_bytes(data)
    assert_same(stored.open(), stored.opened_locally())
    assert set(sound) >= {path for path in metadata.rglob("*") if path.is_file()}


def test_index_dir_has_the_local_copies(copy, metadata, tmp_path):
    stored = copy().put_root_manifest()
    folder = tmp_path / "indexes"
    reader = stored.open(index_dir=folder)
    assert_same(reader, stored.opened_locally())
    assert len(list(folder.iterdir())) == NUM_SHARDS + 1
    assert not metadata.exists()


@pytest.mark.parametrize("has_root", [True, False])
@pytest.mark.parametrize("companions", [True, False])
def test_without_saving_nothing_is_left(copy, metadata, companions, has_root):
    stored = copy(companions=companions or has_root)
    if has_root:
        stored.put_root_manifest()
    reader = stored.open(save_index=False)
    assert_same(reader, stored.opened_locally())
    assert not metadata.exists()


@pytest.mark.parametrize("format", ENDINGS)
def test_untrusted_objects_are_indexed_by_their_data(copy, metadata, format):
    stored = copy(format).put_root_manifest()
    stored.server.proxy.forget()
    assert_same(stored.open(untrusted=True), stored.opened_locally())
    keys = [request.key for request in stored.server.proxy.requests]
    assert not [key for key in keys if key.endswith((".fpindex", ".manifest"))]
    assert not metadata.exists()


@pytest.mark.parametrize("has_root", [True, False])
@pytest.mark.parametrize("format", ENDINGS)
def test_options_of_indexes(copy, format, has_root):
    stored = copy(format)
    if has_root:
        stored.put_root_manifest()
    options = {"fields": {"picture": "image", "y": "label"}}
    reader = stored.open(**options)
    local = fastpack.open(stored.local, transform=None, **options)
    assert reader.schema == local.schema
    assert np.array_equal(reader.columns["y"], local.columns["y"])
    as_bytes = stored.open(kinds={"image": "bytes"}, fields=["image"])
    assert as_bytes.schema["image"].kind == "bytes"
    assert bytes(as_bytes[3]["image"]) == bytes(stored.open(decode=False)[3]["image"])
    assert stored.open(seek_points=True).schema == stored.opened_locally().schema


def test_seek_points_that_were_found_while_reading_are_saved(copy):
    stored, crop = copy(), fastpack.CenterCrop(8)
    reader = stored.open(seek_points="lazy", transform=crop)
    first = reader.read(range(5))["image"]
    local = fastpack.open(stored.local, seek_points="lazy", transform=crop)
    local.read(range(5))
    assert reader.save_seek_points() == local.save_seek_points()
    assert np.array_equal(stored.open(transform=crop).read(range(5))["image"], first)


def test_options_are_in_no_message(copy):
    stored = copy()
    secret = str(stored.server.options["secret_access_key"])
    reader = stored.open()
    with pytest.raises(MissingFileError) as raised:
        stored.open("other.tfrecord")
    texts = [str(raised.value), repr(raised.value), repr(reader), repr(stored.path)]
    texts += [repr(reader.samples.table.shards[0])]
    assert not [text for text in texts if secret in text]


def test_damaged_objects_are_named_by_their_url(copy):
    stored = copy(companions=False)
    data = bytearray(stored.shards[0].read_bytes())
    data[500] ^= 1
    stored.server.put(stored.key(stored.shards[0].name), bytes(data))
    with pytest.raises(fastpack.errors.CorruptRecordError) as raised:
        stored.open()
    url = f"{stored.server.url}/{stored.key(stored.shards[0].name)}"
    assert url in str(raised.value)
    assert "/tmp" not in str(raised.value)
    assert str(raised.value.location.path) == url
    kept = stored.open(on_error="skip")
    assert len(kept) == NUM_SAMPLES


def test_http_servers_have_no_listing(copy):
    stored = copy(server="nginx")
    with pytest.raises(OptionError, match="no listing"):
        stored.open("train-*.tfrecord")
    urls = [f"{stored.server.url}/{stored.key(path.name)}" for path in stored.shards]
    found = fastpack.open(urls, storage_options=stored.server.options, transform=None)
    assert_same(found, stored.opened_locally())
    with pytest.raises(MissingFileError):
        stored.open()
    stored.put_root_manifest()
    assert_same(stored.open(), stored.opened_locally())


@pytest.mark.parametrize("argument", ["index_dir", "cache"])
def test_folders_of_this_machine(copy, argument):
    options = {argument: "s3://bucket/folder"}
    if argument == "cache":
        options["cache_size"] = "1GB"
    with pytest.raises(OptionError, match=f"{argument} must be a path on this machine"):
        copy().open(**options)


def test_other_arguments_that_must_be_local(tmp_path, sets):
    url = "s3://bucket/x.tfrecord"
    with pytest.raises(OptionError, match="path must be a path on this machine"):
        fastpack.repair(url, tmp_path / "x.tfrecord")
    with pytest.raises(OptionError, match="folder must be a path on this machine"):
        fastpack.extract(fastpack.open(sets["tar"]), "s3://bucket/folder")


def test_classes_of_a_stored_dataset(copy):
    stored = copy()
    reader = stored.open(classes=stored.url)
    assert reader.class_names == stored.opened_locally().class_names


def test_too_little_space_for_a_local_copy(copy, monkeypatch):
    stored = copy(companions=False)
    monkeypatch.setattr("fastpack.files.local_copy.free_bytes", lambda folder: 1000)
    with pytest.raises(fastpack.errors.UnreadableFileError, match="TMPDIR") as raised:
        stored.open()
    assert stored.shards[0].name in str(raised.value)


@pytest.mark.parametrize("server", ["moto", "azurite"])
def test_other_stores(copy, server):
    stored = copy(server=server)
    assert_same(stored.open(), stored.opened_locally())
    assert_same(stored.open("train-*"), stored.opened_locally())
    stored.put_root_manifest()
    assert_same(stored.open(""), stored.opened_locally())


@pytest.mark.parametrize("folder", ["with space", "größe", "a%20b", "a+b&c=d"])
def test_keys_of_unusual_letters(copy, folder):
    stored = copy()
    stored.folder = f"{stored.folder}/{folder}"
    stored.put()
    assert_same(stored.open(), stored.opened_locally())
    assert_same(stored.open("train-*.tfrecord"), stored.opened_locally())


def test_a_bucket_is_a_folder(copy):
    stored = copy()
    stored.server.put("bucket-00000-of-00001.tfrecord", stored.shards[0].read_bytes())
    for url in (stored.server.url, f"{stored.server.url}/"):
        found = fastpack.open(url, storage_options=stored.server.options)
        assert len(found) % 10 == 0


def test_a_list_of_objects_on_a_slow_server(copy):
    stored = copy(server="nginx")
    urls = [f"{stored.server.url}/{stored.key(f'{n}.tfrecord')}" for n in range(40)]
    for number in range(40):
        stored.server.put(stored.key(f"{number}.tfrecord"), stored.shards[0].read_bytes())
    stored.server.proxy.latency_s = 0.05
    try:
        start = time.monotonic()
        found = fastpack.open(urls, storage_options=stored.server.options, save_index=False)
        assert time.monotonic() - start < 40 * 4 * 0.05 / 2
    finally:
        stored.server.proxy.latency_s = 0.0
    assert len(found) == 400
