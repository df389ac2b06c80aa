"""Find whole records in a damaged file, and compare spans with their checksums."""
from kernels cimport (
    FP_OK,
    FP_TRUNCATED,
    fp_check_span,
    fp_fail,
    fp_outcome,
    fp_piece,
    fp_scratch,
    fp_scratch_free,
    fp_span,
    fp_take_row,
    fp_walk,
    fp_walk_begin,
    fp_walk_end,
    fp_walk_next,
    outcome_tuple,
)
from libc.stdint cimport int32_t, int64_t, uint64_t

import numpy as np


cdef class Walk:
    cdef fp_walk walk

    def __init__(self, int fd, uint64_t size, *, uint64_t record_limit):
        fp_walk_end(&self.walk)
        fp_walk_begin(&self.walk, fd, size, record_limit)

    def __dealloc__(self):
        fp_walk_end(&self.walk)

    @property
    def position(self):
        return self.walk.position

    def go_on(self, fp_piece[::1] pieces, *, uint64_t stride):
        cdef size_t num_pieces = 0
        cdef fp_outcome outcome
        outcome.status = FP_OK
        if pieces.shape[0] == 0:
            raise ValueError("pieces: give an array of at least one")
        with nogil:
            fp_walk_next(&self.walk, stride, &pieces[0], pieces.shape[0], &num_pieces, &outcome)
        return num_pieces, outcome_tuple(&outcome)


cdef class CheckSpans:
    cdef const int[::1] fds
    cdef const fp_span[::1] spans
    cdef int32_t[::1] statuses
    cdef int64_t counter

    def __init__(self, const fp_span[::1] spans, const int[::1] fds):
        self.spans, self.fds = spans, fds
        self.statuses = np.zeros(spans.shape[0], np.int32)

    @property
    def statuses(self):
        return np.asarray(self.statuses)

    def run(self):
        with nogil:
            self._check()

    cdef void _check(self) noexcept nogil:
        cdef int64_t num_rows = self.spans.shape[0]
        cdef int64_t row = fp_take_row(&self.counter)
        cdef uint64_t shard
        cdef fp_outcome outcome
        cdef fp_scratch scratch
        scratch.own_bytes = NULL
        scratch.capacity = 0
        while row < num_rows:
            shard = self.spans[row].shard
            if shard >= <uint64_t> self.fds.shape[0] or self.fds[shard] < 0:
                self.statuses[row] = fp_fail(&outcome, FP_TRUNCATED, row, 0,
                                             "the span refers to a missing shard")
            else:
                self.statuses[row] = fp_check_span(self.fds[self.spans[row].shard],
                                                   &self.spans[row], &scratch, row, &outcome)
            row = fp_take_row(&self.counter)
        fp_scratch_free(&scratch)
