"""Serialize tf.train.Examples to framed TFRecord records."""
from kernels cimport (
    FP_FRAME_FOOTER,
    FP_FRAME_HEADER,
    FP_KIND_BYTES,
    FP_KIND_FLOAT,
    FP_KIND_INT64,
    FP_OK,
    fp_apart_size,
    fp_column,
    fp_example_size,
    fp_frame_example,
    fp_outcome,
    fp_rows,
    fp_take_row,
    fp_write_rows,
    iovec,
    outcome_tuple,
)
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

import numpy as np

KINDS = {"bytes": FP_KIND_BYTES, "float": FP_KIND_FLOAT, "int": FP_KIND_INT64}


cdef class ExampleFrames:
    """Rows of columns as Examples in TFRecord frames, made by any number of threads.

    Values of columns in `apart` are not copied: `write` takes them from their arrays. Their
    checksums are known."""
    cdef fp_column* own_columns
    cdef iovec* own_pieces
    cdef size_t num_columns
    cdef Py_ssize_t num_rows, num_apart
    cdef list borrowed
    cdef int64_t[::1] stretches   # where each row's copied bytes begin in records
    cdef uint8_t[::1] stretch_bytes
    cdef uint32_t[::1] crcs
    cdef uint32_t[::1] frame_crcs
    cdef int64_t[:, ::1] places
    cdef readonly object offsets  # int64 (n + 1,): the beginning of each framed record
    cdef readonly object records  # uint8 (total,): all records, without the values apart
    cdef int64_t counter

    def __cinit__(self, columns, Py_ssize_t num_rows, *, apart=None):
        self.num_rows = num_rows
        self.own_columns = <fp_column*> calloc(max(1, len(columns)), sizeof(fp_column))
        self.own_pieces = <iovec*> calloc(max(1, num_rows),
                                          (2 * len(apart or ()) + 1) * sizeof(iovec))
        if self.own_columns == NULL or self.own_pieces == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.own_columns)
        free(self.own_pieces)

    def __init__(self, columns, Py_ssize_t num_rows, *, apart=None):
        self.borrowed = []
        apart = apart or {}
        for name, kind, values, value_offsets, row_offsets in columns:
            self._add_column(name.encode("utf-8", "surrogateescape"), kind, values, value_offsets,
                             row_offsets, num_rows)
            if name in apart:
                self._leave_apart(kind, row_offsets, apart[name], num_rows)
        if self.num_apart != len(apart):
            raise ValueError("apart: names columns that do not exist")
        self.offsets = np.zeros(num_rows + 1, np.int64)
        self.stretches = np.zeros(num_rows + 1, np.int64)
        self._count(self.offsets)
        self.records = np.empty(self.stretches[num_rows], np.uint8)
        self.stretch_bytes = self.records
        self.crcs = np.zeros(num_rows, np.uint32)
        self.frame_crcs = np.zeros(num_rows, np.uint32)
        self.places = np.zeros((num_rows, self.num_apart), np.int64)

    @property
    def crcs(self):
        return np.asarray(self.crcs)

    @property
    def places(self):
        return np.asarray(self.places)

    def _leave_apart(self, kind, row_offsets, const uint32_t[::1] crcs, Py_ssize_t num_rows):
        if kind != "bytes" or row_offsets is not None:
            raise ValueError("apart: give columns of bytes with one value a row")
        if crcs.shape[0] != num_rows:
            raise ValueError("apart: give a checksum for each row")
        self.own_columns[self.num_columns - 1].apart = 1
        self.own_columns[self.num_columns - 1].crcs = &crcs[0] if num_rows else NULL
        self.borrowed.append(crcs)
        self.num_apart += 1

    def _count(self, int64_t[::1] starts):
        cdef Py_ssize_t i
        cdef uint64_t length, apart
        with nogil:
            for i in range(self.num_rows):
                length = fp_example_size(self.own_columns, self.num_columns, i)
                length += FP_FRAME_HEADER + FP_FRAME_FOOTER
                apart = fp_apart_size(self.own_columns, self.num_columns, i)
                starts[i + 1] = starts[i] + length
                self.stretches[i + 1] = self.stretches[i] + length - apart

    def _add_column(self, bytes name, str kind, values, value_offsets, row_offsets,
                    Py_ssize_t num_rows):
        cdef fp_column* column = &self.own_columns[self.num_columns]
        dtype = {"bytes": np.uint8, "float": np.float32, "int": np.int64}[kind]
        flat = np.ascontiguousarray(values, dtype)
        num_values = len(flat)
        column.kind = KINDS[kind]
        column.name = <const uint8_t*> <const char*> name
        column.name_length = len(name)
        column.values = address_of(flat.view(np.uint8))
        if kind == "bytes":
            check_offsets(value_offsets, num_values)
            column.value_offsets = <const int64_t*> address_of(value_offsets.view(np.uint8))
            num_values = len(value_offsets) - 1
        if row_offsets is not None:
            check_offsets(row_offsets, num_values)
            column.offsets = <const int64_t*> address_of(row_offsets.view(np.uint8))
            num_values = len(row_offsets) - 1
        if num_values != num_rows:
            raise ValueError(f"column {name!r} has {num_values} rows, not {num_rows}")
        self.borrowed += [name, flat, value_offsets, row_offsets]
        self.num_columns += 1

    def run(self):
        cdef const int64_t[::1] starts = self.offsets
        if self.num_rows:
            with nogil:
                self._frame(&starts[0])

    cdef void _frame(self, const int64_t* starts) noexcept nogil:
        cdef Py_ssize_t num_pieces = 2 * self.num_apart + 1, i
        cdef int64_t row = fp_take_row(&self.counter), place
        cdef iovec* pieces
        while row < self.num_rows:
            pieces = self.own_pieces + row * num_pieces
            self.crcs[row] = fp_frame_example(self.own_columns, self.num_columns, row,
                                              &self.stretch_bytes[self.stretches[row]], pieces,
                                              &self.frame_crcs[row])
            place = starts[row]
            for i in range(self.num_apart):
                place += pieces[2 * i].iov_len
                self.places[row, i] = place
                place += pieces[2 * i + 1].iov_len
            row = fp_take_row(&self.counter)

    def write(self, int fd, uint64_t offset):
        cdef fp_outcome outcome
        cdef fp_rows rows
        cdef const int64_t[::1] starts = self.offsets
        outcome.status = FP_OK
        if self.num_rows:
            rows.offsets, rows.crcs, rows.num_rows = &starts[0], &self.frame_crcs[0], self.num_rows
            with nogil:
                fp_write_rows(fd, self.own_pieces, self.num_rows * (2 * self.num_apart + 1), offset,
                              &rows, &outcome)
        return outcome_tuple(&outcome)


cdef const uint8_t* address_of(const uint8_t[::1] array):
    return &array[0] if array.shape[0] else NULL


cdef check_offsets(const int64_t[::1] offsets, Py_ssize_t limit):
    cdef Py_ssize_t i
    if offsets.shape[0] == 0 or offsets[0] != 0 or offsets[offsets.shape[0] - 1] > limit:
        raise ValueError("offsets: must begin at 0 and stay within the values")
    for i in range(offsets.shape[0] - 1):
        if offsets[i] > offsets[i + 1]:
            raise ValueError("offsets: must not decrease")
