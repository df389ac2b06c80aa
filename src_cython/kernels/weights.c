/* Weights of resampling.

   An output's center maps to a point of the input. Its taps are the inputs within the reach of the
   filter around that point, cut at the box. When the image shrinks, reach and filter are multiplied
   by the scale. Weights are the filter at the distance of each tap, divided by their sum.

   Integer weights: 16 bits, with as many fractional bits as fit the largest weight and 32-bit sums.
   The running sums of exact weights are rounded, and a weight is the difference of two. So the
   weights of an output sum up to exactly one, and flat areas stay unchanged.

   Everything is counted from the first pixel of the box, so that a box gives the same weights
   anywhere. Sources: Pillow's Resample.c; R. Keys (1981) for the cubic filter. */
#include "weights.h"

#include <math.h>
#include <string.h>

#include "vectors.h"

/* Filters: weight by distance, and reach */

FP_INLINE double triangle(double x) {
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

/* Keys, "Cubic convolution interpolation for digital image processing" (1981), a = -1/2. */
FP_INLINE double cubic(double x) {
    x = fabs(x);
    if (x < 1.0) return (1.5 * x - 2.5) * x * x + 1.0;
    return x < 2.0 ? ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0 : 0.0;
}

FP_INLINE double box(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

static double reach_of(int interpolation) {
    return interpolation == FP_BICUBIC ? 2.0 : interpolation == FP_AREA ||
           interpolation == FP_NEAREST ? 0.5 : 1.0;
}

static double scale_of(const fp_axis *axis) { return axis->extent / axis->scaled_size; }

static double widening_of(const fp_axis *axis) {
    double scale = scale_of(axis);
    return scale < 1.0 ? 1.0 : scale;
}

int fp_axis_is_copy(const fp_axis *axis) {
    return axis->extent == axis->scaled_size && axis->begin == floor(axis->begin);
}

/* An axis counted from the first pixel of the box. */
typedef struct {
    double inside, scale;    /* where the box begins inside that pixel; inputs for an output */
    double reach;            /* of the widened filter */
    int64_t num_inputs;
    int takes_nearest;
} axis_map;

static axis_map axis_map_of(const fp_axis *axis, int interpolation) {
    double inside = axis->begin - floor(axis->begin);
    return (axis_map){inside, scale_of(axis), reach_of(interpolation) * widening_of(axis),
                      (int64_t)ceil(inside + axis->extent),
                  interpolation == FP_NEAREST || fp_axis_is_copy(axis)};
}

/* Equals libm's floor. That is a function call unless SSE4.1 is assumed. */
FP_INLINE int64_t floor_of(double x) {
    int64_t truncated = (int64_t)x;
    return truncated - (x < (double)truncated);
}

/* Gives the taps [first, end) of output `i`, and returns its center. */
FP_INLINE double inputs_of(const axis_map *v, uint32_t i, int64_t *first, int64_t *end) {
    double center = v->inside + (i + 0.5) * v->scale;
    if (v->takes_nearest) {
        *first = (int64_t)center < v->num_inputs ? (int64_t)center : v->num_inputs - 1;
        *end = *first + 1;
        return center;
    }
    *first = floor_of(center - v->reach + 0.5);
    *end = floor_of(center + v->reach + 0.5);
    if (*first < 0) *first = 0;
    if (*end > v->num_inputs) *end = v->num_inputs;
    return center;
}

void fp_axis_needs(const fp_axis *axis, int interpolation, uint32_t *begin, uint32_t *end) {
    int64_t first, last, ignored;
    axis_map v = axis_map_of(axis, interpolation);
    inputs_of(&v, axis->first, &first, &ignored);
    inputs_of(&v, axis->first + axis->count - 1, &ignored, &last);
    int64_t origin = (int64_t)floor(axis->begin);
    *begin = (uint32_t)(origin + first);
    *end = (uint32_t)(origin + last);
}

uint32_t fp_axis_max_taps(const fp_axis *axis, int interpolation) {
    return (uint32_t)ceil(reach_of(interpolation) * widening_of(axis)) * 2 + 2;
}

static size_t aligned(size_t size) { return (size + 63) & ~(size_t)63; }

static size_t padded_outputs(const fp_axis *axis) {
    return ((size_t)axis->count + FP_PADDED_OUTPUTS - 1) / FP_PADDED_OUTPUTS * FP_PADDED_OUTPUTS;
}

size_t fp_weights_bytes(const fp_axis *axis, int interpolation) {
    size_t outputs = padded_outputs(axis), taps = fp_axis_max_taps(axis, interpolation);
    return 2 * aligned(outputs * sizeof(uint32_t)) + aligned(outputs * taps * sizeof(int16_t)) +
           aligned(axis->count * taps * sizeof(double));
}

/* Computes the exact weights of an output. Returns the largest. */
FP_INLINE double weigh(double (*filter)(double), double first, double center, uint32_t taps,
                       double narrowing, double *weights) {
    double sum = 0.0, largest = 0.0;
    if (taps == 1) {
        weights[0] = 1.0;
        return 1.0;
    }
    for (uint32_t k = 0; k < taps; k++) {
        weights[k] = filter((first + k - center + 0.5) * narrowing);
        sum += weights[k];
    }
    for (uint32_t k = 0; k < taps; k++) {
        weights[k] /= sum;
        largest = fabs(weights[k]) > largest ? fabs(weights[k]) : largest;
    }
    return largest;
}

/* Computes the exact weights of all outputs, `capacity` apart. Returns the largest. */
FP_INLINE double weigh_all(fp_weights *w, const fp_axis *axis, const axis_map *v,
                           double (*filter)(double), double *exact, uint32_t capacity) {
    double narrowing = 1.0 / widening_of(axis), largest = 0.0;
    for (uint32_t i = 0; i < axis->count; i++) {
        int64_t first, end;
        double center = inputs_of(v, axis->first + i, &first, &end);
        uint32_t taps = (uint32_t)(end - first);
        uint32_t place = axis->is_mirrored ? axis->count - 1 - i : i;
        double highest = weigh(filter, (double)first, center, taps, narrowing,
                               exact + (size_t)place * capacity);
        largest = highest > largest ? highest : largest;
        w->first[place] = (uint32_t)first;
        w->counts[place] = taps;
        if (taps > w->max_taps) w->max_taps = taps;
    }
    return largest;
}

/* Rounds half to even, below 2^51: the sum with 1.5 * 2^52 has no fractional bits. */
FP_INLINE double rounded(double x) {
    const double large = 6755399441055744.0;
    double sum = x + large;
    return sum - large;
}

FP_INLINE void round_weights(const double *exact, uint32_t taps, double one, int16_t *out) {
    double sum = 0.0, before = 0.0;
    for (uint32_t k = 0; k < taps; k++) {
        sum += exact[k];
        double now = rounded(sum * one);
        out[k] = (int16_t)(now - before);
        before = now;
    }
}

void fp_weights_make(fp_weights *w, uint8_t *memory, const fp_axis *axis, int interpolation,
                     uint32_t input_begin) {
    size_t outputs = padded_outputs(axis);
    uint32_t capacity = fp_axis_max_taps(axis, interpolation);
    uint32_t origin = (uint32_t)(int64_t)floor(axis->begin) - input_begin;
    axis_map v = axis_map_of(axis, interpolation);
    w->first = (uint32_t *)memory;
    memory += aligned(outputs * sizeof(uint32_t));
    w->counts = (uint32_t *)memory;
    memory += aligned(outputs * sizeof(uint32_t));
    w->values = (int16_t *)memory;
    double *exact = (double *)(memory + aligned(outputs * capacity * sizeof(int16_t))), largest;
    w->max_taps = 0;
    switch (interpolation) {
    case FP_BICUBIC: largest = weigh_all(w, axis, &v, cubic, exact, capacity); break;
    case FP_AREA: largest = weigh_all(w, axis, &v, box, exact, capacity); break;
    default: largest = weigh_all(w, axis, &v, triangle, exact, capacity);
    }
    w->max_taps += w->max_taps % 2;
    /* Rounding may add one to a weight. 32-bit sums must hold numbers of 8 + FP_BETWEEN_BITS bits,
       and what a cubic filter overshoots. */
    for (w->precision = FP_BETWEEN_BITS; w->precision < 15 &&
         largest * (2 << w->precision) < 32000.0;)
        w->precision++;
    memset(w->values, 0, outputs * w->max_taps * sizeof *w->values);
    memset(w->first + axis->count, 0, (outputs - axis->count) * sizeof *w->first);
    for (uint32_t i = 0; i < axis->count; i++) {
        round_weights(exact + (size_t)i * capacity, w->counts[i], 1 << w->precision,
                      w->values + (size_t)i * w->max_taps);
        w->first[i] += origin;
    }
}
