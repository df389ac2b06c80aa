"""verify: checks all checksums and spans of a dataset, and compares it with its source."""

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
from fastpack.files.local_copy import local_copy, named_as
from fastpack.files.naming import missing, strangers
from fastpack.files.publication import refuse_unfinished
from fastpack.files.shard import Shard
from fastpack.formats.discovery import find_shards
from fastpack.formats.file_index import FileIndex
from fastpack.formats.index.find_seek_points import add_seek_points
from fastpack.formats.index.index import Index, concatenate
from fastpack.formats.index.kinds import kinds_of
from fastpack.formats.protocols import DatasetPaths, SalvageableContainer
from fastpack.formats.root_manifest import root_manifests
from fastpack.formats.salvage import Damage
from fastpack.formats.stored_set import StoredSets
from fastpack.images.batch import Batch
from fastpack.integrity.compare import compare_with_source, disagreement, source_at
from fastpack.integrity.unreadable import find_unreadable
from fastpack.reading.expression import whole
from fastpack.reading.options import ReadOptions
from fastpack.reading.reader import Reader
from fastpack.reading.samples import Samples
from fastpack.sources import Source
from fastpack.stores.store_path import StorePath, as_object, as_path, is_in_store

_BATCH_SAMPLES = 256
_BATCH_BYTES = 64 * 2**20  # of decoded pixels
_MAX_KEYS = 100  # of those that come again are listed


@dataclass(frozen=True)
class VerifyResult:
    """The result of `verify`.

    Args:
        num_files: files that were read.
        num_samples: samples in them, whole or damaged.
        num_unchecked: samples without a checksum in their file; they were only read.
        problems: problems with their locations, one line each.
        num_repeated_keys: samples with the key of an earlier one. They are not damaged, but may be
            in the dataset twice.
        repeated_keys: the first 100 of these keys.

    Example:
        >>> VerifyResult(1, 10, 0, ()).is_sound
        True
    """

    num_files: int
    num_samples: int
    num_unchecked: int
    problems: tuple[str, ...]
    num_repeated_keys: int = 0
    repeated_keys: tuple[str, ...] = ()

    @property
    def is_sound(self) -> bool:
        """True without problems."""
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
    """Read a dataset and compare it with its checksums; no file is modified.

    A difference between a file and its saved index is a problem too. It shows a file that lost its
    last records, or had two records swapped. All files of a numbered set must exist, unless `path`
    is one of these files.

    Args:
        path: a file, a set, a folder, a glob, or a list of these.
        decode: also decode each image.
        against: the source that was packed: a folder, a table, files or a Source. Each image is
            compared with its source byte for byte, by key. Missing and additional images are
            problems.
        index_dir: folder of the saved indexes, if they are not beside the files.
        num_workers: files that are read at the same time; None: one for each core.
        limits: bounds for records and images; see Limits.
        progress: called with (bytes done, bytes in all, bytes done), from any thread.

    Returns:
        Counts and problems. A damaged dataset raises no error.

    Raises:
        MissingFileError: there is no such file.
        EmptySourceError: the folder has no dataset.
        OptionError: `against` is given for a dataset of pixels.

    Example:
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
    stored = StoredSets(root_manifests(None))
    shards = find_shards(path, check=False, stored=stored)
    job = _Job(decode, limits, None if index_dir is None else Path(index_dir))
    work = _Work(shards, job, progress, num_passes=1 + decode + (against is not None))
    run_in_threads(work.run, min(num_workers or num_cores(), len(shards)))
    findings = [work.findings[number] for number in range(len(shards))]
    problems = [problem for finding in findings for problem in finding.problems]
    is_one_file = isinstance(path, (str, Path)) and shards == [path_of("path", path)]
    # A root manifest defines a set, whatever the names of its shards.
    named = [shard for shard in shards if shard not in stored.of_roots]
    problems += [] if is_one_file else _set_problems(named)
    if source is not None:
        problems += _compare(findings, source, work)
    work.finish()
    repeated = _repeated_keys(findings)
    return VerifyResult(
        len(shards),
        sum(finding.num_samples for finding in findings),
        sum(finding.num_unchecked for finding in findings),
        tuple(problems),
        len(repeated),
        tuple(repeated[:_MAX_KEYS]),
    )


def _source_of(against: Any) -> Source | None:
    if isinstance(against, (str, os.PathLike)):
        return source_at(path_of("against", against))
    is_source = hasattr(against, "read") and hasattr(against, "schema")
    if not (against is None or is_source or isinstance(against, (list, tuple))):
        message = "against must be a path, a list of paths or a Source"
        raise OptionError(f"{message}, not {checks.shown(against)}")
    return None if against is None else source_at(against)


@dataclass
class _Finding:
    """Findings about one file; `dataset` has its whole samples, if known."""

    problems: list[str]
    num_samples: int = 0
    num_unchecked: int = 0
    dataset: Index | None = None


@dataclass(frozen=True)
class _Job:
    """Options for each file."""

    decode: bool = False
    limits: Limits = DEFAULT_LIMITS
    index_dir: Path | None = None


class _Work:
    """The files, which any number of threads take in turn."""

    def __init__(
        self, shards: list[Path], job: _Job, progress: Progress | None, num_passes: int
    ) -> None:
        self.findings: dict[int, _Finding] = {}
        # next() on one iterator is atomic, so each file is taken once.
        self._left: Iterator[tuple[int, Path]] = iter(enumerate(shards))
        self._job, self._progress = job, progress
        self._total, self._done = sum(shard.stat().st_size for shard in shards) * num_passes, 0
        self._lock = threading.Lock()

    def run(self) -> None:
        try:
            for number, shard in self._left:
                self.findings[number] = _verify_shard(shard, self._job, self.advance)
        except BaseException:
            self._left = iter(())  # stops the other threads
            raise

    def advance(self, num_bytes: int) -> None:
        with self._lock:
            self._done = min(self._done + num_bytes, self._total)
            if self._progress:
                self._progress(self._done, self._total, self._done)

    def finish(self) -> None:
        self.advance(self._total)


def _verify_shard(path: Path, job: _Job, advance: Callable[[int], None]) -> _Finding:
    file = FileIndex(path, job.index_dir, job.limits)
    if not is_in_store(path):
        return _verify_file(path, file, _saved_index(file), job, advance)
    try:
        return _verify_object(as_object(path), file, job, advance)
    except FastpackError as error:  # of the store
        return _Finding([str(error)])


def _verify_object(
    path: StorePath, file: FileIndex, job: _Job, advance: Callable[[int], None]
) -> _Finding:
    """Verify an object by a local copy, which is removed at once."""
    opened = file.open_saved(save=False)
    saved = None if opened is None or len(opened.shards) > 1 else opened.load()
    container = file.container
    with local_copy(path) as local:
        finding = _verify_file(local, file, (saved, []), job, advance)
        problems = [named_as(path, local, problem) for problem in finding.problems]
    if finding.dataset is not None and len(finding.dataset.shards) == 1:
        shard = Shard.of(as_path(path), container.name)
        finding.dataset = dataclasses.replace(finding.dataset, shards=(shard,))
    finding.problems = problems
    return finding


def _verify_file(
    path: Path,
    file: FileIndex,
    found: tuple[Index | None, list[str]],
    job: _Job,
    advance: Callable[[int], None],
) -> _Finding:
    """Verify a local file.

    - file: has its container, and its index.
    - found: its saved index, and the problems of that.
    """
    (saved, problems), size = found, path.stat().st_size
    try:
        # Compares all checksums. The kinds of fields are not in the bytes but in the saved index.
        index = file.container.index(path, limits=job.limits, kinds=kinds_of(saved))
    except FastpackError as error:
        finding = _survey(path, file, saved, error, job.limits)
    else:
        finding = _Finding([], len(index), _num_unchecked(index), index)
        index = add_seek_points(index) if saved is not None and saved.seek_points else index
        if saved is not None and (difference := disagreement(saved, index)):
            where = file.index_path
            remedy = f"restore the file; or, if it was changed on purpose, delete {where}"
            problems.append(with_location(f"{difference}; {remedy}", Location(path)))
    advance(size)
    if finding.dataset is not None and (job.decode or _must_be_read(finding.dataset)):
        options = ReadOptions(decode=job.decode, on_error="mask", bits=8, limits=job.limits)
        reader = Reader(Samples.of(finding.dataset), options)
        problems += _read_all(reader, advance, size * job.decode)
    finding.problems = problems + finding.problems
    return finding


def _saved_index(file: FileIndex) -> tuple[Index | None, list[str]]:
    try:
        return file.load_whole(), []
    except FastpackError as error:
        return None, [str(error)]


def _survey(
    path: Path, file: FileIndex, saved: Index | None, error: FastpackError, limits: Limits
) -> _Finding:
    """List the damages of a file that failed with `error`."""
    try:
        container = file.container
        if isinstance(container, SalvageableContainer):
            survey = container.survey(path, saved, limits, find_unreadable)
            unchecked = 0 if survey.whole is None else _num_unchecked(survey.whole)
            lines = _lines(path, survey.damages, error)
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
    """True if samples have no checksum, or only one of decoded pixels."""
    return _num_unchecked(index) > 0 or any(
        (flat_values(spans)["offset"] == NO_SPAN).any() for spans in index.spans.values()
    )


def _read_all(reader: Reader, advance: Callable[[int], None], size: int) -> Iterator[str]:
    """Read all samples, in batches that fit in memory when decoded; yield faults."""
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
    """Compare decoded pixels with the checksums of the samples, if the file has them."""
    for field in reader.schema.blobs:
        if field.kind != "pixels":
            continue
        spans = reader.entries(rows).spans[field.name]
        decoded = (spans["offset"] == NO_SPAN) & (spans["crc32c"] != 0)
        if not decoded.any():
            continue
        pixels = np.ascontiguousarray(batch[field.name], field.dtype).reshape(-1).view(np.uint8)
        crcs = crc32c_rows(pixels, np.arange(len(rows) + 1) * (len(pixels) // len(rows)))
        for row in rows[decoded & (crcs != spans["crc32c"])].tolist():
            message = f"{field.name}: the pixels differ from their CRC32C"
            remedy = "restore the file from its source"
            yield with_location(f"{message}; {remedy}", reader.location(row))


def _set_problems(shards: list[Path]) -> Iterator[str]:
    """Yield the problems of the files as a set."""
    yield from strangers(shards)
    yield from missing(shards)
    try:
        refuse_unfinished(shard for shard in shards if not is_in_store(shard))
    except FastpackError as error:
        yield str(error)


def _repeated_keys(findings: list[_Finding]) -> list[str]:
    """Return the key of each sample that has the key of an earlier one."""
    columns = [
        whole(finding.dataset.columns.get("key"))
        for finding in findings
        if finding.dataset is not None
    ]
    pieces = [keys for keys in columns if isinstance(keys, Text)]
    return repeated_keys(Text.concatenate(pieces)) if pieces else []


def _compare(findings: list[_Finding], source: Source, work: _Work) -> Iterator[str]:
    datasets = [
        finding.dataset
        for finding in findings
        if finding.dataset is not None and len(finding.dataset)
    ]
    if not datasets:
        return
    done = 0

    def advance(num_bytes: int) -> None:
        nonlocal done
        work.advance(num_bytes - done)
        done = num_bytes

    yield from compare_with_source(Reader(Samples.of(concatenate(datasets))), source, advance)
