"""Copy spans or whole files to one buffer, in any number of threads."""
from kernels cimport (
    FP_FILES_AHEAD,
    FP_IO_ERROR,
    FP_OK,
    fp_advise_willneed,
    fp_close_counter,
    fp_crc32c,
    fp_fail,
    fp_image_info,
    fp_memory,
    fp_origin,
    fp_outcome,
    fp_prefetch_file,
    fp_probe,
    fp_read_file,
    fp_read_span,
    fp_scratch,
    fp_scratch_free,
    fp_span,
    fp_take_row,
    origin_of,
    outcome_tuple,
)
from libc.errno cimport ENAMETOOLONG, errno
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy
from posix.unistd cimport close

NOT_A_FILE, PASSED_OVER = -1, -2
cdef int32_t NO_FILE = NOT_A_FILE, SKIPPED = PASSED_OVER


cdef class Gather:
    cdef const int[::1] fds
    cdef const fp_memory[::1] memories
    cdef const fp_span[::1] spans
    cdef const int64_t[::1] offsets
    cdef uint8_t[::1] out
    cdef fp_outcome* own_outcomes
    cdef fp_origin origin
    cdef bint check
    cdef bint keep_going
    cdef int64_t counter

    def __cinit__(self, spans, *args, **kwargs):
        self.own_outcomes = <fp_outcome*> calloc(max(1, len(spans)), sizeof(fp_outcome))
        if self.own_outcomes == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.own_outcomes)

    def __init__(self, const fp_span[::1] spans, uint8_t[::1] out, const int64_t[::1] offsets, *,
                 const int[::1] fds=None, const fp_memory[::1] memories=None, bint check=True,
                 bint keep_going=False):
        cdef Py_ssize_t i
        if offsets.shape[0] < spans.shape[0]:
            raise ValueError("offsets: one for each span is needed")
        for i in range(spans.shape[0]):
            if offsets[i] < 0 or offsets[i] > out.shape[0] or \
                    spans[i].length > <size_t> (out.shape[0] - offsets[i]):
                raise ValueError(f"out: too small for span {i}")
        self.spans, self.out, self.offsets = spans, out, offsets
        self.fds, self.memories = fds, memories
        self.check, self.keep_going = check, keep_going
        self.origin = origin_of(fds, memories)

    def run(self):
        cdef int64_t failed = -1
        if self.out.shape[0] == 0 or self.spans.shape[0] == 0:
            return None
        with nogil:
            failed = self._gather()
        return outcome_tuple(&self.own_outcomes[failed]) if failed >= 0 else None

    def failures(self):
        return [outcome_tuple(&self.own_outcomes[row]) for row in range(self.spans.shape[0])
                if self.own_outcomes[row].status != FP_OK]

    # Returns the first failed row, or -1.
    cdef int64_t _gather(self) noexcept nogil:
        cdef int64_t num_rows = self.spans.shape[0]
        cdef int64_t row = fp_take_row(&self.counter)
        cdef int64_t failed = -1
        cdef fp_scratch scratch
        scratch.own_bytes = NULL
        scratch.capacity = 0
        while row < num_rows:
            if fp_read_span(&self.origin, &self.spans[row], self.check,
                            &self.out[0] + self.offsets[row], &scratch, row,
                            &self.own_outcomes[row]) != FP_OK:
                failed = row if failed < 0 else failed
                if not self.keep_going:
                    fp_close_counter(&self.counter, num_rows)
                    break
            row = fp_take_row(&self.counter)
        fp_scratch_free(&scratch)
        return failed


def advise_willneed(const fp_span[::1] spans, const int[::1] fds):
    """Advise the OS that these spans will be read soon, so that it fetches them together."""
    cdef fp_origin origin = origin_of(fds, None)
    if spans.shape[0] and fds.shape[0]:
        with nogil:
            fp_advise_willneed(&origin, &spans[0], spans.shape[0])


cdef extern from "<sys/stat.h>" nogil:
    ctypedef struct timespec_t "struct timespec":
        int64_t tv_sec
        int64_t tv_nsec
    ctypedef struct stat_t "struct stat":
        unsigned int st_mode
        int64_t st_size
        timespec_t st_mtim
    int file_facts "stat"(const char* path, stat_t* facts)
    bint is_regular "S_ISREG"(unsigned int mode)


cdef extern from "<limits.h>" nogil:
    enum: PATH_MAX


# Makes the path of file `row`: the folder and name `row`. False if it is longer than PATH_MAX.
cdef bint join_path(const uint8_t[::1] folder, const uint8_t[::1] names, const int64_t[::1] ends,
                    int64_t row, char* path) noexcept nogil:
    cdef size_t above = folder.shape[0], length = ends[row + 1] - ends[row]
    if above >= PATH_MAX or length >= PATH_MAX - above:
        return False
    if above:
        memcpy(path, &folder[0], above)
    if length:
        memcpy(path + above, &names[ends[row]], length)
    path[above + length] = 0
    return True


cdef class StatFiles:
    """Sizes and modification times of files, read by any number of threads."""
    cdef const uint8_t[::1] folder
    cdef const uint8_t[::1] names
    cdef const int64_t[::1] ends
    cdef int64_t[::1] sizes
    cdef int64_t[::1] times
    cdef int32_t[::1] errors
    cdef int64_t counter

    def __init__(self, const uint8_t[::1] folder, const uint8_t[::1] names, const int64_t[::1] ends,
                 int64_t[::1] sizes, int64_t[::1] times, int32_t[::1] errors):
        cdef Py_ssize_t i
        if not ends.shape[0] - 1 == sizes.shape[0] == times.shape[0] == errors.shape[0]:
            raise ValueError("sizes, times, errors: of one length, and ends one longer")
        for i in range(sizes.shape[0]):
            check_name(names, ends, i)
        self.folder, self.names, self.ends = folder, names, ends
        self.sizes, self.times, self.errors = sizes, times, errors

    def run(self):
        with nogil:
            self._stat()

    cdef void _stat(self) noexcept nogil:
        cdef int64_t num_rows = self.sizes.shape[0]
        cdef int64_t row = fp_take_row(&self.counter)
        while row < num_rows:
            if self.errors[row] != SKIPPED:
                self.errors[row] = self._stat_row(row)
            row = fp_take_row(&self.counter)

    cdef int32_t _stat_row(self, int64_t row) noexcept nogil:
        cdef char[PATH_MAX] path
        cdef stat_t facts
        if not join_path(self.folder, self.names, self.ends, row, path):
            return ENAMETOOLONG
        if file_facts(path, &facts) != 0:
            return errno
        if not is_regular(facts.st_mode):
            return NO_FILE
        self.sizes[row] = facts.st_size
        self.times[row] = facts.st_mtim.tv_sec * 1000000000 + facts.st_mtim.tv_nsec
        return 0


# Files that a thread has opened and not yet read, in the order of their rows: numbers num_read to
# num_opened.
cdef struct files_ahead:
    int64_t[FP_FILES_AHEAD] rows
    int[FP_FILES_AHEAD] fds
    int64_t num_opened
    int64_t num_read


cdef class GatherFiles:
    """Copies whole files to `out`, each of the length that its offsets give.

    Each thread opens some files ahead. A file's checksum and header are computed while it is in the
    processor's cache."""
    cdef const uint8_t[::1] folder
    cdef const uint8_t[::1] names
    cdef const int64_t[::1] ends
    cdef const int64_t[::1] rows
    cdef const int64_t[::1] offsets
    cdef uint8_t[::1] out
    cdef uint32_t[::1] crcs
    cdef fp_image_info[::1] infos
    cdef int32_t[::1] statuses
    cdef int64_t max_ahead
    cdef int64_t counter

    def __init__(self, const uint8_t[::1] folder, const uint8_t[::1] names, const int64_t[::1] ends,
                 const int64_t[::1] rows, uint8_t[::1] out, const int64_t[::1] offsets,
                 uint32_t[::1] crcs, fp_image_info[::1] infos, int32_t[::1] statuses, *,
                 int64_t max_ahead=FP_FILES_AHEAD):
        cdef Py_ssize_t i, num_rows = rows.shape[0]
        if offsets.shape[0] != num_rows + 1 or offsets[0] != 0 or offsets[num_rows] != out.shape[0]:
            raise ValueError("offsets: must rise from 0 to the size of out, one longer than rows")
        if not num_rows == crcs.shape[0] == infos.shape[0] == statuses.shape[0]:
            raise ValueError("give rows, crcs, infos and statuses of one length")
        for i in range(num_rows):
            if offsets[i] > offsets[i + 1]:
                raise ValueError("offsets: must not decrease")
            check_name(names, ends, rows[i])
        self.folder, self.names, self.ends = folder, names, ends
        self.rows, self.out, self.offsets = rows, out, offsets
        self.crcs, self.infos, self.statuses = crcs, infos, statuses
        self.max_ahead = min(max(1, max_ahead), FP_FILES_AHEAD)

    def run(self):
        cdef fp_outcome outcome
        outcome.status = FP_OK
        with nogil:
            self._gather(&outcome)
        return outcome_tuple(&outcome)

    cdef void _gather(self, fp_outcome* outcome) noexcept nogil:
        cdef files_ahead ahead
        ahead.num_opened = ahead.num_read = 0
        self._prefetch(&ahead)
        while ahead.num_read < ahead.num_opened:
            if self._read_next(&ahead, outcome) != FP_OK:
                fp_close_counter(&self.counter, self.rows.shape[0])
                drop_files(&ahead)
                break
            self._prefetch(&ahead)

    # After a file that could not be opened, no other is opened until that one has been read: it may
    # need their descriptors.
    cdef void _prefetch(self, files_ahead* ahead) noexcept nogil:
        cdef char[PATH_MAX] path
        cdef int64_t row
        cdef int fd = 0
        if ahead.num_opened > ahead.num_read:
            fd = ahead.fds[(ahead.num_opened - 1) % FP_FILES_AHEAD]
        while fd >= 0 and ahead.num_opened - ahead.num_read < self.max_ahead:
            row = fp_take_row(&self.counter)
            if row >= self.rows.shape[0]:
                break
            fd = -1
            if join_path(self.folder, self.names, self.ends, self.rows[row], path):
                fd = fp_prefetch_file(path, self.offsets[row + 1] - self.offsets[row])
            ahead.rows[ahead.num_opened % FP_FILES_AHEAD] = row
            ahead.fds[ahead.num_opened % FP_FILES_AHEAD] = fd
            ahead.num_opened += 1

    cdef int _read_next(self, files_ahead* ahead, fp_outcome* outcome) noexcept nogil:
        cdef int64_t row = ahead.rows[ahead.num_read % FP_FILES_AHEAD]
        cdef int fd = ahead.fds[ahead.num_read % FP_FILES_AHEAD]
        cdef int64_t length = self.offsets[row + 1] - self.offsets[row]
        cdef uint8_t* data = &self.out[0] + self.offsets[row] if self.out.shape[0] else NULL
        ahead.num_read += 1
        if self._read(row, fd, data, length, outcome) == FP_OK:
            self.crcs[row] = fp_crc32c(0, data, length)
            self.statuses[row] = fp_probe(data, length, &self.infos[row])
        return outcome.status

    cdef int _read(self, int64_t row, int fd, uint8_t* data, int64_t length,
                   fp_outcome* outcome) noexcept nogil:
        cdef char[PATH_MAX] path
        if not join_path(self.folder, self.names, self.ends, self.rows[row], path):
            fp_fail(outcome, FP_IO_ERROR, row, 0, "the file cannot be opened")
            outcome.error_number = ENAMETOOLONG
            return FP_IO_ERROR
        return fp_read_file(fd, path, data, length, row, outcome)


cdef void drop_files(files_ahead* ahead) noexcept nogil:
    while ahead.num_read < ahead.num_opened:
        if ahead.fds[ahead.num_read % FP_FILES_AHEAD] >= 0:
            close(ahead.fds[ahead.num_read % FP_FILES_AHEAD])
        ahead.num_read += 1


cdef check_name(const uint8_t[::1] names, const int64_t[::1] ends, int64_t row):
    if row < 0 or row >= ends.shape[0] - 1:
        raise ValueError(f"rows: file {row} does not exist")
    if not 0 <= ends[row] <= ends[row + 1] <= names.shape[0]:
        raise ValueError(f"ends: name {row} lies outside the names")
