/* Fuzz target: with its seek table, or a damaged one, an image must have libjpeg-turbo's pixels.

   A damaged table with a valid checksum is a forgery: then only memory safety is promised. An input
   is a JPEG. Its checksum chooses the box, the options and the damage of the table. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "crc32c.h"
#include "decode.h"
#include "image.h"
#include "vectors.h"

enum { MAX_PIXELS = 1 << 18, MAX_EDITS = 3 };

static uint32_t state;

static uint32_t below(uint32_t limit) {
    state = state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)(state >> 8) * limit >> 24);
}

typedef struct {
    uint64_t *own_words;
    fp_seek_table facts;
    int is_forged;
} table;

static table make_table(fp_decoder *decoder, const uint8_t *data, size_t length, uint32_t crc32c) {
    fp_scratch scratch = {NULL, 0};
    size_t num_words;
    if (fp_find_seek_points(decoder, data, length, crc32c, &scratch, &num_words) != FP_OK) abort();
    /* Memory of the exact size: see decode.c. */
    table t = {malloc(num_words * sizeof(uint64_t) + 1), {NULL, num_words, length, crc32c}, 0};
    if (num_words) memcpy(t.own_words, scratch.own_bytes, num_words * sizeof(uint64_t));
    fp_scratch_free(&scratch);
    t.facts.words = t.own_words;
    return t;
}

static void edit(table *t) {
    uint64_t *word = &t->own_words[below((uint32_t)t->facts.num_words)];
    switch (below(6)) {
    case 0: *word ^= 1ull << below(64); break;
    case 1:
        *word = (uint64_t)below(1u << 24) << 40 ^ (uint64_t)below(1u << 24) << 16;
        *word ^= below(1u << 16);
        break;
    case 2: *word = t->own_words[below((uint32_t)t->facts.num_words)]; break;
    case 3: *word += below(64); break;
    case 4: *word -= below(64); break;
    default: t->facts.num_words = below((uint32_t)t->facts.num_words + 1); break;
    }
}

/* Makes the checksum valid, as an attacker could. It covers the head, up to the first place. */
static void forge(table *t, const uint8_t *data) {
    fp_seek_grid grid = {.rows = (uint32_t)(t->own_words[0] >> 48),
                         .columns = (uint32_t)(t->own_words[0] >> 32) & 0xffff};
    t->is_forged = 1;
    if (fp_seek_table_head_bytes(&t->facts))
        t->own_words[0] = fp_seek_table_first_word(&t->facts, &grid, data);
}

static void draw_part(uint32_t limit, uint32_t *begin, uint32_t *extent) {
    *begin = below(limit);
    *extent = 1 + below(limit - *begin);
}

/* Allocates exactly the pixels of the view, divided by `smaller` on both sides. */
static uint8_t *pixels_of(const fp_view *view, uint32_t smaller, int32_t color, fp_target *target,
                          size_t *num_bytes) {
    int32_t channels = color == FP_GRAY ? 1 : 3;
    uint32_t width = view->width > smaller ? view->width / smaller : 1;
    uint32_t height = view->height > smaller ? view->height / smaller : 1;
    *num_bytes = (size_t)width * height * (size_t)channels;
    uint8_t *own_pixels = calloc(1, *num_bytes);
    if (!own_pixels) abort();
    *target = (fp_target){own_pixels, height, width, channels, 1, (int64_t)width * channels,
                          channels, 1, NULL};
    return own_pixels;
}

static int decode_by(const table *t, fp_decoder *decoder, const uint8_t *data, size_t length,
                     const fp_decode_options *options, const fp_view *view,
                     const fp_target *target) {
    int fd = -1;
    fp_memory memory = {(uintptr_t)data, length};
    fp_origin origin = {.memories = &memory, .num_memories = 1};
    if (below(2)) { /* from a file, of which only parts are read */
        fd = memfd_create("image", 0);
        if (fd < 0 || write(fd, data, length) != (ssize_t)length) abort();
        origin = (fp_origin){.fds = &fd, .num_fds = 1};
    }
    fp_scratch blob = {NULL, 0}, aside = {NULL, 0};
    fp_span span = {.crc32c = t->facts.image_crc32c, .length = length, .record_length = length};
    fp_reading reading = {&origin, &span, 1, &blob, &aside, 0};
    fp_outcome outcome = {0};
    int status = fp_decode_span(decoder, &reading, &t->facts, options, view, target, &outcome);
    fp_scratch_free(&blob);
    fp_scratch_free(&aside);
    if (fd >= 0) close(fd);
    return status;
}

static void compare(fp_decoder *decoder, table *t, const uint8_t *data, size_t length,
                    const fp_image_info *info) {
    fp_decode_options options = {.color = (int32_t)below(3),
                                 .interpolation = FP_BILINEAR,
                                 .max_scans = 100,
                                 .max_pixels = MAX_PIXELS};
    fp_view view = {.width = info->width, .height = info->height, .orientation = 1};
    uint32_t smaller = below(3) ? 1 : 2u << below(3);
    options.may_reduce = smaller > 1;
    if (below(4)) {
        draw_part(info->width, &view.x, &view.width);
        draw_part(info->height, &view.y, &view.height);
    }
    uint32_t num_edits = below(MAX_EDITS + 1);
    for (uint32_t i = 0; i < num_edits && t->facts.num_words > 0; i++) edit(t);
    if (t->facts.num_words > 0 && below(2)) forge(t, data);
    fp_allow_vectors(below(5) != 0 ? 512 : 0);
    fp_target target;
    size_t num_bytes;
    uint8_t *ours = pixels_of(&view, smaller, options.color, &target, &num_bytes);
    fp_use_sequential(FP_ALWAYS);
    int status = decode_by(t, decoder, data, length, &options, &view, &target);
    uint8_t *theirs = pixels_of(&view, smaller, options.color, &target, &num_bytes);
    fp_use_sequential(FP_NEVER);
    int expected = fp_decode_jpeg(decoder, data, length, &options, &view, &target);
    int differs = status != expected || (status == FP_OK && memcmp(ours, theirs, num_bytes) != 0);
    if (!t->is_forged && differs) {
        fprintf(stderr, "status %d, libjpeg's %d; box %u %u %u %u\n", status, expected, view.x,
                view.y, view.width, view.height);
        abort();
    }
    free(ours);
    free(theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    fp_image_info info;
    if (fp_probe(data, length, &info) != FP_OK) return 0;
    if ((uint64_t)info.width * info.height > MAX_PIXELS) return 0;
    fp_decoder *decoder = fp_decoder_new();
    if (!decoder) abort();
    state = fp_crc32c(0, data, length);
    table t = make_table(decoder, data, length, state);
    if (t.facts.num_words) compare(decoder, &t, data, length, &info);
    free(t.own_words);
    fp_decoder_free(decoder);
    return 0;
}
