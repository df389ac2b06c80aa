"""Prepares the members of a tar: drops junk, escapes keys, finds photographs and classes."""

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
    """The members of an archive that belong to samples, as in `Members`, and the samples' keys."""

    offsets: npt.NDArray[np.uint64]
    sizes: npt.NDArray[np.uint64]
    suffix_numbers: npt.NDArray[np.int32]
    samples: Rows
    suffixes: list[str]
    keys: Text


def without_junk(members: Members) -> tuple[Listed, tuple[str, ...]]:
    """Return the members without hidden and system files, and a note on these."""
    found = every_member(members)
    if not len(members.offsets):
        return found, ()
    junk = _junk(found)
    plain = found if not len(junk) else _without(found, junk)
    notes = (*((_note(found, junk),) if len(junk) else ()), *_passed_over(members))
    return replace(plain, keys=escaped_names(_below_here(plain.keys))), notes


def every_member(members: Members) -> Listed:
    """Return all members as they are, for archives whose header describes them."""
    if not len(members.offsets):
        return _listed(members, Text.of([]))
    is_first = np.diff(members.samples, prepend=-1) > 0
    starts, lengths = members.name_offsets[is_first], members.key_lengths[is_first]
    return _listed(members, Text(members.names[: starts[-1] + lengths[-1]], offsets_of(lengths)))


def _passed_over(members: Members) -> tuple[str, ...]:
    if not members.num_passed_over:
        return ()
    count = NameSummary(members.num_passed_over).counted("file")
    return (f"left out {count} of the archive, hidden or without an ending",)


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
    """Return the numbers of hidden and system files, and of members in such folders."""
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
    """Make each image of an archive of photographs a sample, named up to its last dot.

    Names of photographs have dots, as in `Shot 10.01.11.jpg`. Samples named up to the first dot
    would mix them. Such an archive has images as the only files of samples with an image, and not
    the same ones in each. Other archives are returned as they are.
    """
    endings = [suffix.rpartition(".")[2] for suffix in found.suffixes]
    images = [number for number, ending in enumerate(endings) if ending in IMAGE_ENDINGS]
    is_image = np.isin(found.suffix_numbers, images)
    odd = _odd_names(found, is_image)
    if not len(odd):
        return found, notes
    names = NameSummary.of([_name(found, row) for row in odd.tolist()])
    note = (
        f"each image of the archive is a sample, named by its whole name, also {names}; "
        "if images belong together, give all samples the same endings"
    )
    new_suffixes = [
        ending if ending in IMAGE_ENDINGS else suffix
        for ending, suffix in zip(endings, found.suffixes, strict=True)
    ]
    suffixes = list(dict.fromkeys(new_suffixes))
    numbers = np.array([suffixes.index(suffix) for suffix in new_suffixes], np.int32)
    samples = np.cumsum(is_image | (np.diff(found.samples, prepend=-1) > 0)) - 1
    apart = replace(
        found,
        suffix_numbers=numbers[found.suffix_numbers],
        suffixes=suffixes,
        samples=samples.astype(np.int64),
        keys=Text.of(_whole_keys(found, is_image)),
    )
    return apart, (*notes, note)


def _odd_names(found: Listed, is_image: npt.NDArray[np.bool_]) -> Rows:
    """Return the photographs that the first dot would name wrongly; none for other archives."""
    num_files = np.bincount(found.samples) if len(found.samples) else np.zeros(0, np.int64)
    num_images = np.bincount(found.samples[is_image], minlength=len(num_files))
    has_images = num_images > 0
    dotted = [number for number, suffix in enumerate(found.suffixes) if "." in suffix]
    odd = is_image & (np.isin(found.suffix_numbers, dotted) | (num_images > 1)[found.samples])
    if (
        not odd.any()
        or (num_images < num_files)[has_images].any()
        or 2 * has_images.sum() < len(has_images)
        or _are_alike(found)
    ):
        return np.zeros(0, np.int64)
    return np.flatnonzero(odd)


def _are_alike(found: Listed) -> bool:
    """Return True if most samples have the same several files, which belong together then.

    The files of a single sample belong together if one of them has a plain ending.
    """
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
    """Return the keys of all images and of samples without an image.

    An image's key is its name up to the last dot, or its whole name if two images share that key.
    """
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
        message = f"two files of the archive are named {twice!r}; rebuild it with different names"
        raise FormatError(message)


def photographs(found: Listed, notes: tuple[str, ...]) -> tuple[Listed, tuple[str, ...]]:
    """Keep only the photographs of an archive of photographs in class folders.

    In such an archive, a sample with an image has no other file, and most samples have an image,
    in at least two folders. Other archives are returned as they are.
    """
    is_image = np.isin(
        found.suffix_numbers,
        [number for number, suffix in enumerate(found.suffixes) if suffix in IMAGE_ENDINGS],
    )
    num_files = np.bincount(found.samples)
    images = np.zeros(len(num_files), np.bool_)
    images[found.samples[is_image]] = True
    tops = {key.partition("/")[0] for row, key in enumerate(found.keys) if images[row]}
    depth = 1 if len(tops) == 1 else 0  # most archives are made of one folder
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
    """Remove the ./ with which `tar --create .` begins all names."""
    if not len(keys) or not keys[0].startswith("./"):
        return keys
    return Text.of(key.removeprefix("./") for key in keys)


def archived_classes(keys: Text, which: ClassFolder | None) -> Classes:
    """Return the classes of folders; without a request, only if they are beyond doubt."""
    if which is not None:
        found = classes_of(keys, which)
        if found.strays.count:
            count = found.strays.counted("sample")
            message = (
                f"{count} beside the folders of the archive ({found.strays}) would have no class"
            )
            raise SourceError(f"{message}; leave class_folder out")
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
        count = found.strays.counted("image")
        note = f"no labels are made of folders, because of {count} beside them: {found.strays}"
        return Classes(notes=(note,))
    if len(found.names) < 2:
        return Classes(notes=found.notes)
    note = (
        f"the {len(found.names):,} folders of the archive are classes; "
        'give class_folder="none" to have no labels'
    )
    return replace(found, notes=(note, *found.notes))
