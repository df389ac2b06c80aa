"""Read image headers of files, or of blobs in one file, in any number of threads."""
from kernels cimport (
    FP_OK,
    fp_close_counter,
    fp_file_facts,
    fp_image_info,
    fp_outcome,
    fp_probe_blob,
    fp_probe_path,
    fp_scratch,
    fp_scratch_free,
    fp_take_row,
    outcome_tuple,
)
from cpython.bytes cimport PyBytes_AsString
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free


cdef class ProbeBlobs:
    cdef int fd
    cdef const uint64_t[::1] offsets
    cdef const uint64_t[::1] lengths
    cdef fp_image_info[::1] infos
    cdef int64_t counter

    def __init__(self, int fd, const uint64_t[::1] offsets, const uint64_t[::1] lengths,
                 fp_image_info[::1] infos):
        if not offsets.shape[0] == lengths.shape[0] == infos.shape[0]:
            raise ValueError("offsets, lengths and infos must be of one length")
        self.fd, self.offsets, self.lengths, self.infos = fd, offsets, lengths, infos

    def run(self):
        cdef fp_outcome outcome
        outcome.status = FP_OK
        with nogil:
            self._probe(&outcome)
        return outcome_tuple(&outcome)

    cdef void _probe(self, fp_outcome* outcome) noexcept nogil:
        cdef int64_t num_rows = self.infos.shape[0]
        cdef int64_t row = fp_take_row(&self.counter)
        cdef fp_scratch scratch
        scratch.own_bytes = NULL
        scratch.capacity = 0
        while row < num_rows:
            if fp_probe_blob(self.fd, self.offsets[row], self.lengths[row], &scratch, row,
                             &self.infos[row], outcome) != FP_OK:
                fp_close_counter(&self.counter, num_rows)
                break
            row = fp_take_row(&self.counter)
        fp_scratch_free(&scratch)


cdef class ProbeFiles:
    cdef const char** own_paths
    cdef list paths
    cdef uint64_t[::1] sizes
    cdef int64_t[::1] times
    cdef fp_image_info[::1] infos
    cdef int64_t counter

    def __cinit__(self, list paths, *args):
        self.own_paths = <const char**> calloc(max(1, len(paths)), sizeof(char*))
        if self.own_paths == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.own_paths)

    def __init__(self, list paths, uint64_t[::1] sizes, int64_t[::1] times,
                 fp_image_info[::1] infos):
        cdef Py_ssize_t i
        if not len(paths) == sizes.shape[0] == times.shape[0] == infos.shape[0]:
            raise ValueError("paths, sizes, times and infos must be of one length")
        self.paths, self.sizes, self.times, self.infos = paths, sizes, times, infos
        for i in range(len(paths)):
            self.own_paths[i] = PyBytes_AsString(paths[i])  # self.paths keeps the bytes alive

    def run(self):
        cdef fp_outcome outcome
        outcome.status = FP_OK
        with nogil:
            self._probe(&outcome)
        return outcome_tuple(&outcome)

    cdef void _probe(self, fp_outcome* outcome) noexcept nogil:
        cdef int64_t num_rows = self.infos.shape[0]
        cdef int64_t row = fp_take_row(&self.counter)
        cdef fp_file_facts facts
        cdef fp_scratch scratch
        scratch.own_bytes = NULL
        scratch.capacity = 0
        while row < num_rows:
            if fp_probe_path(self.own_paths[row], &scratch, row, &facts, outcome) != FP_OK:
                fp_close_counter(&self.counter, num_rows)
                break
            self.sizes[row], self.times[row] = facts.size, facts.mtime_ns
            self.infos[row] = facts.info
            row = fp_take_row(&self.counter)
        fp_scratch_free(&scratch)
