"""Find the features of many tf.train.Examples, and their values, in one pass."""
from kernels cimport (
    FP_BAD_PROTO,
    FP_KIND_ABSENT,
    FP_KIND_BYTES,
    FP_KIND_FLOAT,
    FP_KIND_INT64,
    FP_OK,
    FP_RECORD_LIMIT,
    FP_WRONG_KIND,
    fp_bytes,
    fp_entry,
    fp_fail,
    fp_features,
    fp_features_add,
    fp_features_clear_lists,
    fp_features_free,
    fp_features_sort,
    fp_is_sequence,
    fp_outcome,
    fp_value_list,
    fp_values,
    fp_walk_values,
    outcome_tuple,
)
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memset

import os

import numpy as np

_KIND_NAMES = {FP_KIND_ABSENT: "absent", FP_KIND_BYTES: "bytes", FP_KIND_FLOAT: "float",
               FP_KIND_INT64: "int"}


cdef class Features:
    cdef fp_features table
    cdef const uint8_t[::1] data
    cdef Py_ssize_t num_rows
    cdef int64_t[::1] order
    cdef int64_t[::1] starts
    cdef int32_t odd

    def __init__(self, size_t max_features):
        self.table.max_features = max_features
        self.table.seed = int.from_bytes(os.urandom(8), "little")

    def __dealloc__(self):
        fp_features_free(&self.table)

    def __len__(self):
        return self.table.num_features

    def name(self, Py_ssize_t feature):
        self._check(feature)
        return (<const char*> self.table.own_features[feature].own_name)[
            :self.table.own_features[feature].name_length].decode("utf-8", "backslashreplace")

    def kind(self, Py_ssize_t feature):
        self._check(feature)
        return _KIND_NAMES[self.table.own_features[feature].kind]

    def leave_out(self, Py_ssize_t feature):
        self._check(feature)
        self.table.own_features[feature].left_out = 1
        self.table.own_features[feature].kind = FP_KIND_ABSENT

    @property
    def odd_one(self):
        return self.odd if 0 <= self.odd < <int64_t> self.table.num_features else None

    def add(self, const uint8_t[::1] data, const uint64_t[::1] offsets,
            const uint64_t[::1] lengths):
        cdef fp_outcome outcome
        outcome.status = FP_OK
        _check_examples(data, offsets, lengths)
        self.data, self.num_rows, self.odd = data, offsets.shape[0], -1
        fp_features_clear_lists(&self.table)
        with nogil:
            self._add_rows(offsets, lengths, &outcome)
        self.order = np.empty(self.table.num_lists + 1, np.int64)
        self.starts = np.empty(self.table.num_features + 2, np.int64)
        with nogil:
            fp_features_sort(&self.table, &self.order[0], &self.starts[0])
        return outcome_tuple(&outcome)

    cdef void _add_rows(self, const uint64_t[::1] offsets, const uint64_t[::1] lengths,
                        fp_outcome* outcome) noexcept nogil:
        cdef const uint8_t* first = &self.data[0] if self.data.shape[0] else NULL
        cdef Py_ssize_t i
        cdef int status
        for i in range(self.num_rows):
            if fp_is_sequence(first + offsets[i], lengths[i]):
                fp_fail(outcome, FP_BAD_PROTO, i, offsets[i],
                        "the record is a tf.train.SequenceExample")
                return
            status = fp_features_add(&self.table, first + offsets[i], lengths[i], i, &self.odd)
            if status == FP_OK:
                continue
            if status == FP_BAD_PROTO:
                fp_fail(outcome, status, i, offsets[i], "the record is not a tf.train.Example")
            elif status == FP_WRONG_KIND:
                fp_fail(outcome, status, i, offsets[i],
                        "the feature has another kind of list than in earlier records")
            elif status == FP_RECORD_LIMIT:
                fp_fail(outcome, status, i, offsets[i],
                        "the records name more features than the limit")
            else:
                fp_fail(outcome, status, i, offsets[i], "no memory for the record's features")
            return

    def counts(self, Py_ssize_t feature):
        self._check(feature)
        found_array, count_array = np.zeros(self.num_rows, np.uint8), np.zeros(self.num_rows,
                                                                               np.int64)
        cdef uint8_t[::1] found = found_array
        cdef int64_t[::1] counts = count_array
        cdef const fp_value_list* values
        cdef int64_t i
        with nogil:
            for i in range(self.starts[feature], self.starts[feature + 1]):
                values = &self.table.own_lists[self.order[i]]
                found[values.row] = values.kind != FP_KIND_ABSENT
                counts[values.row] = values.count
        return found_array, count_array

    def places(self, Py_ssize_t feature):
        cdef fp_values values
        cdef int64_t num_values = self._total(feature), i, j
        found = np.empty(max(1, num_values) * sizeof(fp_bytes), np.uint8)
        ends = np.empty((max(1, num_values), 2), np.int64)  # bounds of each value
        cdef uint8_t[::1] found_bytes = found
        cdef int64_t[:, ::1] bounds = ends
        cdef fp_bytes* place = <fp_bytes*> &found_bytes[0]
        cdef const uint8_t* first = &self.data[0] if self.data.shape[0] else NULL
        memset(&values, 0, sizeof(values))
        values.filled_kind = FP_KIND_BYTES
        values.places = place
        with nogil:
            for i in range(self.starts[feature], self.starts[feature + 1]):
                values.capacity = self.table.own_lists[self.order[i]].count
                self._fill(i, &values)
                values.places += values.capacity
            for j in range(num_values):
                bounds[j, 0], bounds[j, 1] = place[j].at - first, place[j].end - first
        begins = np.ascontiguousarray(ends[:num_values, 0])
        return begins, ends[:num_values, 1] - begins

    def copy_numbers(self, Py_ssize_t feature):
        cdef fp_values values
        cdef uint64_t total = self._total(feature)
        is_float = self.kind(feature) == "float"
        out = np.empty(total, np.float32 if is_float else np.int64)
        cdef uint8_t[::1] out_bytes = out.view(np.uint8)
        cdef size_t item_bytes = out.itemsize
        cdef uint8_t* at
        cdef int64_t i
        memset(&values, 0, sizeof(values))
        values.filled_kind = FP_KIND_FLOAT if is_float else FP_KIND_INT64
        if total:
            at = &out_bytes[0]
            with nogil:
                for i in range(self.starts[feature], self.starts[feature + 1]):
                    values.numbers = at
                    values.capacity = self.table.own_lists[self.order[i]].count
                    self._fill(i, &values)
                    at += values.capacity * item_bytes
        return out

    def copy_bytes(self, Py_ssize_t feature):
        cdef fp_values values
        cdef int64_t num_values = self._total(feature), total = 0, base = 0, done = 0
        cdef int64_t i, j
        for i in range(self.starts[feature], self.starts[feature + 1]):
            total += self.table.own_lists[self.order[i]].num_bytes
        out = np.empty(total, np.uint8)
        ends = np.zeros(num_values + 1, np.int64)
        cdef uint8_t[::1] out_bytes = out
        cdef int64_t[::1] out_ends = ends
        memset(&values, 0, sizeof(values))
        values.filled_kind = FP_KIND_BYTES
        with nogil:
            for i in range(self.starts[feature], self.starts[feature + 1]):
                values.bytes = &out_bytes[0] + base if total else NULL
                values.bytes_capacity = self.table.own_lists[self.order[i]].num_bytes
                values.ends = &out_ends[0] + 1 + done
                values.capacity = self.table.own_lists[self.order[i]].count
                self._fill(i, &values)
                for j in range(<int64_t> values.capacity):
                    values.ends[j] += base
                base += values.bytes_capacity
                done += values.capacity
        return out, ends

    cdef void _fill(self, int64_t i, fp_values* values) noexcept nogil:
        # The record is valid: `add` has walked it.
        cdef fp_entry entry
        entry.body = self.table.own_lists[self.order[i]].entry
        fp_walk_values(&entry, values)

    cdef uint64_t _total(self, Py_ssize_t feature) except? 0:
        cdef uint64_t total = 0
        cdef int64_t i
        self._check(feature)
        for i in range(self.starts[feature], self.starts[feature + 1]):
            total += self.table.own_lists[self.order[i]].count
        return total

    cdef int _check(self, Py_ssize_t feature) except -1:
        if not 0 <= feature < <Py_ssize_t> self.table.num_features:
            raise IndexError(f"feature {feature} of {self.table.num_features}")
        return 0


cdef _check_examples(const uint8_t[::1] data, const uint64_t[::1] offsets,
                     const uint64_t[::1] lengths):
    cdef Py_ssize_t i
    if lengths.shape[0] < offsets.shape[0]:
        raise ValueError("lengths: one for each offset is needed")
    for i in range(offsets.shape[0]):
        if offsets[i] > <uint64_t> data.shape[0] or \
                lengths[i] > <uint64_t> data.shape[0] - offsets[i]:
            raise ValueError(f"example {i} lies outside the data")
