"""What is made of the members of a tar before they are fields: junk goes, keys are UTF-8, folders may be classes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fastpack._native.tar import Members
from fastpack.core.dtypes import Rows
from fastpack.core.ragged import Text, factorize, offsets_of
from fastpack.errors import FormatError, SourceError
from fastpack.files.classes import Classes, ClassFolder, classes_of
from fastpack.files.escapes import escaped_names
from fastpack.files.image_tree import is_junk
from fastpack.files.name_summary import NameSummary

IMAGE_ENDINGS = ("jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "tif", "tiff", "gif")


@dataclass(frozen=True)
class Listed:
    """The members of an archive that belong to samples, as `Members` has them, and the key of each sample."""

    offsets: npt.NDArray[np.uint64]
    sizes: npt.NDArray[np.uint64]
    suffix_numbers: npt.NDArray[np.int32]
    samples: Rows
    suffixes: list[str]
    keys: Text


def without_junk(members: Members) -> tuple[Listed, tuple[str, ...]]:
    """All members but those that systems leave behind; and a note on these."""
    found = every_member(members)
    if not len(members.offsets):
        return found, ()
    junk = _junk(found)
    plain = found if not len(junk) else _without(found, junk)
    notes = (*((_note(found, junk),) if len(junk) else ()), *_passed_over(members))
    return replace(plain, keys=escaped_names(_below_here(plain.keys))), notes


def every_member(members: Members) -> Listed:
    """All members as they are: of an archive that says itself what they are."""
    if not len(members.offsets):
        return _listed(members, Text.of([]))
    is_first = np.diff(members.samples, prepend=-1) > 0
    starts, lengths = members.name_offsets[is_first], members.key_lengths[is_first]
    return _listed(members, Text(members.names[: starts[-1] + lengths[-1]], offsets_of(lengths)))


def _passed_over(members: Members) -> tuple[str, ...]:
    count = NameSummary(members.num_passed_over).counted("file")
    return (
        (f"left out {count} of the archive, hidden or without an ending",)
        if members.num_passed_over
        else ()
    )


def _listed(members: Members, keys: Text) -> Listed:
    return Listed(
        members.offsets,
        members.sizes,
        members.suffix_numbers,
        members.samples,
        members.suffixes,
        keys,
    )


def _junk(found: Listed) -> Rows:
    """Which members are: in a folder of that kind, or called so themselves."""
    numbers, folders = factorize(key.rpartition("/")[0] for key in found.keys)
    is_bad = np.array(
        [
            any(part != "." and part != ".." and is_junk(part) for part in folder.split("/"))
            for folder in folders
        ],
        np.bool_,
    )
    of_member = is_bad[numbers][found.samples]
    odd = [number for number, suffix in enumerate(found.suffixes) if suffix in ("db", "ini")]
    for row in np.flatnonzero(np.isin(found.suffix_numbers, odd)).tolist():
        of_member[row] |= is_junk(_name(found, row).rpartition("/")[2])
    return np.flatnonzero(of_member)


def _name(found: Listed, row: int) -> str:
    return f"{found.keys[int(found.samples[row])]}.{found.suffixes[found.suffix_numbers[row]]}"


def _note(found: Listed, junk: Rows) -> str:
    names = NameSummary.of([_name(found, row) for row in junk.tolist()])
    return f"left out {names.counted('hidden or system file')}: {names}"


def _without(found: Listed, junk: Rows) -> Listed:
    kept = np.delete(np.arange(len(found.samples)), junk)
    old, samples = np.unique(found.samples[kept], return_inverse=True)
    used, suffix_numbers = np.unique(found.suffix_numbers[kept], return_inverse=True)
    return replace(
        found,
        offsets=found.offsets[kept],
        sizes=found.sizes[kept],
        suffix_numbers=suffix_numbers.astype(np.int32),
        suffixes=[found.suffixes[number] for number in used],
        samples=samples.astype(np.int64),
        keys=found.keys.take(old),
    )


def by_whole_names(found: Listed, notes: tuple[str, ...]) -> tuple[Listed, tuple[str, ...]]:
    """Of an archive whose samples with an image hold nothing but images, and not the same ones each: every image as a sample of its
    own, called by its name up to the last dot. Any other archive as it is.

    People's names have dots, such as `Shot 10.01.11.jpg`. To join what is equal up to the first dot would mix their photographs.
    """
    endings = [suffix.rpartition(".")[2] for suffix in found.suffixes]
    is_image = np.isin(
        found.suffix_numbers,
        [number for number, ending in enumerate(endings) if ending in IMAGE_ENDINGS],
    )
    num_files = np.bincount(found.samples) if len(found.samples) else np.zeros(0, np.int64)
    num_images = np.bincount(found.samples[is_image], minlength=len(num_files))
    holds = num_images > 0
    dotted = [number for number, suffix in enumerate(found.suffixes) if "." in suffix]
    odd = is_image & (np.isin(found.suffix_numbers, dotted) | (num_images > 1)[found.samples])
    if (
        not odd.any()
        or (num_images < num_files)[holds].any()
        or 2 * holds.sum() < len(holds)
        or _are_alike(found)
    ):
        return found, notes
    names = NameSummary.of([_name(found, row) for row in np.flatnonzero(odd).tolist()])
    note = f"each image of the archive is a sample of its own, called by its whole name, also {names}; where images belong together"
    suffixes = list(
        dict.fromkeys(
            ending if ending in IMAGE_ENDINGS else found.suffixes[i]
            for i, ending in enumerate(endings)
        )
    )
    numbers = [
        suffixes.index(ending if ending in IMAGE_ENDINGS else found.suffixes[i])
        for i, ending in enumerate(endings)
    ]
    samples = np.cumsum(is_image | (np.diff(found.samples, prepend=-1) > 0)) - 1
    apart = replace(
        found,
        suffix_numbers=np.array(numbers, np.int32)[found.suffix_numbers],
        suffixes=suffixes,
        samples=samples.astype(np.int64),
        keys=Text.of(_whole_keys(found, is_image)),
    )
    return apart, (*notes, f"{note}, give all samples the same endings")


def _are_alike(found: Listed) -> bool:
    """Whether the most samples have the same files, several each: then these belong together. One sample alone shows that only by a
    plain ending among its files."""
    begins = np.flatnonzero(np.diff(found.samples, prepend=-1) > 0)
    ends = np.append(begins[1:], len(found.samples))
    numbers = found.suffix_numbers.tolist()
    patterns = Counter(
        frozenset(numbers[begin:end])
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)
    )
    pattern, count = patterns.most_common(1)[0]
    if len(begins) == 1:
        return any("." not in found.suffixes[number] for number in pattern)
    return count == len(begins) or (len(pattern) > 1 and 2 * count > len(begins))


def _whole_keys(found: Listed, is_image: npt.NDArray[np.bool_]) -> list[str]:
    """The key of each image, its name up to the last dot, or its whole name where two would have one key; and of other samples."""
    begins = np.diff(found.samples, prepend=-1) > 0
    names = [
        _name(found, row) if is_image[row] else found.keys[int(found.samples[row])]
        for row in np.flatnonzero(is_image | begins).tolist()
    ]
    images = is_image[is_image | begins].tolist()
    keys = [
        name.rpartition(".")[0] if image else name
        for name, image in zip(names, images, strict=True)
    ]
    counts = Counter(keys)
    keys = [
        name if counts[key] > 1 and image else key
        for name, key, image in zip(names, keys, images, strict=True)
    ]
    _refuse_twice(keys)
    return keys


def _refuse_twice(keys: Sequence[str]) -> None:
    if len(set(keys)) < len(keys):
        twice = next(key for key, count in Counter(keys).items() if count > 1)
        raise FormatError(
            f"two files of the archive are called {twice!r}; make the archive again with a name for each"
        )


def photographs(found: Listed, notes: tuple[str, ...]) -> tuple[Listed, tuple[str, ...]]:
    """Of an archive of photographs in class folders, the photographs in them; any other archive as it is. One is known by this: a
    sample with an image has no other file, and the most have one, in at least two folders."""
    is_image = np.isin(
        found.suffix_numbers,
        [number for number, suffix in enumerate(found.suffixes) if suffix in IMAGE_ENDINGS],
    )
    num_files = np.bincount(found.samples)
    images = np.zeros(len(num_files), np.bool_)
    images[found.samples[is_image]] = True
    tops = {key.partition("/")[0] for row, key in enumerate(found.keys) if images[row]}
    depth = 1 if len(tops) == 1 else 0  # an archive is mostly made of one folder
    in_folders = images & np.fromiter(
        (key.count("/") > depth for key in found.keys), np.bool_, len(images)
    )
    folders = {key.rpartition("/")[0] for row, key in enumerate(found.keys) if in_folders[row]}
    if (
        len(folders) < 2
        or (num_files[images] > 1).any()
        or 2 * in_folders.sum() < len(in_folders)
        or in_folders.all()
    ):
        return found, notes
    left_out = np.flatnonzero(~in_folders[found.samples])
    names = NameSummary.of([_name(found, row) for row in left_out.tolist()])
    return _without(found, left_out), (
        *notes,
        f"left out {names.counted('file')} beside the images in class folders: {names}",
    )


def _below_here(keys: Text) -> Text:
    """`tar --create .` begins all names with ./, which names nothing."""
    if not len(keys) or not keys[0].startswith("./"):
        return keys
    return Text.of(key.removeprefix("./") for key in keys)


def archived_classes(keys: Text, which: ClassFolder | None) -> Classes:
    """As `classes_of`; where nothing is asked for, one folder is no class, and what is in doubt has none."""
    if which is not None:
        found = classes_of(keys, which)
        if found.strays.count:
            count = found.strays.counted("sample")
            raise SourceError(
                f"{count} beside the folders of the archive ({found.strays}) would have no class; leave class_folder out"
            )
        return found
    if any(
        {"", ".", ".."} & set(folder.split("/"))
        for folder in {key.rpartition("/")[0] for key in keys}
        if folder
    ):
        return Classes()
    try:
        found = classes_of(keys)
    except SourceError as doubt:
        return Classes(notes=(f"no labels are made of folders: {doubt}",))
    if found.strays.count:
        return Classes(
            notes=(
                f"no labels are made of folders, for {found.strays.counted('image')} beside them: {found.strays}",
            )
        )
    if len(found.names) < 2:
        return Classes(notes=found.notes)
    said = f'the folders of the archive are classes, {len(found.names):,} of them; give class_folder="none" to have no labels'
    return replace(found, notes=(said, *found.notes))
