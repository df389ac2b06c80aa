"""Comparison of a dataset with its source, and of an index with the saved one."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from fastpack.core.bisect import bisect
from fastpack.core.dtypes import Rows
from fastpack.core.plural import counted
from fastpack.core.portions import portions
from fastpack.core.progress import BytesDone
from fastpack.core.ragged import Ragged, Text, concatenate_values, flat_values
from fastpack.core.schema import Field, Schema
from fastpack.errors import FastpackError, Location, OptionError, with_location
from fastpack.formats.index.index import Index
from fastpack.formats.protocols import DatasetPaths
from fastpack.images.batch import Batch
from fastpack.images.seek_points import SeekPoints
from fastpack.integrity.values import differing_rows
from fastpack.packing.open_source import open_source
from fastpack.reading.expression import Lazy, kind_of, whole
from fastpack.reading.open import open as open_dataset
from fastpack.reading.reader import Reader
from fastpack.sources import Source, is_table

_BATCH_BYTES = 8 * 2**20


def disagreement(saved: Index, built: Index) -> str | None:
    """Describe how a file's new index differs from the saved one; None if equal."""
    num_records = counted(len(built), "record")
    original = saved.original_digest
    if original is not None and original != built.record_digest:
        return f"the file has {num_records}, but had {original.num_records:,} when first indexed"
    if len(saved) != len(built):
        return f"the file has {num_records}, but its saved index has {len(saved):,}"
    is_same = saved.schema == built.schema and saved.columns.keys() == built.columns.keys()
    if not is_same or saved.spans.keys() != built.spans.keys():
        return "the file has other fields than its saved index"
    rows = np.flatnonzero(_differing_records(saved, built))
    if not len(rows):
        return None
    verb = "differs" if len(rows) == 1 else "differ"
    which = f"{counted(len(rows), 'record')} of the file, record {rows[0]} first,"
    return f"{which} {verb} from the saved index"


def _differing_records(saved: Index, built: Index) -> npt.NDArray[np.bool_]:
    """Compare two indexes with equal fields, record by record (n,)."""
    changed = np.zeros(len(built), np.bool_)
    for name, points in saved.seek_points.items():
        others = built.seek_points.get(name, SeekPoints.none(len(built)))
        rows = range(len(built))
        changed |= [not np.array_equal(points.table(row), others.table(row)) for row in rows]
    for name, spans in built.spans.items():
        changed |= differing_rows(spans, saved.spans[name])
    for name, column in built.columns.items():
        changed |= differing_rows(column, saved.columns[name])
    return changed


def compare_with_source(
    dataset: Reader, source: Source, advance: BytesDone | None = None
) -> Iterator[str]:
    """Compare a dataset with its source, by key; without keys, by number.

    Image files are compared byte for byte. Yields a line for each value that differs, and for each
    sample or field that only one side has. Raises OptionError if the dataset holds pixels of image
    files.
    """
    pairs = _shared_fields(dataset.schema, source.schema)
    dataset = dataset.with_options(decode=False, on_error="raise", transform=None)
    ours, theirs, missing, extra = _pairs(dataset, source)
    for row in missing:
        message = "the dataset has no whole copy of this image; pack it again"
        yield with_location(message, source.location(row))
    for row in extra:
        yield with_location("the source has no such image", dataset.location(row))
    yield from _missing_fields(dataset, source)
    for field, other in (pair for pair in pairs if not _are_comparable(*pair)):
        types = f"{_type_of(field)}, but {_type_of(other)} in its source"
        message = f"{field.name} is {types}; pack it again"
        yield with_location(message, Location(dataset.shards[0].path))
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

    The main images are a pair even if their names differ: `pack` may rename them.
    """
    mine, original = ours.image_field, theirs.image_field
    if mine is not None and original is not None and mine.kind == "pixels" != original.kind:
        message = "the dataset holds pixels, which cannot be compared with image files"
        raise OptionError(f"{message}; leave against out")
    pairs = [(field, theirs[field.name]) for field in ours.fields if field.name in theirs]
    if mine and original and mine.name not in theirs and original.name not in ours:
        pairs.append((mine, original))
    return sorted(pairs, key=lambda pair: pair[0] != mine)


def _are_comparable(ours: Field, theirs: Field) -> bool:
    """True for fields of one type.

    Files and texts are both bytes. Numbers may have other widths. Labels may be integers on one
    side and floats on the other.
    """
    if "pixels" in (ours.kind, theirs.kind):
        mine, original = ((each.kind, each.shape, _machine_dtype(each)) for each in (ours, theirs))
        has_two_colors = ours.color and theirs.color and ours.color != theirs.color
        return mine == original and not has_two_colors
    numbers = ("int", "float")
    if ours.kind in numbers and theirs.kind in numbers:
        return ours.kind == theirs.kind or ours.name == "label"
    return ours.kind not in numbers and theirs.kind not in numbers


def _machine_dtype(field: Field) -> np.dtype[Any]:
    """Return the dtype in the machine's byte order, in which arrays are read."""
    return np.dtype(field.dtype).newbyteorder("=")


def _type_of(field: Field) -> str:
    """Describe a field's type for a message; for pixels, all that is compared."""
    if field.kind != "pixels":
        return field.kind
    return f"{field.kind} {_machine_dtype(field)} {field.shape} {field.color}".rstrip()


def _missing_fields(dataset: Reader, source: Source) -> Iterator[str]:
    """Yield a line for each field, and for class names, that only one side has."""
    shared = _shared_fields(dataset.schema, source.schema)
    location = Location(dataset.shards[0].path)
    for field in source.schema.fields:
        if field not in [theirs for _, theirs in shared]:
            message = f"the dataset has no field {field.name!r}, which its source has"
            yield with_location(f"{message}; pack it again", location)
    for field in dataset.schema.fields:
        if field.name != "key" and field not in [ours for ours, _ in shared]:
            message = f"the source has no field {field.name!r}, which the dataset has"
            yield with_location(message, location)
    ours, theirs = dataset.schema, source.schema
    if theirs.class_names and not ours.class_names and "label" in ours:
        message = "the dataset has no class names, but its source has some; pack it again"
        yield with_location(message, location)
    if ours.class_names and not theirs.class_names and "label" in theirs:
        yield with_location("the source has no class names, but the dataset has some", location)


def source_at(path: Source | DatasetPaths, index_dir: Path | None = None, **options: Any) -> Source:
    """Open a source to compare with: images, a table of them, or a dataset.

    Returns a Source unchanged. `options` are those of `source_of`.
    """
    if not isinstance(path, (str, os.PathLike)):
        if hasattr(path, "schema"):
            return cast(Source, path)
        return open_dataset(path, decode=False, index_dir=index_dir, **options)
    if is_table(Path(path)):  # files that it names elsewhere are compared, but never shown
        options["allow_external"] = True
    return open_source(path, index_dir=index_dir, save_index=True, **options)


def _pairs(dataset: Reader, source: Source) -> tuple[Rows, Rows, list[int], list[int]]:
    """Pair rows of the dataset and of the source.

    Returns the rows of both, in pairs; then single rows of the source, and of the dataset.
    """
    our_keys = whole(dataset.columns.get("key"))
    their_keys = _columns(source, ["key"] if "key" in source.schema else []).get("key")
    if not isinstance(our_keys, Text) or not isinstance(their_keys, Text):
        common = min(len(dataset), len(source))
        both = np.arange(common)
        return both, both, list(range(common, len(source))), list(range(common, len(dataset)))
    partners = _partners(list(our_keys), list(their_keys), dataset, source)
    ours = np.flatnonzero(partners >= 0)
    missing = np.setdiff1d(np.arange(len(source)), partners).tolist()
    return ours, partners[ours], missing, np.flatnonzero(partners < 0).tolist()


def _partners(ours: list[str], theirs: list[str], dataset: Reader, source: Source) -> Rows:
    """Find the source's row for each key of the dataset, or -1.

    Rows of one key, such as captions of an image, are paired by equal texts first, then in order.
    """
    partners = np.full(len(ours), -1, np.int64)
    if len(set(theirs)) < len(theirs):
        names = [name for name in dataset.columns if name in source.schema]
        columns = _columns(source, [name for name in names if name not in ("key", "label")])
        texts = [
            (whole(dataset.columns[name]), column)
            for name, column in columns.items()
            if kind_of(dataset.columns[name]) is Text and isinstance(column, Text)
        ]
        _match(
            list(zip(ours, *(mine for mine, _ in texts), strict=True)),
            list(zip(theirs, *(original for _, original in texts), strict=True)),
            partners,
        )
    _match(ours, theirs, partners)
    return partners


def _match(ours: Sequence[Any], theirs: Sequence[Any], partners: Rows) -> None:
    """Pair rows that have no partner yet and equal values, in order."""
    taken = set(partners.tolist())
    waiting: defaultdict[Any, list[int]] = defaultdict(list)
    for row in range(len(theirs) - 1, -1, -1):
        if row not in taken:
            waiting[theirs[row]].append(row)
    for row in np.flatnonzero(partners < 0).tolist():
        if waiting.get(ours[row]):
            partners[row] = waiting[ours[row]].pop()


def _columns(source: Source, names: Sequence[str]) -> dict[str, Any]:
    """Return columns of all samples; a source without columns in memory is read."""
    columns = getattr(source, "columns", None)
    if columns is not None:
        return {name: whole(columns[name]) for name in names if name in columns}
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
        differing = differing_rows(_as_bytes(mine[field.name]), _as_bytes(original[other.name]))
        for row in np.flatnonzero(differing).tolist():
            yield _difference(
                dataset,
                source,
                int(ours[row]),
                int(theirs[row]),
                "the image" if field.name == "image" else field.name,
            )


def _as_bytes(values: Any) -> Any:
    """Convert texts to bytes, since one side may have texts and the other bytes."""
    if isinstance(values, Ragged):
        return Ragged(values.values, values.offsets)
    return np.asarray(values)


def _difference(dataset: Reader, source: Source, row: int, partner: int, name: str) -> str:
    message = f"{name} differs from its source, {source.location(partner)}; pack it again"
    return with_location(message, dataset.location(row))


def _compare_columns(
    dataset: Reader, source: Source, ours: Rows, theirs: Rows, pairs: list[tuple[Field, Field]]
) -> Iterator[str]:
    columns = _columns(source, [other.name for _, other in pairs])
    for field, other in pairs:
        mine = _taken(whole(dataset.columns[field.name]), ours)
        original = _taken(columns[other.name], theirs)
        if field.name == "label" and dataset.schema.class_names and source.schema.class_names:
            yield from _compare_labels(dataset, source, ours, theirs, mine, original)
            continue
        for row in np.flatnonzero(differing_rows(*_alike(mine, original))).tolist():
            yield _difference(dataset, source, int(ours[row]), int(theirs[row]), field.name)


def _taken(column: Any, rows: Rows) -> Any:
    return column.take(rows) if isinstance(column, (Ragged, Lazy)) else np.asarray(column)[rows]


def _alike(mine: Any, original: Any) -> tuple[Any, Any]:
    """Round the source's floats if the dataset has 32 bits; see PackOptions."""
    ours, theirs = flat_values(mine), flat_values(original)
    if not isinstance(ours, np.ndarray) or not isinstance(theirs, np.ndarray):
        return mine, original
    if ours.dtype != np.float32 or theirs.dtype.kind != "f":
        return mine, original
    with np.errstate(over="ignore"):
        rounded = theirs.astype(np.float32)
    return mine, Ragged(rounded, original.offsets) if isinstance(original, Ragged) else rounded


def _compare_labels(
    dataset: Reader, source: Source, ours: Rows, theirs: Rows, mine: Any, original: Any
) -> Iterator[str]:
    """Compare labels by class names, since their numbers may differ."""
    classes, source_classes = _classes(dataset.schema.class_names, source.schema.class_names)
    for row, (label, wanted) in enumerate(zip(mine, original, strict=True)):
        found = [_class_of(classes, each) for each in _labels(label)]
        if found == [_class_of(source_classes, each) for each in _labels(wanted)]:
            continue
        name, wanted_name = _named(dataset.schema, label), _named(source.schema, wanted)
        if name == wanted_name:
            name, wanted_name = f"{name} (class {label})", f"{wanted_name} (class {wanted})"
        location = source.location(int(theirs[row]))
        message = f"the label is {name}, but {wanted_name} in its source, {location}"
        yield with_location(f"{message}; pack it again", dataset.location(int(ours[row])))


# A class: its name, and its number. If numbers differ: how many classes before it have the name.
_Class = tuple[str, int]


def _classes(ours: Sequence[str], theirs: Sequence[str]) -> tuple[list[_Class], list[_Class]]:
    """Identify the classes of both sides, by number. Two classes may have one name."""
    if any(mine != other for mine, other in zip(ours, theirs, strict=False) if mine and other):
        return _occurrences(ours), _occurrences(theirs)
    mine, original = (
        [(name, number) for number, name in enumerate(names)] for names in (ours, theirs)
    )
    return mine, original


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
    """Return the class of a label, or the label itself if its class has no name."""
    if isinstance(label, str) or not 0 <= label < len(classes) or label != int(label):
        return label
    found = classes[int(label)]
    return found if found[0] else label


def _named(schema: Schema, label: Any) -> str:
    return ", ".join(schema.class_name(each) for each in _labels(label))
