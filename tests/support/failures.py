"""Errors of files that are read whole."""

import numpy as np

import fastpack
from fastpack.errors import FastpackError
from tests.support.images import jpeg

IMAGES = [jpeg(24 + i, 20, seed=i) for i in range(4)]


def failure_of(path, **options):
    """Returns the error of opening or reading the whole file, or None. It must name the file."""
    failure = None
    try:
        reader = fastpack.open(path, **options)
        reader.read(np.arange(len(reader)))
    except FastpackError as error:
        failure = error
    assert failure is None or path.name in str(failure)
    return failure
