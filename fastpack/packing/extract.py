"""extract: the files of a dataset, given back byte for byte."""

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
    from_os_error,
    warn,
    with_location,
)
from fastpack.files.arguments import check_arguments
from fastpack.files.atomic import write_all
from fastpack.files.classes import classes_of
from fastpack.files.escapes import raw_name
from fastpack.files.file_names import path_of
from fastpack.files.image_folder import IMAGE_SUFFIXES
from fastpack.files.temporary import create_temporary, remove_leftovers
from fastpack.images.headers import FORMATS
from fastpack.packing.options import PackOptions
from fastpack.packing.pack import pack
from fastpack.reading.reader import Reader
from fastpack.reading.samples import Samples

# Takes a file's name, with its folders, and its bytes.
Write = Callable[[str, bytes], None]
_BATCH_BYTES = 8 * 2**20
_BATCH_FILES = 1024
_ENDINGS = {"jpeg": ".jpg", "unknown": ".bin"}
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class ExtractResult:
    """What was written: files, their bytes, seconds; and the fields that were left out."""

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
    """Writes the files of a dataset below `from_folder`, byte for byte as they were packed; or into a tar, when it ends with .tar.

    Each is called by its sample's key, with the ending of its format when the key has none; or by its number, when
    there are no keys. Samples of one key and the same bytes, such as the captions of an image, give one file. No file is
    written outside the folder, whatever the keys say. A folder holds a file of each sample; what else the dataset has is left
    out, and said. A tar holds all fields, as WebDataset reads them. The same dataset gives the same bytes.

    - field: which, when it is not the main image.
    - overwrite: replace files that are there already.
    - whole: raise SchemaError where a folder would leave something out.
    - progress: called with (files done, files in all, bytes done).

    Raises SchemaError when there are no files in the dataset (pixels, say), FormatError for a key that is no path below
    a folder, comes twice with other bytes or, in a tar, has a dot, OutputExistsError, UnreadableFileError, and what damaged
    files raise. What a killed run left of a file is removed by the next one that writes there.

    >>> from fastpack.reading.open import open
    >>> extract(open(getfixture("digits")), getfixture("tmp_path") / "files").num_files
    10
    """
    checks.instance("dataset", dataset, Reader, "a Reader, as fastpack.open gives it")
    check_arguments(field=field, overwrite=overwrite, whole=whole, progress=progress)
    folder = path_of("folder", folder)
    if folder.suffix.lower() == ".tar":
        return _extract_tar(dataset, folder, field, overwrite, progress)
    started = time.perf_counter()
    chosen = _files_of(dataset, field)
    names = _names_of(dataset, chosen)
    left_out = _left_out(dataset, chosen, names)
    if left_out and whole:
        message = f"a folder of files does not hold {', '.join(map(repr, left_out))}; `extract` leaves them out, a .tar holds all"
        raise SchemaError(f"{message} - at {folder}")
    kept = {chosen.name: chosen.name}
    reader = Reader(Samples.of(dataset.index.select(kept)), dataset.options).with_options(
        decode=False, on_error="raise"
    )
    rows, firsts = _rows_of_files(names)
    _refuse_other_bytes(reader, names, firsts, chosen.name)
    warn(
        f"{folder} does not hold {name!r} of the dataset; a .tar holds all fields"
        for name in left_out
    )
    done = num_bytes = 0
    with _below(Path(folder), overwrite) as write:
        for batch in _batches(reader, rows, chosen.name):
            blobs = reader.read(batch)[chosen.name]
            for i, row in enumerate(batch.tolist()):
                write(names[row], blobs.bytes(i))
            done, num_bytes = done + len(batch), num_bytes + len(blobs.values)
            if progress:
                progress(done, len(rows), num_bytes)
    return ExtractResult(
        Path(folder), len(rows), num_bytes, time.perf_counter() - started, left_out
    )


def _extract_tar(
    dataset: Reader, output: Path, field: str | None, overwrite: bool, progress: Progress | None
) -> ExtractResult:
    """All fields; or one, with key and label."""
    started = time.perf_counter()
    chosen = _files_of(dataset, field)
    if field is not None:
        kept = [
            each.name
            for each in dataset.schema.fields
            if each.name in (chosen.name, "key", "label")
        ]
        dataset = Reader(
            Samples.of(dataset.index.select({name: name for name in kept})), dataset.options
        )
    options = PackOptions(format="tar")
    packed = pack(
        dataset.with_options(decode=False, on_error="raise"),
        output,
        options,
        overwrite=overwrite,
        progress=progress,
    )
    num_bytes = int(dataset.index.spans[chosen.name]["length"].sum())
    return ExtractResult(output, packed.num_samples, num_bytes, time.perf_counter() - started)


def _left_out(dataset: Reader, chosen: Field, names: Sequence[str]) -> tuple[str, ...]:
    """The fields that the files below a folder do not hold: all but the files, their names, and labels that are their folders."""
    keys = dataset.columns.get("key")
    held = {chosen.name} | ({"label"} if _are_folders(dataset, names) else set())
    held |= (
        {"key"} if isinstance(keys, Text) and list(map(raw_name, keys)) == list(names) else set()
    )
    return tuple(each.name for each in dataset.schema.fields if each.name not in held)


def _are_folders(dataset: Reader, names: Sequence[str]) -> bool:
    """True when each label is the class of the folder that the sample's file is in."""
    labels = dataset.columns.get("label")
    try:
        found = classes_of(names)
    except SourceError:
        return False
    if found.labels is None or not isinstance(labels, np.ndarray) or (found.labels < 0).any():
        return False
    return [found.names[label] for label in found.labels.tolist()] == list(
        map(dataset.schema.class_name, labels.tolist())
    )


def _batches(reader: Reader, rows: Rows, name: str) -> Iterator[Rows]:
    """Rows, in order, in batches of some megabytes."""
    sizes = reader.index.spans[name]["length"][rows]
    return (rows[part] for part in portions(sizes, _BATCH_BYTES, _BATCH_FILES))


def _rows_of_files(names: Sequence[str]) -> tuple[Rows, dict[int, int]]:
    """The rows that are written; and of each other row the one that has its name."""
    seen: dict[str, int] = {}
    firsts = {
        row: first for row, name in enumerate(names) if (first := seen.setdefault(name, row)) != row
    }
    return np.fromiter(seen.values(), np.int64, len(seen)), firsts


def _refuse_other_bytes(
    reader: Reader, names: Sequence[str], firsts: Mapping[int, int], name: str
) -> None:
    """Two files of one name would overwrite one another."""
    for batch in _batches(reader, np.array([*firsts], np.int64), name):
        originals = np.array([firsts[row] for row in batch.tolist()], np.int64)
        mine, others = reader.read(batch)[name], reader.read(originals)[name]
        if mine != others:
            row = next(
                row for i, row in enumerate(batch.tolist()) if mine.bytes(i) != others.bytes(i)
            )
            message = f"samples {firsts[row]} and {row} are both called {names[row]!r}, with other bytes; nothing was written"
            raise FormatError(with_location(message, reader.location(row)))


def _files_of(dataset: Reader, name: str | None) -> Field:
    files = [each for each in dataset.schema.blobs if each.kind != "pixels"]
    fields = (
        [dataset.schema[name]]
        if name is not None
        else [each for each in files if not each.is_list] or files
    )
    images = [each for each in fields if each.kind == "image"] or [
        each for each in fields if each.is_image_file
    ]
    found = images or fields
    if name is not None and found[0] not in files:
        known = ", ".join(each.name for each in files) or "none"
        location = Location(dataset.index.shards[0].path)
        raise SchemaError(
            with_location(
                f"{name!r} is {found[0].kind}, not files; name a field of files ({known}), or read it with fastpack.open",
                location,
            )
        )
    if not found:
        raise SchemaError(
            "the dataset holds no files, only pixels or columns; read them with fastpack.open"
        )
    if found[0].is_list:
        raise SchemaError(
            f"a sample has a list of files in {found[0].name!r}, which have no names; read them with fastpack.open"
        )
    return found[0]


def _names_of(dataset: Reader, chosen: Field) -> list[str]:
    """A path below the folder for each sample."""
    keys = dataset.columns.get("key")
    infos = dataset.index.infos.get(chosen.name)
    formats = (
        ["unknown"] * len(dataset)
        if infos is None
        else [FORMATS[number] for number in infos["format"].tolist()]
    )
    named = (
        list(map(raw_name, keys))
        if isinstance(keys, Text)
        else [f"{row:08d}" for row in range(len(dataset))]
    )
    names = [_with_ending(name, format) for name, format in zip(named, formats, strict=True)]
    for row, key in enumerate(named):
        if "\0" in key or {"", ".", ".."} & set(
            key.split("/")
        ):  # an absolute path begins with an empty part
            raise FormatError(
                with_location(
                    f"the key {key!r} is no path below a folder; nothing was written",
                    dataset.location(row),
                )
            )
    return names


def _with_ending(key: str, format: str) -> str:
    if key.lower().endswith(IMAGE_SUFFIXES):
        return key
    return key + _ENDINGS.get(format, f".{format}")


@contextlib.contextmanager
def _below(folder: Path, overwrite: bool) -> Iterator[Write]:
    with _Folder(folder, overwrite) as below:
        yield below.write


class _Folder:
    """Writes files below a folder. Each part of a path is opened from the one above, and links are not followed, so no
    path leads out."""

    def __init__(self, root: Path, overwrite: bool) -> None:
        self._root, self._overwrite = root, overwrite
        self._open: tuple[tuple[str, ...], int] | None = None  # the folder that was written to last
        self._cleaned: set[tuple[str, ...]] = set()

    def __enter__(self) -> "_Folder":
        try:
            self._root.mkdir(exist_ok=True)
            self._root_descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise from_os_error(error, "write into the folder", self._root) from error
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
        try:
            folder = self._folder(tuple(folders))
            if not self._overwrite and _is_there(last, folder):
                message = "a file is there already; ask for overwrite, or choose another folder"
                raise OutputExistsError(with_location(message, Location(self._root / name)))
            with self._temporary(folder, last) as temporary:
                write_all(temporary, data)
        except OutputExistsError:
            raise
        except OSError as error:
            raise from_os_error(error, "write", self._root / name) from error

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
        """A file that gets its name when it is whole."""
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
