/* The use of libjpeg-turbo that decode.c and transcode.c share: decompressors that keep nothing of
   the previous image, and a decision about warnings. */
#ifndef FASTPACK_LIBJPEG_H
#define FASTPACK_LIBJPEG_H
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jpeglib.h>

/* The error manager of a decompressor that fp_jpeg_create makes. `common->err` points to it. */
typedef struct {
    /* first, so that libjpeg's pointer is a pointer to this struct */
    struct jpeg_error_mgr libjpeg;
    void *(*alloc_small)(j_common_ptr common, int pool, size_t size); /* libjpeg's own */
} fp_jpeg_errors;

/* Creates a decompressor whose `err`, an fp_jpeg_errors, is set. Failures leave by error_exit. */
void fp_jpeg_create(j_decompress_ptr jpeg);

/* Reads the headers of the next image. */
void fp_jpeg_read_header(j_decompress_ptr jpeg, const uint8_t *data, size_t length);

/* Ends an image, decoded or not. The decompressor is then as after its creation. */
void fp_jpeg_end(j_decompress_ptr jpeg);

/* For emit_message: true if the warning changes no pixel. */
int fp_jpeg_is_harmless(j_common_ptr common);
#endif
