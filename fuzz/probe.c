/* Fuzz target: the header parser must read only its input and return valid facts. For a JPEG that
   libjpeg-turbo accepts, both must report the same size. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

#include "image.h"

static jmp_buf escape;

static void leave(j_common_ptr common) {
    (void)common;
    longjmp(escape, 1);
}

static void ignore_message(j_common_ptr common, int level) {
    (void)common;
    (void)level;
}

static void fail(const char *message) {
    fprintf(stderr, "%s\n", message);
    abort();
}

static void compare(struct jpeg_decompress_struct *jpeg, const uint8_t *data, size_t length,
                    const fp_image_info *info) {
    jpeg_create_decompress(jpeg);
    jpeg_mem_src(jpeg, (unsigned char *)data, (unsigned long)length);
    jpeg_read_header(jpeg, TRUE);
    if (jpeg->image_width != info->width || jpeg->image_height != info->height)
        fail("the size differs from libjpeg's");
    if (jpeg->num_components != info->components || jpeg->data_precision != info->bits)
        fail("the components differ from libjpeg's");
    if (jpeg->progressive_mode != info->progressive) fail("progressive differs from libjpeg's");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    fp_image_info info;
    int status = fp_probe(data, length, &info);
    if ((status == FP_OK) != (info.width > 0 && info.height > 0))
        fail("status and size contradict each other");
    if (info.orientation < 1 || info.orientation > 8) fail("the orientation is not 1 to 8");
    if (info.format != FP_JPEG || status != FP_OK) return 0;
    struct jpeg_error_mgr errors;
    struct jpeg_decompress_struct jpeg = {.err = jpeg_std_error(&errors)};
    errors.error_exit = leave;
    errors.emit_message = ignore_message;
    if (!setjmp(escape)) compare(&jpeg, data, length, &info);
    jpeg_destroy_decompress(&jpeg);
    return 0;
}
