"""The index of one HDF5 file, ours or another program's."""

import contextlib
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from fastpack._native.probe import ProbeBlobs
from fastpack._native.salvage import CheckSpans
from fastpack.core.dtypes import IMAGE_FACTS, IMAGE_INFO, NO_SPAN
from fastpack.core.limits import Limits
from fastpack.core.ragged import Ragged, flat_values
from fastpack.core.schema import DOUBTFUL, PLAIN, USUAL_NAMES, Field, Kind, Schema, usual_rank
from fastpack.core.threads import run_in_threads
from fastpack.errors import Location, raise_first, raise_status, with_location
from fastpack.files.shard import Shard
from fastpack.formats.hdf5.axes import sample_shape
from fastpack.formats.hdf5.choosing import (
    choose_members,
    main_images,
    with_plain_arrays,
    with_turned_rows,
)
from fastpack.formats.hdf5.columns import CLASS_NAMES
from fastpack.formats.hdf5.external import Traced, trace_pixels
from fastpack.formats.hdf5.heap import locate_rows
from fastpack.formats.hdf5.left_out import COLUMNS, note_of_others, why_no_images
from fastpack.formats.hdf5.locate import Pixels, describe_filters, locate_pixels, no_spans
from fastpack.formats.hdf5.members import (
    Member,
    field_names,
    find_members,
    own_fields,
    own_names,
    text_attribute,
)
from fastpack.formats.hdf5.single_images import find_single_images
from fastpack.formats.hdf5.values import StoredValues
from fastpack.formats.hdf5.vectors import CHECKSUMS
from fastpack.formats.index.arrays import Column
from fastpack.formats.index.chunks import ChunkTable
from fastpack.formats.index.index import Index
from fastpack.formats.index.kinds import by_field, given_kind
from fastpack.formats.index_options import IndexOptions
from fastpack.images.headers import guess_kind_of_blobs, probe_blobs
from fastpack.stores.range_file import need, open_bytes
from fastpack.stores.store_path import is_in_store

_KINDS_OF_FILES = ("image", "mask", "bytes")


class IndexBuilder:
    """Builder of the index of one open file.

    Args:
        file: the file.
        shard: its identity.
        check: compare images with their checksums.
        limits: on chunks, text and members.
        options: fields, axes and kinds given by the user, and whether other folders may be read.
    """

    def __init__(
        self, file: h5py.File, shard: Shard, *, check: bool, limits: Limits, options: IndexOptions
    ) -> None:
        self._file, self._shard, self._path = file, shard, shard.path
        self._values = StoredValues(shard, limits)
        self._check, self._limits, self._allow_external = check, limits, options.allow_external
        self._keep_damaged = options.keep_damaged
        self._takes_all = options.fields is None
        self._is_own = text_attribute(file, "format") == "fastpack"
        self._are_axes_known = bool(options.axes) or self._is_own
        self._traced: Traced | None = None
        members = find_members(file, limits, options.axes)
        self._members = members if self._is_own else with_turned_rows(members)
        self._single_images = find_single_images(self._members, options.fields)
        self._chosen = [] if self._single_images else choose_members(self._members, options.fields)
        if not self._is_own:
            self._chosen = with_plain_arrays(self._chosen, options.axes)
        self._names = field_names(self._chosen, own_names(file))
        self._class_names_path = next(
            (member.path for member in self._members if member.path == CLASS_NAMES), ""
        )
        self._checksum_paths = {
            member.path + CHECKSUMS for member in self._chosen if member.kind in ("pixels", "vlen")
        }
        self._kinds = by_field(options.kinds, {name: path for path, name in self._names.items()})
        in_rows = [member for member in self._chosen if member.path != self._class_names_path]
        self._blobs = [member for member in in_rows if member.is_blob]
        columns = [member for member in in_rows if member.kind in COLUMNS and not member.is_blob]
        self._numbers_and_texts = [
            member for member in columns if member.path not in self._checksum_paths
        ]
        self._spans: dict[str, Any] = {}
        self._infos: dict[str, Any] = {}
        self._guessed_kinds: dict[str, Kind] = {}
        self._chunks: dict[str, dict[int, ChunkTable]] = {}
        self._columns: dict[str, Column] = {}

    def schema(self) -> Schema:
        """Return the fields and class names; no other values are read."""
        fields = [self._field(member) for member in (*self._blobs, *self._numbers_and_texts)]
        fields.sort(key=lambda field: usual_rank(field.name))
        if (main := self._main_name()) not in USUAL_NAMES:
            fields.sort(key=lambda field: field.name != main)
        return Schema(tuple(fields), self._class_names())

    def _main_name(self) -> str | None:
        """The name of the main image field: of our schema, or a guess."""
        if self._is_own:
            image_field = Schema(tuple(own_fields(self._file).values())).image_field
            return None if image_field is None else image_field.name
        main = main_images(self._blobs)
        return None if main is None else self._names[main.path]

    def index(self) -> Index:
        """Read columns, locate and check images; raise FormatError for a file without images."""
        if self._single_images:
            return self._single_images.index(self._shard, self._values)
        if not self._blobs:
            raise self._values.error(why_no_images(self._members))
        for member in self._blobs:
            self._add_blobs(member)
        num_samples = self._blobs[0].num_samples
        self._refuse_other_lengths(num_samples)
        for member in self._numbers_and_texts:
            self._add_column(member)
        traced = self._traced
        if traced is not None and len(self._blobs) > 1:
            raise self._values.error(
                "one of several arrays is stored in other files; choose one with fields=..."
            )
        index = Index(
            (self._shard,) if traced is None else traced.shards,
            self.schema(),
            np.zeros(num_samples, np.uint32) if traced is None else traced.shard_numbers,
            np.arange(num_samples) if traced is None else traced.record_numbers,
            self._columns,
            self._spans,
            self._infos,
            chunks=self._chunks,
            notes=tuple(self._notes()),
        )
        index.check_spans()
        return index

    def _refuse_other_lengths(self, num_samples: int) -> None:
        for member in self._chosen:
            if member.num_samples != num_samples and member.path != self._class_names_path:
                raise self._values.error(
                    f"{member.path} has {member.num_samples} samples "
                    f"but {self._blobs[0].path} has {num_samples}"
                )

    def _field(self, member: Member) -> Field:
        name, dataset = self._names[member.path], member.stored
        if member.kind == "pixels":
            color = text_attribute(dataset, "color")
            color = color if color in ("RGB", "BGR", "GRAY") and not member.axes else ""
            shape = sample_shape(dataset.shape, member.axes)
            return Field(name, "pixels", shape, dataset.dtype.str, member.path, color, member.axes)
        if member.is_blob:
            of_one: tuple[None, ...] = (None,) if member.kind == "rows" else ()
            return Field(name, self._kind_of_files(member), of_one, stored_as=member.path)
        if member.kind == "rows":
            return self._field_of_rows(member)
        shape = dataset.shape[1:] if member.kind == "list" else ()
        if dataset.dtype.kind in "iub":
            return Field(name, "int", shape, dtype="int64", stored_as=member.path)
        if dataset.dtype.kind == "f":
            dtype = dataset.dtype.newbyteorder("=").name
            return Field(name, "float", shape, dtype=dtype, stored_as=member.path)
        return Field(name, "text", stored_as=member.path)

    def _kind_of_files(self, member: Member) -> Kind:
        """The kind that the user or our schema gives; else a guess."""
        kind = self._given_kind(member) or self._guessed_kinds.get(member.path)
        return kind or guess_kind_of_blobs(member.path, np.zeros(0, IMAGE_INFO), np.zeros(0))

    def _add_infos(self, member: Member, infos: Any, spans: Any) -> None:
        """Keep the facts of images' headers, unless most values are not images."""
        lengths = flat_values(spans)["length"]
        guess = guess_kind_of_blobs(member.path, flat_values(infos), lengths)
        self._guessed_kinds[member.path] = guess
        if self._kind_of_files(member) != "bytes":
            self._infos[self._names[member.path]] = infos

    def _given_kind(self, member: Member) -> Kind | None:
        given, _ = given_kind(self._kinds, self._names[member.path])
        own = None if member.own is None else member.own.kind
        kind = given if given in _KINDS_OF_FILES else own
        return kind if kind in _KINDS_OF_FILES else None

    def _field_of_rows(self, member: Member) -> Field:
        """The field of lists in our files; the stored values give the dtype."""
        own, name = member.own, self._names[member.path]
        if own is None or (own.kind == "text" and not own.is_list):
            return Field(name, "text", stored_as=member.path)
        values = member.stored["values"]
        dtype = values.dtype if isinstance(values, h5py.Dataset) else np.dtype("S1")
        if own.kind == "text" or dtype.kind not in "iubf":
            return Field(name, "text", (None,), stored_as=member.path)
        if dtype.kind == "f":
            return Field(name, "float", own.shape, dtype.newbyteorder("=").name, member.path)
        return Field(name, "int", own.shape, "int64", member.path)

    def explain(self) -> list[str]:
        """Return a line for each member that is not a usual column.

        It says how an array of images is stored and read, or why a member is left out.
        """
        if self._single_images:
            return self._single_images.explain()
        chosen = {member.path: member for member in self._chosen}
        members = [chosen.get(member.path, member) for member in self._members]
        return [
            self._explain(member, member.path in chosen)
            for member in members
            if member.path not in self._checksum_paths
            and (member.kind != "column" or self._is_odd_column(member, member.path in chosen))
        ]

    def _is_odd_column(self, column: Member, is_chosen: bool) -> bool:
        """Whether a column beside images is left out, or was guessed."""
        return bool(self._blobs) and (not is_chosen or bool(column.reason))

    def _explain(self, member: Member, is_chosen: bool) -> str:
        if member.kind in ("other", "single_image"):
            return f"{member.path}: left out; {member.odd_kind}"
        if not is_chosen:
            return f"{member.path}: left out; {self._reason(member)}; name it with fields=..."
        if member.kind == "column":
            return f"{member.path}: {member.reason}"
        if member.kind == "list":
            return f"{member.path}: {member.stored.shape[1]} numbers a sample"
        if member.kind != "pixels":
            return f"{member.path}: {member.kind} images, {member.num_samples} samples"
        return f"{member.path}: {self._explain_pixels(member)}"

    def _explain_pixels(self, member: Member) -> str:
        dataset = member.stored
        if member.axes == PLAIN:
            return "an array that is not an image; transforms ignore it; axes=... changes this"
        if member.axes == DOUBTFUL:
            return (
                f"the shape {dataset.shape} does not show which axis has channels; "
                "give axes=... before you use a transform"
            )
        if member.axes:
            return f"axes {member.axes}, {member.num_samples} samples; axes=... changes this"
        if dataset.external or dataset.is_virtual:
            return "stored in other files; read there at each sample's offset"
        filters = describe_filters(dataset) or "no filters"
        chunks = f"chunks {dataset.chunks}, {filters}" if dataset.chunks else "no chunks"
        located = locate_pixels(dataset, self._shard.size, Location(self._path))
        if located.reason:
            return f"{chunks}; read by HDF5's library, one sample at a time: {located.reason}"
        how = "at each sample's offset" if located.table is None else "chunk by chunk"
        return f"{chunks}; read {how}"

    def _notes(self) -> Iterator[str]:
        """Notes about guesses and about members that are left out."""
        location = Location(self._path)
        for member in self._blobs:
            if member.axes and not self._are_axes_known:
                yield with_location(self._explain(member, True), location)
            if self._guessed_kinds.get(member.path) == "bytes" and self._given_kind(member) is None:
                remedy = f'kinds={{"{member.path}": "image"}} changes this'
                message = f"{member.path}: read as bytes, since most values are not images"
                yield with_location(f"{message}; {remedy}", location)
        for member in self._numbers_and_texts:
            if member.reason:
                yield with_location(self._explain(member, True), location)
        if self._takes_all and not self._is_own:
            yield from self._notes_of_left_out()

    def _notes_of_left_out(self) -> Iterator[str]:
        """A note for each member like a column of the images, and one for all others."""
        known = {self._class_names_path, *self._checksum_paths}
        known |= {member.path for member in self._chosen}
        main = main_images(self._blobs)
        assert main is not None  # `index` checks
        others = []
        for member in self._members:
            if member.path in known:
                continue
            if (member.group, member.num_samples) == (main.group, main.num_samples):
                yield with_location(self._explain(member, False), Location(self._path))
            else:
                others.append(member)
        if others:
            yield with_location(note_of_others(others, main), Location(self._path))

    def _reason(self, member: Member) -> str:
        if member.is_long:
            return "its numbers would take more than 1 GiB of memory"
        reason = f"it has {member.num_samples} samples"
        if self._blobs and member.group != self._blobs[0].group:
            reason += f" and is not in the group of {self._blobs[0].path}"
        return reason

    def _add_blobs(self, member: Member) -> None:
        if member.kind == "encoded":
            self._add_encoded(member)
        elif member.kind == "pixels":
            self._add_pixels(member)
        elif member.kind == "rows":
            self._add_lists(member)
        else:
            self._add_rows(member)

    def _add_encoded(self, member: Member) -> None:
        name, spans = self._names[member.path], self._values.spans_of(member.stored)
        self._spans[name] = spans
        self._check_blobs(spans)
        if self._given_kind(member) == "bytes":
            return
        stored = self._stored_infos(member.stored, len(spans))
        self._add_infos(member, self._probe(spans) if stored is None else stored, spans)

    def _add_lists(self, member: Member) -> None:
        """Add lists of image files, which only our files have."""
        name, offsets = self._names[member.path], self._values.offsets(member.stored)
        spans = self._values.spans_of(self._values.group(member.stored, "values"))
        if offsets[-1] != len(spans):
            raise self._values.error(
                f"{member.path}/offsets must rise from 0 to the number of values"
            )
        self._spans[name] = Ragged(spans, offsets)
        self._check_blobs(spans)
        if self._given_kind(member) != "bytes":
            self._add_infos(member, Ragged(self._probe(spans), offsets), self._spans[name])

    def _stored_infos(self, group: h5py.Group, num_samples: int) -> npt.NDArray[Any] | None:
        """The facts of images' headers that our files store; None in other files."""
        if any(name not in group for name in IMAGE_FACTS):
            return None
        infos = np.zeros(num_samples, IMAGE_INFO)
        for name in IMAGE_FACTS:
            infos[name] = self._values.vector(group, name, "u", num_samples)[...]
        return infos

    def _probe(self, spans: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Read the headers of images, and nothing else of the file."""
        infos = np.zeros(len(spans), IMAGE_INFO)
        offsets, lengths = (np.ascontiguousarray(spans[name]) for name in ("offset", "length"))
        with open_bytes(self._path) as file:
            need(file, offsets, lengths)
            probe = ProbeBlobs(file.fileno(), offsets, lengths, infos)
            raise_first(run_in_threads(probe.run), lambda row: Location(self._path, row))
        return infos

    def _check_blobs(self, spans: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Compare images with their checksums; return rows that differ, or raise for the first."""
        if not self._check or is_in_store(self._path):  # reads compare those of objects
            return np.zeros(0, np.int64)
        shards = (self._shard,) if self._traced is None else self._traced.shards
        with contextlib.ExitStack() as files:
            opened = [files.enter_context(open(shard.path, "rb", buffering=0)) for shard in shards]
            check = CheckSpans(spans, np.array([file.fileno() for file in opened], np.int32))
            run_in_threads(check.run)
        bad = np.flatnonzero(check.statuses)
        if bad.size and not self._keep_damaged:
            row = int(bad[0])
            location = Location(shards[spans["shard"][row]].path, row, int(spans["offset"][row]))
            raise_status(int(check.statuses[row]), "the image differs from its CRC32C", location)
        return bad

    def _add_pixels(self, member: Member) -> None:
        dataset, name = member.stored, self._names[member.path]
        if dataset.external or dataset.is_virtual:
            allowed = self._allow_external
            self._traced = traced = trace_pixels(dataset, self._shard, allow_external=allowed)
            spans, tables = traced.spans, traced.tables
        else:
            self._values.refuse_many(member.num_samples, dataset.name)
            located = self._located(member)
            spans = located.spans
            tables = {} if located.table is None else {0: located.table}
        self._note_pixel_checksums(spans, member.path + CHECKSUMS)
        for table in tables.values():
            table.check_limits(self._limits, Location(self._path))
        self._spans[name] = spans
        if tables:
            self._chunks[name] = tables

    def _located(self, member: Member) -> Pixels:
        if member.axes not in ("", DOUBTFUL, PLAIN) and not member.axes.startswith("N"):
            reason = "samples are not its first axis, so no sample is contiguous"
            sample_bytes = member.stored.nbytes // max(1, member.num_samples)
            return Pixels(no_spans(member.num_samples, sample_bytes), reason=reason)
        return locate_pixels(member.stored, self._shard.size, Location(self._path))

    def _note_pixel_checksums(self, spans: npt.NDArray[Any], name: str) -> None:
        """Compare samples with their checksums now; reads check only the damaged ones.

        Raw pixels need no decoding, so a check would double the time of each read.
        """
        if name not in self._file:
            return
        spans["crc32c"] = self._values.vector(self._file, name, "u", len(spans))[...]
        if (spans["offset"] != NO_SPAN).all():
            checked = spans.copy()
            checked["record_offset"], checked["record_length"] = spans["offset"], spans["length"]
            if is_in_store(self._path):  # indexing reads none of an object's pixels
                spans[:] = checked
                return
            bad = self._check_blobs(checked)
            spans[bad] = checked[bad]

    def _add_rows(self, member: Member) -> None:
        """Add image files in rows of variable length."""
        dataset = member.stored
        self._values.refuse_external(dataset)
        self._values.refuse_many(dataset.shape[0], dataset.name)
        name = self._names[member.path]
        spans = locate_rows(dataset, self._shard, self._limits)
        if spans is None:  # only HDF5's library can find and fetch them
            blobs = Ragged.of_bytes(np.asarray(row).tobytes() for row in dataset)
            self._spans[name] = no_spans(len(blobs), blobs.lengths)
            self._add_infos(member, probe_blobs(blobs)[0], self._spans[name])
            return
        if (checksums := member.path + CHECKSUMS) in self._file:
            spans["crc32c"] = self._values.vector(self._file, checksums, "u", len(spans))[...]
            spans["record_offset"], spans["record_length"] = spans["offset"], spans["length"]
        self._check_blobs(spans)
        self._spans[name] = spans
        if self._given_kind(member) != "bytes":
            self._add_infos(member, self._probe(spans), spans)

    def _add_column(self, member: Member) -> None:
        self._columns[self._names[member.path]] = self._column(member)

    def _column(self, member: Member) -> Column:
        if member.kind == "rows":
            return self._values.rows_of(member.stored, self._field_of_rows(member))
        dataset = member.stored
        self._values.refuse_external(dataset)
        if dataset.dtype.kind not in "iubf":
            return self._values.texts(dataset)
        numbers = self._values.numbers(dataset[...].reshape(-1), dataset.name)
        if member.kind != "list":
            return numbers
        return Ragged(numbers, np.arange(len(dataset) + 1) * dataset.shape[1])

    def _class_names(self) -> tuple[str, ...]:
        paths = {member.path: member for member in self._members}
        member = paths.get(self._class_names_path)
        if member is not None and member.kind == "rows":
            return tuple(self._values.rows_of(member.stored, Field(member.path, "text")))
        if member is None or member.kind != "column" or member.stored.ndim != 1:
            return ()
        if not h5py.check_string_dtype(member.stored.dtype):
            return ()
        self._values.refuse_external(member.stored)
        return tuple(self._values.texts(member.stored))
