/* PNG files to samples, as the file has them. */
#ifndef FASTPACK_PNG_H
#define FASTPACK_PNG_H
#include "span.h"

/* Bytes of the samples of a PNG with this header (the 13 bytes of IHDR): a byte each, or two where they have 16 bits.
   0 when the header is not valid. */
uint64_t fp_png_bytes(const uint8_t *header);

/* Writes the samples, row by row, channel by channel: levels or palette indices, those of 16 bits in the machine's byte
   order, those of fewer than 8 as they are. `out` has fp_png_bytes. Checks the CRC of every chunk, and that the
   compressed data hold as many bytes as the header says. `why` says what is wrong. */
int fp_png_samples(const uint8_t *data, size_t length, uint8_t *out, fp_scratch *scratch, const char **why);
#endif
