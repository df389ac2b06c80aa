"""Web servers lack much: etags, ranges, HEAD. Nothing of it may give wrong bytes, or hang."""

import hashlib
import pickle

import numpy as np
import pytest

import fastpack
from fastpack.errors import (
    ChangedFileError,
    FastpackError,
    MissingFileError,
    OptionError,
    StoreError,
    TruncatedFileError,
)
from fastpack.stores.registry import store_of
from fastpack.stores.store_path import StorePath
from tests.support.stores.web_server import web_server

pytest.importorskip("obstore", reason="pip install obstore")

DATA = bytes(range(250))
OPTIONS = {"allow_http": True, "timeout": 5, "deadline": 5}
SECRET = "X-Signature=s%2Fecret%3D&Expires=9"


def strong(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


def weak(data: bytes) -> str:
    return f"W/{strong(data)}"


def test_keys_are_not_encoded():
    names = ["a b.tar", "100%.tar", "a%20b.tar", "ä/ö?#.tar", "a+b&c=d.tar"]
    with web_server(files={name: name.encode() for name in names}) as server:
        for name in names:
            path = StorePath(server.url, name, tuple(OPTIONS.items()))
            assert path.store.read(path.key) == name.encode()
            again = StorePath.of(str(path), OPTIONS)
            assert again == StorePath.of(str(again), OPTIONS)
            assert again.key == name
            assert again.facts().size == len(name.encode())


@pytest.mark.parametrize("methods", [("GET", "HEAD"), ("GET",)])
def test_a_signature_is_sent_and_never_shown(methods):
    files = {"set/a b.tar": DATA, "empty": b""}
    with web_server(files=files, signature=SECRET, etag=strong, methods=methods) as server:
        url = f"{server.url}/set/a%20b.tar?{SECRET}"
        path = StorePath.of(url, OPTIONS)
        assert path.facts().size == len(DATA)
        assert path.store.read(path.key, path.facts().etag) == DATA
        found = path.store.read_ranges(path.key, [0, 9], [3, 20], path.facts().etag)
        assert [*map(bytes, found)] == [DATA[:3], DATA[9:20]]
        assert pickle.loads(pickle.dumps(path)).facts() == path.facts()
        wrong = StorePath.of(f"{url}-old", OPTIONS)
        missing = StorePath.of(f"{server.url}/none?{SECRET}", OPTIONS)
        with pytest.raises(StoreError, match=r"refuses access.*a%20b\.tar") as refused:
            wrong.facts()
        with pytest.raises(MissingFileError) as nothing:
            missing.facts()
        with pytest.raises(TruncatedFileError) as short:
            path.store.read_ranges(path.key, [0], [900])
    with pytest.raises(FastpackError) as away:
        StorePath.of(url, {**OPTIONS, "deadline": 0.3}).store.read(path.key)
    texts = [str(each.value) for each in (refused, nothing, short, away)]
    for text in [*texts, str(path), repr(path), str(wrong)]:
        assert server.url in text
        assert "ignature" not in text
        assert "ecret" not in text


def test_a_url_without_a_host_hides_its_query():
    with pytest.raises(OptionError) as error:
        StorePath.of(f"https:///a?{SECRET}")
    assert "ecret" not in str(error.value)


@pytest.mark.parametrize("etag", [None, weak, strong])
def test_a_replaced_file_is_noticed(etag):
    with web_server(files={"a": DATA}, times={"a": 1e9}, etag=etag) as server:
        store, key = store_of(f"{server.url}/a", OPTIONS)
        before = store.facts(key)
        assert before.etag
        assert [*map(bytes, store.read_ranges(key, [1, 5], [3, 8], before.etag))] == [
            DATA[1:3],
            DATA[5:8],
        ]
        assert store.read(key, before.etag) == DATA
        server.files["a"], server.times["a"] = DATA[::-1], 1e9 + 5
        for starts, ends in (([1], [3]), ([1, 5], [3, 8])):
            with pytest.raises(ChangedFileError, match=f"{server.url}/a"):
                store.read_ranges(key, starts, ends, before.etag)
        with pytest.raises(ChangedFileError):
            store.read(key, before.etag)
        assert all(not condition.startswith(("W/", "mod")) for condition in server.conditions)


def test_without_any_identity_lengths_are_compared():
    with web_server(files={"a": DATA}) as server:
        store, key = store_of(f"{server.url}/a", OPTIONS)
        assert (store.facts(key).etag, store.facts(key).mtime_ns) == ("", 0)
        assert [*map(bytes, store.read_ranges(key, [1, 5], [3, 8]))] == [DATA[1:3], DATA[5:8]]
        server.files["a"] = DATA[:7]
        with pytest.raises(TruncatedFileError, match=f"{server.url}/a"):
            store.read_ranges(key, [1, 5], [3, 8])


def test_a_server_that_ignores_ranges_is_named():
    with web_server(files={"a": DATA}, has_ranges=False, etag=strong) as server:
        store, key = store_of(f"{server.url}/a", OPTIONS)
        assert store.read(key) == DATA
        for starts, ends in (([1], [3]), ([1, 5], [3, 8]), ([0], [10])):
            with pytest.raises(StoreError, match=rf"ignores byte ranges.*{server.url}/a"):
                store.read_ranges(key, starts, ends)


@pytest.mark.parametrize("etag", [None, weak, strong])
@pytest.mark.parametrize("name", ["x y.tfrecord", "x.h5", "x.tar"])
def test_a_dataset_behind_signed_urls(photos, tmp_path, name, etag, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    fastpack.pack(photos, tmp_path / name)
    local = fastpack.open(tmp_path / name)
    files = {f"data/{name}": (tmp_path / name).read_bytes()}
    times = dict.fromkeys(files, 1e9)
    with web_server(files=files, times=times, signature=SECRET, etag=etag) as server:
        url = f"{server.url}/data/{name.replace(' ', '%20')}?{SECRET}"
        for _ in range(2):  # the second time from the saved index
            stored = fastpack.open(url, storage_options=OPTIONS)
            assert len(stored) == len(local)
            for one, other in zip(local, stored, strict=True):
                assert np.array_equal(one["image"], other["image"])


def test_an_account_of_azure_is_needed(monkeypatch):
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_CONNECTION_STRING"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(OptionError, match=r"AZURE_STORAGE_ACCOUNT_NAME.*az://container"):
        store_of("az://container/a")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    assert store_of("az://container/a")[1] == "a"
    url = "abfss://container@account.dfs.core.windows.net/folder/a"
    assert str(StorePath.of(url)) == url
    assert store_of(url, {"account_key": "c2VjcmV0"})[1] == "folder/a"
