"""Staging: the hidden folder in which the shards of one pack are written.

The folder `.NAME.packing` beside the output holds:

- `fastpack.lock`: marks the folder as fastpack's. The pack locks it until its process ends. It is
  removed last.
- `plan.json`: source and options. Only a pack with the same plan can resume.
- `journal.jsonl`: the finished shards. A shard is noted once it and its index are on disk.
- `publish.json`: written after the last shard: the files to replace, see publication.py.
- shards, their indexes, the report and virtual datasets.

Before `publish.json` exists, nothing outside the folder changes. A later pack with the same plan
keeps the shards of the journal. After that, a later pack completes the replacement.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from fastpack.core.plural import counted
from fastpack.errors import (
    FastpackError,
    Location,
    OutputExistsError,
    PlanChangedError,
    StagingBusyError,
    os_errors_at,
    with_location,
)
from fastpack.files.atomic import atomic_write, sync_path
from fastpack.files.companions import index_path, report_path
from fastpack.files.free_space import require_free_space
from fastpack.files.locked_folder import LOCK_NAME, is_held, read_note
from fastpack.files.naming import members_of
from fastpack.files.publication import (
    DONE,
    PENDING,
    Publication,
    companions,
    concerns_sets,
    may_write,
    replaced_manifests,
    replaced_names,
    staging_folder,
    staging_folders,
)
from fastpack.files.temporary import remove_leftovers
from fastpack.formats.index.index import Index
from fastpack.packing import journal
from fastpack.packing.journal import Finished
from fastpack.packing.pack_folder import START_OVER, PackFolder, Plan, refuse_other_plan, stands
from fastpack.packing.rejects import Reject, report_text
from fastpack.packing.transcode import Transcodes

_PLAN = "plan.json"


class Staging(PackFolder):
    """The staging folder of one output, locked inside a `with` block.

    Entering the block raises StagingBusyError, PlanChangedError or OutputExistsError.

    Args:
        output: the output; the folder is named after it.
        paths: final names of all shards.
        plan: must equal the earlier pack's plan to keep its finished shards.
        outputs: the sets that the shards belong to; by default the output.
        virtual_paths: final names of virtual datasets.
        report: final name of the report on rejects; written if there are any.
        append: the shards join those of the sets instead of replacing them.
        resume: keep finished shards of an earlier pack. Without `resume` and `overwrite`, such
            shards are an error.
        overwrite: replace all files of the sets.
        sync: wait until a shard is on disk before it counts as finished.
    """

    def __init__(
        self,
        output: Path,
        paths: Sequence[Path],
        plan: Plan,
        *,
        outputs: Sequence[Path] = (),
        virtual_paths: Sequence[Path] = (),
        report: Path | None = None,
        append: bool = False,
        resume: bool = False,
        overwrite: bool = False,
        sync: bool = True,
    ) -> None:
        self._outputs, self._virtual_paths = list(outputs) or [output], list(virtual_paths)
        names = [path.name for path in self._outputs]
        super().__init__(staging_folder(output), paths, plan, names, sync=sync)
        self._report = report or report_path(output)
        self._append, self._resume, self._overwrite = append, resume, overwrite

    def __enter__(self) -> "Staging":
        """Make and lock the folder; an error or Ctrl-C at any point removes it."""
        try:
            with os_errors_at(self._folder):
                self._lock.lock()
                remove_leftovers(self._folder.parent)
                if (pending := Publication.load(self._folder)) is not None:
                    pending.complete(sync=self._sync)
                self._finished = self._earlier()
                self._refuse_crossing()
                self._refuse_existing()
            return self
        except BaseException:
            self._withdraw()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the folder if no shard is finished; else add a note to the error."""
        try:
            if self._folder.exists() and not self._finished:
                with suppress(OSError):
                    self._remove()
            elif error is not None and self._folder.exists():
                kept = f"{len(self._finished)} of {len(self._paths)} shards are kept"
                error.add_note(f"{kept} in {self._folder}; {START_OVER}")
            if isinstance(error, KeyboardInterrupt) and not self._finished:
                kept = "no shard was finished, so nothing is kept"
                error.add_note(f"{kept}; with shards=..., resume=True can keep finished ones")
        finally:
            self._lock.unlock()

    def begin(self, number: int) -> None:
        """Get ready for a shard: here there is nothing to wait for."""

    def require_space(self, num_bytes: Sequence[int]) -> None:
        """Raise UnreadableFileError if the disk has no room for shards of these sizes."""
        require_free_space(self._folder.parent, sum(num_bytes))

    def finish(
        self,
        number: int,
        index: Index,
        rejects: Sequence[Reject] = (),
        transcodes: Transcodes | None = None,
    ) -> None:
        """Note a complete shard, so that a later pack keeps it.

        Args:
            number: number of the shard.
            index: its index.
            rejects: samples that were left out of it.
            transcodes: counts of its JPEGs.
        """
        self._note_finished(number, index, rejects, transcodes)

    def publish(self, rejects: Sequence[Reject] = ()) -> None:
        """Give all files their final names; the report lists `rejects`."""
        with os_errors_at(self._folder):
            if not self._is_published:
                publication = self._publication(rejects)
                publication.begin(sync=self._sync)
                publication.complete(sync=self._sync)
            self._remove()

    def _publication(self, rejects: Sequence[Reject]) -> Publication:
        """List the files to rename and to remove. The report comes before the shards."""
        files = [file for path in self._paths for file in (path, index_path(path))]
        files += self._virtual_paths
        if rejects:
            self._stage_report(rejects)
            files.insert(0, self._report)
        new = tuple(file.name for file in files if self.staged(file).exists())
        if self._append:
            beside = (file for virtual in self._virtual_paths for file in companions(virtual))
            manifests = replaced_manifests(self._outputs)
            old = (*manifests, *(file.name for file in beside if file.exists()))
        else:
            old = replaced_names(self._outputs, new)
        entries = [finished.entry(number) for number, finished in self._finished.items()]
        return Publication(self._folder, new, old, {"plan": self._plan, "shards": entries})

    def _stage_report(self, rejects: Sequence[Reject]) -> None:
        staged = self.staged(self._report)
        staged.write_text(report_text(rejects))
        if self._sync:
            sync_path(staged)

    # Files of an earlier pack.

    def _earlier(self) -> dict[int, Finished]:
        """Return the finished shards to keep, and remove or refuse others."""
        if (self._folder / DONE).exists():
            found = self._published()
            self._is_published = len(found) == len(self._paths)
            if self._is_published:
                return found
            self._clear()
        found = journal.read_journal(self._folder, len(self._paths))
        if found and self._resume:
            self._refuse_other_plan()
            kept = {n: facts for n, facts in found.items() if stands(self.path(n), facts)}
            self._remove_halves(kept)
            return kept
        if found and not self._overwrite:
            message = f"an earlier pack stopped after {counted(len(found), 'shard')}"
            raise OutputExistsError(
                with_location(f"{message}; {START_OVER}", Location(self._folder))
            )
        self._clear()
        with atomic_write(self._folder / _PLAN, sync=self._sync) as temporary:
            temporary.write_text(json.dumps(self._plan))
        return {}

    def _published(self) -> dict[int, Finished]:
        """Return the shards if a pack with this plan only failed to remove the folder."""
        with suppress(FastpackError):  # a damaged file: all that it lists is done
            done = Publication.load(self._folder, DONE)
            if self._resume and done is not None and done.pack.get("plan") == self._plan:
                return journal.finished_of(done.pack.get("shards") or (), len(self._paths))
        return {}

    def _refuse_other_plan(self) -> None:
        earlier = read_plan(self._folder)
        if earlier is None:
            message = "the earlier pack's plan is damaged"
            remedy = "pack with overwrite=True and without resume=True, or delete the folder"
            location = Location(self._folder / _PLAN)
            raise PlanChangedError(with_location(f"{message}; {remedy}", location))
        refuse_other_plan(earlier, self._plan, self._folder)

    def _refuse_crossing(self) -> None:
        """Raise StagingBusyError if a pack to another output writes to this set."""
        ours = [path.name for path in self._paths]
        for folder in staging_folders(self._folder.parent):
            plan = read_plan(folder) if folder != self._folder else None
            if plan is None:
                continue
            their_outputs = map(Path, _names(plan, "outputs"))
            is_crossing = concerns_sets(_names(plan, "shards"), self._outputs) or concerns_sets(
                ours, their_outputs
            )
            if is_crossing and is_held(folder):
                message = "another pack is writing files of the same names"
                remedy = "wait for it, or choose another name"
                raise StagingBusyError(with_location(f"{message}; {remedy}", Location(folder)))

    def _refuse_existing(self) -> None:
        indexes = map(index_path, self._paths)
        for path in (*self._paths, *indexes, *self._virtual_paths, self._report):
            if path.is_dir():
                message = "a folder has the output's name; choose another name, or move the folder"
                raise OutputExistsError(with_location(message, Location(path)))
        if self._overwrite or self._is_published:
            return
        remedy = "ask for overwrite, or choose another name"
        if self._report.exists():
            message = "a report of an earlier pack exists already"
            raise OutputExistsError(with_location(f"{message}; {remedy}", Location(self._report)))
        in_the_way = self._paths
        if not self._append:
            in_the_way = [path for output in self._outputs for path in members_of(output)]
        for path in in_the_way:
            if os.path.lexists(path):
                message = "the output exists already"
                raise OutputExistsError(with_location(f"{message}; {remedy}", Location(path)))

    def _remove_halves(self, kept: Mapping[int, Any]) -> None:
        """Remove the shards that an earlier pack did not finish."""
        shards = [self.path(number) for number in kept]
        whole = {path.name for path in (*shards, *map(index_path, shards))}
        for member in self._folder.iterdir():
            if member.name not in whole | {LOCK_NAME, _PLAN, journal.NAME}:
                member.unlink()

    def _clear(self) -> None:
        """Empty the folder; the journal goes before the plan, since it needs one."""
        self._lock.clear(last=[journal.NAME, _PLAN, DONE])

    def _remove(self) -> None:
        self._lock.remove(last=[journal.NAME, _PLAN, DONE])

    def _withdraw(self) -> None:
        """Remove the folder, unless another pack holds the lock or shards can be resumed."""
        resumable = {journal.NAME, PENDING, DONE}
        try:
            with suppress(OSError):  # there is no folder, or another pack has it
                if self._lock.relock() and resumable.isdisjoint(os.listdir(self._folder)):
                    self._remove()
        finally:
            self._lock.unlock()


def read_plan(folder: Path) -> dict[str, Any] | None:
    """Read the plan in a staging folder; None if it is missing or damaged."""
    try:
        return dict(json.loads(read_note(folder / _PLAN)))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def interrupted_names(output: Path) -> list[str]:
    """Return the final names of the shards that an interrupted pack left."""
    folder = staging_folder(output)
    plan: Any = read_plan(folder) if (folder / journal.NAME).exists() else None
    with suppress(FastpackError):
        if (done := Publication.load(folder, DONE)) is not None:
            plan = done.pack.get("plan")
    return [name for name in _names(plan, "shards") if may_write(folder, name)]


def _names(plan: Any, key: str) -> list[str]:
    """Return the file names in a plan; an empty list if it is damaged."""
    names = plan.get(key) if isinstance(plan, dict) else None
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
