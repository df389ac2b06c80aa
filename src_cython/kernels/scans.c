/* From libjpeg's headers to the description of a scan for our decoder (fp_scan).

   Our decoder takes 8-bit sequential Huffman images with one scan, gray or YCbCr. Chroma must have
   an integer fraction of luma's samples in each direction. All other images are libjpeg's. */
#include "scans.h"

#include <string.h>

#include "decode.h"

/* earlier versions round the upsampling of 4:4:0 differently */
enum { ROUNDS_BY_TURNS_DOWN = LIBJPEG_TURBO_VERSION_NUMBER >= 2001005 };

/* Both chroma components have the same sampling, a whole fraction of luma's. An MCU has at most as
   many blocks as the format allows; libjpeg checks that only when it begins to decode. */
static int has_plain_sampling(const struct jpeg_decompress_struct *jpeg) {
    const jpeg_component_info *c = jpeg->comp_info;
    if (jpeg->num_components == 1) return 1;
    if (c[0].h_samp_factor * c[0].v_samp_factor + 2 * c[1].h_samp_factor * c[1].v_samp_factor >
        FP_MAX_BLOCKS)
        return 0;
    return c[1].h_samp_factor == c[2].h_samp_factor && c[1].v_samp_factor == c[2].v_samp_factor &&
           c[0].h_samp_factor % c[1].h_samp_factor == 0 &&
           c[0].v_samp_factor % c[1].v_samp_factor == 0;
}

static int has_plain_colors(const struct jpeg_decompress_struct *jpeg) {
    return (jpeg->num_components == 3 && jpeg->jpeg_color_space == JCS_YCbCr) ||
           (jpeg->num_components == 1 && jpeg->jpeg_color_space == JCS_GRAYSCALE);
}

static int is_one_scan_in_order(const struct jpeg_decompress_struct *jpeg) {
    for (int i = 0; i < jpeg->comps_in_scan; i++)
        if (jpeg->cur_comp_info[i] != &jpeg->comp_info[i]) return 0;
    return 1;
}

int fp_route_of(const struct jpeg_decompress_struct *jpeg) {
    if (jpeg->progressive_mode) return FP_PROGRESSIVE;
    if (jpeg->arith_code) return FP_ARITHMETIC;
    if (jpeg->data_precision != 8) return FP_NOT_8_BITS;
    if (!has_plain_colors(jpeg)) return FP_OTHER_COLORS;
    if (jpeg->comps_in_scan != jpeg->num_components) return FP_SEVERAL_SCANS;
    if (!has_plain_sampling(jpeg)) return FP_OTHER_SAMPLING;
    return is_one_scan_in_order(jpeg) ? FP_OURS : FP_UNUSUAL_HEADERS;
}

static int copy_table(JHUFF_TBL *const *tables, int number, fp_huffman_code *codes) {
    if (number < 0 || number >= FP_MAX_TABLES || !tables[number]) return 0;
    memcpy(codes[number].counts, tables[number]->bits + 1, sizeof codes->counts);
    memcpy(codes[number].symbols, tables[number]->huffval, sizeof codes->symbols);
    return 1;
}

/* Blocks of each component in an MCU. With one component it is one block, whatever the factors
   are. */
static void describe_blocks(const struct jpeg_decompress_struct *jpeg, fp_scan *scan) {
    const jpeg_component_info *luma = &jpeg->comp_info[0], *chroma = &jpeg->comp_info[1];
    int is_gray = jpeg->num_components == 1;
    scan->num_components = (uint32_t)jpeg->num_components;
    scan->blocks_across = is_gray ? 1 : (uint32_t)luma->h_samp_factor;
    scan->blocks_down = is_gray ? 1 : (uint32_t)luma->v_samp_factor;
    scan->chroma_across = is_gray ? 1 : (uint32_t)chroma->h_samp_factor;
    scan->chroma_down = is_gray ? 1 : (uint32_t)chroma->v_samp_factor;
    scan->rows_at_once = is_gray ? (uint32_t)luma->v_samp_factor : 1;
}

/* Computes the sizes of an image that is decoded `reduced` times smaller. Like libjpeg, makes
   chroma as large as its transform can, and upsamples the rest. libjpeg has a triangle filter for
   some ratios; it needs at least three samples in a row. */
static int describe_sizes(const struct jpeg_decompress_struct *jpeg, uint32_t reduced,
                          fp_scan *scan) {
    describe_blocks(jpeg, scan);
    uint32_t edge = 8 / reduced, across = scan->blocks_across / scan->chroma_across;
    uint32_t down = scan->blocks_down / scan->chroma_down;
    uint32_t larger = 1;
    while (larger < reduced && across % (2 * larger) == 0 && down % (2 * larger) == 0) larger *= 2;
    scan->width = (jpeg->image_width + reduced - 1) / reduced;
    scan->height = (jpeg->image_height + reduced - 1) / reduced;
    scan->edge = edge;
    scan->chroma_edge = edge * larger;
    scan->across = across / larger;
    scan->down = down / larger;
    int is_triangle = scan->across == 1 ? scan->down == 2 : scan->across == 2 && scan->down <= 2 &&
                      scan->width > 4;
    scan->blends = edge > 1 && is_triangle;
    return ROUNDS_BY_TURNS_DOWN || !scan->blends || scan->across == 2;
}

int fp_describe_scan(const struct jpeg_decompress_struct *jpeg, uint32_t reduced, fp_scan *scan) {
    if (fp_route_of(jpeg) != FP_OURS || !describe_sizes(jpeg, reduced, scan)) return 0;
    scan->restart_interval = jpeg->restart_interval;
    scan->data = jpeg->src->next_input_byte;
    scan->length = jpeg->src->bytes_in_buffer;
    scan->image = NULL;
    scan->seek_table = NULL;
    scan->is_worth_tables = 1;
    for (int i = 0; i < jpeg->num_components; i++) {
        const jpeg_component_info *c = &jpeg->comp_info[i];
        if (!copy_table(jpeg->dc_huff_tbl_ptrs, c->dc_tbl_no, scan->dc)) return 0;
        if (!copy_table(jpeg->ac_huff_tbl_ptrs, c->ac_tbl_no, scan->ac)) return 0;
        if (c->quant_tbl_no < 0 || c->quant_tbl_no >= NUM_QUANT_TBLS ||
            !jpeg->quant_tbl_ptrs[c->quant_tbl_no])
            return 0;
        scan->components[i].dc = (uint32_t)c->dc_tbl_no;
        scan->components[i].ac = (uint32_t)c->ac_tbl_no;
        scan->components[i].steps = jpeg->quant_tbl_ptrs[c->quant_tbl_no]->quantval;
    }
    return 1;
}
