"""Decode batches of JPEGs, or resample pixels of other codecs, to rows of arrays."""
from kernels cimport (
    FP_NO_MEMORY,
    FP_OK,
    fp_allow_vectors,
    fp_close_counter,
    fp_decode_options,
    fp_decode_span,
    fp_decoder,
    fp_decoder_free,
    fp_decoder_is_odd,
    fp_decoder_message,
    fp_decoder_new,
    fp_decoder_num_odd,
    fp_decoder_num_sequential,
    fp_decoder_num_with_seek_points,
    fp_fail,
    fp_find_seek_points,
    fp_memory,
    fp_origin,
    fp_outcome,
    fp_reading,
    fp_resample_pixels,
    fp_route_jpeg,
    fp_scratch,
    fp_scratch_free,
    fp_seek_table,
    fp_span,
    fp_take_row,
    fp_target,
    fp_use_sequential,
    fp_view,
    fp_view_span,
    origin_of,
    outcome_tuple,
)
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

COLORS = {"RGB": 0, "BGR": 1, "GRAY": 2}
SEQUENTIAL_USES = {"never": 0, "where it pays": 1, "always": 2}
# In the order of enum fp_route in kernels/decode.h.
ROUTES = ("ours", "progressive", "arithmetic", "several scans", "not 8 bits", "CMYK or RGB",
          "subsampling", "unusual headers", "small", "unreadable")
INTERPOLATIONS = {"nearest": 0, "bilinear": 1, "bicubic": 2, "area": 3}


def allow_vectors(int bits):
    fp_allow_vectors(bits)


def use_sequential(str use):
    fp_use_sequential(SEQUENTIAL_USES[use])


cdef class Decoder:
    """A decompressor and its scratch memory, for one thread at a time."""
    cdef fp_decoder* own_decoder

    def __cinit__(self):
        self.own_decoder = fp_decoder_new()
        if self.own_decoder == NULL:
            raise MemoryError

    def __dealloc__(self):
        fp_decoder_free(self.own_decoder)

    def resample(self, const uint8_t[:, :, ::1] pixels, const fp_view[::1] view, out, *,
                 str interpolation="bilinear", const uint8_t[::1] table=None):
        cdef Target target = Target(out, table)
        cdef int chosen = INTERPOLATIONS[interpolation]
        cdef int status
        if view.shape[0] != 1 or pixels.shape[2] != target.facts.channels:
            raise ValueError("give one view, and the same number of channels in pixels and out")
        if pixels.shape[0] * pixels.shape[1] * pixels.shape[2] == 0:
            raise ValueError("pixels must not be empty")
        with nogil:
            status = fp_resample_pixels(self.own_decoder, &pixels[0, 0, 0], pixels.strides[0],
                                        pixels.shape[1], pixels.shape[0], chosen, &view[0],
                                        &target.facts)
        if status == FP_OK:
            return None
        return status, 0, 0, 0, fp_decoder_message(self.own_decoder).decode()

    def route(self, const uint8_t[::1] head, uint64_t image_bytes):
        cdef int route
        if head.shape[0] == 0:
            return "unreadable", False
        with nogil:
            route = fp_route_jpeg(self.own_decoder, &head[0], head.shape[0], image_bytes)
        return ROUTES[route], bool(fp_decoder_is_odd(self.own_decoder))


cdef class Target:
    """An output array (height, width, channels) with items of 1, 2 or 4 bytes and any strides."""
    cdef fp_target facts
    cdef object array
    cdef uint8_t[:, :, :] bytes
    cdef uint16_t[:, :, :] halves
    cdef uint32_t[:, :, :] words
    cdef const uint8_t[::1] table

    def __init__(self, out, const uint8_t[::1] table):
        self.array = out
        if out.ndim != 3 or 0 in out.shape:
            raise ValueError("out: height, width and channels are needed, and none may be empty")
        if out.itemsize == 1:
            self.bytes = out
            self.facts.pixels = &self.bytes[0, 0, 0]
        elif out.itemsize == 2:
            self.halves = out.view("u2")
            self.facts.pixels = <uint8_t*> &self.halves[0, 0, 0]
        else:
            self.words = out.view("u4")
            self.facts.pixels = <uint8_t*> &self.words[0, 0, 0]
        self.facts.height, self.facts.width, self.facts.channels = out.shape
        self.facts.row_stride, self.facts.pixel_stride, self.facts.channel_stride = out.strides
        self.facts.item_bytes = out.itemsize
        if table is not None:
            if table.shape[0] != 256 * self.facts.channels * self.facts.item_bytes:
                raise ValueError("table: 256 items a channel, of out's dtype, are needed")
            self.table = table
            self.facts.table = &table[0]
        elif out.itemsize != 1:
            raise ValueError("out: items of more than a byte need a table")


cdef class DecodeBatch:
    """Decodes JPEG spans to the arrays `outs`, one each. Threads share the rows in `run`."""
    cdef const int[::1] fds
    cdef const fp_memory[::1] memories
    cdef const fp_span[::1] spans
    cdef const fp_view[::1] views
    cdef list targets
    cdef fp_target* own_facts
    cdef fp_outcome* own_outcomes
    cdef fp_origin origin
    cdef fp_decode_options options
    cdef bint check
    cdef bint keep_going
    cdef int64_t counter
    cdef list nums_sequential
    cdef list nums_with_seek_points
    cdef list nums_odd
    cdef const uint64_t[::1] words
    cdef const int64_t[::1] starts
    cdef const int64_t[::1] ends

    def __cinit__(self, spans, *args, **kwargs):
        self.own_facts = <fp_target*> calloc(max(1, len(spans)), sizeof(fp_target))
        self.own_outcomes = <fp_outcome*> calloc(max(1, len(spans)), sizeof(fp_outcome))
        if self.own_facts == NULL or self.own_outcomes == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.own_facts)
        free(self.own_outcomes)

    def __init__(self, const fp_span[::1] spans, const fp_view[::1] views, outs, *, str color="RGB",
                 str interpolation="bilinear", bint may_reduce=False, bint accept_damage=False,
                 uint64_t max_pixels, uint32_t max_scans, const uint8_t[::1] table=None,
                 const int[::1] fds=None, const fp_memory[::1] memories=None, bint check=True,
                 bint keep_going=False, seek_points=None):
        cdef Py_ssize_t i
        cdef Target target
        cdef int channels = 1 if color == "GRAY" else 3
        if views.shape[0] != spans.shape[0] or len(outs) != spans.shape[0]:
            raise ValueError("one view and one output for each span are needed")
        self.spans, self.views, self.fds, self.memories = spans, views, fds, memories
        self.targets = []  # they keep the arrays alive that own_facts point to
        for i in range(spans.shape[0]):
            if outs[i].ndim != 3 or outs[i].shape[2] != channels or outs[i].size == 0:
                raise ValueError(f"output {i}: height, width and {channels} channel(s) are needed")
            target = Target(outs[i], table)
            self.own_facts[i] = target.facts
            self.targets.append(target)
        self.check, self.keep_going = check, keep_going
        self.options.color = COLORS[color]
        self.options.interpolation = INTERPOLATIONS[interpolation]
        self.options.may_reduce = may_reduce
        self.options.accept_damage = accept_damage
        self.options.max_pixels = max_pixels
        self.options.max_scans = max_scans
        self.origin = origin_of(fds, memories)
        self.nums_sequential, self.nums_with_seek_points, self.nums_odd = [], [], []
        self.words = None  # an unset memoryview is not None
        if seek_points is not None:
            self._take_seek_points(*seek_points)

    def _take_seek_points(self, const uint64_t[::1] words, const int64_t[::1] starts,
                          const int64_t[::1] ends):
        cdef Py_ssize_t i
        if starts.shape[0] != self.spans.shape[0] or ends.shape[0] != self.spans.shape[0]:
            raise ValueError("one start and one end of seek points for each span are needed")
        for i in range(starts.shape[0]):
            if not 0 <= starts[i] <= ends[i] <= words.shape[0]:
                raise ValueError(f"the seek points of span {i} lie outside their words")
        if words.shape[0]:
            self.words, self.starts, self.ends = words, starts, ends

    def run(self):
        cdef Decoder decoder = Decoder()
        with nogil:
            self._decode(decoder.own_decoder)
        self.nums_sequential.append(fp_decoder_num_sequential(decoder.own_decoder))
        self.nums_with_seek_points.append(fp_decoder_num_with_seek_points(decoder.own_decoder))
        self.nums_odd.append(fp_decoder_num_odd(decoder.own_decoder))

    def num_with_seek_points(self):
        return sum(self.nums_with_seek_points)

    def num_odd(self):
        return sum(self.nums_odd)

    def num_sequential(self):
        return sum(self.nums_sequential)

    def failures(self):
        return [outcome_tuple(&self.own_outcomes[row]) for row in range(self.spans.shape[0])
                if self.own_outcomes[row].status != FP_OK]

    cdef void _decode(self, fp_decoder* decoder) noexcept nogil:
        cdef int64_t num_rows = self.spans.shape[0]
        cdef int64_t row = fp_take_row(&self.counter)
        cdef fp_scratch blob, aside
        blob.own_bytes = aside.own_bytes = NULL
        blob.capacity = aside.capacity = 0
        while row < num_rows:
            if self._decode_row(decoder, row, &blob, &aside,
                                &self.own_outcomes[row]) != FP_OK and not self.keep_going:
                fp_close_counter(&self.counter, num_rows)
                break
            row = fp_take_row(&self.counter)
        fp_scratch_free(&blob)
        fp_scratch_free(&aside)

    cdef int _decode_row(self, fp_decoder* decoder, int64_t row, fp_scratch* blob,
                         fp_scratch* aside, fp_outcome* outcome) noexcept nogil:
        cdef const fp_span* span = &self.spans[row]
        cdef fp_reading reading
        cdef fp_seek_table table
        cdef bint has_seek_points = self.words is not None and self.starts[row] < self.ends[row]
        reading.origin, reading.span, reading.check = &self.origin, span, self.check
        reading.blob, reading.aside, reading.row = blob, aside, row
        if has_seek_points:
            table.words = &self.words[self.starts[row]]
            table.num_words = <size_t> (self.ends[row] - self.starts[row])
            table.image_bytes, table.image_crc32c = span.length, span.crc32c
        return fp_decode_span(decoder, &reading, &table if has_seek_points else NULL, &self.options,
                              &self.views[row], &self.own_facts[row], outcome)


cdef class SeekPointBatch:
    """Makes the seek tables of JPEG spans. Threads share the rows in `run`."""
    cdef const int[::1] fds
    cdef const fp_memory[::1] memories
    cdef const fp_span[::1] spans
    cdef fp_origin origin
    cdef fp_outcome* own_outcomes
    cdef uint64_t** own_tables
    cdef size_t* own_lengths
    cdef int64_t counter
    cdef bint keep_going

    def __cinit__(self, spans, *args, **kwargs):
        self.own_outcomes = <fp_outcome*> calloc(max(1, len(spans)), sizeof(fp_outcome))
        self.own_tables = <uint64_t**> calloc(max(1, len(spans)), sizeof(uint64_t*))
        self.own_lengths = <size_t*> calloc(max(1, len(spans)), sizeof(size_t))
        if self.own_outcomes == NULL or self.own_tables == NULL or self.own_lengths == NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef Py_ssize_t row
        if self.own_tables != NULL and self.spans is not None:
            for row in range(self.spans.shape[0]):
                free(self.own_tables[row])
        free(self.own_outcomes)
        free(self.own_tables)
        free(self.own_lengths)

    def __init__(self, const fp_span[::1] spans, *, const int[::1] fds=None,
                 const fp_memory[::1] memories=None, bint keep_going=False):
        self.spans, self.fds, self.memories, self.keep_going = spans, fds, memories, keep_going
        self.origin = origin_of(fds, memories)

    def run(self):
        cdef Decoder decoder = Decoder()
        with nogil:
            self._find(decoder.own_decoder)

    def failures(self):
        return [outcome_tuple(&self.own_outcomes[row]) for row in range(self.spans.shape[0])
                if self.own_outcomes[row].status != FP_OK]

    def lengths(self, int64_t[::1] out):
        cdef Py_ssize_t row
        if out.shape[0] != self.spans.shape[0]:
            raise ValueError("out: one length for each span is needed")
        for row in range(self.spans.shape[0]):
            out[row] = <int64_t> self.own_lengths[row]

    def words(self, uint64_t[::1] out):
        cdef Py_ssize_t row
        cdef size_t at = 0
        for row in range(self.spans.shape[0]):
            if self.own_lengths[row] > <size_t> out.shape[0] - at:
                raise ValueError("out: a word for each of the lengths is needed")
            if self.own_lengths[row]:
                memcpy(&out[at], self.own_tables[row], self.own_lengths[row] * sizeof(uint64_t))
                at += self.own_lengths[row]

    cdef void _find(self, fp_decoder* decoder) noexcept nogil:
        cdef int64_t num_rows = self.spans.shape[0]
        cdef int64_t row = fp_take_row(&self.counter)
        cdef fp_scratch blob, aside, words
        blob.own_bytes = aside.own_bytes = words.own_bytes = NULL
        blob.capacity = aside.capacity = words.capacity = 0
        while row < num_rows:
            if self._find_row(decoder, row, &blob, &aside, &words) != FP_OK and not self.keep_going:
                fp_close_counter(&self.counter, num_rows)
                break
            row = fp_take_row(&self.counter)
        fp_scratch_free(&blob)
        fp_scratch_free(&aside)
        fp_scratch_free(&words)

    cdef int _find_row(self, fp_decoder* decoder, int64_t row, fp_scratch* blob, fp_scratch* aside,
                       fp_scratch* words) noexcept nogil:
        cdef const fp_span* span = &self.spans[row]
        cdef fp_outcome* outcome = &self.own_outcomes[row]
        cdef const uint8_t* data = NULL
        cdef size_t num_words = 0
        cdef int status
        if fp_view_span(&self.origin, span, True, blob, aside, row, &data, outcome) != FP_OK:
            return outcome.status
        status = fp_find_seek_points(decoder, data, span.length, span.crc32c, words, &num_words)
        if status == FP_OK and num_words:
            self.own_tables[row] = <uint64_t*> malloc(num_words * sizeof(uint64_t))
            if self.own_tables[row] == NULL:
                status = FP_NO_MEMORY
            else:
                memcpy(self.own_tables[row], words.own_bytes, num_words * sizeof(uint64_t))
                self.own_lengths[row] = num_words
        if status != FP_OK:
            return fp_fail(outcome, status, row, span.offset, "no memory for seek points")
        return FP_OK
