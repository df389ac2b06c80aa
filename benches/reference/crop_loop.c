/* Reference of training input, in plain C that the compiler vectorizes. For each JPEG it

   - decodes only the box: crops columns, skips the rows above, stops after the last row;
   - resamples the box with an antialiased triangle filter, and flips it if the view says so;
   - writes the pixels to the image's part of the batch.

   Each of N threads takes the next image from a shared counter. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "geometry.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_EACH_PROCESSOR __attribute__((target_clones("arch=haswell", "default")))
#else
#define FOR_EACH_PROCESSOR
#endif

enum {
    BLOCK = 32,     /* levels that are summed together */
    ONE_DOWN = 256, /* sum of the weights of rows; the weights of columns divide by it */
};

typedef struct {
    const uint8_t *jpegs;         /* concatenated */
    const int64_t *jpeg_offsets;  /* num_images + 1 */
    const fp_view *views;         /* num_images; orientations are ignored */
    uint8_t *batch;               /* num_images x size x size x 3 */
    uint32_t size;
    int64_t num_images;
    int64_t next;
    int64_t num_failed;
} job;

/* Filter of one axis: output i is the weighted sum of `taps` inputs from first[i]. */
typedef struct {
    uint32_t *first;
    float *weights;
    uint32_t taps, capacity, size;
} filter;

typedef struct {
    struct jpeg_error_mgr errors;
    jmp_buf escape;
    struct jpeg_decompress_struct jpeg;
    uint8_t *pixels;
    size_t capacity;
    float *blended;
    filter across, down;
} worker;

static void on_error(j_common_ptr common) { longjmp(((worker *)common->err)->escape, 1); }

static void *grown(worker *w, void *memory, size_t bytes) {
    void *larger = realloc(memory, bytes);
    if (!larger) longjmp(w->escape, 1);
    return larger;
}

static void reserve_filter(worker *w, filter *f, double width, uint32_t extent) {
    f->taps = 2 * (uint32_t)ceil(width) + 1;
    if (f->taps > extent) f->taps = extent;
    if (f->taps <= f->capacity) return;
    f->weights = grown(w, f->weights, f->size * f->taps * sizeof *f->weights);
    f->capacity = f->taps;
}

/* Computes weights of `taps` inputs from `first` for an output at `center`; their sum is 1. */
static void triangle(double first, uint32_t taps, double center, double width,
                     double *weights) {
    double sum = 0;
    for (uint32_t k = 0; k < taps; k++) {
        weights[k] = fmax(0, 1 - fabs(first + k + 0.5 - center) / width);
        sum += weights[k];
    }
    for (uint32_t k = 0; k < taps; k++) weights[k] /= sum;
}

static void round_weights(const double *weights, uint32_t taps, float *out) {
    double left = ONE_DOWN;
    uint32_t largest = 0;
    for (uint32_t k = 0; k < taps; k++) {
        out[k] = (float)rint(weights[k] * ONE_DOWN);
        left -= out[k];
        if (out[k] > out[largest]) largest = k;
    }
    out[largest] += (float)left;
}

/* Makes the filter of outputs [window, window + size) of `extent` inputs scaled to `scaled_size`.
   All its inputs exist; unused ones have the weight 0. */
static void make_filter(worker *w, filter *f, uint32_t extent, uint32_t scaled_size,
                        uint32_t window, int down) {
    double scale = (double)extent / scaled_size, width = scale < 1 ? 1 : scale;
    reserve_filter(w, f, width, extent);
    for (uint32_t i = 0; i < f->size; i++) {
        double center = (window + i + 0.5) * scale, weights[f->taps];
        int64_t first = (int64_t)floor(center - width + 0.5), last = (int64_t)extent - f->taps;
        f->first[i] = (uint32_t)(first < 0 ? 0 : first > last ? last : first);
        triangle(f->first[i], f->taps, center, width, weights);
        float *out = f->weights + i * f->taps;
        if (down) round_weights(weights, f->taps, out);
        else for (uint32_t k = 0; k < f->taps; k++) out[k] = (float)(weights[k] / ONE_DOWN);
    }
}

/* With 8-bit weights the sums fit in 16 bits, of which a vector holds many. */
FOR_EACH_PROCESSOR
static void blend_rows(const uint8_t *rows, size_t stride, const float *weights, uint32_t taps,
                       float *restrict out, size_t length) {
    for (size_t x = 0; x < length; x += BLOCK) {
        uint16_t sums[BLOCK] = {0};
        const uint8_t *row = rows + x;
        for (uint32_t k = 0; k < taps; k++, row += stride) {
            uint16_t weight = (uint16_t)weights[k];
            for (int j = 0; j < BLOCK; j++) sums[j] = (uint16_t)(sums[j] + row[j] * weight);
        }
        for (int j = 0; j < BLOCK; j++) out[x + j] = sums[j];
    }
}

/* Four levels at a time; the last one is the next pixel's and ignored. */
typedef float levels __attribute__((vector_size(16), aligned(4)));
typedef int32_t integers __attribute__((vector_size(16)));

static inline __attribute__((always_inline)) void blend_pixels(const float *row, const filter *f,
                                                               uint32_t taps, int flip,
                                                               uint8_t *restrict out) {
    for (uint32_t i = 0; i < f->size; i++) {
        const float *in = row + f->first[i] * 3, *weights = f->weights + i * taps;
        levels sum = {0.5f, 0.5f, 0.5f, 0.5f};
        for (uint32_t k = 0; k < taps; k++, in += 3) sum += *(const levels *)in * weights[k];
        integers rounded = __builtin_convertvector(sum, integers);
        uint8_t *pixel = out + (flip ? f->size - 1 - i : i) * 3;
        for (int c = 0; c < 3; c++) pixel[c] = (uint8_t)rounded[c];
    }
}

/* With a constant number of taps, the compiler unrolls the innermost loop. */
FOR_EACH_PROCESSOR
static void blend_columns(const float *row, const filter *f, int flip, uint8_t *out) {
    switch (f->taps) {
    case 3: blend_pixels(row, f, 3, flip, out); break;
    case 5: blend_pixels(row, f, 5, flip, out); break;
    case 7: blend_pixels(row, f, 7, flip, out); break;
    default: blend_pixels(row, f, f->taps, flip, out);
    }
}

typedef struct {
    uint32_t x, y, width, height;
} box;

/* Returns the part of the image that the filters need, and makes them relative to it. */
static box needed(const fp_view *view, filter *across, filter *down) {
    uint32_t x = across->first[0], y = down->first[0], last = across->size - 1;
    for (uint32_t i = 0; i <= last; i++) {
        across->first[i] -= x;
        down->first[i] -= y;
    }
    return (box){view->x + x, view->y + y, across->first[last] + across->taps,
                 down->first[last] + down->taps};
}

/* Decodes the box's rows, with a margin of columns; returns the box's first column in a row. */
static uint32_t decode_box(worker *w, box part, size_t *stride) {
    j_decompress_ptr jpeg = &w->jpeg;
    jpeg->out_color_space = JCS_RGB;
    jpeg_start_decompress(jpeg);
    JDIMENSION beside = (JDIMENSION)jpeg->max_h_samp_factor; /* one chroma sample, for upsampling */
    JDIMENSION first = part.x > beside ? part.x - beside : 0;
    JDIMENSION end = part.x + part.width + beside;
    JDIMENSION width = (end < jpeg->output_width ? end : jpeg->output_width) - first;
    jpeg_crop_scanline(jpeg, &first, &width);
    if (part.y) jpeg_skip_scanlines(jpeg, part.y);
    *stride = (size_t)jpeg->output_width * 3;
    size_t bytes = *stride * part.height + BLOCK; /* blend_rows reads whole blocks */
    if (bytes > w->capacity) {
        w->pixels = grown(w, w->pixels, bytes);
        w->blended = grown(w, w->blended, bytes * sizeof *w->blended);
        w->capacity = bytes;
    }
    while (jpeg->output_scanline < part.y + part.height) {
        JSAMPROW rows[2];
        for (int i = 0; i < 2; i++)
            rows[i] = w->pixels + (jpeg->output_scanline - part.y + (unsigned)i) * *stride;
        jpeg_read_scanlines(jpeg, rows, part.y + part.height - jpeg->output_scanline > 1 ? 2 : 1);
    }
    jpeg_abort_decompress(jpeg);
    return part.x - first;
}

static void decode_image(worker *w, const job *all, int64_t image) {
    const fp_view *view = &all->views[image];
    jpeg_mem_src(&w->jpeg, all->jpegs + all->jpeg_offsets[image],
                 (unsigned long)(all->jpeg_offsets[image + 1] - all->jpeg_offsets[image]));
    jpeg_read_header(&w->jpeg, TRUE);
    if (view->x + view->width > w->jpeg.image_width ||
        view->y + view->height > w->jpeg.image_height)
        longjmp(w->escape, 1);
    make_filter(w, &w->across, view->width, view->scaled_width, view->left, 0);
    make_filter(w, &w->down, view->height, view->scaled_height, view->top, 1);
    box part = needed(view, &w->across, &w->down);
    size_t stride;
    uint32_t left = decode_box(w, part, &stride);
    const uint8_t *rows = w->pixels + left * 3;
    uint8_t *out = all->batch + (size_t)image * all->size * all->size * 3;
    for (uint32_t y = 0; y < all->size; y++, out += all->size * 3) {
        blend_rows(rows + w->down.first[y] * stride, stride, w->down.weights + y * w->down.taps,
                   w->down.taps, w->blended, part.width * 3);
        blend_columns(w->blended, &w->across, view->flip, out);
    }
}

static void *decode_images(void *argument) {
    job *all = argument;
    worker *w = calloc(1, sizeof *w);
    int64_t image;
    if (!w) return NULL;
    w->across.size = w->down.size = all->size;
    w->across.first = malloc(all->size * sizeof *w->across.first);
    w->down.first = malloc(all->size * sizeof *w->down.first);
    w->jpeg.err = jpeg_std_error(&w->errors);
    w->errors.error_exit = on_error;
    jpeg_create_decompress(&w->jpeg);
    while ((image = __atomic_fetch_add(&all->next, 1, __ATOMIC_RELAXED)) < all->num_images) {
        if (setjmp(w->escape)) {
            __atomic_fetch_add(&all->num_failed, 1, __ATOMIC_RELAXED);
            jpeg_abort_decompress(&w->jpeg);
            continue;
        }
        decode_image(w, all, image);
    }
    jpeg_destroy_decompress(&w->jpeg);
    free(w->pixels);
    free(w->blended);
    free(w->across.first);
    free(w->across.weights);
    free(w->down.first);
    free(w->down.weights);
    free(w);
    return NULL;
}

/* Returns the number of images that failed. */
int64_t crop_loop(const uint8_t *jpegs, const int64_t *jpeg_offsets, const void *views,
                  uint8_t *batch, uint32_t size, int64_t num_images, int num_threads) {
    job all = {jpegs, jpeg_offsets, views, batch, size, num_images, 0, 0};
    pthread_t *threads = malloc(sizeof *threads * (size_t)num_threads);
    int num_others = 0;
    while (threads && num_others < num_threads - 1 &&
           !pthread_create(&threads[num_others], NULL, decode_images, &all))
        num_others++;
    decode_images(&all);
    for (int i = 0; i < num_others; i++) pthread_join(threads[i], NULL);
    free(threads);
    return num_others == num_threads - 1 ? all.num_failed : num_images;
}
