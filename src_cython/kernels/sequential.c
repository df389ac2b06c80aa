#include "sequential.h"

#include <stdlib.h>
#include <string.h>

#include "idct.h"
#include "upsample.h"
#include "ycc.h"

enum {
    RUN = 16,           /* MCUs that are decoded before they are transformed: an even number whose coefficients stay in L1 */
    MARGIN = 32,        /* samples on either side of a row; the transform writes up to 8 behind, upsampling reads 1 beside */
};

/* Samples of one component in the columns of MCUs that are wanted: those of one row of MCUs, and above it the last row
   of samples of the row of MCUs before. */
typedef struct {
    uint8_t *samples;
    size_t stride;
    uint32_t across, down;  /* blocks of an MCU */
    uint32_t width, height; /* of the whole component */
} plane;

/* The columns and rows of MCUs that a box needs. */
typedef struct {
    uint32_t per_row, num_rows;
    uint32_t first, end;
    uint32_t first_row, end_row;
} mcus;

struct fp_sequential {
    int16_t coefficients[RUN * FP_MAX_BLOCKS * FP_BLOCK];
    uint8_t last[RUN * FP_MAX_BLOCKS];
    fp_huffman dc[FP_MAX_TABLES], ac[FP_MAX_TABLES];
    int16_t steps[FP_MAX_COMPONENTS][FP_BLOCK];
    fp_entropy entropy;
    plane planes[FP_MAX_COMPONENTS];
    fp_coefficients run[FP_MAX_COMPONENTS];
    uint32_t num_blocks;    /* of a run, the components that are wanted */
    uint16_t *blended;
    uint8_t *upsampled[FP_MAX_COMPONENTS];
    fp_scratch memory;
    mcus needed;
    uint32_t num_wanted;    /* components */
    int has_context;        /* a row of pixels needs chroma of the row of MCUs above or below */
};

/* Most of it is tables that no image may need: that memory is not touched before. */
fp_sequential *fp_sequential_new(void) {
    fp_sequential *s = malloc(sizeof *s);
    if (!s) return NULL;
    for (int i = 0; i < FP_MAX_TABLES; i++) fp_huffman_clear(&s->dc[i]), fp_huffman_clear(&s->ac[i]);
    memset(&s->entropy, 0, sizeof s->entropy);
    memset(&s->memory, 0, sizeof s->memory);
    return s;
}

void fp_sequential_free(fp_sequential *sequential) {
    if (!sequential) return;
    fp_entropy_free(&sequential->entropy);
    fp_scratch_free(&sequential->memory);
    free(sequential);
}

/* Setting up */

static uint32_t divide_up(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

/* A row of pixels looks at two rows of chroma where that is subsampled. Of the MCUs below the last such row, libjpeg
   decodes a row once it needs the last two rows of pixels of the row of MCUs before: so whether their data is sound
   is part of its verdict. */
static mcus needed_mcus(const fp_scan *scan, const fp_box *box, int has_context) {
    uint32_t across = 8 * scan->across, down = 8 * scan->down, right = box->x + box->width, bottom = box->y + box->height;
    uint32_t beside = scan->across > 1 ? 2 : 0, above = has_context ? 1 : 0, below = has_context ? 2 : 0;
    mcus m = {divide_up(scan->width, across), divide_up(scan->height, down), 0, 0, 0, 0};
    m.first = (box->x > beside ? box->x - beside : 0) / across;
    m.end = (right + beside - 1) / across + 1;
    m.first_row = (box->y > above ? box->y - above : 0) / down;
    m.end_row = (bottom + below - 1) / down + 1;
    if (m.end > m.per_row) m.end = m.per_row;
    if (m.end_row > m.num_rows) m.end_row = m.num_rows;
    return m;
}

/* Each table once, though components share them. */
static int make_tables(fp_sequential *s, const fp_scan *scan) {
    uint32_t used_dc = 0, used_ac = 0;
    int are_made = 1;
    for (uint32_t c = 0; c < scan->num_components; c++) {
        used_dc |= 1u << scan->components[c].dc;
        used_ac |= 1u << scan->components[c].ac;
    }
    for (uint32_t i = 0; i < FP_MAX_TABLES; i++) {
        if (used_dc >> i & 1) are_made &= fp_huffman_make(&s->dc[i], &scan->dc[i], 1, scan->is_worth_tables);
        if (used_ac >> i & 1) are_made &= fp_huffman_make(&s->ac[i], &scan->ac[i], 0, scan->is_worth_tables);
    }
    return are_made;
}

static void set_components(fp_sequential *s, const fp_scan *scan) {
    s->entropy.num_components = scan->num_components;
    s->entropy.restart_interval = scan->restart_interval;
    for (uint32_t c = 0; c < scan->num_components; c++) {
        const fp_huffman *dc = &s->dc[scan->components[c].dc], *ac = &s->ac[scan->components[c].ac];
        s->entropy.components[c] = (fp_coded_component){dc, ac, c ? 1 : scan->across, c ? 1 : scan->down, 0};
        for (int i = 0; i < FP_BLOCK; i++) s->steps[c][i] = (int16_t)scan->components[c].steps[i];
    }
}

static plane plane_of(const fp_scan *scan, uint32_t component, uint32_t num_mcus) {
    int is_luma = component == 0;
    uint32_t across = is_luma ? scan->across : 1, down = is_luma ? scan->down : 1;
    uint32_t width = is_luma ? scan->width : divide_up(scan->width, scan->across);
    uint32_t height = is_luma ? scan->height : divide_up(scan->height, scan->down);
    return (plane){NULL, (size_t)num_mcus * across * 8 + 2 * MARGIN, across, down, width, height};
}

static int make_room(fp_sequential *s, const fp_scan *scan, uint32_t width) {
    size_t sizes[FP_MAX_COMPONENTS], upsampled = (((size_t)width + 1) & ~(size_t)1) + 2 * MARGIN, total = 4 * upsampled;
    uint32_t num_blocks = 0;
    for (uint32_t c = 0; c < s->num_wanted; c++) {
        s->planes[c] = plane_of(scan, c, s->needed.end - s->needed.first);
        total += sizes[c] = s->planes[c].stride * (s->planes[c].down * 8 + 1);
        s->run[c] = (fp_coefficients){s->coefficients + num_blocks * FP_BLOCK, s->last + num_blocks, RUN * s->planes[c].across};
        num_blocks += s->run[c].row_blocks * s->planes[c].down;
    }
    s->num_blocks = num_blocks;
    for (uint32_t c = s->num_wanted; c < FP_MAX_COMPONENTS; c++) s->run[c] = (fp_coefficients){NULL, NULL, 0};
    uint8_t *memory = fp_scratch_reserve(&s->memory, total);
    if (!memory) return 0;
    s->blended = (uint16_t *)memory;
    for (int c = 1; c < FP_MAX_COMPONENTS; c++) s->upsampled[c] = memory + (size_t)(c + 1) * upsampled;
    memory += 4 * upsampled;
    for (uint32_t c = 0; c < s->num_wanted; memory += sizes[c++]) s->planes[c].samples = memory + s->planes[c].stride + MARGIN;
    return 1;
}

/* From bits to samples */

static void transform_run(fp_sequential *s, uint32_t first, uint32_t num_mcus) {
    for (uint32_t c = 0; c < s->num_wanted; c++) {
        const plane *p = &s->planes[c];
        const fp_coefficients *run = &s->run[c];
        for (uint32_t y = 0; y < p->down; y++) {
            const int16_t *coefficients = run->coefficients + y * run->row_blocks * FP_BLOCK;
            uint8_t *out = p->samples + y * 8 * p->stride + (size_t)first * p->across * 8;
            fp_idct(coefficients, run->last + y * run->row_blocks, num_mcus * p->across, s->steps[c], out, (ptrdiff_t)p->stride);
        }
    }
}

/* Upsampling looks beyond the first and the last sample of a row, as if there were others like them. */
static void extend_edges(const plane *p, const mcus *needed) {
    uint32_t begin = needed->first * 8, end = needed->end * 8;
    for (uint32_t y = 0; y < 8; y++) {
        uint8_t *row = p->samples + y * p->stride;
        if (begin == 0) row[-1] = row[0];
        if (end >= p->width) row[p->width - begin] = row[p->width - begin - 1];
    }
}

static int decode_mcu_row(fp_sequential *s) {
    const mcus *needed = &s->needed;
    if (!fp_entropy_decode(&s->entropy, needed->first, NULL)) return 0;
    for (uint32_t mcu = needed->first, count; mcu < needed->end; mcu += count) {
        count = needed->end - mcu < RUN ? needed->end - mcu : RUN;
        memset(s->coefficients, 0, s->num_blocks * FP_BLOCK * sizeof *s->coefficients);
        memset(s->last, 0, s->num_blocks);
        if (!fp_entropy_decode(&s->entropy, count, s->run)) return 0;
        transform_run(s, mcu - needed->first, count);
    }
    for (uint32_t c = 1; c < s->num_wanted; c++) extend_edges(&s->planes[c], needed);
    return fp_entropy_decode(&s->entropy, needed->per_row - needed->end, NULL);
}

static void keep_last_rows(fp_sequential *s) {
    for (uint32_t c = 0; c < s->num_wanted; c++) {
        const plane *p = &s->planes[c];
        uint8_t *row = p->samples - MARGIN;
        memcpy(row - p->stride, row + (p->down * 8 - 1) * p->stride, p->stride);
    }
}

/* From samples to pixels */

/* Row `y` of chroma, one sample for each of the box's pixels. `mcu_row`: which row of MCUs the planes hold. */
static const uint8_t *chroma_row(fp_sequential *s, const fp_scan *scan, uint32_t component, const fp_box *box, uint32_t y,
                                 uint32_t mcu_row) {
    const plane *p = &s->planes[component];
    uint32_t x = box->x / scan->across, width = (box->x + box->width - 1) / scan->across + 1 - x;
    uint8_t *out = s->upsampled[component];
    uint32_t near_y = y / scan->down, far_y = near_y;
    if (scan->down == 2 && y % 2) far_y = near_y + 1 < p->height ? near_y + 1 : near_y;
    else if (scan->down == 2 && y > 0) far_y = near_y - 1;
    const uint8_t *column = p->samples + (x - s->needed.first * 8);
    const uint8_t *nearer = column + ((int64_t)near_y - mcu_row * 8) * (int64_t)p->stride;
    const uint8_t *farther = column + ((int64_t)far_y - mcu_row * 8) * (int64_t)p->stride;
    if (scan->across == 1 && scan->down == 1) return nearer;
    if (scan->across == 1) {
        fp_upsample_down(nearer, farther, y % 2 == 0, out, width);
        return out;
    }
    if (scan->down == 1) {
        fp_upsample_across(nearer, (uint16_t *)out, width);
    } else {
        fp_blend_rows(nearer - 1, farther - 1, s->blended, width + 2);
        fp_upsample_blended(s->blended + 1, (uint16_t *)out, width);
    }
    return out + box->x % 2;
}

static void write_row(fp_sequential *s, const fp_scan *scan, const fp_box *box, int pixels, uint32_t y, uint32_t mcu_row,
                      uint8_t *out) {
    const plane *p = &s->planes[0];
    int64_t row = (int64_t)y - (int64_t)mcu_row * 8 * p->down;
    const uint8_t *luma = p->samples + row * (int64_t)p->stride + (box->x - s->needed.first * 8 * p->across);
    if (pixels == FP_PIXELS_GRAY) {
        memcpy(out, luma, box->width);
    } else if (scan->num_components == 1) {
        fp_gray_to_rgb(luma, out, box->width);
    } else {
        const uint8_t *cb = chroma_row(s, scan, 1, box, y, mcu_row), *cr = chroma_row(s, scan, 2, box, y, mcu_row);
        fp_ycc_to_rgb(luma, cb, cr, out, box->width, pixels == FP_PIXELS_BGR);
    }
}

/* Where the rows of pixels end that can be made once this row of MCUs is there. */
static uint32_t end_of_rows(const fp_sequential *s, const fp_scan *scan, const fp_box *box, uint32_t mcu_row) {
    uint32_t end = (mcu_row + 1) * 8 * scan->down, bottom = box->y + box->height;
    if (s->has_context && mcu_row + 1 < s->needed.num_rows) end--;
    return end < bottom ? end : bottom;
}

int fp_sequential_decode(fp_sequential *s, const fp_scan *scan, const fp_box *box, int pixels, uint8_t *out,
                         int64_t stride) {
    s->num_wanted = pixels == FP_PIXELS_GRAY ? 1 : scan->num_components;
    s->has_context = s->num_wanted > 1 && scan->down > 1;
    s->needed = needed_mcus(scan, box, s->has_context);
    if (!make_tables(s, scan)) return FP_LEFT_TO_LIBJPEG;
    set_components(s, scan);
    if (!make_room(s, scan, box->width) || fp_entropy_start(&s->entropy, scan->data, scan->length)) return FP_NO_MEMORY;
    uint32_t y = box->y, bottom = box->y + box->height;
    for (uint32_t mcu_row = 0; mcu_row < s->needed.end_row; mcu_row++) {
        if (mcu_row < s->needed.first_row || y == bottom) {
            if (!fp_entropy_decode(&s->entropy, s->needed.per_row, NULL)) return FP_LEFT_TO_LIBJPEG;
            continue;
        }
        if (!decode_mcu_row(s)) return FP_LEFT_TO_LIBJPEG;
        for (uint32_t end = end_of_rows(s, scan, box, mcu_row); y < end; y++, out += stride)
            write_row(s, scan, box, pixels, y, mcu_row, out);
        if (s->has_context) keep_last_rows(s);
    }
    int is_flawless = bottom == scan->height ? fp_entropy_is_at_end(&s->entropy) : fp_entropy_is_sound(&s->entropy);
    return is_flawless ? FP_OK : FP_LEFT_TO_LIBJPEG;
}
