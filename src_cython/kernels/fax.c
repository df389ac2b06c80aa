/* ITU-T T.4 and T.6 (fax groups 3 and 4), and TIFF's rows of runs (TIFF 6.0, section 10).

   A row is a sequence of white and black runs. The first one is white, possibly of no pixels.
   - One-dimensional: each run is any number of codes for multiples of 64, and a code for the rest.
   - Two-dimensional: codes describe where a run ends relative to the row above. V0: below the
     change b1. V1 to V3: up to three pixels beside it. Pass: not before b2. Horizontal: two
     one-dimensional runs follow.
   - a0, b1 and b2 are T.4's names. The run begins at a0. In the row above, b1 is the first change
     to the other color after a0, and b2 is the change after b1.

   libtiff repairs errors and continues. Here every invalid code, and every row of another width, is
   an error. */
#include "fax.h"

#include <stdlib.h>
#include <string.h>

/* Codes of runs of 0 to 63, then of 64, 128 and so on up to 2560. A leading 1 marks the length. */
static const uint16_t WHITE[] = {
    0x135, 0x47, 0x17, 0x18, 0x1b, 0x1c, 0x1e, 0x1f, 0x33, 0x34, 0x27, 0x28, 0x48, 0x43, 0x74, 0x75,
        0x6a, 0x6b, 0xa7,
    0x8c, 0x88, 0x97, 0x83, 0x84, 0xa8, 0xab, 0x93, 0xa4, 0x98, 0x102, 0x103, 0x11a, 0x11b, 0x112,
        0x113, 0x114,
    0x115, 0x116, 0x117, 0x128, 0x129, 0x12a, 0x12b, 0x12c, 0x12d, 0x104, 0x105, 0x10a, 0x10b,
        0x152, 0x153, 0x154,
    0x155, 0x124, 0x125, 0x158, 0x159, 0x15a, 0x15b, 0x14a, 0x14b, 0x132, 0x133, 0x134, 0x3b, 0x32,
        0x57, 0xb7, 0x136,
    0x137, 0x164, 0x165, 0x168, 0x167, 0x2cc, 0x2cd, 0x2d2, 0x2d3, 0x2d4, 0x2d5, 0x2d6, 0x2d7,
        0x2d8, 0x2d9, 0x2da,
    0x2db, 0x298, 0x299, 0x29a, 0x58, 0x29b, 0x808, 0x80c, 0x80d, 0x1012, 0x1013, 0x1014, 0x1015,
        0x1016, 0x1017,
    0x101c, 0x101d, 0x101e, 0x101f,
};
static const uint16_t BLACK[] = {
    0x437, 0xa, 0x7, 0x6, 0xb, 0x13, 0x12, 0x23, 0x45, 0x44, 0x84, 0x85, 0x87, 0x104, 0x107, 0x218,
        0x417, 0x418,
    0x408, 0x867, 0x868, 0x86c, 0x837, 0x828, 0x817, 0x818, 0x10ca, 0x10cb, 0x10cc, 0x10cd, 0x1068,
        0x1069, 0x106a,
    0x106b, 0x10d2, 0x10d3, 0x10d4, 0x10d5, 0x10d6, 0x10d7, 0x106c, 0x106d, 0x10da, 0x10db, 0x1054,
        0x1055, 0x1056,
    0x1057, 0x1064, 0x1065, 0x1052, 0x1053, 0x1024, 0x1037, 0x1038, 0x1027, 0x1028, 0x1058, 0x1059,
        0x102b, 0x102c,
    0x105a, 0x1066, 0x1067, 0x40f, 0x10c8, 0x10c9, 0x105b, 0x1033, 0x1034, 0x1035, 0x206c, 0x206d,
        0x204a, 0x204b,
    0x204c, 0x204d, 0x2072, 0x2073, 0x2074, 0x2075, 0x2076, 0x2077, 0x2052, 0x2053, 0x2054, 0x2055,
        0x205a, 0x205b,
    0x2064, 0x2065, 0x808, 0x80c, 0x80d, 0x1012, 0x1013, 0x1014, 0x1015, 0x1016, 0x1017, 0x101c,
        0x101d, 0x101e,
    0x101f,
};

enum { NUM_CODES = 104, MAX_BITS = 13, BAD = -1 };
/* after the last row: an end mark (T.6: 24 bits; T.4: six of 13 bits) and padding */
#define TAIL_BYTES 16

/* A run and the length of its code. The table is indexed by the next 13 bits. Length 0: not a
   code. */
typedef struct {
    int16_t run;
    uint8_t length;
} code;

typedef struct {
    code white[1 << MAX_BITS], black[1 << MAX_BITS];
} code_tables;

static void fill_table(code *table, const uint16_t *codes) {
    for (int i = 0; i < NUM_CODES; i++) {
        int length = 31 - __builtin_clz(codes[i]), free_bits = MAX_BITS - length;
        uint32_t first = (uint32_t)(codes[i] & ((1u << length) - 1)) << free_bits;
        for (uint32_t k = 0; k < 1u << free_bits; k++)
            table[first + k] = (code){(int16_t)(i < 64 ? i : 64 * (i - 63)), (uint8_t)length};
    }
}

typedef struct {
    const uint8_t *data;
    uint64_t bit, end;       /* in bits from the first byte */
} bit_reader;

/* Returns the next bits, at most 24, with zeros after the end. */
static uint32_t peek(const bit_reader *in, uint32_t count) {
    uint64_t byte = in->bit / 8, have = in->end / 8;
    uint32_t bits = 0;
    for (uint64_t i = byte; i < byte + 4; i++) bits = bits << 8 | (i < have ? in->data[i] : 0u);
    return bits << in->bit % 8 >> (32 - count);
}

static int32_t next_run(bit_reader *in, const code *table) {
    for (int32_t run = 0;;) {
        code found = table[peek(in, MAX_BITS)];
        in->bit += found.length;
        if (!found.length || in->bit > in->end || run > INT32_MAX / 2) return BAD;
        run += found.run;
        if (found.run < 64) return run;
    }
}

/* Fills `count` pixels from `at` on. Returns 0 if they do not fit. */
static int paint(uint8_t *row, uint32_t width, uint32_t *at, int32_t count, int color) {
    if (count < 0 || (uint32_t)count > width - *at) return 0;
    memset(row + *at, color, (size_t)count);
    *at += (uint32_t)count;
    return 1;
}

static int unpack_row(bit_reader *in, const code_tables *tables, uint32_t width, uint8_t *row) {
    uint32_t at = 0;
    for (int color = 0; at < width; color = !color)
        if (!paint(row, width, &at, next_run(in, color ? tables->black : tables->white), color))
            return 0;
    return 1;
}

/* Gives the positions where the color changes, beginning with white; then `width`, three times. */
static void find_changes(const uint8_t *row, uint32_t width, uint32_t *changes) {
    uint8_t color = 0;
    for (uint32_t x = 0; x < width; x++) {
        if (row[x] != color) {
            *changes++ = x;
            color = row[x];
        }
    }
    for (int i = 0; i < 3; i++) *changes++ = width;
}

enum mode { HORIZONTAL = 4, PASS = 5, NO_MODE = 6 }; /* and -3 to 3 */

static int next_mode(bit_reader *in) {
    static const struct {
        uint8_t bits, length;
        int8_t mode;
    } modes[] = {{1, 1, 0}, {3, 3, 1}, {2, 3, -1}, {1, 3, HORIZONTAL}, {1, 4, PASS}, {3, 6, 2},
                 {2, 6, -2}, {3, 7, 3}, {2, 7, -3}};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (peek(in, modes[i].length) == modes[i].bits) {
            in->bit += modes[i].length;
            return in->bit > in->end ? NO_MODE : modes[i].mode;
        }
    return NO_MODE;
}

/* `above`: the changes of the row above. */
static int unpack_row_from(bit_reader *in, const code_tables *tables, const uint32_t *above,
                           uint32_t width, uint8_t *row) {
    uint32_t at = 0, b1 = 0; /* b1 is an index of changes */
    int color = 0, is_first = 1;
    while (at < width) {
        /* b1: the first change to the other color to the right of a0, or at a0 if the row begins
           there */
        while (b1 >= 2 && above[b1 - 2] > at) b1 -= 2;
        while (above[b1] < width && (above[b1] < at || (above[b1] == at && !is_first))) b1 += 2;
        int mode = next_mode(in);
        if (mode == HORIZONTAL) {
            if (!paint(row, width, &at, next_run(in, color ? tables->black : tables->white), color))
                return 0;
            if (!paint(row, width, &at, next_run(in, color ? tables->white : tables->black),
                       !color))
                return 0;
        } else if (mode == PASS) {
            if (above[b1] >= width || !paint(row, width, &at, (int32_t)(above[b1 + 1] - at), color))
                return 0;
        } else {
            int64_t end = (int64_t)above[b1] + mode;
            if (mode == NO_MODE || end < at || end > width ||
                !paint(row, width, &at, (int32_t)(end - at), color))
                return 0;
            color = !color;
            b1 += color ? 1u : b1 > 0 ? -1u : 1u; /* changes to the other color are the neighbors */
        }
        is_first = 0;
    }
    return 1;
}

/* Skips T.4's end of a row and the zeros before it. */
static int skip_row_end(bit_reader *in) {
    if (peek(in, 11) != 0) return 0;
    while (in->bit < in->end && peek(in, 1) == 0) in->bit++;
    in->bit++;
    return in->bit <= in->end;
}

int fp_unpack_fax(const uint8_t *data, size_t length, int kind, int is_mixed, uint32_t width,
                  uint32_t height, uint8_t *out) {
    bit_reader in = {data, 0, (uint64_t)length * 8};
    code_tables *own_tables = calloc(1, sizeof *own_tables);
    uint32_t *own_changes = malloc(((size_t)width + 3) * sizeof *own_changes);
    int is_whole = own_tables && own_changes && width <= INT32_MAX / 2;
    if (is_whole) {
        fill_table(own_tables->white, WHITE);
        fill_table(own_tables->black, BLACK);
        for (int i = 0; i < 3; i++) own_changes[i] = width; /* the row above the first is white */
    }
    for (uint32_t y = 0; is_whole && y < height; y++, out += width) {
        int is_plain = kind != FP_FAX_T6;
        int has_end = kind == FP_FAX_T4 && skip_row_end(&in);
        if (kind == FP_FAX_RUNS) in.bit = (in.bit + 7) / 8 * 8;
        if (kind == FP_FAX_T4 && is_mixed) {
            is_whole = has_end && in.bit < in.end;
            is_plain = (int)peek(&in, 1);
            in.bit++;
        }
        is_whole = is_whole && (is_plain ? unpack_row(&in, own_tables, width, out)
                                : unpack_row_from(&in, own_tables, own_changes, width, out));
        if (is_whole && (kind == FP_FAX_T6 || is_mixed)) find_changes(out, width, own_changes);
    }
    is_whole = is_whole && (in.end - in.bit) / 8 <= TAIL_BYTES;
    free(own_tables);
    free(own_changes);
    return is_whole;
}
