"""repair: what is whole in a damaged file, written to a new one. The damaged file is only read."""

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
    told = _saved(path, None if index_dir is None else Path(index_dir))
    kind = _container_of(path, told)
    if kind == "tfrecord":
        return _repair_tfrecord(path, output, told, limits, progress)
    if kind == "hdf5":
        return _repair_hdf5(path, output, told, limits, progress, overwrite=overwrite)
    raise FormatError(
        with_location(
            f"only TFRecord and HDF5 files can be repaired, not {kind}; pack the images again",
            Location(path),
        )
    )


def _saved(path: Path, index_dir: Path | None) -> Index | None:
    with contextlib.suppress(FormatError):
        return trusted_index(path, index_dir)
    return None


def _container_of(path: Path, told: Index | None) -> str:
    """What the file was: its first bytes may be damaged."""
    try:
        return registry.of_file(path).name
    except FormatError:
        if told is None:
            raise
        return told.shards[0].container


def _nothing_whole(path: Path) -> CorruptRecordError:
    return CorruptRecordError(
        with_location("nothing in the file is whole; restore it from its source", Location(path))
    )


def _repair_tfrecord(
    path: Path, output: Path, told: Index | None, limits: Limits, progress: Progress | None
) -> RepairResult:
    from fastpack.integrity.salvage.tfrecord import (
        copy_records,
        survey_tfrecord,
        walk_records,
        without_strangers,
    )  # late: few need it

    size = path.stat().st_size
    survey = survey_tfrecord(path, told, limits, _part(progress, size, 0))
    if len(survey.records) == 0:
        raise _nothing_whole(path)
    survey = without_strangers(path, survey)
    with atomic_write(output) as temporary:
        copy_records(path, survey, temporary, _part(progress, size, size))
        written = walk_records(temporary, limits)
        if len(written) != len(survey.records) or written["kind"].any():
            raise CorruptRecordError(
                with_location(
                    "what was written does not read back the same; check the disk", Location(output)
                )
            )
    notes = _indexed(output, told, limits)
    return RepairResult(
        path, output, len(survey.records), output.stat().st_size, survey.damages, notes
    )


def _indexed(output: Path, told: Index | None, limits: Limits) -> tuple[str, ...]:
    """Saves the index of a repaired file. Gives a note on a file that has none, since it cannot be opened."""
    try:
        index = registry.named("tfrecord").index(
            output, check=False, limits=limits, kinds=kinds_of(told)
        )
    except FastpackError as error:
        return (f"the new file cannot be opened as it is: {error}",)
    with contextlib.suppress(FastpackError):  # an index is derived
        index.save(index_path(output))
    return ()


def _part(progress: Progress | None, size: int, first: int) -> Callable[[int], None] | None:
    """Progress through one of two passes over a file."""
    return (lambda done: progress(first + done, 2 * size, first + done)) if progress else None


def _repair_hdf5(
    path: Path,
    output: Path,
    told: Index | None,
    limits: Limits,
    progress: Progress | None,
    *,
    overwrite: bool,
) -> RepairResult:
    from fastpack.integrity.salvage.hdf5 import survey_hdf5

    survey = survey_hdf5(path, told, limits)
    whole = survey.whole
    if len(whole) == 0:
        raise _nothing_whole(path)
    image_field = whole.schema.image_field
    is_pixels = image_field is not None and image_field.kind == "pixels"
    names = {field.name: field.source_name for field in whole.schema.fields}
    options = PackOptions(
        format="hdf5", layout="pixels" if is_pixels else "encoded", names=names, limits=limits
    )
    total = int(Samples.of(whole).sizes.sum())
    packed = pack(
        Reader(Samples.of(whole), ReadOptions(decode=False, limits=limits)),
        output,
        options,
        overwrite=overwrite,
        progress=(lambda samples, of, done: progress(done, total, done)) if progress else None,
    )
    return RepairResult(path, output, packed.num_samples, packed.output_bytes, survey.damages)
