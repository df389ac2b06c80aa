/* From subsampled chroma to a row of pixels: libjpeg's triangle filter ("fancy upsampling"), bit for bit; or samples repeated. */
#ifndef FASTPACK_UPSAMPLE_H
#define FASTPACK_UPSAMPLE_H
#include <stdint.h>

/* 3/4 of the nearer row and 1/4 of the farther one, as four times their blend. */
void fp_blend_rows(const uint8_t *nearer, const uint8_t *farther, uint16_t *out, uint32_t width);

/* For chroma that is subsampled down only. `is_upper`: the row is the upper one of the two that it becomes. */
void fp_upsample_down(const uint8_t *nearer, const uint8_t *farther, int is_upper, uint8_t *out, uint32_t width);

/* Twice as wide: pairs of samples, each pair as the two bytes of a number. One more sample is read on either side. */
void fp_upsample_across(const uint8_t *row, uint16_t *out, uint32_t width);
/* The same of what fp_blend_rows gives. */
void fp_upsample_blended(const uint16_t *row, uint16_t *out, uint32_t width);

/* Each sample `times` times. */
void fp_repeat_across(const uint8_t *row, uint32_t times, uint8_t *out, uint32_t width);
#endif
