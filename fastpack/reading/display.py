"""How a Reader shows itself: one line of text, and HTML for notebooks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

from fastpack.core.plural import counted
from fastpack.core.schema import Field, Schema
from fastpack.core.units import readable_size
from fastpack.images.batch import Batch

_HEADERS = ("field", "kind", "dtype", "shape")


class Measured(Protocol):
    """The part of a Reader that its size needs."""

    @property
    def shards(self) -> Sequence[Any]: ...
    @property
    def num_bytes(self) -> int: ...
    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Size:
    """The size of a dataset: samples, files, and the bytes of the files."""

    num_samples: int
    num_files: int
    num_bytes: int

    @classmethod
    def of(cls, reader: "Measured") -> Self:
        """Measure a Reader."""
        return cls(len(reader), len(reader.shards), reader.num_bytes)


def text_of(schema: Schema, size: Size) -> str:
    """Return the number of samples and files, the size, and each field."""
    fields = ", ".join(map(_described, schema.fields))
    return f"Reader({_summary(schema, size)}; {fields})"


def html_of(schema: Schema, size: Size, batch: Batch) -> str:
    """Return a table of the fields, and thumbnails of the images of a batch."""
    from fastpack.images.show import (  # late: `import fastpack` stays fast
        caption,
        escaped,
        html_grid,
        image_name,
        images_of,
    )

    rows = [_HEADERS, *map(_cells, schema.fields)]
    cells = ("".join(f"<td>{escaped(cell)}</td>" for cell in row) for row in rows)
    table = "".join(f"<tr>{row}</tr>" for row in cells)
    html = f"<b>{escaped(_summary(schema, size))}</b><table>{table}</table>"
    if (name := image_name(batch, schema)) is None or not batch.num_samples:
        return html
    images = images_of(batch[name], schema[name], batch.mask)
    captions = [caption(batch, schema, row) for row in range(batch.num_samples)]
    return html + html_grid(images, captions)


def _summary(schema: Schema, size: Size) -> str:
    parts = [counted(size.num_samples, "sample")]
    if schema.class_names:
        parts.append(counted(len(schema.class_names), "class", "classes"))
    parts += [counted(size.num_files, "file"), readable_size(size.num_bytes)]
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
