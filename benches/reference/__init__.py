"""References: plain C loops over libjpeg-turbo and over pread.

They are compiled at the first call. ctypes releases the GIL while they run.
"""

import ctypes
import functools
import hashlib
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benches.internals import VIEW

_FOLDER = Path(__file__).parent
# Both sides use fastpack's CRC-32C, so that only reading is compared. crop_loop.c includes the
# kernels' header for the layout of a view.
_KERNELS = _FOLDER.parent.parent / "src_cython" / "kernels"
_BUILD = _FOLDER.parent.parent / "build" / "reference"

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]


def decode_loop(
    jpegs: Bytes, jpeg_offsets: Offsets, pixels: Bytes, pixel_offsets: Offsets, *, num_threads: int
) -> None:
    """Decode concatenated JPEGs into `pixels`, RGB; raise ValueError if one fails.

    - jpeg_offsets, pixel_offsets: (n + 1,), where each image begins in `jpegs` and in `pixels`.
    """
    num_failed = _loop("decode_loop", ("libjpeg",))(
        address(jpegs, np.uint8),
        address(jpeg_offsets, np.int64),
        address(pixels, np.uint8),
        address(pixel_offsets, np.int64),
        ctypes.c_int64(len(jpeg_offsets) - 1),
        num_threads,
    )
    if num_failed:
        raise ValueError(f"{num_failed} images could not be decoded")


def crop_loop(
    jpegs: Bytes, jpeg_offsets: Offsets, views: npt.NDArray[Any], batch: Bytes, *, num_threads: int
) -> None:
    """Decode, resample and flip views of concatenated JPEGs; raise ValueError if one fails.

    - jpeg_offsets: (n + 1,), where each image begins in `jpegs`.
    - views: (n,) VIEW; orientations are ignored.
    - batch: (n, size, size, 3), RGB.
    """
    if batch.shape != (len(views), batch.shape[1], batch.shape[1], 3):
        raise ValueError(f"batch must be {len(views)} RGB squares, not {batch.shape}")
    num_failed = _loop("crop_loop", ("libjpeg",))(
        address(jpegs, np.uint8),
        address(jpeg_offsets, np.int64),
        address(views, VIEW),
        address(batch, np.uint8),
        ctypes.c_uint32(batch.shape[1]),
        ctypes.c_int64(len(views)),
        num_threads,
    )
    if num_failed:
        raise ValueError(f"{num_failed} images could not be decoded")


def pread_loop(
    fd: int,
    offsets: npt.NDArray[np.uint64],
    lengths: npt.NDArray[np.uint64],
    out: Bytes,
    *,
    num_threads: int,
    crcs: npt.NDArray[np.uint32] | None = None,
) -> None:
    """Read spans of a file into `out`, one after the other; raise ValueError if one fails.

    - offsets, lengths: (n,), spans in the file, in bytes.
    - crcs: expected CRC-32C of each span; None checks nothing.
    """
    out_offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=out_offsets[1:])
    if out_offsets[-1] > len(out):
        raise ValueError(f"out has {len(out)} bytes, the spans have {out_offsets[-1]}")
    num_failed = _loop("pread_loop")(
        fd,
        address(offsets, np.uint64),
        address(lengths, np.uint64),
        address(out, np.uint8),
        address(out_offsets, np.int64),
        None if crcs is None else address(crcs, np.uint32),
        ctypes.c_int64(len(lengths)),
        num_threads,
    )
    if num_failed:
        raise ValueError(f"{num_failed} spans cannot be read or have a wrong checksum")


@functools.cache
def library(name: str, packages: tuple[str, ...] = ()) -> ctypes.CDLL:
    """Return the compiled loops of NAME.c, cached until a source or a flag changes."""
    sources = [_FOLDER / f"{name}.c", _KERNELS / "crc32c.c"]
    compiler = [
        *os.environ.get("CC", "cc").split(),
        "-O3",
        "-shared",
        "-fPIC",
        "-pthread",
        "-iquote",
        str(_KERNELS),
    ]
    flags = [flag for package in packages for flag in _flags_of(package)]
    made_from = [
        " ".join(compiler + flags).encode(),
        *(path.read_bytes() for path in (*sources, *sorted(_KERNELS.glob("*.h")))),
    ]
    built = _BUILD / f"{name}-{hashlib.sha256(b'|'.join(made_from)).hexdigest()[:16]}.so"
    if not built.exists():
        _BUILD.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_BUILD) as folder:
            subprocess.run(
                [*compiler, "-o", f"{folder}/{name}.so", *map(str, sources), *flags, "-lm"],
                check=True,
            )
            os.replace(f"{folder}/{name}.so", built)
    return ctypes.CDLL(str(built))


def _loop(name: str, packages: tuple[str, ...] = ()) -> Any:
    function = getattr(library(name, packages), name)
    function.restype = ctypes.c_int64
    return function


def _flags_of(package: str) -> list[str]:
    return subprocess.run(
        ["pkg-config", "--cflags", "--libs", package], check=True, capture_output=True, text=True
    ).stdout.split()


def address(array: npt.NDArray[Any], dtype: npt.DTypeLike) -> ctypes.c_void_p:
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise ValueError(
            f"the array must be contiguous {np.dtype(dtype)}, not {array.dtype} {array.strides}"
        )
    return ctypes.c_void_p(array.ctypes.data)
