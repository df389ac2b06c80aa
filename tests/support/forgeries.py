"""Odd values, and JSON texts in which one of them replaces another value."""

import json

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
