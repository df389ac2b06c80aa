/* Decoding of sequential JPEGs: from entropy-coded data to pixels of a box.

   Words:
   - MCU: minimum coded unit, the blocks of all components for one tile of the image (entropy.c).
   - run: up to RUN MCUs. Their coefficients are decoded first and then transformed, while they are
     in the L1 cache.
   - lane: a position in the data. Two lanes decode two rows of MCUs alternately, if seek points
     give the beginning of both.
   - band: the rows of MCUs that are decoded together, one in each lane.
   - plane: the samples of one component in a band, and the last row of samples of the band before.
   - context: rows of chroma above and below a row of pixels. Vertical upsampling needs one of
     them.
   - reduced: decoded 2, 4 or 8 times smaller, by smaller inverse DCTs (idct.c).

   Method. The image is decoded band by band:
   1. Decode a run of MCUs (entropy.c), and transform it into the planes (idct.c). MCUs outside the
      columns of the box are decoded and dropped: Huffman codes cannot be skipped.
   2. When a band is complete, make all rows of pixels whose context is complete: upsample chroma
      (upsample.c), convert the colors (ycc.c), write.
   3. Keep the last row of samples as context for the next band.

   Without a seek table, decoding begins at the first MCU. With one, it begins at the last seek
   point before the box. Each lane must end at a seek point, with the DC predictions of that point.

   Invariants:
   - Pixels equal those of libjpeg-turbo, bit for bit, for every box and reduction. Tests compare
     them.
   - So does the verdict. libjpeg reports a flaw in any MCU that it decodes for this box, which are
     a few more than the box needs. needed_mcus covers the same MCUs. A flaw in them gives
     FP_LEFT_TO_LIBJPEG, and libjpeg decodes the image.
   - Only images without flaws get a seek table. So with a seek table no MCU after the box is
     needed.
   - Coefficients of a run are zero before it is decoded. Entropy decoding stores only nonzero
     ones.

   Sources: ITU-T T.81; libjpeg-turbo for rounding and for the verdict. */
#include "sequential.h"

#include <stdlib.h>
#include <string.h>

#include "idct.h"
#include "upsample.h"
#include "ycc.h"

enum {
    RUN = 16,           /* MCUs in a run: an even number, since the IDCT takes blocks in pairs */
    LANES = 2,          /* rows of MCUs that are decoded alternately */
    /* samples on either side of a row: the IDCT writes up to 8 after it, upsampling reads 1 beside
       it */
    MARGIN = 32,
};

/* The samples of one component in the needed columns: a band of one or two rows of MCUs. The row
   above holds the last samples of the previous band. */
typedef struct {
    uint8_t *samples;
    size_t stride;
    uint32_t across, down;  /* blocks in an MCU */
    uint32_t edge;          /* samples along a side of a block */
    uint32_t width, height; /* of the whole component */
} plane;

/* The columns and rows of MCUs that a box needs. Ranges exclude their end. */
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
    fp_coefficients run[LANES][FP_MAX_COMPONENTS];
    uint32_t run_mcus;      /* of each lane */
    uint32_t num_blocks;    /* in a run, of the wanted components */
    uint32_t num_lanes;
    fp_seek_grid grid;
    uint16_t *blended;
    uint8_t *upsampled[FP_MAX_COMPONENTS];
    fp_scratch memory;
    mcus needed;
    uint32_t num_wanted;    /* components */
    int has_context;        /* a row of pixels needs chroma of the row of MCUs above or below */
};

/* Uses malloc, not calloc: the struct is mainly tables that may stay unused, and untouched pages
   cost nothing. */
fp_sequential *fp_sequential_new(void) {
    fp_sequential *s = malloc(sizeof *s);
    if (!s) return NULL;
    for (int i = 0; i < FP_MAX_TABLES; i++) {
        fp_huffman_clear(&s->dc[i]);
        fp_huffman_clear(&s->ac[i]);
    }
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

/* Setup */

static uint32_t divide_up(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

static int has_context(const fp_scan *scan) { return scan->blends && scan->down > 1; }

/* Computes the MCUs for a box. Blended chroma needs one row of context above and below. libjpeg
   decodes a row of MCUs as soon as it needs the last row group of the one before. So a flaw there
   is part of its verdict, and `below` includes it. */
static mcus needed_mcus(const fp_scan *scan, const fp_box *box, int in_context) {
    uint32_t across = scan->edge * scan->blocks_across, down = scan->edge * scan->blocks_down;
    uint32_t right = box->x + box->width, bottom = box->y + box->height;
    uint32_t beside = scan->blends && scan->across > 1 ? 2 : 0, above = in_context ? 1 : 0;
    uint32_t below = in_context ? scan->blocks_down : 0;
    mcus m = {divide_up(scan->width, across), divide_up(scan->height, down), 0, 0, 0, 0};
    m.first = (box->x > beside ? box->x - beside : 0) / across;
    m.end = (right + beside - 1) / across + 1;
    m.first_row = (box->y > above ? box->y - above : 0) / down;
    m.end_row = divide_up((bottom + below - 1) / down + 1, scan->rows_at_once) * scan->rows_at_once;
    if (m.end > m.per_row) m.end = m.per_row;
    if (m.end_row > m.num_rows) m.end_row = m.num_rows;
    return m;
}

/* Makes each table once, even if components share it. */
static int make_tables(fp_sequential *s, const fp_scan *scan) {
    uint32_t used_dc = 0, used_ac = 0;
    int are_made = 1;
    for (uint32_t c = 0; c < scan->num_components; c++) {
        used_dc |= 1u << scan->components[c].dc;
        used_ac |= 1u << scan->components[c].ac;
    }
    for (uint32_t i = 0; i < FP_MAX_TABLES; i++) {
        if (used_dc >> i & 1)
            are_made &= fp_huffman_make(&s->dc[i], &scan->dc[i], 1, scan->is_worth_tables);
        if (used_ac >> i & 1)
            are_made &= fp_huffman_make(&s->ac[i], &scan->ac[i], 0, scan->is_worth_tables);
    }
    return are_made;
}

static void set_components(fp_sequential *s, const fp_scan *scan) {
    s->entropy.num_components = scan->num_components;
    s->entropy.restart_interval = scan->restart_interval;
    for (uint32_t c = 0; c < scan->num_components; c++) {
        const fp_huffman *dc = &s->dc[scan->components[c].dc], *ac = &s->ac[scan->components[c].ac];
        uint32_t across = c ? scan->chroma_across : scan->blocks_across;
        uint32_t down = c ? scan->chroma_down : scan->blocks_down;
        s->entropy.components[c] = (fp_coded_component){dc, ac, across, down};
        for (int i = 0; i < FP_BLOCK; i++) s->steps[c][i] = (int16_t)scan->components[c].steps[i];
    }
}

static plane plane_of(const fp_scan *scan, uint32_t component, uint32_t num_mcus) {
    int is_luma = component == 0;
    uint32_t across = is_luma ? scan->blocks_across : scan->chroma_across;
    uint32_t down = is_luma ? scan->blocks_down : scan->chroma_down;
    uint32_t edge = is_luma ? scan->edge : scan->chroma_edge;
    uint32_t width = is_luma ? scan->width : divide_up(scan->width, scan->across);
    uint32_t height = is_luma ? scan->height : divide_up(scan->height, scan->down);
    return (plane){NULL, (size_t)num_mcus * across * edge + 2 * MARGIN, across, down, edge, width,
                   height};
}

/* Divides the memory for coefficients between the lanes. */
static void divide_run(fp_sequential *s) {
    uint32_t num_blocks = 0;
    s->run_mcus = RUN / s->num_lanes;
    for (uint32_t lane = 0; lane < s->num_lanes; lane++) {
        for (uint32_t c = 0; c < s->num_wanted; c++) {
            uint32_t row_blocks = s->run_mcus * s->planes[c].across;
            s->run[lane][c] = (fp_coefficients){s->coefficients + num_blocks * FP_BLOCK,
                                                s->last + num_blocks, row_blocks};
            num_blocks += row_blocks * s->planes[c].down;
        }
        for (uint32_t c = s->num_wanted; c < FP_MAX_COMPONENTS; c++)
            s->run[lane][c] = (fp_coefficients){NULL, NULL, 0};
    }
    s->num_blocks = num_blocks;
}

static int make_room(fp_sequential *s, const fp_scan *scan, uint32_t width) {
    size_t sizes[FP_MAX_COMPONENTS];
    size_t upsampled = (((size_t)width + 1) & ~(size_t)1) + 2 * MARGIN;
    size_t total = 4 * upsampled;
    for (uint32_t c = 0; c < s->num_wanted; c++) {
        s->planes[c] = plane_of(scan, c, s->needed.end - s->needed.first);
        uint32_t num_rows = s->num_lanes * s->planes[c].down * s->planes[c].edge + 1;
        sizes[c] = s->planes[c].stride * num_rows;
        total += sizes[c];
    }
    divide_run(s);
    uint8_t *memory = fp_scratch_reserve(&s->memory, total);
    if (!memory) return 0;
    s->blended = (uint16_t *)memory;
    for (int c = 1; c < FP_MAX_COMPONENTS; c++)
        s->upsampled[c] = memory + (size_t)(c + 1) * upsampled;
    memory += 4 * upsampled;
    for (uint32_t c = 0; c < s->num_wanted; c++) {
        s->planes[c].samples = memory + s->planes[c].stride + MARGIN;
        memory += sizes[c];
    }
    return 1;
}

/* From bits to samples */

static int transform_run(fp_sequential *s, uint32_t lane, uint32_t first, uint32_t num_mcus) {
    int sane = 1;
    for (uint32_t c = 0; c < s->num_wanted; c++) {
        const plane *p = &s->planes[c];
        const fp_coefficients *run = &s->run[lane][c];
        for (uint32_t y = 0; y < p->down; y++) {
            const int16_t *coefficients = run->coefficients + y * run->row_blocks * FP_BLOCK;
            const uint8_t *last = run->last + y * run->row_blocks;
            uint8_t *out = p->samples + (lane * p->down + y) * p->edge * p->stride +
                           (size_t)first * p->across * p->edge;
            uint32_t num_blocks = num_mcus * p->across;
            if (p->edge == 8)
                fp_idct(coefficients, last, num_blocks, s->steps[c], out, (ptrdiff_t)p->stride);
            else
                sane &= fp_idct_reduced(coefficients, last, num_blocks, s->steps[c], p->edge, out,
                                        (ptrdiff_t)p->stride);
        }
    }
    return sane;
}

/* Repeats the first and the last sample of a row. Upsampling reads one sample beyond either. */
static void extend_edges(const plane *p, const mcus *needed, uint32_t num_rows) {
    uint32_t edge = p->across * p->edge, begin = needed->first * edge, end = needed->end * edge;
    for (uint32_t y = 0; y < p->down * p->edge * num_rows; y++) {
        uint8_t *row = p->samples + y * p->stride;
        if (begin == 0) row[-1] = row[0];
        if (end >= p->width) row[p->width - begin] = row[p->width - begin - 1];
    }
}

static int decode_lanes(fp_sequential *s, uint32_t num_lanes, uint32_t num_mcus, int is_wanted) {
    if (num_lanes == 1)
        return fp_entropy_decode(&s->entropy, num_mcus, is_wanted ? s->run[0] : NULL);
    return fp_entropy_decode_both(&s->entropy, num_mcus, is_wanted ? s->run[0] : NULL, s->run[1]);
}

/* Decodes a band: one row of MCUs in each lane. `before` and `after` count the MCUs beside the
   needed ones that are decoded and dropped. */
static int decode_band(fp_sequential *s, uint32_t num_lanes, uint32_t before, uint32_t after) {
    const mcus *needed = &s->needed;
    if (!decode_lanes(s, num_lanes, before, 0)) return 0;
    for (uint32_t mcu = needed->first, count; mcu < needed->end; mcu += count) {
        count = needed->end - mcu < s->run_mcus ? needed->end - mcu : s->run_mcus;
        memset(s->coefficients, 0, s->num_blocks * FP_BLOCK * sizeof *s->coefficients);
        memset(s->last, 0, s->num_blocks);
        if (!decode_lanes(s, num_lanes, count, 1)) return 0;
        for (uint32_t lane = 0; lane < num_lanes; lane++)
            if (!transform_run(s, lane, mcu - needed->first, count)) return 0;
    }
    for (uint32_t c = 1; c < s->num_wanted; c++) extend_edges(&s->planes[c], needed, num_lanes);
    return decode_lanes(s, num_lanes, after, 0);
}

/* Copies the last row of samples above the plane, as context for the next band. */
static void keep_last_rows(fp_sequential *s, uint32_t num_lanes) {
    for (uint32_t c = 0; c < s->num_wanted; c++) {
        const plane *p = &s->planes[c];
        uint8_t *row = p->samples - MARGIN;
        memcpy(row - p->stride, row + (num_lanes * p->down * p->edge - 1) * p->stride, p->stride);
    }
}

/* From samples to pixels */

/* Returns row `y` of a chroma component at the resolution of luma, for the columns of the box.
   `mcu_row` is the first row of MCUs in the planes. */
static const uint8_t *chroma_row(fp_sequential *s, const fp_scan *scan, uint32_t component,
                                 const fp_box *box, uint32_t y, uint32_t mcu_row) {
    const plane *p = &s->planes[component];
    uint32_t x = box->x / scan->across, width = (box->x + box->width - 1) / scan->across + 1 - x;
    uint8_t *out = s->upsampled[component];
    uint32_t near_y = y / scan->down, far_y = near_y;
    if (scan->down == 2 && y % 2) far_y = near_y + 1 < p->height ? near_y + 1 : near_y;
    else if (scan->down == 2 && y > 0) far_y = near_y - 1;
    const uint8_t *column = p->samples + (x - s->needed.first * p->across * p->edge);
    int64_t first_y = (int64_t)mcu_row * p->down * p->edge, stride = (int64_t)p->stride;
    const uint8_t *nearer = column + (near_y - first_y) * stride;
    const uint8_t *farther = column + (far_y - first_y) * stride;
    if (!scan->blends) {
        if (scan->across == 1) return nearer;
        fp_repeat_across(nearer, scan->across, out, width);
        return out + box->x % scan->across;
    }
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

static void write_row(fp_sequential *s, const fp_scan *scan, const fp_box *box, int pixels,
                      uint32_t y, uint32_t mcu_row, uint8_t *out) {
    const plane *p = &s->planes[0];
    int64_t row = (int64_t)y - (int64_t)mcu_row * p->edge * p->down;
    const uint8_t *luma = p->samples + row * (int64_t)p->stride +
                          (box->x - s->needed.first * p->edge * p->across);
    if (pixels == FP_PIXELS_GRAY) {
        memcpy(out, luma, box->width);
    } else if (scan->num_components == 1) {
        fp_gray_to_rgb(luma, out, box->width);
    } else {
        const uint8_t *cb = chroma_row(s, scan, 1, box, y, mcu_row);
        const uint8_t *cr = chroma_row(s, scan, 2, box, y, mcu_row);
        fp_ycc_to_rgb(luma, cb, cr, out, box->width, pixels == FP_PIXELS_BGR);
    }
}

/* Returns the end of the rows of pixels that are complete once this row of MCUs is decoded. */
static uint32_t end_of_rows(const fp_sequential *s, const fp_scan *scan, const fp_box *box,
                            uint32_t mcu_row) {
    uint32_t end = (mcu_row + 1) * scan->edge * scan->blocks_down, bottom = box->y + box->height;
    if (s->has_context && mcu_row + 1 < s->needed.num_rows) end--;
    return end < bottom ? end : bottom;
}

/* The destination of pixels. */
typedef struct {
    const fp_box *box;
    int pixels;
    uint32_t y;             /* the next row */
    uint8_t *out;
    int64_t stride;
} destination;

static void write_band(fp_sequential *s, const fp_scan *scan, destination *d, uint32_t mcu_row,
                       uint32_t num_lanes) {
    uint32_t end = end_of_rows(s, scan, d->box, mcu_row + num_lanes - 1);
    for (; d->y < end; d->y++, d->out += d->stride)
        write_row(s, scan, d->box, d->pixels, d->y, mcu_row, d->out);
    if (s->has_context) keep_last_rows(s, num_lanes);
}

static int set_up(fp_sequential *s, const fp_scan *scan, const fp_box *box, int pixels) {
    s->num_wanted = pixels == FP_PIXELS_GRAY ? 1 : scan->num_components;
    s->has_context = s->num_wanted > 1 && has_context(scan);
    s->needed = needed_mcus(scan, box, s->has_context);
    s->num_lanes = 1;
    if (!make_tables(s, scan)) return FP_LEFT_TO_LIBJPEG;
    set_components(s, scan);
    return FP_OK;
}

/* Decodes rows of MCUs from `row` on, one by one. */
static int decode_rows(fp_sequential *s, const fp_scan *scan, destination *d, uint32_t row) {
    uint32_t bottom = d->box->y + d->box->height;
    for (; row < s->needed.end_row; row++) {
        if (row < s->needed.first_row || d->y == bottom) {
            if (!fp_entropy_decode(&s->entropy, s->needed.per_row, NULL)) return 0;
            continue;
        }
        if (!decode_band(s, 1, s->needed.first, s->needed.per_row - s->needed.end)) return 0;
        write_band(s, scan, d, row, 1);
    }
    return 1;
}

/* Decoding from seek points */

/* Computes the rows that the pixels are made of. No more is needed for the verdict: only images
   without flaws have seek points. */
static mcus mcus_from_seek_points(const fp_scan *scan, const fp_box *box, int in_context) {
    mcus m = needed_mcus(scan, box, in_context);
    uint32_t bottom = box->y + box->height + (in_context ? 1 : 0);
    m.end_row = divide_up(bottom < scan->height ? bottom : scan->height,
                          scan->edge * scan->blocks_down);
    return m;
}

/* The table must begin where the headers end, and match the grid of MCUs. */
static int open_seek_table(const fp_scan *scan, const mcus *m, fp_seek_grid *grid) {
    const fp_seek_table *table = scan->seek_table;
    return table && scan->restart_interval == 0 &&
           scan->data == scan->image + fp_seek_table_head_bytes(table) &&
           fp_seek_table_open(table, m->per_row, m->num_rows, scan->image, grid);
}

/* The first and the last seek point for decoding rows up to `end_row`, as numbers in the table. */
static uint32_t first_number(const fp_seek_grid *grid, const mcus *m, uint32_t row) {
    return row / grid->rows * grid->per_row + m->first / grid->columns;
}

static uint32_t last_number(const fp_seek_grid *grid, const mcus *m, uint32_t end_row) {
    if (grid->rows > 1) return divide_up(end_row, grid->rows);
    return (end_row - 1) * grid->per_row + divide_up(m->end, grid->columns);
}

/* Copies the data between two seek points and moves the lane to its beginning. Returns the end as a
   bit of the copy, or 0 if the data contains a marker. */
static uint64_t start_lane(fp_sequential *s, const fp_scan *scan, fp_lane *lane, uint32_t first,
                           uint32_t last) {
    fp_seek_point begin = fp_seek_point_at(scan->seek_table, first);
    fp_seek_point end = fp_seek_point_at(scan->seek_table, last);
    uint64_t byte = begin.position / 8, num_bytes = (end.position + 7) / 8 - byte;
    int64_t at = fp_entropy_add(&s->entropy, scan->image + byte, (size_t)num_bytes);
    if (at < 0) return 0;
    uint64_t reached = (uint64_t)(s->entropy.end - s->entropy.copy.own_bytes) * 8;
    fp_entropy_seek(&s->entropy, lane, (uint64_t)at * 8 + begin.position % 8, begin.predictions);
    return end.position % 8 ? reached - 8 + end.position % 8 : reached;
}

/* True if the lane ends where it must: at the seek point `last` with its predictions if `is_there`,
   else before it, because decoding stopped earlier. */
static int ends_at_seek_point(const fp_sequential *s, const fp_scan *scan, const fp_lane *lane,
                              uint64_t end, uint32_t last, int is_there) {
    uint64_t at = fp_entropy_tell(&s->entropy, lane);
    if (!is_there) return at <= end;
    fp_seek_point point = fp_seek_point_at(scan->seek_table, last);
    for (uint32_t c = 0; c < scan->num_components; c++)
        if (lane->predictions[c] != point.predictions[c]) return 0;
    return at == end;
}

/* At least the bytes of both points and all between. */
static uint64_t bytes_between(const fp_scan *scan, uint32_t first, uint32_t last) {
    return fp_seek_point_at(scan->seek_table, last).position / 8 -
           fp_seek_point_at(scan->seek_table, first).position / 8 + 2;
}

/* Decodes bands whose rows of MCUs each begin at a seek point. */
static int decode_bands(fp_sequential *s, const fp_scan *scan, destination *d) {
    const mcus *needed = &s->needed;
    const fp_seek_grid *grid = &s->grid;
    int is_there = needed->end == needed->per_row || needed->end % grid->columns == 0;
    uint32_t num_lanes;
    for (uint32_t row = needed->first_row; row < needed->end_row; row += num_lanes) {
        num_lanes = needed->end_row - row < s->num_lanes ? 1 : s->num_lanes;
        uint32_t first = first_number(grid, needed, row), last = last_number(grid, needed, row + 1);
        uint64_t ends[LANES] = {0};
        fp_lane *lanes[LANES] = {&s->entropy.lane, &s->entropy.second};
        uint32_t last_of_all = last + (num_lanes - 1) * grid->per_row;
        if (fp_entropy_reserve(&s->entropy, bytes_between(scan, first, last_of_all)))
            return FP_NO_MEMORY;
        for (uint32_t i = 0; i < num_lanes; i++) {
            uint32_t below = i * grid->per_row;
            ends[i] = start_lane(s, scan, lanes[i], first + below, last + below);
            if (!ends[i]) return FP_LEFT_TO_LIBJPEG;
        }
        if (!decode_band(s, num_lanes, needed->first % grid->columns, 0)) return FP_LEFT_TO_LIBJPEG;
        for (uint32_t i = 0; i < num_lanes; i++) {
            uint32_t below = i * grid->per_row;
            if (!ends_at_seek_point(s, scan, lanes[i], ends[i], last + below, is_there))
                return FP_LEFT_TO_LIBJPEG;
        }
        write_band(s, scan, d, row, num_lanes);
    }
    return FP_OK;
}

/* Decodes row by row, from the last seek point above the box. */
static int decode_from_seek_point(fp_sequential *s, const fp_scan *scan, destination *d) {
    mcus above = s->needed;
    above.first = 0;
    uint32_t row = s->needed.first_row / s->grid.rows * s->grid.rows;
    uint32_t first = first_number(&s->grid, &above, row);
    uint32_t last = last_number(&s->grid, &s->needed, s->needed.end_row);
    if (fp_entropy_reserve(&s->entropy, bytes_between(scan, first, last))) return FP_NO_MEMORY;
    uint64_t end = start_lane(s, scan, &s->entropy.lane, first, last);
    if (!end || !decode_rows(s, scan, d, row)) return FP_LEFT_TO_LIBJPEG;
    int is_there = s->needed.end_row % s->grid.rows == 0 || s->needed.end_row == s->needed.num_rows;
    int is_valid = ends_at_seek_point(s, scan, &s->entropy.lane, end, last, is_there);
    return is_valid ? FP_OK : FP_LEFT_TO_LIBJPEG;
}

static int decode_by_seek_table(fp_sequential *s, const fp_scan *scan, destination *d) {
    s->needed = mcus_from_seek_points(scan, d->box, s->has_context);
    if (!open_seek_table(scan, &s->needed, &s->grid)) return FP_LEFT_TO_LIBJPEG;
    s->num_lanes = s->grid.rows == 1 && s->needed.end_row - s->needed.first_row > 1 ? LANES : 1;
    if (!make_room(s, scan, d->box->width)) return FP_NO_MEMORY;
    return s->grid.rows == 1 ? decode_bands(s, scan, d) : decode_from_seek_point(s, scan, d);
}

int fp_sequential_bytes(const fp_scan *scan, const fp_box *box, uint64_t *first, uint64_t *end) {
    mcus m = mcus_from_seek_points(scan, box, has_context(scan));
    fp_seek_grid grid;
    if (!open_seek_table(scan, &m, &grid)) return 0;
    if (grid.rows > 1) m.first = 0;
    *first = fp_seek_point_at(scan->seek_table, first_number(&grid, &m, m.first_row)).position / 8;
    *end = (fp_seek_point_at(scan->seek_table, last_number(&grid, &m, m.end_row)).position + 7) / 8;
    return 1;
}

/* Decodes all of the data once and notes the seek points. */
static int find_all(fp_sequential *s, const fp_scan *scan, const fp_seek_grid *grid,
                    uint64_t *words) {
    const uint8_t *data = scan->data;
    uint64_t known = 0;     /* the position of `data` in the copy */
    uint32_t num_rows = s->needed.num_rows, per_row = s->needed.per_row;
    for (uint32_t number = 0;; number++) {
        if (!fp_entropy_is_sound(&s->entropy)) return 0;
        uint64_t bit = fp_entropy_tell(&s->entropy, &s->entropy.lane);
        data = fp_entropy_stuffed(&s->entropy, data, known, bit / 8);
        known = bit / 8;
        fp_seek_point point = {.position = (uint64_t)(data - scan->image) * 8 + bit % 8};
        for (uint32_t c = 0; c < scan->num_components; c++)
            point.predictions[c] = (int16_t)s->entropy.lane.predictions[c];
        if (!fp_seek_point_to_word(&point, &words[number + 1])) return 0;
        if (number == grid->count) return fp_entropy_is_at_end(&s->entropy);
        uint32_t row = number / grid->per_row * grid->rows;
        uint32_t column = number % grid->per_row * grid->columns;
        uint32_t rows = num_rows - row < grid->rows ? num_rows - row : grid->rows;
        uint32_t columns = per_row - column < grid->columns ? per_row - column : grid->columns;
        if (!fp_entropy_decode(&s->entropy, rows * columns, NULL)) return 0;
    }
}

int fp_sequential_find_seek_points(fp_sequential *s, const fp_scan *scan, fp_scratch *words,
                                   size_t *num_words) {
    fp_box whole = {0, 0, scan->width, scan->height};
    fp_seek_grid grid;
    *num_words = 0;
    if (set_up(s, scan, &whole, FP_PIXELS_RGB) || scan->restart_interval) return FP_OK;
    if (!fp_seek_grid_plan(&grid, s->needed.per_row, s->needed.num_rows, scan->length))
        return FP_OK;
    fp_seek_table table = *scan->seek_table;
    table.num_words = fp_seek_table_num_words(&grid);
    uint64_t *own_words =
        (uint64_t *)fp_scratch_reserve(words, table.num_words * sizeof *own_words);
    if (!own_words || fp_entropy_start(&s->entropy, scan->data, scan->length)) return FP_NO_MEMORY;
    table.words = own_words;
    if (!find_all(s, scan, &grid, own_words)) return FP_OK;
    own_words[0] = fp_seek_table_first_word(&table, &grid, scan->image);
    *num_words = table.num_words;
    return FP_OK;
}

int fp_sequential_has_more_mcus(fp_sequential *s, const fp_scan *scan) {
    fp_box whole = {0, 0, scan->width, scan->height};
    if (set_up(s, scan, &whole, FP_PIXELS_RGB) || scan->restart_interval) return 1;
    if (fp_entropy_start(&s->entropy, scan->data, scan->length)) return 1;
    if (!fp_entropy_decode(&s->entropy, s->needed.per_row * s->needed.num_rows, NULL)) return 1;
    if (!fp_entropy_is_sound(&s->entropy)) return 1;
    uint64_t end = (uint64_t)(s->entropy.end - s->entropy.copy.own_bytes) * 8;
    while (fp_entropy_decode(&s->entropy, 1, NULL) && fp_entropy_is_sound(&s->entropy))
        if (end - fp_entropy_tell(&s->entropy, &s->entropy.lane) < 8) return 1;
    return 0;
}

int fp_sequential_decode(fp_sequential *s, const fp_scan *scan, const fp_box *box, int pixels,
                         uint8_t *out, int64_t stride) {
    destination d = {box, pixels, box->y, out, stride};
    if (set_up(s, scan, box, pixels)) return FP_LEFT_TO_LIBJPEG;
    if (scan->seek_table) return decode_by_seek_table(s, scan, &d);
    if (!make_room(s, scan, box->width) || fp_entropy_start(&s->entropy, scan->data, scan->length))
        return FP_NO_MEMORY;
    if (!decode_rows(s, scan, &d, 0)) return FP_LEFT_TO_LIBJPEG;
    int is_to_end = box->y + box->height == scan->height;
    int is_flawless =
        is_to_end ? fp_entropy_is_at_end(&s->entropy) : fp_entropy_is_sound(&s->entropy);
    return is_flawless ? FP_OK : FP_LEFT_TO_LIBJPEG;
}
