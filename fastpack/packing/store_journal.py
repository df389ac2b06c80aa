"""StoreJournal: the hidden folder of one pack in a store; it has receipts of uploaded shards.

The folder `.NAME.packing/` beside the output holds:

- `claim.json`: see claim.py.
- `plan.json`: source and options, and the names of the shards.
- `shard-00000.json` and so on: receipts. A receipt is put after its shard and its index.
- `commit.json`: put after the last shard: the manifests to put, and the objects to delete after.

All are deleted when the pack is complete. A pack on another machine can resume: it needs only this
folder.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from fastpack.errors import MissingFileError
from fastpack.packing.journal import Finished, finished_of
from fastpack.stores.store import ObjectFacts
from fastpack.stores.store_path import StorePath

CLAIM = "claim.json"
_PLAN, _COMMIT = "plan.json", "commit.json"
_READS_AT_ONCE = 32


@dataclass(frozen=True)
class StoredPlan:
    """The plan of a pack in a store.

    Args:
        plan: facts about the source and the options; see Staging.
        token: differs from that of all other packs.
        names: of the objects of the shards.
    """

    plan: Mapping[str, Any]
    token: str
    names: tuple[str, ...]

    @classmethod
    def of_json(cls, facts: Any) -> "StoredPlan | None":
        """Return the plan, or None if it is damaged."""
        try:
            names = tuple(map(str, facts["names"]))
            return cls(dict(facts["plan"]), str(facts["token"]), names)
        except (TypeError, KeyError, ValueError):
            return None


@dataclass(frozen=True)
class Receipt:
    """An uploaded shard.

    Args:
        finished: the shard.
        etag: of its object.
        index_size: bytes of the object of its index.
        index_etag: of that object.
        token: of the plan.
    """

    finished: Finished
    etag: str
    index_size: int
    index_etag: str
    token: str

    def is_of(self, shard: ObjectFacts | None, index: ObjectFacts | None) -> bool:
        """Return True if these are the objects."""
        if shard is None or index is None:
            return False
        ours = (self.finished.size, self.etag, self.index_size, self.index_etag)
        return ours == (shard.size, shard.etag, index.size, index.etag)


@dataclass(frozen=True)
class Commit:
    """The last step of a pack.

    Args:
        manifests: name of a manifest -> checksum of its bytes.
        old: names of objects that are deleted after it, with their etags.
        shards: entries of the finished shards; see Finished.
        token: of the plan.
    """

    manifests: Mapping[str, str]
    old: tuple[tuple[str, str], ...]
    shards: tuple[Mapping[str, Any], ...]
    token: str


class StoreJournal:
    """The folder of a pack.

    Args:
        folder: `.NAME.packing` beside the output.
    """

    def __init__(self, folder: StorePath) -> None:
        self.folder = folder

    @property
    def claim(self) -> StorePath:
        return self.folder / CLAIM

    def plan(self) -> StoredPlan | None:
        """Return the plan; None if it is missing or damaged."""
        return StoredPlan.of_json(self._read(_PLAN))

    def put_plan(self, plan: StoredPlan) -> None:
        self._put(_PLAN, asdict(plan))

    def receipts(self, token: str, num_shards: int) -> dict[int, Receipt]:
        """Return the receipts of a plan, by number of the shard."""
        names = [name for name in self.names() if name.startswith("shard-")]
        with ThreadPoolExecutor(max(1, min(_READS_AT_ONCE, len(names)))) as pool:
            found = list(pool.map(self._read, names))
        return dict(_receipts(found, token, num_shards))

    def put_receipt(self, number: int, receipt: Receipt) -> None:
        facts = {**receipt.finished.entry(number), "token": receipt.token, "etag": receipt.etag}
        facts |= {"index_size": receipt.index_size, "index_etag": receipt.index_etag}
        self._put(f"shard-{number:05d}.json", facts)

    def names(self) -> tuple[str, ...]:
        """Return the names of the objects in the folder."""
        return tuple(facts.key.rpartition("/")[2] for facts in self._objects())

    def commit(self, token: str) -> Commit:
        """Return the last step of a plan; without manifests if it was not begun."""
        facts = self._read(_COMMIT)
        try:
            old = tuple((str(name), str(etag)) for name, etag in facts["old"])
            shards = tuple(map(dict, facts["shards"]))
            if facts["token"] == token:
                return Commit(dict(facts["manifests"]), old, shards, token)
        except (TypeError, KeyError, ValueError):
            pass
        return Commit({}, (), (), token)

    def put_commit(self, commit: Commit) -> None:
        self._put(_COMMIT, asdict(commit))

    def remove(self) -> None:
        """Delete everything except the claim, the receipts first."""
        keys = [facts.key for facts in self._objects()]
        last = [(self.folder / name).key for name in (_PLAN, _COMMIT)]
        store = self.folder.store
        store.delete([key for key in keys if key not in (*last, self.claim.key)])
        store.delete(last)

    def _objects(self) -> list[ObjectFacts]:
        inside = f"{self.folder.key}/"
        objects, _ = self.folder.store.list_folder(inside)
        # Some stores list the mark of an empty folder.
        return [facts for facts in objects if facts.key.removeprefix(inside) not in ("", facts.key)]

    def _put(self, name: str, facts: Mapping[str, Any]) -> None:
        self.folder.store.put((self.folder / name).key, json.dumps(facts).encode())

    def _read(self, name: str) -> Any:
        path = self.folder / name
        try:
            return json.loads(path.store.read(path.key))
        except (MissingFileError, ValueError, RecursionError):
            return None


def _receipts(found: Sequence[Any], token: str, num_shards: int) -> Iterable[tuple[int, Receipt]]:
    for facts in found:
        if not isinstance(facts, dict) or facts.get("token") != token:
            continue
        etags = str(facts.get("etag")), str(facts.get("index_etag"))
        size = facts.get("index_size")
        for number, finished in finished_of([facts], num_shards).items():
            if isinstance(size, int):
                yield number, Receipt(finished, etags[0], size, etags[1], token)
