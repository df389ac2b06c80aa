/* Geometry: from stored pixels to a row of the batch. Computes the pixels that a view needs, turns
   them upright, resamples, mirrors and writes them. */
#ifndef FASTPACK_GEOMETRY_H
#define FASTPACK_GEOMETRY_H
#include "resample.h"
#include "span.h"

/* A view: a box of the upright image is scaled to scaled_width x scaled_height (0: the target's
   size). The target takes the window at (left, top). The numpy dtype is VIEW in
   fastpack/core/dtypes.py. */
typedef struct {
    uint32_t x, y, width, height;
    uint32_t scaled_width, scaled_height, left, top;
    uint8_t orientation;  /* EXIF, 1 to 8 */
    uint8_t flip;         /* mirror left to right, as the last step */
    uint16_t reserved;
} fp_view;

/* The destination of pixels. Strides are in bytes, of any size and sign. With a table, level v of
   channel c is written as item c * 256 + v of the table. */
typedef struct {
    uint8_t *pixels;
    uint32_t height, width;
    int32_t channels, item_bytes;
    int64_t row_stride, pixel_stride, channel_stride;
    const uint8_t *table;
} fp_target;

/* A rectangle of stored pixels. */
typedef struct {
    uint32_t x, y, width, height;
} fp_box;

/* How to make one row of the batch from an image that is decoded `reduced` times smaller (1, 2, 4
   or 8). */
typedef struct {
    fp_axis across, down;     /* in upright coordinates of the reduced image */
    fp_box stored;            /* the needed pixels of the reduced image */
    uint32_t x, y;            /* their first pixel in upright coordinates */
    int interpolation;
} fp_plan;

/* Returns 0 if the view lies outside the image, or the target outside the view. */
int fp_plan_view(const fp_view *view, const fp_target *target, uint32_t width, uint32_t height,
                 uint32_t reduced, int interpolation, fp_plan *plan);
/* True if the needed pixels go to the target unchanged. */
int fp_is_direct(const fp_plan *plan, const fp_view *view, const fp_target *target);

typedef struct {
    fp_scratch upright, resampled, filters;
} fp_view_scratch;

void fp_view_scratch_free(fp_view_scratch *scratch);
/* Writes a view. `pixels` are those of plan->stored, packed, with the target's number of channels.
   Returns FP_OK or FP_NO_MEMORY. */
int fp_write_view(fp_view_scratch *scratch, const uint8_t *pixels, int64_t stride,
                  const fp_plan *plan, const fp_view *view, const fp_target *target);
#endif
