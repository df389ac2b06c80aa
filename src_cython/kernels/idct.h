/* The inverse DCT of JPEG blocks: libjpeg's accurate integer transform ("islow"), bit for bit. */
#ifndef FASTPACK_IDCT_H
#define FASTPACK_IDCT_H
#include <stddef.h>
#include <stdint.h>

#define FP_BLOCK 64 /* coefficients of a block */

/* Transforms blocks to 8 rows of 8 samples each, side by side. Coefficients and quantization steps
   lie row by row. last[i] is the zigzag position of the last nonzero coefficient of block i, or a
   later one. Blocks are taken in pairs: with an odd number, one more block is read and written. */
void fp_idct(const int16_t *coefficients, const uint8_t *last, uint32_t num_blocks,
             const int16_t steps[FP_BLOCK], uint8_t *out, ptrdiff_t stride);

/* Transforms blocks to `edge` x `edge` samples each, where edge is 4, 2 or 1: for images that are
   decoded smaller. Returns 0 if a coefficient is larger than any encoder writes. libjpeg-turbo's
   result then depends on the processor. */
int fp_idct_reduced(const int16_t *coefficients, const uint8_t *last, uint32_t num_blocks,
                    const int16_t steps[FP_BLOCK], uint32_t edge, uint8_t *out, ptrdiff_t stride);
#endif
