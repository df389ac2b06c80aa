"""convert: writes a dataset in another format."""

import contextlib
import os
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import BinaryIO, Unpack

from fastpack.core.progress import Progress
from fastpack.errors import (
    CorruptRecordError,
    Location,
    OptionError,
    TruncatedFileError,
    os_errors_at,
    with_location,
)
from fastpack.files.arguments import check_arguments
from fastpack.files.file_names import path_of
from fastpack.files.local_copy import local_copy
from fastpack.files.locked_folder import LockedFolder
from fastpack.formats.discovery import find_shards
from fastpack.formats.protocols import DatasetPaths
from fastpack.formats.registry import head_of, recognized
from fastpack.packing.destination import Mode, destination_of, unpacking_folder
from fastpack.packing.extract import extract
from fastpack.packing.options import PackKwargs, PackOptions, pack_options
from fastpack.packing.pack import pack
from fastpack.packing.results import PackResult
from fastpack.reading.open import open as open_dataset
from fastpack.reading.reader import Reader
from fastpack.stores.store_path import as_object, is_in_store

_PIECE_BYTES = 2**20
# zlib's flag for a header of gzip or of zlib; TensorFlow writes both.
_EITHER_HEADER = 32 + zlib.MAX_WBITS
# Options that a folder of files takes too.
_FOLDER_OPTIONS = ("allow_external", "class_folder", "limits", "sidecars")


def convert(
    path: DatasetPaths,
    output: str | os.PathLike[str],
    options: PackOptions | None = None,
    *,
    index_dir: str | os.PathLike[str] | None = None,
    kinds: Mapping[str, str] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
    **keywords: Unpack[PackKwargs],
) -> PackResult:
    """Write a dataset in another format; all fields, and image files unchanged.

    Compressed files have no random access. They are first decompressed into the hidden folder
    `.OUTPUT.unpacked`, which is removed at the end. If the process is killed, the next conversion
    to this output removes it.

    Args:
        path: TFRecord, HDF5 or tar files, also compressed with gzip; or a folder of images.
        output: the file to write, such as "train.h5" or "train.tar"; or, without an ending, a
            folder for the files. A field that it cannot hold is refused before anything is written.
        options: how to pack. A folder takes only options about the source.
        index_dir: folder of the saved indexes, if they are not beside the files.
        kinds: field -> kind, if the files do not specify it; see `open`.
        overwrite: replace existing files of the output.
        resume: continue an interrupted conversion; not for a folder.
        progress: called with (samples done, samples in all, bytes done).
        **keywords: fields of PackOptions; they override those of `options`.

    Returns:
        The files, or the folder, and counts.

    Raises:
        OptionError: an option is not valid for this output.
        SchemaError: the output cannot hold a field.
        CorruptRecordError: a record or a compressed file is damaged.
        TruncatedFileError: a file is cut.
        FastpackError: `open` or `pack` raised it.

    Example:
        >>> convert(getfixture("digits"), getfixture("tmp_path") / "digits.h5").num_samples
        10
        >>> convert(getfixture("digits"), getfixture("tmp_path") / "digits.tar").num_samples
        10
    """
    check_arguments(
        index_dir=index_dir, kinds=kinds, overwrite=overwrite, resume=resume, progress=progress
    )
    options, output = pack_options(options, keywords), path_of("output", output)
    is_folder = options.format is None and output.suffix == ""
    destination_of(output, options, Mode(overwrite, resume=resume)).refuse_missing_folder()
    if is_folder:
        _refuse_options(options, resume)
        if is_in_store(output):
            message = "files are extracted to a local folder; name one, or a file such as a.tar"
            raise OptionError(with_location(message, Location(output)))
    folder = LockedFolder(unpacking_folder(output, options))
    with _unpacked(find_shards(path), folder) as shards:
        dataset = open_dataset(
            shards,
            decode=False,
            save_index=False,
            index_dir=index_dir,
            kinds=kinds,
            limits=options.limits,
            **options.select.source_options,
        )
        if is_folder:
            return _to_folder(dataset, output, overwrite, progress)
        options = replace(options, class_folder=None, sidecars=None)  # `open` has applied them
        return pack(dataset, output, options, overwrite=overwrite, resume=resume, progress=progress)


def _refuse_options(options: PackOptions, resume: bool) -> None:
    """Raise OptionError for an option that a folder of files does not take."""
    default = PackOptions()
    given = [
        each.name
        for each in fields(PackOptions)
        if each.name not in _FOLDER_OPTIONS
        and getattr(options, each.name) != getattr(default, each.name)
    ]
    if resume:
        given.append("resume")
    if given:
        message = f"{given[0]}=... is not for a folder of files; leave it out"
        raise OptionError(f"{message}, or name a file such as train.tfrecord")


def _to_folder(
    dataset: Reader, output: Path, overwrite: bool, progress: Progress | None
) -> PackResult:
    started = time.perf_counter()
    files = extract(dataset, output, overwrite=overwrite, whole=True, progress=progress)
    num_bytes, seconds = files.num_bytes, time.perf_counter() - started
    return PackResult((output,), len(dataset), num_bytes, num_bytes, seconds)


@contextlib.contextmanager
def _unpacked(shards: list[Path], folder: LockedFolder) -> Iterator[list[Path]]:
    """Yield the files, with compressed ones replaced by decompressed temporary files."""
    compressed = {
        shard: folder.path / f"{number:05d}-{shard.name}"
        for number, shard in enumerate(shards)
        if _is_compressed(shard)
    }
    if not compressed and not folder.path.exists():
        yield shards
        return
    with _emptied(folder):
        for shard, unpacked in compressed.items():
            _unpack(shard, unpacked)
        yield [compressed.get(shard, shard) for shard in shards]


@contextlib.contextmanager
def _emptied(folder: LockedFolder) -> Iterator[None]:
    """Lock and empty the folder; remove it at the end."""
    try:
        _empty(folder)
        yield
        folder.remove()
    except BaseException:
        if folder.holds():
            with contextlib.suppress(OSError):  # the next conversion removes it
                folder.remove()
        raise
    finally:
        folder.unlock()


def _empty(folder: LockedFolder) -> None:
    with os_errors_at(folder.path, "unpack into"):
        folder.lock()
        folder.clear()


def _is_compressed(path: Path) -> bool:
    """Recognize gzip's signature, or a zlib header that is not a TFRecord's."""
    if not is_in_store(path) and not path.is_file():
        return False
    head = head_of(path)
    is_zlib = len(head) > 2 and head[0] == 0x78 and int.from_bytes(head[:2], "big") % 31 == 0
    return head[:2] == b"\x1f\x8b" or (is_zlib and recognized(head) is None)


def _unpack(path: Path, output: Path) -> None:
    """Decompress a file; raises for damaged or truncated data."""
    try:
        with (
            _local(path) as local,
            os_errors_at(path, "unpack"),
            open(local, "rb") as file,
            open(output, "xb") as unpacked,
        ):
            _inflate(file, unpacked)
    except zlib.error as error:
        message = f"the compressed data are damaged ({error}); restore the file from its source"
        raise CorruptRecordError(with_location(message, Location(path))) from error
    except EOFError as error:
        message = "the file ends inside its compressed data; restore it from its source"
        raise TruncatedFileError(with_location(message, Location(path))) from error


def _local(path: Path) -> contextlib.AbstractContextManager[Path]:
    return local_copy(as_object(path)) if is_in_store(path) else contextlib.nullcontext(path)


def _inflate(file: BinaryIO, output: BinaryIO) -> None:
    """Decompress in pieces, so that memory stays bounded for any file."""
    stream = zlib.decompressobj(_EITHER_HEADER)
    data = file.read(_PIECE_BYTES)
    while data:
        output.write(stream.decompress(data, _PIECE_BYTES))
        data = stream.unconsumed_tail
        if stream.eof:  # gzip streams may follow one another, with zeros between
            data = _skip_zeros(stream.unused_data, file)
            stream = zlib.decompressobj(_EITHER_HEADER) if data else stream
        elif not data:
            data = file.read(_PIECE_BYTES)
    if not stream.eof:
        raise EOFError


def _skip_zeros(data: bytes, file: BinaryIO) -> bytes:
    while not (rest := data.lstrip(b"\0")) and (data := file.read(_PIECE_BYTES)):
        pass
    return rest
