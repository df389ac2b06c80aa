"""tar, as WebDataset uses it: adjacent members whose names agree up to the first dot are a sample.

The convention: https://github.com/webdataset/webdataset ("The WebDataset Format"). There, members
without a dot in their names, with nothing before it, or called __notes__, belong to no sample. An
archive of nothing but images in folders is a set of photographs, whose folders are classes.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.gather import Gather
from fastpack._native.probe import ProbeBlobs
from fastpack._native.tar import Members, is_header
from fastpack.core.dtypes import IMAGE_INFO, SPAN
from fastpack.core.keys import repeated_keys
from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.core.numerals import is_integer, looks_like_number
from fastpack.core.progress import BytesDone
from fastpack.core.ragged import Ragged, Text, offsets_of
from fastpack.core.schema import USUAL_NAMES, Field, Kind, Schema, usual_rank
from fastpack.core.threads import run_in_threads
from fastpack.errors import (
    EmptySourceError,
    FormatError,
    Location,
    raise_first,
    raise_status,
    with_location,
)
from fastpack.files.name_summary import NameSummary
from fastpack.files.shard import Shard
from fastpack.formats.index.arrays import Column
from fastpack.formats.index.index import Index
from fastpack.formats.index.kinds import GUESSED, Kinds, by_field, given_kind
from fastpack.formats.index_options import IndexOptions
from fastpack.formats.protocols import ShardPlan, Writer
from fastpack.formats.span_container import SpanContainer
from fastpack.formats.tar.described import DescribedMembers
from fastpack.formats.tar.members import (
    IMAGE_ENDINGS,
    Listed,
    archived_classes,
    by_whole_names,
    every_member,
    photographs,
    without_junk,
)
from fastpack.formats.tar.schema import TarSchema, refuse_fields
from fastpack.formats.tar.writer import TarWriter
from fastpack.images.headers import guess_kind

# Endings that WebDataset decodes as numbers, and as text.
_NUMBERS = ("cls", "cls2", "class", "count", "index", "inx", "id")
_TEXTS = ("txt", "text", "transcript", "json", "jsn")
_SPACE = " \t\r\n"
# Longer texts stay in the archive.
_MAX_TEXT_BYTES = 2**16
_ALIASES = {"cls": "label"}
_KINDS_OF_FILES = ("image", "mask", "bytes")


class TarContainer(SpanContainer):
    name = "tar"
    title = "tar"
    suffixes: tuple[str, ...] = (".tar",)
    index_options = frozenset({"class_folder"})

    def recognizes(self, head: bytes) -> bool:
        return is_header(head)

    def writer(self, path: Path, plan: ShardPlan, num_workers: int | None = None) -> Writer[Any]:
        return TarWriter(path, plan)

    def refuse_fields(self, schema: Schema) -> None:
        refuse_fields(schema)

    def index(
        self,
        path: Path,
        *,
        check: bool = True,
        limits: Limits = DEFAULT_LIMITS,
        progress: BytesDone | None = None,
        kinds: Kinds = GUESSED,
    ) -> Index:
        """Index the archive; the checksums of its headers are always compared."""
        return self.index_with(path, IndexOptions(kinds=kinds), limits)

    def index_with(
        self, path: Path, options: IndexOptions, limits: Limits = DEFAULT_LIMITS
    ) -> Index:
        with self.opened(path) as (file, shard):
            return _Table(path, file.fileno(), shard.size, limits, options).index(shard)

    def explain(self, path: Path) -> list[str]:
        return []


TAR = TarContainer()


class _Table:
    """The members of one open archive, by field."""

    def __init__(
        self, path: Path, descriptor: int, size: int, limits: Limits, options: IndexOptions
    ) -> None:
        self._path, self._descriptor = path, descriptor
        self._class_folder, self._kinds = options.class_folder, options.kinds
        listed = Members(descriptor, size, limits.max_features)
        if listed.failure:
            status, error_number, row, offset, message = listed.failure
            raise_status(status, message, Location(path, row, offset), error_number)
        self._own = TarSchema.read(descriptor)
        self._members, self._notes = self._prepared(listed)
        if not len(self._members.offsets):
            message = "the archive has no samples; name its files with a key, a dot and an ending"
            raise EmptySourceError(with_location(message, Location(path)))
        self._num_samples = int(self._members.samples[-1]) + 1
        is_first = np.diff(self._members.samples, prepend=-1) > 0
        self._first_offsets = self._members.offsets[is_first]
        self._keys = self._members.keys
        self._class_names: tuple[str, ...] = ()
        self._fields: list[Field] = []
        self._columns: dict[str, Column] = {}
        self._spans: dict[str, npt.NDArray[Any]] = {}
        self._infos: dict[str, npt.NDArray[Any]] = {}

    def _prepared(self, listed: Members) -> tuple[Listed, tuple[str, ...]]:
        """Return the members that belong to samples, and notes on others."""
        if self._own is not None:
            return every_member(listed), ()
        try:
            members, notes = by_whole_names(*without_junk(listed))
        except FormatError as error:
            raise FormatError(with_location(str(error), Location(self._path))) from None
        return (members, notes) if self._class_folder == "none" else photographs(members, notes)

    def index(self, shard: Shard) -> Index:
        if self._own is not None:
            return self._described(self._own, shard)
        names = self._names()
        endings = {
            name: self._members.suffixes[suffixes[0]] if len(suffixes) == 1 else ""
            for suffixes, name in names.items()
        }
        kinds = by_field(self._kinds, endings)
        for suffixes, name in names.items():
            chosen = np.flatnonzero(np.isin(self._members.suffix_numbers, suffixes))
            self._refuse_twice(chosen, name)
            self._add_field(name, endings[name], chosen, given_kind(kinds, name)[0])
        self._add_classes()
        self._note_repeated_keys()
        if "key" not in self._columns and "key" not in self._spans:
            self._fields.append(Field("key", "text"))
            self._columns["key"] = self._keys
        fields = sorted(self._fields, key=lambda field: (usual_rank(field.name), field.name))
        numbers = np.zeros(self._num_samples, np.uint32), np.arange(self._num_samples)
        schema = Schema(tuple(fields), self._class_names)
        return Index(
            (shard,), schema, *numbers, self._columns, self._spans, self._infos, notes=self._notes
        )

    def _add_field(
        self, name: str, stored_as: str, chosen: npt.NDArray[np.int64], given: Kind | None
    ) -> None:
        """Add the field of these members, of the given kind if a tar can hold it."""
        kind = given if given in (*_KINDS_OF_FILES, "text") else self._kind_of(name, chosen)
        if kind in _KINDS_OF_FILES:
            field = Field(name, kind, stored_as="" if stored_as == name else stored_as)
            self._add_blobs(field, chosen, is_given=kind == given)
        else:
            self._add_column(name, stored_as, chosen, is_text=given == "text")

    def _note_repeated_keys(self) -> None:
        """Note keys of several samples: members that are not adjacent are separate samples."""
        if repeated := repeated_keys(self._keys):
            self._notes += (
                f"{len(repeated):,} samples have the key of an earlier one, the first "
                f"{repeated[0]!r}; to join them, write the files of a sample side by side",
            )

    def _add_classes(self) -> None:
        """Add labels of folders, on request or if samples are nothing but images."""
        which = self._class_folder
        if "label" in self._columns or (
            which is None and [field.name for field in self._fields] != ["image"]
        ):
            return
        classes = archived_classes(self._keys, which)
        self._notes += classes.notes
        if classes.labels is not None:
            self._fields.append(Field("label", "int", dtype="int64"))
            self._columns["label"], self._class_names = classes.labels, classes.names

    def _described(self, described: TarSchema, shard: Shard) -> Index:
        """Return the index of a tar that fastpack wrote, by its header."""
        location = Location(self._path)
        members = DescribedMembers(described, self._members, self._keys, self._read, location)
        stored = {field.name: field.stored_as for field in members.schema.fields}
        kinds = by_field(self._kinds, stored)
        for field in members.schema.fields:
            given, _ = given_kind(kinds, field.name)
            if given in _KINDS_OF_FILES and field.is_blob:
                field = replace(field, kind=given)
            self._fields.append(
                replace(field, stored_as="" if field.stored_as == field.name else field.stored_as)
            )
            if field.is_blob:
                self._add_spans(self._fields[-1], members.of(members.schema[field.name]))
            else:
                self._columns[field.name] = members.column(field)
        numbers = np.zeros(self._num_samples, np.uint32), np.arange(self._num_samples)
        schema = Schema(tuple(self._fields), members.schema.class_names)
        return Index((shard,), schema, *numbers, self._columns, self._spans, self._infos)

    def _names(self) -> dict[tuple[int, ...], str]:
        """Return numbers of suffixes -> name of their field.

        Image files of all endings are one field, unless a sample has two.
        """
        suffixes = self._members.suffixes
        images = tuple(number for number, suffix in enumerate(suffixes) if suffix in IMAGE_ENDINGS)
        rows = self._members.samples[np.isin(self._members.suffix_numbers, images)]
        joined = images if images and (np.diff(rows) > 0).all() else ()
        names = {joined: "image"} if joined else {}
        own = {
            suffix: self._own_name(suffix)
            for number, suffix in enumerate(suffixes)
            if number not in joined
        }
        taken = {"image", *own.values()} if joined else set(own.values())
        for number, suffix in enumerate(suffixes):
            if number not in joined:
                alias = _ALIASES.get(suffix, own[suffix])
                names[(number,)] = own[suffix] if alias in taken else alias
        if joined:
            self._note_missing(rows)
        return names

    def _own_name(self, suffix: str) -> str:
        """Return the name of the field with this ending, which must not be that of another."""
        if suffix not in USUAL_NAMES:
            return suffix
        name = f"{suffix}_column"
        while name in self._members.suffixes:
            name += "_column"
        self._notes += (
            f"files ending in .{suffix} are kept as {name!r}, as {suffix!r} names another field",
        )
        return name

    def _note_missing(self, rows: npt.NDArray[np.int64]) -> None:
        """Note samples without an image, whose blob is empty."""
        keys = NameSummary.of(
            [self._keys[row] for row in np.setdiff1d(np.arange(self._num_samples), rows).tolist()]
        )
        if keys.count:
            self._notes += (
                f"{keys.counted('sample')} without an image, where others have one: {keys}",
            )

    def _refuse_twice(self, chosen: npt.NDArray[np.int64], name: str) -> None:
        twice = np.flatnonzero(np.diff(self._members.samples[chosen]) == 0)
        if len(twice):
            sample = int(self._members.samples[chosen[twice[0]]])
            offset = int(self._members.offsets[chosen[twice[0] + 1]])
            message = f"a sample has two files for {name}; rebuild the archive with one of each"
            location = Location(self._path, sample, offset, self._keys[sample])
            raise FormatError(with_location(message, location))

    def _kind_of(self, name: str, chosen: npt.NDArray[np.int64]) -> Kind:
        if name == "image":
            return "image"
        ending = self._members.suffixes[self._members.suffix_numbers[chosen[0]]].rsplit(".", 1)[-1]
        if ending in IMAGE_ENDINGS:
            return "image"
        is_short = bool((self._members.sizes[chosen] <= _MAX_TEXT_BYTES).all())
        return "text" if ending in _TEXTS + _NUMBERS and is_short else "bytes"

    def _add_blobs(self, field: Field, chosen: npt.NDArray[np.int64], *, is_given: bool) -> None:
        self._add_spans(field, chosen)
        if field.kind == "image" and not is_given:
            field = replace(field, kind=guess_kind(field.name, self._infos[field.name]))
        self._fields.append(field)

    def _add_spans(self, field: Field, chosen: npt.NDArray[np.int64]) -> None:
        rows = self._members.samples[chosen]
        spans = np.zeros(self._num_samples, SPAN)
        spans["offset"] = self._first_offsets  # of the empty blob, if the file is missing
        spans["offset"][rows], spans["length"][rows] = (
            self._members.offsets[chosen],
            self._members.sizes[chosen],
        )
        self._spans[field.name] = spans
        if field.is_image_file:
            self._infos[field.name] = self._probe(chosen, rows)

    def _probe(
        self, chosen: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]
    ) -> npt.NDArray[Any]:
        infos = np.zeros(self._num_samples, IMAGE_INFO)
        found = np.zeros(len(chosen), IMAGE_INFO)
        probing = ProbeBlobs(
            self._descriptor, self._members.offsets[chosen], self._members.sizes[chosen], found
        )
        raise_first(
            run_in_threads(probing.run),
            lambda i: Location(self._path, int(rows[i]), key=self._keys[int(rows[i])]),
        )
        infos[rows] = found
        return infos

    def _add_column(
        self, name: str, stored_as: str, chosen: npt.NDArray[np.int64], *, is_text: bool
    ) -> None:
        texts = self._read(chosen)
        rows = self._members.samples[chosen]
        counts = np.zeros(self._num_samples, np.int64)
        counts[rows] = 1
        ending = (stored_as or name).rsplit(".", 1)[-1]
        numbers = (
            self._numbers_in(texts, name, rows) if ending in _NUMBERS and not is_text else None
        )
        values: Column = texts if numbers is None else numbers
        shape: tuple[None, ...] = () if counts.all() else (None,)
        stored_as = "" if stored_as == name else stored_as
        self._fields.append(
            Field(
                name,
                "text" if numbers is None else "int",
                shape,
                "" if numbers is None else "int64",
                stored_as,
            )
        )
        self._columns[name] = values if shape == () else Ragged(values, offsets_of(counts))

    def _read(self, chosen: npt.NDArray[np.int64]) -> Text:
        """Return the contents of these members."""
        spans = np.zeros(len(chosen), SPAN)
        spans["offset"], spans["length"] = (
            self._members.offsets[chosen],
            self._members.sizes[chosen],
        )
        offsets = offsets_of(spans["length"])
        values = np.empty(offsets[-1], np.uint8)
        gather = Gather(spans, values, offsets[:-1], fds=np.array([self._descriptor], np.int32))
        raise_first(
            run_in_threads(gather.run),
            lambda i: Location(self._path, int(self._members.samples[chosen[i]])),
        )
        return Text(values, offsets)

    def _numbers_in(
        self, texts: Text, name: str, rows: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64] | None:
        """Return the integers, if all texts are plain ones; else note those like numbers."""
        plain = [text.strip(_SPACE) for text in texts]
        odd = next((number for number, text in enumerate(plain) if not is_integer(text)), None)
        if odd is None:
            return np.fromiter(map(int, plain), np.int64, len(plain))
        if looks_like_number(plain[odd]):
            self._notes += (
                f"{name!r} is kept as text, since {plain[odd][:40]!r} of sample "
                f"{self._keys[int(rows[odd])]!r} is not a plain integer",
            )
        return None
