"""Decode PNG files to samples, and decompress the data of TIFF, GIF and BMP."""
from kernels cimport (
    FP_OK,
    fp_png_bytes,
    fp_png_samples,
    fp_scratch,
    fp_scratch_free,
    fp_unpack_bits,
    fp_unpack_fax,
    fp_unpack_gif,
    fp_unpack_lzw,
    fp_unpack_runs,
    fp_unpack_zlib,
)
from libc.stdint cimport uint8_t, uint32_t

import numpy as np

COMPRESSIONS = {"LZW": 0, "PackBits": 1, "Deflate": 2}


def png_samples(const uint8_t[::1] data):
    """Return a PNG's failure (status and message) or None, and its samples (h, w, channels)."""
    cdef fp_scratch scratch
    cdef const char* why = NULL
    cdef int status
    if data.shape[0] < 33 or fp_png_bytes(&data[16]) == 0:
        return (9, "the header of the PNG is not valid"), None
    width, height = (int.from_bytes(bytes(data[at:at + 4]), "big") for at in (16, 20))
    channels = (1, 0, 3, 1, 2, 0, 4)[data[25]]
    samples = np.empty((height, width, channels), np.uint16 if data[24] == 16 else np.uint8)
    cdef uint8_t[::1] out = samples.reshape(-1).view(np.uint8)
    scratch.own_bytes, scratch.capacity = NULL, 0
    with nogil:
        status = fp_png_samples(&data[0], data.shape[0], &out[0], &scratch, &why)
        fp_scratch_free(&scratch)
    return None if status == FP_OK else (status, why.decode()), samples


def unpack(const uint8_t[::1] data, uint8_t[::1] out, str compression):
    """Fill `out` exactly and return True, or return False for damaged data."""
    cdef int chosen = COMPRESSIONS[compression]
    cdef bint is_whole
    if data.shape[0] == 0 or out.shape[0] == 0:
        return out.shape[0] == 0
    with nogil:
        if chosen == 0:
            is_whole = fp_unpack_lzw(&data[0], data.shape[0], &out[0], out.shape[0])
        elif chosen == 1:
            is_whole = fp_unpack_bits(&data[0], data.shape[0], &out[0], out.shape[0])
        else:
            is_whole = fp_unpack_zlib(&data[0], data.shape[0], &out[0], out.shape[0])
    return is_whole


def unpack_gif(const uint8_t[::1] data, int bits, uint8_t[::1] out):
    """Fill `out` exactly and return True, or return False for damaged data."""
    cdef bint is_whole
    if data.shape[0] == 0 or out.shape[0] == 0:
        return False
    with nogil:
        is_whole = fp_unpack_gif(&data[0], data.shape[0], bits, &out[0], out.shape[0])
    return is_whole


def unpack_fax(const uint8_t[::1] data, int kind, bint is_mixed, uint8_t[:, ::1] out):
    """Fill `out` and return True, or return False for damaged data."""
    cdef uint32_t width = out.shape[1], height = out.shape[0]
    cdef bint is_whole
    if data.shape[0] == 0 or width == 0 or height == 0:
        return False
    with nogil:
        is_whole = fp_unpack_fax(&data[0], data.shape[0], kind, is_mixed, width, height, &out[0, 0])
    return is_whole


def unpack_runs(const uint8_t[::1] data, int bits, uint8_t[:, ::1] out):
    """Fill `out` and return True, or False for damaged data. Skipped pixels stay unchanged."""
    cdef uint32_t width = out.shape[1], height = out.shape[0]
    cdef bint is_whole
    if data.shape[0] == 0 or width == 0 or height == 0:
        return False
    with nogil:
        is_whole = fp_unpack_runs(&data[0], data.shape[0], bits, width, height, &out[0, 0])
    return is_whole
