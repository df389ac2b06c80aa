"""PackFolder: the locked folder in which one pack makes its shards.

It has the shards until they are complete, and a journal of the finished ones. Staging gives them
their final names beside the output; StoreStaging uploads them.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastpack.errors import Location, PlanChangedError, os_errors_at, with_location
from fastpack.files.atomic import sync_path
from fastpack.files.companions import index_path
from fastpack.files.locked_folder import LockedFolder
from fastpack.files.shard import Shard
from fastpack.formats.index.index import Index
from fastpack.formats.index.index_file import save_index
from fastpack.packing import journal
from fastpack.packing.journal import Finished
from fastpack.packing.rejects import Reject
from fastpack.packing.transcode import Transcodes

# Name of a fact about the source or an option -> JSON value. Packs with equal plans are the same.
Plan = Mapping[str, Any]
RESUME = "pack the same with resume=True to go on"
START_OVER = f"{RESUME}, or with overwrite=True to start over"


class PackFolder:
    """The shards of one pack that are being made.

    Args:
        folder: that is locked.
        paths: final names of all shards.
        plan: must equal the earlier pack's plan to keep its finished shards.
        outputs: names of the sets that the shards belong to.
        sync: wait until a shard is on disk before it counts as finished.
    """

    def __init__(
        self,
        folder: Path,
        paths: Sequence[Path],
        plan: Plan,
        outputs: Sequence[str],
        *,
        sync: bool,
    ) -> None:
        self._lock, self._folder = LockedFolder(folder), folder
        self._paths, self._sync = list(paths), sync
        self._receipt = receipt_of(plan)
        names = {"shards": [path.name for path in paths], "outputs": list(outputs)}
        self._plan: dict[str, Any] = json.loads(json.dumps({**plan, **names}))
        self._finished: dict[int, Finished] = {}
        self._is_published = False

    def path(self, number: int) -> Path:
        """Return the staged file of shard `number`."""
        return self.staged(self._paths[number])

    def staged(self, final: Path) -> Path:
        """Return the staged file of a final name."""
        return self._folder / final.name

    def is_finished(self, number: int) -> bool:
        return number in self._finished

    @property
    def is_published(self) -> bool:
        """True if an earlier pack with this plan gave all files their final names."""
        return self._is_published

    @property
    def rejects(self) -> list[Reject]:
        """Rejects of the finished shards, in the order of the source."""
        found = (reject for shard in self._finished.values() for reject in shard.rejects)
        return sorted(found, key=lambda reject: reject.sample)

    @property
    def transcodes(self) -> Transcodes | None:
        """Counts of rewritten JPEGs of the finished shards, with jpeg="fast"."""
        shards = self._finished.values()
        found = [shard.transcodes for shard in shards if shard.transcodes is not None]
        return Transcodes.joined(found) if found else None

    def _note_finished(
        self, number: int, index: Index, rejects: Sequence[Reject], transcodes: Transcodes | None
    ) -> None:
        """Save the index of a complete shard, then its entry in the folder's journal."""
        path, shard = self.path(number), index.shards[0]
        finished = Finished(shard.size, shard.fingerprint, len(index), tuple(rejects), transcodes)
        with os_errors_at(path):
            if self._sync:
                sync_path(path)
            received = replace(index, receipt=self._receipt)
            save_index(received, index_path(path), sync=self._sync)
            journal.note(self._folder, finished.entry(number), sync=self._sync)
        self._finished[number] = finished


def stands(path: Path, finished: Finished) -> bool:
    """Return True if the shard of a journal entry exists unchanged."""
    if not path.is_file():
        return False
    shard = Shard.of(path, "")
    return (shard.size, shard.fingerprint) == (finished.size, finished.fingerprint)


def refuse_other_plan(earlier: Plan, plan: Plan, folder: Any) -> None:
    """Raise PlanChangedError if a pack in a folder was begun with another plan."""
    names = [name for name in plan.keys() | earlier.keys() if plan.get(name) != earlier.get(name)]
    if names:
        differences = ", ".join(
            f"{name} ({_brief(earlier.get(name))} then, {_brief(plan.get(name))} now)"
            for name in sorted(names)
        )
        message = f"this is not the pack that was begun: {differences}"
        remedy = "pack as before, or with overwrite=True and without resume=True to start over"
        raise PlanChangedError(with_location(f"{message}; {remedy}", Location(folder)))


def receipt_of(plan: Plan) -> str:
    """Return the digest of a plan that the indexes of its shards carry."""
    return hashlib.blake2b(json.dumps(plan, sort_keys=True).encode(), digest_size=16).hexdigest()


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
