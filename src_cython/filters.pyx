"""Encode and decode chunks with HDF5's filters, with the GIL released."""
from kernels cimport (
    FP_MAX_FILTERS,
    fp_can_decode,
    fp_can_encode,
    fp_decode_chunk,
    fp_encode_chunk,
    fp_filter,
    fp_pipeline,
    fp_pipeline_free,
    fp_pipeline_new,
    fp_range,
)
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t

cdef uint8_t[1] NOTHING  # the address of empty data


def can_decode(const fp_filter[::1] filters):
    cdef Py_ssize_t i
    for i in range(filters.shape[0]):
        if not fp_can_decode(&filters[i]):
            return False
    return True


def can_encode(uint32_t filter_id):
    return bool(fp_can_encode(filter_id))


cdef class Pipeline:
    """Filters and the memory of their compressors, for one thread at a time."""
    cdef fp_pipeline* own_pipeline

    def __cinit__(self, const fp_filter[::1] filters):
        if filters.shape[0] > FP_MAX_FILTERS:
            raise ValueError(f"filters: at most {FP_MAX_FILTERS}, not {filters.shape[0]}")
        self.own_pipeline = fp_pipeline_new(&filters[0] if filters.shape[0] else NULL,
                                            filters.shape[0])
        if self.own_pipeline == NULL:
            raise MemoryError

    def __dealloc__(self):
        fp_pipeline_free(self.own_pipeline)

    def encode(self, const uint8_t[::1] data):
        cdef const uint8_t* stored = NULL
        cdef size_t stored_length = 0
        cdef const char* wrong = NULL
        cdef const uint8_t* first = &data[0] if data.shape[0] else NOTHING
        with nogil:
            wrong = fp_encode_chunk(self.own_pipeline, first, data.shape[0], &stored,
                                    &stored_length)
        if wrong != NULL:
            raise ValueError(wrong.decode())
        return PyBytes_FromStringAndSize(<const char*> stored, stored_length)

    def decode(self, const uint8_t[::1] data, uint8_t[::1] out, uint32_t mask=0):
        cdef const char* wrong = NULL
        cdef fp_range whole = fp_range(0, out.shape[0])
        cdef const uint8_t* first = &data[0] if data.shape[0] else NOTHING
        cdef uint8_t* out_first = &out[0] if out.shape[0] else NOTHING
        with nogil:
            wrong = fp_decode_chunk(self.own_pipeline, mask, first, data.shape[0], out_first,
                                    out.shape[0], whole)
        if wrong != NULL:
            raise ValueError(wrong.decode())


def encode_chunk(const uint8_t[::1] data, const fp_filter[::1] filters):
    return Pipeline(filters).encode(data)


def decode_chunk(const uint8_t[::1] data, const fp_filter[::1] filters, uint8_t[::1] out,
                 uint32_t mask=0):
    Pipeline(filters).decode(data, out, mask)
