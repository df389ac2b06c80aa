/* The triangle filter, widened by the scale when shrinking, one axis after the other, in fixed point:
   the method and the rounding of Image.resize(..., BILINEAR) in Pillow. The two differ by one level at
   most, where Pillow takes the axes in the other order. */
#include "resample.h"

#include <math.h>
#include <string.h>

#define PRECISION 22 /* 8 bits of pixel, 2 bits of head-room for sums */
#define HALF (1 << (PRECISION - 1))

/* For each output position, which inputs weigh in, and how much: count weights from `first` on. */
typedef struct {
    uint32_t *first;
    uint32_t *count;
    int32_t *weights; /* max_count each */
    uint32_t max_count;
} filter;

static uint32_t filter_reach(uint32_t in_size, uint32_t out_size) {
    double scale = (double)in_size / out_size;
    return (uint32_t)ceil(scale < 1.0 ? 1.0 : scale) * 2 + 1;
}

static size_t filter_bytes(uint32_t in_size, uint32_t out_size) {
    return (size_t)out_size * (2 * sizeof(uint32_t) + filter_reach(in_size, out_size) * sizeof(int32_t));
}

static uint8_t *lay_out(filter *f, uint8_t *memory, uint32_t in_size, uint32_t out_size) {
    f->max_count = filter_reach(in_size, out_size);
    f->first = (uint32_t *)memory;
    f->count = f->first + out_size;
    f->weights = (int32_t *)(f->count + out_size);
    return memory + filter_bytes(in_size, out_size);
}

static double triangle(double distance) {
    distance = fabs(distance);
    return distance < 1.0 ? 1.0 - distance : 0.0;
}

static void fill_weights(const filter *f, uint32_t in_size, uint32_t out_size) {
    double scale = (double)in_size / out_size;
    double widening = scale < 1.0 ? 1.0 : scale;
    double narrowing = 1.0 / widening;
    for (uint32_t i = 0; i < out_size; i++) {
        double centre = (i + 0.5) * scale;
        int64_t first = (int64_t)(centre - widening + 0.5);
        int64_t end = (int64_t)(centre + widening + 0.5);
        if (first < 0) first = 0;
        if (end > in_size) end = in_size;
        double sum = 0.0;
        for (int64_t x = first; x < end; x++) sum += triangle(((double)x - centre + 0.5) * narrowing);
        double share = 1.0 / sum;
        int32_t *weights = f->weights + (size_t)i * f->max_count;
        for (int64_t x = first; x < end; x++) {
            double weight = triangle(((double)x - centre + 0.5) * narrowing) * share;
            weights[x - first] = (int32_t)(weight * (1 << PRECISION) + 0.5);
        }
        f->first[i] = (uint32_t)first;
        f->count[i] = (uint32_t)(end - first);
    }
}

static uint8_t to_pixel(int32_t sum) {
    sum >>= PRECISION;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

static void resample_row(const filter *f, const uint8_t *in, uint8_t *out, uint32_t out_width, int channels) {
    for (uint32_t i = 0; i < out_width; i++) {
        const int32_t *weights = f->weights + (size_t)i * f->max_count;
        const uint8_t *pixel = in + (size_t)f->first[i] * (size_t)channels;
        if (channels == 3) {
            int32_t r = HALF, g = HALF, b = HALF;
            for (uint32_t k = 0; k < f->count[i]; k++, pixel += 3) {
                r += pixel[0] * weights[k];
                g += pixel[1] * weights[k];
                b += pixel[2] * weights[k];
            }
            *out++ = to_pixel(r), *out++ = to_pixel(g), *out++ = to_pixel(b);
        } else {
            int32_t sum = HALF;
            for (uint32_t k = 0; k < f->count[i]; k++) sum += pixel[k] * weights[k];
            *out++ = to_pixel(sum);
        }
    }
}

static void resample_column(const filter *f, uint32_t i, const uint8_t *in, size_t row_bytes, int32_t *sums, uint8_t *out) {
    const int32_t *weights = f->weights + (size_t)i * f->max_count;
    const uint8_t *row = in + f->first[i] * row_bytes;
    for (size_t x = 0; x < row_bytes; x++) sums[x] = HALF;
    for (uint32_t k = 0; k < f->count[i]; k++, row += row_bytes)
        for (size_t x = 0; x < row_bytes; x++) sums[x] += row[x] * weights[k];
    for (size_t x = 0; x < row_bytes; x++) out[x] = to_pixel(sums[x]);
}

int fp_resample(const uint8_t *in, ptrdiff_t in_stride, uint32_t in_width, uint32_t in_height, uint8_t *out,
                ptrdiff_t out_stride, uint32_t out_width, uint32_t out_height, int channels, fp_scratch *scratch) {
    size_t row_bytes = (size_t)out_width * (size_t)channels;
    size_t needed = filter_bytes(in_width, out_width) + filter_bytes(in_height, out_height) +
                    row_bytes * sizeof(int32_t) + row_bytes * in_height;
    uint8_t *memory = fp_scratch_reserve(scratch, needed);
    if (!memory) return FP_NO_MEMORY;
    filter across, down;
    memory = lay_out(&across, memory, in_width, out_width);
    memory = lay_out(&down, memory, in_height, out_height);
    int32_t *sums = (int32_t *)memory;
    uint8_t *narrowed = memory + row_bytes * sizeof(int32_t);
    fill_weights(&across, in_width, out_width);
    fill_weights(&down, in_height, out_height);
    for (uint32_t y = 0; y < in_height; y++) {
        const uint8_t *row = in + (ptrdiff_t)y * in_stride;
        if (in_width == out_width) memcpy(narrowed + y * row_bytes, row, row_bytes);
        else resample_row(&across, row, narrowed + y * row_bytes, out_width, channels);
    }
    for (uint32_t i = 0; i < out_height; i++) {
        uint8_t *out_row = out + (ptrdiff_t)i * out_stride;
        if (in_height == out_height) memcpy(out_row, narrowed + i * row_bytes, row_bytes);
        else resample_column(&down, i, narrowed, row_bytes, sums, out_row);
    }
    return FP_OK;
}
