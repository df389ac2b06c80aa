"""Writing tf.train.Example and the frames around it, held against TensorFlow's own bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_example_kernel import floats, int64s, names, parsed, serialised, value_lists
from wire import frame

from fastpack._native.example import ExampleFrames
from fastpack.pool import share
from fastpack.ragged import Ragged, offsets_of


def column(name, kind, rows):
    """One column as ExampleFrames takes it; `rows` are lists of values."""
    flat = [value for row in rows for value in row]
    row_offsets = offsets_of([len(row) for row in rows])
    if kind == "bytes":
        texts = Ragged.of_bytes(flat)
        return name, kind, texts.values, texts.offsets, row_offsets
    return name, kind, np.array(flat, {"float": np.float32, "int": np.int64}[kind]), None, row_offsets


def written(columns, num_rows, num_workers=1):
    frames = ExampleFrames(columns, num_rows)
    share(frames.run, num_workers)
    records = frames.records.tobytes()
    return [records[first:end] for first, end in zip(frames.offsets[:-1], frames.offsets[1:], strict=True)]


tables = st.integers(0, 5).flatmap(
    lambda num_rows: st.dictionaries(
        names,
        st.sampled_from([("bytes", st.binary(max_size=200)), ("float", floats), ("int", int64s)]).flatmap(
            lambda kind: st.tuples(st.just(kind[0]), st.lists(st.lists(kind[1], max_size=4), min_size=num_rows, max_size=num_rows))
        ),
        max_size=4,
    ).map(lambda columns: (columns, num_rows))
)


@given(tables, st.integers(1, 3))
def test_protobuf_reads_what_is_written(table, num_workers):
    columns, num_rows = table
    records = written([column(name, kind, rows) for name, (kind, rows) in columns.items()], num_rows, num_workers)
    for row, record in enumerate(records):
        assert record == frame(record[12:-4])
        assert parsed(record[12:-4]) == {name: (kind, rows[row]) for name, (kind, rows) in columns.items()}


@given(names, value_lists)
def test_one_feature_is_written_byte_for_byte_as_tensorflow_does(name, feature):
    kind, values = feature
    assert written([column(name, kind, [values])], 1) == [frame(serialised({name: feature}))]


def test_columns_without_row_offsets_have_one_value_a_row():
    records = written([("n", "int", np.array([7, -1]), None, None)], 2)
    assert [parsed(record[12:-4]) for record in records] == [{"n": ("int", [7])}, {"n": ("int", [-1])}]


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
