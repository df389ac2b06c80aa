/* CRC-32C (Castagnoli, RFC 3720 appendix B.4) and TFRecord's mask over it. */
#ifndef FASTPACK_CRC32C_H
#define FASTPACK_CRC32C_H
#include <stddef.h>
#include <stdint.h>

/* The crc32 instruction; with it carry-less multiplication of 256 or 512 bits at a time. */
enum fp_crc_path { FP_CRC_BEST, FP_CRC_TABLE, FP_CRC_HARDWARE, FP_CRC_256_BITS, FP_CRC_512_BITS };

/* Has this processor what the path needs? The best and the table need nothing. */
int fp_crc32c_has(int path);
/* Extends `crc`, the checksum of what came before, by `length` bytes of `data`. */
uint32_t fp_crc32c(uint32_t crc, const uint8_t *data, size_t length);
/* The checksum of data that have the sum `first`, followed by `length` bytes that have the sum `second`. */
uint32_t fp_crc32c_join(uint32_t first, uint32_t second, uint64_t length);
uint32_t fp_crc32c_by(int path, uint32_t crc, const uint8_t *data, size_t length);

/* A CRC stored beside its own data is masked, so that a CRC of data with CRCs in it stays sound. */
static inline uint32_t fp_crc32c_mask(uint32_t crc) {
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

static inline uint32_t fp_crc32c_unmask(uint32_t masked) {
    uint32_t rotated = masked - 0xa282ead8u;
    return (rotated >> 17) | (rotated << 15);
}
#endif
