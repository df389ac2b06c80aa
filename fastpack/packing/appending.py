"""Appending: what new shards must agree with, so that the set they join still opens as one."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.batch import Batch
from fastpack.errors import MixedSetError, Place, SchemaError, at
from fastpack.index import Index, common_schema, kind_of
from fastpack.indexing import indexes_of
from fastpack.naming import data_members, missing, strangers
from fastpack.ragged import Ragged
from fastpack.schema import Schema, merge_class_names
from fastpack.sources import Source

_MOST_TOLD = 5


@dataclass(frozen=True)
class Joined:
    """The sets that a pack appends to, as one.

    Args:
        path: their first file.
        schema: what all hold, and all their class names.
        receipts: of each file, see Index.
    """

    path: Path
    schema: Schema
    receipts: Mapping[Path, str]

    @classmethod
    def of(cls, outputs: Iterable[Path], new: Collection[str] = ()) -> "Joined | None":
        """None where there is nothing yet. `new`: names of files that this very pack wrote before it was stopped.

        Raises MixedSetError for a set that cannot be opened as it is.
        """
        paths = [path for output in outputs for path in data_members(output) if path.name not in new]
        if not paths:
            return None
        for problem in [*strangers(paths), *missing(paths)]:
            raise MixedSetError(problem)
        indexes = indexes_of(paths)
        receipts = {path: index.receipt for path, index in zip(paths, indexes, strict=True)}
        return cls(paths[0], common_schema(indexes), receipts)

    def written_by(self, receipt: str) -> list[Path]:
        """The files that the pack of this receipt wrote."""
        return [path for path, found in self.receipts.items() if found == receipt]

    def refuse_fields(self, schema: Schema) -> None:
        """Raises SchemaError when samples of this schema differ from those of the set, before anything is written."""
        theirs, ours = (sorted(map(kind_of, each.fields)) for each in (self.schema, schema))
        if theirs != ours:
            self._refuse(theirs, ours)

    def refuse_index(self, index: Index) -> None:
        """Raises SchemaError when a shard, as it was written, could not be opened together with the set."""
        theirs, ours = ([kind_of(field) for field in each.fields] for each in (self.schema, index.schema))
        if theirs != ours:
            self._refuse(theirs, ours)
        merge_class_names([self.schema.class_names, index.schema.class_names])

    def _refuse(self, theirs: Sequence[str], ours: Sequence[str]) -> None:
        message = f"the set holds {', '.join(theirs)}, but what is to be appended holds {', '.join(ours)}"
        raise SchemaError(at(f"{message}; pack the same fields, or choose another output", Place(self.path)))

    def relabeled(self, source: Source) -> Source:
        """The source, its labels counting in the class names of the set; names that are new there come after them.

        Raises SchemaError for named classes when the set has none: which number each of them has there is not known.
        """
        theirs, ours = self.schema.class_names, source.schema.class_names
        if theirs == ours or not _counts(source.schema):
            return source
        if not theirs:
            message = f"the set has labels without class names, but the source names its classes, such as {ours[0]!r}"
            raise SchemaError(at(f"{message}; append samples with labels alone, or pack everything again", Place(self.path)))
        return Relabeled(source, theirs)


def _counts(schema: Schema) -> bool:
    return "label" in schema and schema["label"].kind == "int"


class Relabeled:
    """A source whose labels count in another list of class names.

    Args:
        source: without class names, its labels are taken to count in the other list already.
        names: the other list. Names that it lacks get their own number where it has none for that, else come after it.
    """

    def __init__(self, source: Source, names: Sequence[str]) -> None:
        self._source, self._old_names = source, source.schema.class_names
        self._names = _joined_names(names, self._old_names)
        places = {name: number for number, name in enumerate(self._names) if name}
        self._added = [f"{name!r} is {number}" for name, number in places.items() if name not in names]
        numbers = [places.get(name, -1) for name in self._old_names] if self._old_names else range(len(names))
        self._numbers = np.array(numbers, np.int64)

    def __getattr__(self, name: str) -> Any:
        """Columns, faults and what else a source may have."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._source, name)

    @property
    def schema(self) -> Schema:
        return replace(self._source.schema, class_names=self._names)

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        return self._source.sizes

    @property
    def notes(self) -> tuple[str, ...]:
        moves = zip(self._old_names, self._numbers.tolist(), strict=False)
        moved = [f"{name!r} is {new} instead of {old}" for old, (name, new) in enumerate(moves) if old != new and name]
        ours = [f"the set that is appended to gets new classes: {_few(self._added)}"] if self._added else []
        ours += [] if self._old_names else ["the source names no classes: its labels are taken to be those of the set that is appended to"]
        ours += [f"labels count in the class names of the set that is appended to: {_few(moved)}"] if moved else []
        return (*getattr(self._source, "notes", ()), *ours)

    def __len__(self) -> int:
        return len(self._source)

    def place(self, row: int) -> Place:
        return self._source.place(row)

    def read(self, rows: npt.NDArray[np.int64]) -> Batch:
        batch = self._source.read(rows)
        fields: Mapping[str, Any] = {**batch, "label": self._renumbered(batch["label"])}
        return Batch(fields, batch.num_samples, mask=batch.mask, failures=batch.failures, sample_numbers=batch.sample_numbers)

    def _renumbered(self, labels: Any) -> Any:
        """Negative labels mean no class and stay."""
        if isinstance(labels, Ragged):
            return Ragged(self._renumbered(labels.values), labels.offsets)
        values = np.asarray(labels)
        is_class = values >= 0
        found = np.append(self._numbers, -1)[np.where(is_class & (values < len(self._numbers)), values, len(self._numbers))]
        if (is_class & (found < 0)).any():
            label = int(values[is_class & (found < 0)][0])
            raise SchemaError(f"label {label} has no class name, but the set that is appended to has names; name all classes")
        return np.where(is_class, found, values)


def _joined_names(theirs: Sequence[str], ours: Sequence[str]) -> tuple[str, ...]:
    """A file without samples of a class may have "" for its name, and the class keeps its number.

    >>> _joined_names(["", "dog"], ["cat", "dog", "owl"]), _joined_names(["bee", "dog"], ["cat", "dog"])
    (('cat', 'dog', 'owl'), ('bee', 'dog', 'cat'))
    """
    joined = list(theirs)
    for number, name in enumerate(ours):
        if name and name not in joined:
            if number < len(theirs) and not joined[number]:
                joined[number] = name
            else:
                joined.append(name)
    return tuple(joined)


def _few(texts: Sequence[str]) -> str:
    more = len(texts) - _MOST_TOLD
    return ", ".join(texts[:_MOST_TOLD]) + (f" and {more:,} more" if more > 0 else "")
