"""HeldIndexes: the indexes of a dataset that are not saved."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastpack.files.scratch import Scratch
from fastpack.formats.index.index_file import IndexFile, of_held

_PICKLED_BYTES = 2**18


class HeldIndexes(dict[int, IndexFile]):
    """Indexes that are not saved, by number of the shard.

    If their pickle would be large, it refers to a scratch file, which all processes share.
    """

    def __init__(self, files: Mapping[int, IndexFile], scratch: Scratch | None = None) -> None:
        super().__init__(files)
        self._shared = None if scratch is None else (dict(files), scratch)

    def __reduce__(self) -> Any:
        in_memory = {number: file for number, file in self.items() if isinstance(file.held, bytes)}
        others = {number: file for number, file in self.items() if number not in in_memory}
        if sum(file.tables.num_bytes for file in in_memory.values()) <= _PICKLED_BYTES:
            return HeldIndexes, (dict(self),)
        if self._shared is None or self._shared[0] != dict(self):
            self._shared = dict(self), Scratch.write(_joined(in_memory))
        return _of_scratch, (self._shared[1], others)


def _joined(files: Mapping[int, IndexFile]) -> bytes:
    """Return the bytes of indexes, one after another, after a list of their places."""
    parts = [file.held for file in files.values()]
    places = [
        [number, str(file.shards[0].path), len(part)]
        for (number, file), part in zip(files.items(), parts, strict=True)
    ]
    head = json.dumps(places).encode()
    return b"".join([len(head).to_bytes(8, "little"), head, *parts])


def _of_scratch(scratch: Scratch, others: Mapping[int, IndexFile]) -> HeldIndexes:
    data = scratch.mapped().tobytes()
    first = 8 + int.from_bytes(data[:8], "little")
    files = dict(others)
    for number, path, length in json.loads(data[8:first]):
        files[number] = of_held(data[first : first + length], Path(path))
        first += length
    return HeldIndexes(dict(sorted(files.items())), scratch)
