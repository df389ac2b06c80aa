"""Collects the features of a TFRecord and decides their kinds, by the rule in docs/formats.md."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.features import Features
from fastpack._native.image import probe_many
from fastpack.core.dtypes import IMAGE_INFO, SPAN
from fastpack.core.ragged import Ragged, Text, concatenate_values, offsets_of
from fastpack.core.schema import Field, Kind
from fastpack.formats.index.arrays import Column
from fastpack.formats.tfrecord.scan import Window
from fastpack.images.headers import guess_kind

# Texts are kept in memory. If their mean length is larger, they are read from the file as bytes.
_MAX_MEAN_TEXT_BYTES = 2**16
_FEW_BYTES = 2**26
# A byte of UTF-8 that continues a character has these highest two bits.
_CONTINUES, _HIGHEST_TWO = 0x80, 0xC0

Array = npt.NDArray[Any]


class NumberColumn:
    """A feature of numbers over all records."""

    def __init__(self, name: str, wire_kind: str, *, is_list: bool = False) -> None:
        self.name, self._is_list = name, is_list
        self.kind: Kind = "int" if wire_kind == "int" else "float"
        self._counts: list[Array] = []
        self._values: list[Array] = []

    def skip(self, num_records: int) -> None:
        """Count the records before the first one with this feature."""
        self._counts.append(np.zeros(num_records, np.int64))

    def add(self, features: Features, number: int, window: Window) -> None:
        self._counts.append(features.counts(number)[1])
        self._values.append(features.copy_numbers(number))

    def field(self, name: str) -> Field:
        is_scalar = not self._is_list and all((counts == 1).all() for counts in self._counts)
        dtype = "int64" if self.kind == "int" else "float32"
        return Field(
            name,
            self.kind,
            () if is_scalar else (None,),
            dtype,
            "" if name == self.name else self.name,
        )

    def column(self, field: Field) -> Column:
        flat = concatenate_values(self._values)
        return Ragged(flat, offsets_of(np.concatenate(self._counts))) if field.is_list else flat


class BytesColumn:
    """A feature of bytes over all records: spans of its values and, while it may be text, values.

    Args:
        name: Name of the feature in the file.
        kind: Its kind, or None to let the values decide.
        is_list: Samples have lists of values, even if each list has one value.
    """

    def __init__(self, name: str, kind: Kind | None, *, is_list: bool = False) -> None:
        self.name, self._given, self._is_list = name, kind, is_list
        self._counts: list[Array] = []
        self._texts: list[Text] | None = [] if kind in (None, "text") else None
        self._spans: list[Array] | None = [] if kind != "text" else None
        self._infos: list[Array] = []
        self._num_values = self._num_filled = self._num_images = self._num_bytes = 0

    def skip(self, num_records: int) -> None:
        """Count the records before the first one with this feature."""
        self._counts.append(np.zeros(num_records, np.int64))
        if self._spans is not None:
            self._spans.append(np.zeros(num_records, SPAN))
            self._infos.append(np.zeros(num_records, IMAGE_INFO))

    def add(self, features: Features, number: int, window: Window) -> None:
        counts = features.counts(number)[1]
        self._counts.append(counts)
        if self._texts is not None:
            self._add_texts(Text(*features.copy_bytes(number)))
        if self._spans is not None:
            self._add_spans(counts, *features.places(number), window)

    def _add_texts(self, texts: Text) -> None:
        assert self._texts is not None
        self._num_values += len(texts)
        self._num_bytes += len(texts.values)
        are_long = self._num_bytes > max(_FEW_BYTES, _MAX_MEAN_TEXT_BYTES * self._num_values)
        if self._given is None and (are_long or not _are_text(texts)):
            self._texts = None
            return
        self._texts.append(texts)

    def _add_spans(self, counts: Array, offsets: Array, lengths: Array, window: Window) -> None:
        """Add a span for each record or, if one has several values, for each value.

        A record without a value gets the empty blob at its beginning.
        """
        assert self._spans is not None
        rows = np.repeat(np.arange(len(counts)), counts)
        if (counts <= 1).all():
            of_rows = window.offsets.astype(np.int64), np.zeros(len(counts), np.int64)
            of_rows[0][rows], of_rows[1][rows] = offsets, lengths
            (offsets, lengths), rows = of_rows, np.arange(len(counts))
        spans, infos = np.zeros(len(rows), SPAN), np.zeros(len(rows), IMAGE_INFO)
        spans["offset"], spans["length"] = offsets + window.base, lengths
        spans["record_offset"] = (window.offsets + np.uint64(window.base))[rows]
        spans["record_length"], spans["crc32c"] = window.lengths[rows], window.crcs[rows]
        statuses = np.zeros(len(rows), np.int32)
        if self._given != "bytes":
            probe_many(
                window.data,
                np.ascontiguousarray(offsets),
                np.ascontiguousarray(lengths),
                infos,
                statuses,
            )
        self._num_filled += int((lengths > 0).sum())
        self._num_images += int(((infos["format"] != 0) & (statuses == 0)).sum())
        self._spans.append(spans)
        self._infos.append(infos)

    @property
    def kind(self) -> Kind:
        """Text if all values are; else images if more than half are, as a few may be damaged."""
        if self._given is not None:
            return self._given
        if self._texts is not None:
            return "text"
        if 2 * self._num_images <= self._num_filled:
            return "bytes"
        return guess_kind(self.name, np.concatenate(self._infos))

    def field(self, name: str) -> Field:
        kind = self.kind
        fewest = 1 if kind == "text" else 0  # a missing blob is an empty one
        is_scalar = not self._is_list and all(
            ((counts >= fewest) & (counts <= 1)).all() for counts in self._counts
        )
        return Field(
            name,
            kind,
            () if is_scalar else (None,),
            stored_as="" if name == self.name else self.name,
        )

    def column(self, field: Field) -> Column:
        assert self._texts is not None
        flat = Text.concatenate(self._texts)
        return Ragged(flat, offsets_of(np.concatenate(self._counts))) if field.is_list else flat

    def spans(self, field: Field) -> Any:
        assert self._spans is not None
        return self._joined(self._spans, field)

    def infos(self, field: Field) -> Any:
        return self._joined(self._infos, field)

    def _joined(self, pieces: list[Array], field: Field) -> Any:
        """Return a row for each sample or, for lists, for each value of each sample."""
        if not field.is_list:
            return np.concatenate(pieces)
        flat = [
            piece[counts > 0] if (counts <= 1).all() else piece
            for piece, counts in zip(pieces, self._counts, strict=True)
        ]
        return Ragged(np.concatenate(flat), offsets_of(np.concatenate(self._counts)))


def _are_text(texts: Text) -> bool:
    """Return True if each text is UTF-8 without a NUL.

    All texts are decoded as one, so none may begin inside a character.
    """
    begins = texts.values[texts.offsets[:-1][texts.lengths > 0]]
    if ((begins & _HIGHEST_TWO) == _CONTINUES).any():
        return False
    data = texts.values.tobytes()
    if b"\0" in data:
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
