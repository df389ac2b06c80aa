/* Table files: rows of packed columns in pages with checksums.

   fastpack/files/table_layout.py describes the format. Words:
   leaf    a scalar of a column. A structured column has a leaf for each scalar of its fields.
   place   the position of a leaf in the caller's arrays. Files of one layout share the places.
   page    4092 bytes of whole rows and their CRC-32C. Its number is its offset / 4096. */
#ifndef FASTPACK_TABLES_H
#define FASTPACK_TABLES_H
#include <stddef.h>

#include "status.h"

enum { FP_PAGE_BYTES = 4096 };

/* A leaf of `size` bytes, at `offset` in each item of `stride` bytes of a column. */
typedef struct {
    uint32_t column;
    uint32_t offset;
    uint32_t size;
    uint32_t stride;
} fp_place;

/* The value of a row is base + step * row + the sum of two little-endian numbers in the row. The
   second number belongs to the leaf that `plus` named; its base and step are added to these. */
typedef struct {
    uint64_t base;
    uint64_t step;
    uint16_t at[2];
    uint8_t width[2];
    uint8_t has_plus;
} fp_leaf;

typedef struct {
    int64_t num_rows;
    int64_t rows_per_page;   /* INT64_MAX without pages */
    uint64_t first_page;
    uint32_t row_bytes;
    uint32_t is_raw;         /* the rows are the bytes of the only column */
    size_t first_leaf;       /* in the file's leaves */
    size_t num_leaves;
} fp_table;

/* An open file, or a file in memory (fd -1). */
typedef struct {
    int fd;
    uint32_t checksum;       /* of the header */
    uint64_t size;
    uint64_t first_page;
    uint8_t *own_header;     /* until fp_bind_tables */
    uint32_t header_bytes;
    uint32_t common_bytes;
    uint32_t text_bytes;
    uint32_t num_words;
    uint8_t *own_slots;      /* the kept pages, or NULL */
    uint8_t *own_states;     /* one for each slot; NULL in memory, where all are full */
    uint64_t num_loads;      /* pages read; atomic */
    fp_table *own_tables;
    fp_leaf *own_leaves;
} fp_pages;

/* The caller's arrays; NULL for a column that is not wanted. */
typedef struct {
    const fp_place *places;
    uint8_t *const *columns;
} fp_outputs;

/* Both check the header. `keep`: pages stay in memory once read. fp_pages_copy also checks all
   pages. After a failure, fp_pages_free is still needed. */
int fp_pages_open(fp_pages *pages, const char *path, int keep, fp_outcome *outcome);
int fp_pages_copy(fp_pages *pages, const uint8_t *data, size_t size, fp_outcome *outcome);
/* The texts of the header, before fp_bind_tables. */
const uint8_t *fp_pages_common(const fp_pages *pages);
const uint8_t *fp_pages_text(const fp_pages *pages);
/* Checks the header's words. starts: the first place of each table, and the number of all. */
int fp_bind_tables(fp_pages *pages, const fp_place *places, const int64_t *starts,
                   int64_t num_tables, fp_outcome *outcome);
void fp_pages_free(fp_pages *pages);

/* Row i is of files[i], or of files[0] unless per_row. The next functions need rows that exist:
   fp_first_outside gives the first other one, or -1. */
int64_t fp_first_outside(fp_pages *const *files, int per_row, int64_t table, const int64_t *rows,
                         int64_t num_rows);
int fp_take_rows(fp_pages *const *files, int per_row, int64_t table, const fp_outputs *out,
                 const int64_t *rows, int64_t num_rows, fp_outcome *outcome);
/* Reads rows [first, end), many pages with each call. */
int fp_read_rows(fp_pages *file, int64_t table, const fp_outputs *out, int64_t first, int64_t end,
                 fp_outcome *outcome);
/* Advises the OS that the pages will be read soon. This is only a hint: errors are ignored. */
void fp_advise_rows(fp_pages *const *files, int per_row, int64_t table, const int64_t *rows,
                    int64_t num_rows);
#endif
