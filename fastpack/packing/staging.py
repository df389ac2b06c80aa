"""Staging: where the shards of one pack are made, and what a later pack keeps of them.

A hidden folder beside the output, `.NAME.packing`, in which stand

    fastpack.lock    marks the folder as ours; held by the one packer until it ends, in whatever way; the last to go
    plan.json        what is being packed, and how: another plan is never continued
    journal.jsonl    the finished shards, each noted once the disk has the shard and its index
    publish.json     once all are finished: the files that are replaced as a whole, see publication.py
    NAME...          the shards themselves, their indexes, the report and the virtual dataset

Before `publish.json` is there, nothing changes beside the folder, and a later pack with the same plan keeps the shards
that the journal lists. After it, a later pack completes the replacement.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

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
from fastpack.files.locked_folder import LOCK_NAME, LockedFolder, is_held, read_note
from fastpack.files.naming import members_of
from fastpack.files.publication import (
    DONE,
    PENDING,
    Publication,
    companions,
    concerns_sets,
    may_write,
    replaced_names,
    staging_folder,
    staging_folders,
)
from fastpack.files.shard import Shard
from fastpack.files.temporary import remove_leftovers
from fastpack.formats.index.index import Index
from fastpack.packing import journal
from fastpack.packing.journal import Finished
from fastpack.packing.rejects import Reject, report_text
from fastpack.packing.transcode import Transcodes

# Names of what makes up the source and the options -> JSON values; two packs are one when their plans are equal.
Plan = Mapping[str, Any]
_PLAN = "plan.json"
_RESUME = "pack the same with resume=True to go on"


class Staging:
    """The staging folder of one output, locked while this is open.

    Args:
        output: what the pack was asked to write; the folder is called after it.
        paths: the final names of all shards, in the output's folder.
        plan: what must be equal for finished shards of an earlier pack to be kept.
        outputs: the sets that the shards belong to; by default the output's.
        virtual_paths: the final names of files that show shards as one.
        report: the final name of the report on samples that were left out; written where there are any.
        append: the shards join those of the sets, instead of being all of them.
        resume: keep finished shards. Without, and without `overwrite`, an earlier pack that left any is an error.
        overwrite: replace all files of the sets.
        sync: wait for the disk before a shard counts as finished.

    Entering it makes and locks the folder; raises StagingBusyError, PlanChangedError or OutputExistsError.
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
        self._paths, self._sync = list(paths), sync
        self._outputs, self._virtual_paths = list(outputs) or [output], list(virtual_paths)
        self._report = report or report_path(output)
        self._location = LockedFolder(staging_folder(output))
        self._folder = self._location.path
        self._receipt = receipt_of(plan)
        names = {
            "shards": [path.name for path in paths],
            "outputs": [path.name for path in self._outputs],
        }
        self._plan = json.loads(json.dumps({**plan, **names}))
        self._append, self._resume, self._overwrite = append, resume, overwrite
        self._finished: dict[int, Finished] = {}
        self._is_published = False

    def __enter__(self) -> "Staging":
        """All that is done stands inside the `try`: wherever Ctrl-C interrupts it, what was made is removed again."""
        try:
            with os_errors_at(self._folder):
                self._location.lock()
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
        """Without finished shards there is nothing to continue, so nothing is left behind."""
        try:
            if self._folder.exists() and not self._finished:
                with suppress(OSError):
                    self._remove()
            elif error is not None and self._folder.exists():
                kept = (
                    f"{len(self._finished)} of {len(self._paths)} shards are kept in {self._folder}"
                )
                error.add_note(f"{kept}; {_RESUME}, or with overwrite=True to start over")
        finally:
            self._location.unlock()

    def path(self, number: int) -> Path:
        """Where shard `number` is made."""
        return self.staged(self._paths[number])

    def staged(self, final: Path) -> Path:
        """Where a file of that name is made."""
        return self._folder / final.name

    def is_finished(self, number: int) -> bool:
        return number in self._finished

    @property
    def is_published(self) -> bool:
        """Whether an earlier pack with this plan got as far as to give all files their names."""
        return self._is_published

    @property
    def rejects(self) -> list[Reject]:
        """What was left out of the finished shards, in the order of the source."""
        return sorted(
            (reject for one in self._finished.values() for reject in one.rejects),
            key=lambda reject: reject.sample,
        )

    @property
    def transcodes(self) -> Transcodes | None:
        """What became of the JPEGs of the finished shards, where they were to be made fast."""
        found = [one.transcodes for one in self._finished.values() if one.transcodes is not None]
        return Transcodes.joined(found) if found else None

    def finish(
        self,
        number: int,
        index: Index,
        rejects: Sequence[Reject] = (),
        transcodes: Transcodes | None = None,
    ) -> None:
        """The shard is complete, and `index` is what was found in it: from here on it is kept. `rejects` were left out of it;
        `transcodes` became of its JPEGs."""
        path, shard = self.path(number), index.shards[0]
        finished = Finished(shard.size, shard.fingerprint, len(index), tuple(rejects), transcodes)
        with os_errors_at(path):
            if self._sync:
                sync_path(path)
            replace(index, receipt=self._receipt).save(index_path(path), sync=self._sync)
            journal.note(self._folder, finished.entry(number), sync=self._sync)
        self._finished[number] = finished

    def publish(self, rejects: Sequence[Reject] = ()) -> None:
        """Everything takes its final name; the report says of `rejects` why they were left out."""
        with os_errors_at(self._folder):
            if not self._is_published:
                publication = self._publication(rejects)
                publication.begin(sync=self._sync)
                publication.complete(sync=self._sync)
            self._remove()

    def _publication(self, rejects: Sequence[Reject]) -> Publication:
        """The report comes first, so that no shard is ever seen whose samples are missing in silence."""
        if rejects:
            self._stage_report(rejects)
        shards = [file for path in self._paths for file in (path, index_path(path))]
        files = [*([self._report] if rejects else []), *shards, *self._virtual_paths]
        new = tuple(file.name for file in files if self.staged(file).exists())
        if self._append:
            old = tuple(
                file.name
                for virtual in self._virtual_paths
                for file in companions(virtual)
                if file.exists()
            )
        else:
            old = replaced_names(self._outputs, new)
        entries = [finished.entry(number) for number, finished in self._finished.items()]
        return Publication(self._folder, new, old, {"plan": self._plan, "shards": entries})

    def _stage_report(self, rejects: Sequence[Reject]) -> None:
        staged = self.staged(self._report)
        staged.write_text(report_text(rejects))
        if self._sync:
            sync_path(staged)

    # What an earlier pack left.

    def _earlier(self) -> dict[int, Finished]:
        """The finished shards that are kept."""
        if (self._folder / DONE).exists():
            found = self._published()
            self._is_published = len(found) == len(self._paths)
            if self._is_published:
                return found
            self._clear()
        found = journal.read_journal(self._folder, len(self._paths))
        if found and self._resume:
            self._refuse_other_plan()
            kept = {number: facts for number, facts in found.items() if self._stands(number, facts)}
            self._remove_halves(kept)
            return kept
        if found and not self._overwrite:
            stopped = f"an earlier pack stopped after {len(found)} of its shards"
            message = f"{stopped}; {_RESUME}, or with overwrite=True to start over"
            raise OutputExistsError(with_location(message, Location(self._folder)))
        self._clear()
        with atomic_write(self._folder / _PLAN, sync=self._sync) as temporary:
            temporary.write_text(json.dumps(self._plan))
        return {}

    def _published(self) -> dict[int, Finished]:
        """The shards of a pack with this plan that gave all files their names, and was stopped before this folder was gone."""
        with suppress(FastpackError):  # a damaged note: what it says is done already
            done = Publication.load(self._folder, DONE)
            if self._resume and done is not None and done.pack.get("plan") == self._plan:
                return journal.finished_of(done.pack.get("shards") or (), len(self._paths))
        return {}

    def _refuse_other_plan(self) -> None:
        earlier = read_plan(self._folder)
        if earlier is None:
            message = "the notes of the earlier pack are damaged; pack with overwrite=True and without resume=True, or delete the folder"
            raise PlanChangedError(with_location(message, Location(self._folder / _PLAN)))
        names = [
            name
            for name in self._plan.keys() | earlier.keys()
            if self._plan.get(name) != earlier.get(name)
        ]
        if names:
            differences = ", ".join(
                f"{name} ({_brief(earlier.get(name))} then, {_brief(self._plan.get(name))} now)"
                for name in sorted(names)
            )
            remedy = (
                "pack as before, or pack with overwrite=True and without resume=True to start over"
            )
            raise PlanChangedError(
                with_location(
                    f"this is not the pack that was begun: {differences}; {remedy}",
                    Location(self._folder),
                )
            )

    def _stands(self, number: int, finished: Finished) -> bool:
        """Whether the shard that the journal lists is there."""
        path = self.path(number)
        if not path.is_file():
            return False
        shard = Shard.of(path, "")
        return (shard.size, shard.fingerprint) == (finished.size, finished.fingerprint)

    def _refuse_crossing(self) -> None:
        """Raises StagingBusyError when a pack that runs now, to another output, writes a file of the same set."""
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
                message = "another pack writes files of the same names now; wait for it, or choose another name"
                raise StagingBusyError(with_location(message, Location(folder)))

    def _refuse_existing(self) -> None:
        for path in (
            *self._paths,
            *map(index_path, self._paths),
            *self._virtual_paths,
            self._report,
        ):
            if path.is_dir():
                raise OutputExistsError(
                    with_location(
                        "a folder has the output's name; choose another name, or move the folder",
                        Location(path),
                    )
                )
        if self._overwrite or self._is_published:
            return
        if self._report.exists():
            message = "a report of an earlier pack is there already; ask for overwrite, or choose another name"
            raise OutputExistsError(with_location(message, Location(self._report)))
        in_the_way = (
            self._paths
            if self._append
            else [path for output in self._outputs for path in members_of(output)]
        )
        for path in in_the_way:
            if os.path.lexists(path):
                raise OutputExistsError(
                    with_location(
                        "the output is there already; ask for overwrite, or choose another name",
                        Location(path),
                    )
                )

    def _remove_halves(self, kept: Mapping[int, Any]) -> None:
        """What an earlier pack had begun and not finished."""
        whole = {
            path.name
            for number in kept
            for path in (self.path(number), index_path(self.path(number)))
        }
        for member in self._folder.iterdir():
            if member.name not in whole | {LOCK_NAME, _PLAN, journal.NAME}:
                member.unlink()

    def _clear(self) -> None:
        """The journal goes before the plan, so that a pack that finds it finds what it needs."""
        self._location.clear(last=[journal.NAME, _PLAN, DONE])

    def _remove(self) -> None:
        self._location.remove(last=[journal.NAME, _PLAN, DONE])

    def _withdraw(self) -> None:
        """Removes all that this pack made, unless another pack holds the lock or there is something to go on with."""
        try:
            with suppress(OSError):  # no folder was made, or another packer has it
                if self._location.relock() and {journal.NAME, PENDING, DONE}.isdisjoint(
                    os.listdir(self._folder)
                ):
                    self._remove()
        finally:
            self._location.unlock()


def receipt_of(plan: Plan) -> str:
    """What the indexes of finished shards say of their pack."""
    return hashlib.blake2b(json.dumps(plan, sort_keys=True).encode(), digest_size=16).hexdigest()


def read_plan(folder: Path) -> dict[str, Any] | None:
    """The plan of the pack whose staging folder this is; None when it is missing or damaged."""
    try:
        return dict(json.loads(read_note(folder / _PLAN)))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def interrupted_names(output: Path) -> list[str]:
    """What the shards of an earlier pack are to be called, when it left any."""
    folder = staging_folder(output)
    plan: Any = read_plan(folder) if (folder / journal.NAME).exists() else None
    with suppress(FastpackError):
        if (done := Publication.load(folder, DONE)) is not None:
            plan = done.pack.get("plan")
    return [name for name in _names(plan, "shards") if may_write(folder, name)]


def _names(plan: Any, key: str) -> list[str]:
    """The file names that a plan has under a key; none where it is damaged."""
    names = plan.get(key) if isinstance(plan, dict) else None
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
