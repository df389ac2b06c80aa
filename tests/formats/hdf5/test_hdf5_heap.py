"""Rows of variable length that fastpack finds in the file's heap, compared with HDF5's library."""

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastpack
from fastpack import PackOptions
from fastpack.core.dtypes import NO_SPAN
from fastpack.errors import CorruptRecordError, FormatError, LimitError
from fastpack.sources import ImageFiles
from tests.support.damage import in_place
from tests.support.extent import num_examples
from tests.support.images import jpeg
from tests.support.subprocesses import run_python

BYTES = h5py.vlen_dtype(np.uint8)
TEXT = h5py.string_dtype()


@st.composite
def files(draw):
    """Draws arguments of create_dataset, lengths of rows, and the rows to write, in order."""
    num_rows = draw(st.integers(1, 40))
    lengths = draw(
        st.lists(
            st.sampled_from([0, 1, 7, 8, 9, 300, 4000, 5000, 20_000]),
            min_size=num_rows,
            max_size=num_rows,
        )
    )
    chunks = draw(st.none() | st.integers(1, num_rows).map(lambda size: (size,)))
    return {
        "lengths": lengths,
        "written": draw(
            st.permutations(range(num_rows)).map(
                lambda rows: rows[: draw(st.integers(0, num_rows))]
            )
        ),
        "dataset": {
            "chunks": chunks,
            "compression": draw(st.sampled_from([None, "gzip", "lzf"])) if chunks else None,
            "shuffle": bool(chunks) and draw(st.booleans()),
        },
        "file": {
            "libver": draw(st.sampled_from(["earliest", "latest"])),
            "userblock_size": draw(st.sampled_from([0, 512])),
        },
    }


@settings(max_examples=num_examples(100))
@given(layout=files())
def test_rows_are_what_h5py_reads(tmp_path_factory, layout):
    path, num_rows = tmp_path_factory.mktemp("rows") / "x.h5", len(layout["lengths"])
    chance = np.random.default_rng(num_rows)
    with h5py.File(path, "w", **layout["file"]) as f:
        images = f.create_dataset("images", (num_rows,), BYTES, **layout["dataset"])
        names = f.create_dataset("names", (num_rows,), TEXT, **layout["dataset"])
        for row in layout["written"]:
            images[row] = chance.integers(0, 256, layout["lengths"][row], np.uint8)
            names[row] = "ä" * (layout["lengths"][row] // 7)
    reader = fastpack.open(path, decode=False)
    assert (reader.index.spans["image"]["offset"] != NO_SPAN).all()
    blobs = reader.read(range(num_rows))
    with h5py.File(path) as f:
        assert [blobs["image"].bytes(i) for i in range(num_rows)] == [
            row.tobytes() for row in f["images"]
        ]
        assert list(blobs["names"]) == [row.decode() for row in f["names"]]


def write_rows(path, num_rows=3):
    with h5py.File(path, "w") as f:
        images = f.create_dataset("images", (num_rows,), BYTES)
        for row in range(num_rows):
            images[row] = np.frombuffer(jpeg(20, 30, seed=row), np.uint8)
    return path


HEAP, OBJECT = 0, 16  # the bytes of a collection where its head and that of its first object are


@pytest.mark.parametrize(
    ("at_byte", "written"),
    [
        (HEAP, b"H"),
        (HEAP + 4, b"\2"),
        (HEAP + 8, (2**64 - 1).to_bytes(8, "little")),
        (HEAP + 8, (24).to_bytes(8, "little")),
        (OBJECT, b"\7\0"),
        (OBJECT, b"\0\0"),
        (OBJECT + 8, (2**64 - 16).to_bytes(8, "little")),
        (OBJECT + 8, (10).to_bytes(8, "little")),
    ],
    ids=[
        "signature",
        "version",
        "size, too large",
        "size, too small",
        "number",
        "no object",
        "object, too large",
        "object, too small",
    ],
)
def test_a_damaged_heap_is_reported(tmp_path, at_byte, written):
    data = bytearray(write_rows(tmp_path / "x.h5").read_bytes())
    heap = data.index(b"GCOL")
    data[heap + at_byte : heap + at_byte + len(written)] = written
    (tmp_path / "x.h5").write_bytes(data)
    with pytest.raises(FormatError, match=r"heap.*x\.h5"):
        fastpack.open(tmp_path / "x.h5")


def row_of(data):
    """The byte where the first row's length, address and number stand."""
    heap = data.index(b"GCOL")
    length = int.from_bytes(data[heap + OBJECT + 8 : heap + OBJECT + 16], "little")
    return data.index(
        length.to_bytes(4, "little") + heap.to_bytes(8, "little") + (1).to_bytes(4, "little")
    )


@pytest.mark.parametrize("address", [1, 2**63 - 1, 2**64 - 1])
def test_an_address_that_is_no_heap(tmp_path, address):
    data = bytearray(write_rows(tmp_path / "x.h5").read_bytes())
    at_byte = row_of(data) + 4
    data[at_byte : at_byte + 8] = address.to_bytes(8, "little")
    (tmp_path / "x.h5").write_bytes(data)
    with pytest.raises(FormatError, match=r"heap.*x\.h5"):
        fastpack.open(tmp_path / "x.h5")


def test_text_that_claims_more_than_the_file(tmp_path):
    """All rows refer to the same bytes, as HDF5 allows: a small file has any amount of text."""
    with h5py.File(tmp_path / "x.h5", "w") as f:
        f["images"] = np.zeros((400, 4, 4, 3), np.uint8)
        f.create_dataset("names", (400,), TEXT)[0] = "x" * 3000
    data = bytearray((tmp_path / "x.h5").read_bytes())
    at_byte = row_of(data)
    data[at_byte : at_byte + 400 * 16] = data[at_byte : at_byte + 16] * 400
    (tmp_path / "x.h5").write_bytes(data)
    with pytest.raises(LimitError, match=r"bytes of text.*x\.h5"):
        fastpack.open(tmp_path / "x.h5")


OPEN = """
import sys, fastpack
reader = fastpack.open(sys.argv[1], untrusted=True, save_index=False)
print([image.shape for image in reader.read([2, 0])["image"]])
"""


def test_untrusted_rows_need_no_library(tmp_path):
    assert run_python(OPEN, write_rows(tmp_path / "x.h5")) == "[(20, 30, 3), (20, 30, 3)]\n"


def test_a_row_that_changed_is_found_when_read(tmp_path):
    files = [tmp_path / f"{i}.jpg" for i in range(3)]
    for i, file in enumerate(files):
        file.write_bytes(jpeg(20, 30, seed=i))
    fastpack.pack(ImageFiles(files), tmp_path / "x.h5", PackOptions(layout="vlen"))
    reader = fastpack.open(tmp_path / "x.h5", decode=False)
    data = bytearray((tmp_path / "x.h5").read_bytes())
    data[data.index(files[1].read_bytes()) + 50] ^= 1
    in_place(tmp_path / "x.h5", {0: bytes(data)})
    assert reader.read([0, 2])["image"].bytes(1) == files[2].read_bytes()
    with pytest.raises(CorruptRecordError, match=r"x\.h5, record 1"):
        reader.read([1])
