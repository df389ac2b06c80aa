"""View: how a dataset shows the samples of its files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fastpack.core.ragged import Ragged, flat_values
from fastpack.core.schema import Field, Schema
from fastpack.formats.index.index import Index, concatenate, renamed_fields


@dataclass(frozen=True)
class View:
    """How a dataset shows the samples of its files.

    Args:
        schema: the fields of a sample.
        names: new name of a field -> its name in the files; None for all fields as they are.
        relabels: class names of files -> the class names that their labels count in the dataset.
    """

    schema: Schema
    names: Mapping[str, str] | None = None
    relabels: Mapping[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)

    def shown(self, schema: Schema) -> Schema:
        """Return the schema of a file's samples as the dataset shows them."""
        if self.names is not None:
            schema = replace(schema, fields=renamed_fields(schema, self.names))
        if "label" not in schema:
            return schema
        names = self.relabels.get(schema.class_names, schema.class_names)
        return replace(schema, class_names=names)

    def apply(self, index: Index) -> Index:
        """Return the samples of some files as the dataset shows them."""
        if self.names is not None:
            shown = {new: old for new, old in self.names.items() if new in self.schema}
            index = index.select(shown)
        if "label" in index.columns and index.schema.class_names in self.relabels:
            index = index.relabeled(self.relabels[index.schema.class_names])
        return _as_columns_of(concatenate([index], self.schema))

    def of_fields(self, names: Sequence[str]) -> "View":
        """Return the view of only some fields."""
        fields = tuple(field for field in self.schema.fields if field.name in names)
        return replace(self, schema=replace(self.schema, fields=fields))

    def stored(self, schema: Schema) -> Schema:
        """Return the fields that must be read of a file with this schema."""
        wanted = {self.source(field.name) for field in self.schema.fields}
        fields = tuple(field for field in schema.fields if field.name in wanted)
        return replace(schema, fields=fields)

    def reading(self, schema: Schema) -> tuple[Schema, bool]:
        """Return the fields to read of a file, and whether they need no change afterwards."""
        is_renamed = any(new != old for new, old in (self.names or {}).items())
        shown = [field for field in self.schema.fields if field.name in schema]
        pairs = [(field, schema[field.name]) for field in shown]
        if is_renamed or self.relabels or len(pairs) < len(self.schema.fields):
            return self.stored(schema), False
        has_same_values = all(
            (mine.kind, mine.is_list, mine.dtype) == (stored.kind, stored.is_list, stored.dtype)
            for mine, stored in pairs
        )
        return (self.schema, True) if has_same_values else (self.stored(schema), False)

    def source(self, name: str) -> str:
        """Return the name that a field has in the files."""
        return name if self.names is None else self.names[name]


def _as_columns_of(index: Index) -> Index:
    """Return the index with the dtypes of its schema: other files may need wider ones."""
    columns = {
        field.name: _cast(index.columns[field.name], field)
        for field in index.schema.columns
        if field.name in index.columns
    }
    if all(columns[name] is index.columns[name] for name in columns):
        return index
    return replace(index, columns={**index.columns, **columns})


def _cast(column: Any, field: Field) -> Any:
    values = flat_values(column)
    if isinstance(values, Ragged) or not field.dtype or values.dtype == np.dtype(field.dtype):
        return column
    wider = values.astype(np.dtype(field.dtype).newbyteorder("="))
    return Ragged(wider, column.offsets) if isinstance(column, Ragged) else wider
