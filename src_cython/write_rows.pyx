"""Write rows of bytes to a file, and read them back to compare."""
from kernels cimport FP_OK, fp_outcome, fp_rows, fp_write_rows, iovec, outcome_tuple
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t


def write_rows(int fd, uint64_t offset, const uint8_t[::1] values, const int64_t[::1] offsets,
               const uint32_t[::1] crcs):
    cdef fp_outcome outcome
    cdef fp_rows rows
    cdef iovec piece
    cdef Py_ssize_t i
    if offsets.shape[0] != crcs.shape[0] + 1 or offsets[0] != 0 or \
            offsets[crcs.shape[0]] != values.shape[0]:
        raise ValueError("offsets: must rise from 0 to the number of values, one longer than crcs")
    for i in range(crcs.shape[0]):
        if offsets[i] > offsets[i + 1]:
            raise ValueError("offsets: must not decrease")
    outcome.status = FP_OK
    if values.shape[0]:
        piece.iov_base, piece.iov_len = <void*> &values[0], values.shape[0]
        rows.offsets, rows.crcs, rows.num_rows = &offsets[0], &crcs[0], crcs.shape[0]
        with nogil:
            fp_write_rows(fd, &piece, 1, offset, &rows, &outcome)
    return outcome_tuple(&outcome)
