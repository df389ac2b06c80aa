"""What an HDF5 file holds, and which of it are images: found without following a link out of the file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import h5py
import numpy as np

from fastpack.containers.hdf5_columns import DATASETS, dataset_name
from fastpack.errors import SchemaError
from fastpack.schema import Field, Schema

Kind = Literal["pixels", "encoded", "vlen", "column", "other"]
_FIELDS = {dataset: field for field, dataset in DATASETS.items()}
# Groups within groups; and what people call their images, when a file has several arrays of as many samples.
_MAX_DEPTH = 32
_USUAL = ("image", "x", "data", "input", "train", "rgb", "pixels")


@dataclass(frozen=True, eq=False)
class Member:
    """A dataset, or a group of `bytes` and `offsets`, by its path without the first slash."""

    path: str
    stored: Any
    kind: Kind
    num_samples: int

    @property
    def group(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def is_blob(self) -> bool:
        return self.kind in ("pixels", "encoded", "vlen")

    @property
    def odd_kind(self) -> str:
        """Why a dataset of kind "other" is no field."""
        return f"{self.stored.dtype} {self.stored.shape} is neither images nor one number or text a sample"


def find_members(file: h5py.File) -> list[Member]:
    """All members, those at the root first. Only hard links are followed, and each group once: links may lead to other
    files, and round in circles."""
    waiting: list[tuple[str, h5py.Group]] = [("", file)]
    seen = {_address(file)}
    found: list[Member] = []
    while waiting:
        path, group = waiting.pop(0)
        for name, stored in _own_members(group):
            inner = f"{path}/{name}".strip("/")
            if isinstance(stored, h5py.Dataset):
                found.append(_dataset_member(inner, stored))
            elif "bytes" in stored and "offsets" in stored:
                found.append(_encoded_member(inner, stored))
            elif isinstance(stored, h5py.Group) and _address(stored) not in seen and inner.count("/") < _MAX_DEPTH:
                seen.add(_address(stored))
                waiting.append((inner, stored))
    return [member for member in found if member.stored is not None]


def safe_dataset(file: h5py.Group, path: str) -> h5py.Dataset | None:
    """The dataset of that path: not by way of a soft or external link, and with its data in this file."""
    member: Any = file
    for name in path.split("/"):
        if not isinstance(member, h5py.Group) or not name or not isinstance(member.get(name, getlink=True), h5py.HardLink):
            return None
        member = member[name]
    if not isinstance(member, h5py.Dataset) or member.shape is None or member.external or member.is_virtual:
        return None
    return member


def choose_members(members: Sequence[Member], wanted: Sequence[str] | None) -> list[Member]:
    """Those that make up the samples: the wanted ones, by path or by field name; else, guessed, the images and what stands
    beside them and has as many values."""
    images = _main_images(members)
    beside = [member for member in members if images and member.group == images.group and member.num_samples == images.num_samples]
    if wanted is None:
        return [member for member in beside if member.kind != "other"]
    chosen = [_find(name, beside, members) for name in wanted]
    return list({member.path: member for member in chosen}.values())


def field_names(members: Sequence[Member], own_names: dict[str, str]) -> dict[str, str]:
    """Path -> field name: what the file's schema says, or our usual name for it, or its own; unlike any other."""
    names: dict[str, str] = {}
    taken = {member.name for member in members}
    for member in members:
        usual = (_FIELDS | own_names).get(member.name, member.name)
        name = member.name if usual in taken else usual
        names[member.path] = member.path if name in names.values() else name
    return names


def text_attribute(member: h5py.File | h5py.Dataset, name: str) -> str:
    """An attribute of ours, or "". Only text of fixed length is read: that of variable length lies in a heap, and in
    a damaged heap the library can go round in circles for ever."""
    try:
        if name not in member.attrs or member.attrs.get_id(name).dtype.kind != "S":
            return ""
        return bytes(member.attrs[name]).decode("ascii", "replace")
    except (OSError, RuntimeError, KeyError, TypeError, ValueError):
        return ""


def own_fields(file: h5py.File) -> dict[str, Field]:
    """Map dataset names to the fields of the schema that a file of ours has."""
    try:
        schema = Schema.from_json(text_attribute(file, "schema"))
    except SchemaError:
        return {}
    return {dataset_name(field): field for field in schema.fields}


def own_names(file: h5py.File) -> dict[str, str]:
    """Dataset name -> field name, as a file of ours says in its schema."""
    return {name: field.name for name, field in own_fields(file).items() if field.stored_as}


def _own_members(group: h5py.Group) -> Iterator[tuple[str, Any]]:
    for name in group:
        if isinstance(group.get(name, getlink=True), h5py.HardLink):
            member = group[name]
            if isinstance(member, h5py.Group) or (isinstance(member, h5py.Dataset) and member.shape is not None):
                yield name, member


def _address(member: Any) -> Any:
    return h5py.h5o.get_info(member.id).addr


def _dataset_member(path: str, dataset: h5py.Dataset) -> Member:
    num_samples = dataset.shape[0] if dataset.ndim else 0
    if dataset.ndim >= 3 and dataset.dtype.kind in "uif":
        return Member(path, dataset, "pixels", num_samples)
    if dataset.ndim == 1 and h5py.check_vlen_dtype(dataset.dtype) == np.uint8:
        return Member(path, dataset, "vlen", num_samples)
    is_column = dataset.ndim == 1 or (dataset.ndim == 2 and dataset.shape[1] == 1)
    is_column = is_column and (dataset.dtype.kind in "iubf" or h5py.check_string_dtype(dataset.dtype) is not None)
    return Member(path, dataset, "column" if is_column else "other", num_samples)


def _encoded_member(path: str, group: h5py.Group) -> Member:
    offsets = safe_dataset(group, "offsets")
    return Member(path, group, "encoded", len(offsets) - 1 if offsets is not None and offsets.ndim == 1 else -1)


def _main_images(members: Sequence[Member]) -> Member | None:
    """The images that a file is about: nearest to the root, then the most, then those that are called so."""
    candidates = [member for member in members if member.is_blob]

    def rank(member: Member) -> tuple[bool, int, bool]:
        return member.group != "", -member.num_samples, not any(usual in member.name.lower() for usual in _USUAL)

    return min(candidates, key=rank, default=None)


def _find(name: str, beside: Sequence[Member], members: Sequence[Member]) -> Member:
    path = name.strip("/")
    for group in (beside, members):
        for member in group:
            if path in (member.path, _FIELDS.get(member.name)):
                if member.kind == "other":
                    raise SchemaError(f"{name!r} cannot be a field: {member.odd_kind}")
                return member
    known = ", ".join(member.path for member in members if member.kind != "other")
    raise SchemaError(f"there is no field {name!r}; the file has {known}")
