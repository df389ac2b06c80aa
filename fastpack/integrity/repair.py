"""repair: copies the whole samples of a damaged file to a new one."""

import contextlib
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.core.progress import Progress
from fastpack.errors import (
    CorruptRecordError,
    FastpackError,
    FormatError,
    Location,
    OptionError,
    with_location,
)
from fastpack.files.arguments import check_arguments
from fastpack.files.atomic import atomic_write, check_absent
from fastpack.files.companions import index_path
from fastpack.files.file_names import local_path_of
from fastpack.files.temporary import remove_leftovers
from fastpack.formats import registry
from fastpack.formats.file_index import FileIndex
from fastpack.formats.file_options import Layout
from fastpack.formats.index.index import Index
from fastpack.formats.index.index_file import save_index
from fastpack.formats.index.kinds import kinds_of
from fastpack.formats.protocols import Container, CopyableContainer, SalvageableContainer
from fastpack.formats.salvage import Damage
from fastpack.integrity.unreadable import find_unreadable
from fastpack.packing.options import PackOptions
from fastpack.packing.pack import pack
from fastpack.reading.options import ReadOptions
from fastpack.reading.reader import Reader
from fastpack.reading.samples import Samples


@dataclass(frozen=True)
class RepairResult:
    """The result of `repair`.

    Args:
        path: the damaged file.
        output: the new file.
        num_samples: samples in the new file.
        output_bytes: bytes of the new file.
        damages: damages of the old file, in order. Those with `is_lost` are not in the new file.
        notes: why the new file cannot be opened, if so.

    Example:
        >>> RepairResult(Path("a.h5"), Path("b.h5"), 10, 5000, ()).num_lost
        0
    """

    path: Path
    output: Path
    num_samples: int
    output_bytes: int
    damages: tuple[Damage, ...]
    notes: tuple[str, ...] = ()

    @property
    def num_lost(self) -> int:
        """Number of losses: of records, or of byte ranges if their records are unknown."""
        return sum(damage.is_lost for damage in self.damages)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self) | {"num_lost": self.num_lost}, default=str)


def repair(
    path: str | Path,
    output: str | Path,
    *,
    overwrite: bool = False,
    index_dir: str | Path | None = None,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> RepairResult:
    """Copy the whole samples of a damaged TFRecord or HDF5 file to a new one.

    After a damage in a TFRecord, the search continues at the next length and data whose CRC-32C
    match. Records keep their bytes. In an HDF5 file, samples are kept if their images match their
    CRC-32C. If its own tables are damaged, those of the saved index replace them.

    Args:
        path: the damaged file; only read. A saved index helps: it has the records' places and
            keys, and the labels of an HDF5 file.
        output: the new file, written completely or not at all, with its own index.
        overwrite: replace an existing output.
        index_dir: folder of the saved index, if it is not beside the file.
        limits: bounds for records and images; see Limits.
        progress: called with (bytes done, bytes in all, bytes done).

    Returns:
        Counts, and the damages of the old file.

    Raises:
        OutputExistsError: the output exists, without `overwrite`.
        OptionError: `output` is `path`.
        FormatError: files of this format cannot be repaired.
        CorruptRecordError: no sample is whole.

    Example:
        >>> packed = getfixture("digits")
        >>> repair(packed, packed.with_name("whole.tfrecord")).num_lost
        0
    """
    check_arguments(overwrite=overwrite, index_dir=index_dir, limits=limits, progress=progress)
    path, output = local_path_of("path", path), local_path_of("output", output)
    if output.exists() and output.samefile(path):
        message = "the output is the damaged file, which is never changed; choose another name"
        raise OptionError(with_location(message, Location(output)))
    check_absent([output], overwrite)
    remove_leftovers(output.parent)
    file = FileIndex(path, None if index_dir is None else Path(index_dir))
    saved = _saved_index(file)
    container = _container_of(file, saved)
    job = _Job(path, output, saved, limits, progress)
    if isinstance(container, CopyableContainer):
        return _copy(container, job)
    if isinstance(container, SalvageableContainer):
        return _repack(container, job, overwrite=overwrite)
    message = f"{container.title} files cannot be repaired; pack the images again"
    raise FormatError(with_location(message, Location(path)))


@dataclass(frozen=True)
class _Job:
    """One file to repair; `saved` is its saved index, which may be older."""

    path: Path
    output: Path
    saved: Index | None
    limits: Limits
    progress: Progress | None


def _saved_index(file: FileIndex) -> Index | None:
    with contextlib.suppress(FormatError):
        return file.load_whole()
    return None


def _container_of(file: FileIndex, saved: Index | None) -> Container:
    """Return the container by the first bytes; if damaged, by the saved index."""
    try:
        return file.container
    except FormatError:
        if saved is None:
            raise
        return registry.named(saved.shards[0].container)


def _nothing_whole(path: Path) -> CorruptRecordError:
    message = "no sample of the file is whole; restore it from its source"
    return CorruptRecordError(with_location(message, Location(path)))


def _copy(container: CopyableContainer, job: _Job) -> RepairResult:
    """Copy the whole records to the output, byte for byte."""
    path, output, progress = job.path, job.output, job.progress
    total = 2 * path.stat().st_size
    advance = (lambda done: progress(done, total, done)) if progress else None
    with atomic_write(output) as temporary:
        count, damages = container.copy_whole(path, temporary, job.saved, job.limits, advance)
        if count == 0:
            raise _nothing_whole(path)
    notes = _save_index(container, job)
    return RepairResult(path, output, count, output.stat().st_size, damages, notes)


def _save_index(container: Container, job: _Job) -> tuple[str, ...]:
    """Index the repaired file; return a note if it cannot be opened."""
    try:
        kinds = kinds_of(job.saved)
        index = container.index(job.output, check=False, limits=job.limits, kinds=kinds)
    except FastpackError as error:
        return (f"the new file cannot be opened as it is: {error}",)
    with contextlib.suppress(FastpackError):  # an index is derived, so nothing is lost
        save_index(index, index_path(job.output))
    return ()


def _repack(container: SalvageableContainer, job: _Job, *, overwrite: bool) -> RepairResult:
    """Pack the whole samples of the file into the output."""
    path, progress = job.path, job.progress
    survey = container.survey(path, job.saved, job.limits, find_unreadable)
    whole = survey.whole
    if whole is None or len(whole) == 0:
        raise _nothing_whole(path)
    image_field = whole.schema.image_field
    is_pixels = image_field is not None and image_field.kind == "pixels"
    names = {field.name: field.source_name for field in whole.schema.fields}
    layout: Layout = "pixels" if is_pixels else "auto"
    options = PackOptions(format=container.name, layout=layout, names=names, limits=job.limits)
    total = int(Samples.of(whole).sizes.sum())
    packed = pack(
        Reader(Samples.of(whole), ReadOptions(decode=False, limits=job.limits)),
        job.output,
        options,
        overwrite=overwrite,
        progress=(lambda samples, of, done: progress(done, total, done)) if progress else None,
    )
    return RepairResult(path, job.output, packed.num_samples, packed.output_bytes, survey.damages)
