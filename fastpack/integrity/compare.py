"""comparison: a dataset held against what it was made from, and an index against what was noted before."""

import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from fastpack.core.bisect import bisect
from fastpack.core.dtypes import Rows
from fastpack.core.portions import portions
from fastpack.core.progress import BytesDone
from fastpack.core.ragged import Ragged, Text, concatenate_values, flat_values
from fastpack.core.schema import Field, Schema
from fastpack.errors import (
    EmptySourceError,
    FastpackError,
    Location,
    OptionError,
    SourceError,
    with_location,
)
from fastpack.formats.index.index import Index
from fastpack.formats.protocols import DatasetPaths
from fastpack.images.batch import Batch
from fastpack.images.seek_points import SeekPoints
from fastpack.reading.open import open as open_dataset
from fastpack.reading.reader import Reader
from fastpack.sources import Source, is_table, source_of

_BATCH_BYTES = 8 * 2**20


def disagreement(saved: Index, built: Index) -> str | None:
    """What the index that was saved says of a file and the one built of it now does not; None when they are the same."""
    if saved.original_digest is not None and saved.original_digest != built.record_digest:
        return f"the file has {len(built):,} records, and not the {saved.original_digest.num_records:,} that it was first indexed with"
    if len(saved) != len(built):
        return f"the file has {len(built):,} records and its saved index {len(saved):,}"
    if (
        saved.schema != built.schema
        or saved.columns.keys() != built.columns.keys()
        or saved.spans.keys() != built.spans.keys()
    ):
        return "the file has other fields than its saved index"
    changed = np.zeros(len(built), np.bool_)
    for name, marks in saved.seek_points.items():
        others = built.seek_points.get(name, SeekPoints.none(len(built)))
        changed |= [
            not np.array_equal(marks.table(row), others.table(row)) for row in range(len(built))
        ]
    for name, spans in built.spans.items():
        changed |= _differing_rows(spans, saved.spans[name])
    for name, column in built.columns.items():
        changed |= _differing_rows(column, saved.columns[name])
    if not changed.any():
        return None
    rows = np.flatnonzero(changed)
    return f"{_counted(len(rows))} of the file, record {rows[0]} first, differ from what the saved index says"


def _counted(count: int) -> str:
    return "1 record" if count == 1 else f"{count:,} records"


def _differing_rows(a: Any, b: Any) -> npt.NDArray[np.bool_]:
    """Which values differ; NaN is NaN. Where one side has lists, a value is a list of one."""
    if (type(a) is Ragged) != (type(b) is Ragged):
        a, b = _as_lists(a), _as_lists(b)
    if isinstance(a, Ragged) and isinstance(b, Ragged):
        if a == b:
            return np.zeros(len(a), np.bool_)
        return np.array([not _are_equal(x, y) for x, y in zip(a, b, strict=True)], np.bool_)
    if isinstance(a, Text) != isinstance(b, Text):
        return np.ones(len(a), np.bool_)
    if np.shape(a) != np.shape(b):  # numpy would repeat the smaller one
        return np.ones(len(a), np.bool_)
    different = _differing_numbers(a, b)
    return np.asarray(different.any(axis=tuple(range(1, different.ndim))))


def _as_lists(rows: Any) -> Ragged:
    """Each value, or each row of an array, as a list."""
    if type(rows) is Ragged:
        return rows
    length = 1 if isinstance(rows, Text) else math.prod(rows.shape[1:])
    return Ragged(
        rows if isinstance(rows, Text) else rows.reshape(-1), np.arange(len(rows) + 1) * length
    )


def _differing_numbers(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Elementwise, for two of one shape; NaN is NaN. An integer equals a float only where both are the same number."""
    if {a.dtype.kind, b.dtype.kind} in (
        {"i", "f"},
        {"u", "f"},
    ):  # numpy would take 2**53 and 2**53 + 1 for one float64
        a, b = a.astype(object), b.astype(object)
    return np.asarray((a != b) & ~((a != a) & (b != b)), np.bool_)


def _are_equal(a: Any, b: Any) -> bool:
    if isinstance(a, (Ragged, str)):
        return bool(a == b)
    return a.shape == b.shape and not _differing_numbers(a, b).any()


def compare_with_source(
    dataset: Reader, source: Source, advance: BytesDone | None = None
) -> Iterator[str]:
    """Compares all fields with the source's of the same key, image files byte for byte; without keys, by number.

    Gives a line for each value that differs, and for each sample and field that is missing or is not of the source. Raises
    OptionError when the dataset holds pixels of what were image files, which are no longer the files' bytes.
    """
    pairs = _shared_fields(dataset.schema, source.schema)
    dataset = dataset.with_options(decode=False, on_error="raise", transform=None)
    ours, theirs, missing, extra = _pairs(dataset, source)
    for row in missing:
        yield with_location(
            "the dataset has no whole copy of this image; pack it again", source.location(row)
        )
    for row in extra:
        yield with_location("the source has no such image", dataset.location(row))
    yield from _missing_fields(dataset, source)
    for field, other in (pair for pair in pairs if not _are_comparable(*pair)):
        text = (
            f"{field.name} is {_type_of(field)}, and {_type_of(other)} in its source; pack it again"
        )
        yield with_location(text, Location(dataset.index.shards[0].path))
    pairs = [pair for pair in pairs if _are_comparable(*pair)]
    blobs = [pair for pair in pairs if pair[0].is_blob or pair[1].is_blob]
    done = 0
    for batch in portions(dataset.sizes[ours], _BATCH_BYTES):
        yield from _compare(dataset, source, ours[batch], theirs[batch], blobs)
        done += int(dataset.sizes[ours[batch]].sum())
        if advance:
            advance(done)
    columns = [pair for pair in pairs if pair not in blobs and pair[0].name != "key"]
    yield from _compare_columns(dataset, source, ours, theirs, columns)


def _shared_fields(ours: Schema, theirs: Schema) -> list[tuple[Field, Field]]:
    """Pair the dataset's fields with the source's of the same name.

    Main images that have no partner of their name are a pair too: `pack` may rename them.
    """
    mine, original = ours.image_field, theirs.image_field
    if mine is not None and original is not None and mine.kind == "pixels" != original.kind:
        raise OptionError(
            "only image files as they are can be compared with their source; this dataset holds pixels"
        )
    pairs = [(field, theirs[field.name]) for field in ours.fields if field.name in theirs]
    if (
        mine is not None
        and original is not None
        and mine.name not in theirs
        and original.name not in ours
    ):
        pairs.append((mine, original))
    return sorted(pairs, key=lambda pair: pair[0] != mine)


def _are_comparable(ours: Field, theirs: Field) -> bool:
    """True for fields of one type. Files and texts are bytes; integer labels may have been whole floats; 32 bits may hold what 64 did."""
    if "pixels" in (ours.kind, theirs.kind):
        are_alike = (ours.kind, ours.shape, _machine_dtype(ours)) == (
            theirs.kind,
            theirs.shape,
            _machine_dtype(theirs),
        )
        return are_alike and (ours.color == theirs.color or not (ours.color and theirs.color))
    numbers = ("int", "float")
    if ours.kind in numbers and theirs.kind in numbers:
        return ours.kind == theirs.kind or ours.name == "label"
    return ours.kind not in numbers and theirs.kind not in numbers


def _machine_dtype(field: Field) -> np.dtype[Any]:
    """In the machine's byte order, in which arrays are read."""
    return np.dtype(field.dtype).newbyteorder("=")


def _type_of(field: Field) -> str:
    """For a message: the kind; of pixels all that makes two of them differ."""
    if field.kind != "pixels":
        return field.kind
    return f"{field.kind} {_machine_dtype(field)} {field.shape} {field.color}".rstrip()


def _missing_fields(dataset: Reader, source: Source) -> Iterator[str]:
    """What one side has and the other has not: a difference of all samples."""
    shared = _shared_fields(dataset.schema, source.schema)
    location = Location(dataset.index.shards[0].path)
    for field in source.schema.fields:
        if field not in [theirs for _, theirs in shared]:
            yield with_location(
                f"the dataset has no field {field.name!r}, which its source has; pack it again",
                location,
            )
    for field in dataset.schema.fields:
        if field.name != "key" and field not in [ours for ours, _ in shared]:
            yield with_location(
                f"the source has no field {field.name!r}, which the dataset has", location
            )
    if source.schema.class_names and not dataset.schema.class_names and "label" in dataset.schema:
        yield with_location(
            "the dataset has no names of classes, which its source has; pack it again", location
        )
    if dataset.schema.class_names and not source.schema.class_names and "label" in source.schema:
        yield with_location("the source has no names of classes, which the dataset has", location)


def source_at(path: Source | DatasetPaths, index_dir: Path | None = None, **taking: Any) -> Source:
    """The images of a folder or a table; else the dataset that is there, whose index may lie in `index_dir`. A Source as it is.

    - taking: how a folder or a table is taken, as `source_of` has it.
    """
    if not isinstance(path, (str, os.PathLike)):
        return (
            cast(Source, path)
            if hasattr(path, "schema")
            else open_dataset(path, decode=False, index_dir=index_dir, **taking)
        )
    path = Path(path)
    if is_table(path):  # what it names elsewhere is only compared, never shown
        return source_of(path, **{**taking, "allow_external": True})
    try:
        return source_of(path, **taking)
    except (EmptySourceError, SourceError):
        return open_dataset(path, decode=False, index_dir=index_dir, **taking)


def _pairs(dataset: Reader, source: Source) -> tuple[Rows, Rows, list[int], list[int]]:
    """Rows of the dataset and of the source that belong together, then those of the source and of the dataset that are alone."""
    our_keys, their_keys = (
        dataset.columns.get("key"),
        _columns(source, [n for n in ["key"] if n in source.schema]).get("key"),
    )
    if not isinstance(our_keys, Text) or not isinstance(their_keys, Text):
        common = min(len(dataset), len(source))
        both = np.arange(common)
        return both, both, list(range(common, len(source))), list(range(common, len(dataset)))
    partners = _partners(list(our_keys), list(their_keys), dataset, source)
    ours = np.flatnonzero(partners >= 0)
    missing = np.setdiff1d(np.arange(len(source)), partners).tolist()
    return ours, partners[ours], missing, np.flatnonzero(partners < 0).tolist()


def _partners(ours: list[str], theirs: list[str], dataset: Reader, source: Source) -> Rows:
    """The source's row of each of ours, or -1. Of rows of one key, such as the captions of an image, those that say the same belong
    together, in whatever order they are; then those that are left, first with first."""
    partners = np.full(len(ours), -1, np.int64)
    if len(set(theirs)) < len(theirs):
        names = [
            name
            for name in dataset.columns
            if name != "key" and name in source.schema and name != "label"
        ]
        columns = _columns(source, names)
        told = [
            name
            for name in names
            if isinstance(dataset.columns[name], Text) and isinstance(columns.get(name), Text)
        ]
        _match(
            list(zip(ours, *(dataset.columns[name] for name in told), strict=True)),
            list(zip(theirs, *(columns[name] for name in told), strict=True)),
            partners,
        )
    _match(ours, theirs, partners)
    return partners


def _match(ours: Sequence[Any], theirs: Sequence[Any], partners: Rows) -> None:
    """Gives rows without a partner one of the same value that has none."""
    taken = set(partners.tolist())
    waiting: defaultdict[Any, list[int]] = defaultdict(list)
    for row in range(len(theirs) - 1, -1, -1):
        if row not in taken:
            waiting[theirs[row]].append(row)
    for row in np.flatnonzero(partners < 0).tolist():
        if waiting.get(ours[row]):
            partners[row] = waiting[ours[row]].pop()


def _columns(source: Source, names: Sequence[str]) -> dict[str, Any]:
    """Columns of all samples, from a source that has them at hand; else they are read, with the images."""
    columns = getattr(source, "columns", None)
    if columns is not None:
        return {name: columns[name] for name in names if name in columns}
    rows = np.arange(len(source.sizes) if names else 0)
    parts = portions(source.sizes[rows], _BATCH_BYTES)
    batches = [source.read(rows[part]) for part in parts]
    return {name: concatenate_values([batch[name] for batch in batches]) for name in names}


def _compare(
    dataset: Reader, source: Source, ours: Rows, theirs: Rows, pairs: list[tuple[Field, Field]]
) -> Iterator[str]:
    """Compare the blobs of some samples."""

    def read(rows: Rows) -> tuple[Batch, Batch]:
        return dataset.read(ours[rows]), source.read(theirs[rows])

    for rows, result in bisect(read, np.arange(len(ours))):
        if isinstance(result, FastpackError):
            yield str(result)
        else:
            yield from _differences(dataset, source, ours[rows], theirs[rows], pairs, *result)


def _differences(
    dataset: Reader,
    source: Source,
    ours: Rows,
    theirs: Rows,
    pairs: list[tuple[Field, Field]],
    mine: Batch,
    original: Batch,
) -> Iterator[str]:
    for field, other in pairs:
        differing = _differing_rows(_as_bytes(mine[field.name]), _as_bytes(original[other.name]))
        for row in np.flatnonzero(differing).tolist():
            yield _difference(
                dataset,
                source,
                int(ours[row]),
                int(theirs[row]),
                "the image" if field.name == "image" else field.name,
            )


def _as_bytes(values: Any) -> Any:
    """What a sample's blob is compared by: a text that one side has as bytes is the same text."""
    return (
        Ragged(values.values, values.offsets) if isinstance(values, Ragged) else np.asarray(values)
    )


def _difference(dataset: Reader, source: Source, row: int, partner: int, name: str) -> str:
    return with_location(
        f"{name} differs from its source, {source.location(partner)}; pack it again",
        dataset.location(row),
    )


def _compare_columns(
    dataset: Reader, source: Source, ours: Rows, theirs: Rows, pairs: list[tuple[Field, Field]]
) -> Iterator[str]:
    columns = _columns(source, [other.name for _, other in pairs])
    for field, other in pairs:
        mine, original = (
            _taken(dataset.columns[field.name], ours),
            _taken(columns[other.name], theirs),
        )
        if field.name == "label" and dataset.schema.class_names and source.schema.class_names:
            yield from _compare_labels(dataset, source, ours, theirs, mine, original)
            continue
        for row in np.flatnonzero(_differing_rows(*_alike(mine, original))).tolist():
            yield _difference(dataset, source, int(ours[row]), int(theirs[row]), field.name)


def _taken(column: Any, rows: Rows) -> Any:
    return column.take(rows) if isinstance(column, Ragged) else np.asarray(column)[rows]


def _alike(mine: Any, original: Any) -> tuple[Any, Any]:
    """Floats of 32 bits hold what they can of others: see `float64` of PackOptions."""
    ours, theirs = flat_values(mine), flat_values(original)
    if (
        not isinstance(ours, np.ndarray)
        or not isinstance(theirs, np.ndarray)
        or ours.dtype != np.float32
        or theirs.dtype.kind != "f"
    ):
        return mine, original
    with np.errstate(over="ignore"):
        rounded = theirs.astype(np.float32)
    return mine, Ragged(rounded, original.offsets) if isinstance(original, Ragged) else rounded


def _compare_labels(
    dataset: Reader, source: Source, ours: Rows, theirs: Rows, mine: Any, original: Any
) -> Iterator[str]:
    """By the classes, whose numbers may be others where they stand in another order."""
    classes, wanted_classes = _classes(dataset.schema.class_names, source.schema.class_names)
    for row, (label, wanted) in enumerate(zip(mine, original, strict=True)):
        if [_class_of(classes, each) for each in _labels(label)] == [
            _class_of(wanted_classes, each) for each in _labels(wanted)
        ]:
            continue
        label_text, wanted_text = _named(dataset.schema, label), _named(source.schema, wanted)
        if label_text == wanted_text:
            label_text, wanted_text = (
                f"{label_text} (class {label})",
                f"{wanted_text} (class {wanted})",
            )
        text = f"the label is {label_text}, and {wanted_text} in its source, {source.location(int(theirs[row]))}; pack it again"
        yield with_location(text, dataset.location(int(ours[row])))


# A class: its name, and its number or, where the numbers differ, how many before it have that name.
_Class = tuple[str, int]


def _classes(ours: Sequence[str], theirs: Sequence[str]) -> tuple[list[_Class], list[_Class]]:
    """The classes of both sides by number, told apart by what both have in common. Two classes may have one name."""
    if all(mine == other for mine, other in zip(ours, theirs, strict=False) if mine and other):
        return [(name, number) for number, name in enumerate(ours)], [
            (name, number) for number, name in enumerate(theirs)
        ]
    return _occurrences(ours), _occurrences(theirs)


def _occurrences(names: Sequence[str]) -> list[_Class]:
    seen: Counter[str] = Counter()
    classes = []
    for name in names:
        classes.append((name, seen[name]))
        seen[name] += 1
    return classes


def _labels(label: Any) -> list[Any]:
    return [label] if isinstance(label, str) else np.atleast_1d(label).tolist()


def _class_of(classes: Sequence[_Class], label: Any) -> Any:
    """The class, or the label itself where it has no name."""
    has_name = (
        not isinstance(label, str)
        and 0 <= label < len(classes)
        and label == int(label)
        and classes[int(label)][0]
    )
    return classes[int(label)] if has_name else label


def _named(schema: Schema, label: Any) -> str:
    return ", ".join(schema.class_name(each) for each in _labels(label))
