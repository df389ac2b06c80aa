/* Converts rows of samples to rows of packed pixels: libjpeg's conversion from YCbCr (ITU-R 601,
   full range), bit for bit. */
#ifndef FASTPACK_YCC_H
#define FASTPACK_YCC_H
#include <stdint.h>

void fp_ycc_to_rgb(const uint8_t *y, const uint8_t *cb, const uint8_t *cr, uint8_t *out,
                   uint32_t width, int is_bgr);
void fp_gray_to_rgb(const uint8_t *gray, uint8_t *out, uint32_t width);
#endif
