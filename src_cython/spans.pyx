"""Compare spans with the sizes of their files."""
from kernels cimport fp_span
from libc.stdint cimport uint64_t


cdef inline bint lies_within(uint64_t offset, uint64_t length, uint64_t limit) noexcept nogil:
    return offset <= limit and length <= limit - offset


def first_outside(const fp_span[::1] spans, const uint64_t[::1] sizes):
    cdef uint64_t no_span = <uint64_t> -1
    cdef Py_ssize_t i, found = -1
    with nogil:
        for i in range(spans.shape[0]):
            if spans[i].shard >= <uint64_t> sizes.shape[0] or \
                    not lies_within(spans[i].record_offset, spans[i].record_length,
                                    sizes[spans[i].shard]) or \
                    (spans[i].offset != no_span and
                     not lies_within(spans[i].offset, spans[i].length, sizes[spans[i].shard])):
                found = i
                break
    return found
