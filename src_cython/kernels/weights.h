/* Weights of resampling: which inputs an output depends on, and how much each weighs. The filters
   are Pillow's, widened by the scale when the image shrinks. */
#ifndef FASTPACK_WEIGHTS_H
#define FASTPACK_WEIGHTS_H
#include <stddef.h>
#include <stdint.h>

enum fp_interpolation { FP_NEAREST = 0, FP_BILINEAR = 1, FP_BICUBIC = 2, FP_AREA = 3 };

/* One direction of a resize. A box of the input is scaled to `scaled_size` positions; outputs are
   [first, first + count) of these. The box may begin and end inside a pixel. Pixels outside it have
   no weight. */
typedef struct {
    double begin, extent;
    uint32_t scaled_size, first, count;
    int is_mirrored;         /* in reverse order */
} fp_axis;

/* Gives the inputs [begin, end) that the outputs depend on. */
void fp_axis_needs(const fp_axis *axis, int interpolation, uint32_t *begin, uint32_t *end);

/* Returns a bound for the number of taps of an output. */
uint32_t fp_axis_max_taps(const fp_axis *axis, int interpolation);

/* True if each output is one input. */
int fp_axis_is_copy(const fp_axis *axis);

/* Numbers between the passes have 16 bits, with this many fractional bits. */
#define FP_BETWEEN_BITS 6

/* Weights of an axis as integers with `precision` fractional bits. The weights of an output sum up
   to exactly one, and no weighted sum overflows 32 bits. */
typedef struct {
    uint32_t *first;         /* for each output, its first tap */
    uint32_t *counts;        /* and its number of taps */
    int16_t *values;         /* max_taps for each output; weights past its last tap are 0 */
    uint32_t max_taps;       /* even */
    int precision;
} fp_weights;

/* Returns the bytes of memory for the weights of an axis. */
size_t fp_weights_bytes(const fp_axis *axis, int interpolation);

/* Makes the weights in `memory`, aligned to 64 bytes. Inputs are counted from `input_begin`. There
   are outputs up to a multiple of FP_PADDED_OUTPUTS; the added ones have the first input with
   weight 0. */
#define FP_PADDED_OUTPUTS 32
void fp_weights_make(fp_weights *weights, uint8_t *memory, const fp_axis *axis, int interpolation,
                     uint32_t input_begin);
#endif
