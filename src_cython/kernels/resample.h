/* Antialiased resampling of 8-bit pixels, within one level of Pillow's. */
#ifndef FASTPACK_RESAMPLE_H
#define FASTPACK_RESAMPLE_H
#include <stddef.h>
#include <stdint.h>

#include "span.h"

/* Resamples the `in` image (rows `in_stride` bytes apart) to out_width x out_height, contiguous rows. */
int fp_resample(const uint8_t *in, ptrdiff_t in_stride, uint32_t in_width, uint32_t in_height, uint8_t *out,
                ptrdiff_t out_stride, uint32_t out_width, uint32_t out_height, int channels, fp_scratch *scratch);
#endif
