"""FileOptions: how the files of a dataset store their samples."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from fastpack.formats.storage import Storage

# How a file holds images: as encoded files in one piece or in rows, or as pixels of one size.
Layout = Literal["auto", "encoded", "vlen", "pixels"]
# Whether to refuse or round floats that a format without 64-bit floats would change.
Float64 = Literal["refuse", "round"]


@dataclass(frozen=True)
class FileOptions:
    """How files store samples. A container declares the layouts that it can write.

    Args:
        layout: How images are stored; "auto" is the container's own layout.
        storage: Chunks and filters of the layout `pixels`.
        float64: What a format without 64-bit floats does with numbers that it would change.
    """

    layout: Layout = "auto"
    storage: Storage = dataclasses.field(default_factory=Storage)
    float64: Float64 = "refuse"
