"""The HDF5 layouts that we write, all of which plain h5py opens: `encoded`, `vlen` and `pixels`.

HDF5's library lays files out and writes metadata. Image files go around it, straight to their place.
"""

from pathlib import Path
from typing import Any

from fastpack.containers import ShardPlan
from fastpack.containers.hdf5_columns import DATASETS, dataset_name
from fastpack.containers.hdf5_encoded import EncodedWriter
from fastpack.containers.hdf5_fields import FieldsWriter
from fastpack.containers.hdf5_pixels import PixelsWriter
from fastpack.containers.hdf5_vlen import VlenWriter
from fastpack.containers.protocols import Writer
from fastpack.errors import SchemaError


def writer_of(path: Path, plan: ShardPlan) -> Writer[Any]:
    """The writer of the plan's layout."""
    field = plan.schema.picture
    if field is None:
        return FieldsWriter(path, plan)
    if field.kind == "pixels":
        return PixelsWriter(path, plan, field)
    if plan.layout == "pixels":
        raise SchemaError("the layout `pixels` needs decoded images of one size; give a size")
    return VlenWriter(path, plan, field) if plan.layout == "vlen" else EncodedWriter(path, plan, field)


__all__ = ["DATASETS", "EncodedWriter", "PixelsWriter", "VlenWriter", "dataset_name", "writer_of"]
