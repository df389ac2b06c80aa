"""repair: copies the whole records of a damaged file to a new one."""

import contextlib
import dataclasses
import json
from collections.abc import Callable
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
from fastpack.formats.index.index import Index
from fastpack.formats.index.kinds import kinds_of
from fastpack.integrity.salvage.survey import Damage, trusted_index
from fastpack.packing.options import PackOptions
from fastpack.packing.pack import pack
from fastpack.reading.options import ReadOptions
from fastpack.reading.reader import Reader


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
    """Copy the whole samples of a damaged TFRecord or HDF5 file to a new file of the same kind.

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
        FormatError: the file is neither TFRecord nor HDF5.
        CorruptRecordError: no sample is whole.

    Example:
        >>> packed = getfixture("digits")
        >>> repair(packed, packed.with_name("whole.tfrecord")).num_lost
        0
    """
    check_arguments(overwrite=overwrite, index_dir=index_dir, limits=limits, progress=progress)
    path, output = path_of("path", path), path_of("output", output)
    if output.exists() and output.samefile(path):
        message = "the output is the damaged file, which is never changed; choose another name"
        raise OptionError(with_location(message, Location(output)))
    check_absent([output], overwrite)
    remove_leftovers(output.parent)
    saved = _saved_index(path, None if index_dir is None else Path(index_dir))
    kind = _container_of(path, saved)
    if kind == "tfrecord":
        return _repair_tfrecord(path, output, saved, limits, progress)
    if kind == "hdf5":
        return _repair_hdf5(path, output, saved, limits, progress, overwrite=overwrite)
    raise FormatError(
        with_location(
            f"only TFRecord and HDF5 files can be repaired, not {kind}; pack the images again",
            Location(path),
        )
    )


def _saved_index(path: Path, index_dir: Path | None) -> Index | None:
    with contextlib.suppress(FormatError):
        return trusted_index(path, index_dir)
    return None


def _container_of(path: Path, saved: Index | None) -> str:
    """Recognize the format by the file's first bytes, or by the saved index if they are damaged."""
    try:
        return registry.of_file(path).name
    except FormatError:
        if saved is None:
            raise
        return saved.shards[0].container


def _nothing_whole(path: Path) -> CorruptRecordError:
    message = "nothing in the file is whole; restore it from its source"
    return CorruptRecordError(with_location(message, Location(path)))


def _repair_tfrecord(
    path: Path, output: Path, saved: Index | None, limits: Limits, progress: Progress | None
) -> RepairResult:
    from fastpack.integrity.salvage.tfrecord import (
        copy_records,
        survey_tfrecord,
        walk_records,
        without_strangers,
    )  # late: few need it

    size = path.stat().st_size
    survey = survey_tfrecord(path, saved, limits, _part(progress, size, 0))
    if len(survey.records) == 0:
        raise _nothing_whole(path)
    survey = without_strangers(path, survey)
    with atomic_write(output) as temporary:
        copy_records(path, survey, temporary, _part(progress, size, size))
        written = walk_records(temporary, limits)
        if len(written) != len(survey.records) or written["kind"].any():
            message = "the new file does not read back the same; check the disk"
            raise CorruptRecordError(with_location(message, Location(output)))
    notes = _indexed(output, saved, limits)
    return RepairResult(
        path, output, len(survey.records), output.stat().st_size, survey.damages, notes
    )


def _indexed(output: Path, saved: Index | None, limits: Limits) -> tuple[str, ...]:
    """Save the index of a repaired file; returns a note if the file cannot be opened."""
    try:
        index = registry.named("tfrecord").index(
            output, check=False, limits=limits, kinds=kinds_of(saved)
        )
    except FastpackError as error:
        return (f"the new file cannot be opened as it is: {error}",)
    with contextlib.suppress(FastpackError):  # `open` can build it
        index.save(index_path(output))
    return ()


def _part(progress: Progress | None, size: int, first: int) -> Callable[[int], None] | None:
    """Make the progress function of one of two reads of a file."""
    return (lambda done: progress(first + done, 2 * size, first + done)) if progress else None


def _repair_hdf5(
    path: Path,
    output: Path,
    saved: Index | None,
    limits: Limits,
    progress: Progress | None,
    *,
    overwrite: bool,
) -> RepairResult:
    from fastpack.integrity.salvage.hdf5 import survey_hdf5

    survey = survey_hdf5(path, saved, limits)
    whole = survey.whole
    if len(whole) == 0:
        raise _nothing_whole(path)
    image_field = whole.schema.image_field
    is_pixels = image_field is not None and image_field.kind == "pixels"
    names = {field.name: field.source_name for field in whole.schema.fields}
    options = PackOptions(
        format="hdf5", layout="pixels" if is_pixels else "encoded", names=names, limits=limits
    )
    total = int(Reader(whole).sizes.sum())
    packed = pack(
        Reader(whole, ReadOptions(decode=False, limits=limits)),
        output,
        options,
        overwrite=overwrite,
        progress=(lambda samples, of, done: progress(done, total, done)) if progress else None,
    )
    return RepairResult(path, output, packed.num_samples, packed.output_bytes, survey.damages)
