"""Read samples from the chunks of HDF5 datasets, in any number of threads."""
from kernels cimport (
    FP_MAX_FILTERS,
    FP_MAX_RANK,
    FP_OK,
    fp_chunk,
    fp_chunked,
    fp_filter,
    fp_memory,
    fp_outcome,
    fp_read_chunks,
    fp_wanted,
    origin_of,
    outcome_tuple,
)
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t


cdef class ReadChunks:
    cdef const fp_chunk[::1] chunks
    cdef const fp_filter[::1] filters
    cdef const uint8_t[::1] fill
    cdef const int64_t[::1] numbers, starts, within, rows
    cdef uint8_t[::1] out
    cdef int fd
    cdef const fp_memory[::1] memories
    cdef const uint32_t[::1] memory_numbers
    cdef const uint64_t[::1] memory_offsets
    cdef fp_chunked dataset
    cdef fp_wanted wanted
    cdef int64_t counter

    def __init__(self, int fd, const fp_chunk[::1] chunks, const fp_filter[::1] filters,
                 const uint8_t[::1] fill, *, shape, chunk_shape, wanted, uint8_t[::1] out,
                 const fp_memory[::1] memories=None, located=None):
        self.chunks, self.filters, self.fill, self.out = chunks, filters, fill, out
        self.numbers, self.starts, self.within, self.rows = wanted
        self._describe_dataset(shape, chunk_shape)
        self._check_wanted()
        self.fd, self.memories = fd, memories
        self.dataset.origin = origin_of(None, memories)
        self.dataset.origin.fds, self.dataset.origin.num_fds = &self.fd, 1
        if self.dataset.origin.memories != NULL:
            self._take_located(*located)

    cdef _describe_dataset(self, shape, chunk_shape):
        cdef int64_t num_chunks = 1
        if not 1 <= len(shape) == len(chunk_shape) <= FP_MAX_RANK or \
                min(*shape, *chunk_shape) < 1:
            raise ValueError(f"shape, chunk_shape: give 1 to {FP_MAX_RANK} sizes above 0 for both")
        if self.filters.shape[0] > FP_MAX_FILTERS or self.fill.shape[0] < 1:
            raise ValueError("filters: too many, or no fill value")
        for axis in range(len(shape)):
            self.dataset.shape[axis] = shape[axis]
            self.dataset.chunk_shape[axis] = chunk_shape[axis]
            num_chunks *= -(-shape[axis] // chunk_shape[axis])
        if num_chunks != self.chunks.shape[0]:
            raise ValueError(f"chunks: {num_chunks} are needed, not {self.chunks.shape[0]}")
        self.dataset.rank = len(shape)
        self.dataset.chunks = &self.chunks[0]
        self.dataset.filters = &self.filters[0] if self.filters.shape[0] else NULL
        self.dataset.num_filters = self.filters.shape[0]
        self.dataset.item_bytes, self.dataset.fill = self.fill.shape[0], &self.fill[0]

    def _take_located(self, const uint32_t[::1] numbers, const uint64_t[::1] offsets):
        cdef int64_t num_chunks = self.wanted.num_layers, step
        for axis in range(1, self.dataset.rank):
            step = self.dataset.chunk_shape[axis]
            num_chunks *= (self.dataset.shape[axis] + step - 1) // step
        if not numbers.shape[0] == offsets.shape[0] == num_chunks:
            raise ValueError(f"located: numbers and offsets of {num_chunks} chunks are needed")
        self.memory_numbers, self.memory_offsets = numbers, offsets
        if num_chunks:
            self.dataset.memory_numbers, self.dataset.memory_offsets = &numbers[0], &offsets[0]

    cdef _check_wanted(self):
        cdef int64_t layer, i, num_rows, last, sample_bytes = self.dataset.item_bytes
        cdef int64_t num_layers = self.numbers.shape[0], num_wanted = self.within.shape[0]
        for axis in range(1, self.dataset.rank):
            sample_bytes *= self.dataset.shape[axis]
        num_rows = self.out.shape[0] // sample_bytes
        if self.starts.shape[0] != num_layers + 1 or self.rows.shape[0] != num_wanted:
            raise ValueError("wanted: the arrays have different lengths")
        if self.starts[0] != 0 or self.starts[num_layers] != num_wanted:
            raise ValueError("wanted: starts must rise from 0 to the number of samples")
        for layer in range(num_layers):
            if self.starts[layer] >= self.starts[layer + 1] or self.numbers[layer] < 0:
                raise ValueError("wanted: a layer has no samples")
            for i in range(self.starts[layer], self.starts[layer + 1]):
                if not 0 <= self.within[i] < self.dataset.chunk_shape[0]:
                    raise ValueError("wanted: a sample lies outside its chunk")
                if not 0 <= self.rows[i] < num_rows:
                    raise ValueError("wanted: a row lies outside the batch")
                last = (self.dataset.shape[0] - 1 - self.within[i]) // self.dataset.chunk_shape[0]
                if self.numbers[layer] > last:
                    raise ValueError("wanted: a sample lies outside the dataset")
        self.wanted.num_layers = num_layers
        if num_layers:
            self.wanted.numbers, self.wanted.starts = &self.numbers[0], &self.starts[0]
            self.wanted.within, self.wanted.rows = &self.within[0], &self.rows[0]

    def run(self):
        cdef fp_outcome outcome
        outcome.status = FP_OK
        if self.wanted.num_layers == 0:
            return None
        with nogil:
            fp_read_chunks(&self.dataset, &self.wanted, &self.out[0], &self.counter, &outcome)
        return outcome_tuple(&outcome)
