"""tf.train.Example on the wire: what features there are, their values in place, and whole framed records."""
from kernels cimport (
    FP_BAD_PROTO,
    FP_FRAME_FOOTER,
    FP_FRAME_HEADER,
    FP_KIND_ABSENT,
    FP_KIND_BYTES,
    FP_KIND_FLOAT,
    FP_KIND_INT64,
    FP_OK,
    FP_WRONG_KIND,
    fp_column,
    fp_entries,
    fp_entries_of,
    fp_entry,
    fp_example_size,
    fp_fail,
    fp_find_entry,
    fp_frame_record,
    fp_next_entry,
    fp_outcome,
    fp_take_row,
    fp_values,
    fp_walk_values,
    fp_write_example,
    outcome_tuple,
)
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

import numpy as np

KINDS = {"bytes": FP_KIND_BYTES, "float": FP_KIND_FLOAT, "int": FP_KIND_INT64}
_KIND_NAMES = {FP_KIND_ABSENT: "absent", FP_KIND_BYTES: "bytes", FP_KIND_FLOAT: "float", FP_KIND_INT64: "int"}


def list_features(const uint8_t[::1] example):
    cdef fp_entries entries = fp_entries_of(&example[0] if example.shape[0] else NULL, example.shape[0])
    cdef fp_entry entry
    cdef fp_values values
    cdef int more
    memset(&values, 0, sizeof(values))
    found = {}
    while True:
        more = fp_next_entry(&entries, &entry)
        if more == 0:
            return found
        if more < 0 or fp_walk_values(&entry, &values) != FP_OK:
            raise ValueError("not a tf.train.Example")
        name = (<const char*> entry.name.at)[:entry.name.end - entry.name.at].decode("utf-8", "surrogateescape")
        found[name] = _KIND_NAMES[values.kind], values.count


def count_entries(const uint8_t[::1] data, const uint64_t[::1] offsets, const uint64_t[::1] lengths):
    cdef fp_entries entries
    cdef fp_entry entry
    cdef fp_outcome outcome
    cdef Py_ssize_t i
    cdef int more
    check_examples(data, offsets, lengths)
    out = np.zeros(offsets.shape[0], np.int64)
    cdef int64_t[::1] counts = out
    cdef const uint8_t* first = &data[0] if data.shape[0] else NULL
    outcome.status = FP_OK
    with nogil:
        for i in range(offsets.shape[0]):
            entries = fp_entries_of(first + offsets[i], lengths[i])
            more = fp_next_entry(&entries, &entry)
            while more == 1:
                counts[i] += 1
                more = fp_next_entry(&entries, &entry)
            if more < 0:
                fp_fail(&outcome, FP_BAD_PROTO, i, offsets[i], "the record is not a tf.train.Example")
                break
    return out, outcome_tuple(&outcome)


cdef check_examples(const uint8_t[::1] data, const uint64_t[::1] offsets, const uint64_t[::1] lengths):
    cdef Py_ssize_t i
    if lengths.shape[0] < offsets.shape[0]:
        raise ValueError("lengths: one for each offset is needed")
    for i in range(offsets.shape[0]):
        if offsets[i] > <uint64_t> data.shape[0] or lengths[i] > <uint64_t> data.shape[0] - offsets[i]:
            raise ValueError(f"example {i} lies outside the data")


cdef class Feature:
    """The values of one feature in many examples that lie in one buffer."""
    cdef const uint8_t[::1] data
    cdef const uint64_t[::1] offsets
    cdef const uint64_t[::1] lengths
    cdef bytes name
    cdef const uint8_t* name_ptr
    cdef size_t name_length
    cdef int32_t wanted_kind
    cdef readonly object found         # uint8 (n,): 1 where the example has the feature
    cdef readonly object counts        # int64 (n,): values of each example
    cdef readonly object num_bytes     # int64 (n,): bytes of each example's values together
    cdef readonly object last_offsets  # int64 (n,): where the last bytes value lies in the buffer
    cdef readonly object last_lengths  # int64 (n,): its length

    def __init__(self, const uint8_t[::1] data, const uint64_t[::1] offsets, const uint64_t[::1] lengths, str name,
                 str kind):
        check_examples(data, offsets, lengths)
        self.data, self.offsets, self.lengths = data, offsets, lengths
        self.name = name.encode("utf-8", "surrogateescape")
        self.name_ptr = <const uint8_t*> <const char*> self.name
        self.name_length = len(self.name)
        self.wanted_kind = KINDS[kind]
        num_examples = offsets.shape[0]
        self.found = np.zeros(num_examples, np.uint8)
        self.counts = np.zeros(num_examples, np.int64)
        self.num_bytes = np.zeros(num_examples, np.int64)
        self.last_offsets = np.zeros(num_examples, np.int64)
        self.last_lengths = np.zeros(num_examples, np.int64)

    def count(self):
        cdef uint8_t[::1] found = self.found
        cdef int64_t[::1] counts = self.counts, num_bytes = self.num_bytes
        cdef int64_t[::1] last_offsets = self.last_offsets, last_lengths = self.last_lengths
        cdef const uint8_t* data = &self.data[0] if self.data.shape[0] else NULL
        cdef fp_values values
        cdef fp_outcome outcome
        cdef Py_ssize_t i
        outcome.status = FP_OK
        memset(&values, 0, sizeof(values))
        with nogil:
            for i in range(self.offsets.shape[0]):
                if self._walk(i, &values, &outcome) != FP_OK:
                    break
                found[i] = values.kind != FP_KIND_ABSENT
                counts[i] = values.count
                num_bytes[i] = values.num_bytes
                if values.kind == FP_KIND_BYTES and values.count:
                    last_offsets[i] = values.last.at - data
                    last_lengths[i] = values.last.end - values.last.at
        return outcome_tuple(&outcome)

    def copy_numbers(self):
        cdef fp_values values
        cdef fp_outcome outcome
        cdef Py_ssize_t i
        cdef int64_t total = self.counts.sum()
        cdef int64_t[::1] counts = self.counts
        out = np.empty(total, np.float32 if self.wanted_kind == FP_KIND_FLOAT else np.int64)
        cdef uint8_t[::1] out_bytes = out.view(np.uint8)
        cdef size_t item_bytes = out.itemsize
        cdef uint8_t* at = &out_bytes[0] if total else NULL
        memset(&values, 0, sizeof(values))
        values.filled_kind = self.wanted_kind
        if total:
            with nogil:
                for i in range(self.offsets.shape[0]):
                    values.numbers = at
                    values.capacity = counts[i]
                    self._walk(i, &values, &outcome)
                    at += counts[i] * item_bytes
        return out

    def copy_bytes(self):
        cdef fp_values values
        cdef fp_outcome outcome
        cdef Py_ssize_t i, j
        cdef int64_t total = self.num_bytes.sum(), num_values = self.counts.sum(), base = 0, done = 0
        cdef int64_t[::1] counts = self.counts, num_bytes = self.num_bytes
        out = np.empty(total, np.uint8)
        ends = np.zeros(num_values + 1, np.int64)
        cdef uint8_t[::1] out_bytes = out
        cdef int64_t[::1] out_ends = ends
        memset(&values, 0, sizeof(values))
        values.filled_kind = self.wanted_kind
        with nogil:
            for i in range(self.offsets.shape[0]):
                values.bytes = &out_bytes[0] + base if total else NULL
                values.bytes_capacity = num_bytes[i]
                values.ends = &out_ends[0] + 1 + done
                values.capacity = counts[i]
                self._walk(i, &values, &outcome)
                for j in range(counts[i]):
                    values.ends[j] += base
                base += num_bytes[i]
                done += counts[i]
        return out, ends

    cdef int _walk(self, Py_ssize_t i, fp_values* values, fp_outcome* outcome) noexcept nogil:
        cdef fp_entry entry
        cdef const uint8_t* example = &self.data[0] + self.offsets[i] if self.data.shape[0] else NULL
        cdef int found = fp_find_entry(example, self.lengths[i], self.name_ptr, self.name_length, &entry)
        values.kind = FP_KIND_ABSENT
        values.count = values.num_bytes = 0
        if found < 0 or (found and fp_walk_values(&entry, values) != FP_OK):
            return fp_fail(outcome, FP_BAD_PROTO, i, self.offsets[i], "the record is not a tf.train.Example")
        if values.kind != FP_KIND_ABSENT and values.kind != self.wanted_kind:
            return fp_fail(outcome, FP_WRONG_KIND, i, self.offsets[i], "a feature holds another kind of list")
        return FP_OK


cdef class ExampleFrames:
    """Rows of columns, serialised as Examples in TFRecord frames, into one buffer, by any number of threads."""
    cdef fp_column* own_columns
    cdef size_t num_columns
    cdef list borrowed
    cdef readonly object offsets  # int64 (n + 1,): where each framed record begins
    cdef readonly object records  # uint8 (total,)
    cdef int64_t counter

    def __cinit__(self, columns, Py_ssize_t num_rows):
        self.own_columns = <fp_column*> calloc(max(1, len(columns)), sizeof(fp_column))
        if self.own_columns == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.own_columns)

    def __init__(self, columns, Py_ssize_t num_rows):
        cdef int64_t[::1] starts
        cdef uint8_t[::1] out
        cdef Py_ssize_t i
        cdef uint64_t at = 0
        self.borrowed = []
        for name, kind, values, value_offsets, row_offsets in columns:
            self._add_column(name.encode("utf-8", "surrogateescape"), kind, values, value_offsets, row_offsets, num_rows)
        self.offsets = np.zeros(num_rows + 1, np.int64)
        starts = self.offsets
        with nogil:
            for i in range(num_rows):
                at += FP_FRAME_HEADER + FP_FRAME_FOOTER + fp_example_size(self.own_columns, self.num_columns, i)
                starts[i + 1] = at
        self.records = np.empty(at, np.uint8)
        out = self.records
        self.borrowed += [starts, out]

    def _add_column(self, bytes name, str kind, values, value_offsets, row_offsets, Py_ssize_t num_rows):
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
        cdef uint8_t[::1] out = self.records
        cdef int64_t num_rows = starts.shape[0] - 1
        if num_rows <= 0:
            return None
        with nogil:
            self._write(&out[0], &starts[0], num_rows)
        return None

    cdef void _write(self, uint8_t* out, const int64_t* starts, int64_t num_rows) noexcept nogil:
        cdef int64_t row = fp_take_row(&self.counter)
        while row < num_rows:
            fp_write_example(self.own_columns, self.num_columns, row, out + starts[row] + FP_FRAME_HEADER)
            fp_frame_record(out + starts[row],
                            starts[row + 1] - starts[row] - FP_FRAME_HEADER - FP_FRAME_FOOTER)
            row = fp_take_row(&self.counter)


cdef const uint8_t* address_of(const uint8_t[::1] array):
    return &array[0] if array.shape[0] else NULL


cdef check_offsets(const int64_t[::1] offsets, Py_ssize_t limit):
    cdef Py_ssize_t i
    if offsets.shape[0] == 0 or offsets[0] != 0 or offsets[offsets.shape[0] - 1] > limit:
        raise ValueError("offsets: must begin at 0 and stay within the values")
    for i in range(offsets.shape[0] - 1):
        if offsets[i] > offsets[i + 1]:
            raise ValueError("offsets: must not decrease")
