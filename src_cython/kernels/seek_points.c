/* Seek tables of JPEGs.

   The table of an image is a list of words. The first identifies grid and image. The others are the
   seek points in order; the last one is the end of the image's data.

         63        48 47        32 31                     0
        +------------+------------+------------------------+
        |    rows    |  columns   |        CRC-32C         |   first word
        +------------+------------+------------------------+

         63      52 51      40 39      28 27              0
        +----------+----------+----------+-----------------+
        |    Cr    |    Cb    |    Y     |  position, bits |   seek point
        +----------+----------+----------+-----------------+

   Y, Cb and Cr are DC predictions of 12 bits, with 2048 added. A position of 28 bits reaches 32
   MiB; larger images get no table.

   The checksum covers the grid, the length and the checksum of the image, all other words, and the
   headers of the image. So a table of another image, or a damaged one, is never used. A forged
   table with a valid checksum can give wrong pixels, but it cannot harm memory. */
#include "seek_points.h"

#include "crc32c.h"

enum {
    BYTES_A_SEEK_POINT = 1600, /* where a row allows a choice; a word of 8 bytes is 0.5% of them */
    BYTES_AT_LEAST = 400,      /* decoding less data is faster than a search for it */
    MCUS_AT_LEAST = 16,
    POSITION_BITS = 28,
    PREDICTION_BITS = 12,
    PREDICTION_BIAS = 1 << (PREDICTION_BITS - 1),
};

int fp_seek_grid_plan(fp_seek_grid *grid, uint32_t mcus_per_row, uint32_t num_rows,
                      uint64_t data_bytes) {
    uint64_t row_bytes = data_bytes / num_rows;
    if (data_bytes < 4 * BYTES_AT_LEAST || num_rows < 2 || mcus_per_row > 0xffff) return 0;
    uint64_t rows = row_bytes < BYTES_AT_LEAST ? BYTES_AT_LEAST / (row_bytes + 1) + 1 : 1;
    uint64_t parts = rows == 1 ? row_bytes / BYTES_A_SEEK_POINT : 1;
    uint64_t max_parts = mcus_per_row / MCUS_AT_LEAST;
    if (parts > max_parts) parts = max_parts;
    if (parts < 1) parts = 1;
    grid->rows = (uint32_t)rows;
    grid->columns = (uint32_t)((mcus_per_row + parts - 1) / parts);
    grid->per_row = (mcus_per_row + grid->columns - 1) / grid->columns;
    grid->count = (num_rows + grid->rows - 1) / grid->rows * grid->per_row;
    return 1;
}

size_t fp_seek_table_num_words(const fp_seek_grid *grid) { return (size_t)grid->count + 2; }

int fp_seek_point_to_word(const fp_seek_point *point, uint64_t *word) {
    if (point->position >> POSITION_BITS) return 0;
    *word = point->position;
    for (int c = 0; c < 3; c++) {
        int32_t biased = point->predictions[c] + PREDICTION_BIAS;
        if (biased < 0 || biased >> PREDICTION_BITS) return 0;
        *word |= (uint64_t)biased << (POSITION_BITS + PREDICTION_BITS * c);
    }
    return 1;
}

static uint64_t position_of(uint64_t word) { return word & ((1u << POSITION_BITS) - 1); }

static int16_t prediction_of(uint64_t word, int component) {
    uint32_t biased = (uint32_t)(word >> (POSITION_BITS + PREDICTION_BITS * component));
    return (int16_t)((int32_t)(biased & ((1u << PREDICTION_BITS) - 1)) - PREDICTION_BIAS);
}

static uint32_t rows_of(uint64_t first_word) { return (uint32_t)(first_word >> 48); }

static uint32_t columns_of(uint64_t first_word) { return (uint32_t)(first_word >> 32) & 0xffff; }

static uint64_t pack_grid(const fp_seek_grid *grid) {
    return (uint64_t)grid->rows << 48 | (uint64_t)grid->columns << 32;
}

fp_seek_point fp_seek_point_at(const fp_seek_table *table, size_t number) {
    uint64_t word = table->words[number + 1];
    fp_seek_point point = {.position = position_of(word)};
    for (int c = 0; c < 3; c++) point.predictions[c] = prediction_of(word, c);
    return point;
}

/* The first word: the grid in the upper half, the checksum in the lower half. */
uint64_t fp_seek_table_first_word(const fp_seek_table *table, const fp_seek_grid *grid,
                                  const uint8_t *image) {
    uint64_t about[3] = {pack_grid(grid), table->image_bytes, table->image_crc32c};
    uint32_t crc = fp_crc32c(0, (const uint8_t *)about, sizeof about);
    crc = fp_crc32c(crc, (const uint8_t *)(table->words + 1),
                    (table->num_words - 1) * sizeof *table->words);
    return pack_grid(grid) | fp_crc32c(crc, image, (size_t)fp_seek_table_covered_bytes(table));
}

uint64_t fp_seek_table_covered_bytes(const fp_seek_table *table) {
    uint64_t head_bytes = fp_seek_table_head_bytes(table);
    if (head_bytes == 0 || table->image_crc32c) return head_bytes;
    uint64_t end = (position_of(table->words[2]) + 7) / 8;
    return end < table->image_bytes ? end : table->image_bytes;
}

uint64_t fp_seek_table_head_bytes(const fp_seek_table *table) {
    if (!table->words || table->num_words < 3) return 0;
    uint64_t first = position_of(table->words[1]);
    uint64_t last = position_of(table->words[table->num_words - 1]);
    return first % 8 == 0 && first <= last && last / 8 < table->image_bytes ? first / 8 : 0;
}

int fp_seek_table_open(const fp_seek_table *table, uint32_t mcus_per_row, uint32_t num_rows,
                       const uint8_t *image, fp_seek_grid *grid) {
    if (!fp_seek_table_head_bytes(table)) return 0;
    uint32_t rows = rows_of(table->words[0]), columns = columns_of(table->words[0]);
    if (rows == 0 || columns == 0 || columns > mcus_per_row || (rows > 1 && columns < mcus_per_row))
        return 0;
    uint32_t per_row = (mcus_per_row + columns - 1) / columns;
    uint64_t count = (uint64_t)((num_rows + rows - 1) / rows) * per_row;
    if (table->num_words - 2 != count) return 0;
    *grid = (fp_seek_grid){rows, columns, per_row, (uint32_t)count};
    fp_seek_point first = fp_seek_point_at(table, 0);
    if (first.predictions[0] || first.predictions[1] || first.predictions[2]) return 0;
    for (size_t i = 2; i < table->num_words; i++)
        if (position_of(table->words[i]) < position_of(table->words[i - 1])) return 0;
    return fp_seek_table_first_word(table, grid, image) == table->words[0];
}
