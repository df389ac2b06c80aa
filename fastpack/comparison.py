"""comparison: a dataset held against what it was made from, and an index against what was noted before."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.checkpoints import Checkpoints
from fastpack.errors import EmptySourceError, FastpackError, OptionError, SourceError, at
from fastpack.index import Index
from fastpack.ragged import Ragged, Text
from fastpack.reader import Reader
from fastpack.reader import open as open_dataset
from fastpack.sources import Source, is_table, source_of

_BATCH_BYTES = 8 * 2**20
Rows = npt.NDArray[np.int64]
# Called with the bytes of images done so far.
Advance = Callable[[int], None]


def disagreement(saved: Index, built: Index) -> str | None:
    """What the index that was saved says of a file and the one built of it now does not; None when they are the same."""
    if saved.first_seal is not None and saved.first_seal != built.seal:
        return f"the file has {len(built):,} records, and not the {saved.first_seal.num_records:,} that it was first indexed with"
    if len(saved) != len(built):
        return f"the file has {len(built):,} records and its saved index {len(saved):,}"
    if saved.schema != built.schema or saved.columns.keys() != built.columns.keys() or saved.spans.keys() != built.spans.keys():
        return "the file has other fields than its saved index"
    changed = np.zeros(len(built), np.bool_)
    for name, marks in saved.checkpoints.items():
        others = built.checkpoints.get(name, Checkpoints.none(len(built)))
        changed |= [not np.array_equal(marks.table(row), others.table(row)) for row in range(len(built))]
    for name, spans in built.spans.items():
        changed |= spans != saved.spans[name]
    for name, column in built.columns.items():
        changed |= _differing_rows(column, saved.columns[name])
    if not changed.any():
        return None
    rows = np.flatnonzero(changed)
    return f"{_counted(len(rows))} of the file, record {rows[0]} first, differ from what the saved index says"


def _counted(count: int) -> str:
    return "1 record" if count == 1 else f"{count:,} records"


def _differing_rows(a: Any, b: Any) -> npt.NDArray[np.bool_]:
    if isinstance(a, Ragged):
        if a == b:
            return np.zeros(len(a), np.bool_)
        are_floats = isinstance(a.values, np.ndarray) and a.values.dtype.kind == "f"
        return np.array([not np.array_equal(x, y, equal_nan=are_floats) for x, y in zip(a, b, strict=True)])
    different: npt.NDArray[np.bool_] = (a != b) & ~((a != a) & (b != b))  # NaN is NaN
    return different


def compare_with_source(dataset: Reader, source: Source, advance: Advance | None = None) -> Iterator[str]:
    """Compares each image, byte for byte, and each label with the source's of the same key; without keys, by number.

    Gives a line for each that differs, is missing or is not of the source. Raises OptionError when the dataset holds pixels,
    which are no longer the files' bytes.
    """
    picture = dataset.schema.picture
    if picture is None or picture.kind != "image":
        raise OptionError("only image files as they are can be compared with their source; this dataset holds pixels")
    dataset = dataset.with_options(decode=False, on_error="raise")
    ours, theirs, missing, extra = _pairs(dataset, source)
    for row in missing:
        yield at("the dataset has no whole copy of this image; pack it again", source.place(row))
    for row in extra:
        yield at("the source has no such image", dataset.place(row))
    done = 0
    for batch in _batches(dataset.sizes[ours]):
        yield from _compare(dataset, source, ours[batch], theirs[batch], picture.name)
        done += int(dataset.sizes[ours[batch]].sum())
        if advance:
            advance(done)
    yield from _compare_labels(dataset, source, ours, theirs)


def source_at(path: str | Path, index_dir: Path | None = None, **taking: Any) -> Source:
    """The images of a folder or a table; else the dataset that is there, whose index may lie in `index_dir`.

    - taking: how a folder or a table is taken, as `source_of` has it.
    """
    if is_table(path):  # what it names elsewhere is only compared, never shown
        return source_of(path, **{**taking, "allow_external": True})
    try:
        return source_of(path, **taking)
    except (EmptySourceError, SourceError):
        return open_dataset(path, decode=False, index_dir=index_dir, **taking)


def _pairs(dataset: Reader, source: Source) -> tuple[Rows, Rows, list[int], list[int]]:
    """Rows of the dataset and of the source that belong together, then those of the source and of the dataset that are alone."""
    our_keys, their_keys = dataset.columns.get("key"), _column(source, "key")
    if not isinstance(our_keys, Text) or not isinstance(their_keys, Text):
        common = min(len(dataset), len(source))
        both = np.arange(common)
        return both, both, list(range(common, len(source))), list(range(common, len(dataset)))
    waiting: defaultdict[str, list[int]] = defaultdict(list)
    for row in range(len(source) - 1, -1, -1):
        waiting[their_keys[row]].append(row)  # a key may come more than once: first with first, second with second
    found = [(row, waiting[key].pop()) if waiting.get(key) else (row, -1) for row, key in enumerate(our_keys)]
    pairs = np.array([pair for pair in found if pair[1] >= 0], np.int64).reshape(-1, 2)
    missing = sorted(row for rows in waiting.values() for row in rows)
    return pairs[:, 0], pairs[:, 1], missing, [row for row, partner in found if partner < 0]


def _column(source: Source, name: str) -> Any:
    """A column of all samples, from a source that has it at hand; else it is read, image by image."""
    columns = getattr(source, "columns", None)
    if columns is not None:
        return columns.get(name)
    if name not in source.schema or source.schema[name].is_blob:
        return None
    pieces = [source.read(batch)[name] for batch in _batches(source.sizes)]
    return type(pieces[0]).concatenate(pieces) if isinstance(pieces[0], Ragged) else np.concatenate(pieces)


def _batches(sizes: Rows) -> list[Rows]:
    """Rows in groups of a few megabytes, in order."""
    groups = np.cumsum(sizes) // _BATCH_BYTES
    return [rows for rows in np.split(np.arange(len(sizes)), np.flatnonzero(np.diff(groups)) + 1) if len(rows)]


def _compare(dataset: Reader, source: Source, ours: Rows, theirs: Rows, name: str) -> Iterator[str]:
    try:
        mine, original = dataset.read(ours)[name], source.read(theirs)[name]
    except FastpackError as error:
        if len(ours) == 1:
            yield str(error)
            return
        for half in (slice(0, len(ours) // 2), slice(len(ours) // 2, None)):
            yield from _compare(dataset, source, ours[half], theirs[half], name)
        return
    if mine == original:
        return
    for i in range(len(ours)):
        if mine.bytes(i) != original.bytes(i):
            text = f"the image differs from its source, {source.place(int(theirs[i]))}; pack it again"
            yield at(text, dataset.place(int(ours[i])))


def _compare_labels(dataset: Reader, source: Source, ours: Rows, theirs: Rows) -> Iterator[str]:
    mine, original = dataset.columns.get("label"), _column(source, "label")
    if not isinstance(mine, np.ndarray) or not isinstance(original, np.ndarray):
        return
    are_named = bool(dataset.schema.class_names and source.schema.class_names)
    for row, partner in zip(ours.tolist(), theirs.tolist(), strict=True):
        label, wanted = int(mine[row]), int(original[partner])
        label_text, wanted_text = dataset.schema.class_name(label), source.schema.class_name(wanted)
        is_same = label_text == wanted_text if are_named else label == wanted
        if not is_same:
            text = f"the label is {label_text}, and {wanted_text} in its source, {source.place(partner)}; pack it again"
            yield at(text, dataset.place(row))
