/* LZW and PackBits as TIFF has them (TIFF 6.0, sections 13 and 9), BMP's runs (Microsoft, "Bitmap Compression"), and zlib
   streams of a known size. libtiff only warns of damage, and goes on; these do not.

   LZW: codes of 9 to 12 bits, highest bit first. Codes below 256 are bytes; 256 empties the table; 257 ends the data; each
   other code is an earlier string and one byte more. A string is kept as its last byte and the code of what comes before it. */
#include "unpack.h"

#include <libdeflate.h>
#include <string.h>

enum { CLEAR = 256, END = 257, FIRST = 258, TABLE = 4096 };
/* What writers may leave behind the last code: they pad to words. */
#define PADDING 3

typedef struct {
    const uint8_t *at, *end;
    uint32_t bits, num_bits;
} bit_reader;

static uint32_t next_code(bit_reader *in, uint32_t width) {
    while (in->num_bits < width) {
        if (in->at == in->end) return END;
        in->bits = in->bits << 8 | *in->at++;
        in->num_bits += 8;
    }
    in->num_bits -= width;
    return in->bits >> in->num_bits & ((1u << width) - 1);
}

typedef struct {
    uint16_t prefix[TABLE], lengths[TABLE];
    uint8_t last[TABLE], first[TABLE];
    uint32_t count;
} lzw_table;

static void start_table(lzw_table *t) {
    for (uint32_t i = 0; i < CLEAR; i++) t->lengths[i] = 1, t->last[i] = t->first[i] = (uint8_t)i;
    t->count = FIRST;
}

static int add_string(lzw_table *t, uint32_t prefix, uint8_t last) {
    if (t->count == TABLE) return 0;
    t->prefix[t->count] = (uint16_t)prefix;
    t->lengths[t->count] = (uint16_t)(t->lengths[prefix] + 1);
    t->first[t->count] = t->first[prefix];
    t->last[t->count++] = last;
    return 1;
}

/* The width grows one code early (section 13: "after adding table entry 510, switch to 10-bit codes"). */
static uint32_t code_width(uint32_t count) { return count < 511 ? 9 : count < 1023 ? 10 : count < 2047 ? 11 : 12; }

int fp_unpack_lzw(const uint8_t *data, size_t length, uint8_t *out, size_t out_length) {
    bit_reader in = {data, data + length, 0, 0};
    lzw_table table;
    uint32_t before = CLEAR, code;
    size_t done = 0;
    start_table(&table);
    while (done < out_length) {
        code = next_code(&in, code_width(table.count));
        if (code == END) return 0;
        if (code == CLEAR) {
            table.count = FIRST;
            before = CLEAR;
            continue;
        }
        if (before == CLEAR ? code > CLEAR : code > table.count) return 0;
        if (before != CLEAR && !add_string(&table, before, table.first[code == table.count ? before : code])) return 0;
        size_t size = table.lengths[code];
        if (size > out_length - done) return 0;
        for (uint32_t c = code, i = (uint32_t)size; i > 0; c = table.prefix[c]) out[done + --i] = table.last[c];
        done += size;
        before = code;
    }
    return next_code(&in, code_width(table.count)) == END || in.end - in.at <= PADDING;
}

int fp_unpack_bits(const uint8_t *data, size_t length, uint8_t *out, size_t out_length) {
    size_t at = 0, done = 0;
    while (done < out_length) {
        if (at + 1 >= length) return 0;
        uint8_t head = data[at++];
        if (head == 128) continue;
        size_t count = head < 128 ? head + 1u : 257u - head, stored = head < 128 ? count : 1;
        if (count > out_length - done || stored > length - at) return 0;
        if (head < 128) memcpy(out + done, data + at, count);
        else memset(out + done, data[at], count);
        at += stored;
        done += count;
    }
    return length - at <= PADDING;
}

int fp_unpack_zlib(const uint8_t *data, size_t length, uint8_t *out, size_t out_length) {
    struct libdeflate_decompressor *own_inflater = libdeflate_alloc_decompressor();
    size_t found = 0;
    if (!own_inflater) return 0;
    enum libdeflate_result result = libdeflate_zlib_decompress(own_inflater, data, length, out, out_length, &found);
    libdeflate_free_decompressor(own_inflater);
    return result == LIBDEFLATE_SUCCESS && found == out_length;
}

/* Pixels i of a run of two alternating nibbles, or of one byte. */
static uint8_t index_of(const uint8_t *bytes, uint32_t i, int bits) {
    return bits == 8 ? bytes[i] : i % 2 ? bytes[i / 2] & 15 : bytes[i / 2] >> 4;
}

int fp_unpack_runs(const uint8_t *data, size_t length, int bits, uint32_t width, uint32_t height, uint8_t *out) {
    uint32_t x = 0, y = 0;
    for (size_t at = 0; length - at >= 2;) {
        uint32_t count = data[at], value = data[at + 1];
        at += 2;
        if (count) { /* a run */
            uint8_t pair[2] = {(uint8_t)value, (uint8_t)value};
            if (y >= height || count > width - x) return 0;
            for (uint32_t i = 0; i < count; i++) out[(size_t)y * width + x++] = index_of(pair, i % 2, bits);
        } else if (value == 0) { /* the end of the row */
            x = 0, y++;
        } else if (value == 1) { /* the end */
            return 1;
        } else if (value == 2) { /* a step to the right and up */
            if (length - at < 2 || data[at] > width - x || data[at + 1] > height - y) return 0;
            x += data[at], y += data[at + 1];
            at += 2;
        } else { /* so many pixels as they are, padded to words */
            size_t stored = bits == 8 ? value : (value + 1) / 2;
            if (y >= height || value > width - x || stored > length - at) return 0;
            for (uint32_t i = 0; i < value; i++) out[(size_t)y * width + x++] = index_of(data + at, i, bits);
            at += stored + stored % 2 < length - at ? stored + stored % 2 : length - at;
        }
    }
    return 0;
}
