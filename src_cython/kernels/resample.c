/* Convolution resampling with Pillow's filters: widened by the scale when shrinking, rows blended first, then
   columns. Between the two, levels keep 6 bits behind the point, where Pillow rounds; so whichever axis it
   takes first (its version 13 chooses by cost), a filter without negative weights stays within one level of
   it. Weights have 16 bits, as many of them behind the point as fit; the sum of a position's weights is
   exactly one, so flat areas stay as they are. */
#include "resample.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define HAS_VECTORS 1
#else
#define HAS_VECTORS 0
#endif

static int vectors_allowed = 1;

void fp_resample_allow_vectors(int allowed) { vectors_allowed = allowed; }

/* Between the passes a level is a 16-bit number with this many bits behind the point. */
#define BETWEEN 6

/* Filters */

static double triangle(double x) {
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

/* Keys, "Cubic convolution interpolation" (1981), a = -1/2. */
static double cubic(double x) {
    x = fabs(x);
    if (x < 1.0) return (1.5 * x - 2.5) * x * x + 1.0;
    return x < 2.0 ? ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0 : 0.0;
}

static double box(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

typedef struct {
    double (*weight)(double);
    double reach; /* it is zero beyond */
} kernel;

static kernel kernel_of(int interpolation) {
    switch (interpolation) {
    case FP_BICUBIC: return (kernel){cubic, 2.0};
    case FP_AREA: return (kernel){box, 0.5};
    default: return (kernel){triangle, 1.0};
    }
}

static double scale_of(const fp_axis *axis) { return axis->extent / axis->scaled_size; }

static double widening_of(const fp_axis *axis) {
    double scale = scale_of(axis);
    return scale < 1.0 ? 1.0 : scale;
}

int fp_axis_is_copy(const fp_axis *axis) {
    return axis->extent == axis->scaled_size && axis->begin == floor(axis->begin);
}

/* The inputs [first, end) that output `i` looks at, and the output's centre, all counted from the box's first
   pixel: then a box gives the same weights wherever it lies. */
static double inputs_of(const fp_axis *axis, int interpolation, uint32_t i, int64_t *first, int64_t *end) {
    double inside = axis->begin - floor(axis->begin);
    double centre = inside + (i + 0.5) * scale_of(axis);
    int64_t highest = (int64_t)ceil(inside + axis->extent);
    if (interpolation == FP_NEAREST || fp_axis_is_copy(axis)) {
        *first = (int64_t)centre < highest ? (int64_t)centre : highest - 1;
        *end = *first + 1;
        return centre;
    }
    double reach = kernel_of(interpolation).reach * widening_of(axis);
    *first = (int64_t)floor(centre - reach + 0.5);
    *end = (int64_t)floor(centre + reach + 0.5);
    if (*first < 0) *first = 0;
    if (*end > highest) *end = highest;
    return centre;
}

void fp_axis_needs(const fp_axis *axis, int interpolation, uint32_t *begin, uint32_t *end) {
    int64_t first, last, ignored;
    inputs_of(axis, interpolation, axis->first, &first, &ignored);
    inputs_of(axis, interpolation, axis->first + axis->count - 1, &ignored, &last);
    int64_t origin = (int64_t)floor(axis->begin);
    *begin = (uint32_t)(origin + first);
    *end = (uint32_t)(origin + last);
}

/* Weights of all wanted outputs of an axis: output i has max_taps of them, for inputs from first[i] on. Those
   behind the last real one are zero. */
typedef struct {
    uint32_t *first;
    int16_t *weights;
    uint32_t max_taps; /* a multiple of 4, as the vector paths like it */
    int precision;
} filter;

static uint32_t max_taps_of(const fp_axis *axis, int interpolation) {
    double reach = interpolation == FP_NEAREST ? 0.5 : kernel_of(interpolation).reach * widening_of(axis);
    return ((uint32_t)ceil(reach) * 2 + 1 + 3) / 4 * 4;
}

static size_t aligned(size_t size) { return (size + 63) & ~(size_t)63; }

static size_t filter_bytes(const fp_axis *axis, int interpolation) {
    size_t taps = max_taps_of(axis, interpolation);
    return aligned(axis->count * sizeof(uint32_t)) + aligned(axis->count * taps * sizeof(int16_t)) + aligned(taps * sizeof(double));
}

static uint32_t exact_weights(const fp_axis *axis, int interpolation, uint32_t i, double *weights, uint32_t *first_input) {
    int64_t first, end;
    double centre = inputs_of(axis, interpolation, axis->first + i, &first, &end), sum = 0.0;
    double narrowing = 1.0 / widening_of(axis);
    uint32_t taps = (uint32_t)(end - first);
    *first_input = (uint32_t)((int64_t)floor(axis->begin) + first);
    for (uint32_t k = 0; k < taps; k++)
        sum += weights[k] = taps == 1 ? 1.0 : kernel_of(interpolation).weight(((double)(first + k) - centre + 0.5) * narrowing);
    for (uint32_t k = 0; k < taps; k++) weights[k] /= sum;
    return taps;
}

/* Sums are rounded, not weights: so what rounding leaves is spread over all, and their sum is exactly one. */
static void round_weights(const double *exact, uint32_t taps, int precision, int16_t *out, uint32_t max_taps) {
    double sum = 0.0;
    long before = 0;
    memset(out, 0, max_taps * sizeof *out);
    for (uint32_t k = 0; k < taps; k++) {
        sum += exact[k];
        long rounded = lrint(sum * (1 << precision));
        out[k] = (int16_t)(rounded - before);
        before = rounded;
    }
}

static uint8_t *make_filter(filter *f, uint8_t *memory, const fp_axis *axis, int interpolation, uint32_t input_begin) {
    f->max_taps = max_taps_of(axis, interpolation);
    f->first = (uint32_t *)memory;
    memory += aligned(axis->count * sizeof(uint32_t));
    f->weights = (int16_t *)memory;
    memory += aligned((size_t)axis->count * f->max_taps * sizeof(int16_t));
    double *exact = (double *)memory, largest = 0.0;
    for (uint32_t i = 0; i < axis->count; i++) {
        uint32_t taps = exact_weights(axis, interpolation, i, exact, &f->first[i]);
        for (uint32_t k = 0; k < taps; k++) largest = fabs(exact[k]) > largest ? fabs(exact[k]) : largest;
    }
    /* Rounding may add one to a weight, and 32-bit sums must hold levels of
       8 + BETWEEN bits, with those that a cubic filter overshoots by. */
    for (f->precision = BETWEEN; f->precision < 15 && largest * (2 << f->precision) < 32000.0;) f->precision++;
    for (uint32_t i = 0; i < axis->count; i++) {
        uint32_t taps = exact_weights(axis, interpolation, i, exact, &f->first[i]);
        round_weights(exact, taps, f->precision, f->weights + (size_t)i * f->max_taps, f->max_taps);
        f->first[i] -= input_begin;
    }
    return memory + aligned(f->max_taps * sizeof(double));
}

/* Plain paths */

static int32_t clip(int32_t value, int32_t low, int32_t high) { return value < low ? low : value > high ? high : value; }

/* One blended row: rows[k] weigh in with weights[k]. */
static void blend_rows(const uint8_t *const *rows, const int16_t *weights, uint32_t taps, int precision, int16_t *out,
                       size_t begin, size_t end) {
    int shift = precision - BETWEEN;
    for (size_t x = begin; x < end; x++) {
        int32_t sum = 1 << shift >> 1;
        for (uint32_t k = 0; k < taps; k++) sum += rows[k][x] * weights[k];
        out[x] = (int16_t)clip(sum >> shift, INT16_MIN, INT16_MAX);
    }
}

static void blend_columns(const filter *f, const int16_t *row, uint32_t count, int channels, uint8_t *out) {
    int shift = f->precision + BETWEEN;
    for (uint32_t i = 0; i < count; i++) {
        const int16_t *weights = f->weights + (size_t)i * f->max_taps;
        for (int c = 0; c < channels; c++) {
            const int16_t *in = row + (size_t)f->first[i] * (size_t)channels + c;
            int32_t sum = 1 << shift >> 1;
            for (uint32_t k = 0; k < f->max_taps; k++) sum += in[k * (size_t)channels] * weights[k];
            *out++ = (uint8_t)clip(sum >> shift, 0, 255);
        }
    }
}

/* Vector paths: the same sums, so the same pixels. */

#if HAS_VECTORS
#define AVX2 __attribute__((target("avx2")))

/* 16 columns at a time; two rows at a time, since one instruction multiplies and adds pairs. Gives how many
   columns are done. */
AVX2 static size_t blend_rows_avx2(const uint8_t *const *rows, const int16_t *weights, uint32_t taps, int precision,
                                   int16_t *out, size_t length) {
    const __m256i half = _mm256_set1_epi32(1 << (precision - BETWEEN) >> 1);
    const __m128i shift = _mm_cvtsi32_si128(precision - BETWEEN);
    size_t x = 0;
    for (; x + 16 <= length; x += 16) {
        __m256i low = half, high = half;
        for (uint32_t k = 0; k < taps; k += 2) {
            int32_t pair;
            memcpy(&pair, weights + k, sizeof pair);
            const uint8_t *second = k + 1 < taps ? rows[k + 1] : rows[k]; /* an odd last row's partner weighs zero */
            __m256i a = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(rows[k] + x)));
            __m256i b = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(second + x)));
            __m256i both = _mm256_set1_epi32(pair);
            low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), both));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), both));
        }
        /* Unpacking and packing stay within halves of a register alike, so columns come out in order. */
        __m256i levels = _mm256_packs_epi32(_mm256_sra_epi32(low, shift), _mm256_sra_epi32(high, shift));
        _mm256_storeu_si256((__m256i *)(out + x), levels);
    }
    return x;
}

/* RGB, four inputs at a time: two in each half, channel by channel, so that pairs are multiplied and added. */
AVX2 static void blend_columns_avx2(const filter *f, const int16_t *row, uint32_t count, uint8_t *out) {
    const __m256i spread = _mm256_setr_epi8(0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1, -1, -1,
                                            0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1, -1, -1);
    const __m256i by_half = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    const int bits = f->precision + BETWEEN;
    const __m128i half = _mm_set1_epi32(1 << bits >> 1), shift = _mm_cvtsi32_si128(bits);
    for (uint32_t i = 0; i < count; i++) {
        const int16_t *weights = f->weights + (size_t)i * f->max_taps;
        const int16_t *in = row + (size_t)f->first[i] * 3;
        __m256i sums = _mm256_setzero_si256();
        for (uint32_t k = 0; k < f->max_taps; k += 4, in += 12) {
            __m256i levels = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)in)),
                                                     _mm_loadu_si128((const __m128i *)(in + 6)), 1);
            __m256i four = _mm256_castsi128_si256(_mm_loadl_epi64((const __m128i *)(weights + k)));
            __m256i pairs = _mm256_permutevar8x32_epi32(four, by_half);
            sums = _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_shuffle_epi8(levels, spread), pairs));
        }
        __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
        sum = _mm_sra_epi32(_mm_add_epi32(sum, half), shift);
        sum = _mm_packus_epi16(_mm_packs_epi32(sum, sum), sum);
        uint32_t pixel = (uint32_t)_mm_cvtsi128_si32(sum);
        memcpy(out + (size_t)i * 3, &pixel, i + 1 < count ? 4 : 3);
    }
}

static int may_use_avx2(void) { return vectors_allowed && __builtin_cpu_supports("avx2"); }
#endif

static void resample_rows(const uint8_t *const *rows, const int16_t *weights, uint32_t taps, int precision, int16_t *out,
                          size_t length) {
    size_t done = 0;
#if HAS_VECTORS
    if (may_use_avx2()) done = blend_rows_avx2(rows, weights, taps, precision, out, length);
#endif
    blend_rows(rows, weights, taps, precision, out, done, length);
}

static void resample_columns(const filter *f, const int16_t *row, uint32_t count, int channels, uint8_t *out) {
#if HAS_VECTORS
    if (channels == 3 && may_use_avx2()) {
        blend_columns_avx2(f, row, count, out);
        return;
    }
#endif
    blend_columns(f, row, count, channels, out);
}

static uint32_t num_taps(const int16_t *weights, uint32_t max_taps) {
    while (max_taps > 1 && weights[max_taps - 1] == 0) max_taps--;
    return max_taps;
}

int fp_resample(const fp_picture *in, const fp_axis *across, const fp_axis *down, int interpolation, int channels,
                uint8_t *out, int64_t out_stride, fp_scratch *scratch) {
    uint32_t x_begin, x_end, y_begin, y_end;
    fp_axis_needs(across, interpolation, &x_begin, &x_end);
    fp_axis_needs(down, interpolation, &y_begin, &y_end);
    uint32_t max_taps = max_taps_of(down, interpolation);
    size_t needed = (size_t)(x_end - x_begin) * (size_t)channels;
    /* Behind the last level: zeros for weights that are zero, and room for 16-byte loads. */
    size_t padding = (size_t)max_taps_of(across, interpolation) * (size_t)channels + 8;
    uint8_t *memory = fp_scratch_reserve(scratch, filter_bytes(across, interpolation) + filter_bytes(down, interpolation) +
                                                      aligned(max_taps * sizeof(uint8_t *)) +
                                                      (needed + padding) * sizeof(int16_t) + 64);
    if (!memory) return FP_NO_MEMORY;
    memory = (uint8_t *)aligned((size_t)memory);
    filter horizontal, vertical;
    memory = make_filter(&horizontal, memory, across, interpolation, x_begin);
    memory = make_filter(&vertical, memory, down, interpolation, y_begin);
    const uint8_t **rows = (const uint8_t **)memory;
    int16_t *blended = (int16_t *)(memory + aligned(max_taps * sizeof(uint8_t *)));
    memset(blended + needed, 0, padding * sizeof(int16_t));
    const uint8_t *first_row = in->pixels + (int64_t)(y_begin - in->y) * in->stride + (int64_t)(x_begin - in->x) * channels;
    for (uint32_t i = 0; i < down->count; i++, out += out_stride) {
        const int16_t *weights = vertical.weights + (size_t)i * vertical.max_taps;
        uint32_t taps = num_taps(weights, vertical.max_taps);
        for (uint32_t k = 0; k < taps; k++) rows[k] = first_row + (int64_t)(vertical.first[i] + k) * in->stride;
        resample_rows(rows, weights, taps, vertical.precision, blended, needed);
        resample_columns(&horizontal, blended, across->count, channels, out);
    }
    return FP_OK;
}
