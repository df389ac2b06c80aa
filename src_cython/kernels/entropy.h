/* The entropy-coded data of a sequential JPEG scan: bits -> quantised coefficients, one run of MCUs at a time. */
#ifndef FASTPACK_ENTROPY_H
#define FASTPACK_ENTROPY_H
#include <stddef.h>

#include "huffman.h"
#include "span.h"

#define FP_MAX_COMPONENTS 3
#define FP_MAX_BLOCKS 10 /* of an MCU */

/* Of an MCU, a component has across x down blocks. */
typedef struct {
    const fp_huffman *dc, *ac;
    uint32_t across, down;
} fp_coded_component;

/* Where the blocks of a run of MCUs go: those of its first row of blocks side by side, those of the second one
   `row_blocks` blocks on. All must be zeros. NULL: not wanted. */
typedef struct {
    int16_t *coefficients;   /* FP_BLOCK of a block, row by row */
    uint8_t *last;           /* of a block: where in zigzag order its last coefficient is */
    uint32_t row_blocks;
} fp_coefficients;

/* A place where the data is decoded. */
typedef struct {
    uint64_t bits;           /* the next ones, left-aligned */
    uint32_t count;          /* how many of them are there */
    const uint8_t *next;     /* where those behind them lie */
    int32_t predictions[FP_MAX_COMPONENTS]; /* the DC coefficients before */
} fp_lane;

/* Bits come from a copy of the data up to the next marker, without the zero bytes that are stuffed in. */
typedef struct {
    fp_lane lane;
    fp_lane second;          /* where another part is decoded at the same time */
    const uint8_t *end;      /* of the copy; a pad of zeros follows */
    const uint8_t *marker;   /* what ended it, in the data; NULL when nothing did */
    const uint8_t *data_end;
    fp_scratch copy;
    fp_coded_component components[FP_MAX_COMPONENTS];
    uint32_t num_components;
    uint32_t restart_interval, restarts_left, next_restart;
    int16_t unwanted[64];    /* where coefficients go that nobody asked for */
    uint8_t unwanted_last;
} fp_entropy;

void fp_entropy_free(fp_entropy *entropy);

/* Starts a scan at `data`; components and restart_interval are set before. FP_OK or FP_NO_MEMORY. */
int fp_entropy_start(fp_entropy *entropy, const uint8_t *data, size_t length);

/* The other way to start, for pieces out of the midst of a scan without restarts, up to `length` bytes in all. */
int fp_entropy_reserve(fp_entropy *entropy, size_t length);
/* Copies a piece behind the others and gives where it begins, in bytes; -1 when there is a marker in it. */
int64_t fp_entropy_add(fp_entropy *entropy, const uint8_t *data, size_t length);
/* Goes to a bit of the copy. */
void fp_entropy_seek(const fp_entropy *entropy, fp_lane *lane, uint64_t bit, const int16_t *predictions);
/* Which bit of the copy comes next. */
uint64_t fp_entropy_tell(const fp_entropy *entropy, const fp_lane *lane);

/* Given a byte of the data whose place in the copy is known, moves on to the one whose place is `to`, which must be in the copy. */
const uint8_t *fp_entropy_stuffed(const fp_entropy *entropy, const uint8_t *data, uint64_t from, uint64_t to);

/* Decodes the next `num_mcus`. `out`: for each component, or NULL when none is wanted. 0 where the data is
   anything but flawless; what libjpeg makes of it, libjpeg must say. */
int fp_entropy_decode(fp_entropy *entropy, uint32_t num_mcus, const fp_coefficients *out);
/* The same for both lanes in turns, without restarts: while a symbol of one is looked up, there is work in the other. */
int fp_entropy_decode_both(fp_entropy *entropy, uint32_t num_mcus, const fp_coefficients *out, const fp_coefficients *second);

/* True when all that was decoded so far was there. */
int fp_entropy_is_sound(const fp_entropy *entropy);

/* True when the data ends here, and the image with it. */
int fp_entropy_is_at_end(const fp_entropy *entropy);
#endif
