/* Serialization of tf.train.Examples (see example.c for the format) in TFRecord frames.

   Lengths come before contents, so sizes are computed from the inside out, and then all is written
   from the outside in. Large values, such as images, are not copied ("apart"): the frame is a list
   of pieces for pwritev, which alternate between `out` and such values. Their CRCs are known, and
   fp_crc32c_join combines them with the CRCs of the other pieces. So no byte of an image is read
   here. */
#include "frames.h"

#include <string.h>

#include "crc32c.h"
#include "endian.h"
#include "tfrecord.h"

#define FP_SMALL_RECORD 4096
#define BYTES 2 /* protobuf's wire type of bytes */

/* Serialization */

static uint64_t varint_size(uint64_t value) {
    uint64_t size = 1;
    for (; value >= 0x80; value >>= 7) size++;
    return size;
}

/* Returns the size of a length-delimited field with a one-byte tag. */
static uint64_t delimited_size(uint64_t body) { return 1 + varint_size(body) + body; }

static uint8_t *write_varint(uint8_t *out, uint64_t value) {
    for (; value >= 0x80; value >>= 7) *out++ = (uint8_t)(value | 0x80);
    *out++ = (uint8_t)value;
    return out;
}

static uint8_t *write_tag(uint8_t *out, int number, uint64_t length) {
    *out++ = (uint8_t)(number << 3 | BYTES);
    return write_varint(out, length);
}

/* The pieces of a record in order: stretches of `out`, and values elsewhere. */
typedef struct {
    struct iovec *next;
    uint8_t *begun; /* the beginning of the current stretch */
} pieces_so_far;

static void end_stretch(pieces_so_far *pieces, uint8_t *end) {
    *pieces->next++ = (struct iovec){pieces->begun, (size_t)(end - pieces->begun)};
    pieces->begun = end;
}

static void leave_apart(pieces_so_far *pieces, uint8_t *out, const uint8_t *value,
                        uint64_t length) {
    end_stretch(pieces, out);
    *pieces->next++ = (struct iovec){(void *)value, length};
}

static uint8_t *write_bytes(uint8_t *out, const void *bytes, uint64_t length) {
    if (length) memcpy(out, bytes, length); /* the pointer may be NULL for length 0 */
    return out + length;
}

typedef struct {
    uint64_t packed, list, feature, entry;
} sizes;

static int64_t first_value(const fp_column *column, int64_t row) {
    return column->offsets ? column->offsets[row] : row;
}
static int64_t end_value(const fp_column *column, int64_t row) {
    return column->offsets ? column->offsets[row + 1] : row + 1;
}

/* The length of bytes value j. */
static uint64_t bytes_of(const fp_column *column, int64_t j) {
    return (uint64_t)(column->value_offsets[j + 1] - column->value_offsets[j]);
}

static uint64_t list_size(const fp_column *column, int64_t row, sizes *out) {
    int64_t first = first_value(column, row), end = end_value(column, row);
    out->packed = 0;
    if (column->kind == FP_KIND_BYTES) {
        uint64_t total = 0;
        for (int64_t j = first; j < end; j++)
            total += delimited_size(bytes_of(column, j));
        return total;
    }
    if (column->kind == FP_KIND_FLOAT) out->packed = 4 * (uint64_t)(end - first);
    else
        for (int64_t j = first; j < end; j++)
            out->packed += varint_size((uint64_t)((const int64_t *)column->values)[j]);
    return out->packed ? delimited_size(out->packed) : 0;
}

static sizes column_sizes(const fp_column *column, int64_t row) {
    sizes out;
    out.list = list_size(column, row, &out);
    out.feature = delimited_size(out.list);
    out.entry = delimited_size(column->name_length) + delimited_size(out.feature);
    return out;
}

static uint64_t features_size(const fp_column *columns, size_t num_columns, int64_t row) {
    uint64_t total = 0;
    for (size_t c = 0; c < num_columns; c++)
        total += delimited_size(column_sizes(&columns[c], row).entry);
    return total;
}

uint64_t fp_example_size(const fp_column *columns, size_t num_columns, int64_t row) {
    return delimited_size(features_size(columns, num_columns, row));
}

uint64_t fp_apart_size(const fp_column *columns, size_t num_columns, int64_t row) {
    uint64_t total = 0;
    for (size_t c = 0; c < num_columns; c++)
        if (columns[c].apart)
            total += (uint64_t)(columns[c].value_offsets[row + 1] - columns[c].value_offsets[row]);
    return total;
}

static uint8_t *write_floats(uint8_t *out, const float *values, int64_t first, int64_t end) {
    for (int64_t j = first; j < end; j++, out += 4) {
        uint32_t bits;
        memcpy(&bits, values + j, 4);
        fp_store_le32(out, bits);
    }
    return out;
}

static uint8_t *write_values(uint8_t *out, const fp_column *column, int64_t row, const sizes *size,
                             pieces_so_far *pieces) {
    int64_t first = first_value(column, row), end = end_value(column, row);
    if (column->kind == FP_KIND_BYTES) {
        const uint8_t *values = column->values;
        for (int64_t j = first; j < end; j++) {
            uint64_t length = bytes_of(column, j);
            out = write_tag(out, 1, length);
            if (column->apart) leave_apart(pieces, out, values + column->value_offsets[j], length);
            else out = write_bytes(out, values + column->value_offsets[j], length);
        }
        return out;
    }
    if (size->packed == 0) return out;
    out = write_tag(out, 1, size->packed);
    if (column->kind == FP_KIND_FLOAT) return write_floats(out, column->values, first, end);
    for (int64_t j = first; j < end; j++)
        out = write_varint(out, (uint64_t)((const int64_t *)column->values)[j]);
    return out;
}

static uint8_t *write_example(const fp_column *columns, size_t num_columns, int64_t row,
                              uint8_t *out, pieces_so_far *pieces) {
    out = write_tag(out, 1, features_size(columns, num_columns, row));
    for (size_t c = 0; c < num_columns; c++) {
        const fp_column *column = &columns[c];
        sizes size = column_sizes(column, row);
        out = write_tag(out, 1, size.entry);
        out = write_bytes(write_tag(out, 1, column->name_length), column->name,
                          column->name_length);
        out = write_tag(out, 2, size.feature);
        out = write_tag(out, column->kind, size.list);
        out = write_values(out, column, row, &size, pieces);
    }
    return out;
}

/* Combines the CRCs of the pieces. Values that stay apart have known CRCs. */
static uint32_t sum_pieces(const fp_column *column, int64_t row, const struct iovec *pieces,
                           const struct iovec *end) {
    uint32_t crc = 0;
    for (const struct iovec *piece = pieces; piece < end; piece++) {
        int is_apart = (piece - pieces) % 2;
        if (!is_apart) {
            crc = fp_crc32c(crc, piece->iov_base, piece->iov_len);
            continue;
        }
        while (!column->apart) column++;
        crc = fp_crc32c_join(crc, column->crcs[row], piece->iov_len);
        column++;
    }
    return crc;
}

uint32_t fp_frame_example(const fp_column *columns, size_t num_columns, int64_t row, uint8_t *out,
                          struct iovec *pieces, uint32_t *frame_crc) {
    pieces_so_far so_far = {pieces, out + FP_FRAME_HEADER};
    uint8_t *footer = write_example(columns, num_columns, row, out + FP_FRAME_HEADER, &so_far);
    end_stretch(&so_far, footer);
    uint32_t crc = sum_pieces(columns, row, pieces, so_far.next);
    uint64_t length = 0;
    for (const struct iovec *piece = pieces; piece < so_far.next; piece++) length += piece->iov_len;
    fp_frame_around(out, length, footer, crc);
    /* summing a few hundred bytes again is faster than joining their sums */
    int is_small = so_far.next == pieces + 1 && length < FP_SMALL_RECORD;
    *frame_crc = is_small ? fp_crc32c(0, out, FP_FRAME_HEADER + length + FP_FRAME_FOOTER)
                          : fp_crc32c(fp_crc32c_join(fp_crc32c(0, out, FP_FRAME_HEADER), crc,
                                                     length), footer, FP_FRAME_FOOTER);
    pieces[0] = (struct iovec){out, pieces[0].iov_len + FP_FRAME_HEADER};
    so_far.next[-1].iov_len += FP_FRAME_FOOTER;
    return crc;
}
