"""Forged indexes of earlier versions, with valid checksums.

Any value results in a FastpackError or a batch.
"""

import json
import os
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastpack
from fastpack._native.crc32c import crc32c
from fastpack.errors import FormatError
from fastpack.files.companions import former_index_path
from fastpack.files.npz import load_npz, save_npz
from fastpack.formats.index.index_file import load_index
from tests.support.extent import num_examples
from tests.support.forgeries import (
    CHUNK_SHAPES,
    ODD,
    assert_only_our_errors,
    each_shape,
    places_in,
    replaced,
)
from tests.support.indexed_files import FORMER


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Path of a dataset -> the arrays of its saved index."""
    paths = [make(tmp_path_factory.mktemp(name)) for name, make in FORMER.items()]
    return {path: load_npz(former_index_path(path)) for path in paths}


@st.composite
def forgeries(draw, arrays):
    """The arrays with one value, or one table, replaced."""
    name = draw(st.sampled_from(sorted(arrays)))
    array = arrays[name]
    if name.endswith("about"):
        about = json.loads(array.tobytes())
        forged = replaced(
            about, draw(st.sampled_from(list(places_in(about)))), draw(st.sampled_from(ODD))
        )
        return arrays | {name: np.frombuffer(json.dumps(forged).encode(), np.uint8)}
    changes = [
        array[:-1],
        np.concatenate([array, array]),
        array.reshape(1, *array.shape),
        array[::-1].copy(),
        array[:0],
        array.copy(),
    ]
    changed = draw(st.sampled_from(changes))
    if changed.size:
        values = changed.reshape(-1).view(np.uint8)
        values[draw(st.integers(0, len(values) - 1))] = draw(st.sampled_from([0, 1, 127, 128, 255]))
    return arrays | {name: changed}


@pytest.mark.parametrize("number", range(len(FORMER)), ids=FORMER)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=num_examples(60),
)
@given(data=st.data())
def test_any_forged_value(datasets, number, data):
    path, arrays = list(datasets.items())[number]
    save_npz(former_index_path(path), data.draw(forgeries(arrays)))
    assert_only_our_errors(path)


@each_shape
@pytest.mark.parametrize("chunk", [*CHUNK_SHAPES, [2**200] * 4])
def test_any_forged_chunks(datasets, shape, chunk):
    path, arrays = list(datasets.items())[2]
    about = json.loads(arrays["about"].tobytes())
    about["schema"] = replaced(about["schema"], ("fields", 0, "shape"), shape)
    table = json.dumps({"shape": [4, *shape], "chunk_shape": chunk}).encode()
    forged = {
        "about": np.frombuffer(json.dumps(about).encode(), np.uint8),
        "chunk/0/image/about": np.frombuffer(table, np.uint8),
    }
    num_bytes = int(np.prod(shape, dtype=object)) if all(0 <= size < 2**63 for size in shape) else 0
    arrays["span/image"] = arrays["span/image"].copy()
    arrays["span/image"]["length"] = min(num_bytes, 2**64 - 1)
    save_npz(former_index_path(path), arrays | forged)
    assert_only_our_errors(path)


# The file of an index

TYPES = [
    "'<i8'",
    "'S0'",
    "'V0'",
    "'|O'",
    "'<U1000000000'",
    "[]",
    "[('', '<i4')]",
    "{'a': 1}",
    "'<M8[ns]'",
    "None",
    "'(2,3)i4'",
    "'a5'",
    "'Zq'",
]
SHAPES = [
    "()",
    "(-1,)",
    "(-2, -2)",
    "(99999999999999999999, 0)",
    "(1e3,)",
    "('a',)",
    "(True,)",
    "4",
    "{}",
    "(None,)",
    f"({'1, ' * 70})",
]
HEADERS = [f"{{'descr': {kind}, 'fortran_order': False, 'shape': (4,), }}" for kind in TYPES]
HEADERS += [f"{{'descr': '<i8', 'fortran_order': False, 'shape': {shape}, }}" for shape in SHAPES]
HEADERS += ["[", "1", "null", "[1]", '"a"', "[" * 5000]


def sealed(data):
    """The bytes of an index, with the checksum that they need."""
    return data[:-8] + b"%08x" % crc32c(np.frombuffer(data[:-37], np.uint8))


@pytest.mark.parametrize("header", HEADERS)
def test_any_forged_header(tmp_path, header):
    path = FORMER["tfrecord"](tmp_path)
    data = former_index_path(path).read_bytes()
    for found in re.finditer(rb"\{'descr'[^\n]*\n", data):
        if len(header) < len(found[0]):
            text = header.encode().ljust(len(found[0]) - 1) + b"\n"
            former_index_path(path).write_bytes(
                sealed(data[: found.start()] + text + data[found.end() :])
            )
            assert_only_our_errors(path)


@pytest.mark.parametrize("field", range(4, 46))
def test_any_forged_directory(tmp_path, field):
    path = FORMER["tfrecord"](tmp_path)
    data = bytearray(former_index_path(path).read_bytes())
    data[data.rfind(b"PK\x01\x02") + field] ^= 0xFF
    former_index_path(path).write_bytes(sealed(bytes(data)))
    assert_only_our_errors(path)


@pytest.mark.parametrize("make", [FORMER["tfrecord"], FORMER["hdf5"]])
def test_an_index_with_a_hole_is_not_read(tmp_path, make):
    """Its 3 GB take no disk."""
    path = make(tmp_path)
    data = former_index_path(path).read_bytes()
    with open(former_index_path(path), "wb") as file:
        file.write(b"PK")
        file.seek(3 * 2**30)
        file.write(data)
    os.utime(former_index_path(path))
    assert len(fastpack.open(path, save_index=False)) == 4
    assert not fastpack.verify(path).is_sound
    with pytest.raises(FormatError, match="more than 1000 bytes"):
        load_index(former_index_path(path), max_bytes=1000)
