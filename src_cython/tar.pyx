"""List the members of a tar file by sample."""
from kernels cimport (
    FP_OK,
    fp_is_tar_header,
    fp_list_members,
    fp_member,
    fp_members,
    fp_members_free,
    fp_outcome,
    outcome_tuple,
)
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

import os

import numpy as np


def is_header(const uint8_t[::1] data):
    return data.shape[0] >= 512 and bool(fp_is_tar_header(&data[0]))


cdef class Members:
    cdef fp_members members
    cdef readonly object offsets
    cdef readonly object sizes
    cdef readonly object suffix_numbers
    cdef readonly object samples
    cdef readonly object name_offsets
    cdef readonly object key_lengths
    cdef readonly object names
    cdef readonly list suffixes
    cdef readonly object failure
    cdef readonly int64_t num_passed_over

    def __cinit__(self, int fd, uint64_t size, size_t max_suffixes):
        self.members.suffixes.max_features = max_suffixes
        self.members.suffixes.seed = int.from_bytes(os.urandom(8), "little")

    def __dealloc__(self):
        fp_members_free(&self.members)

    def __init__(self, int fd, uint64_t size, size_t max_suffixes):
        cdef fp_outcome outcome
        outcome.status = FP_OK
        with nogil:
            fp_list_members(fd, size, &self.members, &outcome)
        self.failure = outcome_tuple(&outcome)
        self.num_passed_over = self.members.num_passed_over
        self._export()
        self.suffixes = [
            (<const char*> self.members.suffixes.own_features[i].own_name)[
                :self.members.suffixes.own_features[i].name_length].decode("utf-8",
                                                                           "backslashreplace")
            for i in range(self.members.suffixes.num_features)
        ]

    cdef _export(self):
        cdef size_t i, num_members = self.members.num_members
        self.offsets = np.empty(num_members, np.uint64)
        self.sizes = np.empty(num_members, np.uint64)
        self.suffix_numbers = np.empty(num_members, np.int32)
        self.samples = np.empty(num_members, np.int64)
        self.name_offsets = np.empty(num_members, np.int64)
        self.key_lengths = np.empty(num_members, np.int64)
        cdef uint64_t[::1] offsets = self.offsets, sizes = self.sizes
        cdef int32_t[::1] suffix_numbers = self.suffix_numbers
        cdef int64_t[::1] samples = self.samples, name_offsets = self.name_offsets
        cdef int64_t[::1] key_lengths = self.key_lengths
        cdef const fp_member* member
        with nogil:
            for i in range(num_members):
                member = &self.members.own_members[i]
                offsets[i], sizes[i] = member.offset, member.size
                suffix_numbers[i], samples[i] = member.suffix, member.sample
                name_offsets[i], key_lengths[i] = member.name_offset, member.key_length
        self.names = np.empty(self.members.names_length, np.uint8)
        if self.members.names_length:
            self.names[:] = <uint8_t[:self.members.names_length]> self.members.own_names
