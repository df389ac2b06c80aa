/* Lookup tables for JPEG's Huffman codes (ITU-T T.81, annexes C and F). One lookup gives a code
   together with its value bits. */
#ifndef FASTPACK_HUFFMAN_H
#define FASTPACK_HUFFMAN_H
#include <stdint.h>

#include "vectors.h"

/* A Huffman code as a DHT segment stores it: counts of codes of 1 to 16 bits, then their
   symbols. */
typedef struct {
    uint8_t counts[16];
    uint8_t symbols[256];
} fp_huffman_code;

#define FP_LOOKUP_BITS 11
#define FP_LOOKUP_SIZE (1 << FP_LOOKUP_BITS)

/* A decoded symbol in one word. `move` is the distance to the symbol's place in the block: run + 1,
   or FP_END_OF_BLOCK. `num_bits` counts the bits of the code and of the value after it.

         31           16 15        8 7         0
        +---------------+-----------+-----------+
        | value, signed |   move    | num_bits  |   complete
        +-------+-------+-----------+-----------+
        |   0   |  r/s  | code bits |     0     |   the code fits the lookup, its value does not
        +-------+-------+-----------+-----------+
        |                 0                     |   the code is longer than the lookup
        +---------------------------------------+

   r/s is the byte that T.81 calls RRRRSSSS: run << 4 | size of the value in bits. */
typedef uint32_t fp_symbol;

FP_INLINE fp_symbol fp_pack_symbol(int32_t value, uint32_t move, uint32_t num_bits) {
    return (uint32_t)value << 16 | move << 8 | num_bits;
}
FP_INLINE int32_t fp_symbol_value(fp_symbol symbol) { return (int32_t)symbol >> 16; }
FP_INLINE uint32_t fp_symbol_move(fp_symbol symbol) { return symbol >> 8 & 0xff; }
/* 0: the entry is not complete. */
FP_INLINE uint32_t fp_symbol_num_bits(fp_symbol symbol) { return symbol & 0xff; }

/* The second kind of entry: only the code is known. */
FP_INLINE fp_symbol fp_pack_code(uint32_t run_and_size, uint32_t code_bits) {
    return run_and_size << 16 | code_bits << 8;
}
FP_INLINE uint32_t fp_code_run_and_size(fp_symbol entry) { return entry >> 16; }
FP_INLINE uint32_t fp_code_bits(fp_symbol entry) { return entry >> 8 & 0xff; }

/* Positions in a block are 0 to 63. An end of block adds 96, so that one comparison in the
   innermost loop finds it. Positions from 64 to 95 mean a run past the end of the block, and
   positions from 160 on mean both. At most 62 + 16 + 96 = 174 is reached, so 176 places are
   enough. */
enum { FP_END_OF_BLOCK = 96, FP_NUM_PLACES = 176 };

/* Up to two symbols, in two words:

         31      24 23         16 15        8 7         0
        +----------+-------------+-----------+-----------+
        |    0     | second move |first move | num_bits  |   steps; num_bits is the sum of both
        +----------+-------------+-----------+-----------+
        |      second value      |     first value       |   values
        +------------------------+-----------------------+

   An entry with a single symbol has a second move of 0 and the same value twice: storing both is
   harmless and needs no branch. An entry without a complete symbol has num_bits 0. */
typedef struct {
    uint32_t steps[FP_LOOKUP_SIZE];
    uint32_t values[FP_LOOKUP_SIZE];
} fp_symbol_pairs;

FP_INLINE uint32_t fp_pack_steps(uint32_t first_move, uint32_t second_move, uint32_t num_bits) {
    return second_move << 16 | first_move << 8 | num_bits;
}
FP_INLINE uint32_t fp_steps_num_bits(uint32_t steps) { return steps & 0xff; }
FP_INLINE uint32_t fp_steps_first_move(uint32_t steps) { return steps >> 8 & 0xff; }
FP_INLINE uint32_t fp_steps_second_move(uint32_t steps) { return steps >> 16; }

FP_INLINE uint32_t fp_pack_values(int32_t first, int32_t second) {
    return (uint32_t)second << 16 | (uint16_t)first;
}
FP_INLINE int16_t fp_first_value(uint32_t values) { return (int16_t)values; }
FP_INLINE int16_t fp_second_value(uint32_t values) { return (int16_t)(values >> 16); }

typedef struct {
    fp_symbol singles[FP_LOOKUP_SIZE];
    fp_symbol_pairs pairs;
    uint32_t limits[17];  /* codes of up to n bits, shifted to 16 bits, are below limits[n] */
    int32_t offsets[17];  /* code + offsets[n] is the index of the symbol of a code of n bits */
    fp_huffman_code code;
    int is_made;
} fp_huffman;

void fp_huffman_clear(fp_huffman *table);

/* Makes the tables for `code`, unless they are made already. `is_dc`: the symbols are sizes without
   runs, at most 15. Without `at_once`, makes them only if the previous image had the same code: an
   image of a few kilobytes does not repay the cost. Returns 0 if there are no tables, either for
   that reason or because libjpeg would reject the code. */
int fp_huffman_make(fp_huffman *table, const fp_huffman_code *code, int is_dc, int at_once);

/* T.81, figure F.12: a value of `size` bits is negative if its first bit is 0. Branchless, since a
   branch would be mispredicted half of the time. */
FP_INLINE int32_t fp_extend(uint32_t value, uint32_t size) {
    int32_t if_negative = (int32_t)(value << 1 >> size) - 1;
    return (int32_t)value + (if_negative & (1 - (int32_t)(1u << size)));
}

/* Packs the symbol with this r/s byte, code length and raw value bits. */
FP_INLINE fp_symbol fp_symbol_of(uint32_t run_and_size, uint32_t code_bits, uint32_t value) {
    uint32_t size = run_and_size & 15, run = run_and_size >> 4;
    uint32_t move = size == 0 && run != 15 ? FP_END_OF_BLOCK : run + 1;
    return fp_pack_symbol(fp_extend(value, size), move, code_bits + size);
}

/* Returns the symbol at the head of `bits` (left-aligned), whose code has `code_bits` bits. */
FP_INLINE fp_symbol fp_symbol_at(uint64_t bits, uint32_t run_and_size, uint32_t code_bits) {
    uint32_t size = run_and_size & 15;
    uint32_t value = (uint32_t)(bits << code_bits >> 1 >> (63 - size)); /* 0 for size 0 */
    return fp_symbol_of(run_and_size, code_bits, value);
}

/* Returns the symbol at the head of `bits`, if its code is longer than FP_LOOKUP_BITS. Looks at up
   to 31 bits. Returns 0 if no code matches. */
fp_symbol fp_huffman_find(const fp_huffman *table, uint64_t bits);
#endif
