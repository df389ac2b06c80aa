/* LZW of TIFF and GIF (TIFF 6.0, section 13; GIF89a, appendix F). PackBits (TIFF 6.0, section 9).
   BMP's runs (Microsoft, "Bitmap Compression"). zlib streams of a known size. libtiff warns of
   damage and continues; these functions return 0.

   LZW has codes of up to 12 bits. TIFF's begin with the highest bit, GIF's with the lowest. Small
   codes are bytes. The next code, `clear`, empties the table, and the one after it ends the data.
   Every other code is an earlier string and one more byte. The table keeps a string as its last
   byte and the code of its prefix. */
#include "unpack.h"

#include <libdeflate.h>
#include <string.h>

enum { TABLE = 4096, MAX_BITS = 12 };
/* bytes after the last code, since some writers pad to words */
#define PADDING 3

typedef struct {
    const uint8_t *at, *end;
    uint64_t bits;
    uint32_t num_bits;
    int is_low_first;
} bit_reader;

/* Returns -1 at the end of the data. */
static int32_t next_code(bit_reader *in, uint32_t width) {
    uint64_t code;
    while (in->num_bits < width) {
        if (in->at == in->end) return -1;
        uint64_t byte = *in->at++;
        in->bits = in->is_low_first ? in->bits | byte << in->num_bits : in->bits << 8 | byte;
        in->num_bits += 8;
    }
    in->num_bits -= width;
    if (in->is_low_first) {
        code = in->bits;
        in->bits >>= width;
    } else {
        code = in->bits >> in->num_bits;
    }
    return (int32_t)(code & ((1u << width) - 1));
}

typedef struct {
    uint16_t prefix[TABLE], lengths[TABLE];
    uint8_t last[TABLE], first[TABLE];
    uint32_t clear, count;
} lzw_table;

static void start_table(lzw_table *t, uint32_t clear) {
    for (uint32_t i = 0; i < clear; i++) {
        t->lengths[i] = 1;
        t->first[i] = (uint8_t)i;
        t->last[i] = (uint8_t)i;
    }
    t->clear = clear;
    t->count = clear + 2;
}

static void add_string(lzw_table *t, uint32_t prefix, uint8_t last) {
    t->prefix[t->count] = (uint16_t)prefix;
    t->lengths[t->count] = (uint16_t)(t->lengths[prefix] + 1);
    t->first[t->count] = t->first[prefix];
    t->last[t->count++] = last;
}

/* TIFF's codes grow one entry early (TIFF 6.0, section 13: "after adding table entry 510, switch to
   10-bit codes"). */
static uint32_t code_width(const lzw_table *t, uint32_t early) {
    uint32_t width = 2;
    while (width < MAX_BITS && (width <= 31u - (uint32_t)__builtin_clz(t->clear) ||
                                t->count + early >= 1u << width))
        width++;
    return width;
}

static int unpack_codes(bit_reader in, uint32_t clear, uint32_t early, uint8_t *out,
                        size_t out_length) {
    lzw_table table;
    int32_t before = -1, code;
    size_t done = 0;
    start_table(&table, clear);
    while (done < out_length) {
        code = next_code(&in, code_width(&table, early));
        if (code < 0 || (uint32_t)code == clear + 1) return 0;
        if ((uint32_t)code == clear) {
            table.count = clear + 2;
            before = -1;
            continue;
        }
        if (before < 0 ? (uint32_t)code > clear : (uint32_t)code > table.count) return 0;
        if (before >= 0 && table.count < TABLE)
            add_string(&table, (uint32_t)before,
                       table.first[(uint32_t)code == table.count ? before : code]);
        if ((uint32_t)code >= table.count) return 0; /* the table is full */
        size_t size = table.lengths[code];
        if (size > out_length - done) return 0;
        for (uint32_t c = (uint32_t)code, i = (uint32_t)size; i > 0; c = table.prefix[c])
            out[done + --i] = table.last[c];
        done += size;
        before = code;
    }
    return in.end - in.at <= PADDING || next_code(&in, code_width(&table,
                                                                  early)) == (int32_t)clear + 1;
}

int fp_unpack_lzw(const uint8_t *data, size_t length, uint8_t *out, size_t out_length) {
    return unpack_codes((bit_reader){data, data + length, 0, 0, 0}, 256, 1, out, out_length);
}

int fp_unpack_gif(const uint8_t *data, size_t length, int bits, uint8_t *out, size_t out_length) {
    if (bits < 1 || bits > 8) return 0;
    return unpack_codes((bit_reader){data, data + length, 0, 0, 1}, 1u << bits, 0, out, out_length);
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
    enum libdeflate_result result = libdeflate_zlib_decompress(own_inflater, data, length, out,
                                                               out_length, &found);
    libdeflate_free_decompressor(own_inflater);
    return result == LIBDEFLATE_SUCCESS && found == out_length;
}

/* Returns pixel i of packed indices. */
static uint8_t index_of(const uint8_t *bytes, uint32_t i, int bits) {
    return bits == 8 ? bytes[i] : i % 2 ? bytes[i / 2] & 15 : bytes[i / 2] >> 4;
}

int fp_unpack_runs(const uint8_t *data, size_t length, int bits, uint32_t width, uint32_t height,
                   uint8_t *out) {
    uint32_t x = 0, y = 0;
    for (size_t at = 0; length - at >= 2;) {
        uint32_t count = data[at], value = data[at + 1];
        at += 2;
        if (count) { /* a run of one or two indices */
            uint8_t pair[2] = {(uint8_t)value, (uint8_t)value};
            if (y >= height || count > width - x) return 0;
            for (uint32_t i = 0; i < count; i++)
                out[(size_t)y * width + x++] = index_of(pair, i % 2, bits);
        } else if (value == 0) { /* the end of the row */
            x = 0;
            y++;
        } else if (value == 1) { /* the end */
            return 1;
        } else if (value == 2) { /* a step to the right and up */
            if (length - at < 2 || data[at] > width - x || data[at + 1] > height - y) return 0;
            x += data[at];
            y += data[at + 1];
            at += 2;
        } else { /* literal pixels, padded to words */
            size_t stored = bits == 8 ? value : (value + 1) / 2;
            if (y >= height || value > width - x || stored > length - at) return 0;
            for (uint32_t i = 0; i < value; i++)
                out[(size_t)y * width + x++] = index_of(data + at, i, bits);
            at += stored + stored % 2 < length - at ? stored + stored % 2 : length - at;
        }
    }
    return 0;
}
