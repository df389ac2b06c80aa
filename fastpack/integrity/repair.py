"""repair: what is whole in a damaged file, written to a new one. The damaged file is only read."""

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
from fastpack.files.file_names import path_of
from fastpack.files.temporary import remove_leftovers
from fastpack.formats import registry
from fastpack.formats.file_index import FileIndex
from fastpack.formats.file_options import Layout
from fastpack.formats.index.index import Index
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
    """What a repair came to: the new file, the samples in it, and what was wrong with the old one, record by record.

    A damage that `is_lost` is not in the new file. `notes`: why the new file, whole as it is, cannot be opened.
    """

    path: Path
    output: Path
    num_samples: int
    output_bytes: int
    damages: tuple[Damage, ...]
    notes: tuple[str, ...] = ()

    @property
    def num_lost(self) -> int:
        """Damages that took something away: one a record where records can be told apart, else one a stretch of bytes."""
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
    """Writes what is whole in a damaged TFRecord or HDF5 file to a new file of the same kind; nothing is made up.

    - path: the damaged file. It is only read. Its saved index, where there is one, helps: it knows where records were, their
      keys and, for HDF5, the labels.
    - output: the new file, which appears whole or not at all, with an index of its own.
    - index_dir: where the saved index is, when it is not beside the file.
    - progress: called with (bytes done, bytes in all).

    In a TFRecord the search goes on, after a damaged place, at the next length whose CRC-32C holds with data whose CRC-32C
    holds; records keep their bytes. Of an HDF5 file those samples are kept whose images agree with their CRC-32C; when its
    own tables are damaged, those of the index stand in.

    Raises OutputExistsError, OptionError (`output` is `path`), FormatError (another kind of file), or CorruptRecordError
    when nothing is whole.

    >>> packed = getfixture("digits")
    >>> repair(packed, packed.with_name("whole.tfrecord")).num_lost
    0
    """
    check_arguments(overwrite=overwrite, index_dir=index_dir, limits=limits, progress=progress)
    path, output = path_of("path", path), path_of("output", output)
    if output.exists() and output.samefile(path):
        raise OptionError(
            with_location(
                "the output is the damaged file, which is never changed; choose another name",
                Location(output),
            )
        )
    check_absent([output], overwrite)
    remove_leftovers(output.parent)
    file = FileIndex(path, None if index_dir is None else Path(index_dir))
    told = _saved(file)
    container = _container_of(file, told)
    job = _Job(path, output, told, limits, progress)
    if isinstance(container, CopyableContainer):
        return _copy(container, job)
    if isinstance(container, SalvageableContainer):
        return _repack(container, job, overwrite=overwrite)
    message = f"{container.title} files cannot be repaired; pack the images again"
    raise FormatError(with_location(message, Location(path)))


@dataclass(frozen=True)
class _Job:
    """One file to repair; `saved` is its saved index, which may be of an earlier state."""

    path: Path
    output: Path
    saved: Index | None
    limits: Limits
    progress: Progress | None


def _saved(file: FileIndex) -> Index | None:
    with contextlib.suppress(FormatError):
        return file.load_whole()
    return None


def _container_of(file: FileIndex, told: Index | None) -> Container:
    """Return the container by the first bytes or, if they are damaged, by the saved index."""
    try:
        return file.container
    except FormatError:
        if told is None:
            raise
        return registry.named(told.shards[0].container)


def _nothing_whole(path: Path) -> CorruptRecordError:
    return CorruptRecordError(
        with_location("nothing in the file is whole; restore it from its source", Location(path))
    )


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
        index.save(index_path(job.output))
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
