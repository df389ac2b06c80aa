/* Decoding of JPEGs: chooses the decoder and the part of the image.

   1. libjpeg-turbo reads the headers (libjpeg.c).
   2. `reduction` chooses how much smaller to decode; fp_plan_view computes the needed box
      (geometry.c).
   3. Our decoder decodes the box if it can (scans.c, sequential.c). It is faster, and it does less
      work outside the box.
   4. Else libjpeg-turbo does: progressive and arithmetic images, several scans, CMYK, any flaw.
      Rows before the box are skipped with jpeg_skip_scanlines, columns with jpeg_crop_scanline.
   5. fp_write_view turns, resamples and writes the box.

   Errors. libjpeg calls on_error and on_message; both leave by longjmp to the setjmp of the public
   function that is active. Our decoder never reports a flaw itself: libjpeg decides what is an
   error. Warnings of libjpeg are errors, too, unless they change no pixel (libjpeg.c) or
   accept_damage is set.

   With a seek table (seek_points.c), only the headers and the data for the box are read. The
   table's checksum covers the headers. On any problem, the whole image is read and decoded. */
#include "decode.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>

#include "libjpeg.h"
#include "scans.h"

static int sequential_use = FP_WHERE_IT_PAYS;

void fp_use_sequential(int use) { sequential_use = use; }

/* Our decoder's tables take as much time as they save on 3,000 bytes of data. */
enum { WORTH_TABLES = 3000 };

struct fp_decoder {
    struct jpeg_decompress_struct jpeg;
    fp_jpeg_errors errors;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    int status;              /* the result after an escape */
    int accept_damage;
    int is_odd;              /* libjpeg warned of this image */
    const uint8_t *scan_data; /* of the first scan */
    size_t scan_length;
    uint32_t max_scans;
    char message[JMSG_LENGTH_MAX];
    fp_scratch stored;       /* pixels as stored in the file */
    fp_scratch converted;    /* a row in a color space that libjpeg leaves to us */
    fp_view_scratch view_scratch;
    fp_sequential *own_sequential;
    int64_t num_sequential, num_with_seek_points, num_odd;
};

/* libjpeg reports failures by callback. Each leaves by longjmp, as its documentation requires. */

static void escape(j_common_ptr common, int status) {
    fp_decoder *decoder = common->client_data;
    common->err->format_message(common, decoder->message);
    decoder->status = status;
    longjmp(decoder->escape, 1);
}

static int is_end_of_data(int code) {
    return code == JWRN_JPEG_EOF || code == JERR_INPUT_EOF || code == JERR_INPUT_EMPTY;
}

static int is_unsupported(int code) {
    return code == JERR_BAD_PRECISION || code == JERR_SOF_UNSUPPORTED ||
           code == JERR_ARITH_NOTIMPL || code == JERR_CONVERSION_NOTIMPL ||
           code == JERR_NOT_COMPILED;
}

static void on_error(j_common_ptr common) {
    int code = common->err->msg_code;
    if (is_end_of_data(code)) escape(common, FP_TRUNCATED_IMAGE);
    if (is_unsupported(code)) escape(common, FP_UNSUPPORTED_IMAGE);
    escape(common, code == JERR_OUT_OF_MEMORY ? FP_NO_MEMORY : FP_CORRUPT_IMAGE);
}

static int is_other_data(fp_decoder *decoder);

static void on_message(j_common_ptr common, int level) {
    fp_decoder *decoder = common->client_data;
    if (level >= 0) return;
    if (!decoder->accept_damage && !fp_jpeg_is_harmless(common) && !is_other_data(decoder))
        escape(common, is_end_of_data(common->err->msg_code) ? FP_TRUNCATED_IMAGE
                                                             : FP_CORRUPT_IMAGE);
    decoder->is_odd = 1;
}

static void on_progress(j_common_ptr common) {
    fp_decoder *decoder = common->client_data;
    if ((uint32_t)((j_decompress_ptr)common)->input_scan_number <= decoder->max_scans) return;
    snprintf(decoder->message, sizeof decoder->message, "more than %u scans",
             (unsigned)decoder->max_scans);
    decoder->status = FP_SCAN_LIMIT;
    longjmp(decoder->escape, 1);
}

fp_decoder *fp_decoder_new(void) {
    fp_decoder *volatile decoder = calloc(1, sizeof *decoder);
    if (!decoder) return NULL;
    decoder->jpeg.err = jpeg_std_error(&decoder->errors.libjpeg);
    decoder->errors.libjpeg.error_exit = on_error;
    decoder->errors.libjpeg.emit_message = on_message;
    decoder->jpeg.client_data = decoder;
    if (setjmp(decoder->escape)) {
        free(decoder);
        return NULL;
    }
    fp_jpeg_create(&decoder->jpeg);
    decoder->own_sequential = fp_sequential_new();
    if (!decoder->own_sequential) {
        fp_decoder_free(decoder);
        return NULL;
    }
    decoder->jpeg.client_data = decoder;
    decoder->progress.progress_monitor = on_progress;
    decoder->jpeg.progress = &decoder->progress;
    return decoder;
}

void fp_decoder_free(fp_decoder *decoder) {
    if (!decoder) return;
    jpeg_destroy_decompress(&decoder->jpeg);
    fp_scratch_free(&decoder->stored);
    fp_scratch_free(&decoder->converted);
    fp_view_scratch_free(&decoder->view_scratch);
    fp_sequential_free(decoder->own_sequential);
    free(decoder);
}

int64_t fp_decoder_num_sequential(const fp_decoder *decoder) { return decoder->num_sequential; }

int64_t fp_decoder_num_odd(const fp_decoder *decoder) { return decoder->num_odd; }

int fp_decoder_is_odd(const fp_decoder *decoder) { return decoder->is_odd; }

int64_t fp_decoder_num_with_seek_points(const fp_decoder *decoder) {
    return decoder->num_with_seek_points;
}

const char *fp_decoder_message(const fp_decoder *decoder) { return decoder->message; }

static int fail(fp_decoder *decoder, int status, const char *message) {
    snprintf(decoder->message, sizeof decoder->message, "%s", message);
    return status;
}

static int fail_box(fp_decoder *decoder) {
    return fail(decoder, FP_BAD_BOX,
                "the crop box lies outside the image, or the output outside the box");
}

static int write_view(fp_decoder *decoder, const uint8_t *pixels, int64_t stride,
                      const fp_plan *plan, const fp_view *view, const fp_target *target) {
    if (fp_write_view(&decoder->view_scratch, pixels, stride, plan, view, target))
        return fail(decoder, FP_NO_MEMORY, "no memory to turn or resample an image");
    return FP_OK;
}

int fp_resample_pixels(fp_decoder *decoder, const uint8_t *pixels, int64_t stride, uint32_t width,
                       uint32_t height, int interpolation, const fp_view *view,
                       const fp_target *target) {
    fp_plan plan;
    if (!fp_plan_view(view, target, width, height, 1, interpolation, &plan))
        return fail_box(decoder);
    pixels += (int64_t)plan.stored.y * stride + (int64_t)plan.stored.x * target->channels;
    return write_view(decoder, pixels, stride, &plan, view, target);
}

/* JPEG */

/* A sequential scan has the whole spectrum, whatever its header claims. libjpeg warns otherwise. */
static int has_odd_spectrum(const struct jpeg_decompress_struct *jpeg) {
    int is_whole = jpeg->Ss == 0 && jpeg->Se == DCTSIZE2 - 1 && jpeg->Ah == 0 && jpeg->Al == 0;
    return !jpeg->progressive_mode && !jpeg->arith_code && !is_whole;
}

static void read_header(fp_decoder *decoder, const uint8_t *data, size_t length) {
    decoder->is_odd = 0;
    fp_jpeg_read_header(&decoder->jpeg, data, length);
    decoder->scan_data = decoder->jpeg.src->next_input_byte;
    decoder->scan_length = decoder->jpeg.src->bytes_in_buffer;
    decoder->is_odd |= has_odd_spectrum(&decoder->jpeg);
}

/* Photoshop writes inverted CMYK, and all readers expect that. The formula is Pillow's. */
static void cmyk_to_rgb(const uint8_t *in, uint8_t *out, uint32_t width, int color) {
    for (uint32_t x = 0; x < width; x++) {
        for (int c = 0; c < 3; c++) {
            int32_t product = (255 - in[c]) * in[3] + 128;
            int32_t value = in[3] - (((product >> 8) + product) >> 8);
            out[color == FP_BGR ? 2 - c : c] = (uint8_t)(value < 0 ? 0 : value);
        }
        in += 4;
        out += 3;
    }
}

static void rgb_to_gray(const uint8_t *in, uint8_t *out, uint32_t width) {
    for (uint32_t x = 0; x < width; x++, in += 3)
        /* ITU-R 601 */
        out[x] = (uint8_t)((in[0] * 19595 + in[1] * 38470 + in[2] * 7471 + 0x8000) >> 16);
}

static J_COLOR_SPACE output_space(const struct jpeg_decompress_struct *jpeg, int color) {
    if (jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK) return JCS_CMYK;
    if (color == FP_GRAY && jpeg->jpeg_color_space != JCS_RGB) return JCS_GRAYSCALE;
    return color == FP_BGR ? JCS_EXT_BGR : JCS_EXT_RGB;
}

/* Reads the rows from the current one to `end` into `out`, with packed pixels. */
static void read_rows(fp_decoder *decoder, uint8_t *out, int64_t stride, JDIMENSION end,
                      const fp_decode_options *options) {
    j_decompress_ptr jpeg = &decoder->jpeg;
    int direct = jpeg->output_components == (options->color == FP_GRAY ? 1 : 3);
    JDIMENSION first = jpeg->output_scanline;
    while (jpeg->output_scanline < end) {
        JSAMPROW rows[4];
        JDIMENSION at = jpeg->output_scanline, left = end - at < 4 ? end - at : 4;
        if (direct) {
            for (JDIMENSION i = 0; i < left; i++)
                rows[i] = out + (int64_t)(at - first + i) * stride;
            jpeg_read_scanlines(jpeg, rows, left);
            continue;
        }
        rows[0] = decoder->converted.own_bytes;
        jpeg_read_scanlines(jpeg, rows, 1);
        uint8_t *row = out + (int64_t)(at - first) * stride;
        uint8_t *rgb = rows[0] + (size_t)jpeg->output_width * 4;
        if (jpeg->output_components == 3) rgb_to_gray(rows[0], row, jpeg->output_width);
        else if (options->color != FP_GRAY)
            cmyk_to_rgb(rows[0], row, jpeg->output_width, options->color);
        else
            cmyk_to_rgb(rows[0], rgb, jpeg->output_width, FP_RGB),
                rgb_to_gray(rgb, row, jpeg->output_width);
    }
    /* After the last row, the end of the file must follow. A crop stops before. */
    if (end == jpeg->output_height) jpeg_finish_decompress(jpeg);
}

/* Limits the output to the columns of the box and skips to its first row. Returns where the box
   begins in a row. Upsampling reads one sample of chroma beyond the box, so the columns are widened
   by that much. Then pixels equal those of the whole image, bit for bit. Rows need no margin, since
   the library decodes one more row group. */
static JDIMENSION start_at_box(j_decompress_ptr jpeg, const fp_box *wanted) {
    JDIMENSION reach = (JDIMENSION)jpeg->max_h_samp_factor;
    JDIMENSION first = wanted->x > reach ? wanted->x - reach : 0;
    jpeg_start_decompress(jpeg);
    JDIMENSION end = wanted->x + wanted->width + reach;
    JDIMENSION width = (end < jpeg->output_width ? end : jpeg->output_width) - first;
    if (width < jpeg->output_width) jpeg_crop_scanline(jpeg, &first, &width);
    if (wanted->y > 0) jpeg_skip_scanlines(jpeg, wanted->y);
    return wanted->x - first;
}

/* Returns how many times smaller the image may be decoded without enlarging it later. Exceptions:
   - Only factors with vector code in libjpeg-turbo: 2, 4 and 8.
   - A turned image would need a shifted box: no reduction.
   - Chroma that is subsampled more in one direction loses detail there first: one step less.
   - With 4 x 2 and 2 x 4 subsampling, libjpeg-turbo's crops lack columns of chroma: no
   reduction. */
static uint32_t reduction(const struct jpeg_decompress_struct *jpeg,
                          const fp_decode_options *options, const fp_view *view,
                          const fp_target *target) {
    if (!options->may_reduce || view->orientation > 1 ||
        jpeg->max_h_samp_factor * jpeg->max_v_samp_factor == 8)
        return 1;
    uint32_t width = view->scaled_width ? view->scaled_width : target->width;
    uint32_t height = view->scaled_height ? view->scaled_height : target->height;
    uint32_t factor = 8;
    while (factor > 1 && (view->width / factor < width || view->height / factor < height))
        factor /= 2;
    return factor > 1 && jpeg->max_h_samp_factor != jpeg->max_v_samp_factor ? factor / 2 : factor;
}

/* True if the target takes the whole image as stored. Then rows go there directly. */
static int is_whole_picture(const struct jpeg_decompress_struct *jpeg, const fp_plan *plan,
                            const fp_view *view, const fp_target *target) {
    return jpeg->scale_denom == 1 && fp_is_direct(plan, view, target) &&
           plan->stored.width == jpeg->image_width && plan->stored.height == jpeg->image_height;
}

/* Our decoder */

static int is_worth_tables(size_t length) {
    return sequential_use == FP_ALWAYS || length >= WORTH_TABLES;
}

/* Returns 0 if libjpeg must decode the image. */
static int describe_scan(const struct jpeg_decompress_struct *jpeg, uint32_t reduced,
                         fp_scan *scan) {
    if (!fp_describe_scan(jpeg, reduced, scan)) return 0;
    scan->is_worth_tables = is_worth_tables(scan->length);
    return 1;
}

/* For an image of the plain kind: true if libjpeg has just skipped bytes after its data that are
   not MCUs. Some cameras write other bytes there. More MCUs than the image has mean lost bits. */
static int is_other_data(fp_decoder *decoder) {
    const struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
    fp_scan scan;
    if (decoder->errors.libjpeg.msg_code != JWRN_EXTRANEOUS_DATA ||
        !fp_describe_scan(jpeg, 1, &scan))
        return 0;
    scan.data = decoder->scan_data;
    scan.length = decoder->scan_length;
    return !fp_sequential_has_more_mcus(decoder->own_sequential, &scan);
}

int fp_route_jpeg(fp_decoder *decoder, const uint8_t *head, size_t length, uint64_t image_bytes) {
    decoder->accept_damage = 1;
    if (setjmp(decoder->escape)) {
        fp_jpeg_end(&decoder->jpeg);
        decoder->is_odd = 0;
        return decoder->status == FP_UNSUPPORTED_IMAGE ? FP_NOT_8_BITS : FP_UNREADABLE;
    }
    read_header(decoder, head, length);
    fp_scan scan;
    uint64_t rest = image_bytes > length ? image_bytes - length : 0;
    int route = fp_route_of(&decoder->jpeg);
    if (route == FP_OURS && !fp_describe_scan(&decoder->jpeg, 1, &scan)) route = FP_UNUSUAL_HEADERS;
    else if (route == FP_OURS && !is_worth_tables(scan.length + rest)) route = FP_SMALL;
    fp_jpeg_end(&decoder->jpeg);
    return route;
}

static int decode_sequential(fp_decoder *decoder, const fp_scan *scan,
                             const fp_decode_options *options, const fp_plan *plan,
                             const fp_view *view, const fp_target *target) {
    int is_direct = fp_is_direct(plan, view, target);
    int64_t stride =
        is_direct ? target->row_stride : (int64_t)plan->stored.width * target->channels;
    uint8_t *out = target->pixels;
    if (!is_direct)
        out = fp_scratch_reserve(&decoder->stored, (size_t)stride * plan->stored.height);
    if (!out) return fail(decoder, FP_NO_MEMORY, "no memory for an image");
    int pixels = options->color == FP_BGR ? FP_PIXELS_BGR : FP_PIXELS_RGB;
    if (options->color == FP_GRAY) pixels = FP_PIXELS_GRAY;
    int status = fp_sequential_decode(decoder->own_sequential, scan, &plan->stored, pixels, out,
                                      stride);
    if (status == FP_LEFT_TO_LIBJPEG) return status;
    if (status != FP_OK) return fail(decoder, status, "no memory for an image");
    decoder->num_sequential++;
    return is_direct ? FP_OK : write_view(decoder, out, stride, plan, view, target);
}

static int decode(fp_decoder *decoder, const fp_decode_options *options, const fp_view *view,
                  const fp_target *target) {
    j_decompress_ptr jpeg = &decoder->jpeg;
    fp_plan plan;
    if ((uint64_t)jpeg->image_width * jpeg->image_height > options->max_pixels)
        return fail(decoder, FP_PIXEL_LIMIT, "more pixels than the limit");
    uint32_t reduced = reduction(jpeg, options, view, target);
    if (!fp_plan_view(view, target, jpeg->image_width, jpeg->image_height, reduced,
                      options->interpolation, &plan))
        return fail_box(decoder);
    fp_scan scan;
    if (sequential_use != FP_NEVER && describe_scan(jpeg, reduced, &scan)) {
        int status = decode_sequential(decoder, &scan, options, &plan, view, target);
        if (status != FP_LEFT_TO_LIBJPEG) return status;
    }
    jpeg->scale_num = 1;
    jpeg->scale_denom = reduced;
    jpeg->out_color_space = output_space(jpeg, options->color);
    if (!fp_scratch_reserve(&decoder->converted, (size_t)jpeg->image_width * 7))
        return fail(decoder, FP_NO_MEMORY, "no memory for a row");
    if (is_whole_picture(jpeg, &plan, view, target)) {
        jpeg_start_decompress(jpeg);
        read_rows(decoder, target->pixels, target->row_stride, jpeg->output_height, options);
        return FP_OK;
    }
    JDIMENSION left = start_at_box(jpeg, &plan.stored);
    int64_t stride = (int64_t)jpeg->output_width * target->channels;
    uint8_t *stored = fp_scratch_reserve(&decoder->stored, (size_t)stride * plan.stored.height);
    if (!stored) return fail(decoder, FP_NO_MEMORY, "no memory for an image");
    read_rows(decoder, stored, stride, plan.stored.y + plan.stored.height, options);
    return write_view(decoder, stored + (int64_t)left * target->channels, stride, &plan, view,
                      target);
}

int fp_decode_jpeg(fp_decoder *decoder, const uint8_t *data, size_t length,
                   const fp_decode_options *options, const fp_view *view, const fp_target *target) {
    decoder->max_scans = options->max_scans;
    decoder->accept_damage = options->accept_damage;
    decoder->message[0] = 0;
    if (setjmp(decoder->escape)) {
        fp_jpeg_end(&decoder->jpeg);
        return decoder->status;
    }
    read_header(decoder, data, length);
    int status = decode(decoder, options, view, target);
    decoder->num_odd += status == FP_OK && decoder->is_odd && !options->accept_damage;
    fp_jpeg_end(&decoder->jpeg);
    return status;
}

/* With a seek table */

/* Describes an image whose headers were read from `data`. The bytes after them may not be read yet.
   Returns 0 if it is not of the plain kind. */
static int describe_with_seek_table(const fp_decoder *decoder, const uint8_t *data,
                                    const fp_seek_table *seek_table, uint32_t reduced,
                                    fp_scan *scan) {
    if (!fp_describe_scan(&decoder->jpeg, reduced, scan)) return 0;
    scan->image = data;
    scan->length = (size_t)(seek_table->image_bytes - fp_seek_table_head_bytes(seek_table));
    scan->is_worth_tables = is_worth_tables(scan->length);
    scan->seek_table = seek_table;
    return 1;
}

/* Gives the bytes that decoding with the table reads. Returns 0 if that is not possible. */
static int plan_with_seek_table(const fp_decoder *decoder, const fp_decode_options *options,
                                const fp_view *view, const fp_target *target, const fp_scan *scan,
                                fp_plan *plan, uint64_t bytes[2]) {
    const struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
    return (uint64_t)jpeg->image_width * jpeg->image_height <= options->max_pixels &&
           fp_plan_view(view, target, jpeg->image_width, jpeg->image_height, 8 / scan->edge,
                        options->interpolation, plan) &&
                            fp_sequential_bytes(scan, &plan->stored, &bytes[0], &bytes[1]);
}

/* Returns the image's memory with at least the bytes that the table's checksum covers, or NULL. */
static const uint8_t *view_covered(const fp_reading *r, uint64_t covered_bytes,
                                   fp_outcome *outcome) {
    const uint8_t *data = NULL;
    if (r->origin->memories)
        return fp_view_span(r->origin, r->span, r->check, r->blob, r->aside, r->row, &data, outcome)
               ? NULL : data;
    uint8_t *bytes = fp_scratch_reserve(r->blob, r->span->length);
    return bytes && fp_read_part(r->origin, r->span, 0, covered_bytes, bytes, r->row,
                                 outcome) == FP_OK ? bytes : NULL;
}

/* Reads the data for the box; the whole record if all data is needed, to compare its checksum. */
static int read_rest(const fp_reading *r, uint64_t head_bytes, const uint64_t bytes[2],
                     const fp_seek_table *seek_table, fp_outcome *outcome) {
    const uint8_t *data = NULL;
    if (r->origin->memories) return 1;
    int are_all = bytes[0] <= head_bytes && bytes[1] + 8 >= seek_table->image_bytes;
    if (are_all)
        return fp_view_span(r->origin, r->span, r->check, r->blob, r->aside, r->row, &data,
                            outcome) == FP_OK;
    return fp_read_part(r->origin, r->span, bytes[0], bytes[1], r->blob->own_bytes, r->row,
                        outcome) == FP_OK;
}

static int decode_by_seek_table(fp_decoder *decoder, const uint8_t *data, const fp_reading *r,
                                const fp_seek_table *seek_table, const fp_decode_options *options,
                                const fp_view *view, const fp_target *target, fp_outcome *outcome) {
    uint64_t head_bytes = fp_seek_table_head_bytes(seek_table), bytes[2];
    decoder->max_scans = options->max_scans;
    decoder->accept_damage = 0;
    int is_decoded = 0;
    if (setjmp(decoder->escape)) {
        fp_jpeg_end(&decoder->jpeg);
        return 0;
    }
    fp_scan scan;
    fp_plan plan;
    read_header(decoder, data, head_bytes);
    if (describe_with_seek_table(decoder, data, seek_table,
                                 reduction(&decoder->jpeg, options, view, target), &scan) &&
        plan_with_seek_table(decoder, options, view, target, &scan, &plan, bytes) &&
        read_rest(r, head_bytes, bytes, seek_table, outcome))
        is_decoded = decode_sequential(decoder, &scan, options, &plan, view, target) == FP_OK;
    fp_jpeg_end(&decoder->jpeg);
    decoder->num_with_seek_points += is_decoded;
    decoder->num_odd += is_decoded && decoder->is_odd;
    return is_decoded;
}

int fp_decode_span(fp_decoder *decoder, const fp_reading *r, const fp_seek_table *seek_table,
                   const fp_decode_options *options, const fp_view *view, const fp_target *target,
                   fp_outcome *outcome) {
    uint64_t covered_bytes =
        seek_table && sequential_use != FP_NEVER ? fp_seek_table_covered_bytes(seek_table) : 0;
    fp_outcome ignored = {0};
    const uint8_t *data = covered_bytes ? view_covered(r, covered_bytes, &ignored) : NULL;
    if (data && decode_by_seek_table(decoder, data, r, seek_table, options, view, target, &ignored))
        return FP_OK;
    if (fp_view_span(r->origin, r->span, r->check, r->blob, r->aside, r->row, &data, outcome))
        return outcome->status;
    int status = fp_decode_jpeg(decoder, data, r->span->length, options, view, target);
    if (status != FP_OK) return fp_fail(outcome, status, r->row, r->span->offset, decoder->message);
    return FP_OK;
}

int fp_find_seek_points(fp_decoder *decoder, const uint8_t *data, size_t length, uint32_t crc32c,
                        fp_scratch *words, size_t *num_words) {
    fp_seek_table seek_table = {NULL, 0, length, crc32c};
    *num_words = 0;
    decoder->max_scans = 1;
    decoder->accept_damage = 0;
    if (setjmp(decoder->escape)) {
        fp_jpeg_end(&decoder->jpeg);
        return decoder->status == FP_NO_MEMORY ? FP_NO_MEMORY : FP_OK;
    }
    fp_scan scan;
    read_header(decoder, data, length);
    int status = FP_OK;
    if (fp_describe_scan(&decoder->jpeg, 1, &scan)) {
        scan.image = data;
        scan.seek_table = &seek_table;
        status = fp_sequential_find_seek_points(decoder->own_sequential, &scan, words, num_words);
    }
    fp_jpeg_end(&decoder->jpeg);
    return status;
}
