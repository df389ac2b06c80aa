"""HDF5 files of others with a dataset for each image: an array, or the bytes of an image file.

They lie side by side (`img_0`, `img_1`), in a group for each class (`cat/img_0`), or in a group for each sample (`cat/0/image`).
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from fastpack._native.probe import ProbeBlobs
from fastpack.core.dtypes import IMAGE_INFO, NO_SPAN, SPAN
from fastpack.core.ragged import Ragged, Text
from fastpack.core.schema import Field, Schema
from fastpack.core.threads import run_in_threads
from fastpack.errors import (
    FormatError,
    Location,
    SchemaError,
    Status,
    raise_first,
    raise_status,
    with_location,
)
from fastpack.files.shard import Shard
from fastpack.formats.hdf5.axes import CHANNELS
from fastpack.formats.hdf5.locate import contiguous_offset
from fastpack.formats.hdf5.members import Member
from fastpack.formats.hdf5.values import StoredValues
from fastpack.formats.index.arrays import Column
from fastpack.formats.index.folder_files import Files
from fastpack.formats.index.index import Index
from fastpack.images.headers import probe_blobs

_FEWEST = 2  # of those that look like images only because there are several
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"BM", b"II*\0", b"MM\0*", b"GIF8")
_HEAD_BYTES = 8
_MAX_NAMED = 3  # of what a note says is left out


def find_single_images(
    members: Sequence[Member], wanted: Sequence[str] | None
) -> "SingleImages | None":
    """The images that a file is about, if it has no array of several.

    Raises SchemaError if a group has several for each sample, and `wanted` names none of them.
    """
    if any(member.is_blob and not _may_be_picture(member) for member in members):
        return None
    found = _files(members) or _arrays(members)
    role = _role(found, wanted)
    if role:
        found = [member for member in found if member.name == role]
    found.sort(key=lambda member: _natural(member.path))
    return SingleImages(found, role, members, wanted) if found else None


def _natural(path: str) -> list[tuple[int, str]]:
    """Sorts numbers in names by their values: im2 before im10."""
    return [
        (int(part), "") if part.isdecimal() and part.isascii() else (-1, part)
        for part in re.split(r"([0-9]+)", path)
    ]


def _arrays(members: Sequence[Member]) -> list[Member]:
    """Those that are images by their shape; or alike in type, dimensions and, but for digits, name."""
    if sure := [member for member in members if member.kind == "single_image"]:
        return sure
    may_be = [member for member in members if _may_be_picture(member)]
    kinds = {
        (re.sub(r"\d+", "#", member.name), member.stored.ndim, member.stored.dtype)
        for member in may_be
    }
    return may_be if len(may_be) >= _FEWEST and len(kinds) == 1 else []


def _may_be_picture(member: Member) -> bool:
    """Gray (H, W) of bytes, (H, W, 1), or channels first."""
    if member.kind not in ("list", "pixels") or member.stored.dtype not in (np.uint8, np.uint16):
        return False
    shape = member.stored.shape
    if len(shape) == 3:
        return shape[2] == 1 or (shape[0] in CHANNELS and min(shape[1:]) > max(CHANNELS))
    return len(shape) == 2


def _axes(member: Member) -> str:
    if member.kind == "single_image":
        return member.axes
    if member.stored.ndim == 2:
        return "HW"
    return "HWC" if member.stored.shape[2] == 1 else "CHW"


def _files(members: Sequence[Member]) -> list[Member]:
    """Datasets of bytes, each of which begins as an image file does; only the first of many is looked at."""
    bytes_of = [
        member for member in members if member.kind in ("column", "other") and _holds_bytes(member)
    ]
    return (
        bytes_of
        if len(bytes_of) >= _FEWEST and _head(bytes_of[0].stored).startswith(_SIGNATURES)
        else []
    )


def starts_as_image(rows: h5py.Dataset) -> bool:
    """True if the first row of an array of bytes (N, length) begins as an image file does."""
    is_of_bytes = rows.dtype == np.uint8 and len(rows) and not (rows.external or rows.is_virtual)
    return bool(is_of_bytes) and rows[0, :_HEAD_BYTES].tobytes().startswith(_SIGNATURES)


def _holds_bytes(member: Member) -> bool:
    if member.reason:
        return False
    dtype, shape = member.stored.dtype, member.stored.shape
    return (len(shape) == 1 and dtype == np.uint8) or (
        shape == () and dtype.kind == "V" and dtype.names is None
    )


def _head(dataset: h5py.Dataset) -> bytes:
    if dataset.external or dataset.is_virtual:
        return b""
    return np.asarray(dataset[:_HEAD_BYTES] if dataset.ndim else dataset[()]).tobytes()[
        :_HEAD_BYTES
    ]


def _role(found: Sequence[Member], wanted: Sequence[str] | None) -> str:
    """What the image is called in a group for each sample; "" where a group has many samples, or there is one group."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for member in found:
        names[member.group].append(member.name)
    sets = {tuple(sorted(of_group)) for of_group in names.values()}
    if len(names) < _FEWEST or len(sets) > 1:
        return ""
    (roles,) = sets
    if len(roles) == 1:
        return roles[0]
    is_numbered = len({re.sub(r"\d+", "#", name) for name in roles}) == 1
    if is_numbered:  # classes of as many images each
        return ""
    chosen = [name for name in wanted or () if name in roles]
    if not chosen:
        raise SchemaError(
            f"each group of the file has several pictures, {', '.join(roles[:9])}; choose one, as in fields=[{roles[0]!r}]"
        )
    return chosen[0]


@dataclass(frozen=True)
class SingleImages:
    """The datasets that are images; what each is called in a group of its own; all members of the file; and the fields that are
    wanted, None for all."""

    members: Sequence[Member]
    role: str
    others: Sequence[Member]
    wanted: Sequence[str] | None = None

    @property
    def are_files(self) -> bool:
        return self.members[0].kind in ("column", "other")

    def explain(self) -> list[str]:
        """One line for all images, and one for each dataset that is left out."""
        return [
            self._summary(),
            *(f"{path}: left out; it is not one of the pictures" for path in self._left_out()),
        ]

    def _notes(self, shard: Shard) -> Iterator[str]:
        yield with_location(self._summary(), Location(shard.path))
        if left_out := self._left_out():
            named = ", ".join(left_out[:_MAX_NAMED])
            message = f"{len(left_out):,} other datasets are left out, such as {named}; `fastpack info` lists them"
            yield with_location(message, Location(shard.path))
        if names := self._attribute_names():
            message = (
                f"attributes of the pictures are not read, such as {', '.join(names[:_MAX_NAMED])}"
            )
            yield with_location(
                f"{message}; store each as a dataset in a group for each sample, such as cat/0/label",
                Location(shard.path),
            )

    def _attribute_names(self) -> list[str]:
        """Of the first image, or its group, but for those of HDF5's own conventions, which are in capital letters."""
        first = self.members[0].stored
        holders = [first, first.parent] if self.role else [first]
        try:
            names = [name for holder in holders for name in holder.attrs]
        except (OSError, RuntimeError, KeyError, ValueError):  # a damaged header
            return []
        return [name for name in names if not name.isupper()]

    def _summary(self) -> str:
        first, last = self.members[0], self.members[-1]
        kind = (
            "image files"
            if self.are_files
            else f"{first.stored.shape} {first.stored.dtype}, axes {_axes(first)}"
        )
        which = f"{first.path} to {last.path}, sorted by the numbers in their names"
        return f"{len(self.members):,} datasets of one picture each, {which}: {kind}"

    def _left_out(self) -> list[str]:
        known = {member.path for member in self.members} | {
            path for paths in self._scalars().values() for path in paths
        }
        return [member.path for member in self.others if member.path not in known]

    def index(self, shard: Shard, values: StoredValues) -> Index:
        """Raises FormatError if the images differ in shape or type, or the values of a column in kind."""
        if not self.are_files:
            self._refuse_different(shard)
        paths = Text.of([member.path for member in self.members])
        spans = self._spans(shard)
        infos = {"image": self._infos(spans, shard)} if self.are_files else {}
        columns: dict[str, Column] = {"key": paths}
        class_names, labels = self._classes()
        if class_names:
            columns["label"] = labels
        columns |= self._values(values)
        fields = (self._field(), *(_field_of(name, column) for name, column in columns.items()))
        count = len(self.members)
        index = Index(
            (shard,),
            Schema(fields, class_names),
            np.zeros(count, np.uint32),
            np.arange(count),
            columns,
            {"image": spans},
            infos,
            files=Files(paths, np.zeros(count, np.int64)),  # the shard tells when they changed
            notes=tuple(self._notes(shard)),
        )
        index.check_spans()
        return index

    def _field(self) -> Field:
        if self.are_files:
            return Field("image", "image", stored_as=self.role)
        first = self.members[0]
        axes = _axes(first)
        return Field(
            "image",
            "pixels",
            first.stored.shape,
            first.stored.dtype.str,
            self.role,
            axes=axes if axes not in ("HW", "HWC") else "",
        )

    def _refuse_different(self, shard: Shard) -> None:
        first = self.members[0]
        for member in self.members:
            if (member.stored.shape, member.stored.dtype, _axes(member)) != (
                first.stored.shape,
                first.stored.dtype,
                _axes(first),
            ):
                kinds = [
                    f"{each.path} is {each.stored.dtype} {each.stored.shape}"
                    for each in (first, member)
                ]
                remedy = "store them at one size and type, or pack them as image files"
                raise FormatError(
                    with_location(
                        f"the pictures differ: {' and '.join(kinds)}; {remedy}",
                        Location(shard.path),
                    )
                )

    def _spans(self, shard: Shard) -> npt.NDArray[Any]:
        spans = np.zeros(len(self.members), SPAN)
        for row, member in enumerate(self.members):
            dataset = member.stored
            if dataset.external or dataset.is_virtual:
                raise FormatError(
                    with_location(
                        f"{member.path} keeps its data in other files, which are not read",
                        Location(shard.path),
                    )
                )
            first = contiguous_offset(dataset)
            spans[row]["offset"], spans[row]["length"] = (
                NO_SPAN if first is None else first,
                dataset.nbytes,
            )
            if first is not None and first + dataset.nbytes > shard.size:
                raise_status(
                    Status.TRUNCATED,
                    f"{member.path} goes past the end of the file",
                    Location(shard.path, offset=first),
                )
        return spans

    def _infos(self, spans: npt.NDArray[Any], shard: Shard) -> npt.NDArray[Any]:
        infos = np.zeros(len(spans), IMAGE_INFO)
        has_place = spans["offset"] != NO_SPAN
        placed = np.zeros(int(has_place.sum()), IMAGE_INFO)
        offsets, lengths = (
            np.ascontiguousarray(spans[name][has_place]) for name in ("offset", "length")
        )
        with open(shard.path, "rb", buffering=0) as file:
            raise_first(
                run_in_threads(ProbeBlobs(file.fileno(), offsets, lengths, placed).run),
                lambda row: Location(shard.path, row),
            )
        infos[has_place] = placed
        fetched = [
            np.asarray(self.members[row].stored[()]).tobytes()
            for row in np.flatnonzero(~has_place).tolist()
        ]
        if fetched:
            infos[~has_place] = probe_blobs(Ragged.of_bytes(fetched))[0]
        return infos

    def _classes(self) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
        """The groups that hold the samples, where there are several: their names, and which each sample is in."""
        groups = [_parent(member.group) if self.role else member.group for member in self.members]
        names, labels = np.unique(
            [group.rpartition("/")[2] for group in groups], return_inverse=True
        )
        if "" in groups or len(names) < _FEWEST:
            return (), labels
        return tuple(names.tolist()), labels.astype(np.int64)

    def _scalars(self) -> dict[str, list[str]]:
        """Name -> paths of the single numbers and texts that each group of a sample holds beside its picture."""
        if not self.role:
            return {}
        groups = [member.group for member in self.members]
        scalars = {
            member.path: member
            for member in self.others
            if member.kind == "other" and not member.reason and _is_scalar(member.stored)
        }
        names = dict.fromkeys(member.name for member in scalars.values())
        paths = {name: [f"{group}/{name}".strip("/") for group in groups] for name in names}
        return {
            name: of_name
            for name, of_name in paths.items()
            if all(path in scalars for path in of_name)
        }

    def _values(self, values: StoredValues) -> dict[str, Column]:
        stored = {member.path: member.stored for member in self.others}
        scalars = {
            name: paths
            for name, paths in self._scalars().items()
            if self.wanted is None or _is_wanted(name, paths, self.wanted)
        }
        return {
            name: values.scalars([stored[path] for path in paths])
            for name, paths in scalars.items()
        }


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _is_scalar(dataset: h5py.Dataset) -> bool:
    is_text = h5py.check_string_dtype(dataset.dtype) is not None
    return (
        dataset.shape == ()
        and (is_text or dataset.dtype.kind in "iubf")
        and not (dataset.external or dataset.is_virtual)
    )


def _is_wanted(name: str, paths: Sequence[str], wanted: Sequence[str]) -> bool:
    return any(each.strip("/") in (name, paths[0]) for each in wanted)


def _field_of(name: str, column: Column) -> Field:
    if isinstance(column, Text):
        return Field(name, "text")
    assert isinstance(column, np.ndarray)
    return Field(name, "int" if column.dtype.kind == "i" else "float", dtype=column.dtype.name)
