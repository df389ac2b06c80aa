/* The simple compressions of TIFF, GIF and BMP. Each fills `out` exactly. It returns 0 if the data
   is damaged, too short or too long. */
#ifndef FASTPACK_UNPACK_H
#define FASTPACK_UNPACK_H
#include <stddef.h>
#include <stdint.h>

int fp_unpack_lzw(const uint8_t *data, size_t length, uint8_t *out, size_t out_length);
/* GIF's LZW, of palette indices of `bits` (1 to 8). */
int fp_unpack_gif(const uint8_t *data, size_t length, int bits, uint8_t *out, size_t out_length);
int fp_unpack_bits(const uint8_t *data, size_t length, uint8_t *out, size_t out_length);
int fp_unpack_zlib(const uint8_t *data, size_t length, uint8_t *out, size_t out_length);

/* BMP's runs of palette indices of `bits` (4 or 8), to rows of bytes from the bottom up. Skipped
   pixels stay unchanged. */
int fp_unpack_runs(const uint8_t *data, size_t length, int bits, uint32_t width, uint32_t height,
                   uint8_t *out);
#endif
