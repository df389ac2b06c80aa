"""The chunks that some samples need, from the tables of a saved index."""

import math
import re
from collections.abc import Iterator

import numpy as np

from fastpack.core.dtypes import Rows
from fastpack.files.table_file import TableFile
from fastpack.formats.index.arrays import escaped
from fastpack.formats.index.chunks import ChunkTable
from fastpack.formats.index.damaged import damaged_index

_NAME = re.compile(r"chunk/(\d+)/(.*)/shape")


def chunk_table_name(shard: int, field: str) -> str:
    """Return the name of the table with the chunks of a field in a shard."""
    return f"chunk/{shard}/{escaped(field)}"


def chunked_shards(file: TableFile, field: str) -> Iterator[int]:
    """Yield the numbers of the shards, in this file's own count, that have chunks of a field."""
    for name in file.layout.tables:
        found = _NAME.fullmatch(name)
        if found and found[2] == escaped(field):
            yield int(found[1])


def read_chunks(file: TableFile, shard: int, field: str, records: Rows) -> ChunkTable:
    """Return the chunks of these records. Raises FormatError for a record past the array."""
    name = chunk_table_name(shard, field)
    shapes = file.read(f"{name}/shape")
    shape, chunk_shape = (tuple(shapes[key].tolist()) for key in ("dataset", "chunk"))
    fill = file.read(f"{name}/fill")["value"]
    filters = file.read(f"{name}/filters")["value"]
    whole = ChunkTable(shape, chunk_shape, filters, filters, fill)
    is_sound = whole.has_sound_shape() and file.num_rows(name) == math.prod(whole.grid)
    if not is_sound or (len(records) and not 0 <= records.min() <= records.max() < shape[0]):
        raise damaged_index(f"the chunks of {field} have another shape", file.path)
    layers = np.unique(records // chunk_shape[0])
    num_layers, of_layer = whole.grid[0], int(np.prod(whole.grid[1:]))
    rows = (layers[:, None] * of_layer + np.arange(of_layer)).reshape(-1)
    chunks = file.take(name, rows)["value"]
    if len(layers) == num_layers:
        return ChunkTable(shape, chunk_shape, filters, chunks, fill)
    part = (len(layers) * chunk_shape[0], *shape[1:])
    return ChunkTable(part, chunk_shape, filters, chunks, fill, layers)
