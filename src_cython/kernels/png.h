/* Decodes PNG files to samples, as stored. */
#ifndef FASTPACK_PNG_H
#define FASTPACK_PNG_H
#include "span.h"

/* Returns the bytes of the samples of a PNG with this IHDR (13 bytes): one byte for each sample, or
   two with 16 bits. Returns 0 if the header is not valid. */
uint64_t fp_png_bytes(const uint8_t *header);

/* Writes the samples row by row: levels or palette indices. 16-bit samples are in native byte
   order; samples of fewer than 8 bits are not scaled. `out` has fp_png_bytes bytes. Compares the
   CRC of every chunk, and the length of the data with the header. *why is a message on failure. */
int fp_png_samples(const uint8_t *data, size_t length, uint8_t *out, fp_scratch *scratch,
                   const char **why);
#endif
