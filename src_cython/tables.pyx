"""Read rows of table files: many pages without the GIL."""
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from kernels cimport (
    FP_OK,
    fp_advise_rows,
    fp_bind_tables,
    fp_first_outside,
    fp_leaf,
    fp_outcome,
    fp_outputs,
    fp_pages,
    fp_pages_common,
    fp_pages_copy,
    fp_pages_free,
    fp_pages_open,
    fp_pages_text,
    fp_place,
    fp_read_rows,
    fp_take_rows,
    outcome_tuple,
)
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport calloc, free


cdef class Places:
    """The leaves of all tables, shared by the files of one layout."""
    cdef bytes common
    cdef fp_place* own_places
    cdef int64_t* own_starts
    cdef int64_t* own_columns
    cdef int64_t num_tables

    def __cinit__(self, bytes common not None, list tables not None):
        cdef int64_t i, num_places = sum(map(len, tables))
        self.common = common
        self.num_tables = len(tables)
        self.own_places = <fp_place*> calloc(num_places + 1, sizeof(fp_place))
        self.own_starts = <int64_t*> calloc(self.num_tables + 1, sizeof(int64_t))
        self.own_columns = <int64_t*> calloc(self.num_tables + 1, sizeof(int64_t))
        if self.own_places == NULL or self.own_starts == NULL or self.own_columns == NULL:
            raise MemoryError
        for i in range(self.num_tables):
            self._add(i, tables[i])

    cdef _add(self, int64_t table, places):
        cdef fp_place* place = &self.own_places[self.own_starts[table]]
        self.own_starts[table + 1] = self.own_starts[table] + len(places)
        for column, offset, size, stride in places:
            if size not in (1, 2, 4, 8) or not 0 <= offset <= stride - size:
                raise ValueError("places: a leaf lies outside of its column's items")
            place.column, place.offset, place.size, place.stride = column, offset, size, stride
            self.own_columns[table] = max(self.own_columns[table], column + 1)
            place += 1

    def __dealloc__(self):
        free(self.own_places)
        free(self.own_starts)
        free(self.own_columns)


# The buffers of the caller's arrays.
cdef class _Outputs:
    cdef Py_buffer* own_buffers
    cdef uint8_t** own_columns
    cdef Py_ssize_t num_buffers
    cdef fp_outputs out

    def __cinit__(self, Places places, int64_t table, list columns, int64_t num_rows):
        cdef int64_t i
        cdef const fp_place* place
        if not 0 <= table < places.num_tables or len(columns) != places.own_columns[table]:
            raise ValueError("columns: one for each column of the table is needed, or None")
        self.own_buffers = <Py_buffer*> calloc(len(columns) + 1, sizeof(Py_buffer))
        self.own_columns = <uint8_t**> calloc(len(columns) + 1, sizeof(uint8_t*))
        if self.own_buffers == NULL or self.own_columns == NULL:
            raise MemoryError
        self.out.places = &places.own_places[places.own_starts[table]]
        self.out.columns = self.own_columns
        for column in columns:
            if column is not None:
                PyObject_GetBuffer(column, &self.own_buffers[self.num_buffers],
                                   PyBUF_SIMPLE | PyBUF_WRITABLE)
                self.own_columns[self.num_buffers] = \
                    <uint8_t*> self.own_buffers[self.num_buffers].buf
            self.num_buffers += 1
        for i in range(places.own_starts[table + 1] - places.own_starts[table]):
            place = &self.out.places[i]
            if self.own_columns[place.column] != NULL and \
                    self.own_buffers[place.column].len / place.stride != num_rows:
                raise ValueError("columns: a column has another number of rows")

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.num_buffers):
            PyBuffer_Release(&self.own_buffers[i])
        free(self.own_buffers)
        free(self.own_columns)


cdef class TablePages:
    """An open table file. Owns its descriptor and the pages that it keeps."""
    cdef fp_pages pages
    cdef Places places
    cdef object __weakref__

    def __cinit__(self, *args, **kwargs):
        self.pages.fd = -1

    def __dealloc__(self):
        fp_pages_free(&self.pages)

    def open_path(self, bytes path not None, bint keep):
        cdef const char* name = path
        cdef fp_outcome outcome
        self._check_new()
        if b"\0" in path:
            raise ValueError("path: it has a zero byte")
        outcome.status = FP_OK
        with nogil:
            fp_pages_open(&self.pages, name, keep, &outcome)
        return outcome_tuple(&outcome)

    def copy_bytes(self, const uint8_t[::1] data not None):
        cdef fp_outcome outcome
        cdef const uint8_t* first = &data[0] if data.shape[0] else NULL
        self._check_new()
        outcome.status = FP_OK
        with nogil:
            fp_pages_copy(&self.pages, first, data.shape[0], &outcome)
        return outcome_tuple(&outcome)

    cdef _check_new(self):
        if self.pages.size or self.pages.fd >= 0:
            raise ValueError("the file is open already")

    cdef _check_unbound(self):
        if self.pages.own_header == NULL:
            raise ValueError("the file is not open, or it has its places already")

    def texts(self):
        self._check_unbound()
        cdef const uint8_t* common = fp_pages_common(&self.pages)
        cdef const uint8_t* text = fp_pages_text(&self.pages)
        return common[:self.pages.common_bytes], text[:self.pages.text_bytes]

    def bind(self, Places places not None):
        cdef fp_outcome outcome
        self._check_unbound()
        if self.pages.own_tables != NULL:
            raise ValueError("the file was refused before")
        outcome.status = FP_OK
        fp_bind_tables(&self.pages, places.own_places, places.own_starts, places.num_tables,
                       &outcome)
        if outcome.status == FP_OK:
            self.places = places
        return outcome_tuple(&outcome)

    @property
    def checksum(self):
        return self.pages.checksum

    @property
    def num_bytes(self):
        return self.pages.size

    cdef int64_t _rows_of(self, int64_t table) except -1:
        if self.places is None or not 0 <= table < self.places.num_tables:
            raise ValueError("table: the file does not have it")
        return self.pages.own_tables[table].num_rows

    def count_rows(self, int64_t table):
        return self._rows_of(table)

    def line(self, int64_t table, int64_t leaf):
        cdef const fp_leaf* found
        self._rows_of(table)
        if not 0 <= leaf < self.places.own_starts[table + 1] - self.places.own_starts[table]:
            raise ValueError("leaf: the table does not have it")
        found = &self.pages.own_leaves[self.pages.own_tables[table].first_leaf + leaf]
        return None if found.width[0] or found.width[1] else (found.base, found.step)

    def take_rows(self, int64_t table, const int64_t[::1] rows not None, list columns not None):
        cdef fp_pages* pages = &self.pages
        self._rows_of(table)  # raises IndexError for a table that does not exist
        cdef _Outputs outputs = _Outputs(self.places, table, columns, rows.shape[0])
        return take_checked(&pages, False, table, rows, outputs)

    def read_rows(self, int64_t table, int64_t first, int64_t end, list columns not None):
        cdef fp_outcome outcome
        cdef int64_t num_rows = self._rows_of(table)
        if not 0 <= first <= end <= num_rows:
            raise IndexError(f"rows {first} to {end} do not lie in [0, {num_rows})")
        cdef _Outputs outputs = _Outputs(self.places, table, columns, end - first)
        outcome.status = FP_OK
        with nogil:
            fp_read_rows(&self.pages, table, &outputs.out, first, end, &outcome)
        return outcome_tuple(&outcome)


cdef take_checked(fp_pages** files, bint per_row, int64_t table, const int64_t[::1] rows,
                  _Outputs outputs):
    cdef fp_outcome outcome
    cdef int64_t outside = -1
    outcome.status = FP_OK
    if rows.shape[0] == 0:
        return None
    with nogil:
        outside = fp_first_outside(files, per_row, table, &rows[0], rows.shape[0])
        if outside < 0:
            fp_take_rows(files, per_row, table, &outputs.out, &rows[0], rows.shape[0], &outcome)
    if outside >= 0:
        limit = files[outside if per_row else 0].own_tables[table].num_rows
        raise IndexError(f"row {rows[outside]} does not lie in [0, {limit})")
    return outcome_tuple(&outcome)


# Files by row. Keeps the files alive.
cdef class _FilesByRow:
    cdef fp_pages** own_files
    cdef tuple files

    def __cinit__(self, tuple files not None, const int64_t[::1] numbers, Places places not None,
                  int64_t table):
        cdef int64_t i, number = -1
        cdef TablePages file = None
        self.files = files
        self.own_files = <fp_pages**> calloc(numbers.shape[0] + 1, sizeof(fp_pages*))
        if self.own_files == NULL:
            raise MemoryError
        for i in range(numbers.shape[0]):
            if numbers[i] != number or i == 0:
                number = numbers[i]
                if not 0 <= number < len(files):
                    raise IndexError(f"file {number} does not lie in [0, {len(files)})")
                file = files[number]
                if file is None:
                    raise TypeError("files: None is among them")
                file._rows_of(table)
                if file.places is not places and file.places.common != places.common:
                    raise ValueError("files: all must have one layout")
            self.own_files[i] = &file.pages

    def __dealloc__(self):
        free(self.own_files)


def take_from(tuple files not None, const int64_t[::1] numbers not None, Places places not None,
              int64_t table, const int64_t[::1] rows not None, list columns not None):
    if numbers.shape[0] != rows.shape[0]:
        raise ValueError("numbers: one for each row is needed")
    if rows.shape[0] == 0:
        return None
    cdef _FilesByRow by_row = _FilesByRow(files, numbers, places, table)
    cdef _Outputs outputs = _Outputs(places, table, columns, rows.shape[0])
    return take_checked(by_row.own_files, True, table, rows, outputs)


def advise(tuple files not None, const int64_t[::1] numbers not None, Places places not None,
           int64_t table, const int64_t[::1] rows not None):
    if numbers.shape[0] != rows.shape[0]:
        raise ValueError("numbers: one for each row is needed")
    if rows.shape[0] == 0:
        return
    cdef _FilesByRow by_row = _FilesByRow(files, numbers, places, table)
    cdef int64_t outside
    with nogil:
        outside = fp_first_outside(by_row.own_files, True, table, &rows[0], rows.shape[0])
        if outside < 0:
            fp_advise_rows(by_row.own_files, True, table, &rows[0], rows.shape[0])
    if outside >= 0:
        limit = by_row.own_files[outside].own_tables[table].num_rows
        raise IndexError(f"row {rows[outside]} does not lie in [0, {limit})")


def expand_lists(const int64_t[::1] starts not None, const int64_t[::1] lengths not None,
                 const int64_t[::1] numbers not None, const int64_t[::1] limits not None,
                 int64_t[::1] rows=None, int64_t[::1] owners=None):
    cdef int64_t i, j, limit, total = 0, place = 0, num_lists = starts.shape[0]
    if lengths.shape[0] != num_lists or numbers.shape[0] != num_lists:
        raise ValueError("starts, lengths and numbers: one for each list")
    for i in range(num_lists):
        if not 0 <= numbers[i] < limits.shape[0]:
            raise IndexError(f"numbers: there is no file {numbers[i]}")
    if rows is None:
        with nogil:
            for i in range(num_lists):
                limit = limits[numbers[i]]
                if starts[i] < 0 or lengths[i] < 0 or lengths[i] > limit or \
                        starts[i] > limit - lengths[i]:
                    total = -1 - i
                    break
                total += lengths[i]
        return total
    for i in range(num_lists):
        total += lengths[i]
    if rows.shape[0] != total or owners.shape[0] != total:
        raise ValueError("rows and owners: one for each value")
    with nogil:
        for i in range(num_lists):
            for j in range(lengths[i]):
                rows[place] = starts[i] + j
                owners[place] = numbers[i]
                place += 1
    return total
