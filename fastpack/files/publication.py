"""Publication: how the files of a set are replaced as a whole, whatever stops the pack.

A pack makes its files in a staging folder. When all are on the disk it writes `publish.json` there: the names that go,
and the names that come. From then on the new files are the ones that count. The old files are removed, the new ones
renamed, and `publish.json` becomes `published.json`. Each step may be repeated, so a later pack completes what a kill
cut short. Until then `open` refuses the set: a reader sees the old files, the new ones or an error, never both.
"""

import contextlib
import fnmatch
import json
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastpack.errors import FormatError, Location, MixedSetError, with_location
from fastpack.files.atomic import atomic_write, sync_path
from fastpack.files.companions import index_path, report_path
from fastpack.files.locked_folder import LOCK_NAME, LockedFolder, is_ours, read_note
from fastpack.files.naming import Member, members_of

PENDING, DONE = "publish.json", "published.json"
_SUFFIX = ".packing"


@dataclass(frozen=True)
class Publication:
    """The change of the files beside a staging folder.

    Args:
        folder: the staging folder.
        new: names of staged files, in the order in which they take their names.
        old: names of files that are removed first.
        pack: JSON values by which the pack knows itself again.
    """

    folder: Path
    new: tuple[str, ...]
    old: tuple[str, ...]
    pack: Mapping[str, Any]

    @classmethod
    def load(cls, folder: Path, name: str = PENDING) -> "Publication | None":
        """What a pack began to publish from `from_folder`; with `DONE`, what it published. None when there is no such note.

        Raises FormatError when the note is damaged.
        """
        try:
            facts = json.loads(read_note(folder / name))
            new, old = (
                tuple(_checked(each, folder) for each in facts[key]) for key in ("new", "old")
            )
            return cls(folder, new, old, dict(facts["pack"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            remedy = "move the files of its folder to where they belong, then delete the folder"
            raise FormatError(
                with_location(
                    f"the note of an interrupted pack is damaged ({error}); {remedy}",
                    Location(folder / name),
                )
            ) from error

    def begin(self, *, sync: bool) -> None:
        """Decides that the new files count from now on."""
        with atomic_write(self.folder / PENDING, sync=sync) as temporary:
            temporary.write_text(json.dumps({"new": self.new, "old": self.old, "pack": self.pack}))

    def complete(self, *, sync: bool) -> None:
        """Removes the old files and renames the new ones, or what is left of both."""
        above = self.folder.parent
        staged = {name for name in self.new if (self.folder / name).exists()}
        if lost := [
            name for name in self.new if name not in staged and not (above / name).exists()
        ]:
            message = "a file that takes its name now is gone; delete the folder and pack again"
            raise FormatError(with_location(message, Location(self.folder / lost[0])))
        for name in self.old:
            if (
                name in staged or name not in self.new
            ):  # else the file of that name is the new one already
                (above / name).unlink(missing_ok=True)
        for name in self.new:
            if name in staged:
                os.replace(self.folder / name, above / name)
        if sync:
            sync_path(above)
            sync_path(self.folder)
        os.replace(self.folder / PENDING, self.folder / DONE)

    def concerns(self, names: Iterable[str]) -> bool:
        return not {*self.new, *self.old}.isdisjoint(names)


def staging_folder(output: Path) -> Path:
    """`.train.tfrecord.packing`, say."""
    return output.with_name(f".{output.name}{_SUFFIX}")


def staging_folders(parent: Path, names: Collection[str] | None = None) -> list[Path]:
    """The staging folders of packs that may write files of these names, or any file there."""
    try:
        listed = sorted(
            name for name in os.listdir(parent) if name.startswith(".") and name.endswith(_SUFFIX)
        )
    except OSError:  # it cannot be listed by this user
        return []
    folders = [parent / name for name in listed]
    related = [
        folder
        for folder in folders
        if names is None or [name for name in names if may_write(folder, name)]
    ]
    return [folder for folder in related if _is_staging(folder)]


def may_write(folder: Path, name: str) -> bool:
    """Whether a pack with that staging folder may write a file of that name: all of them begin and end alike."""
    output = Path(folder.name[1 : -len(_SUFFIX)])
    shard = next((name.removesuffix(ending) for ending in _ENDINGS if name.endswith(ending)), name)
    is_plain = "/" not in name and "\0" not in name and name not in ("", ".", "..")
    return is_plain and shard.startswith(output.stem) and shard.endswith(output.suffix)


def _is_staging(folder: Path) -> bool:
    try:
        return is_ours(folder)
    except OSError:
        return False


def companions(shard: Path) -> list[Path]:
    """What belongs to a file of a set and is of no use without it: its index, its report, and its offsets for DALI."""
    return [index_path(shard), report_path(shard), shard.with_name(f"{shard.name}.idx")]


_ENDINGS = tuple(path.name[1:] for path in companions(Path("x")))


def replaced_names(outputs: Iterable[Path], new: Iterable[str]) -> tuple[str, ...]:
    """The names of all files of the sets that are there, as `Publication` takes them; the shards come first.

    One file that replaces one file of the same name does so in one step, so it is not removed before.
    """
    outputs = list(outputs)
    shards = [member for output in outputs for member in members_of(output)]
    beside = [file for shard in dict.fromkeys([*outputs, *shards]) for file in companions(shard)]
    names = [path.name for path in shards]
    is_one_for_one = len(names) == 1 and _shard_names(new, beside) == names
    return (
        *([] if is_one_for_one else names),
        *(path.name for path in beside if path.is_file() or path.is_symlink()),
    )


def _shard_names(names: Iterable[str], beside: Iterable[Path]) -> list[str]:
    companion_names = {path.name for path in beside}
    return [name for name in names if name not in companion_names]


def complete_pending(output: Path, outputs: Iterable[Path], *, sync: bool = True) -> None:
    """Completes what packs to `output`, or to others that share files with `outputs`, began to publish.

    Raises StagingBusyError while another program does so, FormatError when the notes are damaged.
    """
    own, outputs = staging_folder(output), list(outputs)
    for folder in staging_folders(output.parent):
        if folder != own and concerns_sets(_coming(folder), outputs):
            _complete(folder, is_kept=False, sync=sync)
        if folder == own and (Publication.load(folder) is not None or _is_bare(folder)):
            _complete(folder, is_kept=True, sync=sync)


def _coming(folder: Path) -> tuple[str, ...]:
    """The names of files that a pack began to publish; none where its note is damaged."""
    with contextlib.suppress(FormatError):
        if (publication := Publication.load(folder)) is not None:
            return publication.new
    return ()


def _complete(folder: Path, *, is_kept: bool, sync: bool) -> None:
    locked = LockedFolder(folder)
    try:
        locked.lock()
        if (publication := Publication.load(folder)) is not None:  # else another program was faster
            publication.complete(sync=sync)
        if not is_kept or _is_bare(folder):
            locked.remove(last=[DONE])
    finally:
        locked.unlock()


def _is_bare(folder: Path) -> bool:
    """Whether a pack was stopped when all but the folder and its lock was removed."""
    return set(os.listdir(folder)) <= {LOCK_NAME}


def concerns_sets(names: Collection[str], outputs: Iterable[Path]) -> bool:
    """Whether one of the names is of a file of these sets."""
    sets = [member.output.name for member in map(Member.of, map(Path, names)) if member]
    return not {output.name for output in outputs}.isdisjoint([*names, *sets])


def unfinished_files(folder: Path, pattern: str) -> list[Path]:
    """The files that match a pattern, or are of the set of that name, and come with a publication that is not complete."""
    names = [name for each in staging_folders(folder) for name in _coming(each)]
    members = {name: member.output.name for name in names if (member := Member.of(Path(name)))}
    return [
        folder / name
        for name in names
        if fnmatch.fnmatchcase(name, pattern) or members.get(name) == pattern
    ]


def refuse_unfinished(paths: Iterable[Path]) -> None:
    """Raises MixedSetError when one of the files is being replaced, or a pack was stopped while it replaced them."""
    listed = list(paths)
    for parent in dict.fromkeys(path.parent for path in listed):
        names = {path.name for path in listed if path.parent == parent}
        for folder in staging_folders(parent, names):
            publication = Publication.load(folder)
            if publication is not None and publication.concerns(names):
                message = (
                    "the files of this set are being replaced, or the pack that did so was stopped"
                )
                remedy = "wait for it, or pack the same with resume=True"
                raise MixedSetError(with_location(f"{message}; {remedy}", Location(folder)))


def _checked(name: object, folder: Path) -> str:
    """The name of a file that a pack with that staging folder may write. Raises ValueError."""
    if not isinstance(name, str) or not may_write(folder, name):
        raise ValueError(f"{name!r} is not a name that it may change")
    return name
