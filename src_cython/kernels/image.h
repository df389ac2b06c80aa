/* Reads the headers of image files. Decodes no pixels. */
#ifndef FASTPACK_IMAGE_H
#define FASTPACK_IMAGE_H
#include <stddef.h>

#include "status.h"

enum fp_format { FP_UNKNOWN = 0, FP_JPEG = 1, FP_PNG = 2, FP_WEBP = 3, FP_BMP = 4, FP_TIFF = 5,
                FP_GIF = 6 };

/* The numpy dtype is IMAGE_INFO in fastpack/core/dtypes.py. */
typedef struct {
    uint32_t width;       /* as stored, before orientation */
    uint32_t height;
    uint8_t format;
    uint8_t components;   /* JPEG: components; else channels of the stored pixels, 0 if unknown */
    /* JPEG: luma sampling factors, horizontal << 4 | vertical, if chroma has 1 x 1; else 0 */
    uint8_t subsampling;
    uint8_t progressive;
    uint8_t orientation;  /* EXIF, 1 to 8 */
    uint8_t bits;         /* in a component; 0 if unknown */
    uint16_t reserved;
} fp_image_info;

int fp_sniff(const uint8_t *data, size_t length);
/* Returns FP_OK, FP_NOT_AN_IMAGE, FP_TRUNCATED_IMAGE or FP_CORRUPT_IMAGE. Sets `format` in every
   case; width and height are 0 unless FP_OK. */
int fp_probe(const uint8_t *data, size_t length, fp_image_info *info);
#endif
