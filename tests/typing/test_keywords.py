"""The typed keywords of functions are exactly the fields of the options."""

from dataclasses import fields
from typing import get_type_hints

import pytest

from fastpack.loading.options import LoaderKwargs, LoaderOptions
from fastpack.packing.options import PackKwargs, PackOptions
from fastpack.reading.open import OpenKwargs, OpenOptions
from fastpack.reading.options import ReadKwargs, ReadOptions


@pytest.mark.parametrize(
    ("keywords", "options"),
    [
        (ReadKwargs, [ReadOptions]),
        (OpenKwargs, [ReadOptions, OpenOptions]),
        (LoaderKwargs, [LoaderOptions]),
        (PackKwargs, [PackOptions]),
    ],
)
def test_keywords_have_the_names_and_types_of_the_options(keywords, options):
    expected = {}
    for dataclass in options:
        hints = get_type_hints(dataclass)
        expected |= {field.name: hints[field.name] for field in fields(dataclass)}
    assert get_type_hints(keywords) == expected
    assert not keywords.__required_keys__
