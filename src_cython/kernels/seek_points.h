/* Checkpoints: places inside a JPEG's entropy-coded data where decoding may begin. A table of them is a list of 64-bit
   words, which is what an index keeps: first the seal, then the places from the image's beginning to its end. */
#ifndef FASTPACK_SEEK_POINTS_H
#define FASTPACK_SEEK_POINTS_H
#include <stddef.h>
#include <stdint.h>

/* Before an MCU. Word: bits 0-27 the position; then three predictions of 12 bits each, signed. */
typedef struct {
    uint64_t position;       /* in bits, from the first byte of the image file, stuffed bytes counted */
    int16_t predictions[3];  /* the DC coefficients before */
} fp_seek_point;

/* Where checkpoints are: at the first MCU of every so many rows of MCUs; where that is one row, at every so many of its
   MCUs. */
typedef struct {
    uint32_t rows, columns;  /* at most 65535 */
    uint32_t per_row;        /* checkpoints */
    uint32_t count;          /* without the one at the image's end */
} fp_seek_grid;

/* A table, and what it belongs to. */
typedef struct {
    const uint64_t *words;   /* NULL: there is none */
    size_t num_words;
    uint64_t image_bytes;
    uint32_t image_crc32c;   /* of the record; 0 where none is known */
} fp_seek_table;

/* Few enough for data of this length. 0 when it is too short for any. */
int fp_seek_grid_plan(fp_seek_grid *grid, uint32_t mcus_per_row, uint32_t num_rows, uint64_t data_bytes);

/* How many words the table of a grid has. */
size_t fp_seek_table_num_words(const fp_seek_grid *grid);

/* 0 when its numbers are too large for a word. */
int fp_seek_point_to_word(const fp_seek_point *point, uint64_t *word);

fp_seek_point fp_seek_point_at(const fp_seek_table *table, size_t number);

/* The first word of a table whose others are there. `image`: at least those of its bytes that a seal covers. */
uint64_t fp_seek_table_first_word(const fp_seek_table *table, const fp_seek_grid *grid, const uint8_t *image);

/* How many of the image's first bytes lie before the first checkpoint; 0 when this is no table of an image of this length. */
uint64_t fp_seek_table_head_bytes(const fp_seek_table *table);

/* How many of them the seal covers: the same, or, where no checksum tells the image from others, those up to the second
   checkpoint. */
uint64_t fp_seek_table_covered_bytes(const fp_seek_table *table);

/* Gives the grid; 0 when the table is damaged, or that of another image. */
int fp_seek_table_open(const fp_seek_table *table, uint32_t mcus_per_row, uint32_t num_rows, const uint8_t *image,
                        fp_seek_grid *grid);
#endif
