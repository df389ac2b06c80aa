/* PNG, third edition (https://www.w3.org/TR/png-3/), up to samples. raster.py makes colors of them.

   A file is a signature and chunks: length, type, data, CRC-32. The data of all IDAT chunks is one
   zlib stream of rows. A row begins with the number of its filter. The filter subtracts a
   prediction from each byte: the byte one pixel to the left, the one above, their mean, or the
   Paeth predictor. An interlaced file has seven passes, smaller images with every 8th, 4th or 2nd
   pixel. Other files have one pass.

   Steps: walk the chunks and compare CRCs; join IDATs in `scratch`; inflate after them; undo
   filters in place; write the rows to `out`. libdeflate needs the size of its output, which follows
   from the header. */
#include "png.h"

#include <libdeflate.h>
#include <string.h>

#include "endian.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))
/* deflate expands by at most 1032 */
#define MAX_INFLATION 1032

typedef struct {
    uint32_t width, height, bits, channels;
    int is_interlaced;
} header;

/* The first pixel and the step of a pass, across and down. */
typedef struct {
    uint8_t x, y, step_x, step_y;
} pass;

static const pass PLAIN[] = {{0, 0, 1, 1}};
static const pass ADAM7[] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4},
                             {1, 0, 2, 2}, {0, 1, 1, 2}};

static int read_header(const uint8_t *ihdr, header *h) {
    static const uint8_t channels[] = {1, 0, 3, 1, 2, 0, 4};
    /* for each color type, its bit depths: bit i stands for i bits */
    static const uint32_t depths[] = {0x10116, 0, 0x10100, 0x00116, 0x10100, 0, 0x10100};
    h->width = fp_load_be32(ihdr);
    h->height = fp_load_be32(ihdr + 4);
    h->bits = ihdr[8];
    if (ihdr[9] > 6 || h->bits > 16 || !(depths[ihdr[9]] >> h->bits & 1)) return 0;
    if (ihdr[10] != 0 || ihdr[11] != 0 || ihdr[12] > 1) return 0;
    h->channels = channels[ihdr[9]];
    h->is_interlaced = ihdr[12];
    return h->width > 0 && h->height > 0 && h->width <= INT32_MAX && h->height <= INT32_MAX;
}

uint64_t fp_png_bytes(const uint8_t *ihdr) {
    header h;
    if (!read_header(ihdr, &h)) return 0;
    uint64_t row = (uint64_t)h.width * h.channels * (h.bits == 16 ? 2 : 1); /* below 2^34 */
    return row <= ((uint64_t)1 << 62) / h.height ? row * h.height : 0;
}

static uint32_t extent(uint32_t size, uint32_t first, uint32_t step) {
    return size > first ? (size - first - 1) / step + 1 : 0;
}

static uint64_t row_bytes(const header *h, uint32_t width) {
    return ((uint64_t)width * h->channels * h->bits + 7) / 8;
}

static uint64_t pass_bytes(const header *h, const pass *p) {
    uint32_t width = extent(h->width, p->x, p->step_x), height = extent(h->height, p->y, p->step_y);
    return width ? (row_bytes(h, width) + 1) * height : 0;
}

/* Filters: `above` is the previous row, `bytes` the distance to the pixel on the left */

static uint8_t paeth(int left, int above, int corner) {
    int to_left = above - corner, to_above = left - corner, to_corner = to_left + to_above;
    to_left = to_left < 0 ? -to_left : to_left;
    to_above = to_above < 0 ? -to_above : to_above;
    to_corner = to_corner < 0 ? -to_corner : to_corner;
    if (to_left <= to_above && to_left <= to_corner) return (uint8_t)left;
    return (uint8_t)(to_above <= to_corner ? above : corner);
}

ALWAYS_INLINE void undo_filter(int filter, uint8_t *row, const uint8_t *above, size_t length,
                               size_t bytes) {
    size_t first = bytes < length ? bytes : length;
    switch (filter) {
    case 1:
        for (size_t i = bytes; i < length; i++) row[i] = (uint8_t)(row[i] + row[i - bytes]);
        break;
    case 2:
        for (size_t i = 0; i < length; i++) row[i] = (uint8_t)(row[i] + above[i]);
        break;
    case 3:
        for (size_t i = 0; i < first; i++) row[i] = (uint8_t)(row[i] + above[i] / 2);
        for (size_t i = bytes; i < length; i++)
            row[i] = (uint8_t)(row[i] + (row[i - bytes] + above[i]) / 2);
        break;
    case 4:
        for (size_t i = 0; i < first; i++) row[i] = (uint8_t)(row[i] + above[i]);
        for (size_t i = bytes; i < length; i++)
            row[i] = (uint8_t)(row[i] + paeth(row[i - bytes], above[i], above[i - bytes]));
        break;
    default: break;
    }
}

/* Compiles a loop for each of the usual distances. */
static void unfilter(int filter, uint8_t *row, const uint8_t *above, size_t length, size_t bytes) {
    switch (bytes) {
    case 1: undo_filter(filter, row, above, length, 1); break;
    case 3: undo_filter(filter, row, above, length, 3); break;
    case 4: undo_filter(filter, row, above, length, 4); break;
    default: undo_filter(filter, row, above, length, bytes);
    }
}

/* Rows */

static void write_row(const header *h, const uint8_t *row, uint32_t width, uint8_t *out,
                      size_t step) {
    size_t sample_bytes = h->bits == 16 ? 2 : 1, pixel = h->channels * sample_bytes;
    if (h->bits == 8 && step == pixel) {
        memcpy(out, row, width * pixel);
        return;
    }
    for (uint32_t x = 0; x < width; x++, out += step) {
        for (uint32_t c = 0; c < h->channels; c++) {
            if (h->bits == 16) {
                uint16_t level = (uint16_t)fp_load_be16(row + ((size_t)x * h->channels + c) * 2);
                memcpy(out + 2 * c, &level, 2);
            } else if (h->bits == 8) {
                out[c] = row[(size_t)x * h->channels + c];
            } else { /* one channel; the first pixel has the highest bits */
                size_t bit = (size_t)x * h->bits;
                out[c] = (uint8_t)(row[bit / 8] >> (8 - h->bits - bit % 8) & ((1u << h->bits) - 1));
            }
        }
    }
}

static int write_pass(const header *h, const pass *p, uint8_t *rows, const uint8_t *zeros,
                      uint8_t *out) {
    uint32_t width = extent(h->width, p->x, p->step_x), height = extent(h->height, p->y, p->step_y);
    if (!width) return 1;
    size_t length = row_bytes(h, width), pixel = h->channels * (h->bits == 16 ? 2u : 1u);
    size_t distance = h->channels * h->bits / 8;
    const uint8_t *above = zeros;
    for (uint32_t y = 0; y < height; y++, rows += length + 1) {
        if (rows[0] > 4) return 0;
        unfilter(rows[0], rows + 1, above, length, distance ? distance : 1);
        above = rows + 1;
        size_t first = ((size_t)p->y + (size_t)y * p->step_y) * h->width + p->x;
        write_row(h, rows + 1, width, out + first * pixel, p->step_x * pixel);
    }
    return 1;
}

/* Chunks */

static int is_type(const uint8_t *chunk, const char *type) {
    return memcmp(chunk + 4, type, 4) == 0;
}

/* Joins the data of all IDATs in `joined`. With NULL, counts them and compares the CRCs. */
static int walk_chunks(const uint8_t *data, size_t length, uint8_t *joined, size_t *num_joined,
                       const char **why) {
    *num_joined = 0;
    for (size_t at = 8; length - at >= 12;) {
        const uint8_t *chunk = data + at;
        size_t size = fp_load_be32(chunk);
        if (size > length - at - 12) break;
        if (!joined && libdeflate_crc32(0, chunk + 4, size + 4) != fp_load_be32(chunk + 8 + size)) {
            *why = "a chunk of the PNG differs from its CRC-32";
            return FP_CORRUPT_IMAGE;
        }
        if (is_type(chunk, "IEND")) return FP_OK;
        if (is_type(chunk, "IDAT")) {
            if (joined) memcpy(joined + *num_joined, chunk + 8, size);
            *num_joined += size;
        }
        at += size + 12;
    }
    *why = "the PNG ends before its last chunk";
    return FP_TRUNCATED_IMAGE;
}

static int inflate(const uint8_t *packed, size_t num_packed, uint8_t *rows, size_t num_rows,
                   const char **why) {
    struct libdeflate_decompressor *own_inflater = libdeflate_alloc_decompressor();
    size_t found = 0;
    if (!own_inflater) return FP_NO_MEMORY;
    enum libdeflate_result result = libdeflate_zlib_decompress(own_inflater, packed, num_packed,
                                                               rows, num_rows, &found);
    libdeflate_free_decompressor(own_inflater);
    if (result == LIBDEFLATE_SUCCESS && found == num_rows) return FP_OK;
    *why = result == LIBDEFLATE_SUCCESS              ? "the PNG has fewer rows than its header says"
           : result == LIBDEFLATE_INSUFFICIENT_SPACE ? "the PNG has more data than its header says"
                                                     : "the compressed data of the PNG are damaged";
    return FP_CORRUPT_IMAGE;
}

int fp_png_samples(const uint8_t *data, size_t length, uint8_t *out, fp_scratch *scratch,
                   const char **why) {
    header h = {0};
    size_t num_packed;
    *why = "the header of the PNG is not valid";
    if (length < 33 || !is_type(data + 8, "IHDR") || fp_load_be32(data + 8) != 13 ||
        !read_header(data + 16, &h))
        return FP_CORRUPT_IMAGE;
    int status = walk_chunks(data, length, NULL, &num_packed, why);
    if (status) return status;
    const pass *passes = h.is_interlaced ? ADAM7 : PLAIN;
    size_t num_passes = h.is_interlaced ? 7 : 1, widest = row_bytes(&h, h.width);
    uint64_t num_rows = 0;
    for (size_t i = 0; i < num_passes; i++) num_rows += pass_bytes(&h, &passes[i]);
    *why = "the PNG has fewer bytes of data than its header says";
    if (num_rows / MAX_INFLATION > num_packed) return FP_TRUNCATED_IMAGE;
    uint8_t *zeros = fp_scratch_reserve(scratch, widest + num_packed + num_rows);
    uint8_t *packed = zeros + widest, *rows = packed + num_packed;
    if (!zeros) return FP_NO_MEMORY;
    memset(zeros, 0, widest);
    walk_chunks(data, length, packed, &num_packed, why);
    status = inflate(packed, num_packed, rows, num_rows, why);
    if (status) return status;
    *why = "a row of the PNG has an unknown filter";
    for (size_t i = 0; i < num_passes; i++) {
        if (!write_pass(&h, &passes[i], rows, zeros, out)) return FP_CORRUPT_IMAGE;
        rows += pass_bytes(&h, &passes[i]);
    }
    return FP_OK;
}
