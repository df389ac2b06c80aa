"""Appending: what new shards must agree with, so that the set they join still opens as one."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastpack.core.ragged import Text
from fastpack.core.schema import Field, Schema, merge_class_names
from fastpack.errors import Location, MixedSetError, SchemaError, SourceError, with_location
from fastpack.files.classes import refuse_ambiguous
from fastpack.files.image_folder import FirstNames
from fastpack.files.naming import data_members, missing, strangers
from fastpack.formats.dataset_indexes import indexes_of
from fastpack.formats.index.index import Index
from fastpack.formats.index.joined_schema import are_joinable, common_schema, kind_of
from fastpack.sources import Source

_MAX_TOLD = 5


@dataclass(frozen=True)
class Joined:
    """The sets that a pack appends to, as one.

    Args:
        path: their first file.
        schema: what all hold, and all their class names.
        receipts: of each file, see Index.
        keys: of their samples, file by file; of those that have some.
    """

    path: Path
    schema: Schema
    receipts: Mapping[Path, str]
    keys: tuple[Text, ...] = ()

    @classmethod
    def of(cls, outputs: Iterable[Path], new: Collection[str] = ()) -> "Joined | None":
        """None where there is nothing yet. `new`: names of files that this very pack wrote before it was stopped.

        Raises MixedSetError for a set that cannot be opened as it is.
        """
        paths = [
            path for output in outputs for path in data_members(output) if path.name not in new
        ]
        if not paths:
            return None
        for problem in [*strangers(paths), *missing(paths)]:
            raise MixedSetError(problem)
        indexes = indexes_of(paths)
        receipts = {path: index.receipt for path, index in zip(paths, indexes, strict=True)}
        keys = tuple(
            found for index in indexes if isinstance(found := index.columns.get("key"), Text)
        )
        return cls(
            paths[0],
            common_schema([(index.shards[0].path, index.schema) for index in indexes]),
            receipts,
            keys,
        )

    def known_keys(self, keys: Text) -> FirstNames:
        """Those that samples of the set have already."""
        new = set(keys)
        return FirstNames.of({key for some in self.keys for key in some if key in new})

    def written_by(self, receipt: str) -> list[Path]:
        """The files that the pack of this receipt wrote."""
        return [path for path, found in self.receipts.items() if found == receipt]

    def refuse_fields(self, schema: Schema) -> None:
        """Raises SchemaError when samples of this schema differ from those of the set, before anything is written."""
        theirs, ours = (
            sorted(each.fields, key=lambda field: field.name) for each in (self.schema, schema)
        )
        self._refuse_others(theirs, ours)

    def refuse_index(self, index: Index) -> None:
        """Raises SchemaError when a shard, as it was written, could not be opened together with the set."""
        self._refuse_others(self.schema.fields, index.schema.fields)
        merge_class_names([self.schema.class_names, index.schema.class_names])

    def _refuse_others(self, theirs: Sequence[Field], ours: Sequence[Field]) -> None:
        if are_joinable(theirs, ours):
            return
        held, new = (", ".join(map(kind_of, fields)) for fields in (theirs, ours))
        message = f"the set holds {held}, but what is to be appended holds {new}"
        raise SchemaError(
            with_location(
                f"{message}; pack the same fields, or choose another output", Location(self.path)
            )
        )

    def classes_for(self, source: Source, given: tuple[str, ...]) -> tuple[str, ...]:
        """The class names that labels of the source are to count in; () where they do so already.

        Args:
            source: what is appended.
            given: the names that the user asks for.

        Raises SchemaError where the set has other names for these numbers, or none.
        """
        theirs, ours = self.schema.class_names, given or source.schema.class_names
        if "label" not in source.schema or source.schema["label"].kind != "int":
            return given
        if ours and not theirs:
            message = f"the set has labels without class names, but the source names its classes, such as {ours[0]!r}"
            raise SchemaError(
                with_location(
                    f"{message}; append samples with labels alone, or pack everything again",
                    Location(self.path),
                )
            )
        if given:
            self._refuse_classes(given)
            return given
        if tuple(theirs) != tuple(ours):
            self._refuse_ambiguous(theirs, ours)
        names = _joined_names(theirs, ours)
        return () if not names or (ours and ours == names[: len(ours)]) else names

    def _refuse_ambiguous(self, theirs: Sequence[str], ours: Sequence[str]) -> None:
        try:
            refuse_ambiguous(theirs if ours else ())
            refuse_ambiguous(ours)
        except SourceError as error:
            raise SchemaError(
                with_location(
                    f"labels cannot be matched by name with those of the set: {error}",
                    Location(self.path),
                )
            ) from error

    def _refuse_classes(self, given: tuple[str, ...]) -> None:
        try:
            merge_class_names([self.schema.class_names, given])
        except SchemaError as error:
            remedy = "leave classes out, so that labels count in the class names of the set"
            raise SchemaError(
                with_location(
                    f"the classes are not those of the set ({error}); {remedy}", Location(self.path)
                )
            ) from error

    def notes_on(self, source: Source) -> tuple[str, ...]:
        """What becomes of the classes of the source, a sentence each."""
        theirs, ours = self.schema.class_names, source.schema.class_names
        if not theirs or "label" not in source.schema:
            return ()
        if not ours:
            return (
                "the source names no classes: its labels are taken to be those of the set that is appended to",
            )
        places = {name: number for number, name in enumerate(_joined_names(theirs, ours)) if name}
        added = [f"{name!r} is {number}" for name, number in places.items() if name not in theirs]
        moved = [
            f"{name!r} is {places[name]} instead of {old}"
            for old, name in enumerate(ours)
            if name and places[name] != old
        ]
        notes = [f"the set that is appended to gets new classes: {_few(added)}"] if added else []
        return (
            *notes,
            *(
                [f"labels count in the class names of the set that is appended to: {_few(moved)}"]
                if moved
                else []
            ),
        )


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
    more = len(texts) - _MAX_TOLD
    return ", ".join(texts[:_MAX_TOLD]) + (f" and {more:,} more" if more > 0 else "")
