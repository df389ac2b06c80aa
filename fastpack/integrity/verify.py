"""verify: every checksum, every span and, if asked, every decode of a dataset, and whether it is what was packed."""

import dataclasses
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastpack._native.crc32c import crc32c_rows
from fastpack.core import checks
from fastpack.core.bisect import bisect
from fastpack.core.dtypes import NO_SPAN, Rows
from fastpack.core.keys import repeated_keys
from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.core.portions import portions
from fastpack.core.progress import Progress
from fastpack.core.ragged import Text, flat_values, owners
from fastpack.core.threads import num_cores, run_in_threads
from fastpack.errors import FastpackError, Location, OptionError, with_location
from fastpack.files.arguments import check_arguments
from fastpack.files.file_names import path_of
from fastpack.files.naming import missing, strangers
from fastpack.files.publication import refuse_unfinished
from fastpack.formats.discovery import find_shards
from fastpack.formats.file_index import FileIndex
from fastpack.formats.index.find_seek_points import add_seek_points
from fastpack.formats.index.index import Index, concatenate
from fastpack.formats.index.kinds import kinds_of
from fastpack.formats.protocols import DatasetPaths, SalvageableContainer
from fastpack.formats.salvage import Damage
from fastpack.images.batch import Batch
from fastpack.integrity.compare import compare_with_source, disagreement, source_at
from fastpack.integrity.unreadable import find_unreadable
from fastpack.reading.options import ReadOptions
from fastpack.reading.reader import Reader
from fastpack.reading.samples import Samples
from fastpack.sources import Source

_BATCH_SAMPLES = 256
_BATCH_BYTES = 64 * 2**20  # of decoded pixels
_MAX_KEYS = 100  # of those that come again are listed


@dataclass(frozen=True)
class VerifyResult:
    """What a verification found.

    - num_files, num_samples: what was looked at, whole or damaged.
    - num_unchecked: samples whose images have no checksum in their file; they could be read, no more is known.
    - problems: what is wrong, a line each, with its place.
    - num_repeated_keys, repeated_keys: how many samples have the key of an earlier one, and the first of these keys. Nothing
      is damaged, but samples may be there twice.
    """

    num_files: int
    num_samples: int
    num_unchecked: int
    problems: tuple[str, ...]
    num_repeated_keys: int = 0
    repeated_keys: tuple[str, ...] = ()

    @property
    def is_sound(self) -> bool:
        return not self.problems

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self) | {"is_sound": self.is_sound})


def verify(
    path: DatasetPaths,
    *,
    decode: bool = False,
    against: Source | DatasetPaths | None = None,
    index_dir: str | Path | None = None,
    num_workers: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> VerifyResult:
    """Reads everything and compares it with its checksums; nothing is modified.

    A saved index that disagrees with its file is a problem too: so a file that lost its last records, or had two of them
    swapped, is noticed. Of files named like train-00000-of-00010.tfrecord, all must be there, but where `path` is one of them.

    - decode: decode each image too.
    - against: the folder, the table, the files or the Source that was packed: each image is compared with its file byte for byte,
      by key; images that are missing and images that are too many are problems.
    - index_dir: where the saved indexes are, when they are not beside the files.
    - num_workers: files that are looked at side by side; None is one a core.
    - progress: called with (bytes done, bytes in all), from any thread.

    Raises MissingFileError, EmptySourceError, or OptionError (`against` for a dataset of pixels).

    >>> verify(getfixture("digits")).is_sound
    True
    """
    check_arguments(
        decode=decode,
        index_dir=index_dir,
        num_workers=num_workers,
        limits=limits,
        progress=progress,
    )
    source = _source_of(against)
    shards = find_shards(path, check=False)
    job = _Job(decode, limits, None if index_dir is None else Path(index_dir))
    work = _Work(shards, job, progress, num_passes=1 + decode + (against is not None))
    run_in_threads(work.run, min(num_workers or num_cores(), len(shards)))
    findings = [work.findings[number] for number in range(len(shards))]
    problems = [problem for finding in findings for problem in finding.problems]
    is_one_file = isinstance(path, (str, Path)) and shards == [Path(path)]
    problems += [] if is_one_file else _set_problems(shards)
    if source is not None:
        problems += _compare(findings, source, work)
    work.finish()
    num_samples, num_unchecked = (
        sum(f.num_samples for f in findings),
        sum(f.num_unchecked for f in findings),
    )
    repeated = _repeated_keys(findings)
    return VerifyResult(
        len(shards),
        num_samples,
        num_unchecked,
        tuple(problems),
        len(repeated),
        tuple(repeated[:_MAX_KEYS]),
    )


def _source_of(against: Any) -> Source | None:
    if isinstance(against, (str, os.PathLike)):
        return source_at(path_of("against", against))
    is_source = hasattr(against, "read") and hasattr(against, "schema")
    if not (against is None or is_source or isinstance(against, (list, tuple))):
        raise OptionError(
            f"against must be a path, a list of paths or a Source, not {checks.shown(against)}"
        )
    return None if against is None else source_at(against)


@dataclass
class _Finding:
    """What was found in one file. `dataset`: its whole samples, when they could be told."""

    problems: list[str]
    num_samples: int = 0
    num_unchecked: int = 0
    dataset: Index | None = None


@dataclass(frozen=True)
class _Job:
    """What is done with each file."""

    decode: bool = False
    limits: Limits = DEFAULT_LIMITS
    index_dir: Path | None = None


class _Work:
    """The files, taken one after the other by any number of threads."""

    def __init__(
        self, shards: list[Path], job: _Job, progress: Progress | None, num_passes: int
    ) -> None:
        self.findings: dict[int, _Finding] = {}
        self._left: Iterator[tuple[int, Path]] = iter(
            enumerate(shards)
        )  # next() on one iterator is atomic: each file is taken once
        self._job, self._progress = job, progress
        self._total, self._done = sum(shard.stat().st_size for shard in shards) * num_passes, 0
        self._lock = threading.Lock()

    def run(self) -> None:
        try:
            for number, shard in self._left:
                self.findings[number] = _verify_shard(shard, self._job, self.advance)
        except BaseException:
            self._left = iter(())  # others need not begin what nobody will see
            raise

    def advance(self, num_bytes: int) -> None:
        with self._lock:
            self._done = min(self._done + num_bytes, self._total)
            if self._progress:
                self._progress(self._done, self._total, self._done)

    def finish(self) -> None:
        self.advance(self._total)


def _verify_shard(path: Path, job: _Job, advance: Callable[[int], None]) -> _Finding:
    size = path.stat().st_size
    file = FileIndex(path, job.index_dir, job.limits)
    told, problems = _saved(file)
    try:
        # Compares everything with its checksums. What fields are is not a matter of the bytes, so the saved index says it.
        index = file.container.index(path, limits=job.limits, kinds=kinds_of(told))
    except FastpackError as error:
        finding = _survey(file, told, error, job.limits)
    else:
        finding = _Finding([], len(index), _num_unchecked(index), index)
        index = add_seek_points(index) if told is not None and told.seek_points else index
        if told is not None and (difference := disagreement(told, index)):
            remedy = f"restore the file; or, if it was changed on purpose, delete {file.index_path}"
            problems.append(with_location(f"{difference}; {remedy}", Location(path)))
    advance(size)
    if finding.dataset is not None and (job.decode or _must_be_read(finding.dataset)):
        options = ReadOptions(decode=job.decode, on_error="mask", bits=8, limits=job.limits)
        problems += _read_all(Reader(Samples.of(finding.dataset), options), advance, size * job.decode)
    finding.problems = problems + finding.problems
    return finding


def _saved(file: FileIndex) -> tuple[Index | None, list[str]]:
    try:
        return file.load_whole(), []
    except FastpackError as error:
        return None, [str(error)]


def _survey(file: FileIndex, told: Index | None, error: FastpackError, limits: Limits) -> _Finding:
    """Each damage of a file that does not hold what its checksums say; `error` is the first."""
    try:
        container = file.container
        if isinstance(container, SalvageableContainer):
            survey = container.survey(file.path, told, limits, find_unreadable)
            unchecked = 0 if survey.whole is None else _num_unchecked(survey.whole)
            lines = _lines(file.path, survey.damages, error)
            return _Finding(lines, survey.num_samples, unchecked, survey.whole)
    except FastpackError as worse:
        return _Finding([str(worse)])
    return _Finding([str(error)])


def _lines(path: Path, damages: tuple[Damage, ...], error: FastpackError) -> list[str]:
    remedy = "restore the file from its source, or let `fastpack repair` save what is whole"
    return [
        with_location(f"{damage.reason}; {remedy}", damage.location(path)) for damage in damages
    ] or [str(error)]


def _num_unchecked(index: Index) -> int:
    unchecked = np.zeros(len(index), np.bool_)
    for name, spans in index.spans.items():
        checking = [
            number for number, table in index.chunks.get(name, {}).items() if table.has_checksums
        ]
        flat, owner = flat_values(spans), owners(spans)
        unsummed = (flat["record_length"] == 0) & (flat["crc32c"] == 0) & (flat["length"] > 0)
        unchecked[owner[unsummed & ~np.isin(index.shard_numbers[owner], checking)]] = True
    return int(unchecked.sum())


def _must_be_read(index: Index) -> bool:
    """True for samples without a checksum, and for those whose checksum is known only when they are decoded."""
    return _num_unchecked(index) > 0 or any(
        (flat_values(spans)["offset"] == NO_SPAN).any() for spans in index.spans.values()
    )


def _read_all(reader: Reader, advance: Callable[[int], None], size: int) -> Iterator[str]:
    """Read all samples, in batches that fit in memory once they are decoded. Yields the faults."""
    rows = np.arange(len(reader))
    for part in portions(_decoded_bytes(reader), _BATCH_BYTES, _BATCH_SAMPLES):
        for read, result in bisect(reader.read, rows[part]):
            if isinstance(result, FastpackError):
                yield str(result)
            else:
                yield from map(str, result.failures)
                yield from _compare_pixels(reader, read, result)
        advance(size * (part.stop - part.start) // len(reader))


def _decoded_bytes(reader: Reader) -> Rows:
    """Bytes of each image in RGB; of samples without a width, their stored bytes."""
    facts = reader.columns
    if "width" not in facts:
        return reader.sizes
    return np.asarray(facts["width"], np.int64) * np.asarray(facts["height"], np.int64) * 3


def _compare_pixels(reader: Reader, rows: Rows, batch: Batch) -> Iterator[str]:
    """Compares pixels that had to be decoded with the checksums of the samples, where the file has these."""
    for field in reader.schema.blobs:
        if field.kind != "pixels":
            continue
        spans = reader.index.spans[field.name][rows]
        decoded = (spans["offset"] == NO_SPAN) & (spans["crc32c"] != 0)
        if not decoded.any():
            continue
        pixels = np.ascontiguousarray(batch[field.name], field.dtype).reshape(-1).view(np.uint8)
        crcs = crc32c_rows(pixels, np.arange(len(rows) + 1) * (len(pixels) // len(rows)))
        for row in rows[decoded & (crcs != spans["crc32c"])].tolist():
            yield with_location(
                f"{field.name}: the pixels differ from their CRC32C; restore the file from its source",
                reader.location(row),
            )


def _set_problems(shards: list[Path]) -> Iterator[str]:
    """What is wrong with the files as a set."""
    yield from strangers(shards)
    yield from missing(shards)
    try:
        refuse_unfinished(shards)
    except FastpackError as error:
        yield str(error)


def _repeated_keys(findings: list[_Finding]) -> list[str]:
    """The key of each sample that has the key of an earlier one."""
    columns = [
        finding.dataset.columns.get("key") for finding in findings if finding.dataset is not None
    ]
    pieces = [keys for keys in columns if isinstance(keys, Text)]
    return repeated_keys(Text.concatenate(pieces)) if pieces else []


def _compare(findings: list[_Finding], source: Source, work: _Work) -> Iterator[str]:
    whole = [
        finding.dataset
        for finding in findings
        if finding.dataset is not None and len(finding.dataset)
    ]
    if not whole:
        return
    done = 0

    def advance(num_bytes: int) -> None:
        nonlocal done
        work.advance(num_bytes - done)
        done = num_bytes

    yield from compare_with_source(Reader(Samples.of(concatenate(whole))), source, advance)
