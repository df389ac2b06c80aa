"""Claim: an object that shows which process packs to an output in a store.

A pack puts the claim before it writes anything else, on condition that no other exists. Then it
renews the claim every 15 seconds. A claim that was not renewed for a minute is of a dead process;
the clock of the store decides. The next pack replaces it, on condition that it is unchanged. On the
same machine it does so at once: the OS has released the lock of the scratch folder.

A claim spares a second pack its work. It does not protect the set: a process that was suspended may
go on after its claim was taken over. The manifest does, since it is put under a condition.
"""

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastpack.errors import (
    ChangedFileError,
    FastpackError,
    Location,
    MissingFileError,
    OutputExistsError,
    StagingBusyError,
    with_location,
)
from fastpack.stores.probe import Probed
from fastpack.stores.store import ObjectFacts
from fastpack.stores.store_path import StorePath

BEAT_SECONDS = 15.0
LIFE_SECONDS = 60.0
_NUM_TRIES = 5
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Other than CLOCK_MONOTONIC it counts the time that the machine sleeps.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Claim:
    """The claim of this process.

    Args:
        path: its object.
        lock: a file that this process has locked; its identity is in the claim.
        probed: the facts about the store.
    """

    def __init__(self, path: StorePath, lock: Path, probed: Probed) -> None:
        self._path, self._probed = path, probed
        self._facts = {
            "token": secrets.token_hex(8),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "lock": _identity(lock),
        }
        self._beats, self._etag, self._renewed_at = 0, "", 0.0
        self._is_lost = False
        self._renewing = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="fastpack-claim", daemon=True)

    def take(self) -> None:
        """Put the claim. Raises StagingBusyError if another process has one."""
        for _ in range(_NUM_TRIES):
            with suppress(OutputExistsError, ChangedFileError, MissingFileError):
                self._put(self._etag_of_dead())
                self._thread.start()
                return
        raise _busy(self._path, "other packs are starting")

    def check(self) -> None:
        """Raise StagingBusyError if another process has taken over."""
        if _now() - self._renewed_at > LIFE_SECONDS / 2:
            self._renew()
        if self._is_lost:
            raise _busy(self._path, "another pack has taken over")

    @property
    def is_held(self) -> bool:
        """True if it was taken, and no other process has taken over, as far as is known."""
        return self._beats > 0 and not self._is_lost

    def release(self) -> None:
        """Delete the claim, unless another process has taken over."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()
        if not self.is_held:
            return
        found = read_claim(self._path)
        if found is not None and found[1].get("token") == self._facts["token"]:
            self._path.store.delete([self._path.key])

    def _etag_of_dead(self) -> str:
        """Return the etag of a dead process's claim; "" if there is no claim."""
        found = read_claim(self._path)
        if found is None:
            return ""
        facts, theirs = found
        is_ours = theirs.get("lock") == self._facts["lock"] is not None
        age = self._probed.now - facts.mtime_ns / 1e9
        if is_ours or age > LIFE_SECONDS:
            return facts.etag
        process = f"process {theirs.get('pid')} on {theirs.get('host')}"
        raise _busy(self._path, f"{process}, seen {max(0, age):.0f} s ago")

    def _put(self, etag: str) -> None:
        """Put the claim; a claim with `etag` is replaced."""
        store, data = self._path.store, json.dumps({**self._facts, "beat": self._beats}).encode()
        conditions: dict[str, Any] = {}
        if self._probed.honors_conditions:
            conditions = {"if_match": etag} if etag else {"if_absent": True}
        began = _now()
        self._etag = store.put(self._path.key, data, **conditions).etag
        self._beats, self._renewed_at = self._beats + 1, began
        # Some servers answer with an etag that the object does not have afterwards.
        self._etag = store.facts(self._path.key).etag

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with suppress(FastpackError):  # the next beat may succeed; `check` renews as well
                self._renew()

    def _renew(self) -> None:
        with self._renewing:
            if self._is_lost or self._ended.is_set():
                return
            try:
                if not self._probed.honors_conditions:
                    self._refuse_other()
                self._put(self._etag)
            except (ChangedFileError, MissingFileError, OutputExistsError):
                self._is_lost = True

    def _refuse_other(self) -> None:
        found = read_claim(self._path)
        if found is None or found[1].get("token") != self._facts["token"]:
            raise ChangedFileError("the claim is of another process")


class Claims:
    """The claims of a process on several outputs, such as the splits of one pack.

    Args:
        paths: their objects.
        lock: see Claim.
        probed: see Claim.
    """

    def __init__(self, paths: Iterable[StorePath], lock: Path, probed: Probed) -> None:
        self._claims = [Claim(path, lock, probed) for path in paths]

    def take(self) -> None:
        """Take all. Raises StagingBusyError if another process has one of them."""
        for claim in self._claims:
            claim.take()

    def check(self) -> None:
        """Raise StagingBusyError if another process has taken over."""
        for claim in self._claims:
            claim.check()

    @property
    def are_held(self) -> bool:
        """True if all were taken, and no other process has taken over, as far as is known."""
        return all(claim.is_held for claim in self._claims)

    def release(self) -> None:
        """Delete those that are held."""
        for claim in self._claims:
            with suppress(FastpackError):
                claim.release()


def read_claim(path: StorePath) -> tuple[ObjectFacts, Mapping[str, Any]] | None:
    """Return a claim and its facts; None without one."""
    try:
        facts = path.facts()
        found = json.loads(path.store.read(path.key))
    except MissingFileError:
        return None
    except ValueError:
        found = None
    return facts, found if isinstance(found, dict) else {}


def _identity(lock: Path) -> str | None:
    """Return what distinguishes a file from those of other machines, and of earlier boots."""
    try:
        status = os.stat(lock)
        return f"{_BOOT_ID.read_text().strip()}:{status.st_dev}:{status.st_ino}"
    except OSError:  # not Linux: the claim of a killed pack is taken over after a minute
        return None


def _now() -> float:
    return time.clock_gettime(_CLOCK)


def _busy(path: StorePath, why: str) -> StagingBusyError:
    message = f"another pack writes to this output now ({why})"
    remedy = f"wait for it, or choose another name; a pack is dead after {LIFE_SECONDS:.0f} s"
    return StagingBusyError(with_location(f"{message}; {remedy} without a sign", Location(path)))
