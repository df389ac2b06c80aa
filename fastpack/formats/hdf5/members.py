"""Members: the datasets and groups of an HDF5 file that may be fields."""

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import h5py
import numpy as np

from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.core.schema import DOUBTFUL, PLAIN, Field, Schema
from fastpack.errors import LimitError, Location, OptionError, SchemaError, with_location
from fastpack.formats.hdf5.axes import checked_axes, guessed_axes
from fastpack.formats.hdf5.columns import CLASS_NAMES, DATASETS, dataset_name

Kind = Literal["pixels", "single_image", "encoded", "vlen", "column", "list", "rows", "other"]
FIELDS = {dataset: field for field, dataset in DATASETS.items()}
# Depth of nested groups.
_MAX_DEPTH = 32
# Numbers of a list that is read without a request for it: 1 GiB in memory.
_MAX_LISTED = 2**27


@dataclass(frozen=True, eq=False)
class Member:
    """A dataset or a group.

    Args:
        path: in the file, without the first slash.
        stored: the h5py object; None for a link.
        kind: "single_image" is an array that is one image, "list" a column of several numbers a
            sample. "encoded" is a group of `bytes` and `offsets`. "rows", in our files, is a group
            of `values` and `offsets`.
        num_samples: number of samples.
        axes: of "pixels" and "single_image"; see axes.py.
        reason: why a dataset of kind "other" is not a field, or the guess about a column.
        own: the field at this path in the schema of our files.
    """

    path: str
    stored: Any
    kind: Kind
    num_samples: int
    axes: str = ""
    reason: str = ""
    own: Field | None = None

    @property
    def group(self) -> str:
        """The path of the group that has it."""
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def is_blob(self) -> bool:
        """True for images, arrays and files; False for columns."""
        if self.kind == "rows":
            return self.own is not None and self.own.is_blob
        return self.kind in ("pixels", "encoded", "vlen")

    @property
    def is_long(self) -> bool:
        """True for lists that are read only on request, since columns lie in memory."""
        return self.kind == "list" and self.stored.size > _MAX_LISTED

    @property
    def odd_kind(self) -> str:
        """Why a dataset of kind "other" is not a field."""
        if self.kind == "single_image":
            return f"{self.stored.shape} is a single image"
        if self.reason:
            return self.reason
        dtype, shape = self.stored.dtype, self.stored.shape
        if dtype.kind == "V" and dtype.names is None:
            remedy = "store image files as rows of h5py.vlen_dtype(numpy.uint8)"
            return f"{dtype} {shape} is opaque; {remedy}"
        return f"{dtype} {shape} is neither images nor one number or text a sample"


def find_members(
    file: h5py.File, limits: Limits = DEFAULT_LIMITS, axes: Mapping[str, str] | None = None
) -> list[Member]:
    """Return all members, those at the root first.

    Only hard links are followed, and each group once: other links may lead to other files or in
    circles. `axes` are given by the user; those of other programs' arrays are guessed. Raises
    LimitError for more than max_datasets.
    """
    members = list(_walk(file, limits))
    if axes or text_attribute(file, "format") != "fastpack":
        return _with_axes(members, axes or {})
    known = {name: field.axes for name, field in own_fields(file).items()}
    return [
        _of_axes(member, known.get(member.path, "")) if member.kind == "pixels" else member
        for member in members
    ]


def _walk(file: h5py.File, limits: Limits) -> Iterator[Member]:
    waiting: deque[tuple[str, h5py.Group]] = deque([("", file)])
    own = own_fields(file) | {CLASS_NAMES: Field(CLASS_NAMES, "text")}
    seen, num_found = {_address(file)}, 0
    while waiting:
        path, group = waiting.popleft()
        for name, stored in _own_members(group):
            num_found += 1
            if num_found > limits.max_datasets:
                message = (
                    f"the file has more than {limits.max_datasets} groups and datasets; "
                    "raise max_datasets if they are real"
                )
                raise LimitError(with_location(message, Location(file.filename)))
            inner = f"{path}/{name}".strip("/")
            if stored is None:
                yield Member(inner, None, "other", 0, reason="a link, which is not followed")
                continue
            is_group_of_own = any(each.startswith(f"{inner}/") for each in own)
            if isinstance(stored, h5py.Dataset):
                yield _dataset_member(inner, stored, own.get(inner))
            elif "bytes" in stored and "offsets" in stored and not is_group_of_own:
                yield _group_member(inner, stored, "encoded", own.get(inner))
            elif inner in own and "values" in stored and "offsets" in stored:
                yield _group_member(inner, stored, "rows", own[inner])
            elif (
                isinstance(stored, h5py.Group)
                and _address(stored) not in seen
                and inner.count("/") < _MAX_DEPTH
            ):
                seen.add(_address(stored))
                waiting.append((inner, stored))


def _with_axes(members: Sequence[Member], given: Mapping[str, str]) -> list[Member]:
    """The members with axes for all arrays; an array without N is a single image."""
    columns: defaultdict[str, set[int]] = defaultdict(set)
    stacks: defaultdict[str, set[int]] = defaultdict(set)
    for member in members:
        if member.kind in ("column", "list", "vlen", "encoded"):
            columns[member.group].add(member.num_samples)
        elif member.kind == "pixels" and member.stored.ndim > 3:
            stacks[member.group].add(member.num_samples)
    unknown = set(given) - {name for each in members for name in (each.path, usual_name(each))}
    if unknown:
        raise OptionError(
            f"axes are given for {', '.join(sorted(unknown))}, but the file has no such array"
        )

    def with_axes(member: Member) -> Member:
        axes, group = given.get(member.path, given.get(usual_name(member))), member.group
        shape = getattr(member.stored, "shape", ())
        if axes is not None:
            return _of_axes(member, checked_axes(member.path, shape, axes))
        if member.kind != "pixels":
            return member
        return _of_axes(member, guessed_axes(shape, columns[group], stacks[group]))

    return list(map(with_axes, members))


def _of_axes(member: Member, axes: str) -> Member:
    if axes in ("", DOUBTFUL, PLAIN):
        return replace(member, kind="pixels", axes=axes)
    if "N" not in axes:
        return replace(member, kind="single_image", axes=axes, num_samples=1)
    num_samples = member.stored.shape[axes.index("N")]
    return replace(member, kind="pixels", axes=axes, num_samples=num_samples)


def usual_name(member: Member) -> str:
    """Return the usual field name for a dataset's name, or that name."""
    return FIELDS.get(member.name, member.name)


def safe_dataset(file: h5py.Group, path: str) -> h5py.Dataset | None:
    """Return the dataset of a path without links and with its data in this file; else None."""
    member: Any = file
    for name in path.encode("utf-8", "surrogateescape").split(b"/"):
        if not isinstance(member, h5py.Group) or not name or not _is_hard_link(member, name):
            return None
        member = member[name]
    if not isinstance(member, h5py.Dataset) or member.shape is None:
        return None
    return None if member.external or member.is_virtual else member


def field_names(members: Sequence[Member], own_names: dict[str, str]) -> dict[str, str]:
    """Return path -> field name, unique: from our schema, else the usual or the dataset's name."""
    names: dict[str, str] = {}
    used: set[str] = set()
    taken = {member.name for member in members}
    for member in members:
        usual = (FIELDS | own_names).get(member.name, member.name)
        name = _as_text(member.name if usual in taken else usual)
        if member.own is not None:
            name = member.own.name
        names[member.path] = _as_text(member.path) if name in used else name
        used.add(names[member.path])
    return names


def _as_text(name: str) -> str:
    """Escape a name that is not UTF-8: HDF5 accepts any bytes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def text_attribute(member: h5py.File | h5py.Dataset, name: str) -> str:
    """Return an attribute of our files, or "".

    Only text of fixed length is read. Other text lies in a heap, and in a damaged heap the library
    may loop without end.
    """
    try:
        if name not in member.attrs or member.attrs.get_id(name).dtype.kind != "S":
            return ""
        return bytes(member.attrs[name]).decode("ascii", "replace")
    except (OSError, RuntimeError, KeyError, TypeError, ValueError):
        return ""


def own_fields(file: h5py.File) -> dict[str, Field]:
    """Return dataset name -> field, from the schema of our files."""
    try:
        schema = Schema.from_json(text_attribute(file, "schema"))
    except SchemaError:
        return {}
    return {dataset_name(field): field for field in schema.fields}


def own_names(file: h5py.File) -> dict[str, str]:
    """Return dataset name -> field name, from the schema of our files."""
    return {name: field.name for name, field in own_fields(file).items() if field.stored_as}


def _own_members(group: h5py.Group) -> Iterator[tuple[str, Any]]:
    """The names of a group's members with their objects; None for a link."""
    for name in group.id:
        text = name.decode("utf-8", "surrogateescape")
        if not _is_hard_link(group, name):
            yield text, None
            continue
        member = group[name]
        is_dataset = isinstance(member, h5py.Dataset) and member.shape is not None
        if is_dataset or isinstance(member, h5py.Group):
            yield text, member


def _is_hard_link(group: h5py.Group, name: bytes) -> bool:
    """Whether a name is a hard link; h5py's own query fails for names that are not UTF-8."""
    try:
        return bool(group.id.links.get_info(name).type == h5py.h5l.TYPE_HARD)
    except KeyError:
        return False


def _address(member: Any) -> Any:
    return h5py.h5o.get_info(member.id).addr


def _dataset_member(path: str, dataset: h5py.Dataset, own: Field | None) -> Member:
    try:
        return replace(_typed_member(path, dataset, dataset.dtype, own), own=own)
    except (TypeError, ValueError) as error:  # a type that numpy lacks, such as a time
        num_samples, reason = (dataset.shape or (0,))[0], f"h5py cannot read its values ({error})"
        return Member(path, dataset, "other", num_samples, reason=reason)


def _typed_member(
    path: str, dataset: h5py.Dataset, dtype: np.dtype[Any], own: Field | None
) -> Member:
    num_samples = dataset.shape[0] if dataset.ndim else 0
    min_dimensions = 2 if own is not None and own.kind == "pixels" else 3
    if dataset.ndim >= min_dimensions and dtype.kind in "uif":
        return Member(path, dataset, "pixels", num_samples)
    if dataset.ndim == 1 and h5py.check_vlen_dtype(dtype) == np.uint8:
        return Member(path, dataset, "vlen", num_samples)
    is_number = dtype.kind in "iubf"
    if dataset.ndim == 2 and dataset.shape[1] > 1 and is_number:
        return Member(path, dataset, "list", num_samples)
    is_column = dataset.ndim == 1 or (dataset.ndim == 2 and dataset.shape[1] == 1)
    is_column = is_column and (is_number or h5py.check_string_dtype(dtype) is not None)
    return Member(path, dataset, "column" if is_column else "other", num_samples)


def _group_member(path: str, group: h5py.Group, kind: Kind, own: Field | None) -> Member:
    offsets = safe_dataset(group, "offsets")
    num_samples = len(offsets) - 1 if offsets is not None and offsets.ndim == 1 else -1
    return Member(path, group, kind, num_samples, own=own)
