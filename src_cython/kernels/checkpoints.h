/* Checkpoints: places inside a JPEG's entropy-coded data where decoding may begin. A table of them is a list of 64-bit
   words, which is what an index keeps: first the seal, then the places from the image's beginning to its end. */
#ifndef FASTPACK_CHECKPOINTS_H
#define FASTPACK_CHECKPOINTS_H
#include <stddef.h>
#include <stdint.h>

/* Before an MCU. Word: bits 0-27 the position; then three predictions of 12 bits each, signed. */
typedef struct {
    uint64_t position;       /* in bits, from the first byte of the image file, stuffed bytes counted */
    int16_t predictions[3];  /* the DC coefficients before */
} fp_checkpoint;

/* Where checkpoints are: at the first MCU of every so many rows of MCUs; where that is one row, at every so many of its
   MCUs. */
typedef struct {
    uint32_t rows, columns;  /* at most 65535 */
    uint32_t per_row;        /* checkpoints */
    uint32_t count;          /* without the one at the image's end */
} fp_checkpoint_grid;

/* A table, and what it belongs to. */
typedef struct {
    const uint64_t *words;   /* NULL: there is none */
    size_t num_words;
    uint64_t image_bytes;
    uint32_t image_crc32c;   /* of the record; 0 where none is known */
} fp_checkpoints;

/* Few enough for data of this length. 0 when it is too short for any. */
int fp_checkpoints_plan(fp_checkpoint_grid *grid, uint32_t mcus_per_row, uint32_t num_rows, uint64_t data_bytes);

/* How many words the table of a grid has. */
size_t fp_checkpoints_num_words(const fp_checkpoint_grid *grid);

/* 0 when its numbers are too large for a word. */
int fp_checkpoint_to_word(const fp_checkpoint *checkpoint, uint64_t *word);

fp_checkpoint fp_checkpoint_at(const fp_checkpoints *table, size_t number);

/* The first word of a table whose others are there. `image`: at least those of its bytes that a seal covers. */
uint64_t fp_checkpoints_seal(const fp_checkpoints *table, const fp_checkpoint_grid *grid, const uint8_t *image);

/* How many of the image's first bytes lie before the first checkpoint; 0 when this is no table of an image of this length. */
uint64_t fp_checkpoints_head_bytes(const fp_checkpoints *table);

/* How many of them the seal covers: the same, or, where no checksum tells the image from others, those up to the second
   checkpoint. */
uint64_t fp_checkpoints_sealed_bytes(const fp_checkpoints *table);

/* Gives the grid; 0 when the table is damaged, or that of another image. */
int fp_checkpoints_open(const fp_checkpoints *table, uint32_t mcus_per_row, uint32_t num_rows, const uint8_t *image,
                        fp_checkpoint_grid *grid);
#endif
