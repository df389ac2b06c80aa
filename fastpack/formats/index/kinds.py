"""Kinds of fields that a file does not state. docs/formats.md describes the guess."""

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType

from fastpack.core import checks
from fastpack.core.schema import KINDS, Field, Kind, Schema
from fastpack.errors import Location, OptionError, SchemaError, with_location
from fastpack.formats.index.index import Index

# Field name -> the kind of its values, such as "image"; or "image[]" for lists, even if each list
# has one value. A name is a field's own, or else its name in the file.
Kinds = Mapping[str, str]
GUESSED: Kinds = MappingProxyType({})
# The schema of a file, and its columns of text that are empty in all samples.
Guess = tuple[Schema, tuple[str, ...]]
_GUESSED_KINDS = ("image", "mask", "bytes", "text")
_LIST = "[]"


def kind_of(field: Field) -> str:
    """Return the kind as `Kinds` spells it."""
    return field.kind + _LIST if field.is_list else field.kind


def kinds_of(index: Index | None) -> dict[str, str]:
    """Return the kinds of an index's fields that the file may not state."""
    return {} if index is None else kinds_of_schema(index.schema)


def kinds_of_schema(schema: Schema) -> dict[str, str]:
    """Return the kinds of the fields that a file may not state."""
    return {
        field.name: kind_of(field)
        for field in schema.fields
        if field.kind in _GUESSED_KINDS or field.is_list
    }


def by_field(kinds: Kinds, stored: Mapping[str, str]) -> dict[str, str]:
    """Return the kinds by the fields' own names.

    A field's own name comes first: another field may have it in the file.

    - stored: all fields of the file, name -> name in the file.

    >>> by_field({"seg": "mask", "_x": "text"}, {"seg.png": "seg", "seg": "_seg", "x": "_x"})
    {'seg': 'mask', 'x': 'text'}
    """
    owners = {in_file: name for name, in_file in stored.items()} | {name: name for name in stored}
    return {owners.get(name, name): kind for name, kind in kinds.items()}


def given_kind(kinds: Kinds, *names: str) -> tuple[Kind | None, bool]:
    """Return the kind of the first of these names, and whether it is a list."""
    kind = next((kinds[name] for name in names if name in kinds), "")
    known = next((each for each in KINDS if each == kind.removesuffix(_LIST)), None)
    return known, kind.endswith(_LIST)


def has_kinds(schema: Schema, kinds: Kinds) -> bool:
    """Return True if all fields exist with these kinds. image[] counts as image."""
    if not kinds:
        return True
    fields = {field.name: field for field in schema.fields}
    named = by_field(kinds, {name: field.source_name for name, field in fields.items()})
    return all(
        name in fields and kind in (fields[name].kind, kind_of(fields[name]))
        for name, kind in named.items()
    )


def changed_kinds(earlier: Index, index: Index) -> list[str]:
    """Return a note on each field that had another kind in an earlier index."""
    found = {field.name: kind_of(field) for field in index.schema.fields}
    why = "the file has other records than when it was indexed as"
    return [
        f"{name!r} is read as {found[name]}, since {why} {kind}; give kinds if it is still {kind}"
        for name, kind in kinds_of(earlier).items()
        if found.get(name, kind) != kind
    ]


def refuse_kinds(schema: Schema, path: Path, kinds: Kinds) -> None:
    """Raise SchemaError for a field of a file that is missing or cannot have its kind."""
    for name, kind in kinds.items():
        if not has_kinds(schema, {name: kind}):
            known = ", ".join(f"{field.name}: {kind_of(field)}" for field in schema.fields)
            message = f"kinds: there is no field {name!r} that can be read as {kind!r}"
            remedy = f"the fields are {known}"
            raise SchemaError(with_location(f"{message}; {remedy}", Location(path)))


def checked_kinds(kinds: Kinds | None) -> Kinds:
    """Return kinds of the right type. Raises OptionError for others."""
    kinds = checks.mapping("kinds", {} if kinds is None else kinds, '{"caption": "text"}')
    for name, kind in kinds.items():
        if not isinstance(kind, str) or kind.removesuffix(_LIST) not in KINDS:
            remedy = f"choose one of {', '.join(_GUESSED_KINDS)}, or image[] for lists"
            raise OptionError(f"kinds: {name!r} cannot be {kind!r}; {remedy}")
    return kinds


def common_kinds(guesses: Collection[Guess]) -> dict[str, str]:
    """Return the kinds of the fields that some files guess differently than others."""
    if len({schema for schema, _ in guesses}) == 1 and not any(map(_guesses_text, guesses)):
        return {}
    known = [_guessed(schema) for schema, _ in guesses]
    found: dict[str, set[Field]] = {}
    for (_, empty_texts), fields in zip(guesses, known, strict=True):
        for name, field in fields.items():
            is_empty = name in empty_texts  # it may have any kind
            found.setdefault(name, set()).update([] if is_empty else [field])
    common = {name: _widest(fields) for name, fields in found.items()}
    return {
        name: kind
        for name, kind in common.items()
        if any(kind_of(fields[name]) != kind for fields in known if name in fields)
    }


def _guesses_text(guess: Guess) -> bool:
    """Return True if a text without any letter shows nothing of its kind."""
    schema, empty_texts = guess
    return bool(empty_texts) and any(field.kind == "text" for field in schema.fields)


def _guessed(schema: Schema) -> dict[str, Field]:
    return {field.name: field for field in schema.fields if field.kind in _GUESSED_KINDS}


def _widest(fields: set[Field]) -> str:
    """Return a kind that all of these fields can have.

    Text becomes lists of text when files are joined. Missing blobs show only here.
    """
    kinds = {field.kind for field in fields}
    kind: str = "mask" if kinds == {"image", "mask"} else "bytes"
    if len(kinds) < 2:
        kind = next(iter(kinds), "text")
    return kind + _LIST if any(field.is_list for field in fields) else kind
