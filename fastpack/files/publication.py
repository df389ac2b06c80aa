"""Publication: replaces the files of a set as a whole, even if the pack is killed.

A pack makes its files in a staging folder. When all are on the disk, it writes `publish.json`
there, with the names of old and new files. From then on the new files count. The old files are
removed, the new ones renamed, and `publish.json` becomes `published.json`. Each step can be
repeated, so a later pack completes an interrupted change. Until then `open` refuses the set: a
reader sees the old files, the new ones or an error, never both.
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
from fastpack.files.companions import former_index_path, index_path, manifest_path, report_path
from fastpack.files.locked_folder import LOCK_NAME, LockedFolder, is_ours, read_note
from fastpack.files.naming import Member, members_of
from fastpack.files.table_file import is_table_file

PENDING, DONE = "publish.json", "published.json"
_SUFFIX = ".packing"


@dataclass(frozen=True)
class Publication:
    """The change of the files beside a staging folder.

    Args:
        folder: the staging folder.
        new: names of staged files, in the order of renaming.
        old: names of files that are removed first.
        pack: JSON values by which a resumed pack recognizes its own work.
    """

    folder: Path
    new: tuple[str, ...]
    old: tuple[str, ...]
    pack: Mapping[str, Any]

    @classmethod
    def load(cls, folder: Path, name: str = PENDING) -> "Publication | None":
        """Read the pending publication of a folder; with `DONE`, the completed one.

        Returns None if there is no such note. Raises FormatError if it is damaged.
        """
        try:
            facts = json.loads(read_note(folder / name))
            new = tuple(_checked(each, folder) for each in facts["new"])
            old = tuple(_checked(each, folder) for each in facts["old"])
            return cls(folder, new, old, dict(facts["pack"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            message = f"the note of an interrupted pack is damaged ({error})"
            remedy = "move the files of its folder to where they belong, then delete the folder"
            text = with_location(f"{message}; {remedy}", Location(folder / name))
            raise FormatError(text) from error

    def begin(self, *, sync: bool) -> None:
        """Write the note. The new files count from now on."""
        with atomic_write(self.folder / PENDING, sync=sync) as temporary:
            temporary.write_text(json.dumps({"new": self.new, "old": self.old, "pack": self.pack}))

    def complete(self, *, sync: bool) -> None:
        """Remove the old files and rename the new ones; both may be done in part already."""
        above = self.folder.parent
        staged = {name for name in self.new if (self.folder / name).exists()}
        renamed = [name for name in self.new if name not in staged]
        if lost := [name for name in renamed if not (above / name).exists()]:
            message = "a new file of the set is missing; delete the folder and pack again"
            raise FormatError(with_location(message, Location(self.folder / lost[0])))
        for name in self.old:
            if name not in renamed:  # otherwise the file of that name is the new one already
                (above / name).unlink(missing_ok=True)
        for name in self.new:
            if name in staged:
                os.replace(self.folder / name, above / name)
        if sync:
            sync_path(above)
            sync_path(self.folder)
        os.replace(self.folder / PENDING, self.folder / DONE)

    def concerns(self, names: Iterable[str]) -> bool:
        """Return True if one of these files is removed or made."""
        return not {*self.new, *self.old}.isdisjoint(names)


def staging_folder(output: Path) -> Path:
    """Return the staging folder of a pack, such as `.train.tfrecord.packing`."""
    return output.with_name(f".{output.name}{_SUFFIX}")


def is_staging_name(name: str) -> bool:
    """Return True for the name of a staging folder."""
    return name.startswith(".") and name.endswith(_SUFFIX)


def staging_folders(parent: Path, names: Collection[str] | None = None) -> list[Path]:
    """Return staging folders of packs that may write these files, or any (None)."""
    try:
        listed = sorted(filter(is_staging_name, os.listdir(parent)))
    except OSError:  # not readable by this user
        return []
    folders = [parent / name for name in listed]
    return [
        folder
        for folder in folders
        if (names is None or any(may_write(folder, name) for name in names)) and _is_staging(folder)
    ]


def may_write(folder: Path, name: str) -> bool:
    """Return True if a pack with that staging folder may write a file so named."""
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
    """Return the companions of a shard: its indexes, report, and offsets for DALI."""
    offsets = shard.with_name(f"{shard.name}.idx")
    return [index_path(shard), former_index_path(shard), report_path(shard), offsets]


_ENDINGS = tuple(path.name[1:] for path in (*companions(Path("x")), manifest_path(Path("x"))))


def replaced_manifests(outputs: Iterable[Path]) -> tuple[str, ...]:
    """Return the names of the manifests of sets whose shards change; not other programs' files."""
    return tuple(path.name for path in map(manifest_path, outputs) if is_table_file(path))


def replaced_names(outputs: Iterable[Path], new: Iterable[str]) -> tuple[str, ...]:
    """Return the names of all present files of the sets: manifests, shards, then companions.

    If one file replaces one file of the same name, it is not removed: the rename replaces it.
    """
    outputs = list(outputs)
    shards = [member for output in outputs for member in members_of(output)]
    beside = [file for shard in dict.fromkeys([*outputs, *shards]) for file in companions(shard)]
    names = [path.name for path in shards]
    others = {path.name for path in (*beside, *map(manifest_path, outputs))}
    is_one_for_one = names == [name for name in new if name not in others] and len(names) == 1
    return (
        *replaced_manifests(outputs),  # first: a manifest must not describe other shards
        *([] if is_one_for_one else names),
        *(path.name for path in beside if path.is_file() or path.is_symlink()),
    )


def complete_pending(output: Path, outputs: Iterable[Path], *, sync: bool = True) -> None:
    """Complete pending publications of `output`, and of sets that share its files.

    Raises StagingBusyError while another program does so, FormatError if a note is damaged.

    Args:
        output: the name of the set to write.
        outputs: the sets whose files may be replaced.
        sync: wait for the disk.
    """
    own, outputs = staging_folder(output), list(outputs)
    for folder in staging_folders(output.parent):
        if folder != own and concerns_sets(_coming(folder), outputs):
            _complete(folder, is_kept=False, sync=sync)
        if folder == own and (Publication.load(folder) is not None or _is_bare(folder)):
            _complete(folder, is_kept=True, sync=sync)


def _coming(folder: Path) -> tuple[str, ...]:
    """Return the files that a pack began to publish; () if its note is damaged."""
    with contextlib.suppress(FormatError):
        if (publication := Publication.load(folder)) is not None:
            return publication.new
    return ()


def _complete(folder: Path, *, is_kept: bool, sync: bool) -> None:
    locked = LockedFolder(folder)
    try:
        locked.lock()
        publication = Publication.load(folder)
        if publication is not None:  # otherwise another program was faster
            publication.complete(sync=sync)
        if not is_kept or _is_bare(folder):
            locked.remove(last=[DONE])
    finally:
        locked.unlock()


def _is_bare(folder: Path) -> bool:
    """Return True if only the lock is left of a folder that a pack was removing."""
    return set(os.listdir(folder)) <= {LOCK_NAME}


def concerns_sets(names: Collection[str], outputs: Iterable[Path]) -> bool:
    """Return True if one of the names belongs to these sets."""
    sets = [member.output.name for member in map(Member.of, map(Path, names)) if member]
    return not {output.name for output in outputs}.isdisjoint([*names, *sets])


def unfinished_files(folder: Path, pattern: str) -> list[Path]:
    """Return files of pending publications that match a pattern or a set's name."""
    names = [name for each in staging_folders(folder) for name in _coming(each)]
    members = {name: member.output.name for name in names if (member := Member.of(Path(name)))}
    return [
        folder / name
        for name in names
        if fnmatch.fnmatchcase(name, pattern) or members.get(name) == pattern
    ]


def refuse_unfinished(paths: Iterable[Path]) -> None:
    """Raise MixedSetError if a pack replaces one of the files, or was killed then."""
    listed = list(paths)
    for parent in dict.fromkeys(path.parent for path in listed):
        names = {path.name for path in listed if path.parent == parent}
        for folder in staging_folders(parent, names):
            publication = Publication.load(folder)
            if publication is not None and publication.concerns(names):
                message = "a pack is replacing the files of this set, or was stopped doing so"
                remedy = "wait for it, or pack the same with resume=True"
                raise MixedSetError(with_location(f"{message}; {remedy}", Location(folder)))


def _checked(name: object, folder: Path) -> str:
    """Return a name that a pack with that staging folder may write. Raises ValueError."""
    if not isinstance(name, str) or not may_write(folder, name):
        raise ValueError(f"{name!r} is not a name that it may change")
    return name
