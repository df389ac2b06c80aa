"""Any layout, chunks, filters, dtype and byte order: native reads equal those of HDF5's library."""

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastpack
from fastpack.core.dtypes import NO_SPAN
from fastpack.core.ragged import Text
from fastpack.formats.hdf5.values import text_of
from fastpack.formats.hdf5.vectors import _fixed_strings
from tests.support.extent import num_examples

hdf5plugin = pytest.importorskip("hdf5plugin")

DTYPES = ["u1", "i1", "<u2", ">u2", "<i4", ">i4", "<u8", ">i8", "<f2", ">f4", "<f4", ">f8"]
# HDF5's numbers and parameters; plugins set what is missing.
COMPRESSORS = {
    "none": [],
    "gzip": [(1, (4,))],
    "lzf": [(32000, ())],
    "lz4": [(32004, (0,))],
    "lz4 in small blocks": [(32004, (100,))],
    "zstd": [(32015, (3,))],
    "gzip and lz4": [(1, (1,)), (32004, (0,))],
    "bitshuffle": [(32008, (0, 2))],
    "blosc": [(32001, (0, 0, 0, 0, 5, 1, 1))],
    "blosc, bits": [(32001, (0, 0, 0, 0, 9, 2, 5))],
    "blosc, zlib": [(32001, (0, 0, 0, 0, 3, 1, 4))],
    "blosc, blosclz": [(32001, (0, 0, 0, 0, 5, 1, 0))],
    "blosc2": [(32026, (0, 0, 0, 0, 5, 1, 1))],
    "blosc2, bits": [(32026, (0, 0, 0, 0, 9, 2, 5))],
    "blosc2, blosclz": [(32026, (0, 0, 0, 0, 5, 1, 0))],
}
BY_THE_LIBRARY = {"bitshuffle"}


@st.composite
def layouts(draw):
    """Draws arguments of create_dataset, the written part, and which samples to read."""
    rank = draw(st.sampled_from([3, 4, 4, 4, 5]))
    shape = tuple(draw(st.integers(1, 9 if axis == 0 else 8)) for axis in range(rank))
    samples = st.integers(0, shape[0])
    is_chunked = draw(st.integers(0, 5)) > 0
    chunks = tuple(draw(st.integers(1, size)) for size in shape) if is_chunked else None
    if chunks and draw(st.booleans()):
        chunks = (chunks[0], *shape[1:])
    return {
        "shape": shape,
        "dtype": np.dtype(draw(st.sampled_from(DTYPES))),
        "chunks": chunks,
        "shuffle": is_chunked and draw(st.booleans()),
        "fletcher32": is_chunked and draw(st.integers(0, 3)) == 0,
        "compressor": draw(st.sampled_from(sorted(COMPRESSORS))) if is_chunked else "none",
        "fill": draw(st.integers(0, 100)),
        "part": sorted(draw(st.tuples(samples, samples))) if draw(st.booleans()) else [0, shape[0]],
        "is_random": draw(st.booleans()),
        "seed": draw(st.integers(0, 2**32 - 1)),
        "libver": draw(st.sampled_from(["earliest", "v108", "v110", "v112", "latest"])),
        "userblock_size": draw(st.sampled_from([0, 0, 512, 4096])),
        "rows": draw(st.lists(st.integers(0, shape[0] - 1), min_size=1, max_size=12)),
        "workers": draw(st.integers(1, 3)),
    }


def values_of(layout):
    chance = np.random.default_rng(layout["seed"])
    if layout["is_random"]:
        return chance.integers(
            0, 256, (*layout["shape"], layout["dtype"].itemsize), dtype=np.uint8
        ).view(layout["dtype"])[..., 0]
    return (np.cumsum(chance.integers(0, 2, layout["shape"]), axis=1) % 100).astype(layout["dtype"])


def write(path, layout):
    """The file, and the values that h5py reads from it."""
    with h5py.File(
        path, "w", libver=layout["libver"], userblock_size=layout["userblock_size"]
    ) as f:
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_fill_value(np.asarray(layout["fill"], layout["dtype"]))
        if layout["chunks"]:
            creation.set_chunk(layout["chunks"])
        if layout["shuffle"]:
            creation.set_shuffle()
        for number, parameters in COMPRESSORS[layout["compressor"]]:
            creation.set_filter(number, h5py.h5z.FLAG_OPTIONAL, parameters)
        if layout["fletcher32"]:
            creation.set_fletcher32()
        space, kind = (
            h5py.h5s.create_simple(layout["shape"]),
            h5py.h5t.py_create(layout["dtype"], logical=True),
        )
        h5py.h5d.create(f.id, b"images", kind, space, creation)
        first, last = layout["part"]
        f["images"][first:last] = values_of(layout)[first:last]
        f["labels"] = np.arange(layout["shape"][0])
    with h5py.File(path) as f:
        return f["images"][:]


@settings(max_examples=num_examples(250))
@given(layout=layouts())
def test_what_is_read_is_what_h5py_reads(tmp_path_factory, layout):
    path = tmp_path_factory.mktemp("layouts") / "x.h5"
    expected = write(path, layout)[layout["rows"]]
    for _ in range(2):  # the second time from the saved index
        reader = fastpack.open(path, num_workers=layout["workers"])
        images = reader.read(layout["rows"])["image"]
        assert images.dtype == layout["dtype"].newbyteorder("=")
        assert images.tobytes() == expected.astype(images.dtype).tobytes()
    is_read_natively = (
        bool(reader.index.chunks.get("image"))
        or (reader.index.spans["image"]["offset"] != NO_SPAN).all()
    )
    assert is_read_natively or layout["compressor"] in BY_THE_LIBRARY


@given(st.lists(st.text(max_size=9).map(lambda text: text.rstrip("\0")), max_size=6))
def test_text_of_fixed_length_is_what_numpy_would_make_of_it(rows):
    text = Text.of(rows)
    strings = _fixed_strings(text, max(1, int(text.lengths.max(initial=1))))
    expected = np.array(
        [text.bytes(i) for i in range(len(text))], h5py.string_dtype("utf-8", strings.itemsize)
    )
    assert strings.dtype.metadata == expected.dtype.metadata
    assert strings.tobytes() == expected.tobytes()
    assert list(text_of(strings)) == rows
