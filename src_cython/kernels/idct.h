/* The inverse DCT of JPEG blocks: libjpeg's accurate integer transform ("islow"), bit for bit. */
#ifndef FASTPACK_IDCT_H
#define FASTPACK_IDCT_H
#include <stddef.h>
#include <stdint.h>

#define FP_BLOCK 64 /* coefficients */

/* Blocks, coefficients and steps of quantisation row by row -> 8 rows of 8 samples a block. `last`: for each block, no
   coefficient of it lies behind this one in zigzag order. Blocks are taken by twos: of an odd number, one more is read
   and written. */
void fp_idct(const int16_t *coefficients, const uint8_t *last, uint32_t num_blocks, const int16_t steps[FP_BLOCK], uint8_t *out,
             ptrdiff_t stride);

/* The same for images that are decoded smaller: `edge` x `edge` samples a block, where edge is 4, 2 or 1. 0 where numbers are
   larger than any encoder writes: what libjpeg-turbo makes of these differs from one processor to the next. */
int fp_idct_reduced(const int16_t *coefficients, const uint8_t *last, uint32_t num_blocks, const int16_t steps[FP_BLOCK],
                    uint32_t edge, uint8_t *out, ptrdiff_t stride);
#endif
