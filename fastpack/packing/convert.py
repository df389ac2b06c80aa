"""convert: a dataset of one format as files of another."""

import contextlib
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from fastpack.core.progress import Progress
from fastpack.errors import (
    CorruptRecordError,
    Location,
    OptionError,
    TruncatedFileError,
    from_os_error,
    os_errors_at,
    with_location,
)
from fastpack.files.arguments import check_arguments
from fastpack.files.file_names import path_of
from fastpack.files.locked_folder import LockedFolder
from fastpack.formats.discovery import find_shards
from fastpack.formats.protocols import DatasetPaths
from fastpack.formats.registry import recognized
from fastpack.packing.options import PackOptions, pack_options
from fastpack.packing.pack import PackResult, pack
from fastpack.reading.open import open as open_dataset

_PIECE_BYTES = 2**20
_EITHER_HEADER = (
    32 + zlib.MAX_WBITS
)  # gzip's or zlib's, which TensorFlow writes as "GZIP" and "ZLIB"


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
) -> PackResult:
    """Writes the samples of a dataset, image files unmodified, in another format: TFRecord, HDF5 or tar. All fields go along;
    one that the format cannot hold is refused before anything is written.

    - path: TFRecord, HDF5 or tar files, or a folder of images; gzip'ed ones too, which are unpacked first, since they have
      no random access: into the hidden folder `.OUTPUT.unpacked`, which is removed afterwards, or by the next conversion to
      that output where this one was killed.
    - index_dir: where the saved indexes are, when they are not beside the files.
    - kinds: what fields are, where the files do not say it: see `open`.
    - output, options, overwrite, resume, progress: as for `pack`.

    Raises what `open` and `pack` raise, and CorruptRecordError or TruncatedFileError for damaged compressed files.

    >>> convert(getfixture("digits"), getfixture("tmp_path") / "digits.h5").num_samples
    10
    """
    check_arguments(
        index_dir=index_dir, kinds=kinds, overwrite=overwrite, resume=resume, progress=progress
    )
    options, output = pack_options(options), path_of("output", output)
    if not output.parent.is_dir():
        raise OptionError(
            with_location(
                "the output's folder is not there; make it first", Location(output.parent)
            )
        )
    folder = LockedFolder(output.with_name(f".{output.name}.unpacked"))
    with _unpacked(find_shards(path), folder) as shards:
        dataset = open_dataset(
            shards,
            decode=False,
            save_index=False,
            index_dir=index_dir,
            kinds=kinds,
            **options.taking,
        )
        options = replace(options, class_folder=None, sidecars=None)  # they are obeyed
        return pack(dataset, output, options, overwrite=overwrite, resume=resume, progress=progress)


@contextlib.contextmanager
def _unpacked(shards: list[Path], folder: LockedFolder) -> Iterator[list[Path]]:
    """The same files, with those that are compressed replaced by open ones, which are gone afterwards."""
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
    """The folder, locked and empty. It is removed afterwards."""
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
    """By its beginning: gzip's signature; or a zlib header whose checksum holds, unless it is a TFRecord's length."""
    if not path.is_file():
        return False
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise from_os_error(error, "read", path) from error
    is_zlib = len(head) > 2 and head[0] == 0x78 and int.from_bytes(head[:2], "big") % 31 == 0
    return head[:2] == b"\x1f\x8b" or (is_zlib and recognized(head) is None)


def _unpack(path: Path, output: Path) -> None:
    """In pieces, so that memory stays bounded whatever the file claims."""
    try:
        with open(path, "rb") as file, open(output, "xb") as unpacked:
            _inflate(file, unpacked)
    except zlib.error as error:
        raise CorruptRecordError(
            with_location(
                f"the compressed data are damaged ({error}); restore the file from its source",
                Location(path),
            )
        ) from error
    except EOFError as error:
        raise TruncatedFileError(
            with_location(
                "the file ends inside its compressed data; restore it from its source",
                Location(path),
            )
        ) from error
    except OSError as error:
        raise from_os_error(error, "unpack", path) from error


def _inflate(file: BinaryIO, output: BinaryIO) -> None:
    stream = zlib.decompressobj(_EITHER_HEADER)
    data = file.read(_PIECE_BYTES)
    while data:
        output.write(stream.decompress(data, _PIECE_BYTES))
        data = stream.unconsumed_tail
        if stream.eof:  # gzip files may be joined, and padded with zeros
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
