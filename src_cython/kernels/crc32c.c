#include "crc32c.h"

#include <pthread.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif
#endif

#define POLYNOMIAL 0x82f63b78u /* reflected */

static uint64_t load_u64(const uint8_t *p) {
    uint64_t value;
    memcpy(&value, p, sizeof value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

/* Plain path: slicing by 8 (Kounavis and Berry, 2005). */

static uint32_t slices[8][256];
static pthread_once_t slices_once = PTHREAD_ONCE_INIT;

static void fill_slices(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) ? POLYNOMIAL : 0);
        slices[0][byte] = crc;
    }
    for (int k = 1; k < 8; k++)
        for (int byte = 0; byte < 256; byte++)
            slices[k][byte] = (slices[k - 1][byte] >> 8) ^ slices[0][slices[k - 1][byte] & 0xff];
}

static uint32_t extend_by_table(uint32_t crc, const uint8_t *data, size_t length) {
    pthread_once(&slices_once, fill_slices);
    for (; length >= 8; data += 8, length -= 8) {
        uint64_t word = load_u64(data) ^ crc;
        crc = slices[7][word & 0xff] ^ slices[6][(word >> 8) & 0xff] ^ slices[5][(word >> 16) & 0xff] ^
              slices[4][(word >> 24) & 0xff] ^ slices[3][(word >> 32) & 0xff] ^
              slices[2][(word >> 40) & 0xff] ^ slices[1][(word >> 48) & 0xff] ^ slices[0][word >> 56];
    }
    while (length--) crc = (crc >> 8) ^ slices[0][(crc ^ *data++) & 0xff];
    return crc;
}

#if defined(__x86_64__)
/* The crc32 instruction takes three cycles and can start every cycle, so three stretches of LANE
   bytes are summed side by side. A lane's sum is moved over the lanes behind it by a carry-less
   multiplication with x^(8 * bytes - 33) mod P, the crc32 instruction doing the reduction
   (Gopal et al., "Fast CRC Computation for iSCSI Polynomial Using CRC32 Instruction", 2011). */
#define LANE 1024
#define SHIFT_ONE_LANE 0x170076fau
#define SHIFT_TWO_LANES 0xa51b6135u

__attribute__((target("sse4.2,pclmul"))) static uint32_t shift_lanes(uint32_t crc, uint32_t factor) {
    __m128i product = _mm_clmulepi64_si128(_mm_cvtsi32_si128((int)crc), _mm_cvtsi32_si128((int)factor), 0);
    return (uint32_t)_mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t extend_by_hardware(uint32_t crc, const uint8_t *data,
                                                                            size_t length) {
    for (; length >= 3 * LANE; data += 3 * LANE, length -= 3 * LANE) {
        uint64_t a = crc, b = 0, c = 0;
        for (size_t i = 0; i < LANE; i += 8) {
            a = _mm_crc32_u64(a, load_u64(data + i));
            b = _mm_crc32_u64(b, load_u64(data + LANE + i));
            c = _mm_crc32_u64(c, load_u64(data + 2 * LANE + i));
        }
        crc = shift_lanes((uint32_t)a, SHIFT_TWO_LANES) ^ shift_lanes((uint32_t)b, SHIFT_ONE_LANE) ^ (uint32_t)c;
    }
    for (; length >= 8; data += 8, length -= 8) crc = (uint32_t)_mm_crc32_u64(crc, load_u64(data));
    while (length--) crc = _mm_crc32_u8(crc, *data++);
    return crc;
}

int fp_crc32c_has_hardware(void) {
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}

#elif defined(__aarch64__)
__attribute__((target("+crc"))) static uint32_t extend_by_hardware(uint32_t crc, const uint8_t *data, size_t length) {
    for (; length >= 8; data += 8, length -= 8) crc = __crc32cd(crc, load_u64(data));
    while (length--) crc = __crc32cb(crc, *data++);
    return crc;
}

int fp_crc32c_has_hardware(void) { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0; }

#else
#define extend_by_hardware extend_by_table
int fp_crc32c_has_hardware(void) { return 0; }
#endif

uint32_t fp_crc32c_by(int path, uint32_t crc, const uint8_t *data, size_t length) {
    if (path == FP_CRC_BEST) path = fp_crc32c_has_hardware() ? FP_CRC_HARDWARE : FP_CRC_TABLE;
    if (path == FP_CRC_HARDWARE) return ~extend_by_hardware(~crc, data, length);
    return ~extend_by_table(~crc, data, length);
}

uint32_t fp_crc32c(uint32_t crc, const uint8_t *data, size_t length) {
    return fp_crc32c_by(FP_CRC_BEST, crc, data, length);
}
