"""Tables of seek points of JPEGs."""

import numpy as np

from fastpack._native.decode import SeekPointBatch
from fastpack.core.dtypes import SPAN
from fastpack.core.memories import Memories
from tests.support.decode_jobs import run_all


def spans_of(files):
    spans = np.zeros(len(files), SPAN)
    spans["length"] = [len(data) for data in files]
    spans["offset"][1:] = np.cumsum(spans["length"])[:-1]
    return spans


def tables_of(files):
    """A table of seek points for each."""
    job = SeekPointBatch(spans_of(files), memories=Memories.of([b"".join(files)]))
    assert run_all(job) == []
    lengths = np.zeros(len(files), np.int64)
    job.lengths(lengths)
    words = np.zeros(lengths.sum(), np.uint64)
    job.words(words)
    return np.split(words, np.cumsum(lengths)[:-1])


def table_of(data):
    return tables_of([data])[0]
