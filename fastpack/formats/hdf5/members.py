"""What an HDF5 file holds, and which of it are images: found without following a link out of the file."""

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
# Groups within groups.
_MAX_DEPTH = 32
# Numbers of a list that are taken unasked: 1 GiB in memory.
_MAX_LISTED = 2**27


@dataclass(frozen=True, eq=False)
class Member:
    """A dataset, or a group, by its path without the first slash.

    - kind: "picture" is an array that is one image, "list" a column of so many numbers a sample; "encoded" is a group of `bytes` and
      `offsets`; "rows", in files of ours, one of `values` and `offsets`.
    - axes: of "pixels" and "picture"; see axes.py.
    - reason: why a dataset of kind "other" is not a field, where its type and shape do not tell; what was guessed of a column.
    - own: the field that the file's schema has at this path, in files of ours.
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
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def is_blob(self) -> bool:
        return self.kind in ("pixels", "encoded", "vlen") or (
            self.kind == "rows" and self.own is not None and self.own.is_blob
        )

    @property
    def is_long(self) -> bool:
        """True for lists that are taken only when they are asked for: as columns they lie in memory."""
        return self.kind == "list" and self.stored.size > _MAX_LISTED

    @property
    def odd_kind(self) -> str:
        """Why a dataset of kind "other" is no field."""
        if self.kind == "single_image":
            return f"{self.stored.shape} is one picture, and not of a set"
        if not self.reason and self.stored.dtype.kind == "V" and self.stored.dtype.names is None:
            return f"{self.stored.dtype} {self.stored.shape} is opaque; store image files as rows of h5py.vlen_dtype(numpy.uint8)"
        return (
            self.reason
            or f"{self.stored.dtype} {self.stored.shape} is neither images nor one number or text a sample"
        )


def find_members(
    file: h5py.File, limits: Limits = DEFAULT_LIMITS, axes: Mapping[str, str] | None = None
) -> list[Member]:
    """All members, those at the root first. Only hard links are followed, and each group once: links may lead to other
    files, and round in circles. Raises LimitError for more than max_datasets.

    - axes: those that were given; the others are guessed, in files of others.
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
                message = f"the file has more than {limits.max_datasets} groups and datasets; raise max_datasets if they are real"
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
    """The members, with the axes of arrays; an array of one image is an image."""
    columns: defaultdict[str, set[int]] = defaultdict(set)
    stacks: defaultdict[str, set[int]] = defaultdict(set)
    for member in members:
        if member.kind in ("column", "list", "vlen", "encoded"):
            columns[member.group].add(member.num_samples)
        elif member.kind == "pixels" and member.stored.ndim > 3:
            stacks[member.group].add(member.num_samples)
    unknown = set(given) - {
        name for member in members for name in (member.path, usual_name(member))
    }
    if unknown:
        raise OptionError(
            f"axes are given for {', '.join(sorted(unknown))}, and the file has no such array"
        )
    with_failures = []
    for member in members:
        axes = given.get(member.path, given.get(usual_name(member)))
        if axes is not None:
            with_failures.append(
                _of_axes(
                    member, checked_axes(member.path, getattr(member.stored, "shape", ()), axes)
                )
            )
        elif member.kind == "pixels":
            with_failures.append(
                _of_axes(
                    member,
                    guessed_axes(member.stored.shape, columns[member.group], stacks[member.group]),
                )
            )
        else:
            with_failures.append(member)
    return with_failures


def _of_axes(member: Member, axes: str) -> Member:
    if axes in ("", DOUBTFUL, PLAIN):
        return replace(member, kind="pixels", axes=axes)
    if "N" not in axes:
        return replace(member, kind="single_image", axes=axes, num_samples=1)
    return replace(
        member, kind="pixels", axes=axes, num_samples=member.stored.shape[axes.index("N")]
    )


def usual_name(member: Member) -> str:
    return FIELDS.get(member.name, member.name)


def safe_dataset(file: h5py.Group, path: str) -> h5py.Dataset | None:
    """The dataset of that path: not by way of a soft or external link, and with its data in this file."""
    member: Any = file
    for name in path.encode("utf-8", "surrogateescape").split(b"/"):
        if not isinstance(member, h5py.Group) or not name or not _is_hard_link(member, name):
            return None
        member = member[name]
    if (
        not isinstance(member, h5py.Dataset)
        or member.shape is None
        or member.external
        or member.is_virtual
    ):
        return None
    return member


def field_names(members: Sequence[Member], own_names: dict[str, str]) -> dict[str, str]:
    """Path -> field name: what the file's schema says, or our usual name for it, or its own; unlike any other."""
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
    """HDF5 takes any bytes for names; those that are not UTF-8 are escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


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
    """The groups and datasets of a group; None for a link."""
    for name in group.id:
        text = name.decode("utf-8", "surrogateescape")
        if not _is_hard_link(group, name):
            yield text, None
            continue
        member = group[name]
        if isinstance(member, h5py.Group) or (
            isinstance(member, h5py.Dataset) and member.shape is not None
        ):
            yield text, member


def _is_hard_link(group: h5py.Group, name: bytes) -> bool:
    """Asks the library itself: h5py fails for names that are not UTF-8, and takes longer."""
    try:
        return bool(group.id.links.get_info(name).type == h5py.h5l.TYPE_HARD)
    except KeyError:
        return False


def _address(member: Any) -> Any:
    return h5py.h5o.get_info(member.id).addr


def _dataset_member(path: str, dataset: h5py.Dataset, own: Field | None) -> Member:
    try:
        return replace(_typed_member(path, dataset, dataset.dtype, own), own=own)
    except (TypeError, ValueError) as error:  # a type of HDF5's that numpy lacks, such as a time
        return Member(
            path,
            dataset,
            "other",
            dataset.shape[0] if dataset.shape else 0,
            reason=f"h5py cannot read its values ({error})",
        )


def _typed_member(
    path: str, dataset: h5py.Dataset, dtype: np.dtype[Any], own: Field | None
) -> Member:
    num_samples = dataset.shape[0] if dataset.ndim else 0
    if (
        dataset.ndim >= (2 if own is not None and own.kind == "pixels" else 3)
        and dtype.kind in "uif"
    ):
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
    return Member(
        path,
        group,
        kind,
        len(offsets) - 1 if offsets is not None and offsets.ndim == 1 else -1,
        own=own,
    )
