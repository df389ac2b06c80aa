#include "libjpeg.h"

#include <jerror.h>

/* libjpeg allocates tables for the life of the decompressor, since a stream may begin with a file
   that has only tables. So a JPEG without a table would be decoded with the previous image's table.
   Here the tables are allocated with the image and freed with it. libjpeg recognizes a missing
   table only by its NULL pointer. */
static void *alloc_for_image(j_common_ptr common, int pool, size_t size) {
    const fp_jpeg_errors *errors = (const fp_jpeg_errors *)common->err;
    return errors->alloc_small(common, pool == JPOOL_PERMANENT ? JPOOL_IMAGE : pool, size);
}

void fp_jpeg_create(j_decompress_ptr jpeg) {
    static unsigned char nothing;
    fp_jpeg_errors *errors = (fp_jpeg_errors *)jpeg->err;
    jpeg_create_decompress(jpeg);
    jpeg_mem_src(jpeg, &nothing, sizeof nothing); /* the source manager outlives images */
    errors->alloc_small = jpeg->mem->alloc_small;
    jpeg->mem->alloc_small = alloc_for_image;
}

void fp_jpeg_read_header(j_decompress_ptr jpeg, const uint8_t *data, size_t length) {
    jpeg_mem_src(jpeg, (unsigned char *)data, (unsigned long)length);
    jpeg_read_header(jpeg, TRUE);
}

void fp_jpeg_end(j_decompress_ptr jpeg) {
    jpeg_abort_decompress(jpeg);
    for (int i = 0; i < NUM_QUANT_TBLS; i++) jpeg->quant_tbl_ptrs[i] = NULL;
    for (int i = 0; i < NUM_HUFF_TBLS; i++) {
        jpeg->dc_huff_tbl_ptrs[i] = NULL;
        jpeg->ac_huff_tbl_ptrs[i] = NULL;
    }
}

/* At the end of a scan, libjpeg drops up to 8 bytes in its bit buffer without a warning. */
enum { DROPPED_IN_SILENCE = 8 };

/* True if the bytes that libjpeg skipped before a marker are padding. After a scan's data they may
   be a trace of damage: if bits were lost, the image is complete before its data ends. So after a
   scan they must be few, or all equal. */
static int are_padding(const struct jpeg_decompress_struct *jpeg, int count) {
    const JOCTET *end = jpeg->src->next_input_byte;
    if (jpeg->input_scan_number == 0 || count <= DROPPED_IN_SILENCE) return 1;
    for (int i = 2; i <= count; i++)
        if (end[-i] != end[-1]) return 0;
    return 1;
}

int fp_jpeg_is_harmless(j_common_ptr common) {
    switch (common->err->msg_code) {
    case JWRN_JFIF_MAJOR:
    case JWRN_ADOBE_XFORM:
    case JWRN_NOT_SEQUENTIAL: return 1;
    case JWRN_EXTRANEOUS_DATA:
        return are_padding((j_decompress_ptr)common, common->err->msg_parm.i[0]);
    default: return 0;
    }
}
