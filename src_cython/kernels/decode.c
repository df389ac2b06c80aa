#include "decode.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "resample.h"

struct fp_decoder {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    int status;              /* what to return after an escape */
    uint32_t max_scans;
    char message[JMSG_LENGTH_MAX];
    fp_scratch stored;       /* pixels as the file stores them */
    fp_scratch upright;
    fp_scratch resampled;
    fp_scratch filters;
};

/* Libjpeg reports failures by callback; each leaves by longjmp, as its documentation asks. */

static void escape(j_common_ptr common, int status) {
    fp_decoder *decoder = common->client_data;
    common->err->format_message(common, decoder->message);
    decoder->status = status;
    longjmp(decoder->escape, 1);
}

static int is_end_of_data(int code) { return code == JWRN_JPEG_EOF || code == JERR_INPUT_EOF || code == JERR_INPUT_EMPTY; }

static int is_unsupported(int code) {
    return code == JERR_BAD_PRECISION || code == JERR_SOF_UNSUPPORTED || code == JERR_ARITH_NOTIMPL ||
           code == JERR_CONVERSION_NOTIMPL || code == JERR_NOT_COMPILED;
}

static void on_error(j_common_ptr common) {
    int code = common->err->msg_code;
    escape(common, is_end_of_data(code) ? FP_TRUNCATED_IMAGE
                   : is_unsupported(code) ? FP_UNSUPPORTED_IMAGE
                   : code == JERR_OUT_OF_MEMORY ? FP_NO_MEMORY : FP_CORRUPT_IMAGE);
}

/* A warning is data that libjpeg made up, but for two that speak of a header's version only. */
static void on_message(j_common_ptr common, int level) {
    int code = common->err->msg_code;
    if (level >= 0 || code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM) return;
    escape(common, is_end_of_data(code) ? FP_TRUNCATED_IMAGE : FP_CORRUPT_IMAGE);
}

static void on_progress(j_common_ptr common) {
    fp_decoder *decoder = common->client_data;
    if ((uint32_t)((j_decompress_ptr)common)->input_scan_number <= decoder->max_scans) return;
    snprintf(decoder->message, sizeof decoder->message, "more than %u scans", (unsigned)decoder->max_scans);
    decoder->status = FP_SCAN_LIMIT;
    longjmp(decoder->escape, 1);
}

fp_decoder *fp_decoder_new(void) {
    fp_decoder *volatile decoder = calloc(1, sizeof *decoder);
    if (!decoder) return NULL;
    decoder->jpeg.err = jpeg_std_error(&decoder->errors);
    decoder->errors.error_exit = on_error;
    decoder->errors.emit_message = on_message;
    decoder->jpeg.client_data = decoder;
    if (setjmp(decoder->escape)) {
        free(decoder);
        return NULL;
    }
    jpeg_create_decompress(&decoder->jpeg);
    decoder->jpeg.client_data = decoder;
    decoder->progress.progress_monitor = on_progress;
    decoder->jpeg.progress = &decoder->progress;
    return decoder;
}

void fp_decoder_free(fp_decoder *decoder) {
    if (!decoder) return;
    jpeg_destroy_decompress(&decoder->jpeg);
    fp_scratch_free(&decoder->stored);
    fp_scratch_free(&decoder->upright);
    fp_scratch_free(&decoder->resampled);
    fp_scratch_free(&decoder->filters);
    free(decoder);
}

const char *fp_decoder_message(const fp_decoder *decoder) { return decoder->message; }

static int fail(fp_decoder *decoder, int status, const char *message) {
    snprintf(decoder->message, sizeof decoder->message, "%s", message);
    return status;
}

/* Placing pixels: crop (by where `in` points), turn upright, resample, flip. */

typedef struct {
    const uint8_t *pixels;
    int64_t stride;
    uint32_t width, height;
} picture;

/* Where upright pixel (0, 0) lies in the stored picture, and the steps from it to its neighbours. */
static const uint8_t *upright_origin(const picture *in, int orientation, int channels, int64_t *step_x, int64_t *step_y) {
    int64_t x = channels, y = in->stride;
    const uint8_t *right = in->pixels + (int64_t)(in->width - 1) * x;
    int64_t down = (int64_t)(in->height - 1) * y;
    switch (orientation) {
    case 2: *step_x = -x, *step_y = y; return right;
    case 3: *step_x = -x, *step_y = -y; return right + down;
    case 4: *step_x = x, *step_y = -y; return in->pixels + down;
    case 5: *step_x = y, *step_y = x; return in->pixels;
    case 6: *step_x = -y, *step_y = x; return in->pixels + down;
    case 7: *step_x = -y, *step_y = -x; return right + down;
    case 8: *step_x = y, *step_y = -x; return right;
    default: *step_x = x, *step_y = y; return in->pixels;
    }
}

static int turn_upright(fp_decoder *decoder, picture *image, int orientation, int channels) {
    int64_t step_x, step_y;
    const uint8_t *origin = upright_origin(image, orientation, channels, &step_x, &step_y);
    uint32_t width = orientation > 4 ? image->height : image->width;
    uint32_t height = orientation > 4 ? image->width : image->height;
    uint8_t *out = fp_scratch_reserve(&decoder->upright, (size_t)width * height * (size_t)channels);
    if (!out) return fail(decoder, FP_NO_MEMORY, "no memory to turn an image");
    *image = (picture){out, (int64_t)width * channels, width, height};
    for (uint32_t y = 0; y < height; y++) {
        const uint8_t *pixel = origin + y * step_y;
        for (uint32_t x = 0; x < width; x++, pixel += step_x, out += channels) memcpy(out, pixel, (size_t)channels);
    }
    return FP_OK;
}

static int is_packed(const fp_target *target) {
    return target->pixel_stride == target->channels && (target->channel_stride == 1 || target->channels == 1);
}

static void write_rows(const picture *image, int flip, const fp_target *target) {
    for (uint32_t y = 0; y < target->height; y++) {
        const uint8_t *in = image->pixels + y * image->stride;
        uint8_t *out = target->pixels + y * target->row_stride;
        if (is_packed(target) && !flip) {
            memcpy(out, in, (size_t)target->width * (size_t)target->channels);
            continue;
        }
        int64_t step = target->pixel_stride;
        if (flip) out += (int64_t)(target->width - 1) * step, step = -step;
        for (uint32_t x = 0; x < target->width; x++, out += step)
            for (int c = 0; c < target->channels; c++) out[c * target->channel_stride] = *in++;
    }
}

static int resample_to(fp_decoder *decoder, picture *image, uint8_t *out, int64_t stride, const fp_target *target) {
    if (fp_resample(image->pixels, (ptrdiff_t)image->stride, image->width, image->height, out, (ptrdiff_t)stride,
                    target->width, target->height, target->channels, &decoder->filters))
        return fail(decoder, FP_NO_MEMORY, "no memory to resample an image");
    *image = (picture){out, stride, target->width, target->height};
    return FP_OK;
}

static int place(fp_decoder *decoder, picture image, const fp_view *view, const fp_target *target) {
    int status;
    if (view->orientation > 1 && (status = turn_upright(decoder, &image, view->orientation, target->channels)))
        return status;
    if (image.width != target->width || image.height != target->height) {
        if (is_packed(target) && !view->flip)
            return resample_to(decoder, &image, target->pixels, target->row_stride, target);
        int64_t stride = (int64_t)target->width * target->channels;
        uint8_t *out = fp_scratch_reserve(&decoder->resampled, (size_t)stride * target->height);
        if (!out) return fail(decoder, FP_NO_MEMORY, "no memory to resample an image");
        if ((status = resample_to(decoder, &image, out, stride, target))) return status;
    }
    write_rows(&image, view->flip, target);
    return FP_OK;
}

/* The view's box in stored coordinates. */
typedef struct {
    uint32_t x, y, width, height;
} box;

static int stored_box(const fp_view *view, uint32_t width, uint32_t height, box *out) {
    uint32_t upright_width = view->orientation > 4 ? height : width;
    uint32_t upright_height = view->orientation > 4 ? width : height;
    if (view->orientation > 8 || view->width == 0 || view->height == 0 || view->x > upright_width || view->y > upright_height ||
        view->width > upright_width - view->x || view->height > upright_height - view->y)
        return 0;
    uint32_t from_right = upright_width - view->x - view->width;
    uint32_t from_bottom = upright_height - view->y - view->height;
    switch (view->orientation) {
    case 2: *out = (box){from_right, view->y, view->width, view->height}; break;
    case 3: *out = (box){from_right, from_bottom, view->width, view->height}; break;
    case 4: *out = (box){view->x, from_bottom, view->width, view->height}; break;
    case 5: *out = (box){view->y, view->x, view->height, view->width}; break;
    case 6: *out = (box){view->y, from_right, view->height, view->width}; break;
    case 7: *out = (box){from_bottom, from_right, view->height, view->width}; break;
    case 8: *out = (box){from_bottom, view->x, view->height, view->width}; break;
    default: *out = (box){view->x, view->y, view->width, view->height}; break;
    }
    return 1;
}

int fp_place_pixels(fp_decoder *decoder, const uint8_t *in, int64_t in_stride, uint32_t in_width, uint32_t in_height,
                    const fp_view *view, const fp_target *target) {
    box wanted;
    if (!stored_box(view, in_width, in_height, &wanted))
        return fail(decoder, FP_BAD_BOX, "the crop box lies outside the image");
    picture image = {in + wanted.y * in_stride + (int64_t)wanted.x * target->channels, in_stride, wanted.width, wanted.height};
    return place(decoder, image, view, target);
}

/* JPEG */

/* Photoshop writes CMYK inverted, and every reader has come to expect it; the formula is Pillow's. */
static void cmyk_to_rgb(const uint8_t *in, uint8_t *out, uint32_t width, int color) {
    for (uint32_t x = 0; x < width; x++, in += 4, out += 3) {
        for (int c = 0; c < 3; c++) {
            int32_t product = (255 - in[c]) * in[3] + 128;
            int32_t value = in[3] - (((product >> 8) + product) >> 8);
            out[color == FP_BGR ? 2 - c : c] = (uint8_t)(value < 0 ? 0 : value);
        }
    }
}

static void rgb_to_gray(const uint8_t *in, uint8_t *out, uint32_t width) {
    for (uint32_t x = 0; x < width; x++, in += 3)
        out[x] = (uint8_t)((in[0] * 19595 + in[1] * 38470 + in[2] * 7471 + 0x8000) >> 16); /* ITU-R 601 */
}

static J_COLOR_SPACE output_space(const struct jpeg_decompress_struct *jpeg, int color) {
    if (jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK) return JCS_CMYK;
    if (color == FP_GRAY && jpeg->jpeg_color_space != JCS_RGB) return JCS_GRAYSCALE;
    return color == FP_BGR ? JCS_EXT_BGR : JCS_EXT_RGB;
}

/* Reads the rows from the current one up to `end` into `out`, whose pixels lie packed. */
static void read_rows(fp_decoder *decoder, uint8_t *out, int64_t stride, JDIMENSION end, const fp_decode_options *options) {
    j_decompress_ptr jpeg = &decoder->jpeg;
    int direct = jpeg->output_components == (options->color == FP_GRAY ? 1 : 3);
    JDIMENSION first = jpeg->output_scanline;
    while (jpeg->output_scanline < end) {
        JSAMPROW rows[4];
        JDIMENSION at = jpeg->output_scanline, left = end - at < 4 ? end - at : 4;
        if (direct) {
            for (JDIMENSION i = 0; i < left; i++) rows[i] = out + (int64_t)(at - first + i) * stride;
            jpeg_read_scanlines(jpeg, rows, left);
            continue;
        }
        rows[0] = decoder->upright.own_bytes; /* free until the picture is turned */
        jpeg_read_scanlines(jpeg, rows, 1);
        uint8_t *row = out + (int64_t)(at - first) * stride;
        uint8_t *rgb = rows[0] + (size_t)jpeg->output_width * 4;
        if (jpeg->output_components == 3) rgb_to_gray(rows[0], row, jpeg->output_width);
        else if (options->color != FP_GRAY) cmyk_to_rgb(rows[0], row, jpeg->output_width, options->color);
        else cmyk_to_rgb(rows[0], rgb, jpeg->output_width, FP_RGB), rgb_to_gray(rgb, row, jpeg->output_width);
    }
    /* After the last row what follows must be the end of the file; a crop stops before. */
    if (end == jpeg->output_height) jpeg_finish_decompress(jpeg);
}

/* Limits the output to the columns of the box and skips to its first row; gives where the box begins in a
   row. Upsampling looks at one chroma sample beyond the box, so the columns are widened by that much: then
   pixels equal those of the whole image bit for bit. (Rows need nothing: the library decodes a row group
   more by itself.) */
static JDIMENSION start_at_box(j_decompress_ptr jpeg, const box *wanted) {
    JDIMENSION reach = (JDIMENSION)jpeg->max_h_samp_factor;
    JDIMENSION first = wanted->x > reach ? wanted->x - reach : 0;
    JDIMENSION end = wanted->x + wanted->width + reach;
    JDIMENSION width = (end < jpeg->image_width ? end : jpeg->image_width) - first;
    jpeg_start_decompress(jpeg);
    if (width < jpeg->image_width) jpeg_crop_scanline(jpeg, &first, &width);
    if (wanted->y > 0) jpeg_skip_scanlines(jpeg, wanted->y);
    return wanted->x - first;
}

/* True when the whole image as stored is what the target shall hold: then rows go straight there. */
static int is_whole_picture(const fp_view *view, const struct jpeg_decompress_struct *jpeg, const fp_target *target) {
    return view->orientation <= 1 && !view->flip && is_packed(target) && view->width == jpeg->image_width &&
           view->height == jpeg->image_height && target->width == view->width && target->height == view->height;
}

static int decode(fp_decoder *decoder, const fp_decode_options *options, const fp_view *view, const fp_target *target) {
    j_decompress_ptr jpeg = &decoder->jpeg;
    box wanted;
    if ((uint64_t)jpeg->image_width * jpeg->image_height > options->max_pixels)
        return fail(decoder, FP_PIXEL_LIMIT, "more pixels than the limit");
    if (!stored_box(view, jpeg->image_width, jpeg->image_height, &wanted))
        return fail(decoder, FP_BAD_BOX, "the crop box lies outside the image");
    jpeg->out_color_space = output_space(jpeg, options->color);
    if (!fp_scratch_reserve(&decoder->upright, (size_t)jpeg->image_width * 7))
        return fail(decoder, FP_NO_MEMORY, "no memory for a row");
    if (is_whole_picture(view, jpeg, target)) {
        jpeg_start_decompress(jpeg);
        read_rows(decoder, target->pixels, target->row_stride, jpeg->output_height, options);
        return FP_OK;
    }
    JDIMENSION left = start_at_box(jpeg, &wanted);
    int64_t stride = (int64_t)jpeg->output_width * target->channels;
    uint8_t *stored = fp_scratch_reserve(&decoder->stored, (size_t)stride * wanted.height);
    if (!stored) return fail(decoder, FP_NO_MEMORY, "no memory for an image");
    read_rows(decoder, stored, stride, wanted.y + wanted.height, options);
    picture image = {stored + (int64_t)left * target->channels, stride, wanted.width, wanted.height};
    return place(decoder, image, view, target);
}

int fp_decode_jpeg(fp_decoder *decoder, const uint8_t *data, size_t length, const fp_decode_options *options,
                   const fp_view *view, const fp_target *target) {
    decoder->max_scans = options->max_scans;
    decoder->message[0] = 0;
    if (setjmp(decoder->escape)) {
        jpeg_abort_decompress(&decoder->jpeg);
        return decoder->status;
    }
    jpeg_mem_src(&decoder->jpeg, (unsigned char *)data, (unsigned long)length);
    jpeg_read_header(&decoder->jpeg, TRUE);
    int status = decode(decoder, options, view, target);
    jpeg_abort_decompress(&decoder->jpeg);
    return status;
}
