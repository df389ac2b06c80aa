"""StoreStaging: one pack to a store, from local scratch files to the manifest.

Shards are written in a locked scratch folder, as they are for a local output. A finished one is
uploaded while the next are written, then its index, then its receipt; then its file is removed.
The manifests of the sets are put last, each by one conditional put: readers trust nothing else.

The new shards get names that no object has. So a reader sees the old set until the manifest is
replaced. The old objects are deleted after it.
"""

import os
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from fastpack.core.plural import counted
from fastpack.errors import (
    ChangedFileError,
    FastpackError,
    Location,
    MissingFileError,
    OptionError,
    OutputExistsError,
    os_errors_at,
    with_location,
)
from fastpack.files.companions import index_path
from fastpack.files.free_space import free_bytes, require_free_space
from fastpack.files.locked_folder import LOCK_NAME
from fastpack.files.publication import staging_folder
from fastpack.files.shard import Shard
from fastpack.formats.index.index import Index
from fastpack.formats.index.index_file import IndexFile, load_index, save_index
from fastpack.packing import journal
from fastpack.packing.claim import Claims
from fastpack.packing.pack_folder import (
    RESUME,
    START_OVER,
    PackFolder,
    Plan,
    refuse_other_plan,
    stands,
)
from fastpack.packing.rejects import Reject
from fastpack.packing.store_journal import Commit, Receipt, StoredPlan, StoreJournal
from fastpack.packing.store_output import StoreOutput, digest_of, index_name
from fastpack.packing.store_set import StoreSet, manifest_bytes
from fastpack.packing.transcode import Transcodes
from fastpack.packing.upload_queue import UploadQueue
from fastpack.stores.probe import Probed
from fastpack.stores.store_path import StorePath, as_path

_TOKEN = "token"
_MARK_LETTERS = 8


class StoreStaging(PackFolder):
    """The scratch folder and the objects of one pack; see Staging, which has the same interface.

    Entering the block raises StagingBusyError, PlanChangedError or OutputExistsError.

    Args:
        output: the output.
        scratch: the scratch folder, which is made.
        paths: names of all shards.
        sizes: estimated bytes of the shards.
        plan: see Staging.
        outputs: names of the sets.
        report: name of the report on rejects.
        probed: the facts about the store.
        resume: see Staging.
        overwrite: see Staging.
        sync: wait until a shard is on the scratch disk before it counts as finished.
    """

    def __init__(
        self,
        output: StorePath,
        scratch: Path,
        paths: Sequence[Path],
        sizes: Sequence[int],
        plan: Plan,
        *,
        outputs: Sequence[str],
        report: str,
        probed: Probed,
        resume: bool,
        overwrite: bool,
        sync: bool,
    ) -> None:
        super().__init__(scratch, paths, plan, outputs, sync=sync)
        self._output, self._sizes, self._report = output, sizes, report
        self._resume, self._overwrite, self._probed = resume, overwrite, probed
        self._objects = StoreOutput(output, outputs, probed)
        self._journal = StoreJournal(as_object_folder(output))
        self._new_token = secrets.token_hex(16)
        self._stored = StoredPlan(self._plan, self._new_token, ())
        self._receipts: dict[int, Receipt] = {}
        self._is_begun = self._is_done = False

    def __enter__(self) -> "StoreStaging":
        with os_errors_at(self._folder):
            make_private(self._folder)
            self._lock.lock()
        folders = [self._output, *(each.path for each in self._objects.sets)]
        paths = dict.fromkeys(StoreJournal(as_object_folder(each)).claim for each in folders)
        self._claims = Claims(paths, self._folder / LOCK_NAME, self._probed)
        self._queue = UploadQueue(self._upload)
        try:
            self._claims.take()
            self._objects.list()
            with os_errors_at(self._folder):
                self._find_earlier()
            self._is_begun = True
            for number in self._finished.keys() - self._receipts.keys():
                self._queue.put(number)
            return self
        except BaseException as error:
            self._leave(error)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        """End uploads and the claim. Finished shards stay, and a note says so."""
        try:
            self._queue.stop()
            if error is not None and self._is_begun and self._claims.are_held:
                with suppress(FastpackError, OSError):
                    self._keep_or_remove(error)
            # Before the scratch folder: its lock shows the next pack that a claim is of a dead one.
            self._claims.release()
            is_new = self._scratch_token() in ("", self._new_token)
            if self._is_done or (is_new and not self._is_begun):
                with suppress(OSError):
                    self._lock.remove(last=[_TOKEN])
        finally:
            self._lock.unlock()

    def _keep_or_remove(self, error: BaseException) -> None:
        if self._finished:
            kept = f"{len(self._finished)} of {counted(len(self._paths), 'shard')} are kept"
            num_uploaded = len(self._receipts)
            where = f"{num_uploaded} in the store, {len(self._finished) - num_uploaded} in"
            error.add_note(f"{kept} ({where} {self._folder}); {RESUME}")
            return
        self._is_done = True
        self._objects.delete(self._stored.names)
        self._journal.remove()

    # The interface that Packer and pack use.

    def begin(self, number: int) -> None:
        """Wait until the scratch disk has room for a shard."""

        def has_room() -> bool:
            return free_bytes(self._folder) > self._sizes[number]

        self._queue.wait_for_room(has_room)

    def require_space(self, num_bytes: Sequence[int]) -> None:
        """Raise UnreadableFileError if the scratch disk has no room for the largest shard."""
        require_free_space(self._folder, max(num_bytes, default=0))

    def finish(
        self,
        number: int,
        index: Index,
        rejects: Sequence[Reject] = (),
        transcodes: Transcodes | None = None,
    ) -> None:
        self._note_finished(number, index, rejects, transcodes)
        self._queue.put(number)

    def publish(self, rejects: Sequence[Reject] = ()) -> None:
        """Put the manifests, then delete what is not needed any more."""
        if not self._is_published:
            self._queue.finish()
            self._commit()
        self._objects.put_report(self._report, rejects)
        with os_errors_at(self._folder):
            self._lock.clear()
        self._complete(self._journal.commit(self._stored.token))
        self._is_done = True

    @property
    def final_paths(self) -> tuple[StorePath, ...]:
        """The objects of the shards."""
        return tuple(map(self._output.with_name, self._stored.names))

    @property
    def num_bytes(self) -> int:
        """Bytes of all shards."""
        return sum(shard.size for shard in self._finished.values())

    @property
    def notes(self) -> tuple[str, ...]:
        """A note on the names of the shards, if these are not the usual ones."""
        names = self._stored.names
        if names == tuple(path.name for path in self._paths):
            return ()
        why = "objects of the usual names exist"
        if not self._probed.honors_conditions:
            why = "the store ignores conditions"
        return (f"{why}, so the shards have names such as {names[0]}; `open` finds them",)

    # An earlier pack.

    def _find_earlier(self) -> None:
        """Keep the shards of an earlier pack, or remove or refuse them."""
        stored = self._journal.plan()
        if stored is not None and self._resume:
            refuse_other_plan(stored.plan, self._plan, self._journal.folder)
            self._stored = stored
            self._take_over()
            return
        if stored is not None:
            self._discard(stored)
        if not self._overwrite:
            self._objects.refuse_existing()
        names = self._objects.new_names(self._paths, self._stored.token)
        self._stored = replace(self._stored, names=names)
        self._clear_scratch()
        self._journal.put_plan(self._stored)

    def _take_over(self) -> None:
        """Find the finished shards of the same pack, in the store and in the scratch folder."""
        token, num_shards = self._stored.token, len(self._paths)
        commit = self._journal.commit(token)
        if self._objects.has_put(commit):
            self._is_published = True
            self._finished = journal.finished_of(commit.shards, num_shards)
            return
        if not self._overwrite:
            self._objects.refuse_other_manifests(commit)
        for number, receipt in self._journal.receipts(token, num_shards).items():
            name = self._stored.names[number]
            if receipt.is_of(self._objects.facts(name), self._objects.facts(index_name(name))):
                self._receipts[number], self._finished[number] = receipt, receipt.finished
        if self._scratch_token() != token:
            self._clear_scratch()
            return
        for number, finished in journal.read_journal(self._folder, num_shards).items():
            path = self.path(number)
            has_index = index_path(path).is_file()
            if number not in self._finished and has_index and stands(path, finished):
                self._finished[number] = finished
        self._remove_halves()

    def _discard(self, stored: StoredPlan) -> None:
        """Delete what another pack left. Raises OutputExistsError unless `overwrite` is set."""
        commit = self._journal.commit(stored.token)
        if self._objects.has_put(commit):
            self._complete(commit)
            self._objects.list()
            return
        num_shards = len(stored.names)
        finished = {*self._journal.receipts(stored.token, num_shards)}
        if self._scratch_token() == stored.token:
            finished |= journal.read_journal(self._folder, num_shards).keys()
        if finished and not self._overwrite:
            message = f"an earlier pack stopped after {counted(len(finished), 'shard')}"
            location = Location(self._journal.folder)
            raise OutputExistsError(with_location(f"{message}; {START_OVER}", location))
        self._objects.delete(stored.names)
        self._journal.remove()
        self._objects.list()

    # Objects.

    def _upload(self, number: int) -> None:
        """Upload a shard, its index and its receipt; then remove its file."""
        self._claims.check()
        path, target = self.path(number), self._output.with_name(self._stored.names[number])
        store, saved = self._output.store, index_path(path)
        facts = store.upload(target.key, path, progress=self._queue.refuse_stopped)
        index = load_index(saved, self._folder)
        shard = Shard.of_object(as_path(target), index.shards[0].container, facts)
        save_index(replace(index, shards=(shard,)), saved)
        beside = target.with_name(index_name(target.name))
        index_facts = store.upload(beside.key, saved, progress=self._queue.refuse_stopped)
        finished, token = self._finished[number], self._stored.token
        receipt = Receipt(finished, facts.etag, index_facts.size, index_facts.etag, token)
        self._journal.put_receipt(number, receipt)
        self._receipts[number] = receipt
        with os_errors_at(path, "remove"):
            path.unlink()

    def _commit(self) -> None:
        """Put the manifests. Raises OutputExistsError if another program put one meanwhile."""
        self._claims.check()
        manifests = {each: self._manifest(each) for each in self._objects.sets}
        commit = Commit(
            {each.manifest_name: digest_of(data) for each, data in manifests.items()},
            self._objects.replaced_by(self._stored.names),
            tuple(finished.entry(number) for number, finished in self._finished.items()),
            self._stored.token,
        )
        self._journal.put_commit(commit)
        try:
            self._objects.put_manifests(manifests)
        except (OutputExistsError, ChangedFileError, MissingFileError) as error:
            self._lose(error)

    def _manifest(self, each: StoreSet) -> bytes:
        """Return the manifest of a set."""
        indexes = {}
        for number, path in enumerate(self._paths):
            target = self._output.with_name(self._stored.names[number])
            if each.has(path.name):
                indexes[target] = self._saved_index(number, target)
        return manifest_bytes(indexes, self._folder)

    def _saved_index(self, number: int, target: StorePath) -> Path:
        """Return a shard's index as it is in the store."""
        saved, receipt = index_path(self.path(number)), self._receipts[number]
        with suppress(FastpackError):  # missing: another machine uploaded the shard
            if IndexFile.open(saved, as_path(target)).shards[0].etag == receipt.etag:
                return saved
        beside = target.with_name(index_name(target.name))
        data = beside.store.read(beside.key, receipt.index_etag)
        with os_errors_at(saved):
            saved.write_bytes(data)
        return saved

    def _lose(self, error: FastpackError) -> None:
        """Delete the shards of this pack, since another one has put the manifest."""
        self._objects.delete(self._stored.names)
        self._journal.remove()
        self._finished, self._receipts = {}, {}
        message = "another program wrote this output meanwhile, so this pack's files are deleted"
        remedy = "choose another name, or ask for overwrite"
        location = Location(self._output)
        raise OutputExistsError(with_location(f"{message}; {remedy}", location)) from error

    def _complete(self, commit: Commit) -> None:
        """Delete the objects of the old set, and the receipts."""
        if commit.old:
            self._objects.list()
            self._objects.delete(
                name
                for name, etag in commit.old
                if (facts := self._objects.facts(name)) is not None
                and (facts.etag, name != self._report) == (etag, True)
            )
        self._journal.remove()

    # The scratch folder.

    def _scratch_token(self) -> str:
        try:
            return (self._folder / _TOKEN).read_text()
        except OSError:
            return ""

    def _clear_scratch(self) -> None:
        self._lock.clear(last=[_TOKEN])
        (self._folder / _TOKEN).write_text(self._stored.token)

    def _remove_halves(self) -> None:
        """Remove the shards that were not finished, and those that were uploaded."""
        waiting = [self.path(number) for number in self._finished.keys() - self._receipts.keys()]
        indexes = [index_path(self.path(number)) for number in self._finished]
        kept = {LOCK_NAME, _TOKEN, journal.NAME, *(path.name for path in (*waiting, *indexes))}
        for path in self._folder.iterdir():
            if path.name not in kept:
                path.unlink()


def make_private(folder: Path) -> None:
    """Make a folder. Raises OptionError for one that another user can change."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    facts = os.lstat(folder)
    is_ours = stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid()
    if not is_ours or facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        message = "other users can change this folder; remove it, or give another scratch folder"
        raise OptionError(with_location(message, Location(folder)))


def as_object_folder(output: StorePath) -> StorePath:
    """Return the hidden folder of a pack to a store."""
    folder: Any = staging_folder(as_path(output))
    return folder  # type: ignore[no-any-return]
