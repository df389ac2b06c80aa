"""References of the guard in plain_loops.c and codec_loop.c. They share no code with fastpack."""

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benches.reference import Bytes, Offsets, address, library

_CODECS = ("gzip", "lz4", "zstd")


def crc(data: Bytes) -> int:
    return _call("crc_loop", address(data, np.uint8), len(data))


def blend(pixels: Bytes, out: Bytes) -> None:
    """Resample pixels (height, width, 3) to out (size, size, 3)."""
    height, width, _ = pixels.shape
    _call(
        "blend_loop",
        address(pixels, np.uint8),
        ctypes.c_uint32(width),
        ctypes.c_uint32(height),
        address(out, np.uint8),
        out.shape[0],
    )


def walk(records: Bytes) -> int:
    """Walk the frames of a TFRecord and the Examples in them."""
    return _call("walk_loop", address(records, np.uint8), len(records))


def markers(jpegs: Bytes, offsets: Offsets) -> int:
    return _call(
        "marker_loop", address(jpegs, np.uint8), address(offsets, np.int64), len(offsets) - 1
    )


def mix(out: npt.NDArray[np.int64]) -> None:
    _call("mix_loop", address(out, np.int64), len(out))


def frame(values: Bytes, offsets: Offsets, out: Bytes) -> int:
    return _call(
        "frame_loop",
        address(values, np.uint8),
        address(offsets, np.int64),
        len(offsets) - 1,
        address(out, np.uint8),
    )


def copy(paths: Sequence[Path], target: Path, buffer: Bytes) -> int:
    """Copy files of at most len(buffer) bytes into one; return the number of bytes."""
    names = b"".join(os.fsencode(path) + b"\0" for path in paths)
    return _call(
        "copy_loop",
        ctypes.c_char_p(names),
        len(paths),
        os.fsencode(target),
        address(buffer, np.uint8),
        len(buffer),
    )


def code(codec: str, data: Bytes, out: Bytes, *, compresses: bool) -> int:
    """Compress or decompress `data` into `out`; return the number of bytes written."""
    loop = library("codec_loop", ("libdeflate", "liblz4", "libzstd")).codec_loop
    loop.restype = ctypes.c_int64
    place = (ctypes.c_uint64(len(out)),)
    made = loop(
        _CODECS.index(codec),
        int(compresses),
        address(data, np.uint8),
        ctypes.c_uint64(len(data)),
        address(out, np.uint8),
        *place,
    )
    if made <= 0:
        raise ValueError(f"{codec} failed")
    return int(made)


def _call(name: str, *arguments: Any) -> int:
    loop = getattr(library("plain_loops"), name)
    loop.restype = ctypes.c_int64
    result = int(
        loop(*[ctypes.c_int64(given) if isinstance(given, int) else given for given in arguments])
    )
    if result < 0:
        raise ValueError(f"{name} failed")
    return result
