"""The extent of long tests: a part of each, or everything with `pytest --all`."""

import os
from collections.abc import Sequence
from typing import TypeVar

import pytest

# An environment variable, because pytest-xdist's workers and isolated children inherit it.
VARIABLE = "FASTPACK_TEST_ALL"
_SHARE = 5
_MIN_EXAMPLES = 10

T = TypeVar("T")


def select_all() -> None:
    """Runs long tests in full, in this process and its children."""
    os.environ[VARIABLE] = "1"


def is_full() -> bool:
    return VARIABLE in os.environ


def num_examples(count: int) -> int:
    """Returns how many of `count` examples hypothesis tries: a fifth, but at least 10."""
    return count if is_full() else min(count, max(count // _SHARE, _MIN_EXAMPLES))


def every(stride: int, items: Sequence[T]) -> Sequence[T]:
    """Returns every `stride`-th item, or all of them."""
    return items if is_full() else items[::stride]


def only_in_full() -> pytest.MarkDecorator:
    """Marks a test that runs with `--all` only."""
    return pytest.mark.skipif(not is_full(), reason="long: runs with --all")
