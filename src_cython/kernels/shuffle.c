/* The shuffle of HDF5 and Blosc. Items of w bytes become w planes: all first bytes, then all second
   bytes, and so on. Bit shuffle has 8 w planes of bits. Numbers that vary little have equal high
   bytes, so the planes compress better. Item sizes 2, 4 and 8 have loops of their own, which
   compilers vectorize. */
#include "shuffle.h"

#include <string.h>

#include "endian.h"

/* A constant item size lets the compiler vectorize. */
#define MOVE_ITEMS(MOVE, COUNT)           \
    switch (item_bytes) {                 \
        case 2: MOVE(2, COUNT); break;    \
        case 4: MOVE(4, COUNT); break;    \
        case 8: MOVE(8, COUNT); break;    \
        default: MOVE(item_bytes, COUNT); \
    }
#define SPLIT(WIDTH, COUNT)                       \
    for (size_t byte = 0; byte < (WIDTH); byte++) \
        for (size_t i = 0; i < (COUNT); i++) out[byte * (COUNT) + i] = data[i * (WIDTH) + byte]
#define JOIN(WIDTH, COUNT)           \
    for (size_t i = 0; i < (COUNT); i++) \
        for (size_t byte = 0; byte < (WIDTH); byte++)        \
            out[i * (WIDTH) + byte] = data[byte * (COUNT) + i]

void fp_shuffle(const uint8_t *restrict data, size_t length, size_t item_bytes,
                uint8_t *restrict out) {
    size_t count = length / item_bytes, whole = count * item_bytes;
    MOVE_ITEMS(SPLIT, count)
    memcpy(out + whole, data + whole, length - whole);
}

void fp_unshuffle(const uint8_t *restrict data, size_t length, size_t item_bytes,
                  uint8_t *restrict out) {
    size_t count = length / item_bytes, whole = count * item_bytes;
    MOVE_ITEMS(JOIN, count)
    memcpy(out + whole, data + whole, length - whole);
}

/* Transposes 8 x 8 bits: Hacker's Delight, 7-3. */
static uint64_t transpose_bits(uint64_t x) {
    uint64_t t = (x ^ x >> 7) & 0x00aa00aa00aa00aaull;
    x ^= t ^ t << 7;
    t = (x ^ x >> 14) & 0x0000cccc0000ccccull;
    x ^= t ^ t << 14;
    t = (x ^ x >> 28) & 0x00000000f0f0f0f0ull;
    return x ^ t ^ t << 28;
}

void fp_unshuffle_bits(const uint8_t *data, size_t length, size_t item_bytes, uint8_t *out) {
    size_t groups = length / item_bytes / 8, whole = groups * 8 * item_bytes;
    for (size_t byte = 0; byte < item_bytes; byte++) {
        const uint8_t *rows = data + byte * 8 * groups; /* one plane for each bit */
        for (size_t group = 0; group < groups; group++) {
            uint64_t bits = 0;
            for (size_t bit = 0; bit < 8; bit++)
                bits |= (uint64_t)rows[bit * groups + group] << (8 * bit);
            bits = transpose_bits(bits);
            uint8_t *items = out + group * 8 * item_bytes + byte;
            for (size_t item = 0; item < 8; item++)
                items[item * item_bytes] = (uint8_t)(bits >> (8 * item));
        }
    }
    memcpy(out + whole, data + whole, length - whole);
}
