/* Seek points: positions inside a JPEG's entropy-coded data where decoding may begin. A seek table
   is a list of 64-bit words that the index stores (seek_points.c). */
#ifndef FASTPACK_SEEK_POINTS_H
#define FASTPACK_SEEK_POINTS_H
#include <stddef.h>
#include <stdint.h>

/* The state before an MCU. */
typedef struct {
    uint64_t position;       /* in bits from the first byte of the file, stuffed bytes included */
    int16_t predictions[3];  /* the DC coefficients of the previous blocks */
} fp_seek_point;

/* Which MCUs have a seek point: the first of every `rows` rows of MCUs. If `rows` is 1, also every
   `columns`th MCU of a row. */
typedef struct {
    uint32_t rows, columns;  /* at most 65535 */
    uint32_t per_row;        /* seek points in a row */
    uint32_t count;          /* without the one at the end of the image */
} fp_seek_grid;

/* A seek table and the image that it belongs to. */
typedef struct {
    const uint64_t *words;   /* NULL: no table */
    size_t num_words;
    uint64_t image_bytes;
    uint32_t image_crc32c;   /* of the record; 0 if unknown */
} fp_seek_table;

/* Chooses a grid for data of this length. Returns 0 if the data is too short for seek points. */
int fp_seek_grid_plan(fp_seek_grid *grid, uint32_t mcus_per_row, uint32_t num_rows,
                      uint64_t data_bytes);

/* Returns the number of words of a table. */
size_t fp_seek_table_num_words(const fp_seek_grid *grid);

/* Returns 0 if a number is too large for a word. */
int fp_seek_point_to_word(const fp_seek_point *point, uint64_t *word);

fp_seek_point fp_seek_point_at(const fp_seek_table *table, size_t number);

/* Returns the first word of a table whose other words are set. `image` has at least the bytes that
   the checksum covers. */
uint64_t fp_seek_table_first_word(const fp_seek_table *table, const fp_seek_grid *grid,
                                  const uint8_t *image);

/* Returns how many bytes of the image precede the first seek point. 0 if the table cannot belong to
   an image of this length. */
uint64_t fp_seek_table_head_bytes(const fp_seek_table *table);

/* Returns how many bytes of the image the checksum covers. If the record has no checksum, this
   includes the data up to the second seek point: it identifies the image. */
uint64_t fp_seek_table_covered_bytes(const fp_seek_table *table);

/* Gives the grid. Returns 0 if the table is damaged or belongs to another image. */
int fp_seek_table_open(const fp_seek_table *table, uint32_t mcus_per_row, uint32_t num_rows,
                       const uint8_t *image, fp_seek_grid *grid);
#endif
