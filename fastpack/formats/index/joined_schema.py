"""The common schema of files that are opened together."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fastpack.core.schema import Field, Schema, merge_class_names
from fastpack.errors import SchemaError


def common_schema(schemas: Sequence[tuple[Path, Schema]]) -> Schema:
    """Return the schema of all files; shapes that differ become lists.

    Raises SchemaError if fields or class names contradict.
    """
    first_path, first = schemas[0]
    fields = first.fields
    for path, schema in schemas[1:]:
        if not are_joinable(first.fields, schema.fields):
            ours, theirs = (", ".join(map(kind_of, each.fields)) for each in (first, schema))
            message = f"{first_path} has the fields {ours}, but {path} has {theirs}"
            remedy = "open them apart, or choose what they share with fields=..."
            raise SchemaError(f"{message}; {remedy}")
        fields = tuple(
            _common_field(mine, other) for mine, other in zip(fields, schema.fields, strict=True)
        )
    return Schema(fields, merge_class_names([schema.class_names for _, schema in schemas]))


def are_joinable(ours: Sequence[Field], theirs: Sequence[Field]) -> bool:
    """Return True if each field has its partner's kind, so that one reader reads both."""
    return len(ours) == len(theirs) and all(map(_is_joinable, ours, theirs))


def _is_joinable(mine: Field, other: Field) -> bool:
    """Compare kinds. BGR pixels join only BGR: unknown colors are read as RGB."""
    is_bgr = [field.color == "BGR" for field in (mine, other)]
    return (
        kind_of(replace(mine, color="")) == kind_of(replace(other, color=""))
        and is_bgr[0] == is_bgr[1]
    )


def _common_field(mine: Field, other: Field) -> Field:
    shape = mine.shape if mine.shape == other.shape else (None,) * max(1, len(mine.shape))
    is_number = mine.kind in ("int", "float")
    dtype = max(mine.dtype, other.dtype, key=_width) if is_number else mine.dtype
    return replace(
        mine, shape=shape, dtype=dtype, color=mine.color if mine.color == other.color else ""
    )


def _width(dtype: str) -> tuple[int, str]:
    """Return a sort key of numpy's names of numbers: float128 is wider than float64."""
    return len(dtype), dtype


def kind_of(field: Field) -> str:
    """Return name and kind; for pixels also dtype, axes and color."""
    stored = (field.dtype, field.axes, field.color) if field.kind == "pixels" else ()
    return f"{field.name}: {' '.join(filter(None, (field.kind, *stored)))}"


def taken_classes(path: Path, named: Path) -> str:
    """Return the note on a file that takes the class names of another."""
    return f"{path.name} has labels without class names; it takes the class names of {named.name}"
