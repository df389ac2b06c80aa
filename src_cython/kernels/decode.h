/* JPEG -> a row of the batch: only the rows and columns that the view needs. Headers are read by libjpeg-turbo; the
   plain kinds of images are decoded by a decoder of our own, the others, and all that it objects to, by libjpeg-turbo. */
#ifndef FASTPACK_DECODE_H
#define FASTPACK_DECODE_H
#include "seek_points.h"
#include "geometry.h"

enum fp_color { FP_RGB = 0, FP_BGR = 1, FP_GRAY = 2 };

typedef struct {
    int32_t color;
    int32_t interpolation;
    int32_t may_reduce;      /* decode smaller (1/2, 1/4, 1/8) where the view shrinks by as much */
    int32_t accept_damage;   /* libjpeg's warnings are no failures */
    uint32_t max_scans;
    uint64_t max_pixels;
} fp_decode_options;

typedef struct fp_decoder fp_decoder;

fp_decoder *fp_decoder_new(void);
void fp_decoder_free(fp_decoder *decoder);
/* Libjpeg's own words for the last failure. */
const char *fp_decoder_message(const fp_decoder *decoder);

/* How many images were decoded in spite of a warning of libjpeg's that changes no pixel. */
int64_t fp_decoder_num_odd(const fp_decoder *decoder);
/* How many images the decoder of our own has decoded. */
int64_t fp_decoder_num_sequential(const fp_decoder *decoder);
/* For tests and benches: which images it decodes of those that it can. */
enum fp_sequential_use { FP_NEVER = 0, FP_WHERE_IT_PAYS = 1, FP_ALWAYS = 2 };
void fp_use_sequential(int use);

/* Which decoder takes a JPEG: ours, or libjpeg-turbo, and for what in its headers. */
enum fp_route {
    FP_OURS = 0,
    FP_PROGRESSIVE = 1,
    FP_ARITHMETIC = 2,
    FP_SEVERAL_SCANS = 3,
    FP_NOT_8_BITS = 4,
    FP_OTHER_COLORS = 5,     /* neither gray nor YCbCr */
    FP_OTHER_SAMPLING = 6,
    FP_UNUSUAL_HEADERS = 7,  /* tables that are missing, components in another order */
    FP_SMALL = 8,            /* tables would take longer than they save */
    FP_UNREADABLE = 9
};
/* By the first bytes of an image; FP_UNREADABLE when the headers do not end in them. */
int fp_route_jpeg(fp_decoder *decoder, const uint8_t *head, size_t length, uint64_t image_bytes);
/* True when libjpeg warned of something odd in the headers that were read last. */
int fp_decoder_is_odd(const fp_decoder *decoder);

int fp_decode_jpeg(fp_decoder *decoder, const uint8_t *data, size_t length, const fp_decode_options *options,
                   const fp_view *view, const fp_target *target);

/* Where an image is read from, and with what memory. */
typedef struct {
    const fp_origin *origin;
    const fp_span *span;
    int check;
    fp_scratch *blob, *aside;
    int64_t row;
} fp_reading;

/* The same for an image that is read first. By its checkpoints, when there are any that are its own, only those of its bytes
   that are needed: of a part of them no checksum is compared. Whatever is odd about them, all is read, compared and decoded
   without. Fails into `outcome`. */
int fp_decode_span(fp_decoder *decoder, const fp_reading *reading, const fp_seek_table *seek_table,
                   const fp_decode_options *options, const fp_view *view, const fp_target *target, fp_outcome *outcome);

/* How many images were decoded by their checkpoints. */
int64_t fp_decoder_num_with_seek_points(const fp_decoder *decoder);

/* Makes the table of checkpoints of an image of `length` bytes: its words lie in `words` afterwards. None, when it is not of
   the plain kind, or not flawless. FP_OK or FP_NO_MEMORY. */
int fp_find_seek_points(fp_decoder *decoder, const uint8_t *data, size_t length, uint32_t crc32c, fp_scratch *words, size_t *num_words);

/* The same for pixels that another codec has decoded; `pixels` has the target's number of channels. */
int fp_resample_pixels(fp_decoder *decoder, const uint8_t *pixels, int64_t stride, uint32_t width, uint32_t height,
                    int interpolation, const fp_view *view, const fp_target *target);
#endif
