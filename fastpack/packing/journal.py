"""Journal: the finished shards of a pack, one JSON object a line; `resume` reads it."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from fastpack.files.atomic import sync_path, write_all
from fastpack.files.locked_folder import read_note
from fastpack.packing.rejects import Reject
from fastpack.packing.transcode import Transcodes

Value = TypeVar("Value")
NAME = "journal.jsonl"


@dataclass(frozen=True)
class Finished:
    """A finished shard: its file, number of samples, rejects and transcodes."""

    size: int
    fingerprint: int
    samples: int
    rejects: tuple[Reject, ...] = ()
    transcodes: Transcodes | None = None

    def entry(self, number: int) -> dict[str, Any]:
        """Return the journal's entry for shard `number`."""
        entry: dict[str, Any] = {
            "shard": number,
            "size": self.size,
            "fingerprint": self.fingerprint,
            "samples": self.samples,
            "rejects": [reject.facts() for reject in self.rejects],
        }
        if self.transcodes is not None:
            entry["transcodes"] = asdict(self.transcodes)
        return entry


def finished_of(entries: Iterable[Any], num_shards: int) -> dict[int, Finished]:
    """Parse entries to shards by number; skip damaged ones."""
    found = {}
    for entry in entries:
        try:
            number, finished = _finished(entry)
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
        if 0 <= number < num_shards:
            found[number] = finished
    return found


def read_journal(folder: Path, num_shards: int) -> dict[int, Finished]:
    """Read the finished shards. A truncated line belongs to an unfinished shard."""
    try:
        lines = read_note(folder / NAME).splitlines()
    except FileNotFoundError:
        return {}
    return finished_of(map(_parsed, lines), num_shards)


def note(folder: Path, entry: Mapping[str, Any], *, sync: bool) -> None:
    """Append an entry, on its own line even if the last line is truncated."""
    descriptor = os.open(
        folder / NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666
    )
    try:
        write_all(descriptor, f"\n{json.dumps(entry)}\n".encode())
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if sync:
        sync_path(folder)


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _finished(entry: Any) -> tuple[int, Finished]:
    """Parse an entry.

    Raises TypeError, KeyError, ValueError or AttributeError if it is damaged.
    """
    number, size, fingerprint, samples = (
        _checked(entry[name], int) for name in ("shard", "size", "fingerprint", "samples")
    )
    rejects = tuple(_reject(facts) for facts in _checked(entry["rejects"], list))
    transcodes = _transcodes(entry["transcodes"]) if "transcodes" in entry else None
    return number, Finished(size, fingerprint, samples, rejects, transcodes)


def _reject(facts: Any) -> Reject:
    reject = Reject.from_facts(facts)
    _checked(reject.sample, int)
    for text in (reject.reason, reject.message, reject.key or "", reject.path or ""):
        _checked(text, str)
    return reject


def _transcodes(facts: Any) -> Transcodes:
    transcodes = Transcodes(**facts)
    for number in (
        transcodes.num_transcoded,
        transcodes.bytes_before,
        transcodes.bytes_after,
        *transcodes.left_alone.values(),
    ):
        _checked(number, int)
    return transcodes


def _checked(value: Value, kind: type) -> Value:
    if type(value) is not kind:
        raise TypeError(f"{value!r} is not of type {kind.__name__}")
    return value
