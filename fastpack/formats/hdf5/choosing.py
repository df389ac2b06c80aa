"""Choice of the members of an HDF5 file that make up the samples, and of the main image."""

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

# Words in usual names of images, and words for the sets that one file may have.
_USUAL = frozenset(
    {"image", "img", "x", "data", "input", "train", "rgb", "pixel", "photo", "picture", "frame"}
)
_SETS = frozenset(
    {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"}
)


def choose_members(members: Sequence[Member], wanted: Sequence[str] | None) -> list[Member]:
    """Return the members that make up the samples.

    They are the wanted ones, by path or field name. Without `wanted` they are guessed: the images,
    and members of the same group with as many values.
    """
    images = main_images(members)
    beside = [] if images is None else [each for each in members if _is_beside(each, images)]
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


def _is_beside(member: Member, images: Member) -> bool:
    """Whether a member has as many values as the images, in their group or by our schema."""
    is_near = member.own is not None or member.group == images.group
    return is_near and member.num_samples == images.num_samples


def main_images(members: Sequence[Member]) -> Member | None:
    """Return the main images of a file, or None.

    Members at the root come first. Then come members with the shape of images whose name is not a
    mask's, then the largest number of samples, then usual names, then bytes.
    """
    candidates = [member for member in members if member.is_blob]

    def rank(member: Member) -> tuple[bool | int, ...]:
        is_usual_name = bool(_USUAL & set(_words(member.name)))
        is_unlike = not _has_shape_of_images(member) or is_name_of_mask(member.name)
        return (
            member.own is None,
            member.group != "",
            is_unlike,
            -member.num_samples,
            not is_usual_name,
            not _has_bytes(member),
        )

    return min(candidates, key=rank, default=None)


def _words(name: str) -> list[str]:
    """The words of a name in lower case, without a plural s.

    >>> _words("trainImages_X2"), _words("boxes")
    (['train', 'image', 'x'], ['boxe'])
    """
    return [word.lower().removesuffix("s") for word in re.findall("[A-Z]?[a-z]+|[A-Z]+", name)]


def _has_shape_of_images(member: Member) -> bool:
    return member.kind != "pixels" or (member.axes != DOUBTFUL and member.stored.ndim in (3, 4))


def _has_bytes(member: Member) -> bool:
    return member.kind != "pixels" or member.stored.dtype in (np.uint8, np.uint16)


def with_plain_arrays(chosen: Sequence[Member], given: Collection[str]) -> list[Member]:
    """Return the members; arrays that are not images become plain, except the main one.

    `given` has the names and paths of arrays whose axes the user gave: these are images.
    """
    main = main_images(chosen)
    sides = None
    if main is not None and main.kind == "pixels":
        sides = sides_of(main.stored.shape, main.axes)

    def is_plain(member: Member) -> bool:
        is_known = member is main or not {member.path, usual_name(member)}.isdisjoint(given)
        return member.kind == "pixels" and not is_known and not _is_image(member, sides)

    return [replace(member, axes=PLAIN) if is_plain(member) else member for member in chosen]


def _is_image(member: Member, sides: tuple[int, ...] | None) -> bool:
    """Whether an array has the main image's sides, or bytes with channels, or a mask's name."""
    shape = member.stored.shape
    if sides is not None and is_aligned(shape, member.axes, sides):
        return True
    is_sound = _has_shape_of_images(member) and _has_bytes(member)
    return is_sound and (sides is None or len(shape) == 4 or is_name_of_mask(member.name))


def with_turned_rows(members: Sequence[Member]) -> list[Member]:
    """Return the members; rows (1, N) become columns if a group has N images (MATLAB's vectors)."""
    main = main_images(members)
    counts = {(member.group, member.num_samples) for member in members if member.is_blob}
    return [_turned(member) if _is_turned(member, main, counts) else member for member in members]


def _is_turned(member: Member, main: Member | None, counts: Collection[tuple[str, int]]) -> bool:
    if main is None or member.kind not in ("list", "other") or member.reason:
        return False
    shape, dtype = member.stored.shape, member.stored.dtype
    is_value = member.kind == "list" or h5py.check_string_dtype(dtype) is not None
    if len(shape) != 2 or shape[0] != 1 or shape[1] <= 1 or not is_value:
        return False
    return shape[1] == main.num_samples or (member.group, shape[1]) in counts


def _turned(member: Member) -> Member:
    shape = member.stored.shape
    reason = f"{shape} is read as one value for each of {shape[1]} samples"
    return replace(member, kind="column", num_samples=shape[1], reason=reason)


def _refuse_several_sets(chosen: Sequence[Member]) -> None:
    """Raise SchemaError for images whose names differ only in the name of a set."""
    sets: dict[str, list[Member]] = {}
    for member in chosen:
        rest, found = _without_set(member.name)
        if member.is_blob and member.own is None and found:
            sets.setdefault(rest, []).append(member)
    several = next((alike for alike in sets.values() if len(alike) > 1), None)
    if several is None:
        return
    first = next((member for member in several if "train" in member.name.lower()), several[0])
    set_of_first = _without_set(first.name)[1]
    of_first = [each.path for each in chosen if _without_set(each.name)[1] == set_of_first]
    paths = " and ".join(member.path for member in several)
    message = f"{paths} look like separate sets; open one of them with fields={of_first}"
    raise SchemaError(with_location(message, Location(first.stored.file.filename)))


def _without_set(name: str) -> tuple[str, str]:
    """The name without the name of a set, and that name in lower case, or ""."""
    parts = re.split("([A-Z]?[a-z]+|[A-Z]+)", name)
    rest = "".join(part for part in parts if part.lower() not in _SETS)
    return rest, "".join(part for part in parts if part.lower() in _SETS).lower()


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
