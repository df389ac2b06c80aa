/* Bitmaps of rows with rank and select: the number of a set bit gives its row. */
#ifndef FASTPACK_BITMAP_H
#define FASTPACK_BITMAP_H
#include <stdint.h>

#define FP_BLOCK_WORDS 16   /* 1,024 bits have a count of 2 bytes */
#define FP_SUPER_WORDS 1024 /* 65,536 bits have a count of 8 bytes */

/* Row r is bit r % 64 of words[r / 64]. The counts are those of fp_bitmap_count. */
typedef struct {
    const uint64_t *words;
    int64_t num_words;
    const int64_t *supers;
    const uint16_t *blocks;
    int64_t count;
} fp_bitmap;

/* Fills `supers` (one for each FP_SUPER_WORDS begun) and `blocks` (one for each FP_BLOCK_WORDS
   begun). Returns the number of set bits. */
int64_t fp_bitmap_count(const uint64_t *words, int64_t num_words, int64_t *supers,
                        uint16_t *blocks);

/* Writes the row of each position, in any order. Returns `count`, or the index of the first
   position that is not in [0, bitmap->count). */
int64_t fp_bitmap_select(const fp_bitmap *bitmap, const int64_t *positions, int64_t count,
                         int64_t *out);

/* Writes the first `count` set rows from `row` on. Returns how many there were. */
int64_t fp_bitmap_rows(const uint64_t *words, int64_t num_words, int64_t row, int64_t count,
                       int64_t *out);

/* Sets the bits of `rows`. Returns `count`, or the index of the first row not in [0, num_rows). */
int64_t fp_bitmap_set(uint64_t *words, int64_t num_rows, const int64_t *rows, int64_t count);

/* Writes the set bits of `inner` whose number is a set bit of `outer`; `out` is as long as
   `inner`. */
void fp_bitmap_keep(const uint64_t *inner, int64_t num_inner_words, const uint64_t *outer,
                    int64_t num_outer_words, uint64_t *out);
#endif
