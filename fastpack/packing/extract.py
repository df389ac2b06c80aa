"""extract: writes the files of a dataset, byte for byte."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastpack.core import checks
from fastpack.core.dtypes import Rows
from fastpack.core.portions import portions
from fastpack.core.progress import Progress
from fastpack.core.ragged import Text
from fastpack.core.schema import Field
from fastpack.errors import (
    FormatError,
    Location,
    OutputExistsError,
    SchemaError,
    SourceError,
    os_errors_at,
    warn,
    with_location,
)
from fastpack.files.arguments import check_arguments
from fastpack.files.atomic import write_all
from fastpack.files.classes import classes_of
from fastpack.files.escapes import raw_name
from fastpack.files.file_names import local_path_of
from fastpack.files.image_tree import IMAGE_SUFFIXES
from fastpack.files.temporary import create_temporary, remove_leftovers
from fastpack.images.headers import FORMATS
from fastpack.packing.pack import pack
from fastpack.reading.expression import whole
from fastpack.reading.reader import Reader

# Writes a file, given its path below the folder and its bytes.
Write = Callable[[str, bytes], None]
_BATCH_BYTES = 8 * 2**20
_BATCH_FILES = 1024
_ENDINGS = {"jpeg": ".jpg", "unknown": ".bin"}
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class ExtractResult:
    """The result of `extract`.

    Args:
        folder: the folder, or the .tar.
        num_files: files that were written; in a .tar, samples.
        num_bytes: bytes of these files.
        seconds: time that the call took.
        left_out: names of the fields that a folder does not hold.

    Example:
        >>> ExtractResult(Path("files"), 10, 5000, 0.1).left_out
        ()
    """

    folder: Path
    num_files: int
    num_bytes: int
    seconds: float
    left_out: tuple[str, ...] = ()


def extract(
    dataset: Reader,
    folder: str | os.PathLike[str],
    *,
    field: str | None = None,
    overwrite: bool = False,
    whole: bool = False,
    progress: Progress | None = None,
) -> ExtractResult:
    """Write the files of a dataset into a folder or a .tar, byte for byte.

    A file is named by its sample's key, or by its number if there are no keys. A key without an
    ending gets that of its format. Samples with equal keys and bytes, such as several captions of
    an image, give one file. No key can lead outside the folder. The same dataset gives the same
    bytes. A folder holds one field; a warning lists the others. A .tar holds all fields, as
    WebDataset reads them.

    Args:
        dataset: the dataset.
        folder: the folder, made if it does not exist; or a file that ends with ".tar".
        field: field of the files; None: the main image.
        overwrite: replace existing files.
        whole: raise SchemaError if a folder does not hold all fields.
        progress: called with (files done, files in all, bytes done).

    Returns:
        Counts, and the fields that were left out.

    Raises:
        SchemaError: the dataset holds no files, such as one of pixels.
        FormatError: a key is not a path below a folder, or two samples with different bytes share
            it. For a .tar: a key has a dot.
        OutputExistsError: a file exists, without `overwrite`.
        UnreadableFileError: the OS refused to write a file.
        CorruptRecordError: the dataset is damaged.

    Example:
        >>> from fastpack.reading.open import open
        >>> extract(open(getfixture("digits")), getfixture("tmp_path") / "files").num_files
        10
    """
    checks.instance("dataset", dataset, Reader, "a Reader, as fastpack.open gives it")
    check_arguments(field=field, overwrite=overwrite, whole=whole, progress=progress)
    folder = local_path_of("folder", folder)
    if folder.suffix.lower() == ".tar":
        return _extract_tar(dataset, folder, field, overwrite, progress)
    started = time.perf_counter()
    chosen = _files_of(dataset, field)
    names = _names_of(dataset, chosen)
    left_out = _left_out(dataset, chosen, names)
    if left_out and whole:
        message = f"a folder of files does not hold {', '.join(map(repr, left_out))}"
        remedy = "`extract` leaves them out, a .tar holds all"
        raise SchemaError(with_location(f"{message}; {remedy}", Location(folder)))
    reader = dataset.with_fields([chosen.name]).with_options(decode=False, on_error="raise")
    rows, firsts = _rows_of_files(names)
    _refuse_other_bytes(reader, names, firsts, chosen.name)
    warn(
        f"{folder} does not hold {name!r} of the dataset; a .tar holds all fields"
        for name in left_out
    )
    done = num_bytes = 0
    with _below(folder, overwrite) as write:
        for batch in _batches(reader, rows, chosen.name):
            blobs = reader.read(batch)[chosen.name]
            for i, row in enumerate(batch.tolist()):
                write(names[row], blobs.bytes(i))
            done, num_bytes = done + len(batch), num_bytes + len(blobs.values)
            if progress:
                progress(done, len(rows), num_bytes)
    return ExtractResult(folder, len(rows), num_bytes, time.perf_counter() - started, left_out)


def _extract_tar(
    dataset: Reader, output: Path, field: str | None, overwrite: bool, progress: Progress | None
) -> ExtractResult:
    """Write a .tar of all fields; or of one, with key and label."""
    started = time.perf_counter()
    chosen = _files_of(dataset, field)
    if field is not None:
        names = [each.name for each in dataset.schema.fields]
        kept = [name for name in names if name in (chosen.name, "key", "label")]
        dataset = dataset.with_fields(kept)
    source = dataset.with_options(decode=False, on_error="raise")
    packed = pack(source, output, format="tar", overwrite=overwrite, progress=progress)
    num_bytes = sum(int(each.spans[chosen.name]["length"].sum()) for each in dataset.entry_blocks())
    return ExtractResult(output, packed.num_samples, num_bytes, time.perf_counter() - started)


def _left_out(dataset: Reader, chosen: Field, names: Sequence[str]) -> tuple[str, ...]:
    """Return the fields that a folder does not hold.

    It holds the files, keys that are their names, and labels that are their folders.
    """
    keys = whole(dataset.columns.get("key"))
    held = {chosen.name}
    if _are_folders(dataset, names):
        held.add("label")
    if isinstance(keys, Text) and list(map(raw_name, keys)) == list(names):
        held.add("key")
    return tuple(each.name for each in dataset.schema.fields if each.name not in held)


def _are_folders(dataset: Reader, names: Sequence[str]) -> bool:
    """True if each label is the class of the folder of the sample's file."""
    labels = whole(dataset.columns.get("label"))
    try:
        found = classes_of(names)
    except SourceError:
        return False
    if found.labels is None or not isinstance(labels, np.ndarray) or (found.labels < 0).any():
        return False
    folders = [found.names[label] for label in found.labels.tolist()]
    return folders == list(map(dataset.schema.class_name, labels.tolist()))


def _batches(reader: Reader, rows: Rows, name: str) -> Iterator[Rows]:
    """Cut rows into batches of at most 8 MiB and 1024 files."""
    sizes = reader.entries(rows).spans[name]["length"]
    return (rows[part] for part in portions(sizes, _BATCH_BYTES, _BATCH_FILES))


def _rows_of_files(names: Sequence[str]) -> tuple[Rows, dict[int, int]]:
    """Return the rows to write; and for each other row the first row of its name."""
    seen: dict[str, int] = {}
    firsts = {}
    for row, name in enumerate(names):
        first = seen.setdefault(name, row)
        if first != row:
            firsts[row] = first
    return np.fromiter(seen.values(), np.int64, len(seen)), firsts


def _refuse_other_bytes(
    reader: Reader, names: Sequence[str], firsts: Mapping[int, int], name: str
) -> None:
    """Raise FormatError for two files with one name and different bytes."""
    for batch in _batches(reader, np.array([*firsts], np.int64), name):
        originals = np.array([firsts[row] for row in batch.tolist()], np.int64)
        mine, others = reader.read(batch)[name], reader.read(originals)[name]
        if mine != others:
            row = next(
                row for i, row in enumerate(batch.tolist()) if mine.bytes(i) != others.bytes(i)
            )
            message = f"samples {firsts[row]} and {row} are both called {names[row]!r}"
            message += ", with other bytes; nothing was written"
            raise FormatError(with_location(message, reader.location(row)))


def _files_of(dataset: Reader, name: str | None) -> Field:
    """Choose the field of files; images come first."""
    files = [each for each in dataset.schema.blobs if each.kind != "pixels"]
    if name is not None:
        _refuse_other_kinds(dataset, name, files)
        fields = [dataset.schema[name]]
    else:
        fields = [each for each in files if not each.is_list] or files
    if not fields:
        message = "the dataset holds no files, only pixels or columns"
        raise SchemaError(f"{message}; read them with fastpack.open")
    found = min(fields, key=lambda each: (each.kind != "image", not each.is_image_file))
    if found.is_list:
        message = f"the files in {found.name!r} are lists and have no names"
        raise SchemaError(f"{message}; read them with fastpack.open")
    return found


def _refuse_other_kinds(dataset: Reader, name: str, files: Sequence[Field]) -> None:
    field = dataset.schema[name]
    if field in files:
        return
    known = ", ".join(each.name for each in files) or "none here"
    message = f"{name!r} is {field.kind}, not files; name a field of files ({known})"
    location = Location(dataset.shards[0].path)
    raise SchemaError(with_location(f"{message}, or read it with fastpack.open", location))


def _names_of(dataset: Reader, chosen: Field) -> list[str]:
    """Return the path of each sample's file below the folder."""
    keys = whole(dataset.columns.get("key"))
    if isinstance(keys, Text):
        stems = list(map(raw_name, keys))
    else:
        stems = [f"{row:08d}" for row in range(len(dataset))]
    for row, key in enumerate(stems):
        # An absolute path begins with an empty part.
        if "\0" in key or {"", ".", ".."} & set(key.split("/")):
            message = f"the key {key!r} is not a path below a folder; nothing was written"
            raise FormatError(with_location(message, dataset.location(row)))
    infos = dataset.load_infos(chosen.name) if chosen.is_image_file else None
    if infos is None:
        return [_with_ending(stem, "unknown") for stem in stems]
    formats = infos["format"].tolist()
    return [
        _with_ending(stem, FORMATS[number]) for stem, number in zip(stems, formats, strict=True)
    ]


def _with_ending(key: str, format: str) -> str:
    if key.lower().endswith(IMAGE_SUFFIXES):
        return key
    return key + _ENDINGS.get(format, f".{format}")


@contextlib.contextmanager
def _below(folder: Path, overwrite: bool) -> Iterator[Write]:
    with _Folder(folder, overwrite) as below:
        yield below.write


class _Folder:
    """Writes files below a folder.

    Opens each part of a path from its parent and follows no links, so no path leads outside.
    """

    def __init__(self, root: Path, overwrite: bool) -> None:
        self._root, self._overwrite = root, overwrite
        self._open: tuple[tuple[str, ...], int] | None = None  # the last folder
        self._cleaned: set[tuple[str, ...]] = set()

    def __enter__(self) -> "_Folder":
        with os_errors_at(self._root, "write into the folder"):
            self._root.mkdir(exist_ok=True)
            self._root_descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()
        os.close(self._root_descriptor)

    def _close(self) -> None:
        if self._open:
            os.close(self._open[1])
        self._open = None

    def write(self, name: str, data: bytes) -> None:
        *folders, last = name.split("/")
        with os_errors_at(self._root / name):
            folder = self._folder(tuple(folders))
            if not self._overwrite and _is_there(last, folder):
                message = "a file is there already; ask for overwrite, or choose another folder"
                raise OutputExistsError(with_location(message, Location(self._root / name)))
            with self._temporary(folder, last) as temporary:
                write_all(temporary, data)

    def _folder(self, parts: tuple[str, ...]) -> int:
        if self._open and self._open[0] == parts:
            return self._open[1]
        self._close()
        descriptor = os.dup(self._root_descriptor)
        for part in parts:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, dir_fd=descriptor)
            try:
                below = os.open(part, _FOLDER_FLAGS, dir_fd=descriptor)
            finally:
                os.close(descriptor)
            descriptor = below
        if parts not in self._cleaned:
            remove_leftovers(descriptor)
            self._cleaned.add(parts)
        self._open = parts, descriptor
        return descriptor

    @contextlib.contextmanager
    def _temporary(self, folder: int, name: str) -> Iterator[int]:
        """Make a file that gets its name once it is complete."""
        temporary, descriptor = create_temporary(folder)
        try:
            yield descriptor
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            os.unlink(temporary, dir_fd=folder)
            raise
        finally:
            os.close(descriptor)


def _is_there(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
