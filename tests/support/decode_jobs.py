"""Runs the JPEG kernel on bytes in memory, for views of their images."""

import io

import numpy as np
from PIL import Image

from fastpack._native.decode import DecodeBatch
from fastpack.core.dtypes import SPAN, VIEW
from fastpack.core.memories import Memories
from fastpack.core.ragged import Ragged
from tests.support.images import jpeg


def view_of(width, height, *, x=0, y=0, orientation=1, flip=False):
    return np.array([(x, y, width, height, 0, 0, 0, 0, orientation, flip, 0)], VIEW)


def batch(files, views, outs, **options):
    blobs = Ragged.of_bytes(files)
    spans = np.zeros(len(blobs), SPAN)
    spans["offset"], spans["length"] = blobs.offsets[:-1], blobs.lengths
    limits = {"max_pixels": 2**20, "max_scans": 100}
    return DecodeBatch(
        spans, views, outs, memories=Memories.of([blobs.values]), **{**limits, **options}
    )


def run_all(job):
    job.run()
    return job.failures()


def run(data, view, out, **options):
    """The status, None for success."""
    failures = run_all(batch([data], view, [out], **options))
    return failures[0][0] if failures else None


def decode(data, view=None, shape=None, **options):
    """The view, the whole image if None, in its own size or in `shape`."""
    if view is None:
        with Image.open(io.BytesIO(data)) as image:
            view = view_of(*image.size)
    channels = 1 if options.get("color") == "GRAY" else 3
    out = np.full((*(shape or (view["height"][0], view["width"][0])), channels), 99, np.uint8)
    assert run(data, view, out, **options) is None
    return out


HEIGHT, WIDTH = 61, 83
SOURCE = jpeg(HEIGHT, WIDTH, seed=3)
