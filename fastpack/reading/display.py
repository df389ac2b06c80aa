"""How a Reader shows itself: one line of text, and HTML for notebooks."""

import numpy as np

from fastpack.core.plural import counted
from fastpack.core.schema import Field
from fastpack.core.units import readable_size
from fastpack.formats.index.index import Index
from fastpack.images.batch import Batch

_HEADERS = ("field", "kind", "dtype", "shape")


def text_of(index: Index) -> str:
    """Return the number of samples and files, the size, and each field."""
    fields = ", ".join(map(_described, index.schema.fields))
    return f"Reader({_summary(index)}; {fields})"


def html_of(index: Index, batch: Batch) -> str:
    """Return a table of the fields, and thumbnails of the images of a batch."""
    from fastpack.images.show import (  # late: `import fastpack` stays fast
        caption,
        escaped,
        html_grid,
        image_name,
        images_of,
    )

    rows = [_HEADERS, *map(_cells, index.schema.fields)]
    cells = ("".join(f"<td>{escaped(cell)}</td>" for cell in row) for row in rows)
    table = "".join(f"<tr>{row}</tr>" for row in cells)
    html = f"<b>{escaped(_summary(index))}</b><table>{table}</table>"
    if (name := image_name(batch, index.schema)) is None or not batch.num_samples:
        return html
    images = images_of(batch[name], index.schema[name], batch.mask)
    captions = [caption(batch, index.schema, row) for row in range(batch.num_samples)]
    return html + html_grid(images, captions)


def _summary(index: Index) -> str:
    parts = [counted(len(index), "sample")]
    if index.schema.class_names:
        parts.append(counted(len(index.schema.class_names), "class", "classes"))
    size = sum(shard.size for shard in index.shards)
    parts += [counted(len(index.shards), "file"), readable_size(size)]
    return ", ".join(parts)


def _described(field: Field) -> str:
    """Return a field on one line, such as "X: pixels uint8 (8, 8, 3)"."""
    name, *words = _cells(field)
    return f"{name}: {' '.join(filter(None, words))}"


def _cells(field: Field) -> tuple[str, ...]:
    """Return name, kind, dtype and shape."""
    sizes = ["?" if size is None else str(size) for size in field.shape]
    shape = f"({', '.join(sizes)}{',' * (len(sizes) == 1)})" if sizes else ""
    dtype = np.dtype(field.dtype).name if field.dtype else ""
    return field.name, field.kind, dtype, shape
