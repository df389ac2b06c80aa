"""SetStatus: which objects of a set in a store are committed, and which are left over."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fastpack.errors import Location, OptionError, StagingBusyError, with_location
from fastpack.files.naming import is_marked
from fastpack.formats.manifest import Manifest
from fastpack.packing.claim import LIFE_SECONDS, read_claim
from fastpack.packing.store_journal import StoredPlan, StoreJournal
from fastpack.packing.store_output import index_name
from fastpack.packing.store_set import StoreSet, load_manifest
from fastpack.packing.store_staging import as_object_folder
from fastpack.stores.store import ObjectFacts
from fastpack.stores.store_path import StorePath
from fastpack.stores.unfinished import UnfinishedUpload, abort_upload, unfinished_uploads

_PROBE = ".fastpack-probe-"


@dataclass(frozen=True)
class SetStatus:
    """The objects of a set in a store.

    Args:
        output: the URL of the set.
        has_manifest: a pack was completed.
        committed: names of the shards that the manifest names, and that are there.
        num_samples: of the shards that the manifest names.
        num_bytes: of the same.
        missing: names of shards of the manifest, and of their indexes, that are not there.
        stale: names of shards that are not those of the manifest any more.
        orphaned: names of objects that an earlier pack left and that nothing needs.
        others: names of objects that look like shards of this set, and that fastpack did not write.
        uploads: unfinished uploads in parts; None if they cannot be listed.
        interrupted: what is known about a pack that was not completed; "" without one.
        is_running: that pack gave a sign of life in the last minute.
        removed: names of the objects that were deleted.
    """

    output: str
    has_manifest: bool
    committed: tuple[str, ...]
    num_samples: int
    num_bytes: int
    missing: tuple[str, ...]
    stale: tuple[str, ...]
    orphaned: tuple[str, ...]
    others: tuple[str, ...]
    uploads: tuple[str, ...] | None
    interrupted: str
    is_running: bool
    removed: tuple[str, ...] = ()

    @property
    def is_sound(self) -> bool:
        """True if a reader can read all that the manifest names."""
        return not self.missing and not self.stale


def set_status(output: StorePath, *, clean: bool = False) -> SetStatus:
    """Compare the manifest of a set with the objects in its folder.

    - clean: delete orphaned objects, what an interrupted pack left, and unfinished uploads. Raises
      StagingBusyError while a pack is running.
    """
    if not output.name:
        message = "this URL has no name of a set; add one, such as /train.tfrecord"
        raise OptionError(with_location(message, Location(output)))
    found = _Objects(output)
    status = found.status()
    if not clean:
        return status
    if status.is_running:
        message = f"{status.interrupted}; wait for its end, then clean"
        raise StagingBusyError(with_location(message, Location(output)))
    removed = found.clean()
    after = _Objects(output).status()
    return SetStatus(**{**vars(after), "removed": removed})


class _Objects:
    """The objects in the folder of a set, its manifest and the receipts of a pack."""

    def __init__(self, output: StorePath) -> None:
        self._output, self._set = output, StoreSet(output)
        self._journal = StoreJournal(as_object_folder(output))
        self._manifest = load_manifest(self._set.manifest)
        parent = output.parent
        objects, folders = parent.store.list_folder(parent.prefix)
        self._listed = {facts.key.rpartition("/")[2]: facts for facts in objects}
        has_pack = self._journal.folder.name in folders
        self._plan = self._journal.plan() if has_pack else None
        self._receipts = () if not has_pack else self._journal.names()
        self._claim = read_claim(self._journal.claim) if has_pack else None
        self._uploads = unfinished_uploads(parent)

    def status(self) -> SetStatus:
        named = _named(self._manifest)
        held = {*named, *map(index_name, named)}
        ours = [name for name in self._listed if self._is_ours(name)]
        extra = [name for name in ours if name not in held]
        left = {name for name in extra if self._is_left(name)}
        manifest = self._manifest
        return SetStatus(
            str(self._output),
            manifest is not None,
            tuple(name for name in named if name in self._listed),
            0 if manifest is None else manifest.num_samples,
            0 if manifest is None else manifest.num_bytes,
            tuple(name for name in sorted(held) if name not in self._listed),
            tuple(name for name, facts in named.items() if self._is_other(name, facts)),
            (*sorted(left), *self._left_receipts()),
            tuple(sorted(set(extra) - left)),
            None if self._uploads is None else tuple(each.name for each in self._own_uploads()),
            self._interrupted(),
            self._is_running,
        )

    def clean(self) -> tuple[str, ...]:
        """Delete what is left over. Returns the names."""
        status, store = self.status(), self._output.store
        folder = self._output.parent
        store.delete([(folder / name).key for name in status.orphaned])
        for upload in self._own_uploads():
            abort_upload(folder, upload)
        return (*status.orphaned, *(status.uploads or ()))

    def _is_ours(self, name: str) -> bool:
        return name != self._set.manifest_name and (self._set.has(name) or name.startswith(_PROBE))

    def _is_other(self, name: str, etag: str) -> bool:
        return name in self._listed and self._listed[name].etag != etag

    def _is_left(self, name: str) -> bool:
        """Return True for an object that only an earlier pack can have made."""
        if self._is_running:
            return False
        if name.startswith(_PROBE):
            return _age(self._listed[name]) > LIFE_SECONDS
        shard = name.removesuffix(_INDEX_ENDING)
        planned = () if self._plan is None else self._plan.names
        is_old = any(
            name == old and self._listed[name].etag == etag for old, etag in self._replaced()
        )
        return shard in planned or is_old or is_marked(Path(shard))

    def _replaced(self) -> Sequence[tuple[str, str]]:
        """Return the objects that a completed pack had to delete."""
        if self._plan is None or self._manifest is None:
            return ()
        return self._journal.commit(self._plan.token).old

    def _left_receipts(self) -> list[str]:
        if self._is_running:
            return []
        return [f"{self._journal.folder.name}/{name}" for name in self._receipts]

    def _own_uploads(self) -> list[UnfinishedUpload]:
        if self._is_running:
            return []
        return [each for each in self._uploads or () if self._is_ours(each.name)]

    @property
    def _is_running(self) -> bool:
        return self._claim is not None and _age(self._claim[0]) < LIFE_SECONDS

    def _interrupted(self) -> str:
        """Describe the pack that is not complete."""
        if self._plan is None and self._claim is None:
            return ""
        return f"{self._progress(self._plan)}{self._owner()}"

    def _progress(self, plan: StoredPlan | None) -> str:
        if plan is None:
            return "a pack has uploaded nothing"
        num_done = sum(name.startswith("shard-") for name in self._receipts)
        return f"a pack has uploaded {num_done} of {len(plan.names)} shards"

    def _owner(self) -> str:
        if self._claim is None:
            return ""
        facts, theirs = self._claim
        seconds = f"seen {max(0, _age(facts)):.0f} s ago"
        return f": process {theirs.get('pid')} on {theirs.get('host')}, {seconds}"


def _named(manifest: Manifest | None) -> dict[str, str]:
    """Return name -> etag of the shards of a manifest."""
    if manifest is None:
        return {}
    return dict(zip(manifest.entries.names(), manifest.entries.etags(), strict=False))


def _age(facts: ObjectFacts) -> float:
    """Return the seconds since an object was written, by the clock of this machine."""
    return time.time() - facts.mtime_ns / 1e9


_INDEX_ENDING = index_name("x")[1:]
