"""Marking: checkpoints for the JPEGs of an index, made by decoding the codes of each once."""

from dataclasses import replace

import numpy as np

from fastpack._native.decode import MarkBatch
from fastpack.checkpoints import Checkpoints
from fastpack.errors import raise_first
from fastpack.headers import JPEG
from fastpack.index import Index
from fastpack.pool import num_cores, share
from fastpack.shard import OpenShards
from fastpack.structs import NO_SPAN


def marked(index: Index, *, num_workers: int | None = None) -> Index:
    """The index with checkpoints for its JPEGs, but for those of fields that have some; itself, when nothing was missing.

    Each image is read and compared with its checksum. Those that no table can be made of (progressive, damaged, with restart
    markers, very small, not stored in one piece) have none, and are read as before. Raises what reading them raises.
    """
    missing = [name for name in index.infos if name not in index.checkpoints]
    if not missing:
        return index
    files = OpenShards(index.shards)
    made = {name: _marked_images(index, name, files, num_workers or num_cores()) for name in missing}
    return replace(index, checkpoints={**index.checkpoints, **made})


def _marked_images(index: Index, name: str, files: OpenShards, num_workers: int) -> Checkpoints:
    spans, infos = index.spans[name], index.infos[name]
    rows = np.flatnonzero((infos["format"] == JPEG) & (infos["progressive"] == 0) & (spans["offset"] != NO_SPAN))
    job = MarkBatch(spans[rows], fds=files.descriptors(spans["shard"][rows]))
    share(job.run, max(1, min(num_workers, len(rows))))
    raise_first(job.failures(), lambda row: index.place(int(rows[row]), offset=int(spans["offset"][rows[row]])))
    lengths = np.zeros(len(rows), np.int64)
    job.lengths(lengths)
    words = np.zeros(int(lengths.sum()), np.uint64)
    job.words(words)
    of_all = np.zeros(len(index), np.int64)
    of_all[rows] = lengths
    return Checkpoints.of_lengths(words, of_all)
