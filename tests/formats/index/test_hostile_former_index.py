"""Indexes of earlier versions that lie: the index is rebuilt, or an error names the file.

A batch never has bytes of something else.
"""

import io
import json
import zipfile

import numpy as np
import pytest

from fastpack.core.dtypes import NO_SPAN
from fastpack.files.companions import former_index_path
from fastpack.files.npz import NPZ_ERRORS, _read_header
from tests.support.images import photo
from tests.support.indexed_files import FORMER, assert_sound, read_some

SECRET = photo(10, 12, seed=99)


def load(path):
    with np.load(former_index_path(path)) as arrays:
        return {name: array.copy() for name, array in arrays.items()}


def about_of(arrays):
    return json.loads(arrays["about"].tobytes())


def with_about(arrays, about):
    text = about if isinstance(about, str) else json.dumps(about)
    return arrays | {"about": np.frombuffer(text.encode(), np.uint8)}


def save(path, arrays):
    np.savez(former_index_path(path), **arrays)


def set_span(**values):
    def change(arrays):
        for name, value in values.items():
            arrays["span/image"][name][2] = value
        return arrays

    return change


def set_info(**values):
    def change(arrays):
        if "info/image" in arrays:
            for name, value in values.items():
                arrays["info/image"][name][2] = value
        return arrays

    return change


def set_array(name, change):
    def apply(arrays):
        return arrays | {name: change(arrays[name])} if name in arrays else arrays

    return apply


def without(name):
    return lambda arrays: {key: array for key, array in arrays.items() if key != name}


def change_about(change):
    def apply(arrays):
        about = about_of(arrays)
        return with_about(arrays, change(about) or about)

    return apply


def change_field(**values):
    """Of the first field in the schema, which is the image."""

    def change(about):
        schema = json.loads(about["schema"])
        schema["fields"][0] |= values
        about["schema"] = json.dumps(schema)

    return change_about(change)


def change_shard(position, value):
    def change(about):
        about["shards"][0][position] = value

    return change_about(change)


HUGE = [10**4, 2**31, 2**40, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1]
CHANGES = {
    **{f"offset {value}": set_span(offset=value) for value in HUGE},
    **{f"length {value}": set_span(length=value) for value in [0, 1, *HUGE]},
    **{f"record offset {value}": set_span(record_offset=value) for value in HUGE},
    **{f"record length {value}": set_span(record_length=value) for value in [1, *HUGE]},
    "offset and length overflow": set_span(offset=2**63, length=2**63 + 8, record_length=0),
    "no span at all": set_span(offset=NO_SPAN, record_length=0, record_offset=0),
    "shard 1": set_span(shard=1),
    "shard 2**32 - 1": set_span(shard=2**32 - 1),
    "width huge": set_info(width=2**32 - 1),
    "width and height huge": set_info(width=2**32 - 1, height=2**32 - 1),
    "no width": set_info(width=0),
    "orientation 200": set_info(orientation=200),
    "another format": set_info(format=2),
    "no format": set_info(format=200),
    "no spans": without("span/image"),
    "no infos": without("info/image"),
    "no about": without("about"),
    "no record numbers": without("record_numbers"),
    "fewer labels": set_array("column/label", lambda labels: labels[:3]),
    "more labels": set_array("column/label", lambda labels: np.append(labels, 4)),
    "labels in two dimensions": set_array("column/label", lambda labels: labels.reshape(2, 2)),
    "one label": set_array("column/label", lambda labels: np.int64(1)),
    "spans in two dimensions": set_array("span/image", lambda spans: spans.reshape(4, 1)),
    "spans of another type": set_array(
        "span/image", lambda spans: np.zeros(4, [("shard", "u4"), ("offset", "u8")])
    ),
    "infos in two dimensions": set_array("info/image", lambda infos: infos.reshape(4, 1)),
    "fewer infos": set_array("info/image", lambda infos: infos[:3]),
    "key offsets descend": set_array("column/key/offsets", lambda offsets: offsets[::-1]),
    "key offsets too far": set_array("column/key/offsets", lambda offsets: offsets * 10),
    "key offsets of floats": set_array("column/key/offsets", lambda offsets: offsets + 0.5),
    "shard numbers too high": set_array("shard_numbers", lambda numbers: numbers + 1),
    "shard numbers negative": set_array(
        "shard_numbers", lambda numbers: numbers.astype(np.int64) - 3
    ),
    "shard numbers of floats": set_array("shard_numbers", lambda numbers: numbers + 0.25),
    "record numbers negative": set_array("record_numbers", lambda numbers: numbers - 10),
    "record numbers too high": set_array("record_numbers", lambda numbers: numbers + 2**40),
    "record numbers of floats": set_array("record_numbers", lambda numbers: numbers + 0.25),
    "a pickled object": lambda arrays: arrays | {"column/label": np.array([print] * 4, object)},
    "about is no JSON": lambda arrays: with_about(arrays, "{"),
    "about is no UTF-8": lambda arrays: arrays | {"about": np.full(9, 255, np.uint8)},
    "about nests deep": lambda arrays: with_about(arrays, "[" * 100_000),
    "schema nests deep": change_about(lambda about: about.update(schema="[" * 100_000)),
    "another version": change_about(lambda about: about.update(version=999)),
    "no shards": change_about(lambda about: about.update(shards=[])),
    "two shards": change_about(lambda about: about.update(shards=about["shards"] * 2)),
    "another file": change_shard(0, "../../../../../../etc/passwd"),
    "a file by its whole name": change_shard(0, "/etc/passwd"),
    "another container": change_shard(1, "zip"),
    "another size": change_shard(2, 10**15),
    "another fingerprint": change_shard(4, 0),
    "pixels of objects": change_field(dtype="O", kind="pixels", shape=[10, 12, 3]),
    "pixels of no dtype": change_field(dtype="garbage", kind="pixels"),
    "pixels of larger numbers": change_field(dtype="<f8"),
    "pixels of another shape": change_field(shape=[10, 12, 4], dtype="|u1", kind="pixels"),
    "pixels of a negative shape": change_field(shape=[-1, 12, 3], dtype="|u1", kind="pixels"),
    "pixels of a huge shape": change_field(shape=[2**40, 2**40, 3], dtype="|u1", kind="pixels"),
    "pixels of no shape": change_field(shape=None),
    "an image as numbers": change_field(kind="int"),
    "an unknown kind": change_field(kind="film"),
    "a field more": change_field(surprise=1),
    "stored elsewhere": change_field(stored_as="secret"),
    "stored nowhere": change_field(stored_as="nothing"),
}


@pytest.mark.parametrize("make", FORMER.values(), ids=FORMER)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_index_that_lies(tmp_path, make, change):
    path = make(tmp_path)
    save(path, change(load(path)))
    assert_sound(path)


# The reader trusts a plausible index about its own file. These give other pixels of the file, or
# an error.
MISREADINGS = {
    "width smaller": set_info(width=19),
    "orientation 6": set_info(orientation=6),
    "an image as bytes": change_field(kind="bytes"),
    "stored as labels": change_field(stored_as="labels"),
    "another record": set_array("record_numbers", lambda numbers: numbers[::-1]),
}


@pytest.mark.parametrize("make", FORMER.values(), ids=FORMER)
@pytest.mark.parametrize("change", MISREADINGS.values(), ids=MISREADINGS)
def test_index_that_misreads_its_file(tmp_path, make, change):
    path = make(tmp_path)
    save(path, change(load(path)))
    read_some(path)


FILES = {
    "empty": lambda data: b"",
    "text": lambda data: b"not a zip file",
    "cut in the middle": lambda data: data[: len(data) // 2],
    "cut at the end": lambda data: data[:-1],
    "without its beginning": lambda data: data[100:],
    "a huge shape": lambda data: data.replace(
        b"'shape': (4,)", b"'shape': (9999999999999999,)"[: len(b"'shape': (4,)")]
    ),
    "a shape of 4e9": lambda data: data.replace(b"(4,), }" + b" " * 9, b"(4000000000,), }"),
    "code for a header": lambda data: data.replace(b"{'descr'", b"{exit():"),
    "a bomb": lambda data: bomb(),
}


def bomb():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr("about.npy", bytes(10**7))
    return file.getvalue()


@pytest.mark.parametrize("damage", FILES.values(), ids=FILES)
def test_index_that_is_damaged(tmp_path, damage):
    path = FORMER["tfrecord"](tmp_path)
    former_index_path(path).write_bytes(damage(former_index_path(path).read_bytes()))
    assert_sound(path)


def test_index_that_is_a_folder(tmp_path):
    path = FORMER["tfrecord"](tmp_path)
    former_index_path(path).unlink()
    former_index_path(path).mkdir()
    assert_sound(path)


@pytest.mark.parametrize("position", range(0, 3000, 61))
def test_index_with_a_changed_byte(tmp_path, position):
    path = FORMER["tfrecord"](tmp_path)
    data = bytearray(former_index_path(path).read_bytes())
    data[position % len(data)] ^= 0x41
    former_index_path(path).write_bytes(data)
    assert_sound(path)


@pytest.mark.parametrize("kind", ["=,", "i4(", "V-1", "(9999999999,)i8"])
def test_a_type_that_is_none_is_an_error_of_the_file(kind):
    """With a valid digest over forged values."""
    with pytest.raises(NPZ_ERRORS):
        _read_header(f"{{'descr': '{kind}', 'fortran_order': False, 'shape': (3,), }}".encode())
