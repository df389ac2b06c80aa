"""Every field goes through every format or is refused by name; `verify` finds alterations.

FASTPACK_WALKS=500 tries as many datasets; such a run needs `pytest -o faulthandler_timeout=0`.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import fastpack
from fastpack import PackOptions, verify
from fastpack.core import Field
from fastpack.errors import FastpackError
from tests.support.extent import num_examples
from tests.support.random_samples import GRAY, JPEG, PNG, Samples, plain, samples

NUM_WALKS = int(os.environ.get("FASTPACK_WALKS") or num_examples(40))
STEPS = {
    "x.tfrecord": PackOptions(sync=False),
    "x-2.tfrecord": PackOptions(sync=False, shards=2),
    "x.h5": PackOptions(sync=False, layout="encoded"),
    "v.h5": PackOptions(sync=False, layout="vlen"),
    "x.tar": PackOptions(sync=False),
    "folder": None,
}


def converted(source: Any, folder: Path, step: str) -> Any:
    """Converts and opens a dataset; None if a field was refused by name and nothing was written."""
    options, before = STEPS[step], set(folder.iterdir())
    try:
        if options is None:
            if isinstance(source, Samples):
                return None
            fastpack.extract(source, folder / step, whole=True)
            return fastpack.open(folder / step, decode=False)
        packed = fastpack.pack(source, folder / step, options)
    except FastpackError as error:
        message = str(error)
        assert (
            any(repr(field.name) in message for field in source.schema.fields) or "key" in message
        ), message
        assert {path for path in folder.iterdir() if not path.name.startswith(".")} <= before
        return None
    assert verify(list(packed.paths), against=source).problems == ()
    return fastpack.open(list(packed.paths), decode=False)


def values_of(dataset: Any, names: list[str]) -> dict[str, Any]:
    batch = dataset.read(np.arange(len(dataset)))
    return {name: [plain(batch.sample(row)[name]) for row in range(len(dataset))] for name in names}


@settings(max_examples=NUM_WALKS)
@given(samples(), st.lists(st.sampled_from([*STEPS]), min_size=1, max_size=4))
def test_a_walk_through_formats_keeps_every_value_or_names_what_it_refuses(source, steps):
    names, current = [field.name for field in source.schema.fields], source
    expected = values_of(source, names)
    with tempfile.TemporaryDirectory() as folder:
        for number, step in enumerate(steps):
            (Path(folder) / str(number)).mkdir()
            current = converted(current, Path(folder) / str(number), step) or current
            if (
                "folder" in step and "key" in names and current is not source
            ):  # a folder's files are sorted
                order = np.argsort(
                    [expected["key"].index(key) for key in values_of(current, ["key"])["key"]]
                )
                current = current.take(order)
        assert values_of(current, names) == expected
        labels = expected.get("label", []) if source.schema.class_names else []
        assert list(map(current.schema.class_name, labels)) == list(
            map(source.schema.class_name, labels)
        )


OTHER = {"image": JPEG, "mask": PNG, "bytes": b"other", "int": 77, "float": 77.5, "text": "other"}


def another(field: Field, value: Any) -> Any:
    if field.kind == "pixels":
        return value + 1
    return [*value, OTHER[field.kind]] if field.is_list else OTHER[field.kind]


@pytest.mark.parametrize("output", ["x.tfrecord", "x.h5", "x.tar"])
@settings(max_examples=NUM_WALKS)
@given(data=st.data(), source=samples())
def test_verify_against_finds_every_altered_field(output, source, data):
    row = data.draw(st.integers(0, len(source) - 1))
    with tempfile.TemporaryDirectory() as folder:
        dataset = converted(source, Path(folder), output)
        assume(dataset is not None)
        for field in source.schema.fields:
            value = source.values[field.name][row]
            other = another(field, value)
            if field.name == "key" or plain(value) == plain(other):
                continue
            problems = verify(
                Path(folder) / output, against=source.altered(field.name, row, other)
            ).problems
            assert len(problems) == 1, (field, problems)
            assert field.name in problems[0]
            assert f"record {row}" in problems[0]


def test_a_field_that_is_lost_is_a_problem(tmp_path):
    fields = (
        Field("image", "image"),
        Field("key", "text"),
        Field("seg", "mask"),
        Field("n", "int", (None,), "int64"),
    )
    source = Samples(
        fields, {"image": [PNG, JPEG], "key": ["a", "b"], "seg": [GRAY, GRAY], "n": [[1], []]}
    )
    fastpack.pack(source, tmp_path / "x.h5", PackOptions(fields=["seg"]))
    (problem,) = verify(tmp_path / "x.h5", against=source).problems
    assert "no field 'n'" in problem
    fastpack.pack(source, tmp_path / "y.h5")
    (problem,) = verify(tmp_path / "y.h5", against=tmp_path / "x.h5").problems
    assert "the source has no field 'n'" in problem
