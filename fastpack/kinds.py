"""Kinds: what the fields of files are, where a file itself does not say it. The guess is described in docs/formats.md."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from fastpack.errors import OptionError, Place, SchemaError, at
from fastpack.index import Index
from fastpack.ragged import Ragged, flat_values
from fastpack.schema import KINDS, Kind

# Name of a field, in the file or as users call it -> what its values are.
Kinds = Mapping[str, Kind]
GUESSED: Kinds = MappingProxyType({})
_GUESSED_KINDS = ("image", "mask", "bytes", "text")


def kinds_of(index: Index | None) -> dict[str, Kind]:
    """What the fields of an index are whose kinds a file may not say: name in the file -> kind."""
    fields = () if index is None else index.schema.fields
    return {field.source_name: field.kind for field in fields if field.kind in _GUESSED_KINDS}


def has_kinds(index: Index, kinds: Kinds) -> bool:
    """True when each field that `kinds` names is there, and what it says."""
    found = {name: field.kind for field in index.schema.fields for name in (field.name, field.source_name)}
    return all(found.get(name) == kind for name, kind in kinds.items())


def refuse_kinds(index: Index, kinds: Kinds) -> None:
    """Raises SchemaError for a field that is not there, or cannot be what it was to be."""
    for name, kind in kinds.items():
        if not has_kinds(index, {name: kind}):
            known = ", ".join(f"{field.name}: {field.kind}" for field in index.schema.fields)
            message = f"kinds: there is no field {name!r} that can be read as {kind!r}; the fields are {known}"
            raise SchemaError(at(message, Place(index.shards[0].path)))


def checked_kinds(kinds: Mapping[str, str]) -> dict[str, Kind]:
    """Raises OptionError for what is no kind of field."""
    for name, kind in kinds.items():
        if kind not in KINDS:
            raise OptionError(f"kinds: {name!r} cannot be {kind!r}; choose one of {', '.join(_GUESSED_KINDS)}")
    return dict(kinds)  # type: ignore[arg-type]  # each was looked at


def common_kinds(indexes: Sequence[Index]) -> dict[str, Kind]:
    """What the fields are of which some files guess one thing and others another; names are those in the files."""
    if len(indexes) == 1:
        return {}
    found: dict[str, set[Kind]] = {}
    for index in indexes:
        for name, kind in kinds_of(index).items():
            found.setdefault(name, set()).update([] if _is_empty(index, name) else [kind])
    common = {name: _widest(kinds) for name, kinds in found.items()}
    known = [kinds_of(index) for index in indexes]
    return {name: kind for name, kind in common.items() if any(kinds.get(name, kind) != kind for kinds in known)}


def _is_empty(index: Index, name: str) -> bool:
    """True of a text that is empty in all samples of a file: it may be anything."""
    column = next((index.columns.get(field.name) for field in index.schema.fields if field.source_name == name), None)
    return column is not None and not len(flat_values(flat_values(column).values)) if isinstance(column, Ragged) else False


def _widest(kinds: set[Kind]) -> Kind:
    if len(kinds) < 2:
        return next(iter(kinds), "text")
    return "mask" if kinds == {"image", "mask"} else "bytes"
