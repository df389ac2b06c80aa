"""Compute CRC-32C with the fastest instructions of the processor."""
from kernels cimport (
    FP_CRC_256_BITS,
    FP_CRC_512_BITS,
    FP_CRC_BEST,
    FP_CRC_HARDWARE,
    FP_CRC_TABLE,
    fp_crc32c,
    fp_crc32c_by,
    fp_crc32c_has,
    fp_crc32c_join,
    fp_crc32c_mask,
    fp_crc32c_unmask,
)
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

import numpy as np

_PATHS = {
    "best": FP_CRC_BEST,
    "table": FP_CRC_TABLE,
    "hardware": FP_CRC_HARDWARE,
    "256 bits": FP_CRC_256_BITS,
    "512 bits": FP_CRC_512_BITS,
}


def paths():
    return tuple(name for name, path in _PATHS.items() if fp_crc32c_has(path))


def crc32c(const uint8_t[::1] data, uint32_t value=0, *, str path="best"):
    cdef int chosen = _PATHS[path]
    cdef uint32_t crc
    if not fp_crc32c_has(chosen):
        raise ValueError(f"this processor lacks the instructions of path={path!r}; use path='best'")
    if data.shape[0] == 0:
        return value
    with nogil:
        crc = fp_crc32c_by(chosen, value, &data[0], data.shape[0])
    return crc


def crc32c_rows(const uint8_t[::1] values, const int64_t[::1] offsets):
    cdef Py_ssize_t i, num_rows = offsets.shape[0] - 1
    cdef const uint8_t* first = &values[0] if values.shape[0] else NULL
    if num_rows < 0 or offsets[0] != 0 or offsets[num_rows] > values.shape[0]:
        raise ValueError("offsets: must begin at 0 and stay within the values")
    for i in range(num_rows):
        if offsets[i] > offsets[i + 1]:
            raise ValueError("offsets: must not decrease")
    out = np.empty(num_rows, np.uint32)
    cdef uint32_t[::1] crcs = out
    with nogil:
        for i in range(num_rows):
            crcs[i] = fp_crc32c(0, first + offsets[i], offsets[i + 1] - offsets[i])
    return out


def join(uint32_t first, uint32_t second, uint64_t length):
    return fp_crc32c_join(first, second, length)


def mask(uint32_t crc):
    return fp_crc32c_mask(crc)


def unmask(uint32_t masked):
    return fp_crc32c_unmask(masked)
