/* Chroma upsampling with libjpeg's triangle filter.

   With 4:2:0, a sample of chroma covers 2 x 2 pixels. Its center lies between them, so the pixels
   are at 1/4 and 3/4 of the way between two samples. The triangle filter gives 3/4 of the nearer
   and 1/4 of the farther one, in each direction. Of two neighbors, libjpeg rounds halves up for one
   and down for the other. The constants 1, 2, 7 and 8 do that.

   Compilers vectorize these loops, since a pair of outputs is stored as one 16-bit number: they are
   bad at interleaving bytes. Each loop is compiled twice, for the baseline processor and for
   AVX2. */
#include "upsample.h"

#include "vectors.h"

FP_INLINE uint16_t pair(uint32_t left, uint32_t right) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return (uint16_t)(left | right << 8);
#else
    return (uint16_t)(left << 8 | right);
#endif
}

FP_INLINE void blend(const uint8_t *restrict nearer, const uint8_t *restrict farther,
                     uint16_t *restrict out, uint32_t width) {
    for (uint32_t x = 0; x < width; x++) out[x] = (uint16_t)(3 * nearer[x] + farther[x]);
}

FP_INLINE void down(const uint8_t *restrict nearer, const uint8_t *restrict farther, uint16_t half,
                    uint8_t *restrict out, uint32_t width) {
    for (uint32_t x = 0; x < width; x++)
        out[x] = (uint8_t)((uint16_t)(3 * nearer[x] + farther[x] + half) >> 2);
}

FP_INLINE void across(const uint8_t *restrict row, uint16_t *restrict out, uint32_t width) {
    for (uint32_t x = 0; x < width; x++) {
        uint16_t weighed = (uint16_t)(3 * row[x]);
        uint16_t left = (uint16_t)(weighed + (row - 1)[x] + 1);
        uint16_t right = (uint16_t)(weighed + (row + 1)[x] + 2);
        out[x] = pair(left >> 2, right >> 2);
    }
}

FP_INLINE void across_blended(const uint16_t *restrict row, uint16_t *restrict out,
                              uint32_t width) {
    for (uint32_t x = 0; x < width; x++) {
        uint16_t weighed = (uint16_t)(3 * row[x]);
        uint16_t left = (uint16_t)(weighed + (row - 1)[x] + 8);
        uint16_t right = (uint16_t)(weighed + (row + 1)[x] + 7);
        out[x] = pair(left >> 4, right >> 4);
    }
}

#if FP_HAS_AVX2
FP_AVX2 static void blend_avx2(const uint8_t *n, const uint8_t *f, uint16_t *out, uint32_t width) {
    blend(n, f, out, width);
}
FP_AVX2 static void down_avx2(const uint8_t *n, const uint8_t *f, uint16_t half, uint8_t *out,
                              uint32_t width) {
    down(n, f, half, out, width);
}
FP_AVX2 static void across_avx2(const uint8_t *row, uint16_t *out, uint32_t width) {
    across(row, out, width);
}
FP_AVX2 static void across_blended_avx2(const uint16_t *row, uint16_t *out, uint32_t width) {
    across_blended(row, out, width);
}
#define DISPATCH(name, ...) (fp_may_use_avx2() ? name##_avx2(__VA_ARGS__) : name(__VA_ARGS__))
#else
#define DISPATCH(name, ...) name(__VA_ARGS__)
#endif

void fp_blend_rows(const uint8_t *nearer, const uint8_t *farther, uint16_t *out, uint32_t width) {
    DISPATCH(blend, nearer, farther, out, width);
}

void fp_upsample_down(const uint8_t *nearer, const uint8_t *farther, int is_upper, uint8_t *out,
                      uint32_t width) {
    DISPATCH(down, nearer, farther, is_upper ? 1 : 2, out, width);
}

void fp_upsample_across(const uint8_t *row, uint16_t *out, uint32_t width) {
    DISPATCH(across, row, out, width);
}

void fp_upsample_blended(const uint16_t *row, uint16_t *out, uint32_t width) {
    DISPATCH(across_blended, row, out, width);
}

void fp_repeat_across(const uint8_t *row, uint32_t times, uint8_t *out, uint32_t width) {
    for (uint32_t x = 0; x < width; x++)
        for (uint32_t i = 0; i < times; i++) *out++ = row[x];
}
