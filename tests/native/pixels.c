/* Decodes a plain JPEG with the kernels alone, on any processor: pixels FILE PLAIN writes its RGB
   rows to standard output. PLAIN other than 0 disables the vector paths. This file reads the
   headers, since libjpeg may be missing for that processor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "endian.h"
#include "sequential.h"
#include "vectors.h"

enum { MAX_FILE = 1 << 22 };

static const uint8_t zigzag[64] = {
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
        13, 6, 7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46,
        53, 60, 61, 54, 47, 55, 62, 63,
};

static uint16_t steps[4][64];

static void read_steps(const uint8_t *body, const uint8_t *end) {
    for (; body + 65 <= end; body += 65)
        for (int i = 0; i < 64; i++) steps[*body & 3][zigzag[i]] = body[1 + i];
}

static void read_codes(const uint8_t *body, const uint8_t *end, fp_scan *scan) {
    while (body + 17 <= end) {
        fp_huffman_code *code = (*body >> 4 ? scan->ac : scan->dc) + (*body & 3);
        size_t count = 0;
        for (int i = 0; i < 16; i++) count += code->counts[i] = body[1 + i];
        memcpy(code->symbols, body + 17, count);
        body += 17 + count;
    }
}

static void read_frame(const uint8_t *body, fp_scan *scan) {
    scan->height = fp_load_be16(body + 1);
    scan->width = fp_load_be16(body + 3);
    scan->num_components = body[5];
    int is_gray = scan->num_components == 1;
    scan->across = scan->blocks_across = is_gray ? 1 : body[7] >> 4;
    scan->down = scan->blocks_down = is_gray ? 1 : body[7] & 15;
    scan->chroma_across = scan->chroma_down = scan->rows_at_once = 1;
    scan->blends = scan->across <= 2 && scan->down <= 2 && scan->across * scan->down > 1;
    scan->edge = scan->chroma_edge = 8;
    for (uint32_t c = 0; c < scan->num_components; c++)
        scan->components[c].steps = steps[body[8 + 3 * c] & 3];
}

static void read_headers(const uint8_t *data, size_t length, fp_scan *scan) {
    const uint8_t *at = data + 2;
    for (;; at += 2 + fp_load_be16(at + 2)) {
        const uint8_t *body = at + 4, *end = at + 2 + fp_load_be16(at + 2);
        if (at[1] == 0xdb) read_steps(body, end);
        if (at[1] == 0xc0) read_frame(body, scan);
        if (at[1] == 0xc4) read_codes(body, end, scan);
        if (at[1] == 0xdd) scan->restart_interval = fp_load_be16(body);
        if (at[1] != 0xda) continue;
        for (uint32_t c = 0; c < scan->num_components; c++) {
            scan->components[c].dc = body[2 + 2 * c] >> 4 & 3;
            scan->components[c].ac = body[2 + 2 * c] & 3;
        }
        scan->data = end;
        scan->length = (size_t)(data + length - end);
        return;
    }
}

int main(int num_arguments, char **arguments) {
    static uint8_t data[MAX_FILE];
    static fp_scan scan;
    FILE *file = num_arguments == 3 ? fopen(arguments[1], "rb") : NULL;
    if (!file) return 2;
    size_t length = fread(data, 1, sizeof data, file);
    fclose(file);
    fp_allow_vectors(atoi(arguments[2]) == 0 ? 512 : 0);
    scan.is_worth_tables = 1;
    read_headers(data, length, &scan);
    fp_box box = {0, 0, scan.width, scan.height};
    size_t num_bytes = (size_t)scan.width * scan.height * 3;
    uint8_t *own_pixels = malloc(num_bytes);
    fp_sequential *sequential = fp_sequential_new();
    if (!own_pixels || !sequential) return 3;
    int status = fp_sequential_decode(sequential, &scan, &box, FP_PIXELS_RGB, own_pixels,
                                      (int64_t)scan.width * 3);
    if (status == FP_OK && fwrite(own_pixels, 1, num_bytes, stdout) != num_bytes) status = 4;
    fp_sequential_free(sequential);
    free(own_pixels);
    return status == FP_OK ? 0 : 1;
}
