"""Which members of an HDF5 file make up the samples, and which of them is the main image."""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

import h5py
import numpy as np

from fastpack.core.schema import DOUBTFUL, PLAIN
from fastpack.errors import Location, SchemaError, with_location
from fastpack.formats.hdf5.axes import is_aligned, sides_of
from fastpack.formats.hdf5.members import FIELDS, Member, usual_name
from fastpack.images.headers import is_name_of_mask

# Words that people call their images by, when a file has several arrays; and those of sets that one file may have side by side.
_USUAL = frozenset(
    {"image", "img", "x", "data", "input", "train", "rgb", "pixel", "photo", "picture", "frame"}
)
_SETS = frozenset(
    {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"}
)


def choose_members(members: Sequence[Member], wanted: Sequence[str] | None) -> list[Member]:
    """Those that make up the samples: the wanted ones, by path or by field name; else, guessed, the images and what stands
    beside them and has as many values."""
    images = main_images(members)
    as_many = [
        member
        for member in members
        if images is not None and member.num_samples == images.num_samples
    ]
    beside = [
        member
        for member in as_many
        if member.own is not None or (images is not None and member.group == images.group)
    ]
    if wanted is None:
        chosen = [
            member
            for member in beside
            if member.kind not in ("other", "single_image") and not member.is_long
        ]
        _refuse_several_sets(chosen)
        return chosen
    chosen = [_find(name, beside, members) for name in wanted]
    return list({member.path: member for member in chosen}.values())


def main_images(members: Sequence[Member]) -> Member | None:
    """The images that a file is about: nearest to the root, then those with the shape of images that are not called masks, then
    the most, then those that are called so, then bytes before other numbers."""
    candidates = [member for member in members if member.is_blob]

    def rank(member: Member) -> tuple[bool | int, ...]:
        is_called_so = bool(_USUAL & set(_words(member.name)))
        is_unlike = not _has_shape_of_images(member) or is_name_of_mask(member.name)
        return (
            member.own is None,
            member.group != "",
            is_unlike,
            -member.num_samples,
            not is_called_so,
            not _has_bytes(member),
        )

    return min(candidates, key=rank, default=None)


def _words(name: str) -> list[str]:
    """Its words in lower case, in the singular.

    >>> _words("trainImages_X2"), _words("boxes")
    (['train', 'image', 'x'], ['boxe'])
    """
    return [word.lower().removesuffix("s") for word in re.findall("[A-Z]?[a-z]+|[A-Z]+", name)]


def _has_shape_of_images(member: Member) -> bool:
    return member.kind != "pixels" or (member.axes != DOUBTFUL and member.stored.ndim in (3, 4))


def _has_bytes(member: Member) -> bool:
    return member.kind != "pixels" or member.stored.dtype in (np.uint8, np.uint16)


def with_plain_arrays(chosen: Sequence[Member], given: Collection[str]) -> list[Member]:
    """The members, of which those that are not images, beside the main one, are plain arrays.

    - given: names and paths of arrays whose axes the user gave; these are images.
    """
    main = main_images(chosen)
    sides = (
        sides_of(main.stored.shape, main.axes)
        if main is not None and main.kind == "pixels"
        else None
    )

    def with_failures(member: Member) -> Member:
        is_known = member is main or not {member.path, usual_name(member)}.isdisjoint(given)
        return (
            replace(member, axes=PLAIN)
            if member.kind == "pixels" and not is_known and not _is_image(member, sides)
            else member
        )

    return [with_failures(member) for member in chosen]


def _is_image(member: Member, sides: tuple[int, ...] | None) -> bool:
    """True for what is as large as the main image, for bytes with channels, and for masks."""
    shape = member.stored.shape
    if sides is not None and is_aligned(shape, member.axes, sides):
        return True
    is_sound = _has_shape_of_images(member) and _has_bytes(member)
    return is_sound and (sides is None or len(shape) == 4 or is_name_of_mask(member.name))


def with_turned_rows(members: Sequence[Member]) -> list[Member]:
    """The members, of which rows (1, N) are columns where images of N samples are: so MATLAB stores vectors."""
    main = main_images(members)
    counts = {(member.group, member.num_samples) for member in members if member.is_blob}
    return [_turned(member) if _is_turned(member, main, counts) else member for member in members]


def _is_turned(member: Member, main: Member | None, counts: Collection[tuple[str, int]]) -> bool:
    if (
        main is None
        or member.kind not in ("list", "other")
        or member.reason
        or len(member.stored.shape) != 2
    ):
        return False
    rows, count = member.stored.shape
    is_value = member.kind == "list" or h5py.check_string_dtype(member.stored.dtype) is not None
    return (
        rows == 1
        and count > 1
        and is_value
        and (count == main.num_samples or (member.group, count) in counts)
    )


def _turned(member: Member) -> Member:
    shape = member.stored.shape
    reason = f"{shape} is taken as one value for each of {shape[1]} samples"
    return replace(member, kind="column", num_samples=shape[1], reason=reason)


def _refuse_several_sets(chosen: Sequence[Member]) -> None:
    """Raises SchemaError for images of which the names differ only in the set that they are of."""
    sets: dict[str, list[Member]] = {}
    for member in chosen:
        rest, found = _without_set(member.name)
        if member.is_blob and member.own is None and found:
            sets.setdefault(rest, []).append(member)
    several = next((alike for alike in sets.values() if len(alike) > 1), None)
    if several is None:
        return
    first = next((member for member in several if "train" in member.name.lower()), several[0])
    of_first = [
        member.path
        for member in chosen
        if _without_set(member.name)[1] == _without_set(first.name)[1]
    ]
    told = " and ".join(member.path for member in several)
    remedy = f"open one of them with fields={of_first}"
    raise SchemaError(
        with_location(
            f"{told} look like sets of their own; {remedy}", Location(first.stored.file.filename)
        )
    )


def _without_set(name: str) -> tuple[str, str]:
    """The name without the word for a set, and that word; "" where there is none."""
    parts = re.split("([A-Z]?[a-z]+|[A-Z]+)", name)
    found = [part for part in parts if part.lower() in _SETS]
    return "".join("" if part.lower() in _SETS else part for part in parts), "".join(found).lower()


def _find(name: str, beside: Sequence[Member], members: Sequence[Member]) -> Member:
    path = name.strip("/")
    for group in (beside, members):
        for member in group:
            if path in (member.path, FIELDS.get(member.name)):
                if member.kind in ("other", "single_image"):
                    raise SchemaError(f"{name!r} cannot be a field: {member.odd_kind}")
                return member
    known = ", ".join(member.path for member in members if member.kind != "other")
    raise SchemaError(f"there is no field {name!r}; the file has {known}")
