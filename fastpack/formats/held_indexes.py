"""HeldIndexes: the indexes of a dataset that are not saved."""

import pickle
from collections.abc import Mapping
from typing import Any

from fastpack.files.scratch import Scratch
from fastpack.formats.index.index_file import IndexFile

_PICKLED_BYTES = 2**18


class HeldIndexes(dict[int, IndexFile]):
    """Indexes that are not saved, by number of the shard.

    A large pickle is a scratch file, which all processes of the machine share.
    """

    def __init__(self, files: Mapping[int, IndexFile], scratch: Scratch | None = None) -> None:
        super().__init__(files)
        self._shared = None if scratch is None else (dict(files), scratch)

    def __reduce__(self) -> Any:
        if self._shared is not None and self._shared[0] == self:
            return _of_scratch, (self._shared[1],)
        files = dict(self)
        data = pickle.dumps(files)
        if len(data) <= _PICKLED_BYTES:
            return HeldIndexes, (files,)
        scratch = Scratch.write(data)
        self._shared = files, scratch
        return _of_scratch, (scratch,)


def _of_scratch(scratch: Scratch) -> HeldIndexes:
    return HeldIndexes(pickle.loads(scratch.mapped()), scratch)
