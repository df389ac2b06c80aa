"""The ways that a folder of images takes into a dataset: packed, opened in place, converted."""

import itertools

import pytest

import fastpack
from fastpack import PackOptions
from tests.support.images import jpeg

IMAGE = jpeg(8, 8)


def grow(root, *files):
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(IMAGE)
    return root


def opened(root, **options):
    return fastpack.open(root, decode=False, **options)


def fresh(root, numbers=itertools.count()):  # one for all
    return root.parent / f"packed{next(numbers)}.h5"


# Each gives a source, or the dataset of what was written; with the same options.
ROUTES = {
    "folder": lambda root, **options: fastpack.from_folder(root, **options),
    "open": opened,
    "pack": lambda root, **options: opened(
        fastpack.pack(root, fresh(root), PackOptions(**options)).paths
    ),
    "pack of open": lambda root, **options: opened(
        fastpack.pack(opened(root, **options), fresh(root)).paths
    ),
    "convert": lambda root, **options: opened(
        fastpack.convert(root, fresh(root), PackOptions(**options)).paths
    ),
}
each_route = pytest.mark.parametrize("take", ROUTES.values(), ids=ROUTES)


def facts(taken):
    keys, labels = taken.columns["key"], taken.columns.get("label")
    return list(keys), None if labels is None else labels.tolist(), taken.schema.class_names
