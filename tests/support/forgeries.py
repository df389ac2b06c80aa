"""Odd values, and JSON texts in which one of them replaces another value."""

import contextlib
import json

import pytest

import fastpack
from fastpack.errors import FastpackError

NUMBERS = [
    -1,
    0,
    1,
    2**31,
    2**63 - 1,
    2**63,
    2**64,
    2**200,
    -(2**63),
    1e308,
    float("inf"),
    float("nan"),
    0.5,
    True,
]
TEXTS = [
    "",
    "\ud800",
    "a\x00b",
    "/",
    "../x",
    "x" * 300,
    "[",
    "O",
    "<f8",
    "|u1",
    "V0",
    "[" * 100_000,
]
ODD = [None, *NUMBERS, *TEXTS, [], {}, [[]], [1, 2, 3], [2**40] * 3, {"a": 1}]


def places_in(node, path=()):
    """The way to each value of a JSON, which may have another in a string."""
    yield path
    if isinstance(node, str) and node[:1] == "{":
        node = json.loads(node)
    if isinstance(node, (dict, list)):
        for key in node if isinstance(node, dict) else range(len(node)):
            yield from places_in(node[key], (*path, key))


def replaced(node, path, value):
    if not path:
        return value
    if isinstance(node, str):
        return json.dumps(replaced(json.loads(node), path, value))
    node = dict(node) if isinstance(node, dict) else list(node)
    node[path[0]] = replaced(node[path[0]], path[1:], value)
    return node


each_shape = pytest.mark.parametrize(
    "shape",
    [[2**40] * 3, [2**62, 2**62, 4], [2**63, 1, 1], [0, 0, 0], [10, 12, 3, 1, 1, 1, 1, 1, 1]],
)
# Shapes of chunks, as int64.
CHUNK_SHAPES = [
    [1, 10, 12, 3],
    [2**63 - 1, 10, 12, 3],
    [1, 2**40, 2**40, 2**40],
    [2**62] * 4,
    [-1] * 4,
    [True] * 4,
]


def read_everything(path, **options):
    """Read a forged file: a batch, the columns and the whole index."""
    reader = fastpack.open(path, save_index=False, **options)
    rows = range(min(4, len(reader)))
    reader.read(rows)
    columns = {name: column[:4] for name, column in reader.columns.items()}
    return repr(reader), columns, [reader.location(row) for row in rows], reader.index


def assert_only_our_errors(path):
    for options in ({}, {"transform": fastpack.Resize(4)}, {"decode": False}, {"check": True}):
        with contextlib.suppress(FastpackError):
            read_everything(path, **options)
