"""Writing tf.train.Example and the frames around it, held against TensorFlow's own bytes."""

import errno
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpack._native.crc32c import crc32c_rows
from fastpack._native.example import ExampleFrames
from fastpack.core.ragged import Ragged, offsets_of
from fastpack.core.threads import run_in_threads
from tests.support.examples import floats, int64s, names, parsed, serialised, value_lists
from tests.support.wire import frame

IO_ERROR, TRUNCATED, BAD_DATA_CRC = 1, 3, 5


def column(name, kind, rows):
    """One column as ExampleFrames takes it; `rows` are lists of values."""
    flat = [value for row in rows for value in row]
    row_offsets = offsets_of([len(row) for row in rows])
    if kind == "bytes":
        texts = Ragged.of_bytes(flat)
        return name, kind, texts.values, texts.offsets, row_offsets
    return (
        name,
        kind,
        np.array(flat, {"float": np.float32, "int": np.int64}[kind]),
        None,
        row_offsets,
    )


def written(columns, num_rows, num_workers=1):
    frames = ExampleFrames(columns, num_rows)
    run_in_threads(frames.run, num_workers)
    records = frames.records.tobytes()
    return [
        records[first:end]
        for first, end in zip(frames.offsets[:-1], frames.offsets[1:], strict=True)
    ]


tables = st.integers(0, 5).flatmap(
    lambda num_rows: st.dictionaries(
        names,
        st.sampled_from(
            [("bytes", st.binary(max_size=200)), ("float", floats), ("int", int64s)]
        ).flatmap(
            lambda kind: st.tuples(
                st.just(kind[0]),
                st.lists(st.lists(kind[1], max_size=4), min_size=num_rows, max_size=num_rows),
            )
        ),
        max_size=4,
    ).map(lambda columns: (columns, num_rows))
)


@given(tables, st.integers(1, 3))
def test_protobuf_reads_what_is_written(table, num_workers):
    columns, num_rows = table
    records = written(
        [column(name, kind, rows) for name, (kind, rows) in columns.items()], num_rows, num_workers
    )
    for row, record in enumerate(records):
        assert record == frame(record[12:-4])
        assert parsed(record[12:-4]) == {
            name: (kind, rows[row]) for name, (kind, rows) in columns.items()
        }


@given(names, value_lists)
def test_one_feature_is_written_byte_for_byte_as_tensorflow_does(name, feature):
    kind, values = feature
    assert written([column(name, kind, [values])], 1) == [frame(serialised({name: feature}))]


def test_columns_without_row_offsets_have_one_value_a_row():
    records = written([("n", "int", np.array([7, -1]), None, None)], 2)
    assert [parsed(record[12:-4]) for record in records] == [
        {"n": ("int", [7])},
        {"n": ("int", [-1])},
    ]


@pytest.mark.parametrize(
    "columns",
    [
        [("n", "int", np.arange(3), None, None)],
        [("n", "int", np.arange(2), None, np.array([0, 2, 1]))],
        [("n", "int", np.arange(2), None, np.array([0, 1, 3]))],
        [("n", "int", np.arange(2), None, np.array([1, 1, 2]))],
        [("b", "bytes", np.zeros(4, np.uint8), np.array([0, 4, 5]), None)],
        [("b", "bytes", np.zeros(4, np.uint8), np.array([0, -1, 4]), None)],
        [("b", "bytes", np.zeros(4, np.uint8), np.zeros(0, np.int64), None)],
    ],
)
def test_offsets_that_do_not_fit_are_a_mistake(columns):
    with pytest.raises(ValueError, match="offsets|rows"):
        ExampleFrames(columns, 2)


# Values that stay apart go to the file from where they are.


def stored(path, frames, offset=0):
    with open(path, "w+b") as file:
        assert frames.write(file.fileno(), offset) is None
    return path.read_bytes()


def tables_with_blobs(num_rows, sizes):
    rng = np.random.default_rng(len(sizes))
    blobs = [Ragged.of_bytes([rng.bytes(size) for size in sizes]) for _ in range(2)]
    return [
        ("a", "bytes", blobs[0].values, blobs[0].offsets, None),
        ("n", "int", np.arange(num_rows), None, None),
        ("z", "bytes", blobs[1].values, blobs[1].offsets, None),
    ]


def known(columns, apart):
    """The checksums of the values of these columns, by their names."""
    return {
        name: crc32c_rows(values, offsets)
        for name, _, values, offsets, _ in columns
        if name in apart
    }


@pytest.mark.parametrize("apart", [(), ("a",), ("z",), ("a", "z")])
@pytest.mark.parametrize(
    "sizes",
    [[0], [3, 0, 70_000, 1], [5] * 1500, [600_000, 0, 700_000], []],
    ids=[
        "an empty one",
        "a few",
        "more pieces than a call takes",
        "more bytes than a call takes",
        "none",
    ],
)
class TestApart:
    def test_the_file_is_the_same(self, tmp_path, sizes, apart):
        columns = tables_with_blobs(len(sizes), sizes)
        together, frames = (
            ExampleFrames(columns, len(sizes)),
            ExampleFrames(columns, len(sizes), apart=known(columns, apart)),
        )
        run_in_threads(together.run, 2)
        run_in_threads(frames.run, 2)
        assert (frames.offsets == together.offsets).all()
        assert (frames.crcs == together.crcs).all()
        assert stored(tmp_path / "x", frames) == together.records.tobytes()
        assert stored(tmp_path / "x", frames, 1000)[1000:] == together.records.tobytes()
        assert len(frames.records) == len(together.records) - len(apart) * sum(sizes)

    def test_spans_are_where_the_values_are(self, tmp_path, sizes, apart):
        columns = tables_with_blobs(len(sizes), sizes)
        frames = ExampleFrames(columns, len(sizes), apart=known(columns, apart))
        frames.run()
        data = stored(tmp_path / "x", frames)
        assert frames.places.shape == (len(sizes), len(apart))
        for i, name in enumerate(apart):
            values = next(column[2] for column in columns if column[0] == name).tobytes()
            found = [
                data[place : place + size]
                for place, size in zip(frames.places[:, i], sizes, strict=True)
            ]
            assert b"".join(found) == values


@pytest.mark.parametrize(
    ("column_name", "rows"), [("n", None), ("b", np.array([0, 1, 2])), ("gone", None)]
)
def test_only_single_values_of_bytes_stay_apart(column_name, rows):
    columns = [
        ("n", "int", np.arange(2), None, None),
        ("b", "bytes", np.zeros(4, np.uint8), np.array([0, 2, 4]), rows),
    ]
    with pytest.raises(ValueError, match="apart"):
        ExampleFrames(columns, 2, apart={column_name: np.zeros(2, np.uint32)})


def test_values_that_stay_apart_need_a_checksum_each():
    columns = [("b", "bytes", np.zeros(4, np.uint8), np.array([0, 2, 4]), None)]
    with pytest.raises(ValueError, match="apart"):
        ExampleFrames(columns, 2, apart={"b": np.zeros(1, np.uint32)})


def test_a_failing_write_says_why_and_where():
    frames = ExampleFrames([("n", "int", np.arange(3), None, None)], 3)
    frames.run()
    with open("/dev/full", "r+b") as full:
        status, error_number, _, offset, _ = frames.write(full.fileno(), 0)
    assert (status, error_number, offset) == (1, errno.ENOSPC, 0)


class TestReadingBack:
    """Records are compared with what stands in the file while they are written."""

    @pytest.fixture(params=[(), ("a", "z")], ids=["together", "apart"])
    def frames(self, request):
        columns = tables_with_blobs(5, [9, 0, 300_000, 2, 40])
        frames = ExampleFrames(columns, 5, apart=known(columns, request.param))
        frames.run()
        return frames

    def test_a_file_that_keeps_nothing(self, frames):
        with open(os.devnull, "r+b") as nothing:
            assert frames.write(nothing.fileno(), 0)[:3] == (TRUNCATED, 0, 0)

    def test_a_file_that_may_not_be_read(self, tmp_path, frames):
        with open(tmp_path / "x", "wb") as file:
            assert frames.write(file.fileno(), 0)[:3] == (IO_ERROR, errno.EBADF, 0)

    @pytest.mark.parametrize("before", [1, 100_000])
    def test_records_at_the_wrong_offset(self, tmp_path, frames, before):
        """Linux appends to a file that was opened for appending, whatever the offset of a write."""
        (tmp_path / "x").write_bytes(bytes(before))
        with open(tmp_path / "x", "a+b") as file:
            status, _, row, offset, _ = frames.write(file.fileno(), 0)
        assert (status, row, offset) == (BAD_DATA_CRC, 0, 0)


def test_a_checksum_that_is_not_that_of_the_value_is_found(tmp_path):
    columns = tables_with_blobs(5, [9, 0, 300, 2, 40])
    apart = known(columns, ("a", "z"))
    apart["z"][3] ^= 1
    frames = ExampleFrames(columns, 5, apart=apart)
    frames.run()
    with open(tmp_path / "x", "w+b") as file:
        status, _, row, offset, _ = frames.write(file.fileno(), 7)
    assert (status, row, offset) == (BAD_DATA_CRC, 3, 7 + frames.offsets[3])
