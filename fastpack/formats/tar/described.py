"""Reads the fields of a tar whose header describes them: see schema.py."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from fastpack.core.dtypes import Rows
from fastpack.core.ragged import Ragged, Text, offsets_of
from fastpack.core.schema import Field, Schema
from fastpack.errors import FormatError, Location, with_location
from fastpack.formats.index.arrays import Column
from fastpack.formats.tar.schema import TarSchema


class DescribedMembers:
    """The members of an archive, by the fields of its schema.

    Args:
        described: The archive's header.
        members: As in `Members`.
        keys: Names of the samples up to their first dot, (n,).
        read: Returns the contents of members, by their numbers.
        location: The archive, for messages.
    """

    def __init__(
        self,
        described: TarSchema,
        members: Any,
        keys: Text,
        read: Callable[[Rows], Text],
        location: Location,
    ) -> None:
        self._described, self._members, self._keys, self._read, self._location = (
            described,
            members,
            keys,
            read,
            location,
        )
        owners = [described.field_of(suffix) for suffix in members.suffixes]
        self._numbers = {
            field.name: [i for i, owner in enumerate(owners) if owner == field]
            for field in described.schema.fields
        }

    @property
    def schema(self) -> Schema:
        return self._described.schema

    def of(self, field: Field) -> Rows:
        """Return the numbers of a field's members, in the order of the samples."""
        chosen: Rows = np.flatnonzero(
            np.isin(self._members.suffix_numbers, self._numbers[field.name])
        )
        samples = self._members.samples[chosen]
        if len(samples) and (np.diff(samples) == 0).any():
            message = f"a sample has two members for {field.name!r}; restore the archive"
            raise FormatError(with_location(message, self._location))
        return chosen

    def column(self, field: Field) -> Column:
        """Return the values of a column. Raises FormatError if a sample has no value."""
        if field.name == "key":
            return self._all_keys(field)
        chosen = self.of(field)
        if len(chosen) != len(self._keys):
            message = f"some samples have no {field.name!r}; restore the archive from its source"
            raise FormatError(with_location(message, self._location))
        texts = self._read(chosen)
        if field.kind == "text" and not field.is_list:
            return texts
        try:
            return _parsed(field, [json.loads(text) for text in texts])
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            message = f"{field.name!r} has a value that is not of kind {field.kind} ({error})"
            raise FormatError(with_location(message, self._location)) from error

    def _all_keys(self, field: Field) -> Text:
        """Return all keys. Keys that are not the names of samples have members of their own."""
        chosen, main = self.of(field), self._described.main
        keys = list(self._keys)
        if self._described.keys_end and main is not None:
            images = self.of(main)
            for sample, suffix in zip(
                self._members.samples[images].tolist(),
                self._members.suffix_numbers[images].tolist(),
                strict=True,
            ):
                keys[sample] += f".{self._members.suffixes[suffix]}"
        for sample, text in zip(
            self._members.samples[chosen].tolist(), self._read(chosen), strict=True
        ):
            keys[sample] = text
        return Text.of(keys)


def _parsed(field: Field, values: list[Any]) -> Column:
    rows = values if field.is_list else [[value] for value in values]
    flat = [each for row in rows for each in row]
    kinds: Any = {"int": int, "float": (int, float), "text": str}[field.kind]
    if not all(isinstance(each, kinds) and not isinstance(each, bool) for each in flat):
        raise TypeError("another type")
    column: Any = Text.of(flat) if field.kind == "text" else np.array(flat, np.dtype(field.dtype))
    return Ragged(column, offsets_of([len(row) for row in rows])) if field.is_list else column
