/* Upsamples rows of chroma to the resolution of luma: libjpeg's triangle filter ("fancy
   upsampling"), bit for bit, or repeated samples. */
#ifndef FASTPACK_UPSAMPLE_H
#define FASTPACK_UPSAMPLE_H
#include <stdint.h>

/* Blends two rows: 3 x nearer + farther, which is four times the blend. */
void fp_blend_rows(const uint8_t *nearer, const uint8_t *farther, uint16_t *out, uint32_t width);

/* Upsamples in height only. `is_upper`: the output is the upper one of the two rows of a sample. */
void fp_upsample_down(const uint8_t *nearer, const uint8_t *farther, int is_upper, uint8_t *out,
                      uint32_t width);

/* Doubles the width. Each output number holds a pair of samples in its two bytes. Reads one sample
   beyond either end of the row. */
void fp_upsample_across(const uint8_t *row, uint16_t *out, uint32_t width);
/* Doubles the width of a row that fp_blend_rows made. */
void fp_upsample_blended(const uint16_t *row, uint16_t *out, uint32_t width);

/* Repeats each sample `times` times. */
void fp_repeat_across(const uint8_t *row, uint32_t times, uint8_t *out, uint32_t width);
#endif
