"""Permute [0, n) with keys, and hash rows of bytes."""
from kernels cimport FP_ORDER_ROUNDS, fp_hash_bytes, fp_permute, fp_permute_all, fp_permute_back
from libc.stdint cimport int64_t, uint8_t, uint64_t

NUM_KEYS = FP_ORDER_ROUNDS


def permute(const int64_t[::1] numbers, int64_t size, const uint64_t[::1] keys, int64_t[::1] out, *,
            bint back=False):
    """Permute numbers of [0, size) with the keys, or invert that with `back`."""
    cdef Py_ssize_t i
    cdef bint is_outside = False
    if out.shape[0] != numbers.shape[0] or keys.shape[0] != FP_ORDER_ROUNDS:
        raise ValueError(f"out as long as numbers, and {FP_ORDER_ROUNDS} keys, are needed")
    with nogil:
        for i in range(numbers.shape[0]):
            if numbers[i] < 0 or numbers[i] >= size:
                is_outside = True
                break
        if not is_outside and numbers.shape[0] > 0:
            fp_permute_all(&numbers[0], numbers.shape[0], size, &keys[0], back, &out[0])
    if is_outside:
        raise IndexError(f"number {numbers[i]} does not lie in [0, {size})")


def permute_within(const int64_t[::1] numbers, const int64_t[::1] sizes, const int64_t[::1] tweaks,
                   const uint64_t[::1] keys, int64_t[::1] out, *, bint back=False):
    """Permute numbers that have their own size, and their own permutation by a tweak."""
    cdef Py_ssize_t i
    cdef bint is_outside = False
    if not out.shape[0] == numbers.shape[0] == sizes.shape[0] == tweaks.shape[0] or \
            keys.shape[0] != FP_ORDER_ROUNDS:
        raise ValueError(f"arrays of one length, and {FP_ORDER_ROUNDS} keys, are needed")
    with nogil:
        for i in range(numbers.shape[0]):
            if numbers[i] < 0 or numbers[i] >= sizes[i]:
                is_outside = True
                break
            if back:
                out[i] = fp_permute_back(numbers[i], sizes[i], tweaks[i], &keys[0])
            else:
                out[i] = fp_permute(numbers[i], sizes[i], tweaks[i], &keys[0])
    if is_outside:
        raise IndexError(f"number {numbers[i]} does not lie in [0, {sizes[i]})")


def hash_rows(const uint8_t[::1] values, const int64_t[::1] offsets, uint64_t seed,
              uint64_t[::1] out):
    """Hash each row of bytes, between two offsets, to 64 bits."""
    cdef Py_ssize_t i
    cdef const uint8_t* first = &values[0] if values.shape[0] else NULL
    if offsets.shape[0] != out.shape[0] + 1 or offsets[0] != 0 or \
            offsets[out.shape[0]] != values.shape[0]:
        raise ValueError("offsets: must rise from 0 to the number of values, one longer than out")
    for i in range(out.shape[0]):
        if offsets[i] > offsets[i + 1]:
            raise ValueError("offsets must not decrease")
    with nogil:
        for i in range(out.shape[0]):
            out[i] = fp_hash_bytes(first + offsets[i], offsets[i + 1] - offsets[i], seed)
