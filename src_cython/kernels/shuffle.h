/* Rearranges the bytes or bits of items so that those of equal significance are together. Bytes
   that do not fill an item, or eight items, stay at the end. */
#ifndef FASTPACK_SHUFFLE_H
#define FASTPACK_SHUFFLE_H
#include <stddef.h>
#include <stdint.h>

void fp_shuffle(const uint8_t *data, size_t length, size_t item_bytes, uint8_t *out);
void fp_unshuffle(const uint8_t *data, size_t length, size_t item_bytes, uint8_t *out);
void fp_unshuffle_bits(const uint8_t *data, size_t length, size_t item_bytes, uint8_t *out);
#endif
