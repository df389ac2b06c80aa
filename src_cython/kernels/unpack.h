/* The simple compressions of TIFF, GIF and BMP. Each fills `out` exactly: 0 when the data are damaged, too few or too many. */
#ifndef FASTPACK_UNPACK_H
#define FASTPACK_UNPACK_H
#include <stddef.h>
#include <stdint.h>

int fp_unpack_lzw(const uint8_t *data, size_t length, uint8_t *out, size_t out_length);
/* GIF's LZW, of indices of `bits` (1 to 8) each. */
int fp_unpack_gif(const uint8_t *data, size_t length, int bits, uint8_t *out, size_t out_length);
int fp_unpack_bits(const uint8_t *data, size_t length, uint8_t *out, size_t out_length);
int fp_unpack_zlib(const uint8_t *data, size_t length, uint8_t *out, size_t out_length);

/* BMP's runs of indices of `bits` (4 or 8) each, into rows of bytes; pixels that runs pass over stay as they are. Rows count
   from the picture's bottom, and so in `out`. */
int fp_unpack_runs(const uint8_t *data, size_t length, int bits, uint32_t width, uint32_t height, uint8_t *out);
#endif
