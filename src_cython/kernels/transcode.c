/* Lossless transcoding of slow JPEGs, through libjpeg-turbo.

   Words:
   - progressive: the coefficients come in several scans, each with some frequencies or some bits
     of them. A decoder goes through all coefficients once for each scan, and keeps them all in
     memory.
   - sequential: one scan has all coefficients, MCU by MCU. It decodes faster, and our decoder can
     take it.
   - marker: a segment of the file: headers, metadata, scans.

   Method:
   1. Read all coefficients of the source (jpeg_read_coefficients).
   2. Write them as one scan, with Huffman tables made for this image (optimize_coding).
   3. Copy the metadata, or write only the EXIF orientation (strip).
   4. Read the result back. Compare headers, quantization tables and every coefficient.

   Limits:
   - The output buffer is a quarter larger than the source. If it is full, FP_WOULD_GROW.
   - A progressive file without the last bits of some coefficients is refused. Decoders smooth such
     images, and would not smooth the result.
   - Bytes after the image, such as a video, are kept nowhere. So without `strip`, FP_TOO_UNUSUAL.
   - Any warning of libjpeg that may change a pixel: FP_TOO_UNUSUAL.

   Errors leave by longjmp, as in decode.c. All libjpeg objects are reset after each image. */
#include "transcode.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>

#include "image.h"
#include "libjpeg.h"
#include "span.h"

enum { MAX_MARKER = 0xffff, ROOM = 1024 };

struct fp_transcoder {
    struct jpeg_decompress_struct source, written;
    struct jpeg_compress_struct output;
    fp_jpeg_errors errors;
    struct jpeg_progress_mgr progress;
    struct jpeg_destination_mgr destination;
    jmp_buf escape;
    int status;              /* the result after an escape */
    uint32_t max_scans;
    fp_scratch bytes;
    size_t length;           /* of the output */
};

static void escape(fp_transcoder *transcoder, int status) {
    transcoder->status = status;
    longjmp(transcoder->escape, 1);
}

static void on_error(j_common_ptr common) {
    escape(common->client_data, common->err->msg_code == JERR_OUT_OF_MEMORY ? FP_NO_MEMORY
                                                                            : FP_TOO_UNUSUAL);
}

static void on_message(j_common_ptr common, int level) {
    if (level < 0 && !fp_jpeg_is_harmless(common)) escape(common->client_data, FP_TOO_UNUSUAL);
}

static void on_progress(j_common_ptr common) {
    fp_transcoder *transcoder = common->client_data;
    if (common->is_decompressor && (uint32_t)((j_decompress_ptr)common)->input_scan_number >
        transcoder->max_scans)
        escape(transcoder, FP_TOO_UNUSUAL);
}

/* Output: memory of limited size. If it is full, the image has grown too much. */

static void begin_output(j_compress_ptr jpeg) {
    fp_transcoder *transcoder = jpeg->client_data;
    jpeg->dest->next_output_byte = transcoder->bytes.own_bytes;
    jpeg->dest->free_in_buffer = transcoder->length;
}

static boolean on_full_output(j_compress_ptr jpeg) {
    escape(jpeg->client_data, FP_WOULD_GROW);
    return FALSE;
}

static void end_output(j_compress_ptr jpeg) {
    fp_transcoder *transcoder = jpeg->client_data;
    transcoder->length -= jpeg->dest->free_in_buffer;
}

fp_transcoder *fp_transcoder_new(void) {
    fp_transcoder *volatile transcoder = calloc(1, sizeof *transcoder);
    if (!transcoder) return NULL;
    jpeg_std_error(&transcoder->errors.libjpeg);
    transcoder->errors.libjpeg.error_exit = on_error;
    transcoder->errors.libjpeg.emit_message = on_message;
    transcoder->progress.progress_monitor = on_progress;
    transcoder->destination.init_destination = begin_output;
    transcoder->destination.empty_output_buffer = on_full_output;
    transcoder->destination.term_destination = end_output;
    j_common_ptr objects[] = {(j_common_ptr)&transcoder->source, (j_common_ptr)&transcoder->written,
                              (j_common_ptr)&transcoder->output};
    for (int i = 0; i < 3; i++) {
        objects[i]->err = &transcoder->errors.libjpeg;
        objects[i]->client_data = transcoder;
    }
    if (setjmp(transcoder->escape)) {
        fp_transcoder_free(transcoder);
        return NULL;
    }
    fp_jpeg_create(&transcoder->source);
    fp_jpeg_create(&transcoder->written);
    jpeg_create_compress(&transcoder->output);
    for (int i = 0; i < 3; i++) objects[i]->progress = &transcoder->progress;
    transcoder->output.dest = &transcoder->destination;
    return transcoder;
}

void fp_transcoder_free(fp_transcoder *transcoder) {
    if (!transcoder) return;
    jpeg_destroy_compress(&transcoder->output);
    jpeg_destroy_decompress(&transcoder->written);
    jpeg_destroy_decompress(&transcoder->source);
    fp_scratch_free(&transcoder->bytes);
    free(transcoder);
}

/* Metadata */

static int is_marker(const struct jpeg_marker_struct *marker, int code, const char *name) {
    size_t length = strlen(name);
    return marker->marker == code && marker->data_length >= length &&
           memcmp(marker->data, name, length) == 0;
}

/* Copies all markers except those that libjpeg writes itself. */
static void copy_markers(fp_transcoder *t) {
    for (const struct jpeg_marker_struct *marker = t->source.marker_list; marker; marker =
         marker->next) {
        if (t->output.write_JFIF_header && is_marker(marker, JPEG_APP0, "JFIF")) continue;
        if (t->output.write_Adobe_marker && is_marker(marker, JPEG_APP0 + 14, "Adobe")) continue;
        jpeg_write_marker(&t->output, marker->marker, marker->data, marker->data_length);
    }
}

/* Writes EXIF with one tag (TIFF 6.0, section 2). */
static void write_orientation(fp_transcoder *t, uint8_t orientation) {
    uint8_t exif[] = {'E', 'x', 'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3,
                      0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0};
    if (orientation > 1) jpeg_write_marker(&t->output, JPEG_APP0 + 1, exif, sizeof exif);
}

static void save_markers(j_decompress_ptr jpeg, int strip) {
    unsigned int limit = strip ? 0 : MAX_MARKER;
    jpeg_save_markers(jpeg, JPEG_COM, limit);
    for (int i = 0; i < 16; i++) jpeg_save_markers(jpeg, JPEG_APP0 + i, limit);
}

/* Coefficients */

static int is_one_scan(const struct jpeg_decompress_struct *jpeg) {
    return !jpeg->progressive_mode && !jpeg->arith_code &&
           jpeg->comps_in_scan == jpeg->num_components;
}

/* True if no scan is missing. Decoders smooth coefficients with missing bits, and would not do so
   in a sequential image. */
static int is_complete(const struct jpeg_decompress_struct *jpeg) {
    for (int c = 0; c < jpeg->num_components; c++) {
        if (!jpeg->comp_info[c].quant_table) return 0;
        for (int i = 0; jpeg->coef_bits && i < DCTSIZE2; i++)
            if (jpeg->coef_bits[c][i] != 0) return 0;
    }
    return 1;
}

static void write(fp_transcoder *t, jvirt_barray_ptr *coefficients, int strip,
                  uint8_t orientation) {
    j_compress_ptr output = &t->output;
    jpeg_copy_critical_parameters(&t->source, output);
    output->optimize_coding = TRUE;
    output->arith_code = FALSE;
    output->restart_interval = 0;
    output->restart_in_rows = 0;
    /* decoders guess the color space from these two */
    output->write_JFIF_header = t->source.saw_JFIF_marker;
    output->write_Adobe_marker = t->source.saw_Adobe_marker;
    jpeg_write_coefficients(output, coefficients);
    if (strip) write_orientation(t, orientation);
    else copy_markers(t);
    jpeg_finish_compress(output);
}

/* True if the headers are the same, as far as they affect pixels. */
static int is_alike(const struct jpeg_decompress_struct *a,
                    const struct jpeg_decompress_struct *b) {
    if (a->image_width != b->image_width || a->image_height != b->image_height ||
        a->num_components != b->num_components)
        return 0;
    if (a->jpeg_color_space != b->jpeg_color_space || a->data_precision != b->data_precision)
        return 0;
    for (int i = 0; i < a->num_components; i++) {
        const jpeg_component_info *p = &a->comp_info[i], *q = &b->comp_info[i];
        if (p->component_id != q->component_id || p->h_samp_factor != q->h_samp_factor ||
            p->v_samp_factor != q->v_samp_factor)
            return 0;
    }
    return 1;
}

static int has_same_coefficients(fp_transcoder *t, int component, jvirt_barray_ptr theirs,
                                 jvirt_barray_ptr ours) {
    const jpeg_component_info *a = &t->source.comp_info[component];
    const jpeg_component_info *b = &t->written.comp_info[component];
    if (memcmp(a->quant_table->quantval, b->quant_table->quantval,
               sizeof a->quant_table->quantval) != 0)
        return 0;
    for (JDIMENSION row = 0; row < a->height_in_blocks; row++) {
        JBLOCKROW p = t->source.mem->access_virt_barray((j_common_ptr)&t->source, theirs, row, 1,
                                                        FALSE)[0];
        JBLOCKROW q = t->written.mem->access_virt_barray((j_common_ptr)&t->written, ours, row, 1,
                                                         FALSE)[0];
        if (memcmp(p, q, a->width_in_blocks * sizeof *p) != 0) return 0;
    }
    return 1;
}

/* Reads the output back and compares it. */
static int is_same(fp_transcoder *t, jvirt_barray_ptr *coefficients, const fp_image_info *info) {
    fp_image_info written;
    if (fp_probe(t->bytes.own_bytes, t->length, &written) != FP_OK ||
        written.orientation != info->orientation)
        return 0;
    fp_jpeg_read_header(&t->written, t->bytes.own_bytes, t->length);
    if (!is_one_scan(&t->written) || t->written.restart_interval ||
        !is_alike(&t->source, &t->written))
        return 0;
    jvirt_barray_ptr *ours = jpeg_read_coefficients(&t->written);
    int same = is_complete(&t->written) && t->written.src->bytes_in_buffer == 0;
    for (int i = 0; i < t->source.num_components && same; i++)
        same = has_same_coefficients(t, i, coefficients[i], ours[i]);
    return same;
}

static int transcode(fp_transcoder *t, const uint8_t *data, size_t length,
                     const fp_transcode_options *options) {
    fp_image_info info;
    if (fp_probe(data, length, &info) != FP_OK || info.format != FP_JPEG) return FP_TOO_UNUSUAL;
    save_markers(&t->source, options->strip);
    fp_jpeg_read_header(&t->source, data, length);
    if (is_one_scan(&t->source)) return FP_ONE_SCAN_ALREADY;
    if ((uint64_t)t->source.image_width * t->source.image_height > options->max_pixels)
        return FP_TOO_UNUSUAL;
    jvirt_barray_ptr *coefficients = jpeg_read_coefficients(&t->source);
    /* bytes after the image, such as a video, would be lost */
    if (!is_complete(&t->source) || (t->source.src->bytes_in_buffer && !options->strip))
        return FP_TOO_UNUSUAL;
    t->length = length + length / 4 + ROOM;
    if (!fp_scratch_reserve(&t->bytes, t->length)) return FP_NO_MEMORY;
    write(t, coefficients, options->strip, info.orientation);
    return is_same(t, coefficients, &info) ? FP_OK : FP_TOO_UNUSUAL;
}

int fp_transcode(fp_transcoder *t, const uint8_t *data, size_t length,
                 const fp_transcode_options *options, const uint8_t **out, size_t *out_length) {
    t->max_scans = options->max_scans;
    t->status = FP_OK;
    int status = setjmp(t->escape) ? t->status : transcode(t, data, length, options);
    jpeg_abort_compress(&t->output);
    fp_jpeg_end(&t->written);
    fp_jpeg_end(&t->source);
    *out = t->bytes.own_bytes;
    *out_length = t->length;
    return status;
}
