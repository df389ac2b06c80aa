/* Decodes the entropy-coded data of a sequential JPEG scan: bits to quantized coefficients. */
#ifndef FASTPACK_ENTROPY_H
#define FASTPACK_ENTROPY_H
#include <stddef.h>

#include "huffman.h"
#include "span.h"

#define FP_MAX_COMPONENTS 3
#define FP_MAX_BLOCKS 10 /* in an MCU */

/* A component has across x down blocks in an MCU. */
typedef struct {
    const fp_huffman *dc, *ac;
    uint32_t across, down;
} fp_coded_component;

/* The destination of a run of MCUs for one component. The blocks of the first row of blocks lie
   side by side; those of the second row begin `row_blocks` blocks later. The caller zeroes the
   memory. coefficients == NULL: the component is not wanted. */
typedef struct {
    int16_t *coefficients;   /* FP_BLOCK for each block, row by row */
    uint8_t *last;           /* for each block, the zigzag position of its last coefficient */
    uint32_t row_blocks;
} fp_coefficients;

/* The state of one position in the data. */
typedef struct {
    uint64_t bits;           /* the next bits, left-aligned */
    uint32_t count;          /* the number of valid bits in `bits` */
    const uint8_t *next;     /* the byte after them */
    int32_t predictions[FP_MAX_COMPONENTS]; /* the DC coefficient of the previous block */
} fp_lane;

/* The decoder. It reads from a copy of the data up to the next marker, without stuffed zero
   bytes. */
typedef struct {
    fp_lane lane;
    fp_lane second;          /* a second position, decoded at the same time */
    const uint8_t *end;      /* of the copy; a pad of zeros follows */
    const uint8_t *marker;   /* the marker that ended the copy, in the data; NULL without one */
    const uint8_t *data_end;
    fp_scratch copy;
    fp_coded_component components[FP_MAX_COMPONENTS];
    uint32_t num_components;
    uint32_t restart_interval, restarts_left, next_restart;
    int16_t unwanted[64];    /* unwanted blocks are stored here */
    uint8_t unwanted_last;
} fp_entropy;

void fp_entropy_free(fp_entropy *entropy);

/* Starts a scan at `data`. The caller has set components and restart_interval. Returns FP_OK or
   FP_NO_MEMORY. */
int fp_entropy_start(fp_entropy *entropy, const uint8_t *data, size_t length);

/* Starts in the middle of a scan without restarts. Reserves memory for pieces of `length` bytes in
   all. */
int fp_entropy_reserve(fp_entropy *entropy, size_t length);
/* Appends a piece to the copy. Returns its first byte's position, or -1 if it contains a marker. */
int64_t fp_entropy_add(fp_entropy *entropy, const uint8_t *data, size_t length);
/* Moves a lane to a bit of the copy. */
void fp_entropy_seek(const fp_entropy *entropy, fp_lane *lane, uint64_t bit,
                     const int16_t *predictions);
/* Returns the position of the next bit in the copy. */
uint64_t fp_entropy_tell(const fp_entropy *entropy, const fp_lane *lane);

/* Converts a position in the copy to one in the data. `data` is the byte at position `from`;
   returns the byte at position `to`, which must lie in the copy. */
const uint8_t *fp_entropy_stuffed(const fp_entropy *entropy, const uint8_t *data, uint64_t from,
                                  uint64_t to);

/* Decodes the next `num_mcus` MCUs. `out` has an entry for each component; NULL skips the MCUs.
   Returns 0 if the data has any flaw. The caller then uses libjpeg, which decides what it means. */
int fp_entropy_decode(fp_entropy *entropy, uint32_t num_mcus, const fp_coefficients *out);
/* Decodes `num_mcus` MCUs at both positions, alternately. The scan must not have restarts. */
int fp_entropy_decode_both(fp_entropy *entropy, uint32_t num_mcus, const fp_coefficients *out,
                           const fp_coefficients *second);

/* True if no bit past the end of the data was used. */
int fp_entropy_is_sound(const fp_entropy *entropy);

/* True if the data ends here with the EOI marker. */
int fp_entropy_is_at_end(const fp_entropy *entropy);
#endif
