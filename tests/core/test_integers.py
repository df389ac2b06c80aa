"""Integers of the public API: numpy's are accepted and stored as int; bools and floats are not."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastpack
from fastpack.core.limits import Limits
from fastpack.core.ragged import Text
from fastpack.core.schema import Field, Schema
from fastpack.errors import OptionError

PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
PNG = fastpack.encode(PIXELS, "png")
NUMBERS = Schema((Field("label", "int"),), ("zero", "one", "two"))

# Name -> a call with an integer from 1 to 100, which returns the integer that is stored.
STORED: dict[str, Callable] = {
    "Resize": lambda value: fastpack.Resize(value).size,
    "Resize, height": lambda value: fastpack.Resize((value, 3)).size[0],
    "ResizeShort": lambda value: fastpack.ResizeShort(value).size,
    "CenterCrop": lambda value: fastpack.CenterCrop(value).size,
    "CenterCrop, fill": lambda value: fastpack.CenterCrop(3, fill=value).fill,
    "RandomCrop": lambda value: fastpack.RandomCrop((3, value)).size[1],
    "RandomResizedCrop": lambda value: fastpack.RandomResizedCrop(value).size,
    "Field": lambda value: Field("x", "pixels", (value, None)).shape[0],
    "Batch": lambda value: fastpack.Batch({"x": np.zeros(int(value))}, value).num_samples,
}


def limit(name: str) -> Callable:
    return lambda value: getattr(Limits(**{name: value}), name)


STORED |= {f"Limits, {field.name}": limit(field.name) for field in dataclasses.fields(Limits)}

INTEGERS = st.sampled_from([np.int8, np.uint8, np.int32, np.uint32, np.int64, np.uint64])


@pytest.mark.parametrize("name", STORED)
@given(st.integers(1, 100), INTEGERS)
def test_numpy_integers_are_stored_as_integers(name, value, dtype):
    stored = STORED[name](dtype(value))
    assert type(stored) is int
    assert stored == STORED[name](value) == value


@pytest.mark.parametrize("name", STORED)
@given(
    st.booleans()
    | st.booleans().map(np.bool_)
    | st.floats(1, 100)
    | st.floats(1, 100).map(np.float64)
    | st.integers(1, 100).map(str)
)
def test_bools_floats_and_texts_are_not_integers(name, value):
    with pytest.raises(OptionError, match="must be an integer"):
        STORED[name](value)


@given(st.integers(1, 100), INTEGERS)
def test_quality(value, dtype):
    expected = fastpack.encode(PIXELS, "jpeg", quality=value)
    assert fastpack.encode(PIXELS, "jpeg", quality=dtype(value)) == expected


@given(st.sampled_from([8, 16]), INTEGERS)
def test_bits(bits, dtype):
    np.testing.assert_array_equal(
        fastpack.decode(PNG, bits=dtype(bits)), fastpack.decode(PNG, bits=bits)
    )
    for refused in (float(bits), np.float32(bits), True):
        with pytest.raises(OptionError, match="bits must be"):
            fastpack.decode(PNG, bits=refused)


@given(st.integers(0, 4), INTEGERS)
def test_labels_have_the_names_of_their_integers(label, dtype):
    assert NUMBERS.class_name(dtype(label)) == NUMBERS.class_name(label)


def test_a_schema_with_numpy_integers_is_saved():
    schema = Schema((Field("x", "pixels", (np.int64(3), np.uint8(4))),))
    assert Schema.from_json(schema.to_json()) == schema


@given(st.integers(-2, 1), st.sampled_from([np.int8, np.int64]))
def test_rows_of_a_batch(row, dtype):
    batch = fastpack.Batch({"x": np.array([5, 7]), "y": Text.of(["a", "b"])}, 2)
    assert batch.sample(dtype(row)) == batch.sample(row)
