/* Little-endian and big-endian numbers at any address. */
#ifndef FASTPACK_ENDIAN_H
#define FASTPACK_ENDIAN_H
#include <stdint.h>

static inline uint32_t fp_load_le32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t fp_load_le64(const uint8_t *p) {
    return (uint64_t)fp_load_le32(p) | (uint64_t)fp_load_le32(p + 4) << 32;
}

static inline void fp_store_le32(uint8_t *p, uint32_t value) {
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(value >> (8 * i));
}

static inline void fp_store_le64(uint8_t *p, uint64_t value) {
    for (int i = 0; i < 8; i++) p[i] = (uint8_t)(value >> (8 * i));
}

static inline uint32_t fp_load_be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }

static inline uint32_t fp_load_be32(const uint8_t *p) {
    return fp_load_be16(p) << 16 | fp_load_be16(p + 2);
}

static inline uint64_t fp_load_be64(const uint8_t *p) {
    return (uint64_t)fp_load_be32(p) << 32 | fp_load_be32(p + 4);
}
#endif
