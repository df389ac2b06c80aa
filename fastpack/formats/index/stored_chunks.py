"""The chunks that some samples need, from the tables of a saved index."""

import math
import re
import weakref
from dataclasses import replace
from functools import lru_cache

import numpy as np

from fastpack.core.dtypes import CHUNK, Rows
from fastpack.files.table_file import Layout, TableFile
from fastpack.formats.index.arrays import escaped
from fastpack.formats.index.chunks import ChunkTable
from fastpack.formats.index.damaged import damaged_index

_NAME = re.compile(r"chunk/(\d+)/(.*)/shape")


def chunk_table_name(shard: int, field: str) -> str:
    """Return the name of the table with the chunks of a field in a shard."""
    return f"chunk/{shard}/{escaped(field)}"


@lru_cache(maxsize=256)
def chunked_shards(layout: Layout, field: str) -> tuple[int, ...]:
    """Return the numbers of the shards, in an index's own count, that have chunks of a field."""
    names = (_NAME.fullmatch(name) for name in layout.tables)
    return tuple(int(found[1]) for found in names if found and found[2] == escaped(field))


def read_chunks(file: TableFile, shard: int, field: str, records: Rows) -> ChunkTable:
    """Return the chunks of these records. Raises FormatError for a record past the array."""
    name = chunk_table_name(shard, field)
    of_file = _frames.setdefault(file, {})
    frame = of_file.get(name)
    if frame is None:
        frame = of_file[name] = _frame(file, name, field)
    if len(records) and not 0 <= records.min() <= records.max() < frame.shape[0]:
        raise damaged_index(f"the chunks of {field} have another shape", file.path)
    layers, of_layer = _distinct(records // frame.chunk_shape[0]), math.prod(frame.grid[1:])
    rows = layers if of_layer == 1 else (layers[:, None] * of_layer + np.arange(of_layer)).ravel()
    chunks = file.take(name, rows)["value"]
    if len(layers) == frame.grid[0]:
        return replace(frame, chunks=chunks)
    shape = (len(layers) * frame.chunk_shape[0], *frame.shape[1:])
    return replace(frame, shape=shape, chunks=chunks, layers=layers)


def _distinct(numbers: Rows) -> Rows:
    """Return each number once, rising. np.unique takes three times as long for a batch."""
    in_order = np.sort(numbers)
    is_first = np.ones(len(numbers), np.bool_)
    is_first[1:] = in_order[1:] != in_order[:-1]
    return in_order[is_first]


def _frame(file: TableFile, name: str, field: str) -> ChunkTable:
    """Return what batches share: shapes, filters and fill value, without chunks."""
    shapes = file.read(f"{name}/shape")
    shape, chunk_shape = (tuple(shapes[key].tolist()) for key in ("dataset", "chunk"))
    filters, fill = (file.read(f"{name}/{part}")["value"] for part in ("filters", "fill"))
    frame = ChunkTable(shape, chunk_shape, filters, np.zeros(0, CHUNK), fill)
    if not frame.has_sound_frame() or file.num_rows(name) != math.prod(frame.grid):
        raise damaged_index(f"the chunks of {field} have another shape", file.path)
    return frame


# Read once for each index: a batch needs only its chunks.
_frames: "weakref.WeakKeyDictionary[TableFile, dict[str, ChunkTable]]" = weakref.WeakKeyDictionary()
