/* Decodes boxes of sequential JPEGs to pixels equal to libjpeg-turbo's (accurate integer IDCT,
   fancy upsampling). Sequential means: baseline or extended, 8 bits, Huffman codes, one interleaved
   scan. An image with any flaw is left to libjpeg. */
#ifndef FASTPACK_SEQUENTIAL_H
#define FASTPACK_SEQUENTIAL_H
#include "entropy.h"
#include "geometry.h"
#include "seek_points.h"

#define FP_MAX_TABLES 4

/* A description of the scan, made from the headers (scans.c). */
typedef struct {
    uint32_t width, height;  /* of the image as decoded, which may be smaller than stored */
    uint32_t num_components; /* 1 or 3 */
    uint32_t blocks_across, blocks_down; /* blocks of luma in an MCU */
    uint32_t chroma_across, chroma_down; /* blocks of each chroma component in an MCU */
    uint32_t rows_at_once;   /* libjpeg decodes this many rows of MCUs together */
    uint32_t edge, chroma_edge; /* samples along a side of a decoded block: 8, 4, 2 or 1 */
    uint32_t across, down;   /* luma samples along and down a chroma sample: 1 to 4 */
    int blends; /* upsampling uses a triangle filter, at most 2 x 2; else it repeats samples */
    uint32_t restart_interval;
    struct {
        uint32_t dc, ac;           /* indexes of its Huffman tables */
        const uint16_t *steps;     /* quantization steps, row by row */
    } components[FP_MAX_COMPONENTS];
    fp_huffman_code dc[FP_MAX_TABLES], ac[FP_MAX_TABLES];
    const uint8_t *data;
    size_t length;
    int is_worth_tables;     /* 0: decode only if the tables are those of the previous image */
    const uint8_t *image;    /* the first byte of the file */
    const fp_seek_table *seek_table; /* NULL: decode from the beginning */
} fp_scan;

enum fp_pixel_format { FP_PIXELS_RGB, FP_PIXELS_BGR, FP_PIXELS_GRAY };

/* libjpeg must decode the image. Pixels written so far are not valid. */
#define FP_LEFT_TO_LIBJPEG (-1)

typedef struct fp_sequential fp_sequential;

fp_sequential *fp_sequential_new(void);
void fp_sequential_free(fp_sequential *sequential);

/* Gives the bytes of the file that decoding the box with the seek table reads, besides the headers.
   Returns 0 if the table is not valid for this image. */
int fp_sequential_bytes(const fp_scan *scan, const fp_box *box, uint64_t *first, uint64_t *end);

/* Makes a seek table in `words`. scan->seek_table identifies the image. *num_words is 0 if the data
   has a flaw or restarts. Returns FP_OK or FP_NO_MEMORY. */
int fp_sequential_find_seek_points(fp_sequential *sequential, const fp_scan *scan,
                                   fp_scratch *words, size_t *num_words);

/* True if the data after the last MCU is, or may be, more MCUs up to its end. Then bits were lost
   before. */
int fp_sequential_has_more_mcus(fp_sequential *sequential, const fp_scan *scan);

/* Decodes the box into rows `stride` bytes apart. Returns FP_OK, FP_NO_MEMORY or
   FP_LEFT_TO_LIBJPEG. */
int fp_sequential_decode(fp_sequential *sequential, const fp_scan *scan, const fp_box *box,
                         int pixels, uint8_t *out, int64_t stride);
#endif
