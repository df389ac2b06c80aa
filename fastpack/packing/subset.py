"""Subset: chosen samples of a source, in a chosen order; also the choices by key."""

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import Rows
from fastpack.core.ragged import Ragged, Text, digest
from fastpack.core.schema import Schema
from fastpack.errors import FastpackError, Location, OptionError
from fastpack.files.classes import ClassMap
from fastpack.files.escapes import escaped_bytes
from fastpack.images.batch import Batch
from fastpack.reading.order import Shuffle
from fastpack.sources import Source

# Columns that `fields` cannot leave out.
_ALWAYS = ("label", "key")


class Subset:
    """Samples `rows` of a source, in that order; also a Source.

    Keys become valid UTF-8.

    Args:
        fields: fields to keep besides the main image, label and key; None keeps all.
        classes: class names that labels count in; () leaves labels unchanged.

    >>> from fastpack import encode
    >>> from fastpack.sources import ImageFiles
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "a.png").write_bytes(encode(np.zeros((2, 2, 3), np.uint8), "png"))
    >>> source = ImageFiles([folder / "a.png"] * 3, [5, 6, 7])
    >>> Subset(source, np.array([2, 0])).read(np.arange(2))["label"].tolist()
    [7, 5]
    """

    def __init__(
        self,
        source: Source,
        rows: Rows,
        fields: Sequence[str] | None = None,
        classes: tuple[str, ...] = (),
    ) -> None:
        self._source, self._num_samples = source, len(rows)
        # None: all samples in the source's order. It saves 8 bytes a sample.
        self._rows = None if _are_all(rows, len(source)) else rows
        self._schema = source.schema if fields is None else _with_columns(source.schema, fields)
        self._sizes = source.sizes if self._rows is None else source.sizes[rows]
        self._classes: ClassMap | None = None
        if classes:
            _refuse_no_classes(source.schema)
            self._classes = ClassMap.between(source.schema.class_names, classes)
            self._schema = replace(self._schema, class_names=classes)

    @property
    def schema(self) -> Schema:
        return self._schema

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        return self._sizes

    @property
    def sizes_beside(self) -> Rows | int:
        """Bytes of each sample's other blobs (n,), if the source knows them."""
        beside: Rows | int = getattr(self._source, "sizes_beside", 0)
        return beside if self._rows is None or isinstance(beside, int) else beside[self._rows]

    @property
    def faults(self) -> Mapping[int, FastpackError]:
        """Known errors by row, in order."""
        faults = faults_of(self._source)
        if self._rows is None:
            return {row: faults[row] for row in sorted(faults)}
        rows = np.flatnonzero(np.isin(self._rows, list(faults))) if faults else ()
        return {int(row): faults[self.number(int(row))] for row in rows}

    @property
    def notes(self) -> tuple[str, ...]:
        """Guesses and omissions of the source, one sentence each."""
        return tuple(getattr(self._source, "notes", ()))

    def __len__(self) -> int:
        return self._num_samples

    def number(self, row: int) -> int:
        """Return the number of a sample in the source."""
        return row if self._rows is None else int(self._rows[row])

    @property
    def numbers(self) -> Rows:
        """Numbers of all samples in the source (n,)."""
        return np.arange(self._num_samples) if self._rows is None else self._rows

    def bytes_of(self, numbers: Sequence[int]) -> int:
        """Sum the bytes of the images of samples of the source."""
        return int(self._source.sizes[np.array(numbers, np.int64)].sum())

    def location(self, row: int) -> Location:
        return self._source.location(self.number(row))

    def key(self, row: int) -> str | None:
        keys = keys_of(self._source)
        return None if keys is None else keys[self.number(row)]

    def read(self, rows: Rows) -> Batch:
        batch = read_whole(self._source, rows if self._rows is None else self._rows[rows])
        return Batch(
            {each.name: self._taken(each.name, batch[each.name]) for each in self._schema.fields},
            batch.num_samples,
        )

    def _taken(self, name: str, values: Any) -> Any:
        if name == "label" and self._classes is not None:
            return self._classes.relabeled(values)
        if name == "key" and isinstance(values, Text):
            return escaped_bytes(values)
        return values

    def refuse_unknown_classes(self) -> None:
        """Raise for labels of unknown classes, if the source has its labels in memory."""
        labels = getattr(self._source, "columns", {}).get("label")
        if self._classes is not None and labels is not None:
            chosen = np.arange(len(self._source)) if self._rows is None else self._rows
            good = chosen[~np.isin(chosen, list(faults_of(self._source)))]
            self._classes.relabeled(
                labels.take(good) if isinstance(labels, Ragged) else labels[good]
            )

    def fingerprints(self) -> dict[str, str]:
        chosen = "all" if self._rows is None else digest(self._rows)
        return {"which samples": chosen, **getattr(self._source, "fingerprints", dict)()}


def _refuse_no_classes(schema: Schema) -> None:
    """Raise OptionError for a source without integer labels."""
    if "label" not in schema:
        raise OptionError("the source has no labels to count in the classes; leave classes out")
    if schema["label"].kind != "int":
        message = f"classes need integer labels, but these are of kind {schema['label'].kind!r}"
        raise OptionError(f"{message}; leave classes out, or choose another column of labels")


def _are_all(rows: Rows, num_samples: int) -> bool:
    """True for 0, 1, 2 ... num_samples - 1."""
    return len(rows) == num_samples > 0 and bool(
        rows[0] == 0 and rows[-1] == num_samples - 1 and (rows[1:] > rows[:-1]).all()
    )


def read_whole(source: Source, rows: Rows) -> Batch:
    """Read samples; raise the first failure of a Reader that skips bad samples."""
    batch = source.read(rows)
    if batch.failures:
        raise batch.failures[0]
    return batch


def keys_of(source: Source) -> Text | None:
    keys = getattr(source, "columns", {}).get("key")
    return keys if isinstance(keys, Text) else None


def faults_of(source: Source) -> Mapping[int, FastpackError]:
    """Return the errors that the source knows before it reads, by sample."""
    faults: Mapping[int, FastpackError] = getattr(source, "faults", {})
    return faults


def _with_columns(schema: Schema, names: Sequence[str]) -> Schema:
    for name in names:
        schema[name]  # raises for a field that is not there
    main = {schema.image_field.name} if schema.image_field is not None else set()
    return replace(
        schema,
        fields=tuple(each for each in schema.fields if each.name in {*main, *_ALWAYS, *names}),
    )


def matching(source: Source, include: Sequence[str], exclude: Sequence[str]) -> Rows:
    """Find samples whose key matches `include`, if given, and not `exclude`.

    Shell patterns match the whole key; `*` matches slashes too.
    """
    rows = np.arange(len(source))
    if not include and not exclude:
        return rows
    keys = keys_of(source)
    if keys is None:
        message = "include and exclude need keys, and the samples have none"
        raise OptionError(f"{message}; give the source keys")
    wanted, unwanted = _pattern(include or ["*"]), _pattern(exclude)
    fits = (bool(wanted(key)) and not unwanted(key) for key in keys)
    return rows[np.fromiter(fits, np.bool_, len(keys))]


def _pattern(globs: Sequence[str]) -> Any:
    """Return a function that is true for keys that match any glob."""
    never = r"(?!)"
    return re.compile("|".join(map(fnmatch.translate, globs)) or never).match


def shuffled(rows: Rows, seed: int) -> Rows:
    """Put rows in the order of the first epoch of `Loader(shuffle=Shuffle(seed))`."""
    order = Shuffle(seed).permutation(len(rows))
    return rows[order.samples_at(0, np.arange(len(rows))).samples]
