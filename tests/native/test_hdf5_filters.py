"""The filter kernels against HDF5's library and hdf5plugin, both ways; damaged input."""

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpack._native.filters import Pipeline, can_decode, can_encode, decode_chunk, encode_chunk
from fastpack.core.dtypes import FILTER

hdf5plugin = pytest.importorskip("hdf5plugin")

CHUNK = (2, 20, 30, 3)
SMOOTH = (np.add.outer(np.arange(6 * 20), np.arange(30 * 3)) % 200).reshape(6, 20, 30, 3)
NOISE = np.random.default_rng(0).integers(0, 200, SMOOTH.shape)


def pipeline(*filters):
    """FILTER (n,) of (number, *parameters)."""
    rows = np.zeros(len(filters), FILTER)
    for row, (number, *parameters) in zip(rows, filters, strict=True):
        row["id"], row["num_parameters"] = number, len(parameters)
        row["parameters"][: len(parameters)] = parameters
    return rows


def flat(values):
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8)


def created(filters, dtype):
    """A file in memory with an empty dataset of these filters."""
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk(CHUNK)
    for number, *parameters in filters:
        if number == 3:
            creation.set_fletcher32()
        else:
            creation.set_filter(number, h5py.h5z.FLAG_OPTIONAL, tuple(parameters))
    file = h5py.File.in_memory()
    space, kind = (
        h5py.h5s.create_simple(SMOOTH.shape),
        h5py.h5t.py_create(np.dtype(dtype), logical=True),
    )
    return file, h5py.h5d.create(file.id, b"x", kind, space, creation)


WRITTEN = {
    "deflate": [(1, 6)],
    "deflate, level 1": [(1, 1)],
    "shuffle, deflate": [(2, 2), (1, 4)],
    "shuffle, deflate, checksum": [(2, 2), (1, 9), (3,)],
    "checksum": [(3,)],
    "lz4": [(32004, 0)],
    "lz4, small blocks": [(32004, 1000)],
    "zstd": [(32015, 3)],
    "zstd, own level": [(32015,)],
    "shuffle, zstd": [(2, 2), (32015, 1)],
    "shuffle, lz4, checksum": [(2, 2), (32004,), (3,)],
    "deflate, zstd": [(1, 1), (32015, 5)],
    "blosc2, zstd": [(32026, 1, 0, 2, 7200, 5, 1, 5)],
    "blosc2, lz4": [(32026, 1, 0, 2, 7200, 9, 1, 1)],
    "blosc2, as it is": [(32026, 1, 0, 1, 7200, 1, 0, 1)],
    "blosc2, zstd, best, checksum": [(32026, 1, 0, 2, 7200, 9, 1, 5), (3,)],
}
READ = WRITTEN | {
    "lzf": [(32000,)],
    "shuffle, lzf": [(2, 2), (32000,)],
    **{
        f"blosc {codec}, {mode}": [(32001, 0, 0, 0, 0, 5, mode, codec)]
        for codec in (0, 1, 2, 4, 5)
        for mode in (0, 1, 2)
    },
    **{
        f"blosc2 {codec}, {mode}": [(32026, 0, 0, 0, 0, 5, mode, codec)]
        for codec in (0, 1, 2, 4, 5)
        for mode in (0, 1, 2)
    },
    "blosc2, level 0": [(32026, 0, 0, 0, 0, 0, 1, 1)],
    "blosc, level 0": [(32001, 0, 0, 0, 0, 0, 1, 1)],
    "shuffle, blosc2, checksum": [(2, 2), (32026, 0, 0, 0, 0, 5, 1, 1), (3,)],
}


@pytest.mark.parametrize(
    "values",
    [SMOOTH, NOISE, np.zeros_like(SMOOTH), SMOOTH // 100 * 7],
    ids=["smooth", "noise", "zeros", "runs"],
)
@pytest.mark.parametrize("filters", WRITTEN.values(), ids=WRITTEN)
def test_the_library_reads_what_we_encode(filters, values):
    values = values.astype("<u2")
    file, dataset = created(filters, "<u2")
    with file:
        for first in range(0, 6, 2):
            stored = encode_chunk(flat(values[first : first + 2]), pipeline(*filters))
            dataset.write_direct_chunk((first, 0, 0, 0), stored)
        assert (file["x"][:] == values).all()


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">f4", "<f8"])
@pytest.mark.parametrize(
    "values",
    [SMOOTH, NOISE, np.zeros_like(SMOOTH), SMOOTH // 100 * 7],
    ids=["smooth", "noise", "zeros", "runs"],
)
@pytest.mark.parametrize("filters", READ.values(), ids=READ)
def test_we_decode_what_the_library_writes(filters, values, dtype):
    values = values.astype(dtype)
    file, dataset = created(filters, dtype)
    with file:
        file["x"][...] = values
        dataset.flush()
        listed = [dataset.get_create_plist().get_filter(number) for number in range(len(filters))]
        decoder = Pipeline(
            pipeline(*[(number, *parameters) for number, _, parameters, _ in listed])
        )
        for first in range(0, 6, 2):
            mask, stored = dataset.read_direct_chunk((first, 0, 0, 0))
            out = np.ones(flat(values[:2]).size, np.uint8)
            decoder.decode(stored, out, mask)
            assert (out == flat(values[first : first + 2])).all()


@given(
    data=st.binary(max_size=2000),
    item_bytes=st.integers(1, 9),
    last=st.sampled_from([(1, 3), (32004, 50), (32015, 1), (3,), (32026, 1, 0, 3, 0, 5, 1, 5)]),
)
def test_any_bytes_come_back(data, item_bytes, last):
    filters = pipeline((2, item_bytes), last)
    out = np.empty(len(data), np.uint8)
    decode_chunk(encode_chunk(data, filters), filters, out)
    assert out.tobytes() == data


@pytest.mark.parametrize("length", [1, 2**17 - 3, 2**17, 2**17 + 1, 10**6])
@pytest.mark.parametrize("type_bytes", [1, 3, 8, 255])
@pytest.mark.parametrize("codec", [1, 5])
def test_blosc2_of_several_blocks(length, type_bytes, codec):
    data = (np.arange(length) // 3 % 251).astype(np.uint8)
    filters = pipeline((32026, 1, 0, type_bytes, length, 3, 1, codec))
    stored = encode_chunk(data, filters)
    out = np.empty_like(data)
    decode_chunk(stored, filters, out)
    assert (out == data).all()
    assert length == 1 or len(stored) < max(300, length // 2)
    file = h5py.File.in_memory()
    with file:
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_chunk((length,))
        creation.set_filter(32026, 0, (1, 0, type_bytes, length, 3, 1, codec))
        dataset = h5py.h5d.create(
            file.id, b"x", h5py.h5t.NATIVE_UINT8, h5py.h5s.create_simple((length,)), creation
        )
        dataset.write_direct_chunk((0,), stored)
        assert (file["x"][:] == data).all()


def test_filters_that_were_left_out():
    filters = pipeline((2, 2), (1, 4), (3,))
    data = flat(SMOOTH[:1].astype("<u2"))
    for mask in range(8):
        used = [row for row in range(3) if not mask >> row & 1]
        stored = encode_chunk(data, filters[used])
        out = np.empty_like(data)
        decode_chunk(stored, filters, out, mask)
        assert (out == data).all()


DAMAGED = ["deflate", "lz4", "lz4, small blocks", "zstd", "lzf", "shuffle, deflate, checksum"]
DAMAGED += ["blosc 0, 1", "blosc 5, 2", "blosc2 1, 1", "blosc2 0, 2"]


def stored_forms():
    """Name -> (filters, the stored form of a chunk, its bytes)."""
    forms = {}
    for name in DAMAGED:
        file, dataset = created(READ[name], "<u2")
        with file:
            file["x"][...] = SMOOTH
            dataset.flush()
            listed = [
                dataset.get_create_plist().get_filter(number) for number in range(len(READ[name]))
            ]
            _, stored = dataset.read_direct_chunk((0, 0, 0, 0))
        forms[name] = (
            pipeline(*[(number, *parameters) for number, _, parameters, _ in listed]),
            stored,
            flat(SMOOTH[:2].astype("<u2")),
        )
    return forms


FORMS = stored_forms()


@pytest.mark.parametrize("name", FORMS)
def test_a_chunk_of_another_length_is_refused(name):
    filters, stored, data = FORMS[name]
    for length in (0, 1, len(data) - 2, len(data) + 2, 2 * len(data)):
        with pytest.raises(ValueError, match="chunk|bytes"):
            decode_chunk(stored, filters, np.empty(length, np.uint8))


@pytest.mark.parametrize("name", FORMS)
def test_cut_chunks_are_refused(name):
    filters, stored, data = FORMS[name]
    for cut in [*range(0, 60), len(stored) // 2, len(stored) - 5]:
        with pytest.raises(ValueError, match="chunk|bytes"):
            decode_chunk(stored[:cut], filters, np.empty(len(data), np.uint8))


@pytest.mark.parametrize("name", FORMS)
def test_damaged_chunks_do_no_harm(name):
    """Refused, or decoded to something; never a byte written outside."""
    filters, stored, data = FORMS[name]
    decoder, chance = Pipeline(filters), np.random.default_rng(1)
    room = np.full(len(data) + 200, 77, np.uint8)
    num_refused = 0
    for _ in range(400):
        damaged = np.frombuffer(stored, np.uint8).copy()
        positions = chance.integers(0, min(len(damaged), chance.choice([40, 300, 10**9])), 3)
        damaged[positions] = chance.choice([0, 1, 127, 128, 255], 3)
        try:
            decoder.decode(damaged, room[100:-100])
        except ValueError:
            num_refused += 1
    assert num_refused > 20
    assert (room[:100] == 77).all()
    assert (room[-100:] == 77).all()


def test_what_is_known():
    assert can_decode(
        pipeline((1, 5), (2, 4), (3,), (32000,), (32004,), (32015,), (32001,), (32026,))
    )
    assert not can_decode(pipeline((1, 5), (32013,)))
    assert not can_decode(pipeline((32001, 2, 2, 1, 9, 5, 1, 3)))  # Snappy
    assert not can_decode(pipeline((32026, 1, 0, 1, 9, 5, 3, 1)))  # delta
    assert [
        number
        for number in (1, 2, 3, 32000, 32001, 32004, 32008, 32015, 32026)
        if can_encode(number)
    ] == [
        1,
        2,
        3,
        32004,
        32015,
        32026,
    ]


def test_what_cannot_be_encoded():
    for filters in (
        pipeline((32001,)),
        pipeline((999,)),
        pipeline((1, 77)),
        pipeline((32026, 1, 0, 1, 9, 5, 2, 1)),
    ):
        with pytest.raises(ValueError, match="filter|level"):
            encode_chunk(b"some bytes", filters)
    with pytest.raises(ValueError, match="at most"):
        encode_chunk(b"some bytes", pipeline(*[(3,)] * 9))


def test_a_checksum_that_does_not_hold():
    stored = bytearray(encode_chunk(b"some bytes", pipeline((3,))))
    stored[3] ^= 1
    with pytest.raises(ValueError, match="Fletcher32"):
        decode_chunk(stored, pipeline((3,)), np.empty(10, np.uint8))
