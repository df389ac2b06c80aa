"""Arrays by name in an uncompressed .npz, laid out to be read in one go: numpy's own format, which np.load opens.

Every array begins at a multiple of 64 bytes, so that it is used where it lies, and the archive's comment holds a
CRC-32C over all that stands before the archive's last record, so that one pass checks the file.
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
_SEAL = b"crc32c "
_END_BYTES = 22  # of a zip's last record, without the comment
_LOCAL_HEADER = struct.Struct(
    "<4s22xHH"
)  # lengths of the name and of the extra field end a member's header
_PADDING_ID = 0xD935  # the extra field that Android's zipalign pads with
_NPY_MAGIC = b"\x93NUMPY\x01\x00"  # of version 1.0; two bytes of the header's length follow
_AS_JSON = str.maketrans("'()", '"[]')
_LAST_COMMA = re.compile(r",\s*([\]}])")
_TYPE = re.compile(r"[<>|=]?[?biufcSUVOmM]\d*(\[\w+\])?")
_MAX_HEADER_BYTES = 10_000  # as np.load has it

# What numpy and zipfile throw for bytes that are no .npz.
# SyntaxError: of some dtypes; RuntimeError: of a deep JSON, or a zip of a later version; ArithmeticError: of large numbers.
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
    """Writes the arrays, C-contiguous and none of them of objects, to a new file."""
    with open(path, "w+b") as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in arrays.items():
                _add_array(archive, f"{name}.npy", array)
        seal = _checksum(file, file.seek(0, io.SEEK_END) - _END_BYTES)
        with zipfile.ZipFile(file, "a") as archive:
            archive.comment = _SEAL + f"{seal:08x}".encode()


def _add_array(archive: zipfile.ZipFile, name: str, array: npt.NDArray[Any]) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    member = zipfile.ZipInfo(
        name
    )  # whose time is the beginning of 1980, so the same arrays give the same bytes
    begin = archive.fp.tell() + _LOCAL_HEADER.size + len(name.encode()) + 4 + len(header.getvalue())  # type: ignore[union-attr]
    padding = -begin % _ALIGNMENT
    member.extra = struct.pack("<HH", _PADDING_ID, padding) + bytes(padding)
    member.file_size = len(header.getvalue()) + array.nbytes
    with archive.open(member, "w") as file:
        file.write(header.getvalue())
        for piece in _pieces(array):
            file.write(piece.view(np.uint8).data)
            release(array)


def _pieces(array: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """All values, one after the other, a few at a time: they may be many, and lie on disk."""
    flat = np.ascontiguousarray(array).reshape(-1)
    step = max(1, _PIECE_BYTES // flat.itemsize)
    return (flat[start : start + step] for start in range(0, len(flat), step))


def _checksum(file: BinaryIO, num_bytes: int) -> int:
    """Of the first bytes of a file, a piece at a time: they may be many."""
    file.seek(0)
    seal = 0
    while num_bytes:
        piece = np.frombuffer(file.read(min(num_bytes, _PIECE_BYTES)), np.uint8)
        if not piece.size:
            raise FormatError("it became shorter while it was read")
        seal, num_bytes = crc32c(piece, seal), num_bytes - len(piece)
    return seal


def load_npz(path: Path, max_bytes: int | None = None) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a file, checked against its checksums.

    - max_bytes: what the file may have; a hole in it takes no disk, and all of it would be read.

    Raises FormatError, or one of NPZ_ERRORS, when it is damaged.
    """
    if max_bytes is not None and path.stat().st_size > max_bytes:
        raise FormatError(f"it has more than {max_bytes} bytes")
    with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
        data = _read_whole(file)
        members = archive.infolist()
        is_sealed = archive.comment.startswith(_SEAL)
        if is_sealed and int(archive.comment[len(_SEAL) :], 16) != crc32c(
            data[: -_END_BYTES - len(archive.comment)]
        ):
            raise FormatError("its bytes differ from their CRC32C")
        return {
            member.filename.removesuffix(".npy"): _array_of(member, data, is_sealed)
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
    member: zipfile.ZipInfo, data: npt.NDArray[np.uint8], is_sealed: bool
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
    if not is_sealed and zipfile.crc32(body) != member.CRC:  # type: ignore[attr-defined]
        raise FormatError(f"{member.filename} differs from its checksum")
    return _parse(member.filename, body)


def _parse(name: str, body: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """The array that an .npy holds, in place where it can be."""
    head = body[:_MAX_HEADER_BYTES].tobytes()
    if not head.startswith(_NPY_MAGIC):
        raise FormatError(f"{name} is of another version of numpy's format")
    first = len(_NPY_MAGIC) + 2
    end = first + int.from_bytes(head[first - 2 : first], "little")
    shape, is_fortran, dtype = _read_header(head[first:end])
    values = body[end:]
    if dtype.hasobject or is_fortran or math.prod(shape) * dtype.itemsize != len(values):
        raise FormatError(f"{name} does not hold what its header says")
    if values.ctypes.data % 8:  # written by somebody else; the kernels want numbers at their places
        values = values.copy()
    return values.view(dtype).reshape(shape)


def _read_header(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and dtype, as an .npy tells them: in a literal of Python that is nearly JSON.

    Not by numpy, whose ast.literal_eval sometimes fails where several threads are at it (CPython's issue 106905).
    """
    text = (
        header.decode("latin-1")
        .translate(_AS_JSON)
        .replace("False", "false")
        .replace("True", "true")
    )
    told = json.loads(_LAST_COMMA.sub(r"\1", text))
    return tuple(told["shape"]), told["fortran_order"], np.dtype(_as_fields(told["descr"]))


def _as_fields(description: Any) -> Any:
    """A list of fields; each is a tuple of a name, a type (or fields again) and, perhaps, a shape."""
    if not isinstance(description, list):
        if not _TYPE.fullmatch(description):  # numpy takes more, and warns of some
            raise FormatError(f"it has values of type {description!r}")
        return description
    return [(name, _as_fields(kind), *shape) for name, kind, *shape in description]
