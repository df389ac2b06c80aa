/* Fuzz target: our decoder and libjpeg-turbo must give the same pixels, or the same status.

   Aborts if they differ. An input is a file. Its checksum chooses the options and the box, so that
   plain JPEGs are valid seeds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crc32c.h"
#include "decode.h"
#include "image.h"
#include "vectors.h"

enum { MAX_PIXELS = 1 << 18 };

typedef struct {
    fp_decode_options options;
    fp_view view;
    uint32_t smaller; /* divisor of both sides */
    int vectors;
} request;

/* Draws a part of [0, limit) with at least one element. */
static void draw_part(uint32_t *random, uint32_t limit, uint32_t *begin, uint32_t *extent) {
    *random = *random * 1664525u + 1013904223u;
    *begin = (*random >> 8) % limit;
    *random = *random * 1664525u + 1013904223u;
    *extent = 1 + (*random >> 8) % (limit - *begin);
}

static request draw_request(uint32_t random, uint32_t width, uint32_t height) {
    request w = {{.color = (int32_t)(random % 3),
               .interpolation = FP_BILINEAR,
               .max_scans = 100,
               .max_pixels = MAX_PIXELS},
              {.width = width, .height = height, .orientation = 1},
              .smaller = random / 16 % 3 ? 1 : 1u << (1 + random / 64 % 3),
              .vectors = random % 5 != 0 ? 512 : 0};
    w.options.accept_damage = random % 7 == 0;
    if (random % 2) {
        draw_part(&random, width, &w.view.x, &w.view.width);
        draw_part(&random, height, &w.view.y, &w.view.height);
    }
    w.options.may_reduce = w.smaller > 1;
    return w;
}

/* Decodes into memory of the exact size, so that a sanitizer detects any access outside. */
static int decode(fp_decoder *decoder, const uint8_t *data, size_t length, const request *w,
                  int use, uint8_t **own_pixels, size_t *num_bytes) {
    int32_t channels = w->options.color == FP_GRAY ? 1 : 3;
    uint32_t width = w->view.width > w->smaller ? w->view.width / w->smaller : 1;
    uint32_t height = w->view.height > w->smaller ? w->view.height / w->smaller : 1;
    *num_bytes = (size_t)width * height * (size_t)channels;
    *own_pixels = calloc(1, *num_bytes);
    if (!*own_pixels || !decoder) abort();
    fp_target target = {*own_pixels, height, width, channels, 1, (int64_t)width * channels,
                        channels, 1, NULL};
    fp_use_sequential(use);
    return fp_decode_jpeg(decoder, data, length, &w->options, &w->view, &target);
}

/* Decodes with a new decoder of libjpeg-turbo. */
static int decode_alone(const uint8_t *data, size_t length, const request *w, uint8_t **own_pixels,
                        size_t *num_bytes) {
    fp_decoder *decoder = fp_decoder_new();
    int status = decode(decoder, data, length, w, FP_NEVER, own_pixels, num_bytes);
    fp_decoder_free(decoder);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    fp_image_info info;
    if (fp_probe(data, length, &info) != FP_OK) return 0;
    if ((uint64_t)info.width * info.height > MAX_PIXELS) return 0;
    request w = draw_request(fp_crc32c(0, data, length), info.width, info.height);
    uint8_t *ours, *theirs;
    size_t num_bytes;
    fp_allow_vectors(w.vectors);
    static fp_decoder *reused; /* no state of an image may affect the next */
    if (!reused) reused = fp_decoder_new();
    int status = decode(reused, data, length, &w, FP_ALWAYS, &ours, &num_bytes);
    int expected = decode_alone(data, length, &w, &theirs, &num_bytes);
    if (status != expected || (status == FP_OK && memcmp(ours, theirs, num_bytes) != 0)) {
        fprintf(stderr, "status %d, libjpeg's %d; box %u %u %u %u, color %d, %u times smaller\n",
                status, expected, (unsigned)w.view.x, (unsigned)w.view.y, (unsigned)w.view.width,
                (unsigned)w.view.height, (int)w.options.color, (unsigned)w.smaller);
        abort();
    }
    free(ours);
    free(theirs);
    return 0;
}
