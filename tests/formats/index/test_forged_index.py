"""Forged indexes whose checksums hold: any value results in a FastpackError or a batch."""

import contextlib

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastpack
from fastpack.errors import FastpackError, LimitError
from fastpack.files.companions import index_path
from tests.support.extent import num_examples
from tests.support.forgeries import (
    CHUNK_SHAPES,
    ODD,
    assert_only_our_errors,
    each_shape,
    places_in,
    replaced,
)
from tests.support.indexed_files import MAKERS
from tests.support.saved_tables import SavedTables


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Path of a dataset -> the bytes of its saved index."""
    paths = [make(tmp_path_factory.mktemp(name)) for name, make in MAKERS.items()]
    return {path: index_path(path).read_bytes() for path in paths}


def forge(draw, saved):
    """Replace one value of the texts, or one column."""
    part = draw(st.sampled_from(["about", "own", "column"]))
    if part != "column":
        text = getattr(saved, part)
        place = draw(st.sampled_from(list(places_in(text))))
        setattr(saved, part, replaced(text, place, draw(st.sampled_from(ODD))))
        return
    table = draw(st.sampled_from(sorted(saved.tables)))
    column = draw(st.sampled_from(sorted(saved.tables[table])))
    array = saved.tables[table][column]
    changes = [array[:-1], np.concatenate([array, array]), array[::-1].copy(), array[:0]]
    changed = draw(st.sampled_from([*changes, array.copy()]))
    if changed.size:
        values = changed.view(np.uint8)
        values[draw(st.integers(0, len(values) - 1))] = draw(st.sampled_from([0, 1, 127, 128, 255]))
    if len(changed) != len(array):  # all columns of a table have one length
        rows = np.arange(len(changed)) % max(1, len(array))
        saved.tables[table] = {name: old[rows] for name, old in saved.tables[table].items()}
    saved.tables[table][column] = changed


@pytest.mark.parametrize("number", range(len(MAKERS)), ids=MAKERS)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=num_examples(60),
)
@given(data=st.data())
def test_any_forged_value(datasets, number, data):
    path, original = list(datasets.items())[number]
    index_path(path).write_bytes(original)
    saved = SavedTables(index_path(path))
    forge(data.draw, saved)
    with contextlib.suppress(ValueError):  # a text that no JSON has
        saved.save(index_path(path))
    assert_only_our_errors(path)


@each_shape
@pytest.mark.parametrize("chunk", CHUNK_SHAPES)
def test_any_forged_chunks(datasets, shape, chunk):
    path, original = list(datasets.items())[2]
    index_path(path).write_bytes(original)
    saved = SavedTables(index_path(path))
    saved.about["schema"] = replaced(saved.about["schema"], ("fields", 0, "shape"), shape)
    rank = min(1 + len(shape), len(chunk))
    sizes = np.array([4, *shape], np.uint64).view(np.int64)[:rank]
    saved.tables["chunk/0/image/shape"] = {"dataset": sizes, "chunk": np.array(chunk)[:rank]}
    num_bytes = int(np.prod(shape, dtype=object))
    saved.tables["blob/image"]["span"]["length"] = min(num_bytes, 2**64 - 1)
    saved.save(index_path(path))
    assert_only_our_errors(path)


# Arrays of any size


def test_samples_that_no_memory_holds(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as f:
        f.create_dataset("images", (2, 2**31, 2**31, 3), "u1", chunks=(1, 64, 64, 3))
    with pytest.raises(LimitError, match=r"max_pixels.*x\.h5"):
        fastpack.open(tmp_path / "x.h5").read([0])
    limits = fastpack.Limits(max_pixels=2**62)
    with pytest.raises(LimitError, match="memory"):
        fastpack.open(tmp_path / "x.h5", limits=limits).read([0])


@pytest.mark.parametrize("shape", [(5, 0, 0, 3), (5, 0, 4, 3), (5, 4, 4, 0)])
@pytest.mark.parametrize(
    "transform",
    [
        fastpack.Resize(8),
        fastpack.RandomResizedCrop(8),
        [fastpack.Resize(8), fastpack.CenterCrop(4)],
    ],
)
def test_samples_without_pixels_have_nothing_to_transform(tmp_path, shape, transform):
    with h5py.File(tmp_path / "x.h5", "w") as f:
        f.create_dataset("images", shape, "u1")
    assert fastpack.open(tmp_path / "x.h5").read([0])["image"].shape == (1, *shape[1:])
    for rows in ([], [0, 1]):
        with pytest.raises(FastpackError, match="no pixels|which axis is the channels"):
            fastpack.open(tmp_path / "x.h5", transform=transform).read(rows)
