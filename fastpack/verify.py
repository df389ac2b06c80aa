"""verify: every checksum, every span and, if asked, every decode of a dataset."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack import containers
from fastpack.containers import Paths, find_shards
from fastpack.errors import FastpackError
from fastpack.index import Index
from fastpack.options import ReadOptions
from fastpack.reader import Reader

_BATCH_SAMPLES = 256


@dataclass
class Verified:
    """What a verification found: files and samples looked at, and what is wrong, each with its place."""

    num_files: int = 0
    num_samples: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        return not self.problems


# Called with (bytes done, bytes in all) after each batch.
Progress = Callable[[int, int], None]


def verify(path: Paths, *, decode: bool = False, progress: Progress | None = None) -> Verified:
    """Reads everything and compares it with its checksums; with `decode`, decodes each image too.

    A saved index that disagrees with its file is a problem as well. Nothing is modified.
    `progress` is called with (bytes done, bytes in all). Raises MissingFileError.
    """
    found = Verified()
    shards = find_shards(path)
    sizes = [shard.stat().st_size for shard in shards]
    for number, shard in enumerate(shards):

        def report(part: float, done: int = sum(sizes[:number]), size: int = sizes[number]) -> None:
            if progress:
                progress(done + int(part * size), sum(sizes))

        found.num_files += 1
        found.problems += _verify_shard(shard, decode, found, report)
        report(1.0)
    return found


def _verify_shard(path: Path, decode: bool, found: Verified, report: Callable[[float], None]) -> Iterator[str]:
    try:
        # Damaged records are listed one by one below, so they must not end the indexing here.
        index = containers.of_file(path).index(path, check=False)
    except FastpackError as error:
        yield str(error)
        return
    yield from _compare_saved(path, index)
    reader = Reader(index, ReadOptions(decode=decode))
    for first in range(0, len(reader), _BATCH_SAMPLES):
        rows = np.arange(first, min(first + _BATCH_SAMPLES, len(reader)))
        yield from _verify_rows(reader, rows)
        found.num_samples += len(rows)
        report((first + len(rows)) / len(reader))


def _verify_rows(reader: Reader, rows: npt.NDArray[np.int64]) -> Iterator[str]:
    """Halves a batch that fails until each bad record is found."""
    try:
        reader.read(rows)
    except FastpackError as error:
        if len(rows) == 1:
            yield str(error)
            return
        middle = len(rows) // 2
        yield from _verify_rows(reader, rows[:middle])
        yield from _verify_rows(reader, rows[middle:])


def _compare_saved(path: Path, index: Index) -> Iterator[str]:
    saved = containers.saved_index(path)
    if saved is not None and not _same(saved, index):
        yield f"the saved index does not agree with the file; delete {path.name}.index.npz and it is built again - at {path}"


def _same(a: Index, b: Index) -> bool:
    if a.schema != b.schema or a.columns.keys() != b.columns.keys() or a.spans.keys() != b.spans.keys():
        return False
    pairs: list[tuple[Any, Any]] = [(a.columns[name], b.columns[name]) for name in a.columns]
    pairs += [(a.spans[name], b.spans[name]) for name in a.spans]
    return all(np.array_equal(x, y) if isinstance(x, np.ndarray) else x == y for x, y in pairs)
