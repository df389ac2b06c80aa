"""Transcode slow JPEGs to one sequential scan, without loss."""
from kernels cimport (
    FP_NO_MEMORY,
    FP_OK,
    FP_ONE_SCAN_ALREADY,
    FP_TOO_UNUSUAL,
    FP_WOULD_GROW,
    fp_transcode,
    fp_transcode_options,
    fp_transcoder,
    fp_transcoder_free,
    fp_transcoder_new,
)
from libc.stdint cimport uint8_t, uint32_t, uint64_t

REASONS = {FP_ONE_SCAN_ALREADY: "fast already", FP_WOULD_GROW: "would grow",
           FP_TOO_UNUSUAL: "unusual"}


cdef class Transcoder:
    """libjpeg's objects and the memory of the last image, for one thread at a time."""
    cdef fp_transcoder* own_transcoder
    cdef fp_transcode_options options

    def __cinit__(self):
        self.own_transcoder = fp_transcoder_new()
        if self.own_transcoder == NULL:
            raise MemoryError

    def __dealloc__(self):
        fp_transcoder_free(self.own_transcoder)

    def __init__(self, bint strip, *, uint64_t max_pixels, uint32_t max_scans):
        self.options.strip = strip
        self.options.max_pixels = max_pixels
        self.options.max_scans = max_scans

    def transcode(self, const uint8_t[::1] data):
        cdef const uint8_t* out = NULL
        cdef size_t length = 0
        cdef int status
        cdef dict reasons = REASONS
        if data.shape[0] == 0:
            return reasons[FP_TOO_UNUSUAL]
        with nogil:
            status = fp_transcode(self.own_transcoder, &data[0], data.shape[0], &self.options, &out,
                                  &length)
        if status == FP_NO_MEMORY:
            raise MemoryError
        return out[:length] if status == FP_OK else reasons[status]
