"""doctor: measures disk, decoder and consumer, and names the slowest stage."""

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import Rows
from fastpack.core.ragged import Ragged
from fastpack.core.threads import num_cores, run_in_threads
from fastpack.errors import EmptySourceError, OptionError
from fastpack.images.batch import Batch
from fastpack.images.codecs import decode
from fastpack.images.headers import FORMATS, probe_blobs
from fastpack.inspection.advice import Facts, advise
from fastpack.inspection.decoders import DecoderUsage, decoder_usage, random_rows, sizes_of
from fastpack.inspection.store_doctor import StoreDiagnosis, diagnose_store
from fastpack.reading.reader import Reader
from fastpack.sources import Source

_MAX_SAMPLED_BYTES = 256 * 2**20
_MAX_STORE_BYTES = 32 * 2**20
_MAX_SAMPLED = 4096
_BATCH_SAMPLES = 64
_PAGE_BYTES = 4096
_STORE_STAGE = "store, shuffled"
# A training step or another consumer of batches. It returns when the batch is consumed.
Consumer = Callable[[Batch], Any]


@dataclass(frozen=True)
class Stage:
    """Speed of one stage by itself.

    Args:
        name: "disk, shuffled" or "disk, in order" (nothing of the files in memory), "memory" (all
            in memory), "decode", "decode, one core" or "consumer". For a dataset in a store,
            "store, shuffled" (without a cache) stands for the disk.
        samples_per_second: samples per second.
        bytes_per_second: bytes of stored images per second.
    """

    name: str
    samples_per_second: float
    bytes_per_second: float


@dataclass(frozen=True)
class Diagnosis:
    """Result of `doctor`.

    Args:
        num_samples: images of the whole dataset.
        num_bytes: their stored bytes.
        num_workers: threads.
        memory_bytes: memory that the OS can use to cache files; None if it is unknown.
        stages: the stages that can be measured here.
        binding: the slowest stage that every sample passes.
        ceiling: samples per second of that stage. Training cannot be faster.
        advice: changes that would raise the ceiling, the most effective first.
        decoders: which decoder takes the images; None for a dataset in a store.
        store: latency and bandwidth of the store, and how to read from it; None for local files.
    """

    num_samples: int
    num_bytes: int
    num_workers: int
    memory_bytes: int | None
    stages: tuple[Stage, ...]
    binding: str
    ceiling: float
    advice: tuple[str, ...]
    decoders: DecoderUsage | None = None
    store: StoreDiagnosis | None = None

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))


def doctor(
    dataset: Reader | Source,
    *,
    consumer: Consumer | float | None = None,
    num_workers: int | None = None,
    seconds: float = 2.0,
    seed: int = 0,
) -> Diagnosis:
    """Measure each stage of loading a dataset, or the files of a source.

    Before the disk stages, the OS is asked to drop the files from memory (posix_fadvise). If it
    keeps them, as on a RAM disk, these stages are left out.

    Of a dataset in a store, up to 32 MiB of samples are read, and up to 256 MiB of random ranges.
    A small object is written beside the first file, twice, and deleted again.

    Args:
        dataset: a Reader, whose transform counts as decoding; or a Source, whose single files are
            read.
        consumer: a function that takes a Batch as training does, or the samples per second of
            training.
        num_workers: threads that read and decode; None means one for each core.
        seconds: approximate time for each stage.
        seed: chooses the samples.

    Raises:
        EmptySourceError: there are no samples.
        OptionError: an option has a bad value.
        FastpackError: a file is damaged.

    Example:
        >>> import fastpack
        >>> result = doctor(fastpack.open(getfixture("digits")), consumer=50.0, seconds=0.01)
        >>> result.binding, result.ceiling
        ('consumer', 50.0)
    """
    if len(dataset) == 0:
        raise EmptySourceError("there are no samples to measure")
    if seconds <= 0 or (isinstance(consumer, (int, float)) and consumer <= 0):
        raise OptionError("seconds and the consumer's rate must be positive")
    workers = num_workers or num_cores()
    subject, rows = _subject_of(dataset, seed)
    stages = tuple(_measured(subject, rows, workers, consumer, seconds))
    memory, num_bytes = _available_memory(), subject.num_bytes
    fits = memory is not None and num_bytes < memory / 2 and not subject.is_remote
    binding = _binding(stages, fits)
    rates = {stage.name: stage.samples_per_second for stage in stages}
    facts = Facts(binding.name, fits, rates, workers, *subject.facts(rows))
    store = _store_of(dataset, rates, seconds, seed) if subject.is_remote else None
    advice = () if store and binding.name == _STORE_STAGE else tuple(advise(facts))
    return Diagnosis(
        num_samples=len(dataset),
        num_bytes=num_bytes,
        num_workers=workers,
        memory_bytes=memory,
        stages=stages,
        binding=binding.name,
        ceiling=binding.samples_per_second,
        advice=advice + (store.advice if store else ()),
        decoders=None if subject.is_remote else decoder_usage(dataset),
        store=store,
    )


def _store_of(dataset: Any, rates: dict[str, float], seconds: float, seed: int) -> StoreDiagnosis:
    """Plan for the rate of the consumer, or for the highest rate that this machine reaches."""
    local = min(rates[name] for name in ("decode", "memory") if name in rates)
    return diagnose_store(dataset, rates.get("consumer", local), seconds=seconds, seed=seed)


def _subject_of(dataset: Reader | Source, seed: int) -> tuple["_Subject", Rows]:
    """Return what is measured, and the samples with which it is."""
    if not isinstance(dataset, Reader):
        return _SourceSubject(dataset), sampled(dataset, seed)
    if dataset.samples.remote is None:
        return _ReaderSubject(dataset), sampled(dataset, seed)
    rows = sampled(dataset, seed, _MAX_STORE_BYTES)
    return _StoreSubject(dataset, rows), rows


def sampled(dataset: Reader | Source, seed: int, max_bytes: int = _MAX_SAMPLED_BYTES) -> Rows:
    """Choose samples of the whole dataset, in random order."""
    order = random_rows(dataset, _MAX_SAMPLED, seed)
    count = int(np.searchsorted(np.cumsum(sizes_of(dataset, order)), max_bytes)) + 1
    return order[:count]


def _binding(stages: tuple[Stage, ...], fits: bool) -> Stage:
    """Return the slowest stage that every sample passes. Files in memory skip the disk."""
    passed = {"decode", "consumer", _STORE_STAGE, "memory" if fits else "disk, shuffled"}
    found = [stage for stage in stages if stage.name in passed]
    return min(found or stages, key=lambda stage: stage.samples_per_second)


class _Subject(Protocol):
    """A dataset or source that can be read and decoded, and its files."""

    num_bytes: int
    is_remote: bool
    # Seconds that a store took for the samples; 0 for local files.
    fetch_seconds: float

    def sizes(self, rows: Rows) -> Rows: ...
    def read(self, rows: Rows, workers: int) -> Batch: ...
    def decode(self, rows: Rows, workers: int) -> Batch | None:
        """Read and decode; return None if nothing can be decoded."""
        ...

    def paths(self, rows: Rows) -> list[Path]: ...
    def facts(self, rows: Rows) -> tuple[dict[str, float], float, bool]:
        """Return shares of formats and progressive JPEGs, mean megapixels, and whether packed."""
        ...


def _measured(
    subject: _Subject, rows: Rows, workers: int, consumer: Consumer | float | None, seconds: float
) -> Iterator[Stage]:
    def stage(name: str, took: float, done: Rows) -> Stage:
        took = max(took, 1e-9)
        return Stage(name, len(done) / took, float(subject.sizes(done).sum()) / took)

    if subject.is_remote:
        yield stage(_STORE_STAGE, subject.fetch_seconds, rows)
    subject.read(rows[:1], workers)  # opens files
    for name, order in (("disk, shuffled", rows), ("disk, in order", np.sort(rows))):
        # Each disk stage starts without files in memory.
        if _forget(subject.paths(order)):
            yield stage(name, *timed(lambda batch: subject.read(batch, workers), order, seconds))
    _, warmed = timed(lambda batch: subject.read(batch, workers), rows, seconds)
    reading, warmed = timed(lambda batch: subject.read(batch, workers), warmed, seconds)
    yield stage("memory", reading, warmed)
    for name, threads in (("decode", workers), ("decode, one core", 1)):
        if subject.decode(rows[:1], threads) is None:
            break
        both, decoded = timed(partial(subject.decode, workers=threads), warmed, seconds)
        again, _ = timed(partial(subject.read, workers=threads), decoded, 2 * seconds)
        yield stage(name, max(both - again, both / 100), decoded)
    if isinstance(consumer, (int, float)):
        yield Stage(
            "consumer", float(consumer), float(consumer) * float(subject.sizes(rows).mean())
        )
    elif consumer is not None:
        yield stage("consumer", *_consumed(subject, rows, workers, consumer, seconds))


def timed(work: Callable[[Rows], Any], rows: Rows, seconds: float) -> tuple[float, Rows]:
    """Return the seconds that `work` took, and the rows done: at least one batch."""
    took, done = 0.0, 0
    while done < len(rows) and (took < seconds or done == 0):
        batch = rows[done : done + _BATCH_SAMPLES]
        started = time.perf_counter()
        work(batch)
        took += time.perf_counter() - started
        done += len(batch)
    return took, rows[:done]


def _consumed(
    subject: _Subject, rows: Rows, workers: int, consumer: Consumer, seconds: float
) -> tuple[float, Rows]:
    """Time the consumer by itself: its batches are ready before."""
    ready: list[Batch] = []

    def consume(batch: Rows) -> None:
        consumer(ready.pop())

    took, done = 0.0, 0
    while done < len(rows) and (took < seconds or done == 0):
        batch = rows[done : done + _BATCH_SAMPLES]
        ready.append(subject.decode(batch, workers) or subject.read(batch, workers))
        took += timed(consume, batch, seconds)[0]
        done += len(batch)
    return took, rows[:done]


def _forget(paths: list[Path]) -> bool:
    """Ask the OS to drop files from memory. Returns whether it dropped most of them."""
    kept: list[bool] = []
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            os.fsync(file.fileno())  # unwritten pages cannot be dropped
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            kept += _kept_pages(file.fileno(), path.stat().st_size)
    return bool(kept) and sum(kept) < len(kept) / 2


def _kept_pages(descriptor: int, size: int) -> list[bool]:
    """Return whether a few pages of a file are in memory."""
    kept = []
    for offset in range(0, size, max(_PAGE_BYTES, size // 4)):
        try:
            os.preadv(descriptor, [bytearray(1)], offset, os.RWF_NOWAIT)
            kept.append(True)
        except BlockingIOError:
            kept.append(False)
        except OSError:  # the file system does not support the flag
            return [True]
    return kept


def _available_memory() -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


class _ReaderSubject:
    """A dataset to measure."""

    is_remote = False
    fetch_seconds = 0.0

    def __init__(self, reader: Reader) -> None:
        self._reader, self.num_bytes = reader.with_one_depth(), reader.stored_bytes
        image_field = reader.schema.image_field
        self._is_encoded = image_field is not None and image_field.kind == "image"

    def sizes(self, rows: Rows) -> Rows:
        return sizes_of(self._reader, rows)

    def read(self, rows: Rows, workers: int) -> Batch:
        reader = self._reader.with_options(decode=False, transform=None, num_workers=workers)
        return self._read(reader, rows)

    def decode(self, rows: Rows, workers: int) -> Batch | None:
        reader = self._reader.with_options(decode=True, num_workers=workers)
        return self._read(reader, rows) if self._is_encoded or reader.options.steps else None

    def _read(self, reader: Reader, rows: Rows) -> Batch:
        return reader.read(rows)

    def paths(self, rows: Rows) -> list[Path]:
        index = self._reader.entries(rows)
        shards = [shard.path for shard in index.shards]
        if index.files is None:
            return shards
        # A folder's files are opened one by one.
        names = zip(index.shard_numbers.tolist(), index.files.names, strict=True)
        return [shards[number] / name for number, name in names]

    def facts(self, rows: Rows) -> tuple[dict[str, float], float, bool]:
        image_field = self._reader.schema.image_field
        if image_field is None or not self._is_encoded:
            return {}, 0.0, True
        return *_shares(self._reader.entries(rows).infos[image_field.name]), True


class _StoreSubject(_ReaderSubject):
    """A dataset in a store, of which some samples are read once and kept in memory."""

    is_remote = True

    def __init__(self, reader: Reader, rows: Rows) -> None:
        super().__init__(reader)
        entries = reader.samples.entries(rows)
        started = time.perf_counter()
        self._window = self._reader.samples.start_reads(rows)
        self._window.fetched_for(entries.shards)
        self.fetch_seconds = time.perf_counter() - started

    def paths(self, rows: Rows) -> list[Path]:
        return []

    def _read(self, reader: Reader, rows: Rows) -> Batch:
        return reader.read_from([self._window], rows, np.zeros(len(rows), np.int64))


class _SourceSubject:
    """A source to measure."""

    is_remote = False
    fetch_seconds = 0.0

    def __init__(self, source: Source) -> None:
        self._source, self.num_bytes = source, int(source.sizes.sum())

    def sizes(self, rows: Rows) -> Rows:
        return sizes_of(self._source, rows)

    def read(self, rows: Rows, workers: int) -> Batch:
        return self._source.read(rows)

    def decode(self, rows: Rows, workers: int) -> Batch | None:
        batch = self._source.read(rows)
        name, images = self._images(batch)
        pixels: list[Any] = [None] * len(images)
        # next() of one iterator is atomic, so each image is taken once.
        left = iter(range(len(images)))

        def work() -> None:
            for i in left:
                pixels[i] = decode(images.bytes(i))

        run_in_threads(work, workers)
        return Batch({**batch, name: pixels}, len(rows))

    def _images(self, batch: Batch) -> tuple[str, Ragged]:
        image_field = self._source.schema.image_field
        if image_field is None or not isinstance(batch[image_field.name], Ragged):
            raise OptionError("the source has no image files; pack it and measure the dataset")
        return image_field.name, batch[image_field.name]

    def paths(self, rows: Rows) -> list[Path]:
        return [
            Path(location.path)
            for row in rows.tolist()
            if (location := self._source.location(row)).path is not None
        ]

    def facts(self, rows: Rows) -> tuple[dict[str, float], float, bool]:
        _, images = self._images(self._source.read(rows[:_BATCH_SAMPLES]))
        infos, _ = probe_blobs(images)
        return *_shares(infos), False


def _shares(infos: npt.NDArray[Any]) -> tuple[dict[str, float], float]:
    counts = np.bincount(infos["format"], minlength=len(FORMATS))
    shares = {
        name: float(count / len(infos))
        for name, count in zip(FORMATS, counts, strict=False)
        if count
    }
    shares["progressive"] = float((infos["progressive"] > 0).mean())
    return shares, float((infos["width"].astype(np.float64) * infos["height"]).mean() / 1e6)
