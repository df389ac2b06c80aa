/* One row of a batch: a compressed JPEG or ready pixels -> crop, turn upright, resample, flip -> the row. */
#ifndef FASTPACK_DECODE_H
#define FASTPACK_DECODE_H
#include "span.h"

/* Which part of an image is wanted, in upright coordinates. The numpy dtype VIEW in fastpack/transforms.py. */
typedef struct {
    uint32_t x, y, width, height;
    uint8_t orientation;  /* EXIF, 1..8: how the stored pixels are turned */
    uint8_t flip;         /* mirror left to right, after everything else */
    uint16_t reserved;
} fp_view;

/* Where the pixels go. Strides are in bytes and may be of any size and sign. */
typedef struct {
    uint8_t *pixels;
    uint32_t height, width;
    int32_t channels;
    int64_t row_stride, pixel_stride, channel_stride;
} fp_target;

enum fp_color { FP_RGB = 0, FP_BGR = 1, FP_GRAY = 2 };

typedef struct {
    int32_t color;
    uint32_t max_scans;
    uint64_t max_pixels;
} fp_decode_options;

typedef struct fp_decoder fp_decoder;

fp_decoder *fp_decoder_new(void);
void fp_decoder_free(fp_decoder *decoder);
/* Libjpeg's own words for the last failure. */
const char *fp_decoder_message(const fp_decoder *decoder);

int fp_decode_jpeg(fp_decoder *decoder, const uint8_t *data, size_t length, const fp_decode_options *options,
                   const fp_view *view, const fp_target *target);

/* The same for pixels that another codec has decoded; `in` has the target's number of channels. */
int fp_place_pixels(fp_decoder *decoder, const uint8_t *in, int64_t in_stride, uint32_t in_width, uint32_t in_height,
                    const fp_view *view, const fp_target *target);
#endif
