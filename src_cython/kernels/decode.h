/* Decodes a JPEG to a row of the batch: only the rows and columns that the view needs.
   libjpeg-turbo reads the headers. Our decoder (sequential.c) takes the plain kinds of images,
   libjpeg-turbo all others and every image with a flaw. */
#ifndef FASTPACK_DECODE_H
#define FASTPACK_DECODE_H
#include "seek_points.h"
#include "geometry.h"

enum fp_color { FP_RGB = 0, FP_BGR = 1, FP_GRAY = 2 };

typedef struct {
    int32_t color;
    int32_t interpolation;
    int32_t may_reduce;      /* decode smaller (1/2, 1/4, 1/8) if the view shrinks by as much */
    int32_t accept_damage;   /* libjpeg's warnings are not failures */
    uint32_t max_scans;
    uint64_t max_pixels;
} fp_decode_options;

typedef struct fp_decoder fp_decoder;

fp_decoder *fp_decoder_new(void);
void fp_decoder_free(fp_decoder *decoder);
/* Returns libjpeg's message for the last failure. */
const char *fp_decoder_message(const fp_decoder *decoder);

/* Returns how many images were decoded despite a warning of libjpeg's that changes no pixel. */
int64_t fp_decoder_num_odd(const fp_decoder *decoder);
/* Returns how many images our decoder has decoded. */
int64_t fp_decoder_num_sequential(const fp_decoder *decoder);
/* For tests and benches: which of the images that it can decode our decoder takes. */
enum fp_sequential_use { FP_NEVER = 0, FP_WHERE_IT_PAYS = 1, FP_ALWAYS = 2 };
void fp_use_sequential(int use);

/* Which decoder takes a JPEG: ours, or libjpeg-turbo, and the reason. */
enum fp_route {
    FP_OURS = 0,
    FP_PROGRESSIVE = 1,
    FP_ARITHMETIC = 2,
    FP_SEVERAL_SCANS = 3,
    FP_NOT_8_BITS = 4,
    FP_OTHER_COLORS = 5,     /* neither gray nor YCbCr */
    FP_OTHER_SAMPLING = 6,
    FP_UNUSUAL_HEADERS = 7,  /* missing tables, or components in another order */
    FP_SMALL = 8,            /* making tables would take longer than they save */
    FP_UNREADABLE = 9
};
/* Chooses by the first bytes of an image. FP_UNREADABLE if they do not hold all headers. */
int fp_route_jpeg(fp_decoder *decoder, const uint8_t *head, size_t length, uint64_t image_bytes);
/* True if libjpeg warned of the headers that were read last. */
int fp_decoder_is_odd(const fp_decoder *decoder);

int fp_decode_jpeg(fp_decoder *decoder, const uint8_t *data, size_t length,
                   const fp_decode_options *options, const fp_view *view, const fp_target *target);

/* Where an image is read from, and the memory for it. */
typedef struct {
    const fp_origin *origin;
    const fp_span *span;
    int check;
    fp_scratch *blob, *aside;
    int64_t row;
} fp_reading;

/* Reads and decodes an image. With a valid seek table, reads and decodes only the bytes that the
   view needs; a checksum cannot be compared for a part. On any problem with the table, reads all of
   it, compares the checksum, and decodes without the table. Reports failures in `outcome`. */
int fp_decode_span(fp_decoder *decoder, const fp_reading *reading, const fp_seek_table *seek_table,
                   const fp_decode_options *options, const fp_view *view, const fp_target *target,
                   fp_outcome *outcome);

/* Returns how many images were decoded with a seek table. */
int64_t fp_decoder_num_with_seek_points(const fp_decoder *decoder);

/* Makes the seek table of an image of `length` bytes in `words`. *num_words is 0 if the image is
   not of the plain kind or has a flaw. Returns FP_OK or FP_NO_MEMORY. */
int fp_find_seek_points(fp_decoder *decoder, const uint8_t *data, size_t length, uint32_t crc32c,
                        fp_scratch *words, size_t *num_words);

/* Applies a view to pixels that another codec has decoded. `pixels` has the target's number of
   channels. */
int fp_resample_pixels(fp_decoder *decoder, const uint8_t *pixels, int64_t stride, uint32_t width,
                       uint32_t height, int interpolation, const fp_view *view,
                       const fp_target *target);
#endif
