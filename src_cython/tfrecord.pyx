"""Find the records in a piece of a TFRecord."""
from kernels cimport FP_OK, fp_outcome, fp_scan_records, outcome_tuple
from libc.stdint cimport uint8_t, uint32_t, uint64_t

import numpy as np


def scan(const uint8_t[::1] data, uint64_t bytes_left, *, uint64_t record_limit, bint check=True):
    # A frame takes at least 16 bytes, so `data` holds at most this many records.
    cdef size_t capacity = data.shape[0] // 16 + 1
    cdef size_t num_records = 0, consumed = 0, wanted = 0
    cdef uint64_t[::1] offsets, lengths
    cdef uint32_t[::1] crcs
    cdef fp_outcome outcome
    outcome.status = FP_OK
    if bytes_left < <uint64_t> data.shape[0]:
        raise ValueError("bytes_left: less than the data at hand")
    offset_array = np.empty(capacity, np.uint64)
    length_array = np.empty(capacity, np.uint64)
    crc_array = np.empty(capacity, np.uint32)
    offsets, lengths, crcs = offset_array, length_array, crc_array
    cdef const uint8_t* first = &data[0] if data.shape[0] else NULL
    with nogil:
        fp_scan_records(first, data.shape[0], bytes_left, record_limit, check, capacity,
                        &offsets[0], &lengths[0], &crcs[0], &num_records, &consumed, &wanted,
                        &outcome)
    found = slice(0, num_records)
    arrays = (offset_array[found].copy(), length_array[found].copy(), crc_array[found].copy())
    return *arrays, consumed, wanted, outcome_tuple(&outcome)
