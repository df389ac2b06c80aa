"""The kernel of table files refuses wrong calls before it reads or writes memory."""

import numpy as np
import pytest

from fastpack._native.tables import Places, TablePages, advise, take_from
from fastpack.files.table_file import TableFile, table_bytes
from fastpack.files.table_layout import Layout

ROW = np.zeros(1, np.int64)


@pytest.fixture
def file() -> TableFile:
    columns = {"x": np.arange(9) ** 2, "y": np.arange(9).astype("i2") ** 3}
    return TableFile.of_bytes(table_bytes({"t": columns}, about=0, own=""))


@pytest.mark.parametrize(
    "leaf",
    [(0, 0, 3, 8), (0, 0, 16, 16), (0, 1, 8, 8), (0, -1, 1, 8), (0, 0, 8, 4), (0, 8, 8, 8)],
)
def test_leaves_outside_of_items(leaf):
    with pytest.raises(ValueError, match="lies outside"):
        Places(b"", [[leaf]])


@pytest.mark.parametrize("leaf", [(-1, 0, 8, 8), (2**32, 0, 8, 8), (0, 0, 8, 2**32)])
def test_leaves_that_are_too_large(leaf):
    with pytest.raises(OverflowError):
        Places(b"", [[leaf]])


@pytest.mark.parametrize(
    "columns",
    [
        [],
        [None],
        [None, None, None],
        [np.zeros(2, np.int64), None],
        [np.zeros(1, np.int32), None],
        [np.zeros(0, np.int64), None],
        [None, np.zeros(3, np.int16)],
    ],
)
def test_columns_of_another_size(file, columns):
    for call in (
        lambda: file.take_rows(0, ROW, columns),
        lambda: file.read_rows(0, 3, 4, columns),
        lambda: take_from((file,), ROW, file.layout.places, 0, ROW, columns),
    ):
        with pytest.raises(ValueError, match="columns:"):
            call()


def test_columns_that_cannot_be_written(file):
    column = np.zeros(2, np.int64)
    column.flags.writeable = False
    for bad in (column, np.zeros(3, np.int64)[::2], bytes(16)):
        with pytest.raises((ValueError, BufferError)):
            file.take_rows(0, np.arange(2), [bad, None])


@pytest.mark.parametrize("table", [-1, 1, 2**40])
def test_tables_that_do_not_exist(file, table):
    places = file.layout.places
    for call in (
        lambda: file.count_rows(table),
        lambda: file.line(table, 0),
        lambda: file.take_rows(table, ROW, [None, None]),
        lambda: file.read_rows(table, 0, 0, [None, None]),
        lambda: take_from((file,), ROW, places, table, ROW, [None, None]),
        lambda: advise((file,), ROW, places, table, ROW),
    ):
        with pytest.raises(ValueError, match="does not have it"):
            call()


@pytest.mark.parametrize("leaf", [-1, 2])
def test_leaves_that_do_not_exist(file, leaf):
    with pytest.raises(ValueError, match="leaf"):
        file.line(0, leaf)


@pytest.mark.parametrize(("first", "end"), [(-1, 2), (3, 2), (0, 10), (10, 10)])
def test_rows_that_do_not_exist(file, first, end):
    with pytest.raises(IndexError, match="do not lie in"):
        file.read_rows(0, first, end, [None, None])


def test_numbers_and_rows_of_two_lengths(file):
    with pytest.raises(ValueError, match="one for each row"):
        take_from((file,), ROW, file.layout.places, 0, np.zeros(2, np.int64), [None, None])
    with pytest.raises(ValueError, match="one for each row"):
        advise((file,), ROW, file.layout.places, 0, np.zeros(2, np.int64))


@pytest.mark.parametrize("other", [None, 5, "file"])
def test_other_objects_among_the_files(file, other):
    with pytest.raises(TypeError):
        take_from((file, other), ROW + 1, file.layout.places, 0, ROW, [None, None])


def test_a_file_is_opened_once_and_bound_once(file):
    new = TablePages()
    for call in (new.texts, lambda: new.bind(file.layout.places)):
        with pytest.raises(ValueError, match="not open"):
            call()
    with pytest.raises(ValueError, match="does not have it"):
        new.count_rows(0)
    data = table_bytes({"t": {"x": np.arange(3) ** 2}}, about=0, own="")
    assert new.copy_bytes(data) is None
    with pytest.raises(ValueError, match="open already"):
        new.copy_bytes(data)
    assert new.bind(file.layout.places) is not None
    with pytest.raises(ValueError, match="does not have it"):
        new.count_rows(0)
    with pytest.raises(ValueError, match="not open"):
        file.texts()


def test_a_file_that_was_refused():
    x = np.random.default_rng(0).integers(0, 2**62, 9)
    new = TablePages()
    assert new.copy_bytes(table_bytes({"t": {"x": x, "y": x + 1}}, about=0, own="")) is None
    places = Places(b"", [[(0, 0, 4, 4), (1, 0, 8, 8)]])
    assert new.bind(places)[4] == "its header refers to a wrong column"
    with pytest.raises(ValueError, match="refused"):
        new.bind(places)
    with pytest.raises(ValueError, match="does not have it"):
        new.count_rows(0)


def test_equal_layouts_may_be_mixed(file):
    layout = Layout(file.layout.common, 0, file.layout.tables)
    assert layout == file.layout
    column = np.zeros(1, np.int64)
    assert take_from((file,), ROW, layout.places, 0, ROW + 3, [column, None]) is None
    assert column == 9
