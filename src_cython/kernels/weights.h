/* What each output of an axis looks at when an image is resampled, and how much each of these inputs weighs: Pillow's filters,
   widened by the scale when shrinking. */
#ifndef FASTPACK_WEIGHTS_H
#define FASTPACK_WEIGHTS_H
#include <stddef.h>
#include <stdint.h>

enum fp_interpolation { FP_NEAREST = 0, FP_BILINEAR = 1, FP_BICUBIC = 2, FP_AREA = 3 };

/* One axis: a box of the input is scaled to `scaled_size` positions, of which [first, first + count) are
   wanted. The box may begin and end inside a pixel; pixels wholly outside it never weigh in. */
typedef struct {
    double begin, extent;
    uint32_t scaled_size, first, count;
    int is_mirrored;         /* the last output comes first */
} fp_axis;

/* The input positions [begin, end) that the wanted outputs look at. */
void fp_axis_needs(const fp_axis *axis, int interpolation, uint32_t *begin, uint32_t *end);

/* At least as many as any output looks at. */
uint32_t fp_axis_max_taps(const fp_axis *axis, int interpolation);

/* True when outputs are inputs, one by one. */
int fp_axis_is_copy(const fp_axis *axis);

/* Between the passes a level is a 16-bit number with this many bits behind the point. */
#define FP_BETWEEN_BITS 6

/* Weights are such that sums of levels with bits in between, weighed with `precision` bits behind the point, fit 32 bits, and the
   sum of a position's weights is exactly one. */
typedef struct {
    uint32_t *first;         /* input of each output, */
    uint32_t *counts;        /* how many it looks at, */
    int16_t *values;         /* and what they weigh: max_taps each, those behind the last real one are zero */
    uint32_t max_taps;       /* even */
    int precision;
} fp_weights;

/* Memory for the weights of an axis. */
size_t fp_weights_bytes(const fp_axis *axis, int interpolation);

/* Makes them in `memory`, aligned to 64 bytes; inputs are counted from `input_begin`. Outputs up to a multiple of FP_PADDED_OUTPUTS
   are there; those that nobody wants look at the first input, which weighs nothing. */
#define FP_PADDED_OUTPUTS 32
void fp_weights_make(fp_weights *weights, uint8_t *memory, const fp_axis *axis, int interpolation, uint32_t input_begin);
#endif
