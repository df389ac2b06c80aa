/* Antialiased resampling of 8-bit pixels, within one level of Pillow's Image.resize. */
#ifndef FASTPACK_RESAMPLE_H
#define FASTPACK_RESAMPLE_H
#include "span.h"
#include "weights.h"

/* The pixels of an image, or of a part of it that begins at (x, y). */
typedef struct {
    const uint8_t *pixels;
    int64_t stride;
    uint32_t x, y, width, height;
} fp_source_pixels;

/* Resamples to across->count x down->count pixels, in rows `out_stride` bytes apart. `in` has at
   least the pixels that the axes need. Returns FP_OK or FP_NO_MEMORY. */
int fp_resample(const fp_source_pixels *in, const fp_axis *across, const fp_axis *down,
                int interpolation, int channels, uint8_t *out, int64_t out_stride,
                fp_scratch *scratch);
#endif
