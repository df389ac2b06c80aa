"""The samples by class: sorted in blocks, kept in files, as np.argsort sorts them in memory."""

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_st

from fastpack.core import ragged
from fastpack.core.ragged import Ragged, Text, offsets_of
from fastpack.errors import FormatError, OptionError
from fastpack.reading import class_order, class_sort, evaluation
from fastpack.reading.class_order import ClassOrder
from fastpack.reading.columns import Columns


@pytest.fixture(autouse=True, scope="module")
def _small_blocks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        for module in (evaluation, class_sort):
            patched.setattr(module, "BLOCK_ROWS", 16)
            patched.setattr(module, "RAGGED_BLOCK_ROWS", 8)
        patched.setattr(class_sort, "_BUCKET_SAMPLES", 10)
        patched.setattr(class_sort, "_MERGED_VALUES", 20)
        patched.setattr(class_order, "_IN_MEMORY_SAMPLES", 0)
        yield


def _sorted(column: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the samples by class and the sizes of classes, by whole arrays."""
    labels = np.array(list(column)) if isinstance(column, Text) else np.asarray(column)
    _, counts = np.unique(labels, return_counts=True)
    return np.argsort(labels, kind="stable"), counts


def _lazy(column: Any) -> Any:
    return Columns(["x"], len(column), lambda _, rows: ragged.take(column, rows))["x"]


def _assert_sorted(order: ClassOrder, column: Any) -> None:
    members, sizes = _sorted(column)
    assert order.sizes.dtype == np.int64
    assert order.sizes.tolist() == sizes.tolist()
    positions = np.random.default_rng(0).permutation(len(column))
    found = order.members_at(positions)
    assert found.dtype == np.int64
    assert found.tolist() == members[positions].tolist()


NUMBERS = st.sampled_from(["i1", "u1", "i2", "i8", "u8", "f4", "f8", "?"]).flatmap(
    lambda dtype: numpy_st.arrays(dtype, st.integers(1, 100), fill=st.nothing())
)
FEW = st.lists(st.integers(-2, 5), min_size=1, max_size=200).map(np.array)
TEXTS = st.lists(st.text("abé\0/", max_size=3), min_size=1, max_size=60).map(Text.of)


@given(NUMBERS | FEW | TEXTS, st.booleans())
def test_the_order_is_that_of_argsort(column: Any, is_lazy: bool) -> None:
    order = ClassOrder.of(_lazy(column) if is_lazy else column, len(column))
    _assert_sorted(order, column)


def test_small_datasets_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_order, "_IN_MEMORY_SAMPLES", 2**21)
    monkeypatch.setattr(class_order, "_in_temporary_file", None)
    labels = np.arange(1000) % 7
    _assert_sorted(ClassOrder.of(labels, 1000), labels)
    _assert_sorted(pickle.loads(pickle.dumps(ClassOrder.of(_lazy(labels), 1000))), labels)
    _assert_sorted(ClassOrder.of(np.zeros(0, int), 0), np.zeros(0, int))


LABELS = np.random.default_rng(3).integers(0, 20, 500)


@pytest.fixture(params=[0, 2**21], ids=["in a file", "in memory"])
def _in_memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_order, "_IN_MEMORY_SAMPLES", request.param)


def _counted(reads: list[int]) -> Any:
    def take(_: str, rows: Any) -> Any:
        reads.append(len(rows))
        return LABELS[rows]

    return Columns(["x"], len(LABELS), take)["x"]


@pytest.mark.usefixtures("_in_memory")
def test_a_saved_order_reads_no_column(tmp_path: Path) -> None:
    path, reads = tmp_path / "order", []
    _assert_sorted(ClassOrder.of(LABELS, 500, path, key="a"), LABELS)
    _assert_sorted(ClassOrder.of(_counted(reads), 500, path, key="a"), LABELS)
    assert sum(reads) == 0
    _assert_sorted(ClassOrder.of(_counted(reads), 500, path, key="b"), LABELS)
    assert sum(reads) >= 500
    assert os.listdir(tmp_path) == ["order"]


@pytest.mark.usefixtures("_in_memory")
def test_a_damaged_order_is_computed_again(tmp_path: Path) -> None:
    path = tmp_path / "order"
    ClassOrder.of(LABELS, 500, path)
    good = path.read_bytes()
    for place in [*range(0, len(good), 97), 2**13]:
        bad = bytearray(good)
        if place < len(good):
            bad[place] ^= 255
        path.write_bytes(bad[: max(place, 20)] if place % 2 else bad)
        _assert_sorted(ClassOrder.of(LABELS, 500, path), LABELS)
    path.write_bytes(b"")
    _assert_sorted(ClassOrder.of(LABELS, 500, path), LABELS)
    assert path.read_bytes() == good


def test_an_order_that_is_damaged_while_it_is_open(tmp_path: Path) -> None:
    path = tmp_path / "order"
    order = ClassOrder.of(LABELS, 500, path)
    copy = pickle.loads(pickle.dumps(order))
    with open(path, "r+b") as file:
        file.truncate(4096 + 100)
    with pytest.raises(FormatError, match="delete it"):
        copy.members_at(np.arange(500))  # another process has no column
    _assert_sorted(order, LABELS)
    _assert_sorted(ClassOrder.of(LABELS, 500, path), LABELS)


@pytest.mark.parametrize(
    ("members", "sizes"),
    [
        (np.arange(500), [499]),
        (np.arange(500), [501, -1]),
        (np.arange(500), [500, 0]),
        (np.arange(499), [499]),
        (np.arange(500).astype(float), [500]),
    ],
    ids=["short", "negative", "empty class", "few", "floats"],
)
@pytest.mark.usefixtures("_in_memory")
def test_a_saved_order_that_does_not_fit(tmp_path: Path, members: Any, sizes: Any) -> None:
    path = tmp_path / "order"
    members = members if members.dtype.kind == "f" else members.astype("<u4")
    class_order._save(path, members, np.array(sizes), "")
    _assert_sorted(ClassOrder.of(LABELS, 500, path), LABELS)


@pytest.mark.parametrize("member", [500, 2**32 - 1])
def test_a_saved_order_of_samples_that_do_not_exist(tmp_path: Path, member: int) -> None:
    path = tmp_path / "order"
    members, sizes = _sorted(LABELS)
    members[7] = member
    class_order._save(path, members.astype("<u4"), sizes, "")
    _assert_sorted(ClassOrder.of(LABELS, 500, path), LABELS)
    class_order._save(path, members.astype("<u4"), np.array([100, 400]), "")
    order = ClassOrder.of(LABELS, 500, path)
    with pytest.raises(FormatError, match="other samples"):
        order.members_at(np.arange(500))
    _assert_sorted(ClassOrder.of(LABELS, 500, path), LABELS)


@pytest.mark.usefixtures("_in_memory")
def test_an_order_that_cannot_be_saved(tmp_path: Path) -> None:
    _assert_sorted(ClassOrder.of(LABELS, 500, tmp_path / "missing" / "order"), LABELS)
    _assert_sorted(ClassOrder.of(LABELS, 500, tmp_path), LABELS)


def test_the_temporary_file_is_shared_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    order = ClassOrder.of(LABELS, 500)
    assert len(os.listdir(tmp_path)) == 1
    pickled = pickle.dumps(order)
    assert len(pickled) < 1000
    copy = pickle.loads(pickled)
    _assert_sorted(copy, LABELS)
    del copy
    assert len(os.listdir(tmp_path)) == 1
    del order
    assert os.listdir(tmp_path) == []


def test_lists_are_refused() -> None:
    lists = Ragged(np.arange(6), offsets_of([2, 2, 2]))
    with pytest.raises(OptionError, match="no single class"):
        ClassOrder.of(lists, 3)
