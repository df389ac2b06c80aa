/* Views of images.

   Three coordinate systems: stored pixels, as the decoder gives them; upright pixels, after the
   EXIF orientation; and pixels of the target. A plan holds an axis of weights.c for each upright
   direction and the box of stored pixels that these need. So the decoder decodes no more than that
   box.

   Orientations 2 to 4 mirror or rotate by 180 degrees. Orientations 5 to 8 also swap width and
   height. A mirrored axis costs nothing when the image is resampled: the weights are made in
   reverse order. */
#include "geometry.h"

#include <string.h>

/* Planning */

/* Returns the stored pixels of an upright rectangle. width and height are the stored image's. */
static fp_box stored_box(fp_box box, int orientation, uint32_t width, uint32_t height) {
    uint32_t from_right = (orientation > 4 ? height : width) - box.x - box.width;
    uint32_t from_bottom = (orientation > 4 ? width : height) - box.y - box.height;
    switch (orientation) {
    case 2: return (fp_box){from_right, box.y, box.width, box.height};
    case 3: return (fp_box){from_right, from_bottom, box.width, box.height};
    case 4: return (fp_box){box.x, from_bottom, box.width, box.height};
    case 5: return (fp_box){box.y, box.x, box.height, box.width};
    case 6: return (fp_box){box.y, from_right, box.height, box.width};
    case 7: return (fp_box){from_bottom, from_right, box.height, box.width};
    case 8: return (fp_box){from_bottom, box.x, box.height, box.width};
    default: return box;
    }
}

static int lies_inside(uint32_t begin, uint32_t extent, uint32_t limit) {
    return extent > 0 && begin <= limit && extent <= limit - begin;
}

int fp_plan_view(const fp_view *view, const fp_target *target, uint32_t width, uint32_t height,
                 uint32_t reduced, int interpolation, fp_plan *plan) {
    uint32_t upright_width = view->orientation > 4 ? height : width;
    uint32_t upright_height = view->orientation > 4 ? width : height;
    uint32_t scaled_width = view->scaled_width ? view->scaled_width : target->width;
    uint32_t scaled_height = view->scaled_height ? view->scaled_height : target->height;
    if (view->orientation > 8 || !lies_inside(view->x, view->width, upright_width) ||
        !lies_inside(view->y, view->height, upright_height) ||
        !lies_inside(view->left, target->width, scaled_width) ||
        !lies_inside(view->top, target->height, scaled_height))
        return 0;
    /* the last pixels of a reduced image may cover fewer than `reduced` stored ones */
    uint32_t reduced_width = (width + reduced - 1) / reduced;
    uint32_t reduced_height = (height + reduced - 1) / reduced;
    plan->across = (fp_axis){(double)view->x / reduced, (double)view->width / reduced, scaled_width,
                             view->left, target->width, view->flip};
    plan->down = (fp_axis){(double)view->y / reduced, (double)view->height / reduced, scaled_height,
                           view->top, target->height, 0};
    plan->interpolation = interpolation;
    uint32_t x_end, y_end;
    fp_axis_needs(&plan->across, interpolation, &plan->x, &x_end);
    fp_axis_needs(&plan->down, interpolation, &plan->y, &y_end);
    fp_box needed = {plan->x, plan->y, x_end - plan->x, y_end - plan->y};
    plan->stored = stored_box(needed, view->orientation, reduced_width, reduced_height);
    return 1;
}

static int is_packed(const fp_target *target) {
    return !target->table && target->pixel_stride == target->channels &&
           (target->channel_stride == 1 || target->channels == 1);
}

static int is_copied(const fp_plan *plan) {
    return fp_axis_is_copy(&plan->across) && fp_axis_is_copy(&plan->down);
}

int fp_is_direct(const fp_plan *plan, const fp_view *view, const fp_target *target) {
    return view->orientation <= 1 && !view->flip && is_packed(target) && is_copied(plan);
}

/* Writing */

void fp_view_scratch_free(fp_view_scratch *scratch) {
    fp_scratch_free(&scratch->upright);
    fp_scratch_free(&scratch->resampled);
    fp_scratch_free(&scratch->filters);
}

/* The stored pixel at upright (0, 0), and the steps to its right and its lower neighbor. */
typedef struct {
    const uint8_t *origin;
    int64_t step_x, step_y;
} upright_steps;

static upright_steps upright_steps_of(const fp_source_pixels *in, int orientation, int channels) {
    int64_t x = channels, y = in->stride;
    const uint8_t *first = in->pixels;
    const uint8_t *right = first + (int64_t)(in->width - 1) * x;
    int64_t down = (int64_t)(in->height - 1) * y;
    switch (orientation) {
    case 2: return (upright_steps){right, -x, y};
    case 3: return (upright_steps){right + down, -x, -y};
    case 4: return (upright_steps){first + down, x, -y};
    case 5: return (upright_steps){first, y, x};
    case 6: return (upright_steps){first + down, -y, x};
    case 7: return (upright_steps){right + down, -y, -x};
    case 8: return (upright_steps){right, y, -x};
    default: return (upright_steps){first, x, y};
    }
}

static int turn_upright(fp_view_scratch *scratch, fp_source_pixels *image, int orientation,
                        int channels) {
    upright_steps steps = upright_steps_of(image, orientation, channels);
    uint32_t width = orientation > 4 ? image->height : image->width;
    uint32_t height = orientation > 4 ? image->width : image->height;
    uint8_t *out = fp_scratch_reserve(&scratch->upright, (size_t)width * height * (size_t)channels);
    if (!out) return FP_NO_MEMORY;
    *image = (fp_source_pixels){out, (int64_t)width * channels, image->x, image->y, width, height};
    for (uint32_t y = 0; y < height; y++) {
        const uint8_t *pixel = steps.origin + y * steps.step_y;
        for (uint32_t x = 0; x < width; x++) {
            memcpy(out, pixel, (size_t)channels);
            pixel += steps.step_x;
            out += channels;
        }
    }
    return FP_OK;
}

static void write_through_table(const uint8_t *in, uint8_t *out, int64_t step,
                                const fp_target *target) {
    for (int c = 0; c < target->channels; c++) {
        const uint8_t *table = target->table + (size_t)c * 256 * (size_t)target->item_bytes;
        const uint8_t *level = in + c;
        uint8_t *item = out + c * target->channel_stride;
        for (uint32_t x = 0; x < target->width; x++) {
            if (target->item_bytes == 4) memcpy(item, table + (size_t)*level * 4, 4);
            else memcpy(item, table + (size_t)*level * 2, 2);
            level += target->channels;
            item += step;
        }
    }
}

static void write_row(const uint8_t *in, int flip, uint8_t *out, const fp_target *target) {
    int64_t step = target->pixel_stride;
    if (is_packed(target) && !flip) {
        memcpy(out, in, (size_t)target->width * (size_t)target->channels);
        return;
    }
    if (flip) {
        out += (int64_t)(target->width - 1) * step;
        step = -step;
    }
    if (target->table) {
        write_through_table(in, out, step, target);
        return;
    }
    for (uint32_t x = 0; x < target->width; x++, out += step)
        for (int c = 0; c < target->channels; c++) out[c * target->channel_stride] = *in++;
}

static int resample_into(fp_view_scratch *scratch, const fp_source_pixels *image,
                         const fp_plan *plan, uint8_t *out, int64_t stride, int channels) {
    return fp_resample(image, &plan->across, &plan->down, plan->interpolation, channels, out,
                       stride, &scratch->filters);
}

int fp_write_view(fp_view_scratch *scratch, const uint8_t *pixels, int64_t stride,
                  const fp_plan *plan, const fp_view *view, const fp_target *target) {
    fp_source_pixels image = {pixels, stride, plan->x, plan->y, plan->stored.width,
                              plan->stored.height};
    int flip = view->flip;
    if (view->orientation > 1 && turn_upright(scratch, &image, view->orientation, target->channels))
        return FP_NO_MEMORY;
    if (!is_copied(plan)) {
        if (is_packed(target))
            return resample_into(scratch, &image, plan, target->pixels, target->row_stride,
                                 target->channels);
        int64_t out_stride = (int64_t)target->width * target->channels;
        uint8_t *out = fp_scratch_reserve(&scratch->resampled, (size_t)out_stride * target->height);
        if (!out || resample_into(scratch, &image, plan, out, out_stride, target->channels))
            return FP_NO_MEMORY;
        image = (fp_source_pixels){out, out_stride, 0, 0, target->width, target->height};
        flip = 0; /* resampling has mirrored it */
    }
    for (uint32_t y = 0; y < target->height; y++)
        write_row(image.pixels + y * image.stride, flip, target->pixels + y * target->row_stride,
                  target);
    return FP_OK;
}
