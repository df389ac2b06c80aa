/* Reading table files.

   A file may be forged, truncated or overwritten. The header's CRC is only a protection against
   accidents. So all counts and page numbers are checked before they are used, and a page's bytes
   are only numbers that cannot lead anywhere. Pages are read with pread, never mapped: another
   program may truncate the file.

   Rows of one page are a run. A run is unpacked leaf by leaf. The width of a leaf is a mask over 8
   loaded bytes, so the loop has no branch. A load may pass the end of its page by 3 bytes: each
   page in memory is followed by spare bytes.

   Kept pages lie in slots. A thread reads a page to its own buffer and compares the checksum. Then
   it claims the empty slot, copies the page, and publishes the slot as full. A thread that finds
   the slot claimed uses its own buffer. So no slot changes after it is full, and a fork in between
   leaves a slot that the child never uses. */
#define _GNU_SOURCE
#include "tables.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crc32c.h"
#include "endian.h"
#include "span.h"

enum {
    ROW_SPACE = FP_PAGE_BYTES - 4,
    SPARE_BYTES = 8,
    SLOT_BYTES = FP_PAGE_BYTES + SPARE_BYTES,
    FIXED_BYTES = 40,             /* of the header, before the texts */
    FIRST_READ = 16 * 1024,       /* most headers are shorter */
    MAX_HEADER = 64 * 1024 * 1024,
    CHUNK_PAGES = 64,             /* pages of one pread */
    TABLE_WORDS = 2,
    LEAF_WORDS = 4,
};
enum slot_state { EMPTY, CLAIMED, FULL };

static const char MAGIC[8] = "FPTABLE1";
static const int64_t MAX_ROWS = (int64_t)1 << 48;
static const uint8_t no_page[SLOT_BYTES]; /* of tables whose rows have no bytes */

/* The lowest bytes of a word. */
static const uint64_t MASKS[9] = {
    0,          0xff,         0xffff,         0xffffff,         0xffffffff,
    0xffffffffff, 0xffffffffffff, 0xffffffffffffff, 0xffffffffffffffff,
};

static int fail(fp_outcome *outcome, uint64_t offset, const char *message) {
    return fp_fail(outcome, FP_BAD_DATA_CRC, 0, offset, message);
}

static int fail_memory(fp_outcome *outcome) {
    return fp_fail(outcome, FP_NO_MEMORY, 0, 0, "no memory for a table");
}

static uint64_t padded(uint64_t length) { return (length + 7) / 8 * 8; }

/* --- The header --- */

static int check_fixed(fp_pages *pages, const uint8_t *fixed, uint64_t length,
                       fp_outcome *outcome) {
    if (length < FIXED_BYTES)
        return fp_fail(outcome, FP_TRUNCATED, 0, length, "the file ends in its header");
    if (memcmp(fixed, MAGIC, sizeof MAGIC - 1) != 0)
        return fail(outcome, 0, "it is not a table file");
    if (fixed[7] != MAGIC[7]) return fail(outcome, 7, "it has another version of the format");
    pages->checksum = fp_load_le32(fixed + 8);
    pages->header_bytes = fp_load_le32(fixed + 12);
    pages->common_bytes = fp_load_le32(fixed + 24);
    pages->text_bytes = fp_load_le32(fixed + 28);
    pages->num_words = fp_load_le32(fixed + 32);
    uint64_t expected = FIXED_BYTES + padded(pages->common_bytes) + padded(pages->text_bytes) +
                        8 * (uint64_t)pages->num_words;
    if (pages->header_bytes != expected || expected > MAX_HEADER || fp_load_le32(fixed + 36) != 0)
        return fail(outcome, 12, "its header is damaged");
    if (fp_load_le64(fixed + 16) != pages->size || expected > pages->size)
        return fp_fail(outcome, FP_TRUNCATED, 0, pages->size,
                       "it has another size than its header gives");
    pages->first_page = (expected + FP_PAGE_BYTES - 1) / FP_PAGE_BYTES;
    return FP_OK;
}

static int check_header_crc(const fp_pages *pages, fp_outcome *outcome) {
    if (fp_crc32c(0, pages->own_header + 12, pages->header_bytes - 12) != pages->checksum)
        return fail(outcome, 8, "its header differs from its CRC32C");
    return FP_OK;
}

static uint64_t num_pages(const fp_pages *pages) { return pages->size / FP_PAGE_BYTES; }

/* The slots of all pages. The OS gives memory only to those that are used. */
static int reserve_slots(fp_pages *pages, fp_outcome *outcome) {
    if (num_pages(pages) <= pages->first_page) return FP_OK;
    uint64_t count = num_pages(pages) - pages->first_page;
    if (count > SIZE_MAX / SLOT_BYTES) return fail_memory(outcome);
    pages->own_slots = malloc(count * SLOT_BYTES);
    return pages->own_slots ? FP_OK : fail_memory(outcome);
}

static int reserve_states(fp_pages *pages, fp_outcome *outcome) {
    if (!pages->own_slots) return FP_OK;
    pages->own_states = calloc(num_pages(pages) - pages->first_page, 1);
    return pages->own_states ? FP_OK : fail_memory(outcome);
}

static int open_regular(fp_pages *pages, const char *path, fp_outcome *outcome) {
    struct stat facts;
    do pages->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would wait */
    while (pages->fd < 0 && errno == EINTR);
    if (pages->fd < 0 || fstat(pages->fd, &facts) != 0)
        return fp_fail(outcome, FP_IO_ERROR, 0, 0, "the file cannot be opened");
    if (!S_ISREG(facts.st_mode)) return fail(outcome, 0, "it is not a file");
    pages->size = (uint64_t)facts.st_size;
    return FP_OK;
}

static int read_header(fp_pages *pages, fp_outcome *outcome) {
    uint8_t first[FIRST_READ];
    size_t length = pages->size < FIRST_READ ? (size_t)pages->size : FIRST_READ;
    if (fp_pread(pages->fd, first, length, 0, 0, outcome) ||
        check_fixed(pages, first, length, outcome))
        return outcome->status;
    pages->own_header = malloc(pages->header_bytes);
    if (!pages->own_header) return fail_memory(outcome);
    if (length > pages->header_bytes) length = pages->header_bytes;
    memcpy(pages->own_header, first, length);
    if (fp_pread(pages->fd, pages->own_header + length, pages->header_bytes - length, length, 0,
                 outcome))
        return outcome->status;
    return check_header_crc(pages, outcome);
}

int fp_pages_open(fp_pages *pages, const char *path, int keep, fp_outcome *outcome) {
    if (open_regular(pages, path, outcome) || read_header(pages, outcome)) return outcome->status;
    if (!keep) return FP_OK;
    return reserve_slots(pages, outcome) ? outcome->status : reserve_states(pages, outcome);
}

const uint8_t *fp_pages_common(const fp_pages *pages) { return pages->own_header + FIXED_BYTES; }

const uint8_t *fp_pages_text(const fp_pages *pages) {
    return fp_pages_common(pages) + padded(pages->common_bytes);
}

void fp_pages_free(fp_pages *pages) {
    if (pages->fd >= 0) close(pages->fd);
    free(pages->own_header);
    free(pages->own_slots);
    free(pages->own_states);
    free(pages->own_tables);
    free(pages->own_leaves);
    memset(pages, 0, sizeof *pages);
    pages->fd = -1;
}

/* --- Pages --- */

static uint8_t *slot_of(const fp_pages *pages, uint64_t number) {
    return pages->own_slots + (number - pages->first_page) * SLOT_BYTES;
}

/* The checksum depends on the file and the number: a page of another place is found. */
static int check_page(const fp_pages *pages, uint64_t number, const uint8_t *page, int64_t row,
                      fp_outcome *outcome) {
    uint8_t bytes[8];
    fp_store_le64(bytes, number);
    uint32_t seed = fp_crc32c(pages->checksum, bytes, sizeof bytes);
    if (fp_crc32c(seed, page, ROW_SPACE) == fp_load_le32(page + ROW_SPACE)) return FP_OK;
    return fp_fail(outcome, FP_BAD_DATA_CRC, row, number * FP_PAGE_BYTES,
                   "a page differs from its CRC32C");
}

/* Returns NULL if another thread has the slot. */
static const uint8_t *fill_slot(const fp_pages *pages, uint64_t number, const uint8_t *page) {
    uint8_t *state = &pages->own_states[number - pages->first_page], empty = EMPTY;
    if (!__atomic_compare_exchange_n(state, &empty, CLAIMED, 0, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED))
        return NULL;
    memcpy(slot_of(pages, number), page, FP_PAGE_BYTES);
    __atomic_store_n(state, FULL, __ATOMIC_RELEASE);
    return slot_of(pages, number);
}

static int is_full(const fp_pages *pages, uint64_t number) {
    if (!pages->own_slots) return 0;
    if (!pages->own_states) return 1;
    return __atomic_load_n(&pages->own_states[number - pages->first_page], __ATOMIC_ACQUIRE) ==
           FULL;
}

/* True once a quarter as many pages were read as the file has. The first touch of a slot costs as
   much as reading a page, and few reads do not return to a page. */
static int keeps_page(const fp_pages *pages) {
    if (!pages->own_states) return 0;
    uint64_t *loads = (uint64_t *)&pages->num_loads;
    return __atomic_fetch_add(loads, 1, __ATOMIC_RELAXED) * 4 >= num_pages(pages);
}

/* Returns a kept page, or reads it to `buffer`. NULL after a failure. */
static const uint8_t *load_page(const fp_pages *pages, uint64_t number, uint8_t *buffer,
                                int64_t row, fp_outcome *outcome) {
    if (is_full(pages, number)) return slot_of(pages, number);
    if (fp_pread(pages->fd, buffer, FP_PAGE_BYTES, number * FP_PAGE_BYTES, row, outcome) ||
        check_page(pages, number, buffer, row, outcome))
        return NULL;
    const uint8_t *kept = keeps_page(pages) ? fill_slot(pages, number, buffer) : NULL;
    return kept ? kept : buffer;
}

static int copy_pages(fp_pages *pages, const uint8_t *data, fp_outcome *outcome) {
    for (uint64_t number = pages->first_page; number < num_pages(pages); number++) {
        const uint8_t *page = data + number * FP_PAGE_BYTES;
        if (check_page(pages, number, page, 0, outcome)) return outcome->status;
        memcpy(slot_of(pages, number), page, FP_PAGE_BYTES);
    }
    return FP_OK;
}

int fp_pages_copy(fp_pages *pages, const uint8_t *data, size_t size, fp_outcome *outcome) {
    pages->size = size;
    if (check_fixed(pages, data, size, outcome)) return outcome->status;
    pages->own_header = malloc(pages->header_bytes);
    if (!pages->own_header) return fail_memory(outcome);
    memcpy(pages->own_header, data, pages->header_bytes);
    if (check_header_crc(pages, outcome) || reserve_slots(pages, outcome)) return outcome->status;
    return copy_pages(pages, data, outcome);
}

/* --- The words of the header --- */

/* `plus` is the number of an earlier leaf of 8 bytes that has no plus itself, counted from 1. */
static int bind_plus(fp_leaf *leaves, const fp_place *places, size_t i, uint64_t plus,
                     fp_outcome *outcome) {
    if (plus == 0) return FP_OK;
    if (plus > i || places[plus - 1].size != 8 || leaves[plus - 1].has_plus)
        return fail(outcome, 0, "its header refers to a wrong column");
    leaves[i].has_plus = 1;
    leaves[i].base += leaves[plus - 1].base;
    leaves[i].step += leaves[plus - 1].step;
    leaves[i].at[1] = leaves[plus - 1].at[0];
    leaves[i].width[1] = leaves[plus - 1].width[0];
    return FP_OK;
}

static int bind_leaves(fp_table *table, fp_leaf *leaves, const fp_place *places,
                       const uint8_t *words, fp_outcome *outcome) {
    for (size_t i = 0; i < table->num_leaves; i++, words += 8 * LEAF_WORDS) {
        uint64_t width = fp_load_le64(words);
        if (width > 8 || table->row_bytes + width > ROW_SPACE)
            return fail(outcome, 0, "its header has a wrong width");
        leaves[i] = (fp_leaf){.base = fp_load_le64(words + 8),
                              .step = fp_load_le64(words + 16),
                              .at = {(uint16_t)(width ? table->row_bytes : 0)},
                              .width = {(uint8_t)width}};
        table->row_bytes += (uint32_t)width;
        if (bind_plus(leaves, places, i, fp_load_le64(words + 24), outcome))
            return outcome->status;
    }
    table->is_raw = table->num_leaves == 1 && leaves->width[0] == places->size &&
                    leaves->base == 0 && leaves->step == 0;
    return FP_OK;
}

/* Compares the table's pages with the file's. */
static int bind_pages(const fp_pages *pages, fp_table *table, fp_outcome *outcome) {
    table->rows_per_page = INT64_MAX;
    if (table->row_bytes == 0) return FP_OK;
    table->rows_per_page = ROW_SPACE / table->row_bytes;
    uint64_t wanted = (uint64_t)((table->num_rows + table->rows_per_page - 1) /
                                 table->rows_per_page);
    if (wanted == 0) return FP_OK;
    if (table->first_page < pages->first_page || table->first_page > num_pages(pages) ||
        wanted > num_pages(pages) - table->first_page)
        return fail(outcome, 0, "its header refers to pages outside of it");
    return FP_OK;
}

static int bind_table(const fp_pages *pages, fp_table *table, const fp_place *places,
                      const uint8_t *words, fp_outcome *outcome) {
    uint64_t num_rows = fp_load_le64(words);
    if (num_rows > (uint64_t)MAX_ROWS) return fail(outcome, 0, "its header has too many rows");
    table->num_rows = (int64_t)num_rows;
    table->first_page = fp_load_le64(words + 8);
    if (bind_leaves(table, pages->own_leaves + table->first_leaf, places, words + 8 * TABLE_WORDS,
                    outcome))
        return outcome->status;
    return bind_pages(pages, table, outcome);
}

int fp_bind_tables(fp_pages *pages, const fp_place *places, const int64_t *starts,
                   int64_t num_tables, fp_outcome *outcome) {
    size_t num_leaves = (size_t)starts[num_tables];
    if (pages->num_words != TABLE_WORDS * (uint64_t)num_tables + LEAF_WORDS * num_leaves)
        return fail(outcome, 32, "its header is not of its tables");
    pages->own_tables = calloc((size_t)num_tables + 1, sizeof *pages->own_tables);
    pages->own_leaves = calloc(num_leaves + 1, sizeof *pages->own_leaves);
    if (!pages->own_tables || !pages->own_leaves) return fail_memory(outcome);
    const uint8_t *words = fp_pages_text(pages) + padded(pages->text_bytes);
    for (int64_t i = 0; i < num_tables; i++) {
        fp_table *table = &pages->own_tables[i];
        table->first_leaf = (size_t)starts[i];
        table->num_leaves = (size_t)(starts[i + 1] - starts[i]);
        if (bind_table(pages, table, places + starts[i], words, outcome)) return outcome->status;
        words += 8 * (TABLE_WORDS + LEAF_WORDS * table->num_leaves);
    }
    free(pages->own_header);
    pages->own_header = NULL;
    return FP_OK;
}

/* --- Unpacking --- */

/* Rows of one page: `rows`, or without it `count` rows from `first`. They go to the arrays' rows
   from `to`. */
typedef struct {
    const uint8_t *page;
    int64_t page_row;  /* the first row of the page */
    const int64_t *rows;
    int64_t first;
    int64_t count;
    int64_t to;
} run;

static inline uint64_t load_word(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static inline void store(uint8_t *out, uint64_t value, size_t size) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    memcpy(out, &value, size);
}

/* `size`, `has_plus` and `is_listed` are constants where this is inlined. */
static inline __attribute__((always_inline)) void
unpack(const run *run, const fp_leaf *leaf, size_t row_bytes, uint8_t *out, size_t stride,
       size_t size, int has_plus, int is_listed) {
    uint64_t base = leaf->base, step = leaf->step;
    uint64_t mask = MASKS[leaf->width[0]], plus_mask = MASKS[leaf->width[1]];
    size_t at = leaf->at[0], plus_at = leaf->at[1];
    for (int64_t i = 0; i < run->count; i++) {
        int64_t row = is_listed ? run->rows[i] : run->first + i;
        const uint8_t *packed = run->page + (size_t)(row - run->page_row) * row_bytes;
        uint64_t value = base + step * (uint64_t)row + (load_word(packed + at) & mask);
        if (has_plus) value += load_word(packed + plus_at) & plus_mask;
        store(out + (size_t)i * stride, value, size);
    }
}

static inline __attribute__((always_inline)) void
unpack_sized(const run *run, const fp_leaf *leaf, size_t row_bytes, uint8_t *out, size_t stride,
             size_t size) {
    if (run->rows && leaf->has_plus) unpack(run, leaf, row_bytes, out, stride, size, 1, 1);
    else if (run->rows) unpack(run, leaf, row_bytes, out, stride, size, 0, 1);
    else if (leaf->has_plus) unpack(run, leaf, row_bytes, out, stride, size, 1, 0);
    else unpack(run, leaf, row_bytes, out, stride, size, 0, 0);
}

static void unpack_leaf(const run *run, const fp_leaf *leaf, size_t row_bytes,
                        const fp_place *place, uint8_t *column) {
    size_t stride = place->stride;
    uint8_t *out = column + (size_t)run->to * stride + place->offset;
    switch (place->size) {
    case 1: unpack_sized(run, leaf, row_bytes, out, stride, 1); break;
    case 2: unpack_sized(run, leaf, row_bytes, out, stride, 2); break;
    case 4: unpack_sized(run, leaf, row_bytes, out, stride, 4); break;
    default: unpack_sized(run, leaf, row_bytes, out, stride, 8);
    }
}

static void unpack_run(const fp_pages *pages, const fp_table *table, const run *run,
                       const fp_outputs *out) {
    if (table->is_raw && !run->rows) {
        size_t size = out->places->size;
        if (out->columns[0])
            memcpy(out->columns[0] + (size_t)run->to * size,
                   run->page + (size_t)(run->first - run->page_row) * size,
                   (size_t)run->count * size);
        return;
    }
    const fp_leaf *leaves = pages->own_leaves + table->first_leaf;
    for (size_t i = 0; i < table->num_leaves; i++) {
        const fp_place *place = &out->places[i];
        if (out->columns[place->column])
            unpack_leaf(run, &leaves[i], table->row_bytes, place, out->columns[place->column]);
    }
}

/* --- Rows --- */

int64_t fp_first_outside(fp_pages *const *files, int per_row, int64_t table, const int64_t *rows,
                         int64_t num_rows) {
    for (int64_t i = 0; i < num_rows; i++) {
        int64_t limit = files[per_row ? i : 0]->own_tables[table].num_rows;
        if ((uint64_t)rows[i] >= (uint64_t)limit) return i;
    }
    return -1;
}

/* Gives the longest run from row i: rows of the same page. Returns the page's number in the
   table. */
static int64_t find_run(fp_pages *const *files, int per_row, const fp_table *table,
                        const int64_t *rows, int64_t i, int64_t num_rows, run *run) {
    int64_t index = rows[i] / table->rows_per_page, count = 1, is_listed = 0;
    run->page_row = index ? index * table->rows_per_page : 0;
    while (i + count < num_rows && (!per_row || files[i + count] == files[i]) &&
           (uint64_t)(rows[i + count] - run->page_row) < (uint64_t)table->rows_per_page) {
        is_listed |= rows[i + count] != rows[i] + count;
        count++;
    }
    run->rows = is_listed ? rows + i : NULL;
    run->first = rows[i];
    run->count = count;
    run->to = i;
    return index;
}

int fp_take_rows(fp_pages *const *files, int per_row, int64_t table, const fp_outputs *out,
                 const int64_t *rows, int64_t num_rows, fp_outcome *outcome) {
    uint8_t buffer[SLOT_BYTES];
    memset(buffer + FP_PAGE_BYTES, 0, SPARE_BYTES);
    run run;
    for (int64_t i = 0; i < num_rows; i += run.count) {
        const fp_pages *file = files[per_row ? i : 0];
        const fp_table *from = &file->own_tables[table];
        int64_t index = find_run(files, per_row, from, rows, i, num_rows, &run);
        run.page = no_page;
        if (from->row_bytes)
            run.page = load_page(file, from->first_page + (uint64_t)index, buffer, i, outcome);
        if (!run.page) return outcome->status;
        unpack_run(file, from, &run, out);
    }
    return FP_OK;
}

/* Unpacks rows [first, end) of the page at `page`. Returns the row after them. */
static int64_t unpack_page(const fp_pages *file, const fp_table *table, const uint8_t *page,
                           int64_t row, int64_t first, int64_t end, const fp_outputs *out) {
    int64_t page_row = row / table->rows_per_page * table->rows_per_page;
    int64_t after = end - page_row < table->rows_per_page ? end : page_row + table->rows_per_page;
    run run = {page, page_row, NULL, row, after - row, row - first};
    unpack_run(file, table, &run, out);
    return after;
}

static int read_chunk(const fp_pages *file, uint64_t number, size_t count, uint8_t *chunk,
                      int64_t row, fp_outcome *outcome) {
    if (fp_pread(file->fd, chunk, count * FP_PAGE_BYTES, number * FP_PAGE_BYTES, row, outcome))
        return outcome->status;
    for (size_t i = 0; i < count; i++)
        if (check_page(file, number + i, chunk + i * FP_PAGE_BYTES, row, outcome))
            return outcome->status;
    return FP_OK;
}

static int read_chunks(const fp_pages *file, const fp_table *table, const fp_outputs *out,
                       int64_t first, int64_t end, uint8_t *chunk, fp_outcome *outcome) {
    int64_t row = first, last = (end - 1) / table->rows_per_page;
    while (row < end) {
        int64_t index = row / table->rows_per_page;
        size_t count = last - index < CHUNK_PAGES ? (size_t)(last - index + 1) : CHUNK_PAGES;
        if (read_chunk(file, table->first_page + (uint64_t)index, count, chunk, row, outcome))
            return outcome->status;
        for (size_t i = 0; i < count; i++)
            row = unpack_page(file, table, chunk + i * FP_PAGE_BYTES, row, first, end, out);
    }
    return FP_OK;
}

static int read_kept(const fp_pages *file, const fp_table *table, const fp_outputs *out,
                     int64_t first, int64_t end, fp_outcome *outcome) {
    uint8_t buffer[SLOT_BYTES];
    memset(buffer + FP_PAGE_BYTES, 0, SPARE_BYTES);
    for (int64_t row = first; row < end;) {
        uint64_t number = table->first_page + (uint64_t)(row / table->rows_per_page);
        const uint8_t *page = load_page(file, number, buffer, row, outcome);
        if (!page) return outcome->status;
        row = unpack_page(file, table, page, row, first, end, out);
    }
    return FP_OK;
}

int fp_read_rows(fp_pages *file, int64_t table, const fp_outputs *out, int64_t first, int64_t end,
                 fp_outcome *outcome) {
    const fp_table *from = &file->own_tables[table];
    if (first >= end) return FP_OK;
    if (from->row_bytes == 0) {
        run run = {no_page, 0, NULL, first, end - first, 0};
        unpack_run(file, from, &run, out);
        return FP_OK;
    }
    if (file->own_slots) return read_kept(file, from, out, first, end, outcome);
    uint8_t *chunk = calloc(CHUNK_PAGES * FP_PAGE_BYTES + SPARE_BYTES, 1);
    if (!chunk) return fail_memory(outcome);
    read_chunks(file, from, out, first, end, chunk, outcome);
    free(chunk);
    return outcome->status;
}

void fp_advise_rows(fp_pages *const *files, int per_row, int64_t table, const int64_t *rows,
                    int64_t num_rows) {
    run run;
    int fd = -1;
    uint64_t first = 0, end = 0;
    for (int64_t i = 0; i < num_rows; i += run.count) {
        const fp_pages *file = files[per_row ? i : 0];
        const fp_table *from = &file->own_tables[table];
        uint64_t number = (uint64_t)find_run(files, per_row, from, rows, i, num_rows, &run);
        number += from->first_page;
        if (file->fd < 0 || from->row_bytes == 0 || is_full(file, number)) continue;
        if (file->fd != fd || number != end) {
            if (end > first)
                posix_fadvise(fd, (off_t)(first * FP_PAGE_BYTES),
                              (off_t)((end - first) * FP_PAGE_BYTES), POSIX_FADV_WILLNEED);
            fd = file->fd;
            first = number;
        }
        end = number + 1;
    }
    if (end > first)
        posix_fadvise(fd, (off_t)(first * FP_PAGE_BYTES), (off_t)((end - first) * FP_PAGE_BYTES),
                      POSIX_FADV_WILLNEED);
}
