"""Arrays by name in an uncompressed .npz, numpy's own format, which np.load opens.

The layout serves reads in one call. Every array begins at a multiple of 64 bytes, so that it is
used in place. The archive's comment has a CRC-32C of all bytes before the archive's last record, so
that one pass checks the file.
"""

import io
import json
import math
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c
from fastpack.errors import FormatError
from fastpack.files.spool import release

_ALIGNMENT = 64
_PIECE_BYTES = 2**20
_CHECKSUM = b"crc32c "
_END_BYTES = 22  # of a zip's last record, without the comment
# Signature of a member, and at its header's end the lengths of its name and of its extra field.
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_PADDING_ID = 0xD935  # the extra field that Android's zipalign pads with
_NPY_MAGIC = b"\x93NUMPY\x01\x00"  # of version 1.0; two bytes of the header's length follow
_AS_JSON = str.maketrans("'()", '"[]')
_LAST_COMMA = re.compile(r",\s*([\]}])")
_TYPE = re.compile(r"[<>|=]?[?biufcSUVOmM]\d*(\[\w+\])?")
_MAX_HEADER_BYTES = 10_000  # the limit of np.load

# Errors of numpy and zipfile for bytes that are not an .npz. SyntaxError: for some dtypes.
# RuntimeError: for deep JSON, or a zip of a later version. ArithmeticError: for large numbers.
_DATA_ERRORS = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    SyntaxError,
    RuntimeError,
    ArithmeticError,
    struct.error,
)
NPZ_ERRORS = (OSError, EOFError, MemoryError, zipfile.BadZipFile, *_DATA_ERRORS)


def save_npz(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays, which must be C-contiguous and without objects, to a new file."""
    with open(path, "w+b") as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in arrays.items():
                _add_array(archive, f"{name}.npy", array)
        checksum = _checksum(file, file.seek(0, io.SEEK_END) - _END_BYTES)
        with zipfile.ZipFile(file, "a") as archive:
            archive.comment = _CHECKSUM + f"{checksum:08x}".encode()


def _add_array(archive: zipfile.ZipFile, name: str, array: npt.NDArray[Any]) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    # Its time is the beginning of 1980, so the same arrays give the same bytes.
    member = zipfile.ZipInfo(name)
    assert archive.fp is not None
    begin = archive.fp.tell() + _LOCAL_HEADER.size + len(name.encode()) + 4 + len(header.getvalue())
    padding = -begin % _ALIGNMENT
    member.extra = struct.pack("<HH", _PADDING_ID, padding) + bytes(padding)
    member.file_size = len(header.getvalue()) + array.nbytes
    with archive.open(member, "w") as file:
        file.write(header.getvalue())
        for piece in _pieces(array):
            file.write(piece.view(np.uint8).data)
            release(array)


def _pieces(array: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Return the values in small pieces: an array may be large, and on disk."""
    flat = np.ascontiguousarray(array).reshape(-1)
    step = max(1, _PIECE_BYTES // flat.itemsize)
    return (flat[start : start + step] for start in range(0, len(flat), step))


def _checksum(file: BinaryIO, num_bytes: int) -> int:
    """Return the checksum of the first bytes of a file, which is read in pieces."""
    file.seek(0)
    checksum = 0
    while num_bytes:
        piece = np.frombuffer(file.read(min(num_bytes, _PIECE_BYTES)), np.uint8)
        if not piece.size:
            raise FormatError("it became shorter while it was read")
        checksum, num_bytes = crc32c(piece, checksum), num_bytes - len(piece)
    return checksum


def load_npz(path: Path, max_bytes: int | None = None) -> dict[str, npt.NDArray[Any]]:
    """Read the arrays of a file, and compare its checksums.

    Raises FormatError, or one of NPZ_ERRORS, if the file is damaged.

    Args:
        path: of the file.
        max_bytes: its largest allowed size. A sparse file may be large and take no disk.
    """
    if max_bytes is not None and path.stat().st_size > max_bytes:
        raise FormatError(f"it has more than {max_bytes} bytes")
    with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
        data = _read_whole(file)
        members = archive.infolist()
        has_checksum = archive.comment.startswith(_CHECKSUM)
        if has_checksum:
            found = crc32c(data[: -_END_BYTES - len(archive.comment)])
            if int(archive.comment[len(_CHECKSUM) :], 16) != found:
                raise FormatError("its bytes differ from their CRC32C")
        return {
            member.filename.removesuffix(".npy"): _array_of(member, data, has_checksum)
            for member in members
        }


def _read_whole(file: Any) -> npt.NDArray[np.uint8]:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    data = np.empty(size, np.uint8)
    if file.readinto(data.data) != size:
        raise FormatError("it became shorter while it was read")
    return data


def _array_of(
    member: zipfile.ZipInfo, data: npt.NDArray[np.uint8], has_checksum: bool
) -> npt.NDArray[Any]:
    if member.compress_type != zipfile.ZIP_STORED:
        raise FormatError("an index is never compressed")
    signature, name_length, extra_length = _LOCAL_HEADER.unpack_from(
        data.data, member.header_offset
    )
    first = member.header_offset + _LOCAL_HEADER.size + name_length + extra_length
    body = data[first : first + member.file_size]
    if signature != b"PK\x03\x04" or len(body) != member.file_size:
        raise FormatError(f"{member.filename} lies past its end")
    if not has_checksum and zipfile.crc32(body) != member.CRC:  # type: ignore[attr-defined]
        raise FormatError(f"{member.filename} differs from its checksum")
    return _parse(member.filename, body)


def _parse(name: str, body: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """Return the array of an .npy, in place if it is aligned."""
    head = body[:_MAX_HEADER_BYTES].tobytes()
    if not head.startswith(_NPY_MAGIC):
        raise FormatError(f"{name} is of another version of numpy's format")
    first = len(_NPY_MAGIC) + 2
    end = first + int.from_bytes(head[first - 2 : first], "little")
    shape, is_fortran, dtype = _read_header(head[first:end])
    values = body[end:]
    if dtype.hasobject or is_fortran or math.prod(shape) * dtype.itemsize != len(values):
        raise FormatError(f"{name} does not hold what its header says")
    if values.ctypes.data % 8:  # of another writer; kernels need aligned numbers
        values = values.copy()
    return values.view(dtype).reshape(shape)


def _read_header(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Parse shape, order and dtype of an .npy: a Python literal, nearly JSON.

    numpy's ast.literal_eval sometimes fails in several threads (CPython's issue 106905).
    """
    text = (
        header.decode("latin-1")
        .translate(_AS_JSON)
        .replace("False", "false")
        .replace("True", "true")
    )
    facts = json.loads(_LAST_COMMA.sub(r"\1", text))
    return tuple(facts["shape"]), facts["fortran_order"], np.dtype(_as_fields(facts["descr"]))


def _as_fields(description: Any) -> Any:
    """Return a type, or a list of fields: tuples of name, type and perhaps shape."""
    if not isinstance(description, list):
        if not _TYPE.fullmatch(description):  # numpy accepts more types, with warnings
            raise FormatError(f"it has values of type {description!r}")
        return description
    return [(name, _as_fields(kind), *shape) for name, kind, *shape in description]
