/* Huffman tables of JPEG (ITU-T T.81, annexes C and F), made for looking up codes and value bits at once. */
#ifndef FASTPACK_HUFFMAN_H
#define FASTPACK_HUFFMAN_H
#include <stdint.h>

#include "vectors.h"

/* As a DHT segment gives it: how many codes have 1, 2, ... 16 bits, and their symbols in order. */
typedef struct {
    uint8_t counts[16];
    uint8_t symbols[256];
} fp_huffman_code;

#define FP_LOOKUP_BITS 11
#define FP_LOOKUP_SIZE (1 << FP_LOOKUP_BITS)

/* What a symbol does, in one word: bits 0-7, how many bits the code and its value take; 8-15, how far it moves on
   in the block; 16-31, the value, signed. Where a table does not see all bits of the value, bits 0-7 are zero,
   8-15 how many the code takes, and 16-23 the run and size that it stands for; where it does not see all of the
   code, all are zero. */
typedef uint32_t fp_symbol;

/* An end of block moves out of the block's 64 places, so that one comparison in the innermost loop finds it: it leads
   to places from 96 on, a move of runs that are too long to at most 95, and both of them to at most 175. */
enum { FP_END_OF_BLOCK = 96, FP_NUM_PLACES = 176 };

/* Up to two symbols. In `steps`: bits 0-7, how many bits both take; 8-15 and 16-23, how far the first and the second
   move on. In `values`, those of the first and, above, of the second. A single symbol's second one moves by nothing and
   has the first's value; one that the table cannot tell takes no bits. */
typedef struct {
    uint32_t steps[FP_LOOKUP_SIZE];
    uint32_t values[FP_LOOKUP_SIZE];
} fp_symbol_pairs;

typedef struct {
    fp_symbol singles[FP_LOOKUP_SIZE];
    fp_symbol_pairs pairs;
    uint32_t limits[17];  /* codes of up to `n` bits, as the first of 16, are below limits[n] */
    int32_t offsets[17];  /* add the code to get the index of its symbol */
    fp_huffman_code code;
    int is_made;
} fp_huffman;

void fp_huffman_clear(fp_huffman *table);

/* Makes the table for `code`, if it is not that one already. `is_dc`: symbols are bare sizes, at most 15. Without
   `at_once`, only when the code was asked for just before, too. 0 when there is no table, since it was not or since
   libjpeg would not take the code. */
int fp_huffman_make(fp_huffman *table, const fp_huffman_code *code, int is_dc, int at_once);

/* T.81, figure F.12: values of `size` bits whose first one is 0 are the negative ones. Without a branch, which
   would be guessed wrong every other time. */
FP_INLINE int32_t fp_extend(uint32_t value, uint32_t size) {
    int32_t if_negative = (int32_t)(value << 1 >> size) - 1;
    return (int32_t)value + (if_negative & (1 - (int32_t)(1u << size)));
}

FP_INLINE fp_symbol fp_symbol_of(uint32_t run_and_size, uint32_t code_bits, uint32_t value) {
    uint32_t size = run_and_size & 15, run = run_and_size >> 4;
    uint32_t move = size == 0 && run != 15 ? FP_END_OF_BLOCK : run + 1;
    return (uint32_t)fp_extend(value, size) << 16 | move << 8 | (code_bits + size);
}

/* The symbol whose code of `code_bits` is at the head of `bits`, with its value behind. */
FP_INLINE fp_symbol fp_symbol_at(uint64_t bits, uint32_t run_and_size, uint32_t code_bits) {
    return fp_symbol_of(run_and_size, code_bits, (uint32_t)(bits << code_bits >> 1 >> (63 - (run_and_size & 15))));
}

/* The symbol at the head of `bits`, whose code takes more than FP_LOOKUP_BITS: up to 31 bits are looked at. 0 when
   it is none. */
fp_symbol fp_huffman_find(const fp_huffman *table, uint64_t bits);
#endif
