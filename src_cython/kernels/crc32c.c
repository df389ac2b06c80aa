/* CRC-32C, in four implementations. The fastest that the processor has is chosen at run time.

   Words:
   - polynomial: a bit string read as a polynomial over the field of two elements. Addition is XOR.
     A message is a polynomial M, and its CRC is the remainder of M * x^32 by P.
   - reflected: bit 0 of a byte is the coefficient of the highest power. CRC-32C is defined so, and
     so are all numbers here: bit 31 of a CRC is x^0.
   - fold: to move a polynomial over the next D bits, multiply it by x^D mod P. The result is
     longer than a CRC, but has the same remainder. XOR with the data there gives the sum so far.
   - lane: one of three stretches of data that are summed side by side.

   Paths:
   - Table: 8 bytes at a time with 8 tables of 256 entries. "Slicing by 8", Kounavis and Berry
     (2005).
   - crc32 instruction: three lanes, since it takes three cycles and starts every cycle. One
     carry-less multiplication moves a lane's sum over the lanes after it (Gopal et al., 2011).
   - Vectors: 4 registers of 256 or 512 bits. Each step folds a register over the bytes of all four
     and adds the next data (Gopal et al., 2009). At the end, the registers are folded to 16 bytes,
     which the crc32 instruction reduces.

   Limits. Vectors pay off from 256 bytes (512 bits) or 1024 bytes (256 bits). Below, the crc32
   instruction is used. All paths give the same value for every length and alignment.

   Sources:
   - V. Gopal et al., "Fast CRC Computation for iSCSI Polynomial Using CRC32 Instruction" (Intel,
     2011)
   - V. Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction"
     (2009)
   - zlib's crc32_combine, for fp_crc32c_join */
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

/* Plain path: slicing by 8 */

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
        crc = slices[7][word & 0xff] ^ slices[6][(word >> 8) & 0xff] ^
              slices[5][(word >> 16) & 0xff] ^ slices[4][(word >> 24) & 0xff] ^
              slices[3][(word >> 32) & 0xff] ^ slices[2][(word >> 40) & 0xff] ^
              slices[1][(word >> 48) & 0xff] ^ slices[0][word >> 56];
    }
    while (length--) crc = (crc >> 8) ^ slices[0][(crc ^ *data++) & 0xff];
    return crc;
}

#if defined(__x86_64__)
/* With the crc32 instruction. A sum is moved by a carry-less multiplication with x^(8 * bytes - 33)
   mod P; the crc32 instruction reduces the product. */
#define LANE 1024
#define SHIFT_ONE_LANE 0x170076fau
#define SHIFT_TWO_LANES 0xa51b6135u
#define IN_64_BITS __attribute__((target("sse4.2,pclmul")))

IN_64_BITS static uint32_t shift_lanes(uint32_t crc, uint32_t factor) {
    __m128i product = _mm_clmulepi64_si128(_mm_cvtsi32_si128((int)crc),
                                           _mm_cvtsi32_si128((int)factor), 0);
    return (uint32_t)_mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

IN_64_BITS static uint32_t extend_by_hardware(uint32_t crc, const uint8_t *data, size_t length) {
    for (; length >= 3 * LANE; data += 3 * LANE, length -= 3 * LANE) {
        uint64_t a = crc, b = 0, c = 0;
        for (size_t i = 0; i < LANE; i += 8) {
            a = _mm_crc32_u64(a, load_u64(data + i));
            b = _mm_crc32_u64(b, load_u64(data + LANE + i));
            c = _mm_crc32_u64(c, load_u64(data + 2 * LANE + i));
        }
        crc = shift_lanes((uint32_t)a, SHIFT_TWO_LANES) ^
              shift_lanes((uint32_t)b, SHIFT_ONE_LANE) ^ (uint32_t)c;
    }
    for (; length >= 8; data += 8, length -= 8) crc = (uint32_t)_mm_crc32_u64(crc, load_u64(data));
    while (length--) crc = _mm_crc32_u8(crc, *data++);
    return crc;
}

/* With vectors. A fold over D bits multiplies the two 64-bit halves of a polynomial. The factors
   are x^(D + 63) mod P for the half that is first in memory and x^(D - 1) mod P for the other.
   Factors are reflected, in the upper half of a word. */
#define FACTORS(low, high) (long long)(high##ull << 32), (long long)(low##ull << 32)
#define BY_2048_BITS FACTORS(0xe9a5d8be, 0x1426a815)
#define BY_1024_BITS FACTORS(0x6577b245, 0x7417153f)
#define BY_512_BITS FACTORS(0x1c19243b, 0x75bba45b)
#define BY_256_BITS FACTORS(0x33ccbbbc, 0xa2158b34)
#define BY_128_BITS FACTORS(0x3743f7bd, 0x3171d430)

#define IN_256_BITS __attribute__((target("avx2,vpclmulqdq,pclmul,sse4.2")))
#define IN_512_BITS __attribute__((target("avx512f,avx512vl,vpclmulqdq,avx2,pclmul,sse4.2")))

IN_64_BITS static inline __m128i fold_128(__m128i sum, __m128i factors, __m128i data) {
    __m128i low = _mm_clmulepi64_si128(sum, factors, 0x00);
    __m128i high = _mm_clmulepi64_si128(sum, factors, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), data);
}

IN_256_BITS static inline __m256i fold_256(__m256i sum, __m256i factors, __m256i data) {
    __m256i low = _mm256_clmulepi64_epi128(sum, factors, 0x00);
    __m256i high = _mm256_clmulepi64_epi128(sum, factors, 0x11);
    return _mm256_xor_si256(_mm256_xor_si256(low, high), data);
}

IN_512_BITS static inline __m512i fold_512(__m512i sum, __m512i factors, __m512i data) {
    __m512i low = _mm512_clmulepi64_epi128(sum, factors, 0x00);
    __m512i high = _mm512_clmulepi64_epi128(sum, factors, 0x11);
    return _mm512_ternarylogic_epi64(low, high, data, 0x96);
}

/* Folds the 32 bytes of a sum to 16 and reduces them. Then extends it by the rest of the data. */
IN_256_BITS static uint32_t finish(__m256i sum, const uint8_t *data, size_t length) {
    __m128i last = fold_128(_mm256_castsi256_si128(sum), _mm_set_epi64x(BY_128_BITS),
                            _mm256_extracti128_si256(sum, 1));
    uint64_t crc = _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(last));
    crc = _mm_crc32_u64(crc, (uint64_t)_mm_extract_epi64(last, 1));
    return extend_by_hardware((uint32_t)crc, data, length);
}

IN_256_BITS static uint32_t extend_by_256_bits(uint32_t crc, const uint8_t *data, size_t length) {
    if (length < 128) return extend_by_hardware(crc, data, length);
    const __m256i factors = _mm256_broadcastsi128_si256(_mm_set_epi64x(BY_1024_BITS));
    const __m256i by_one = _mm256_broadcastsi128_si256(_mm_set_epi64x(BY_256_BITS));
    const __m256i *next = (const __m256i *)data;
    __m256i sums[4];
    for (int k = 0; k < 4; k++) sums[k] = _mm256_loadu_si256(next + k);
    sums[0] = _mm256_xor_si256(sums[0], _mm256_zextsi128_si256(_mm_cvtsi32_si128((int)crc)));
    for (length -= 128, next += 4; length >= 128; length -= 128, next += 4)
        for (int k = 0; k < 4; k++)
            sums[k] = fold_256(sums[k], factors, _mm256_loadu_si256(next + k));
    for (int k = 1; k < 4; k++) sums[k] = fold_256(sums[k - 1], by_one, sums[k]);
    for (; length >= 32; length -= 32, next++)
        sums[3] = fold_256(sums[3], by_one, _mm256_loadu_si256(next));
    return finish(sums[3], (const uint8_t *)next, length);
}

IN_512_BITS static uint32_t extend_by_512_bits(uint32_t crc, const uint8_t *data, size_t length) {
    if (length < 256) return extend_by_hardware(crc, data, length);
    const __m512i factors = _mm512_broadcast_i32x4(_mm_set_epi64x(BY_2048_BITS));
    const __m512i by_one = _mm512_broadcast_i32x4(_mm_set_epi64x(BY_512_BITS));
    const __m512i *next = (const __m512i *)data;
    __m512i sums[4];
    for (int k = 0; k < 4; k++) sums[k] = _mm512_loadu_si512(next + k);
    sums[0] = _mm512_xor_si512(sums[0], _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)crc)));
    for (length -= 256, next += 4; length >= 256; length -= 256, next += 4)
        for (int k = 0; k < 4; k++)
            sums[k] = fold_512(sums[k], factors, _mm512_loadu_si512(next + k));
    for (int k = 1; k < 4; k++) sums[k] = fold_512(sums[k - 1], by_one, sums[k]);
    for (; length >= 64; length -= 64, next++)
        sums[3] = fold_512(sums[3], by_one, _mm512_loadu_si512(next));
    __m256i halves[2] = {_mm512_castsi512_si256(sums[3]), _mm512_extracti64x4_epi64(sums[3], 1)};
    const __m256i by_half = _mm256_broadcastsi128_si256(_mm_set_epi64x(BY_256_BITS));
    return finish(fold_256(halves[0], by_half, halves[1]), (const uint8_t *)next, length);
}

static int has_instruction(void) {
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}

static int has_256_bits(void) {
    return has_instruction() && __builtin_cpu_supports("avx2") &&
           __builtin_cpu_supports("vpclmulqdq");
}

static int has_512_bits(void) {
    return has_256_bits() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512vl");
}

#elif defined(__aarch64__)
__attribute__((target("+crc")))
static uint32_t extend_by_hardware(uint32_t crc, const uint8_t *data, size_t length) {
    for (; length >= 8; data += 8, length -= 8) crc = __crc32cd(crc, load_u64(data));
    while (length--) crc = __crc32cb(crc, *data++);
    return crc;
}

static int has_instruction(void) { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0; }

#else
#define extend_by_hardware extend_by_table
static int has_instruction(void) { return 0; }
#endif

#if !defined(__x86_64__)
#define extend_by_256_bits extend_by_table
#define extend_by_512_bits extend_by_table
static int has_256_bits(void) { return 0; }
static int has_512_bits(void) { return 0; }
#endif

int fp_crc32c_has(int path) {
    switch (path) {
    case FP_CRC_512_BITS: return has_512_bits();
    case FP_CRC_256_BITS: return has_256_bits();
    case FP_CRC_HARDWARE: return has_instruction();
    default: return 1;
    }
}

/* On short data, the crc32 instruction is done before vectors have begun. */
static int best_path(size_t length) {
    if (length >= 256 && has_512_bits()) return FP_CRC_512_BITS;
    if (length >= 1024 && has_256_bits()) return FP_CRC_256_BITS;
    return has_instruction() ? FP_CRC_HARDWARE : FP_CRC_TABLE;
}

uint32_t fp_crc32c_by(int path, uint32_t crc, const uint8_t *data, size_t length) {
    switch (path == FP_CRC_BEST ? best_path(length) : path) {
    case FP_CRC_512_BITS: return ~extend_by_512_bits(~crc, data, length);
    case FP_CRC_256_BITS: return ~extend_by_256_bits(~crc, data, length);
    case FP_CRC_HARDWARE: return ~extend_by_hardware(~crc, data, length);
    default: return ~extend_by_table(~crc, data, length);
    }
}

uint32_t fp_crc32c(uint32_t crc, const uint8_t *data, size_t length) {
    return fp_crc32c_by(FP_CRC_BEST, crc, data, length);
}

/* Joins two sums: the first is moved over the bytes of the second, which multiplies it by x^(8 *
   length) mod P. The powers x^(8 * 2^k) are computed once. */
static uint32_t byte_powers[64];
static pthread_once_t byte_powers_once = PTHREAD_ONCE_INIT;

static uint32_t multiply(uint32_t a, uint32_t b) {
    uint32_t product = 0;
    /* branchless, since the bits are random */
    for (; a; a <<= 1, b = (b >> 1) ^ (POLYNOMIAL & -(b & 1))) product ^= b & -(a >> 31);
    return product;
}

static void fill_byte_powers(void) {
    byte_powers[0] = 0x00800000u; /* x^8 */
    for (int k = 1; k < 64; k++) byte_powers[k] = multiply(byte_powers[k - 1], byte_powers[k - 1]);
}

uint32_t fp_crc32c_join(uint32_t first, uint32_t second, uint64_t length) {
    pthread_once(&byte_powers_once, fill_byte_powers);
    for (int k = 0; length; k++, length >>= 1)
        if (length & 1) first = multiply(byte_powers[k], first);
    return first ^ second;
}
