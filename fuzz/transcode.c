/* Fuzz target: libjpeg-turbo must decode a transcoded JPEG to the pixels of the original. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"
#include "image.h"
#include "transcode.h"

enum { MAX_PIXELS = 1 << 16, MAX_SCANS = 40 };

static void fail(const char *message) {
    fprintf(stderr, "%s\n", message);
    abort();
}

/* Returns RGB pixels, or NULL if libjpeg-turbo fails. */
static uint8_t *decode(fp_decoder *decoder, const uint8_t *data, size_t length,
                       const fp_image_info *info) {
    fp_decode_options options = {
        .color = FP_RGB, .max_pixels = MAX_PIXELS, .max_scans = MAX_SCANS};
    int is_rotated = info->orientation > 4;
    uint32_t width = is_rotated ? info->height : info->width;
    uint32_t height = is_rotated ? info->width : info->height;
    fp_view view = {.width = width, .height = height, .orientation = info->orientation};
    uint8_t *own_pixels = calloc((size_t)width * height, 3);
    if (!own_pixels) abort();
    fp_target target = {own_pixels, height, width, 3, 1, (int64_t)width * 3, 3, 1, NULL};
    if (fp_decode_jpeg(decoder, data, length, &options, &view, &target) == FP_OK) return own_pixels;
    free(own_pixels);
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    fp_image_info info, written;
    if (length == 0 || fp_probe(data, length, &info) != FP_OK) return 0;
    if ((uint64_t)info.width * info.height > MAX_PIXELS) return 0;
    fp_transcoder *transcoder = fp_transcoder_new();
    fp_decoder *decoder = fp_decoder_new();
    if (!transcoder || !decoder) abort();
    fp_use_sequential(FP_NEVER);
    fp_transcode_options options = {
        .strip = data[length - 1] % 2, .max_scans = MAX_SCANS, .max_pixels = MAX_PIXELS};
    const uint8_t *out;
    size_t out_length;
    if (fp_transcode(transcoder, data, length, &options, &out, &out_length) == FP_OK) {
        if (fp_probe(out, out_length, &written) != FP_OK ||
            memcmp(&written, &info, offsetof(fp_image_info, progressive)) != 0)
            fail("the header differs");
        uint8_t *before = decode(decoder, data, length, &info);
        uint8_t *after = decode(decoder, out, out_length, &written);
        if (!before != !after) fail("only one of both can be decoded");
        if (before && memcmp(before, after, (size_t)info.width * info.height * 3) != 0)
            fail("the pixels differ");
        free(before);
        free(after);
    }
    fp_decoder_free(decoder);
    fp_transcoder_free(transcoder);
    return 0;
}
