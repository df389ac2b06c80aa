"""Staging: where the shards of one pack are made, and how they become visible together.

A hidden folder beside the output, `.NAME.packing`, in which stand

    lock             held by the one packer; the system lets go of it when the packer dies; the last to go
    plan.json        what is being packed, and how: another plan is never continued
    journal.jsonl    a line for each finished shard, written once the disk has the shard and its index: what it is, and which
                     samples were left out of it
    NAME...          the shards themselves, and their indexes

At the end everything takes its final name, and the folder goes. Whatever happens before, nothing stands under a final
name, and a later pack with the same plan keeps the shards that the journal lists.
"""

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from fastpack.errors import FastpackError, OutputExistsError, Place, PlanChangedError, StagingBusyError, at, from_os_error
from fastpack.index import Index, index_path
from fastpack.packing.transcode import Transcodes
from fastpack.rejects import Reject, report_path, report_text
from fastpack.shard import Shard, sync_path, written_whole

# Names of what makes up the source and the options -> JSON values; two packs are one when their plans are equal.
Plan = Mapping[str, Any]


@dataclass(frozen=True)
class _Finished:
    """A shard as the journal has it."""

    size: int
    fingerprint: int
    rejects: tuple[Reject, ...] = ()
    transcodes: Transcodes | None = None


class Staging:
    """The staging folder of one output, locked for as long as this is open.

    - output: what the pack was asked to write; the folder is called after it.
    - paths: the final names of all shards, in the output's folder.
    - plan: what must be equal for finished shards of an earlier pack to be kept.
    - report: the final name of the report on samples that were left out; written where there are any.
    - resume: keep them. Without, and without `overwrite`, an earlier pack that left any is an error.
    - sync: wait for the disk before a shard counts as finished.

    Entering it makes and locks the folder; raises StagingBusyError, PlanChangedError or OutputExistsError.
    """

    def __init__(
        self,
        output: Path,
        paths: Sequence[Path],
        plan: Plan,
        *,
        report: Path | None = None,
        resume: bool = False,
        overwrite: bool = False,
        sync: bool = True,
    ) -> None:
        self._paths, self._sync = list(paths), sync
        self._report = report or report_path(output)
        self._folder = staging_folder(output)
        self._plan = json.loads(json.dumps({**plan, "shards": [path.name for path in paths]}))
        self._resume, self._overwrite = resume, overwrite
        self._lock = -1
        self._finished: dict[int, _Finished] = {}

    def __enter__(self) -> "Staging":
        """All that is done stands inside the `try`: wherever Ctrl-C interrupts it, what was made is removed again."""
        try:
            with _told(self._folder):
                self._take_lock()
                self._finished = self._earlier()
                self._refuse_existing()
            return self
        except BaseException:
            self._withdraw()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Without finished shards there is nothing to continue, so nothing is left behind."""
        try:
            if self._folder.exists() and not self._finished:
                with suppress(OSError):
                    self._remove()
            elif error is not None and self._folder.exists():
                kept = f"{len(self._finished)} of {len(self._paths)} shards are kept in {self._folder}"
                error.add_note(f"{kept}; continue with resume, or start over with overwrite")
        finally:
            self._unlock()

    def path(self, number: int) -> Path:
        """Where shard `number` is made."""
        return self._folder / self._paths[number].name

    def is_finished(self, number: int) -> bool:
        return number in self._finished

    @property
    def rejects(self) -> list[Reject]:
        """What was left out of the finished shards, in the order of the source."""
        return sorted((reject for one in self._finished.values() for reject in one.rejects), key=lambda reject: reject.sample)

    @property
    def transcodes(self) -> Transcodes | None:
        """What became of the JPEGs of the finished shards, where they were to be made fast."""
        found = [one.transcodes for one in self._finished.values() if one.transcodes is not None]
        return Transcodes.joined(found) if found else None

    def finish(self, number: int, index: Index, rejects: Sequence[Reject] = (), transcodes: Transcodes | None = None) -> None:
        """The shard is complete, and `index` is what was found in it: from here on it is kept. `rejects` were left out of it;
        `transcodes` became of its JPEGs."""
        path = self.path(number)
        with _told(path):
            if self._sync:
                sync_path(path)
            index.save(index_path(path), sync=self._sync)
            shard = index.shards[0]
            facts = {"shard": number, "size": shard.size, "fingerprint": shard.fingerprint, "samples": len(index)}
            made_fast = {"transcodes": asdict(transcodes)} if transcodes is not None else {}
            self._note({**facts, "rejects": [reject.facts() for reject in rejects], **made_fast})
        self._finished[number] = _Finished(shard.size, shard.fingerprint, tuple(rejects), transcodes)

    def publish(self, rejects: Sequence[Reject] = ()) -> None:
        """Everything takes its final name; the report says of `rejects` why they were left out."""
        self._publish_report(rejects)
        for number, final in enumerate(self._paths):
            for staged, name in ((self.path(number), final), (index_path(self.path(number)), index_path(final))):
                with _told(name):
                    if staged.exists():  # else an earlier pack was stopped between its renames
                        os.replace(staged, name)
        with _told(self._folder):
            if self._sync:
                sync_path(self._paths[0].parent)
            self._remove()

    def _publish_report(self, rejects: Sequence[Reject]) -> None:
        """First, so that no shard is ever seen whose samples are missing in silence. One that stood there is of what is replaced."""
        staged = self._folder / self._report.name
        with _told(self._report):
            if not rejects:
                self._report.unlink(missing_ok=True)
                return
            staged.write_text(report_text(rejects))
            if self._sync:
                sync_path(staged)
            os.replace(staged, self._report)

    # What an earlier pack left.

    def _earlier(self) -> dict[int, _Finished]:
        """The finished shards that are kept."""
        found = self._read_journal()
        if found and self._resume:
            self._refuse_other_plan()
            kept = {number: facts for number, facts in found.items() if self._stands(number, facts)}
            self._remove_halves(kept)
            return kept
        if found and not self._overwrite:
            stopped = f"an earlier pack stopped after {len(found)} of its shards"
            raise OutputExistsError(at(f"{stopped}; continue it with resume, or start over with overwrite", Place(self._folder)))
        self._clear()
        with written_whole(self._folder / "plan.json", sync=self._sync) as temporary:
            temporary.write_text(json.dumps(self._plan))
        return {}

    def _read_journal(self) -> dict[int, _Finished]:
        """A line that is cut off belongs to a shard that was not finished then; those after it were, by a pack that went on."""
        try:
            lines = (self._folder / "journal.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return {}
        finished: dict[int, _Finished] = {}
        for line in lines:
            try:
                entry = json.loads(line)
                rejects = tuple(Reject.from_facts(facts) for facts in entry["rejects"])
                transcodes = Transcodes(**entry["transcodes"]) if "transcodes" in entry else None
                finished[int(entry["shard"])] = _Finished(int(entry["size"]), int(entry["fingerprint"]), rejects, transcodes)
            except (ValueError, KeyError, TypeError):
                continue
        return finished

    def _refuse_other_plan(self) -> None:
        earlier = json.loads((self._folder / "plan.json").read_text())
        names = [name for name in self._plan.keys() | earlier.keys() if self._plan.get(name) != earlier.get(name)]
        if names:
            differences = ", ".join(
                f"{name} ({_brief(earlier.get(name))} then, {_brief(self._plan.get(name))} now)" for name in sorted(names)
            )
            message = f"this is not the pack that was begun: {differences}; pack as before, or start over with overwrite"
            raise PlanChangedError(at(message, Place(self._folder)))

    def _stands(self, number: int, finished: _Finished) -> bool:
        """True when the shard of the journal is there, in staging or under its final name already."""
        for path in (self.path(number), self._paths[number]):
            if path.exists():
                shard = Shard.of(path, "")
                return (shard.size, shard.fingerprint) == (finished.size, finished.fingerprint)
        return False

    def _refuse_existing(self) -> None:
        """Of a pack that goes on, what has taken its name already is no reason to refuse."""
        if self._overwrite:
            return
        if self._report.exists() and not self._finished:
            message = "a report of an earlier pack is there already; ask for overwrite, or choose another name"
            raise OutputExistsError(at(message, Place(self._report)))
        for number, path in enumerate(self._paths):
            is_ours = self.is_finished(number) and not self.path(number).exists()
            if path.exists() and not is_ours:
                raise OutputExistsError(at("the output is there already; ask for overwrite, or choose another name", Place(path)))

    def _remove_halves(self, kept: Mapping[int, Any]) -> None:
        """What an earlier pack had begun and not finished."""
        whole = {path.name for number in kept for path in (self.path(number), index_path(self.path(number)))}
        for member in self._folder.iterdir():
            if member.name not in whole | {"lock", "plan.json", "journal.jsonl"}:
                member.unlink()

    def _clear(self) -> None:
        """Removes all but the lock; the journal last but one, so that whoever finds it finds what it needs."""
        last = ["journal.jsonl", "plan.json"]
        members = [member for member in self._folder.iterdir() if member.name != "lock"]
        for member in sorted(members, key=lambda member: last.index(member.name) if member.name in last else -1):
            member.unlink()

    def _note(self, entry: dict[str, Any]) -> None:
        """On a line of its own, wherever an earlier pack may have stopped."""
        descriptor = os.open(self._folder / "journal.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            left = f"\n{json.dumps(entry)}\n".encode()
            while left:
                left = left[os.write(descriptor, left) :]
            if self._sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if self._sync:
            sync_path(self._folder)

    def _remove(self) -> None:
        """The lock goes last: a packer that makes one of its own before we are done keeps the folder."""
        self._clear()
        (self._folder / "lock").unlink()
        try:
            self._folder.rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
                raise

    # The lock, which this holds until it is closed or this program ends, in whatever way.

    def _take_lock(self) -> None:
        while True:
            self._folder.mkdir(exist_ok=True)
            try:
                if self._locks():
                    return
            except FileNotFoundError:
                pass
            except BlockingIOError:
                message = "another pack writes to this output now; wait for it, or choose another name"
                raise StagingBusyError(at(message, Place(self._folder))) from None
            # Otherwise the packer before us has just removed its folder.

    def _locks(self) -> bool:
        """True when the folder's lock is ours now; false when it had lost its name until we had it."""
        self._unlock()
        self._lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(self._lock), os.stat(self._folder / "lock"))

    def _unlock(self) -> None:
        if self._lock >= 0:
            descriptor, self._lock = self._lock, -1  # first, so that none is ever closed twice
            os.close(descriptor)

    def _withdraw(self) -> None:
        """Of a pack that has not begun nothing is left, but what others hold or can go on with."""
        try:
            with suppress(OSError):  # no folder was made, or another packer has it
                if self._locks() and not (self._folder / "journal.jsonl").exists():
                    self._remove()
        finally:
            self._unlock()


def staging_folder(output: Path) -> Path:
    """`.train.tfrecord.packing`, say."""
    return output.with_name(f".{output.name}.packing")


def interrupted_names(output: Path) -> list[str]:
    """What the shards of an earlier pack are to be called, when it left any."""
    folder = staging_folder(output)
    try:
        if (folder / "journal.jsonl").exists():
            return [str(name) for name in json.loads((folder / "plan.json").read_text())["shards"]]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return []


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """OSErrors come out with the path and what was being tried."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FastpackError):
            raise
        raise from_os_error(error, "write", path) from error


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
