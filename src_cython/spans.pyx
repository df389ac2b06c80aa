"""Compare spans with the sizes of their files, and describe the memories that spans lie in."""
from cpython.buffer cimport PyBuffer_IsContiguous
from cpython.memoryview cimport PyMemoryView_GET_BUFFER
from kernels cimport fp_memory, fp_span
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


def describe_memories(list views, fp_memory[::1] out):
    cdef const Py_buffer* buffer
    cdef Py_ssize_t i
    if len(views) != out.shape[0]:
        raise ValueError("out: one row for each view is needed")
    for i in range(len(views)):
        if not isinstance(views[i], memoryview):
            raise TypeError(f"views: number {i} is not a memoryview")
        buffer = PyMemoryView_GET_BUFFER(views[i])
        if not PyBuffer_IsContiguous(buffer, b"C"):
            raise ValueError(f"views: number {i} is not contiguous")
        out[i].address = <uint64_t> buffer.buf
        out[i].length = <uint64_t> buffer.len
