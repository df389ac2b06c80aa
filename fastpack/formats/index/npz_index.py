"""Saved indexes of earlier versions: arrays by name in an uncompressed .npz."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from fastpack.core.cached import cached_property
from fastpack.core.schema import Field, Schema
from fastpack.formats.index.arrays import Column, escaped, from_arrays

Arrays = Mapping[str, npt.NDArray[Any]]
VERSION = 1


@dataclass(frozen=True)
class StoredArrays:
    """A saved index of an earlier version, before its tables are made.

    Args:
        arrays: the arrays of the file, by name.
        schema: the fields of the samples.
        num_shards: number of files that the index names.
        has_files: whether the samples are files of a folder.
        is_escaped: whether field names in the names of arrays are escaped.
    """

    arrays: Arrays
    schema: Schema
    num_shards: int
    has_files: bool = False
    is_escaped: bool = True

    @property
    def num_samples(self) -> int:
        return len(self.arrays["record_numbers"])

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Columns by field; made once, since files of a folder share one of them."""
        return {field.name: self.values("column", field) for field in self.schema.columns}

    def values(self, kind: str, field: Field) -> Column:
        """Return the table of this kind for a field: an array, a Text or a Ragged."""
        return from_arrays(f"{kind}/{self.name(field)}", self.arrays, field)

    def name(self, field: Field) -> str:
        """Return the field's name as a part of the names of arrays."""
        return escaped(field.name) if self.is_escaped else field.name


def with_present_names(arrays: Arrays) -> Arrays:
    """Rename the arrays of indexes that were saved before seek points had this name."""
    return {re.sub("^checkpoint/", "seek_points/", name): values for name, values in arrays.items()}
