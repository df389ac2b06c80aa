"""Other programs' HDF5 files with one dataset for each image: an array, or an image file.

The datasets are in one group (`img_0`, `img_1`), in a group for each class (`cat/img_0`), or in a
group for each sample (`cat/0/image`).
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
from fastpack.stores.range_file import need, open_bytes

_MIN_IMAGES = 2  # for arrays that may be images
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"BM", b"II*\0", b"MM\0*", b"GIF8")
_HEAD_BYTES = 8
_MAX_NAMED = 3  # in a note about datasets that are left out


def find_single_images(
    members: Sequence[Member], wanted: Sequence[str] | None
) -> "SingleImages | None":
    """Return the single images of a file; None if it has an array of several images.

    Raises SchemaError if the samples' groups have several images and `wanted` does not name one.
    """
    if any(member.is_blob and not _may_be_image(member) for member in members):
        return None
    found = _files(members) or _arrays(members)
    role = _role(found, wanted)
    if role:
        found = [member for member in found if member.name == role]
    found.sort(key=lambda member: _natural(member.path))
    return SingleImages(found, role, members, wanted) if found else None


def _natural(path: str) -> list[tuple[int, str]]:
    """A key that sorts numbers in names by value: im2 before im10."""
    return [
        (int(part), "") if part.isdecimal() and part.isascii() else (-1, part)
        for part in re.split(r"([0-9]+)", path)
    ]


def _arrays(members: Sequence[Member]) -> list[Member]:
    """Arrays with the shape of images; else arrays of one dtype, rank and name without digits."""
    if sure := [member for member in members if member.kind == "single_image"]:
        return sure
    may_be = [member for member in members if _may_be_image(member)]
    kinds = {
        (re.sub(r"\d+", "#", member.name), member.stored.ndim, member.stored.dtype)
        for member in may_be
    }
    return may_be if len(may_be) >= _MIN_IMAGES and len(kinds) == 1 else []


def _may_be_image(member: Member) -> bool:
    """Whether an array may be gray (H, W) or (H, W, 1), or have channels first."""
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
    """Datasets of bytes, if the first one begins like an image file."""
    found = [
        member for member in members if member.kind in ("column", "other") and _has_bytes(member)
    ]
    is_image = len(found) >= _MIN_IMAGES and _head(found[0].stored).startswith(_SIGNATURES)
    return found if is_image else []


def starts_as_image(rows: h5py.Dataset) -> bool:
    """Return whether the first row of an array of bytes (N, length) begins like an image file."""
    is_of_bytes = rows.dtype == np.uint8 and len(rows) and not (rows.external or rows.is_virtual)
    return bool(is_of_bytes) and rows[0, :_HEAD_BYTES].tobytes().startswith(_SIGNATURES)


def _has_bytes(member: Member) -> bool:
    if member.reason:
        return False
    dtype, shape = member.stored.dtype, member.stored.shape
    is_opaque = shape == () and dtype.kind == "V" and dtype.names is None
    return is_opaque or (len(shape) == 1 and dtype == np.uint8)


def _head(dataset: h5py.Dataset) -> bytes:
    if dataset.external or dataset.is_virtual:
        return b""
    first = dataset[:_HEAD_BYTES] if dataset.ndim else dataset[()]
    return np.asarray(first).tobytes()[:_HEAD_BYTES]


def _role(found: Sequence[Member], wanted: Sequence[str] | None) -> str:
    """The image's name if each sample has a group; "" otherwise."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for member in found:
        names[member.group].append(member.name)
    sets = {tuple(sorted(of_group)) for of_group in names.values()}
    if len(names) < _MIN_IMAGES or len(sets) > 1:
        return ""
    (roles,) = sets
    if len(roles) == 1:
        return roles[0]
    is_numbered = len({re.sub(r"\d+", "#", name) for name in roles}) == 1
    if is_numbered:  # classes with equal numbers of images
        return ""
    chosen = [name for name in wanted or () if name in roles]
    if not chosen:
        raise SchemaError(
            f"each group of the file has several images, {', '.join(roles[:9])}; "
            f"choose one, as in fields=[{roles[0]!r}]"
        )
    return chosen[0]


@dataclass(frozen=True)
class SingleImages:
    """The datasets of one image each.

    Args:
        members: these datasets.
        role: the image's name in each sample's group, or "".
        others: all members of the file.
        wanted: the fields that the user chose; None for all.
    """

    members: Sequence[Member]
    role: str
    others: Sequence[Member]
    wanted: Sequence[str] | None = None

    @property
    def are_files(self) -> bool:
        """True for image files, False for arrays."""
        return self.members[0].kind in ("column", "other")

    def explain(self) -> list[str]:
        """Return a line for all images, and one for each dataset that is left out."""
        left_out = (f"{path}: left out; it is not one of the images" for path in self._left_out())
        return [self._summary(), *left_out]

    def _notes(self, shard: Shard) -> Iterator[str]:
        location = Location(shard.path)
        yield with_location(self._summary(), location)
        if left_out := self._left_out():
            named = ", ".join(left_out[:_MAX_NAMED])
            message = f"{len(left_out):,} other datasets are left out, such as {named}"
            yield with_location(f"{message}; `fastpack info` lists them", location)
        if names := self._attribute_names():
            named = ", ".join(names[:_MAX_NAMED])
            message = f"attributes of the images are not read, such as {named}"
            remedy = "store each as a dataset in a group for each sample, such as cat/0/label"
            yield with_location(f"{message}; {remedy}", location)

    def _attribute_names(self) -> list[str]:
        """Attributes of the first image and its group, except HDF5's own, in capital letters."""
        first = self.members[0].stored
        holders = [first, first.parent] if self.role else [first]
        try:
            names = [name for holder in holders for name in holder.attrs]
        except (OSError, RuntimeError, KeyError, ValueError):  # a damaged header
            return []
        return [name for name in names if not name.isupper()]

    def _summary(self) -> str:
        first, last = self.members[0], self.members[-1]
        kind = "image files"
        if not self.are_files:
            kind = f"{first.stored.shape} {first.stored.dtype}, axes {_axes(first)}"
        which = f"{first.path} to {last.path}, sorted by the numbers in their names"
        return f"{len(self.members):,} datasets of one image each, {which}: {kind}"

    def _left_out(self) -> list[str]:
        known = {member.path for member in self.members}
        known |= {path for paths in self._scalars().values() for path in paths}
        return [member.path for member in self.others if member.path not in known]

    def index(self, shard: Shard, values: StoredValues) -> Index:
        """Return the index; raise FormatError if images differ in shape, or values in kind."""
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
            files=Files(paths, np.zeros(count, np.int64)),  # the shard shows changes
            notes=tuple(self._notes(shard)),
        )
        index.check_spans()
        return index

    def _field(self) -> Field:
        if self.are_files:
            return Field("image", "image", stored_as=self.role)
        first = self.members[0]
        shape, dtype, axes = _layout_of(first)
        axes = axes if axes not in ("HW", "HWC") else ""
        return Field("image", "pixels", shape, dtype.str, self.role, axes=axes)

    def _refuse_different(self, shard: Shard) -> None:
        first = self.members[0]
        for member in self.members:
            if _layout_of(member) != _layout_of(first):
                kinds = " and ".join(
                    f"{each.path} is {each.stored.dtype} {each.stored.shape}"
                    for each in (first, member)
                )
                remedy = "store them at one size and type, or pack them as image files"
                message = f"the images differ: {kinds}; {remedy}"
                raise FormatError(with_location(message, Location(shard.path)))

    def _spans(self, shard: Shard) -> npt.NDArray[Any]:
        spans = np.zeros(len(self.members), SPAN)
        for row, member in enumerate(self.members):
            dataset = member.stored
            if dataset.external or dataset.is_virtual:
                message = f"{member.path} is stored in other files, which are not read"
                remedy = "store its values in this file"
                raise FormatError(with_location(f"{message}; {remedy}", Location(shard.path)))
            first = contiguous_offset(dataset)
            spans[row]["offset"] = NO_SPAN if first is None else first
            spans[row]["length"] = dataset.nbytes
            if first is not None and first + dataset.nbytes > shard.size:
                raise_status(
                    Status.TRUNCATED,
                    f"{member.path} goes past the end of the file",
                    Location(shard.path, offset=first),
                )
        return spans

    def _infos(self, spans: npt.NDArray[Any], shard: Shard) -> npt.NDArray[Any]:
        infos = np.zeros(len(spans), IMAGE_INFO)
        has_span = spans["offset"] != NO_SPAN
        probed = np.zeros(int(has_span.sum()), IMAGE_INFO)
        offsets = np.ascontiguousarray(spans["offset"][has_span])
        lengths = np.ascontiguousarray(spans["length"][has_span])
        with open_bytes(shard.path) as file:
            need(file, offsets, lengths)
            probe = ProbeBlobs(file.fileno(), offsets, lengths, probed)
            raise_first(run_in_threads(probe.run), lambda row: Location(shard.path, row))
        infos[has_span] = probed
        fetched = [
            np.asarray(self.members[row].stored[()]).tobytes()
            for row in np.flatnonzero(~has_span).tolist()
        ]
        if fetched:
            infos[~has_span] = probe_blobs(Ragged.of_bytes(fetched))[0]
        return infos

    def _classes(self) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
        """Class names and labels, if several groups have samples; a group is a class."""
        groups = [_parent(member.group) if self.role else member.group for member in self.members]
        last_parts = [group.rpartition("/")[2] for group in groups]
        names, labels = np.unique(last_parts, return_inverse=True)
        if "" in groups or len(names) < _MIN_IMAGES:
            return (), labels
        return tuple(names.tolist()), labels.astype(np.int64)

    def _scalars(self) -> dict[str, list[str]]:
        """Name -> paths of the single numbers and texts that all samples' groups have."""
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
        return {name: those for name, those in paths.items() if scalars.keys() >= set(those)}

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


def _layout_of(member: Member) -> tuple[tuple[int, ...], np.dtype[Any], str]:
    return member.stored.shape, member.stored.dtype, _axes(member)


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _is_scalar(dataset: h5py.Dataset) -> bool:
    if dataset.shape != () or dataset.external or dataset.is_virtual:
        return False
    return dataset.dtype.kind in "iubf" or h5py.check_string_dtype(dataset.dtype) is not None


def _is_wanted(name: str, paths: Sequence[str], wanted: Sequence[str]) -> bool:
    return any(each.strip("/") in (name, paths[0]) for each in wanted)


def _field_of(name: str, column: Column) -> Field:
    if isinstance(column, Text):
        return Field(name, "text")
    assert isinstance(column, np.ndarray)
    return Field(name, "int" if column.dtype.kind == "i" else "float", dtype=column.dtype.name)
