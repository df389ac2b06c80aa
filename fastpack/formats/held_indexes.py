"""HeldIndexes: the indexes of a dataset that are not saved."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastpack.files.scratch import Scratch
from fastpack.formats.index.index_file import IndexFile
from fastpack.stores.store import Options
from fastpack.stores.store_path import as_object, is_in_store, path_named

_PICKLED_BYTES = 2**18
_LENGTH_BYTES = 8  # of the number before the names


class HeldIndexes(dict[int, IndexFile]):
    """Indexes that are not saved, by number of the shard.

    A pickle has their bytes. If these are many, it has the path of a scratch file with them, which
    all processes of the machine share.
    """

    def __init__(self, files: Mapping[int, IndexFile], scratch: Scratch | None = None) -> None:
        super().__init__(files)
        self._shared = None if scratch is None else (dict(files), scratch)

    def __reduce__(self) -> Any:
        files = dict(self)
        small = {number: file.held for number, file in files.items() if type(file.held) is bytes}
        if sum(map(len, small.values())) <= _PICKLED_BYTES:
            return HeldIndexes, (files,)
        if self._shared is None or self._shared[0] != files:
            shards = [str(files[number].shard) for number in small]
            self._shared = files, _written(small, shards)
        large = {number: files[number] for number in files.keys() - small.keys()}
        paths = [files[number].shard for number in small]
        options = [as_object(path).options for path in paths if is_in_store(path)]
        return _of_scratch, (self._shared[1], large, options[0] if options else ())


def _written(pieces: Mapping[int, bytes], shards: Sequence[str]) -> Scratch:
    """Write indexes one after the other, after a list of their numbers, shards and lengths."""
    lengths = map(len, pieces.values())
    text = json.dumps(list(zip(pieces, shards, lengths, strict=True))).encode()
    length = len(text).to_bytes(_LENGTH_BYTES, "little")
    return Scratch.write(b"".join([length, text, *pieces.values()]))


def _of_scratch(scratch: Scratch, large: Mapping[int, IndexFile], options: Options) -> HeldIndexes:
    data = scratch.mapped()
    at = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little")
    files = dict(large)
    for number, shard, length in json.loads(bytes(data[_LENGTH_BYTES:at])):
        file = IndexFile.of_held(bytes(data[at : at + length]), path_named(shard, options))
        files[number] = file
        at += length
    return HeldIndexes(files, scratch)
