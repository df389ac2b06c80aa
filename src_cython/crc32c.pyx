"""CRC-32C, by the processor's own instruction where it has one."""
from kernels cimport (
    FP_CRC_BEST,
    FP_CRC_HARDWARE,
    FP_CRC_TABLE,
    fp_crc32c_by,
    fp_crc32c_has_hardware,
    fp_crc32c_mask,
    fp_crc32c_unmask,
)
from libc.stdint cimport uint8_t, uint32_t

_PATHS = {"best": FP_CRC_BEST, "table": FP_CRC_TABLE, "hardware": FP_CRC_HARDWARE}


def has_hardware():
    return bool(fp_crc32c_has_hardware())


def crc32c(const uint8_t[::1] data, uint32_t value=0, *, str path="best"):
    cdef int chosen = _PATHS[path]
    cdef uint32_t crc
    if chosen == FP_CRC_HARDWARE and not fp_crc32c_has_hardware():
        raise ValueError("this processor has no CRC-32C instruction; use path='table'")
    if data.shape[0] == 0:
        return value
    with nogil:
        crc = fp_crc32c_by(chosen, value, &data[0], data.shape[0])
    return crc


def mask(uint32_t crc):
    return fp_crc32c_mask(crc)


def unmask(uint32_t masked):
    return fp_crc32c_unmask(masked)
