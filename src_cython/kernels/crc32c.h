/* CRC-32C (Castagnoli, RFC 3720 appendix B.4), and TFRecord's mask. */
#ifndef FASTPACK_CRC32C_H
#define FASTPACK_CRC32C_H
#include <stddef.h>
#include <stdint.h>

/* Paths: a table; the crc32 instruction; carry-less multiplication of 256 or 512 bits at a time. */
enum fp_crc_path { FP_CRC_BEST, FP_CRC_TABLE, FP_CRC_HARDWARE, FP_CRC_256_BITS, FP_CRC_512_BITS };

/* True if this processor has the instructions of the path. */
int fp_crc32c_has(int path);
/* Extends `crc`, the checksum of the bytes before, by `length` bytes of `data`. */
uint32_t fp_crc32c(uint32_t crc, const uint8_t *data, size_t length);
/* Returns the checksum of two parts, from the checksum of each. The second part has `length`
   bytes. */
uint32_t fp_crc32c_join(uint32_t first, uint32_t second, uint64_t length);
uint32_t fp_crc32c_by(int path, uint32_t crc, const uint8_t *data, size_t length);

/* TFRecord masks a CRC that it stores beside its own data: a CRC over data that contains CRCs is
   weak. */
static inline uint32_t fp_crc32c_mask(uint32_t crc) {
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

static inline uint32_t fp_crc32c_unmask(uint32_t masked) {
    uint32_t rotated = masked - 0xa282ead8u;
    return (rotated >> 17) | (rotated << 15);
}
#endif
