/* Boxes of sequential JPEGs (baseline and extended: 8 bits, Huffman codes, one interleaved scan) -> pixels, equal to
   libjpeg-turbo's: accurate integer IDCT, fancy upsampling. Whatever is unusual about an image is for libjpeg to judge. */
#ifndef FASTPACK_SEQUENTIAL_H
#define FASTPACK_SEQUENTIAL_H
#include "seek_points.h"
#include "entropy.h"
#include "geometry.h"

#define FP_MAX_TABLES 4

/* What the headers say of the image, and the data behind them. */
typedef struct {
    uint32_t width, height;  /* of the image as it is decoded: it may be smaller than it is stored */
    uint32_t num_components; /* 1 or 3 */
    uint32_t blocks_across, blocks_down; /* of luma, in an MCU */
    uint32_t chroma_across, chroma_down; /* the same of each chroma component */
    uint32_t rows_at_once;   /* of MCUs: libjpeg decodes all of them or none */
    uint32_t edge, chroma_edge; /* samples that a block becomes, along and down: 8, 4, 2 or 1 */
    uint32_t across, down;   /* how many luma samples lie along and down a chroma sample: 1 to 4 */
    int blends;              /* upsampling weighs neighbours by a triangle, at most two by two; else it repeats samples */
    uint32_t restart_interval;
    struct {
        uint32_t dc, ac;           /* which of the tables */
        const uint16_t *steps;     /* of quantisation, row by row */
    } components[FP_MAX_COMPONENTS];
    fp_huffman_code dc[FP_MAX_TABLES], ac[FP_MAX_TABLES];
    const uint8_t *data;
    size_t length;
    int is_worth_tables;     /* 0: leave it to libjpeg unless its tables are those of the image before */
    const uint8_t *image;    /* the file's first byte */
    const fp_seek_table *seek_table; /* NULL: decode from the beginning */
} fp_scan;

enum fp_pixel_format { FP_PIXELS_RGB, FP_PIXELS_BGR, FP_PIXELS_GRAY };

/* What libjpeg must decide; whatever was written so far means nothing. */
#define FP_LEFT_TO_LIBJPEG (-1)

typedef struct fp_sequential fp_sequential;

fp_sequential *fp_sequential_new(void);
void fp_sequential_free(fp_sequential *sequential);

/* Which bytes of the image decoding the box by its checkpoints takes, those of the headers apart; 0 when the checkpoints
   are not the image's. */
int fp_sequential_bytes(const fp_scan *scan, const fp_box *box, uint64_t *first, uint64_t *end);

/* Makes a table of checkpoints: scan->checkpoints says what for, and its words lie in `words` afterwards. 0 of them when the
   data is anything but flawless, or has restarts. FP_OK or FP_NO_MEMORY. */
int fp_sequential_find_seek_points(fp_sequential *sequential, const fp_scan *scan, fp_scratch *words, size_t *num_words);

/* True when the data after the last MCU is, or may be, whole MCUs up to its end: bits were lost before. */
int fp_sequential_has_more_mcus(fp_sequential *sequential, const fp_scan *scan);

/* Decodes the box into rows `stride` bytes apart. FP_OK, FP_NO_MEMORY or FP_LEFT_TO_LIBJPEG. */
int fp_sequential_decode(fp_sequential *sequential, const fp_scan *scan, const fp_box *box, int pixels, uint8_t *out,
                         int64_t stride);
#endif
