"""Appending: checks that new shards fit the set that they join."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastpack.core.ragged import Text
from fastpack.core.schema import Field, Schema, merge_class_names
from fastpack.errors import Location, MixedSetError, SchemaError, SourceError, with_location
from fastpack.files.classes import refuse_ambiguous
from fastpack.files.name_summary import NameSummary
from fastpack.files.naming import data_members, missing, strangers
from fastpack.formats.dataset_indexes import index_files
from fastpack.formats.index.index import Index
from fastpack.formats.index.joined_schema import are_joinable, common_schema, kind_of
from fastpack.formats.shard_indexes import Opening
from fastpack.sources import Source

_MAX_NAMED = 5


@dataclass(frozen=True)
class Joined:
    """The sets that a pack appends to, taken together.

    Args:
        path: their first file.
        schema: the common fields and all class names.
        receipts: receipt of each file; see Index.
        keys: keys of the samples, one Text for each file that has keys.
    """

    path: Path
    schema: Schema
    receipts: Mapping[Path, str]
    keys: tuple[Text, ...] = ()

    @classmethod
    def of(cls, outputs: Iterable[Path], new: Collection[str] = ()) -> "Joined | None":
        """Read the indexes of existing sets; None if there are no files.

        `new` are names of files that this pack itself wrote before it was interrupted. Raises
        MixedSetError for a set that cannot be opened.
        """
        paths = [
            path for output in outputs for path in data_members(output) if path.name not in new
        ]
        if not paths:
            return None
        for problem in [*strangers(paths), *missing(paths)]:
            raise MixedSetError(problem)
        indexed = index_files(paths, Opening())
        receipts, keys = {}, []
        for path, index in zip(indexed.manifest.paths, indexed.files(), strict=True):
            receipts[path] = index.receipt
            if (own := index.keys()) is not None:
                keys.append(own)
        schemas = indexed.manifest.schemas
        firsts = [indexed.manifest.first_shard(number).path for number in range(len(schemas))]
        schema = common_schema(list(zip(firsts, schemas, strict=True)))
        return cls(paths[0], schema, receipts, tuple(keys))

    def known_keys(self, keys: Text) -> NameSummary:
        """Return the given keys that the set has already."""
        new = set(keys)
        return NameSummary.of({key for some in self.keys for key in some if key in new})

    def written_by(self, receipt: str) -> list[Path]:
        """Return the files that the pack with this receipt wrote."""
        return [path for path, found in self.receipts.items() if found == receipt]

    def refuse_fields(self, schema: Schema) -> None:
        """Raise SchemaError if samples of this schema differ from those of the set."""
        theirs, ours = (
            sorted(each.fields, key=lambda field: field.name) for each in (self.schema, schema)
        )
        self._refuse_others(theirs, ours)

    def refuse_index(self, index: Index) -> None:
        """Raise SchemaError if a written shard could not be opened together with the set."""
        self._refuse_others(self.schema.fields, index.schema.fields)
        merge_class_names([self.schema.class_names, index.schema.class_names])

    def _refuse_others(self, theirs: Sequence[Field], ours: Sequence[Field]) -> None:
        if are_joinable(theirs, ours):
            return
        held, new = (", ".join(map(kind_of, fields)) for fields in (theirs, ours))
        message = f"the set holds {held}, but the source holds {new}"
        remedy = "pack the same fields, or choose another output"
        raise SchemaError(with_location(f"{message}; {remedy}", Location(self.path)))

    def classes_for(self, source: Source, given: tuple[str, ...]) -> tuple[str, ...]:
        """Return the class names to map labels of the source to; () if they fit already.

        `given` are the names that the user asks for. Raises SchemaError if the set has other names
        for these labels, or no names.
        """
        theirs, ours = self.schema.class_names, given or source.schema.class_names
        if "label" not in source.schema or source.schema["label"].kind != "int":
            return given
        if ours and not theirs:
            message = f"the source names its classes, such as {ours[0]!r}, and the set does not"
            remedy = "append samples without class names, or pack everything again"
            raise SchemaError(with_location(f"{message}; {remedy}", Location(self.path)))
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
            message = f"labels cannot be matched by name with those of the set: {error}"
            raise SchemaError(with_location(message, Location(self.path))) from error

    def _refuse_classes(self, given: tuple[str, ...]) -> None:
        try:
            merge_class_names([self.schema.class_names, given])
        except SchemaError as error:
            message = f"the classes are not those of the set ({error})"
            remedy = "leave classes out, so that labels count in the class names of the set"
            raise SchemaError(with_location(f"{message}; {remedy}", Location(self.path))) from error

    def notes_on(self, source: Source) -> tuple[str, ...]:
        """Describe the changes of the source's classes, one sentence each."""
        theirs, ours = self.schema.class_names, source.schema.class_names
        if not theirs or "label" not in source.schema:
            return ()
        if not ours:
            return ("the source names no classes; its labels count in the classes of the set",)
        labels = {name: label for label, name in enumerate(_joined_names(theirs, ours)) if name}
        added = [f"{name!r} is {label}" for name, label in labels.items() if name not in theirs]
        moved = [
            f"{name!r} is {labels[name]} instead of {old}"
            for old, name in enumerate(ours)
            if name and labels[name] != old
        ]
        notes = []
        if added:
            notes.append(f"the set that is appended to gets new classes: {_few(added)}")
        if moved:
            notes.append(f"labels change to those of the set that is appended to: {_few(moved)}")
        return tuple(notes)


def _joined_names(theirs: Sequence[str], ours: Sequence[str]) -> tuple[str, ...]:
    """Join class names; the name "" of a class without samples is replaced.

    >>> _joined_names(["", "dog"], ["cat", "dog", "owl"])
    ('cat', 'dog', 'owl')
    >>> _joined_names(["bee", "dog"], ["cat", "dog"])
    ('bee', 'dog', 'cat')
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
    more = len(texts) - _MAX_NAMED
    return ", ".join(texts[:_MAX_NAMED]) + (f" and {more:,} more" if more > 0 else "")
