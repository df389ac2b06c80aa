/* Antialiased resampling: convolution with Pillow's filters.

   Words:
   - axis: one direction of a resize: which part of the input, scaled to how many outputs
     (weights.h).
   - tap: an input that an output depends on. When an image shrinks, the filter widens with the
     scale, so an output has more taps.
   - level: one channel of one pixel.
   - blend: the weighted sum of taps.

   Method. The filter is separable. For each row of outputs:
   1. Blend the needed rows of input, level by level, to one row of 16-bit numbers (resample_rows).
   So only one row is kept between the passes, in the L1 cache for usual widths.
   2. Blend that row's pixels to outputs (resample_columns).

   Numbers between the passes keep FP_BETWEEN_BITS fractional bits, where Pillow rounds to 8 bits.
   So the order of the passes does not matter: Pillow takes the cheaper axis first since version 13.
   A filter without negative weights stays within one level of it.

   Vector paths:
   - vpmaddwd multiplies 16-bit pairs and adds the two products. So taps are taken in pairs, and
     the number of taps is even; the last may have weight 0.
   - Rows: 16 or 32 levels at a time. The weights are the same for all of them.
   - Columns with AVX2: two RGB pixels at a time, one in each half of a register.
   - Columns with AVX-512: 16 levels at a time, of whatever pixels ("gathering"). Their taps lie
     within 64 levels of the input row, two registers. One vpermt2w moves each pair of taps to its
     place.
   - Loops over taps are compiled for 1 to 5 turns, since nearly all images have so few.

   Invariants:
   - All paths give the same pixels: the same integer sums in another order.
   - A sum of weights is exactly one, so that flat areas keep their level (weights.c).
   - 32-bit sums cannot overflow; weights.c chooses the precision for that.
   - Loads may pass the end of the row between the passes. Zeros follow it, since 0 weights must
     not multiply garbage.

   Source: Pillow's Resample.c. */
#include "resample.h"

#include <string.h>

#include "vectors.h"

#if FP_HAS_AVX2
#include <immintrin.h>
#endif

/* Rows to blend: the pixels of the first, and the distance to the next. */
typedef struct {
    const uint8_t *pixels;
    int64_t stride;
    const int16_t *weights;
    uint32_t count;
} blend;

/* Plain paths */

static int32_t clip(int32_t value, int32_t low, int32_t high) {
    return value < low ? low : value > high ? high : value;
}

static void blend_rows(const blend *b, int shift, int16_t *out, size_t length) {
    for (size_t x = 0; x < length; x++) {
        const uint8_t *pixel = b->pixels + x;
        int32_t sum = 1 << shift >> 1;
        for (uint32_t k = 0; k < b->count; k++)
            sum += pixel[(int64_t)k * b->stride] * b->weights[k];
        out[x] = (int16_t)clip(sum >> shift, INT16_MIN, INT16_MAX);
    }
}

static void blend_columns(const fp_weights *w, const int16_t *row, uint32_t count, int channels,
                          uint8_t *out) {
    int shift = w->precision + FP_BETWEEN_BITS;
    for (uint32_t i = 0; i < count; i++) {
        const int16_t *weights = w->values + (size_t)i * w->max_taps;
        for (int c = 0; c < channels; c++) {
            const int16_t *in = row + (size_t)w->first[i] * (size_t)channels + c;
            int32_t sum = 1 << shift >> 1;
            for (uint32_t k = 0; k < w->counts[i]; k++)
                sum += in[k * (size_t)channels] * weights[k];
            *out++ = (uint8_t)clip(sum >> shift, 0, 255);
        }
    }
}

/* 16 levels at a time with AVX-512: see "gathering" above */
enum { LEVELS = 16, REACH = 64 };

typedef struct {
    uint32_t *begins;        /* for each 16 levels: their first input, in levels */
    uint16_t *places;        /* for each level: the position of its first pair of taps from there */
    int32_t *weights;        /* for each pair of taps: the weights for each of the 16 levels */
    uint32_t count;          /* 0: the axis does not allow it */
} gathering;

static uint32_t num_gathered(uint32_t count) { return (3 * count + LEVELS - 1) / LEVELS; }

static size_t gathering_bytes(uint32_t count, uint32_t max_taps) {
    return (size_t)num_gathered(count) * LEVELS *
           (sizeof(uint32_t) + 2 * sizeof(uint16_t) + max_taps / 2 * sizeof(int32_t));
}

/* Prepares an RGB axis. Sets count to 0 if taps of 16 levels lie too far apart. */
static void make_gathering(gathering *g, uint8_t *memory, const fp_weights *w, uint32_t count) {
    uint32_t pairs = w->max_taps / 2, num_levels = 3 * count;
    g->count = num_gathered(count);
    g->weights = (int32_t *)memory;
    g->places = (uint16_t *)(g->weights + (size_t)g->count * pairs * LEVELS);
    g->begins = (uint32_t *)(g->places + (size_t)g->count * 2 * LEVELS);
    for (uint32_t level = 0; level < g->count * LEVELS; level++) {
        uint32_t i = level < num_levels ? level / 3 : count - 1, from = level / LEVELS * LEVELS;
        uint32_t to = from + LEVELS - 1;
        uint32_t one = w->first[from / 3];
        uint32_t other = w->first[(to < num_levels ? to : num_levels - 1) / 3];
        /* in a mirrored row, the last level begins first */
        uint32_t begin = one < other ? one : other;
        uint32_t place = (w->first[i] - begin) * 3 + level % 3;
        if (place + 3 >= REACH) {
            g->count = 0;
            return;
        }
        g->begins[level / LEVELS] = begin * 3;
        g->places[2 * level] = (uint16_t)place;
        g->places[2 * level + 1] = (uint16_t)(place + 3);
        for (uint32_t p = 0; p < pairs; p++)
            memcpy(g->weights + (level / LEVELS * pairs + p) * LEVELS + level % LEVELS,
                   w->values + (size_t)i * w->max_taps + 2 * p, 4);
    }
}

/* Vector paths */

#if FP_HAS_AVX2

/* Compiles a loop for each of the usual counts. */
#define BY_COUNT(function, count, ...)                \
    switch (count) {                                  \
    case 1: function(__VA_ARGS__, 1); break;          \
    case 2: function(__VA_ARGS__, 2); break;          \
    case 3: function(__VA_ARGS__, 3); break;          \
    case 4: function(__VA_ARGS__, 4); break;          \
    case 5: function(__VA_ARGS__, 5); break;          \
    default: function(__VA_ARGS__, count);            \
    }

FP_INLINE int32_t pair_at(const int16_t *weights) {
    int32_t pair;
    memcpy(&pair, weights, sizeof pair);
    return pair;
}

FP_INLINE FP_AVX2 __m256i load_16(const uint8_t *row) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)row));
}

/* Blends 16 levels. Unpacking and packing both stay within halves of a register, so that the order
   is restored. An odd last row has no partner: the weight after its own is 0. */
FP_INLINE FP_AVX2 __m256i blend_16(const blend *b, uint32_t count, __m256i half, __m128i shift,
                                   size_t x) {
    const uint8_t *row = b->pixels + x;
    __m256i low = half, high = half;
    for (uint32_t k = 0; k < count; k += 2, row += 2 * b->stride) {
        __m256i first = load_16(row);
        __m256i second = k + 1 < count ? load_16(row + b->stride) : _mm256_setzero_si256();
        __m256i weights = _mm256_set1_epi32(pair_at(b->weights + k));
        low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_unpacklo_epi16(first, second),
                                                      weights));
        high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_unpackhi_epi16(first, second),
                                                        weights));
    }
    return _mm256_packs_epi32(_mm256_sra_epi32(low, shift), _mm256_sra_epi32(high, shift));
}

/* The last 16 levels may overlap those before. */
FP_INLINE FP_AVX2 void blend_by_16(const blend *b, int bits, int16_t *out, size_t length,
                                   uint32_t count) {
    const __m256i half = _mm256_set1_epi32(1 << bits >> 1);
    const __m128i shift = _mm_cvtsi32_si128(bits);
    for (size_t x = 0; x + 16 <= length; x += 16)
        _mm256_storeu_si256((__m256i *)(out + x), blend_16(b, count, half, shift, x));
    _mm256_storeu_si256((__m256i *)(out + length - 16),
                        blend_16(b, count, half, shift, length - 16));
}

FP_AVX2 static void blend_rows_avx2(const blend *b, int bits, int16_t *out, size_t length) {
    BY_COUNT(blend_by_16, b->count, b, bits, out, length)
}

FP_INLINE FP_AVX512 __m512i load_32(const uint8_t *row) {
    return _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)row));
}

FP_INLINE FP_AVX512 __m512i blend_32(const blend *b, uint32_t count, __m512i half, __m128i shift,
                                     size_t x) {
    const uint8_t *row = b->pixels + x;
    __m512i low = half, high = half;
    for (uint32_t k = 0; k < count; k += 2, row += 2 * b->stride) {
        __m512i first = load_32(row);
        __m512i second = k + 1 < count ? load_32(row + b->stride) : _mm512_setzero_si512();
        __m512i weights = _mm512_set1_epi32(pair_at(b->weights + k));
        low = _mm512_dpwssd_epi32(low, _mm512_unpacklo_epi16(first, second), weights);
        high = _mm512_dpwssd_epi32(high, _mm512_unpackhi_epi16(first, second), weights);
    }
    return _mm512_packs_epi32(_mm512_sra_epi32(low, shift), _mm512_sra_epi32(high, shift));
}

FP_INLINE FP_AVX512 void blend_by_32(const blend *b, int bits, int16_t *out, size_t length,
                                     uint32_t count) {
    const __m512i half = _mm512_set1_epi32(1 << bits >> 1);
    const __m128i shift = _mm_cvtsi32_si128(bits);
    for (size_t x = 0; x + 32 <= length; x += 32)
        _mm512_storeu_si512(out + x, blend_32(b, count, half, shift, x));
    _mm512_storeu_si512(out + length - 32, blend_32(b, count, half, shift, length - 32));
}

FP_AVX512 static void blend_rows_avx512(const blend *b, int bits, int16_t *out, size_t length) {
    BY_COUNT(blend_by_32, b->count, b, bits, out, length)
}

FP_INLINE FP_AVX2 __m256i join(__m128i low, __m128i high) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

/* Blends RGB outputs `i` and `j`, one in each half, channel by channel. */
FP_INLINE FP_AVX2 __m256i blend_two_pixels(const fp_weights *w, const int16_t *row, uint32_t pairs,
                                           uint32_t i, uint32_t j, __m256i half) {
    const __m256i by_channel = _mm256_setr_epi8(0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1, -1,
                                                -1, 0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1,
                                                -1, -1);
    const int16_t *one = row + (size_t)w->first[i] * 3, *other = row + (size_t)w->first[j] * 3;
    const int16_t *one_weight = w->values + (size_t)i * w->max_taps;
    const int16_t *other_weight = w->values + (size_t)j * w->max_taps;
    __m256i sum = half;
    for (uint32_t p = 0; p < pairs; p++) {
        __m256i levels = join(_mm_loadu_si128((const __m128i *)(one + 6 * p)),
                              _mm_loadu_si128((const __m128i *)(other + 6 * p)));
        __m256i weights = _mm256_blend_epi32(_mm256_set1_epi32(pair_at(one_weight + 2 * p)),
                                             _mm256_set1_epi32(pair_at(other_weight + 2 * p)),
                                             0xf0);
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_shuffle_epi8(levels, by_channel),
                                                      weights));
    }
    return sum;
}

FP_INLINE FP_AVX2 void blend_by_4(const fp_weights *w, const int16_t *row, uint32_t count,
                                  uint8_t *out, uint32_t pairs) {
    const __m128i dense = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    const int bits = w->precision + FP_BETWEEN_BITS;
    const __m256i half = _mm256_set1_epi32(1 << bits >> 1);
    const __m128i shift = _mm_cvtsi32_si128(bits);
    for (uint32_t i = 0; i < count; i += 4, out += 12) {
        __m256i even = _mm256_sra_epi32(blend_two_pixels(w, row, pairs, i, i + 2, half), shift);
        __m256i odd = _mm256_sra_epi32(blend_two_pixels(w, row, pairs, i + 1, i + 3, half), shift);
        __m256i levels = _mm256_packs_epi32(even, odd);
        __m128i four = _mm_packus_epi16(_mm256_castsi256_si128(levels),
                                        _mm256_extracti128_si256(levels, 1));
        four = _mm_shuffle_epi8(four, dense);
        if (i + 4 > count) {
            uint8_t last[16];
            _mm_storeu_si128((__m128i *)last, four);
            memcpy(out, last, (size_t)(count - i) * 3);
            return;
        }
        uint32_t fourth = (uint32_t)_mm_extract_epi32(four, 2);
        _mm_storel_epi64((__m128i *)out, four);
        memcpy(out + 8, &fourth, 4);
    }
}

FP_AVX2 static void blend_columns_avx2(const fp_weights *w, const int16_t *row, uint32_t count,
                                       uint8_t *out) {
    BY_COUNT(blend_by_4, w->max_taps / 2, w, row, count, out)
}

FP_INLINE FP_AVX512 void blend_gathered(const gathering *g, const int16_t *row, int bits,
                                        uint32_t num_levels, uint8_t *out, uint32_t pairs) {
    const __m512i half = _mm512_set1_epi32(1 << bits >> 1);
    const __m128i shift = _mm_cvtsi32_si128(bits);
    const int32_t *weights = g->weights;
    for (uint32_t i = 0; i < g->count; i++, out += LEVELS) {
        const int16_t *in = row + g->begins[i];
        __m512i places = _mm512_loadu_si512(g->places + (size_t)i * 2 * LEVELS), sum = half;
        for (uint32_t p = 0; p < pairs; p++, weights += LEVELS) {
            __m512i low = _mm512_loadu_si512(in + 6 * p);
            __m512i high = _mm512_loadu_si512(in + 6 * p + REACH / 2);
            sum = _mm512_dpwssd_epi32(sum, _mm512_permutex2var_epi16(low, places, high),
                                      _mm512_loadu_si512(weights));
        }
        sum = _mm512_max_epi32(_mm512_sra_epi32(sum, shift), _mm512_setzero_si512());
        uint32_t left = num_levels - i * LEVELS;
        __mmask16 wanted = left < LEVELS ? (__mmask16)((1u << left) - 1) : 0xffff;
        _mm_mask_storeu_epi8(out, wanted, _mm512_cvtusepi32_epi8(sum));
    }
}

FP_AVX512 static void blend_columns_avx512(const fp_weights *w, const gathering *g,
                                           const int16_t *row, uint32_t count, uint8_t *out) {
    int bits = w->precision + FP_BETWEEN_BITS;
    BY_COUNT(blend_gathered, w->max_taps / 2, g, row, bits, 3 * count, out)
}
#endif

static void resample_rows(const blend *b, int shift, int16_t *out, size_t length) {
#if FP_HAS_AVX2
    if (length >= 32 && fp_may_use_avx512()) {
        blend_rows_avx512(b, shift, out, length);
        return;
    }
    if (length >= 16 && fp_may_use_avx2()) {
        blend_rows_avx2(b, shift, out, length);
        return;
    }
#endif
    blend_rows(b, shift, out, length);
}

static void resample_columns(const fp_weights *w, const gathering *g, const int16_t *row,
                             uint32_t count, int channels, uint8_t *out) {
#if FP_HAS_AVX2
    if (g->count) {
        blend_columns_avx512(w, g, row, count, out);
        return;
    }
    if (channels == 3 && fp_may_use_avx2()) {
        blend_columns_avx2(w, row, count, out);
        return;
    }
#endif
    (void)g;
    blend_columns(w, row, count, channels, out);
}

static uint8_t *aligned(uint8_t *memory) {
    return (uint8_t *)(((uintptr_t)memory + 63) & ~(uintptr_t)63);
}

int fp_resample(const fp_source_pixels *in, const fp_axis *across, const fp_axis *down,
                int interpolation, int channels, uint8_t *out, int64_t out_stride,
                fp_scratch *scratch) {
    uint32_t x_begin, x_end, y_begin, y_end;
    fp_axis_needs(across, interpolation, &x_begin, &x_end);
    fp_axis_needs(down, interpolation, &y_begin, &y_end);
    size_t across_bytes = fp_weights_bytes(across, interpolation);
    size_t down_bytes = fp_weights_bytes(down, interpolation);
    size_t needed = (size_t)(x_end - x_begin) * (size_t)channels;
    /* After the last level: zeros for weights of 0, and room for loads. */
    uint32_t max_taps = fp_axis_max_taps(across, interpolation);
    size_t padding = (size_t)max_taps * (size_t)channels + REACH;
    size_t gathered_bytes = gathering_bytes(across->count, max_taps);
    size_t row_bytes = (needed + padding) * sizeof(int16_t);
    size_t total = across_bytes + down_bytes + gathered_bytes + row_bytes + 64;
    uint8_t *memory = fp_scratch_reserve(scratch, total);
    if (!memory) return FP_NO_MEMORY;
    memory = aligned(memory);
    fp_weights horizontal, vertical;
    fp_weights_make(&horizontal, memory, across, interpolation, x_begin);
    fp_weights_make(&vertical, memory + across_bytes, down, interpolation, y_begin);
    gathering gathered = {.count = 0};
    memory += across_bytes + down_bytes;
    if (channels == 3 && fp_may_use_avx512())
        make_gathering(&gathered, memory, &horizontal, across->count);
    int16_t *blended = (int16_t *)(memory + gathered_bytes);
    memset(blended + needed, 0, padding * sizeof *blended);
    const uint8_t *first_row = in->pixels + (int64_t)(y_begin - in->y) * in->stride +
                               (int64_t)(x_begin - in->x) * channels;
    for (uint32_t i = 0; i < down->count; i++, out += out_stride) {
        blend rows = {first_row + (int64_t)vertical.first[i] * in->stride, in->stride,
                      vertical.values + (size_t)i * vertical.max_taps,
                      vertical.counts[i]};
        resample_rows(&rows, vertical.precision - FP_BETWEEN_BITS, blended, needed);
        resample_columns(&horizontal, &gathered, blended, across->count, channels, out);
    }
    return FP_OK;
}
