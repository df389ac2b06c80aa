/* From stored pixels to a row of the batch: which of them a view needs; turn upright, resample, flip, write. */
#ifndef FASTPACK_GEOMETRY_H
#define FASTPACK_GEOMETRY_H
#include "resample.h"
#include "span.h"

/* What is wanted of an image, in upright coordinates: the box, scaled to scaled_width x scaled_height (0 is
   the target's size), of which the target takes the window at (left, top). The numpy dtype VIEW in fastpack/structs.py. */
typedef struct {
    uint32_t x, y, width, height;
    uint32_t scaled_width, scaled_height, left, top;
    uint8_t orientation;  /* EXIF, 1..8: how the stored pixels are turned */
    uint8_t flip;         /* mirror left to right, after everything else */
    uint16_t reserved;
} fp_view;

/* Where the pixels go. Strides are in bytes and may be of any size and sign. With a table, what is written
   for level v of channel c is item c * 256 + v of it. */
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

/* How to make one row of the batch from an image of width x height stored pixels that is decoded `reduced`
   times smaller (1, 2, 4 or 8). */
typedef struct {
    fp_axis across, down;     /* in upright coordinates of the reduced image */
    fp_box stored;            /* the reduced image's pixels that are needed */
    uint32_t x, y;            /* where these begin in upright coordinates */
    int interpolation;
} fp_plan;

/* 0 when the view does not lie inside the image, or the target not inside the view. */
int fp_plan_view(const fp_view *view, const fp_target *target, uint32_t width, uint32_t height, uint32_t reduced,
                 int interpolation, fp_plan *plan);
/* True when the needed pixels are the target's, as they are. */
int fp_is_direct(const fp_plan *plan, const fp_view *view, const fp_target *target);

typedef struct {
    fp_scratch upright, resampled, filters;
} fp_view_scratch;

void fp_view_scratch_free(fp_view_scratch *scratch);
/* `pixels`: those of plan->stored, the target's number of channels each, packed. FP_OK or FP_NO_MEMORY. */
int fp_write_view(fp_view_scratch *scratch, const uint8_t *pixels, int64_t stride, const fp_plan *plan, const fp_view *view,
             const fp_target *target);
#endif
