"""Packer: writes the shards of one pack and compares each with its samples."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fastpack.core.plural import counted
from fastpack.core.progress import Progress
from fastpack.core.ragged import offsets_of
from fastpack.core.threads import num_cores
from fastpack.errors import (
    CorruptRecordError,
    EmptySourceError,
    FastpackError,
    Location,
    os_errors_at,
    with_location,
)
from fastpack.files.atomic import sync_path
from fastpack.files.free_space import require_free_space
from fastpack.formats.index.find_seek_points import add_seek_points
from fastpack.formats.index.index import Index
from fastpack.formats.index.kinds import kind_of
from fastpack.formats.protocols import ChunkedContainer, Container, ShardPlan, Writer
from fastpack.packing.inputs import PackInput
from fastpack.packing.pipeline import Pipeline, Stages
from fastpack.packing.validation import Validator
from fastpack.packing.write_options import WriteOptions

# Row of the input -> its error. These samples are left out.
Faults = dict[int, FastpackError]
# Called with (number, index, faults) of each complete shard, from any thread.
Finish = Callable[[int, Index, Faults], None]

# Called with the number of a shard before its file is made, perhaps from several threads.
Begin = Callable[[int], None]

# Large enough that the time Python takes for a batch is small beside reading and writing it.
_BATCH_BYTES = 4 * 2**20
_BATCH_SAMPLES = 1024
# Memory of a batch: as it was read, as it is written, and parts of it in between.
_COPIES = 3


class ProgressCounter:
    """Counts samples and bytes for a progress function."""

    def __init__(self, progress: Progress | None, num_samples: int) -> None:
        self._progress, self._num_samples = progress, num_samples
        self._samples_done = self._bytes_done = 0

    def add(self, num_samples: int, num_bytes: int) -> None:
        self._samples_done += num_samples
        self._bytes_done += num_bytes
        if self._progress:
            self._progress(self._samples_done, self._num_samples, self._bytes_done)


@dataclass(frozen=True)
class _Portion:
    """Samples [first, end) of the input: one batch of a shard.

    `left_bytes` are the bytes of these images and of all later ones of the shard.
    """

    shard: int
    first: int
    end: int
    num_bytes: int
    left_bytes: int


@dataclass(frozen=True)
class _Made:
    """The encoded good samples of a portion, if any, and faults of the others."""

    piece: Any
    faults: Faults


class Packer:
    """Writes the shards of one pack.

    Batches of all shards go through one pipeline. So a shard is checked and synced while the next
    one is written.
    """

    def __init__(
        self,
        container: Container,
        pack_input: PackInput,
        write_options: WriteOptions,
        report: ProgressCounter,
        finish: Finish,
        begin: Begin,
    ) -> None:
        self._begin = begin
        self._container, self._pack_input, self._write_options, self._report, self._finish = (
            container,
            pack_input,
            write_options,
            report,
            finish,
        )
        self._num_workers = (
            num_cores() if write_options.num_workers is None else max(1, write_options.num_workers)
        )
        self._opening = threading.Lock()
        self._writers: dict[int, Writer[Any]] = {}
        self._num_left: dict[int, int] = {}
        self._faults: dict[int, Faults] = {}
        self._validator = Validator(pack_input, write_options.on_error)
        self._kinds = {field.name: kind_of(field) for field in pack_input.schema.fields}

    def write(self, paths: Mapping[int, Path], cuts: Sequence[int]) -> None:
        """Write the shards that `paths` lists, and call `finish` for each checked shard.

        Args:
            paths: number of a shard -> its file.
            cuts: first sample of each shard, and the number of samples.
        """
        self._paths = paths
        self._plans = [self._plan(first, end) for first, end in pairwise(cuts)]
        num_ahead, batch_bytes = _batches_for(self._write_options.memory_bytes, self._num_workers)
        portions: list[_Portion] = []
        for shard, (first, end) in enumerate(pairwise(cuts)):
            if shard not in paths:
                self._report.add(end - first, int(self._pack_input.sizes[first:end].sum()))
                continue
            cut = list(self._portions(shard, first, end, batch_bytes))
            self._num_left[shard], self._faults[shard] = len(cut), {}
            portions += cut
        stages = Stages(self._make, self._append, self._conclude)
        try:
            Pipeline(portions, stages, self._num_workers, num_ahead).run()
        except BaseException:
            for writer in self._writers.values():
                writer.abandon()
            raise

    def _portions(self, shard: int, first: int, end: int, batch_bytes: int) -> Iterator[_Portion]:
        """Cut a shard into batches of about `batch_bytes` and whole chunks."""
        chunk = self._chunk_of(self._plans[shard])
        image_ends = memory_ends = offsets_of(self._pack_input.sizes[first:end])
        if self._pack_input.memory_sizes is not self._pack_input.sizes:
            memory_ends = offsets_of(self._pack_input.memory_sizes[first:end])
        start, num_samples = 0, end - first
        while start < num_samples:
            fitting = np.searchsorted(memory_ends, memory_ends[start] + batch_bytes, side="right")
            count = min(int(fitting) - 1 - start, _BATCH_SAMPLES)
            if start + count < num_samples:
                count = max(count // chunk * chunk, chunk)
            stop = min(start + count, num_samples)
            num_bytes = int(image_ends[stop] - image_ends[start])
            left_bytes = int(image_ends[-1] - image_ends[start])
            yield _Portion(shard, first + start, first + stop, num_bytes, left_bytes)
            start = stop

    def _plan(self, first: int, end: int) -> ShardPlan:
        num_bytes = int(self._pack_input.sizes[first:end].sum())
        schema, options = self._pack_input.schema, self._write_options.files
        return ShardPlan(schema, end - first, num_bytes, options)

    def _chunk_of(self, plan: ShardPlan) -> int:
        container = self._container
        return container.chunk_of(plan) if isinstance(container, ChunkedContainer) else 1

    def _writer(self, shard: int) -> Writer[Any]:
        if shard not in self._writers:
            self._begin(shard)
        with self._opening:
            if shard not in self._writers:
                self._writers[shard] = self._container.writer(
                    self._paths[shard], self._plans[shard], self._num_workers
                )
            return self._writers[shard]

    def _make(self, portion: _Portion) -> _Made:
        with os_errors_at(self._paths[portion.shard]):
            writer = self._writer(portion.shard)
            batch, faults = self._validator.read(np.arange(portion.first, portion.end))
            return _Made(writer.encode(batch) if batch.num_samples else None, faults)

    def _append(self, portion: _Portion, made: _Made) -> None:
        if self._pack_input.keeps_sizes and not self._write_options.storage.is_filtered:
            # Other programs may fill the disk meanwhile.
            require_free_space(self._paths[portion.shard].parent, portion.left_bytes)
        with os_errors_at(self._paths[portion.shard]):
            if made.piece is not None:
                self._writer(portion.shard).append(made.piece)
        self._faults[portion.shard] |= made.faults
        self._report.add(portion.end - portion.first, portion.num_bytes)

    def _conclude(self, portion: _Portion, made: _Made) -> None:
        with os_errors_at(self._paths[portion.shard]):
            with self._opening:
                self._num_left[portion.shard] -= 1
                is_last = self._num_left[portion.shard] == 0
            if is_last:
                self._finish(
                    portion.shard, self._complete(portion.shard), self._faults[portion.shard]
                )

    def _complete(self, shard: int) -> Index:
        path, faults = self._paths[shard], self._faults[shard]
        num_samples = self._plans[shard].num_samples - len(faults)
        if num_samples == 0:
            first = next(iter(faults.values()))
            bad = counted(len(faults), "sample")
            message = f"no sample of this file is good ({bad}), the first: {first}"
            raise EmptySourceError(with_location(f"{message}; write fewer files", Location(path)))
        with _synced_meanwhile(path) if self._write_options.sync else contextlib.nullcontext():
            index = self._writer(shard).close() or self._container.index(
                path, limits=self._write_options.limits, kinds=self._kinds
            )
            del self._writers[shard]  # frees its tables of samples
        if len(index) != num_samples:
            message = f"{counted(num_samples, 'sample')} written but {len(index):,} read back"
            raise CorruptRecordError(with_location(f"{message}; check the disk", Location(path)))
        if not self._write_options.seek_points:
            return index
        return add_seek_points(index, num_workers=self._num_workers)


@contextlib.contextmanager
def _synced_meanwhile(path: Path) -> Iterator[None]:
    """Sync the file while it is checked; a second, short sync then takes the rest."""
    failures: list[OSError] = []

    def sync() -> None:
        try:
            sync_path(path)
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=sync, name="fastpack-sync", daemon=True)
    with contextlib.suppress(RuntimeError):  # the OS may refuse more threads
        thread.start()
    try:
        yield
    finally:
        if thread.ident is None:
            sync()
        else:
            thread.join()
    if failures:
        raise failures[0]


def _batches_for(memory_bytes: int | None, num_workers: int) -> tuple[int, int]:
    """Return how many batches may be in memory, and the bytes of each."""
    num_ahead = num_workers + 1
    if memory_bytes is None:
        return num_ahead, _BATCH_BYTES
    most = memory_bytes // _COPIES
    num_ahead = max(1, min(num_ahead, most // _BATCH_BYTES))
    return num_ahead, max(1, min(_BATCH_BYTES, most // num_ahead))
