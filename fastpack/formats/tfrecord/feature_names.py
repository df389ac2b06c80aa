"""Names of a TFRecord's features, for users and in the file; and class names in records."""

from collections.abc import Collection

import numpy as np

from fastpack.core.ragged import Ragged, Text, flat_values
from fastpack.core.schema import Schema, free_name, usual_rank
from fastpack.files.escapes import escaped_bytes
from fastpack.formats.index.arrays import Column

# TFRecord has no header for the whole file, so each record names its class.
CLASS_NAME = "class_name"
# Larger labels are not numbers of classes.
MAX_CLASSES = 2**20
# Names that other writers give to the usual fields.
_ALIASES = {
    "image/encoded": "image",
    "image_raw": "image",
    "jpg": "image",
    "image/class/label": "label",
    "image/class/text": CLASS_NAME,
    "image/filename": "key",
    "filename": "key",
    "": "unnamed",
}
# Rows whose class names are compared at once.
_COMPARED = 2**14


def public_name(name: str) -> str:
    """Return the usual name of a feature that has it, or that has an alias for it."""
    return _ALIASES.get(name, name)


def public_names(names: Collection[str]) -> dict[str, str]:
    """Return feature -> unique name for users, the usual names first."""
    public: dict[str, str] = {}
    for name in sorted(names):
        alias = public_name(name)
        is_taken = alias in names or alias in public.values()
        public[name] = free_name(alias, names) if not name else name if is_taken else alias
    return dict(sorted(public.items(), key=lambda item: (usual_rank(item[1]), item[1])))


def with_escapes(column: Column) -> Column:
    """Escape bytes that are not UTF-8, as keys and class names of all formats are."""
    if isinstance(column, Text):
        return escaped_bytes(column)
    if isinstance(column, Ragged):
        return Ragged(with_escapes(column.values), column.offsets)
    return column


def names_classes(schema: Schema) -> bool:
    """Return True if the writer adds class names to each record, next to its label or labels."""
    if not schema.class_names or "label" not in schema or CLASS_NAME in schema:
        return False
    return schema["label"].kind == "int" and (
        schema["label"].shape == () or schema["label"].is_list
    )


def _are_parallel(labels: Ragged, names: Column | None) -> bool:
    """Return True if each list of labels has as many names; single names count as lists."""
    if isinstance(names, Text):
        return bool((labels.lengths == 1).all())
    return isinstance(names, Ragged) and np.array_equal(labels.offsets, names.offsets)


def fold_class_names(columns: dict[str, Column]) -> tuple[str, ...]:
    """Replace the column of class names by one list, if each label has one name.

    Negative labels have no class, and must have no name.
    """
    of_rows, names_of_rows = columns.get("label"), columns.get(CLASS_NAME)
    if type(of_rows) is Ragged and not _are_parallel(of_rows, names_of_rows):
        return ()
    labels, names = flat_values(of_rows), flat_values(names_of_rows)
    if (
        not isinstance(labels, np.ndarray)
        or not isinstance(names, Text)
        or len(names) != len(labels)
    ):
        return ()
    if (
        labels.dtype.kind != "i"
        or labels.max(initial=0) >= MAX_CLASSES
        or names.lengths[labels < 0].any()
    ):
        return ()
    labels, names = labels[labels >= 0], names.take(np.flatnonzero(labels >= 0))
    if not len(labels):
        del columns[CLASS_NAME]
        return ()
    unique, first = np.unique(labels, return_index=True)
    folded = [""] * (int(unique[-1]) + 1)
    for label, row in zip(unique, first, strict=True):
        folded[int(label)] = names[int(row)]
    name_of = Text.of(folded)
    blocks = [slice(start, start + _COMPARED) for start in range(0, len(labels), _COMPARED)]
    if any(names[block] != name_of.take(labels[block]) for block in blocks):
        return ()
    del columns[CLASS_NAME]
    return tuple(folded)
