"""Count, select and combine the set bits of bitmaps."""
from kernels cimport (
    FP_BLOCK_WORDS,
    FP_SUPER_WORDS,
    fp_bitmap,
    fp_bitmap_count,
    fp_bitmap_keep,
    fp_bitmap_rows,
    fp_bitmap_select,
    fp_bitmap_set,
)
from libc.stdint cimport int64_t, uint16_t, uint64_t

BLOCK_WORDS = FP_BLOCK_WORDS
SUPER_WORDS = FP_SUPER_WORDS


cdef check_counts(Py_ssize_t num_words, Py_ssize_t num_supers, Py_ssize_t num_blocks):
    if num_supers < (num_words + FP_SUPER_WORDS - 1) // FP_SUPER_WORDS or \
            num_blocks < (num_words + FP_BLOCK_WORDS - 1) // FP_BLOCK_WORDS:
        raise ValueError("supers and blocks: too short for the words")


def count(const uint64_t[::1] words, int64_t[::1] supers, uint16_t[::1] blocks):
    cdef int64_t total = 0
    check_counts(words.shape[0], supers.shape[0], blocks.shape[0])
    if words.shape[0]:
        with nogil:
            total = fp_bitmap_count(&words[0], words.shape[0], &supers[0], &blocks[0])
    return total


def select(const uint64_t[::1] words, const int64_t[::1] supers, const uint16_t[::1] blocks,
           int64_t total, const int64_t[::1] positions, int64_t[::1] out):
    cdef fp_bitmap bitmap
    cdef int64_t done
    check_counts(words.shape[0], supers.shape[0], blocks.shape[0])
    if out.shape[0] != positions.shape[0] or (total > 0 and words.shape[0] == 0):
        raise ValueError("out as long as positions, and words for all set bits, are needed")
    if positions.shape[0] == 0:
        return
    bitmap.num_words, bitmap.count = words.shape[0], total
    bitmap.words = &words[0] if total > 0 else NULL
    bitmap.supers = &supers[0] if total > 0 else NULL
    bitmap.blocks = &blocks[0] if total > 0 else NULL
    with nogil:
        done = fp_bitmap_select(&bitmap, &positions[0], positions.shape[0], &out[0])
    if done < positions.shape[0]:
        raise IndexError(f"position {positions[done]} does not lie in [0, {total})")


def rows_from(const uint64_t[::1] words, int64_t row, int64_t[::1] out):
    cdef int64_t found
    if words.shape[0] == 0 or out.shape[0] == 0:
        return 0
    with nogil:
        found = fp_bitmap_rows(&words[0], words.shape[0], row, out.shape[0], &out[0])
    return found


def set_rows(uint64_t[::1] words, int64_t num_rows, const int64_t[::1] rows):
    cdef int64_t done
    if num_rows < 0 or (num_rows + 63) // 64 > words.shape[0]:
        raise ValueError("words: too short for num_rows")
    if rows.shape[0] == 0:
        return
    with nogil:
        done = fp_bitmap_set(&words[0] if num_rows else NULL, num_rows, &rows[0], rows.shape[0])
    if done < rows.shape[0]:
        raise IndexError(f"row {rows[done]} does not lie in [0, {num_rows})")


def keep(const uint64_t[::1] inner, const uint64_t[::1] outer, uint64_t[::1] out):
    if out.shape[0] != inner.shape[0]:
        raise ValueError("out: must be as long as inner")
    if inner.shape[0] == 0:
        return
    with nogil:
        fp_bitmap_keep(&inner[0], inner.shape[0], &outer[0] if outer.shape[0] else NULL,
                       outer.shape[0], &out[0])
