"""Names of the files of a set, which share the name that was packed to.

The set `train.tfrecord` is the file of that name, or the shards `train-00000-of-00002.tfrecord` and
so on. A pack that appends continues the numbers. Each name keeps the count of its own pack:

    train-00000-of-00002  train-00001-of-00002     packed
    train-00002-of-00004  train-00003-of-00004     appended

A plain file that shards were appended to counts as number 0. So all numbers of a pack are below its
count, and those of later packs are not.

In a store, shards that replace others have a mark, so that both can exist until the manifest names
the new ones: `train-00000-of-00002.4f2a9c01.tfrecord`.
"""

import itertools
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fastpack.errors import Location, with_location
from fastpack.stores.listing import Listing
from fastpack.stores.store_path import as_object, is_in_store
from fastpack.stores.url import has_listing

_NAME = re.compile(r"(.+)-(\d{5,})-of-(\d{5,})((?:\.[0-9a-f]{8}(?=\.))?)((?:\..*)?)", re.DOTALL)
_MAX_MISSING = 100  # files of a set that are listed one by one


@dataclass(frozen=True)
class Member:
    """A shard of a set.

    Args:
        path: of the file.
        number: of the shard.
        count: number of shards after its pack.
        output: the name of the set.
    """

    path: Path
    number: int
    count: int
    output: Path

    @classmethod
    def of(cls, path: Path) -> "Member | None":
        """Return the member that a file's name means; None for a file without a number.

        >>> member = Member.of(Path("train-00001-of-00002.tfrecord"))
        >>> member.number, member.count, str(member.output)
        (1, 2, 'train.tfrecord')
        >>> str(Member.of(Path("train-00001-of-00002.4f2a9c01.tfrecord")).output)
        'train.tfrecord'
        """
        match = _NAME.fullmatch(path.name)
        if match is None:
            return None
        return cls(path, int(match[2]), int(match[3]), path.with_name(match[1] + match[5]))

    def sibling(self, number: int, count: int) -> Path:
        """Return the path of another shard of the set."""
        match = _NAME.fullmatch(self.path.name)
        if match is None:
            return self.path
        return self.path.with_name(_numbered(match[1], number, count, match[4] + match[5]))


def _numbered(stem: str, number: int, count: int, suffix: str) -> str:
    return f"{stem}-{number:05d}-of-{count:05d}{suffix}"


def shard_paths(
    output: Path, num_shards: int, *, num_before: int = 0, is_numbered: bool = True
) -> list[Path]:
    """Return the names of `num_shards` files, numbered from `num_before` on.

    Without `is_numbered`, a single file has the output's own name.

    >>> [path.name for path in shard_paths(Path("train.tfrecord"), 2)]
    ['train-00000-of-00002.tfrecord', 'train-00001-of-00002.tfrecord']
    >>> [path.name for path in shard_paths(Path("train.tfrecord"), 1, num_before=2)]
    ['train-00002-of-00003.tfrecord']
    """
    count = num_before + num_shards
    if count == 1 and not is_numbered:
        return [output]
    return [
        output.with_name(_numbered(output.stem, number, count, output.suffix))
        for number in range(num_before, count)
    ]


def marked(path: Path, mark: str) -> Path:
    """Return another name for a shard; `mark` has 8 hexadecimal digits.

    >>> marked(Path("train-00001-of-00002.h5"), "4f2a9c01").name
    'train-00001-of-00002.4f2a9c01.h5'
    >>> marked(Path("train.h5"), "4f2a9c01").name
    'train-00000-of-00001.4f2a9c01.h5'
    """
    if Member.of(path) is None:
        path = first_alias(path)
    return path.with_name(f"{path.stem}.{mark}{path.suffix}")


def is_marked(path: Path) -> bool:
    """Return True for a name that `marked` gave.

    >>> is_marked(Path("train-00001-of-00002.4f2a9c01.h5")), is_marked(Path("train.4f2a9c01.h5"))
    (True, False)
    """
    match = _NAME.fullmatch(path.name)
    return match is not None and bool(match[4])


def numbered_members(output: Path) -> list[Member]:
    """Return the numbered files of a set, in order."""
    found = members_below([output.parent], start=f"{output.stem}-", end=output.suffix)
    members = found.get(output, [])
    return members if is_in_store(output) else [each for each in members if not each.path.is_dir()]


def members_below(
    folders: Iterable[Path], start: str = "", end: str = ""
) -> dict[Path, list[Member]]:
    """Return the numbered files in some folders, by set and in order.

    Args:
        folders: to list.
        start: beginning of the names.
        end: end of the names.
    """
    found: defaultdict[Path, list[Member]] = defaultdict(list)
    for folder in dict.fromkeys(folders):
        for name in _numbered_names(folder, start, end):
            if member := Member.of(folder / name):
                found[member.output].append(member)
    return {
        output: sorted(members, key=lambda member: (member.number, member.count))
        for output, members in found.items()
    }


def _numbered_names(folder: Path, start: str, end: str) -> list[str]:
    try:
        return [
            name
            for name in _names_in(folder)
            if name.startswith(start) and name.endswith(end) and "-of-" in name
        ]
    except OSError:  # missing, or not readable
        return []


def _names_in(folder: Path) -> Iterable[str]:
    if not is_in_store(folder):
        return os.listdir(folder)
    return Listing.of(as_object(folder)).objects if has_listing(as_object(folder).root) else []


def members_of(output: Path) -> list[Path]:
    """Return all files of a set, in order; the plain one is the first."""
    plain = [output] if os.path.lexists(output) else []
    return plain + [member.path for member in numbered_members(output)]


def data_members(output: Path) -> list[Path]:
    """Return the files of a set with its samples, in order.

    Beside a number 0, the plain file is a virtual dataset, whose samples are those of the others.
    """
    numbered = numbered_members(output)
    plain = [output] if output.is_file() and not (numbered and numbered[0].number == 0) else []
    return plain + [member.path for member in numbered]


def num_shards_of(output: Path) -> int:
    """Count the shards of a set, with gaps; a plain file alone is one."""
    ends = (member.number + 1 for member in numbered_members(output))
    return max(ends, default=int(output.exists()))


def first_alias(output: Path) -> Path:
    """Return the numbered name of a plain file.

    A pattern that matches it means the plain file.
    """
    return shard_paths(output, 1)[0]


def in_order(paths: Iterable[Path]) -> list[Path]:
    """Sort by name, and within a set by number.

    A plain file sorts like number 0 of its set.

    >>> names = ["s-00001-of-00002.h5", "s.h5", "s-100000-of-100001.h5", "s-99999-of-100000.h5"]
    >>> [path.name for path in in_order(map(Path, names))]
    ['s.h5', 's-00001-of-00002.h5', 's-99999-of-100000.h5', 's-100000-of-100001.h5']
    """
    listed = list(paths)
    outputs = {member.output for member in map(Member.of, listed) if member}

    def rank(path: Path) -> tuple[Path, int, Path]:
        if member := Member.of(path):
            return first_alias(member.output), member.number, path
        return (first_alias(path), 0, path) if path in outputs else (path, 0, path)

    return sorted(listed, key=rank)


def strangers(paths: Iterable[Path]) -> Iterator[str]:
    """Yield a message for each two files that cannot be of one set by their names."""
    remedy = "they are of different packs; remove what is left of the older one, or open them apart"
    for output, members in _sets(paths).items():
        for lower, higher in itertools.pairwise(members):
            is_same_pack = lower.count == higher.count and lower.number < higher.number
            if not is_same_pack and not lower.count <= higher.number:
                yield with_location(
                    f"{lower.path.name} and {higher.path.name} do not belong together; {remedy}",
                    Location(output.parent),
                )


def missing(paths: Iterable[Path]) -> Iterator[str]:
    """Yield a message for each file that a set lacks, here and beside these files."""
    for output, members in _sets(paths).items():
        counts = sorted({member.count for member in members})
        present = {member.number for member in members}
        if len(present) < counts[-1]:  # others may lie beside those that are listed
            present |= {member.number for member in numbered_members(output)}
            present |= {0} if output.exists() else set()
        absent = (number for number in range(counts[-1]) if number not in present)
        for number in itertools.islice(absent, _MAX_MISSING):  # a name may claim any count
            count = next(count for count in counts if count > number)
            message = "a file of the set is missing; restore it, or pack again"
            yield with_location(message, Location(members[0].sibling(number, count)))
        if (more := counts[-1] - len(present) - _MAX_MISSING) > 0:
            message = f"{more:,} more files of the set are missing; restore them, or pack again"
            yield with_location(message, Location(output))


def _sets(paths: Iterable[Path]) -> dict[Path, list[Member]]:
    """Return output -> its members among the paths. The plain file is number 0."""
    listed = list(dict.fromkeys(paths))
    found: defaultdict[Path, list[Member]] = defaultdict(list)
    for member in map(Member.of, listed):
        if member:
            found[member.output].append(member)
    for path in listed:
        if path in found:
            found[path].append(Member(path, 0, 1, output=path))
    return {
        output: sorted(members, key=lambda member: (member.number, member.count))
        for output, members in found.items()
    }
