"""Names that are not UTF-8 become text that is, and the same names again."""

import os
from pathlib import Path

import h5py
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import fastpack
from fastpack.core import Text
from fastpack.errors import SourceError
from fastpack.files.escapes import escaped_bytes, escaped_name, escaped_names, is_utf8, raw_name
from tests.support.images import jpeg

NAMES = (
    st.lists(
        st.sampled_from(
            [b"\\", b"x", b"5", b"c", b"e9", b"\xe9", b"\xff", "é".encode(), b"/", b"a"]
        )
    )
    .map(b"".join)
    .map(os.fsdecode)
)


@given(name=NAMES)
@example(name="\\\\xe9")
@example(name="\\\udce9")
def test_there_and_back(name):
    text = escaped_name(name)
    text.encode()  # it is UTF-8
    assert raw_name(text) == name


@given(names=st.lists(NAMES))
def test_whole_columns(names):
    text = Text.of(names)
    found = escaped_names(text)
    assert list(found) == list(map(escaped_name, names))
    assert is_utf8(found)
    assert (found is text) == (list(found) == names)
    assert is_utf8(text) == all(map(_is_utf8, names))
    assert list(escaped_bytes(text)) == [
        name if _is_utf8(name) else escaped_name(name) for name in names
    ]


def _is_utf8(name):
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def test_rows_that_would_complete_one_another():
    assert not is_utf8(
        Text.of(
            [
                b"a\xc3".decode("utf-8", "surrogateescape"),
                b"\xa9".decode("utf-8", "surrogateescape"),
            ]
        )
    )


def test_an_escape_gives_no_slash_or_dot():
    assert raw_name("\\x2f\\x2e\\x2e\\x00") == "\\x2f\\x2e\\x2e\\x00"


FILES = [b"a/latin\xe9.jpg", b"a/latin\\xe9.jpg", "a/latiné.jpg".encode(), b"caf\xe9/1.jpg"]


@pytest.fixture
def photos(tmp_path):
    for number, name in enumerate(FILES):
        path = os.path.join(os.fsencode(tmp_path / "photos"), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(os.fsdecode(path)).write_bytes(jpeg(8, 8, seed=number))
    return tmp_path / "photos"


def files_below(root):
    return {
        os.fsencode(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("name", ["a.h5", "a.tfrecord", "photos"])
def test_stock_readers_read_the_keys_and_extract_gives_the_names_back(photos, tmp_path, name):
    if name != "photos":
        fastpack.pack(photos, tmp_path / name)
    dataset = fastpack.open(tmp_path / name)
    for text in (*dataset.columns["key"], *dataset.class_names):
        text.encode()
    assert dataset.class_names == ("a", "caf\\xe9")
    if name == "a.h5":
        with h5py.File(tmp_path / name) as file:
            assert sorted(file["keys"].asstr()[:]) == sorted(dataset.columns["key"])
            assert file["class_names"].asstr()[:].tolist() == list(dataset.class_names)
    fastpack.extract(dataset, tmp_path / "again")
    assert files_below(tmp_path / "again") == files_below(photos)
    fastpack.extract(dataset, tmp_path / "again.tar")
    fastpack.extract(fastpack.open(tmp_path / "again.tar"), tmp_path / "third")
    assert files_below(tmp_path / "third") == files_below(photos)
    assert fastpack.verify(tmp_path / name, against=photos).is_sound


def test_packing_again_changes_no_key(photos, tmp_path):
    fastpack.pack(photos, tmp_path / "a.tfrecord")
    fastpack.convert(tmp_path / "a.tfrecord", tmp_path / "b.h5")
    assert list(fastpack.open(tmp_path / "b.h5").columns["key"]) == list(
        fastpack.open(tmp_path / "a.tfrecord").columns["key"]
    )


def test_half_a_surrogate_pair_is_no_text(photos):
    path = photos / "a" / "latiné.jpg"
    for names in ({"keys": ["\ud800"]}, {"labels": [0], "class_names": ["\ud800"]}):
        with pytest.raises(SourceError, match="is not valid text"):
            fastpack.sources.ImageFiles([path], **names)
