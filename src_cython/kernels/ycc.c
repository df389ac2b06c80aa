/* Color conversion:

       R = Y + 1.40200 Cr
       G = Y - 0.34414 Cb - 0.71414 Cr
       B = Y + 1.77200 Cb

   with 128 subtracted from Cb and Cr. Factors have 16 fractional bits, and each product is rounded
   as in libjpeg. The vector path converts 32 pixels at a time. It takes whole multiples out of the
   factors (1.402 = 1 + 0.402), so that the rest fits 16 signed bits. The sums are the same. */
#include "ycc.h"

#include <string.h>

#include "vectors.h"

#if FP_HAS_AVX2
#include <immintrin.h>
#endif

enum { F_1_402 = 91881, F_0_344 = 22554, F_0_714 = 46802, F_1_772 = 116130, ONE = 1 << 16,
      HALF = 1 << 15 };

static uint8_t clip8(int32_t value) { return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value); }

static void convert_plain(const uint8_t *y, const uint8_t *cb, const uint8_t *cr, uint8_t *out,
                          uint32_t width, int is_bgr) {
    int red = is_bgr ? 2 : 0;
    for (uint32_t x = 0; x < width; x++, out += 3) {
        int32_t blueness = cb[x] - 128, redness = cr[x] - 128;
        out[red] = clip8(y[x] + ((F_1_402 * redness + HALF) >> 16));
        out[1] = clip8(y[x] + ((-F_0_344 * blueness - F_0_714 * redness + HALF) >> 16));
        out[2 - red] = clip8(y[x] + ((F_1_772 * blueness + HALF) >> 16));
    }
}

#if FP_HAS_AVX2
FP_INLINE FP_AVX2 __m256i load16(const uint8_t *p) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)p));
}

/* Returns value * factor / 2^16, rounded. `factor` fits 16 signed bits. */
FP_INLINE FP_AVX2 __m256i scale(__m256i value, int factor) {
    __m256i twice = _mm256_mulhi_epi16(_mm256_add_epi16(value, value),
                                       _mm256_set1_epi16((short)factor));
    return _mm256_srai_epi16(_mm256_add_epi16(twice, _mm256_set1_epi16(1)), 1);
}

typedef struct {
    __m256i red, green, blue; /* 16 pixels, 16 bits each */
} planes;

FP_INLINE FP_AVX2 planes convert16(const uint8_t *y, const uint8_t *cb, const uint8_t *cr) {
    const __m256i center = _mm256_set1_epi16(128);
    __m256i luma = load16(y), blueness = _mm256_sub_epi16(load16(cb), center);
    __m256i redness = _mm256_sub_epi16(load16(cr), center);
    __m256i red = _mm256_add_epi16(_mm256_add_epi16(luma, redness), scale(redness, F_1_402 - ONE));
    __m256i blue = _mm256_add_epi16(_mm256_add_epi16(luma, _mm256_add_epi16(blueness, blueness)),
                                    scale(blueness, F_1_772 - 2 * ONE));
    const uint32_t pair = (uint32_t)(ONE - F_0_714) << 16 | (uint16_t)-F_0_344;
    const __m256i weights = _mm256_set1_epi32((int)pair);
    const __m256i half = _mm256_set1_epi32(HALF);
    __m256i low = _mm256_madd_epi16(_mm256_unpacklo_epi16(blueness, redness), weights);
    __m256i high = _mm256_madd_epi16(_mm256_unpackhi_epi16(blueness, redness), weights);
    low = _mm256_srai_epi32(_mm256_add_epi32(low, half), 16);
    high = _mm256_srai_epi32(_mm256_add_epi32(high, half), 16);
    __m256i green = _mm256_add_epi16(_mm256_sub_epi16(luma, redness),
                                     _mm256_packs_epi32(low, high));
    return (planes){red, green, blue};
}

/* Packing leaves 8 bytes of each input in either half of the register. Swaps the two in the
   middle. */
FP_INLINE FP_AVX2 __m256i join(__m256i first, __m256i second) {
    return _mm256_permute4x64_epi64(_mm256_packus_epi16(first, second), 0xd8);
}

/* Byte i of 16 packed pixels is sample i / 3 of channel i % 3. For each third of the bytes and each
   channel: which sample goes to which byte. */
#define __ -1
static const int8_t places[3][3][16] = {
    {{0, __, __, 1, __, __, 2, __, __, 3, __, __, 4, __, __, 5},
     {__, 0, __, __, 1, __, __, 2, __, __, 3, __, __, 4, __, __},
     {__, __, 0, __, __, 1, __, __, 2, __, __, 3, __, __, 4, __}},
    {{__, __, 6, __, __, 7, __, __, 8, __, __, 9, __, __, 10, __},
     {5, __, __, 6, __, __, 7, __, __, 8, __, __, 9, __, __, 10},
     {__, 5, __, __, 6, __, __, 7, __, __, 8, __, __, 9, __, __}},
    {{__, 11, __, __, 12, __, __, 13, __, __, 14, __, __, 15, __, __},
     {__, __, 11, __, __, 12, __, __, 13, __, __, 14, __, __, 15, __},
     {10, __, __, 11, __, __, 12, __, __, 13, __, __, 14, __, __, 15}},
};
#undef __

FP_INLINE FP_AVX2 __m256i put(__m256i levels, int third, int channel) {
    __m128i where = _mm_loadu_si128((const __m128i *)places[third][channel]);
    return _mm256_shuffle_epi8(levels, _mm256_broadcastsi128_si256(where));
}

/* Stores 32 pixels, 16 in each half of the registers: 96 bytes. */
FP_INLINE FP_AVX2 void store_pixels(const __m256i channels[3], uint8_t *out) {
    __m256i thirds[3];
    for (int t = 0; t < 3; t++)
        thirds[t] = _mm256_or_si256(_mm256_or_si256(put(channels[0], t, 0), put(channels[1], t, 1)),
                                    put(channels[2], t, 2));
    _mm256_storeu_si256((__m256i *)out, _mm256_permute2x128_si256(thirds[0], thirds[1], 0x20));
    _mm256_storeu_si256((__m256i *)(out + 32),
                        _mm256_permute2x128_si256(thirds[2], thirds[0], 0x30));
    _mm256_storeu_si256((__m256i *)(out + 64),
                        _mm256_permute2x128_si256(thirds[1], thirds[2], 0x31));
}

FP_INLINE FP_AVX2 void convert32(const uint8_t *y, const uint8_t *cb, const uint8_t *cr,
                                 uint8_t *out, int is_bgr) {
    planes first = convert16(y, cb, cr), second = convert16(y + 16, cb + 16, cr + 16);
    __m256i red = join(first.red, second.red), blue = join(first.blue, second.blue);
    __m256i channels[3] = {is_bgr ? blue : red, join(first.green, second.green),
                           is_bgr ? red : blue};
    store_pixels(channels, out);
}

/* The last block of 32 pixels may overlap the one before. */
FP_AVX2 static void convert_avx2(const uint8_t *y, const uint8_t *cb, const uint8_t *cr,
                                 uint8_t *out, uint32_t width, int is_bgr) {
    uint32_t x = 0;
    for (; x + 32 <= width; x += 32) convert32(y + x, cb + x, cr + x, out + 3 * (size_t)x, is_bgr);
    x = width - 32;
    convert32(y + x, cb + x, cr + x, out + 3 * (size_t)x, is_bgr);
}
#endif

void fp_ycc_to_rgb(const uint8_t *y, const uint8_t *cb, const uint8_t *cr, uint8_t *out,
                   uint32_t width, int is_bgr) {
#if FP_HAS_AVX2
    if (width >= 32 && fp_may_use_avx2()) {
        convert_avx2(y, cb, cr, out, width, is_bgr);
        return;
    }
#endif
    convert_plain(y, cb, cr, out, width, is_bgr);
}

void fp_gray_to_rgb(const uint8_t *gray, uint8_t *out, uint32_t width) {
    for (uint32_t x = 0; x < width; x++, out += 3) memset(out, gray[x], 3);
}
