/* The inverse DCT: 64 coefficients of a block to 8 x 8 samples.

   Words:
   - step: the divisor that the encoder used for a coefficient. Dequantization multiplies by it.
   - pass: a one-dimensional transform of all columns, then of all rows. Both passes are equal but
     for the rounding.
   - even and odd part: a transform of 8 numbers splits into two, of the even and of the odd
     numbers. Outputs i and 7 - i are the sum and the difference of the two parts.

   Method. The transform of Loeffler, Ligtenberg and Moschytz, "Practical fast 1-D DCT algorithms
   with 11 multiplications" (1989), in integers. Constants F_x_xxx have CONSTANT_BITS fractional
   bits. Between the passes, numbers have BETWEEN_BITS more fractional bits than samples. The last
   shift also divides by 8, which the transform leaves out.

   The vector path holds two blocks, one in each half of a 256-bit register. vpmaddwd computes a * x
   + b * y for 16-bit pairs. So each rotation is two such sums, with constants added in advance:
   this is libjpeg-turbo's vector code for x86, not the original with 11 multiplications. The plain
   path makes the same sums.

   Four shortcuts, by the position of the last coefficient:
   - flat: only the first coefficient. All samples are equal.
   - quarter: all in the upper left 4 x 4. Half of the terms are zero.
   - whole: the general case.
   - reduced: outputs of 4 x 4, 2 x 2 or 1 x 1, with libjpeg's own smaller transforms.

   Invariants:
   - Samples equal those of libjpeg-turbo on x86, bit for bit, on every path and processor.
   - That includes overflow: where libjpeg-turbo wraps at 16 bits, so does this. Only damaged files
     get there. wrap_lone_rows and the casts to int16_t are for that.
   - Reduced transforms give up (0) on such numbers, since libjpeg-turbo's result is not
   portable. */
#include "idct.h"

#include <string.h>

#include "vectors.h"

#if FP_HAS_AVX2
#include <immintrin.h>
#endif

enum { CONSTANT_BITS = 13, BETWEEN_BITS = 2, COLUMNS_SHIFT = CONSTANT_BITS - BETWEEN_BITS,
      ROWS_SHIFT = CONSTANT_BITS + BETWEEN_BITS + 3 };

enum {
    F_0_298 = 2446, F_0_390 = 3196, F_0_541 = 4433, F_0_765 = 6270, F_0_899 = 7373, F_1_175 = 9633,
    F_1_501 = 12299, F_1_847 = 15137, F_1_961 = 16069, F_2_053 = 16819, F_2_562 = 20995,
        F_3_072 = 25172,
};

/* the last zigzag position whose predecessors all lie in the upper left 4 x 4 */
enum { LAST_IN_QUARTER = 9 };

/* Clips a number centered on 0 to a sample. */
static uint8_t to_sample(int32_t value) {
    return (uint8_t)((value < -128 ? -128 : value > 127 ? 127 : value) + 128);
}

/* Plain path */

static int16_t clip16(int32_t value) {
    return (int16_t)(value < INT16_MIN ? INT16_MIN : value > INT16_MAX ? INT16_MAX : value);
}

/* Transforms eight numbers, `step` apart, in place. */
static void transform(int16_t *x, int step, int shift) {
    int16_t in[8];
    for (int i = 0; i < 8; i++) in[i] = x[i * step];
    int32_t half = 1 << (shift - 1);
    int32_t sum = (int16_t)(in[0] + in[4]) * (1 << CONSTANT_BITS) + half;
    int32_t difference = (int16_t)(in[0] - in[4]) * (1 << CONSTANT_BITS) + half;
    int32_t even2 = in[2] * F_0_541 + in[6] * (F_0_541 - F_1_847);
    int32_t even3 = in[2] * (F_0_541 + F_0_765) + in[6] * F_0_541;
    int16_t z3 = (int16_t)(in[7] + in[3]), z4 = (int16_t)(in[5] + in[1]);
    int32_t turned3 = z3 * (F_1_175 - F_1_961) + z4 * F_1_175;
    int32_t turned4 = z3 * F_1_175 + z4 * (F_1_175 - F_0_390);
    int32_t odd[4] = {
        in[7] * (F_0_298 - F_0_899) - in[1] * F_0_899 + turned3,
        in[5] * (F_2_053 - F_2_562) - in[3] * F_2_562 + turned4,
        in[3] * (F_3_072 - F_2_562) - in[5] * F_2_562 + turned3,
        in[1] * (F_1_501 - F_0_899) - in[7] * F_0_899 + turned4,
    };
    int32_t even[4] = {sum - even3, difference - even2, difference + even2, sum + even3};
    for (int i = 0; i < 4; i++) {
        x[(3 - i) * step] = clip16((even[i] + odd[i]) >> shift);
        x[(4 + i) * step] = clip16((even[i] - odd[i]) >> shift);
    }
}

static int has_one_row(const int16_t *coefficients) {
    int16_t any = 0;
    for (int i = 8; i < FP_BLOCK; i++) any |= coefficients[i];
    return any == 0;
}

static void idct_plain(const int16_t *coefficients, const int16_t *steps, uint8_t *out,
                       ptrdiff_t stride) {
    int16_t block[FP_BLOCK];
    for (int i = 0; i < FP_BLOCK; i++) block[i] = (int16_t)(coefficients[i] * steps[i]);
    int one_row = has_one_row(coefficients);
    for (int x = 0; x < 8; x++) {
        if (one_row)
            for (int y = 7; y >= 0; y--)
                block[y * 8 + x] = (int16_t)(block[x] * (1 << BETWEEN_BITS));
        else transform(block + x, 8, COLUMNS_SHIFT);
    }
    for (int y = 0; y < 8; y++) {
        transform(block + y * 8, 1, ROWS_SHIFT);
        for (int x = 0; x < 8; x++) {
            int32_t sample = block[y * 8 + x];
            out[y * stride + x] = to_sample(sample);
        }
    }
}

/* Vector path: one block in each half of a register */

#if FP_HAS_AVX2

/* 32-bit sums of products. Unpacking and packing both stay within the halves of a register, so that
   the order of numbers is restored. */
typedef struct {
    __m256i low, high;
} wide;

FP_INLINE FP_AVX2 wide interleave(__m256i a, __m256i b) {
    return (wide){_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b)};
}

FP_INLINE FP_AVX2 wide weigh(wide pairs, int first, int second) {
    __m256i weights = _mm256_set1_epi32((int)((uint32_t)second << 16 | (uint16_t)first));
    return (wide){_mm256_madd_epi16(pairs.low, weights), _mm256_madd_epi16(pairs.high, weights)};
}

FP_INLINE FP_AVX2 wide add(wide a, wide b) {
    return (wide){_mm256_add_epi32(a.low, b.low), _mm256_add_epi32(a.high, b.high)};
}

FP_INLINE FP_AVX2 wide subtract(wide a, wide b) {
    return (wide){_mm256_sub_epi32(a.low, b.low), _mm256_sub_epi32(a.high, b.high)};
}

/* Returns a << CONSTANT_BITS, plus the rounding term for a shift by `shift`. */
FP_INLINE FP_AVX2 wide scale(__m256i a, int shift) {
    __m256i half = _mm256_set1_epi32(1 << (shift - 1));
    wide scaled = interleave(_mm256_setzero_si256(), a);
    return (wide){_mm256_add_epi32(_mm256_srai_epi32(scaled.low, 16 - CONSTANT_BITS), half),
                  _mm256_add_epi32(_mm256_srai_epi32(scaled.high, 16 - CONSTANT_BITS), half)};
}

FP_INLINE FP_AVX2 __m256i narrow(wide a, int shift) {
    return _mm256_packs_epi32(_mm256_srai_epi32(a.low, shift), _mm256_srai_epi32(a.high, shift));
}

FP_INLINE FP_AVX2 void join(__m256i *x, const wide even[4], const wide odd[4], int shift) {
    for (int i = 0; i < 4; i++) {
        x[3 - i] = narrow(add(even[i], odd[i]), shift);
        x[4 + i] = narrow(subtract(even[i], odd[i]), shift);
    }
}

FP_INLINE FP_AVX2 void transform_avx2(__m256i *x, int shift) {
    wide sum = scale(_mm256_add_epi16(x[0], x[4]), shift);
    wide difference = scale(_mm256_sub_epi16(x[0], x[4]), shift);
    wide in26 = interleave(x[2], x[6]), in71 = interleave(x[7], x[1]);
    wide in53 = interleave(x[5], x[3]);
    wide even2 = weigh(in26, F_0_541, F_0_541 - F_1_847);
    wide even3 = weigh(in26, F_0_541 + F_0_765, F_0_541);
    wide z34 = interleave(_mm256_add_epi16(x[7], x[3]), _mm256_add_epi16(x[5], x[1]));
    wide turned3 = weigh(z34, F_1_175 - F_1_961, F_1_175);
    wide turned4 = weigh(z34, F_1_175, F_1_175 - F_0_390);
    wide odd[4] = {
        add(weigh(in71, F_0_298 - F_0_899, -F_0_899), turned3),
        add(weigh(in53, F_2_053 - F_2_562, -F_2_562), turned4),
        add(weigh(in53, -F_2_562, F_3_072 - F_2_562), turned3),
        add(weigh(in71, -F_0_899, F_1_501 - F_0_899), turned4),
    };
    wide even[4] = {subtract(sum, even3), subtract(difference, even2), add(difference, even2),
                    add(sum, even3)};
    join(x, even, odd, shift);
}

/* The same transform if the last four numbers are zero. */
FP_INLINE FP_AVX2 void transform_four_avx2(__m256i *x, int shift) {
    wide sum = scale(x[0], shift), in2 = interleave(x[2], x[2]), in31 = interleave(x[3], x[1]);
    wide even2 = weigh(in2, F_0_541, 0), even3 = weigh(in2, F_0_541 + F_0_765, 0);
    wide odd[4] = {
        weigh(in31, F_1_175 - F_1_961, F_1_175 - F_0_899),
        weigh(in31, F_1_175 - F_2_562, F_1_175 - F_0_390),
        weigh(in31, F_3_072 - F_2_562 + F_1_175 - F_1_961, F_1_175),
        weigh(in31, F_1_175, F_1_501 - F_0_899 + F_1_175 - F_0_390),
    };
    wide even[4] = {subtract(sum, even3), subtract(sum, even2), add(sum, even2), add(sum, even3)};
    join(x, even, odd, shift);
}

/* Transposes 8 x 8 numbers: three perfect shuffles, since there are 2^3 rows of 2^3 numbers. */
FP_INLINE FP_AVX2 void transpose(__m256i *x) {
    for (int round = 0; round < 3; round++) {
        __m256i shuffled[8];
        for (int i = 0; i < 4; i++) {
            shuffled[2 * i] = _mm256_unpacklo_epi16(x[i], x[i + 4]);
            shuffled[2 * i + 1] = _mm256_unpackhi_epi16(x[i], x[i + 4]);
        }
        for (int i = 0; i < 8; i++) x[i] = shuffled[i];
    }
}

/* Stores columns of samples, which are centered on 0, as rows of samples. */
FP_INLINE FP_AVX2 void store(const __m256i *columns, uint8_t *out, ptrdiff_t stride) {
    __m256i x[4];
    for (int i = 0; i < 4; i++)
        x[i] = _mm256_add_epi8(_mm256_packs_epi16(columns[2 * i], columns[2 * i + 1]),
                               _mm256_set1_epi8(-128));
    for (int round = 0; round < 3; round++) {
        __m256i shuffled[4];
        for (int i = 0; i < 2; i++) {
            shuffled[2 * i] = _mm256_unpacklo_epi8(x[i], x[i + 2]);
            shuffled[2 * i + 1] = _mm256_unpackhi_epi8(x[i], x[i + 2]);
        }
        for (int i = 0; i < 4; i++) x[i] = shuffled[i];
    }
    for (int i = 0; i < 4; i++, out += 2 * stride) {
        __m256i rows = _mm256_permute4x64_epi64(x[i], 0xd8);
        _mm_storeu_si128((__m128i *)out, _mm256_castsi256_si128(rows));
        _mm_storeu_si128((__m128i *)(out + stride), _mm256_extracti128_si256(rows, 1));
    }
}

FP_INLINE FP_AVX2 __m128i load(const int16_t *row) { return _mm_loadu_si128((const __m128i *)row); }

FP_INLINE FP_AVX2 __m256i dequantize(const int16_t *coefficients, const int16_t *steps, int row) {
    const int16_t *first = coefficients + row * 8, *second = first + FP_BLOCK;
    __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(load(first)), load(second), 1);
    return _mm256_mullo_epi16(both, _mm256_broadcastsi128_si256(load(steps + row * 8)));
}

/* libjpeg-turbo shifts a block whose only nonzero row is the first, instead of transforming its
   columns. The results differ for numbers that no encoder writes: the shift wraps at 16 bits. */
FP_INLINE FP_AVX2 __m256i wrap_lone_rows(const int16_t *coefficients, __m256i first) {
    const __m256i limit = _mm256_set1_epi16(INT16_MAX >> BETWEEN_BITS);
    const __m256i lowest = _mm256_set1_epi16(INT16_MIN);
    __m256i is_large = _mm256_or_si256(_mm256_cmpgt_epi16(_mm256_abs_epi16(first), limit),
                                       _mm256_cmpeq_epi16(first, lowest));
    if (__builtin_expect(_mm256_testz_si256(is_large, is_large), 1)) return first;
    __m256i wrapped = _mm256_srai_epi16(_mm256_slli_epi16(first, BETWEEN_BITS), BETWEEN_BITS);
    if (has_one_row(coefficients)) first = _mm256_blend_epi32(first, wrapped, 0x0f);
    if (has_one_row(coefficients + FP_BLOCK)) first = _mm256_blend_epi32(first, wrapped, 0xf0);
    return first;
}

FP_INLINE FP_AVX2 void idct_whole_avx2(const int16_t *coefficients, const int16_t *steps,
                                       uint8_t *out, ptrdiff_t stride) {
    __m256i x[8];
    for (int i = 0; i < 8; i++) x[i] = dequantize(coefficients, steps, i);
    x[0] = wrap_lone_rows(coefficients, x[0]);
    transform_avx2(x, COLUMNS_SHIFT);
    transpose(x);
    transform_avx2(x, ROWS_SHIFT);
    store(x, out, stride);
}

FP_INLINE FP_AVX2 void idct_quarter_avx2(const int16_t *coefficients, const int16_t *steps,
                                         uint8_t *out, ptrdiff_t stride) {
    __m256i x[8];
    for (int i = 0; i < 4; i++) x[i] = dequantize(coefficients, steps, i);
    x[0] = wrap_lone_rows(coefficients, x[0]);
    transform_four_avx2(x, COLUMNS_SHIFT);
    transpose(x);
    transform_four_avx2(x, ROWS_SHIFT);
    store(x, out, stride);
}

FP_INLINE void idct_flat(const int16_t *coefficients, const int16_t *steps, uint8_t *out,
                         ptrdiff_t stride) {
    uint8_t samples[16];
    for (int i = 0; i < 16; i++) {
        int16_t level = (int16_t)((int16_t)(coefficients[i / 8 * FP_BLOCK] * steps[0]) *
                                  (1 << BETWEEN_BITS));
        int32_t sample = (level + 16) >> 5;
        samples[i] = to_sample(sample);
    }
    for (int y = 0; y < 8; y++, out += stride) memcpy(out, samples, 16);
}

FP_AVX2 static void idct_avx2(const int16_t *coefficients, const uint8_t *last, uint32_t num_blocks,
                              const int16_t *steps, uint8_t *out, ptrdiff_t stride) {
    for (uint32_t i = 0; i < num_blocks; i += 2) {
        int farthest = last[0] > last[1] ? last[0] : last[1];
        if (farthest == 0) idct_flat(coefficients, steps, out, stride);
        else if (farthest <= LAST_IN_QUARTER) idct_quarter_avx2(coefficients, steps, out, stride);
        else idct_whole_avx2(coefficients, steps, out, stride);
        coefficients += 2 * FP_BLOCK;
        last += 2;
        out += 16;
    }
}
#endif

void fp_idct(const int16_t *coefficients, const uint8_t *last, uint32_t num_blocks,
             const int16_t steps[FP_BLOCK], uint8_t *out, ptrdiff_t stride) {
#if FP_HAS_AVX2
    if (fp_may_use_avx2()) {
        idct_avx2(coefficients, last, num_blocks, steps, out, stride);
        return;
    }
#endif
    (void)last;
    for (uint32_t i = 0; i < num_blocks; i++)
        idct_plain(coefficients + i * FP_BLOCK, steps, out + i * 8, stride);
}

/* Smaller outputs: libjpeg's transforms of reduced size. They omit the frequencies that a smaller
   block cannot show. */

/* the largest coefficient is below 8 * 128 * 1.3, and quantization adds half a step */
enum { SANE = 2048 };

enum {
    F_0_211 = 1730, F_0_509 = 4176, F_0_601 = 4926, F_0_720 = 5906, F_0_850 = 6967, F_1_061 = 8697,
        F_1_272 = 10426, F_1_451 = 11893,
    F_2_172 = 17799, F_3_624 = 29692,
};

static int32_t descale(int32_t value, int shift) { return (value + (1 << (shift - 1))) >> shift; }

/* Transforms eight numbers, `step` apart, to four. */
static void reduce_to_four(const int16_t *x, int step, int shift, int16_t out[4]) {
    int32_t x0 = x[0] * (1 << (CONSTANT_BITS + 1));
    int32_t even = x[2 * step] * F_1_847 - x[6 * step] * F_0_765;
    int32_t inner = -x[7 * step] * F_0_211 + x[5 * step] * F_1_451 - x[3 * step] * F_2_172 +
                    x[step] * F_1_061;
    int32_t outer = -x[7 * step] * F_0_509 - x[5 * step] * F_0_601 + x[3 * step] * F_0_899 +
                    x[step] * F_2_562;
    out[0] = clip16(descale(x0 + even + outer, shift));
    out[1] = clip16(descale(x0 - even + inner, shift));
    out[2] = clip16(descale(x0 - even - inner, shift));
    out[3] = clip16(descale(x0 + even - outer, shift));
}

static void reduce_to_two(const int16_t *x, int step, int shift, int16_t out[2]) {
    int32_t x0 = x[0] * (1 << (CONSTANT_BITS + 2));
    int32_t odd = -x[7 * step] * F_0_720 + x[5 * step] * F_0_850 - x[3 * step] * F_1_272 +
                  x[step] * F_3_624;
    out[0] = clip16(descale(x0 + odd, shift));
    out[1] = clip16(descale(x0 - odd, shift));
}

/* Returns 0 if a coefficient is too large. */
static int dequantize_sane(const int16_t *coefficients, const int16_t *steps, int16_t *block) {
    int sane = 1;
    for (int i = 0; i < FP_BLOCK; i++) {
        int32_t value = coefficients[i] * steps[i];
        sane &= value >= -SANE && value <= SANE;
        block[i] = (int16_t)value;
    }
    return sane;
}

static int reduce_plain(const int16_t *coefficients, const int16_t *steps, uint32_t edge,
                        uint8_t *out, ptrdiff_t stride) {
    int16_t block[FP_BLOCK], between[4][8], samples[4];
    if (!dequantize_sane(coefficients, steps, block)) return 0;
    for (int x = 0; x < 8; x++) {
        if (edge == 4) reduce_to_four(block + x, 8, CONSTANT_BITS - BETWEEN_BITS + 1, samples);
        else reduce_to_two(block + x, 8, CONSTANT_BITS - BETWEEN_BITS + 2, samples);
        for (uint32_t y = 0; y < edge; y++) between[y][x] = samples[y];
    }
    for (uint32_t y = 0; y < edge; y++, out += stride) {
        if (edge == 4) reduce_to_four(between[y], 1, CONSTANT_BITS + BETWEEN_BITS + 3 + 1, samples);
        else reduce_to_two(between[y], 1, CONSTANT_BITS + BETWEEN_BITS + 3 + 2, samples);
        for (uint32_t x = 0; x < edge; x++) out[x] = to_sample(samples[x]);
    }
    return 1;
}

/* A block with only its first coefficient. */
static int reduce_flat(int32_t first, uint32_t edge, uint8_t *out, ptrdiff_t stride) {
    if (first < -SANE || first > SANE) return 0;
    uint8_t sample = to_sample(descale(first, 3));
    for (uint32_t y = 0; y < edge; y++, out += stride) memset(out, sample, edge);
    return 1;
}

#if FP_HAS_AVX2
/* Returns the first number << bits, plus the rounding term for a shift by `shift`. */
FP_INLINE FP_AVX2 wide scale_first(__m256i x, int bits, int shift) {
    __m256i half = _mm256_set1_epi32(1 << (shift - 1));
    wide first = interleave(_mm256_setzero_si256(), x);
    return (wide){_mm256_add_epi32(_mm256_srai_epi32(first.low, 16 - bits), half),
                  _mm256_add_epi32(_mm256_srai_epi32(first.high, 16 - bits), half)};
}

FP_INLINE FP_AVX2 void reduce_to_four_avx2(__m256i *x, int shift) {
    wide first = scale_first(x[0], CONSTANT_BITS + 1, shift);
    wide even = weigh(interleave(x[2], x[6]), F_1_847, -F_0_765);
    wide in13 = interleave(x[1], x[3]), in57 = interleave(x[5], x[7]);
    wide inner = add(weigh(in13, F_1_061, -F_2_172), weigh(in57, F_1_451, -F_0_211));
    wide outer = add(weigh(in13, F_2_562, F_0_899), weigh(in57, -F_0_601, -F_0_509));
    wide sum = add(first, even), difference = subtract(first, even);
    x[0] = narrow(add(sum, outer), shift);
    x[1] = narrow(add(difference, inner), shift);
    x[2] = narrow(subtract(difference, inner), shift);
    x[3] = narrow(subtract(sum, outer), shift);
}

FP_INLINE FP_AVX2 void reduce_to_two_avx2(__m256i *x, int shift) {
    wide first = scale_first(x[0], CONSTANT_BITS + 2, shift);
    wide odd = add(weigh(interleave(x[1], x[3]), F_3_624, -F_1_272),
                   weigh(interleave(x[5], x[7]), F_0_850, -F_0_720));
    x[0] = narrow(add(first, odd), shift);
    x[1] = narrow(subtract(first, odd), shift);
    x[2] = _mm256_setzero_si256();
    x[3] = _mm256_setzero_si256();
}

/* Joins columns of up to 4 numbers in each half to 16 samples in each, row by row. */
FP_INLINE FP_AVX2 __m256i join_columns(const __m256i *columns) {
    __m256i left = _mm256_unpacklo_epi16(columns[0], columns[1]);
    __m256i right = _mm256_unpacklo_epi16(columns[2], columns[3]);
    __m256i samples = _mm256_packs_epi16(_mm256_unpacklo_epi32(left, right),
                                         _mm256_unpackhi_epi32(left, right));
    return _mm256_add_epi8(samples, _mm256_set1_epi8(-128));
}

FP_INLINE FP_AVX2 int are_sane(const __m256i *x) {
    const __m256i limit = _mm256_set1_epi16(SANE);
    __m256i most = _mm256_setzero_si256();
    for (int i = 0; i < 8; i++) most = _mm256_max_epu16(most, _mm256_abs_epi16(x[i]));
    return _mm256_movemask_epi8(_mm256_cmpeq_epi16(_mm256_max_epu16(most, limit), limit)) == -1;
}

/* Transforms two blocks, one in each half of the registers. `edge` is 4 or 2. */
FP_INLINE FP_AVX2 int reduce_avx2(const int16_t *coefficients, const int16_t *steps, int edge,
                                  uint8_t *out, ptrdiff_t stride) {
    __m256i x[8];
    for (int i = 0; i < 8; i++) x[i] = dequantize(coefficients, steps, i);
    if (!are_sane(x)) return 0;
    if (edge == 4) reduce_to_four_avx2(x, CONSTANT_BITS - BETWEEN_BITS + 1);
    else reduce_to_two_avx2(x, CONSTANT_BITS - BETWEEN_BITS + 2);
    for (int i = 4; i < 8; i++) x[i] = _mm256_setzero_si256();
    transpose(x);
    if (edge == 4) reduce_to_four_avx2(x, CONSTANT_BITS + BETWEEN_BITS + 3 + 1);
    else reduce_to_two_avx2(x, CONSTANT_BITS + BETWEEN_BITS + 3 + 2);
    uint8_t samples[32];
    _mm256_storeu_si256((__m256i *)samples, join_columns(x));
    for (int y = 0; y < edge; y++, out += stride) {
        memcpy(out, samples + 4 * y, (size_t)edge);
        memcpy(out + edge, samples + 16 + 4 * y, (size_t)edge);
    }
    return 1;
}

FP_AVX2 static int reduce_to_fours_avx2(const int16_t *c, const int16_t *steps, uint8_t *out,
                                        ptrdiff_t stride) {
    return reduce_avx2(c, steps, 4, out, stride);
}
FP_AVX2 static int reduce_to_twos_avx2(const int16_t *c, const int16_t *steps, uint8_t *out,
                                       ptrdiff_t stride) {
    return reduce_avx2(c, steps, 2, out, stride);
}
#endif

int fp_idct_reduced(const int16_t *coefficients, const uint8_t *last, uint32_t num_blocks,
                    const int16_t steps[FP_BLOCK], uint32_t edge, uint8_t *out, ptrdiff_t stride) {
    uint32_t done = 0;
    int sane = 1;
#if FP_HAS_AVX2
    for (; edge > 1 && fp_may_use_avx2() && done + 2 <= num_blocks && sane; done += 2) {
        const int16_t *blocks = coefficients + done * FP_BLOCK;
        uint8_t *place = out + done * edge;
        if ((last[done] | last[done + 1]) == 0)
            sane = reduce_flat(blocks[0] * steps[0], edge, place, stride) &&
                   reduce_flat(blocks[FP_BLOCK] * steps[0], edge, place + edge, stride);
        else
            sane = edge == 4 ? reduce_to_fours_avx2(blocks, steps, place, stride)
                             : reduce_to_twos_avx2(blocks, steps, place, stride);
    }
#endif
    for (; done < num_blocks && sane; done++) {
        const int16_t *block = coefficients + done * FP_BLOCK;
        uint8_t *place = out + done * edge;
        sane = last[done] == 0 || edge == 1 ? reduce_flat(block[0] * steps[0], edge, place, stride)
                                            : reduce_plain(block, steps, edge, place, stride);
    }
    return sane;
}
