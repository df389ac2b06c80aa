/* Antialiased resampling of 8-bit pixels, within one level of Pillow's Image.resize. */
#ifndef FASTPACK_RESAMPLE_H
#define FASTPACK_RESAMPLE_H
#include <stddef.h>
#include <stdint.h>

#include "span.h"

enum fp_interpolation { FP_NEAREST = 0, FP_BILINEAR = 1, FP_BICUBIC = 2, FP_AREA = 3 };

/* One axis: a box of the input is scaled to `scaled_size` positions, of which [first, first + count) are
   wanted. The box may begin and end inside a pixel; pixels wholly outside it never weigh in. */
typedef struct {
    double begin, extent;
    uint32_t scaled_size, first, count;
} fp_axis;

/* The input positions [begin, end) that the wanted outputs look at. */
void fp_axis_needs(const fp_axis *axis, int interpolation, uint32_t *begin, uint32_t *end);

/* True when outputs are inputs, one by one. */
int fp_axis_is_copy(const fp_axis *axis);

/* Pixels of an image, or of a part of it that begins at (x, y). */
typedef struct {
    const uint8_t *pixels;
    int64_t stride;
    uint32_t x, y, width, height;
} fp_picture;

/* Resamples what the axes ask for into across->count x down->count pixels, rows `out_stride` bytes apart.
   `in` holds at least what they need. FP_OK or FP_NO_MEMORY. */
int fp_resample(const fp_picture *in, const fp_axis *across, const fp_axis *down, int interpolation, int channels,
                uint8_t *out, int64_t out_stride, fp_scratch *scratch);

/* For tests: 0 forbids the vector paths, 1 allows them again. */
void fp_resample_allow_vectors(int allowed);
#endif
