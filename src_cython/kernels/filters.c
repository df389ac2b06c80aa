/* HDF5's filter pipeline, without HDF5's library and its global lock.

   A chunk passes through the filters in order when it is written, and in reverse order when it is
   read. Each filter has a function for either direction, and a bound for the size of its output. A
   step reads `data` and writes `out`; steps alternate between two scratch buffers, and the last
   decoding step writes to the caller's memory. Some filters stop early if only the first bytes are
   wanted.

   Sources: the HDF5 format specification for the pipeline; H5Zshuffle.c and H5checksum.c for
   shuffle and Fletcher32; the registered filters' own documentation for the others. */
#include "filters.h"

#include <libdeflate.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "endian.h"
#include "shuffle.h"

struct fp_pipeline {
    fp_filter filters[FP_MAX_FILTERS];
    size_t num_filters;
    fp_scratch scratch[2];
    fp_blosc_decoder blosc;
    /* allocated on first use */
    struct libdeflate_compressor *own_deflater;
    ZSTD_CCtx *own_zstd;
};

/* A chunk between two filters: a step writes `out`, or shortens `data` in place. */
typedef struct {
    const uint8_t *data;
    size_t length;
    uint8_t *out;
    size_t capacity;
    fp_range wanted; /* of the output */
} chunk_state;

static const char NO_MEMORY[] = "no memory for a chunk";

static const char *finish_step(chunk_state *chunk, size_t length) {
    chunk->data = chunk->out;
    chunk->length = length;
    return NULL;
}

static uint32_t parameter(const fp_filter *filter, uint32_t number, uint32_t otherwise) {
    return number < filter->num_parameters &&
           number < FP_FILTER_PARAMETERS ? filter->parameters[number] : otherwise;
}

/* shuffle */

static const char *decode_shuffle(fp_pipeline *pipeline, const fp_filter *filter,
                                  chunk_state *chunk) {
    (void)pipeline;
    size_t item_bytes = parameter(filter, 0, 1);
    if (item_bytes <= 1) return NULL;
    if (chunk->length > chunk->capacity) return "a chunk is longer than its dataset says";
    fp_unshuffle(chunk->data, chunk->length, item_bytes, chunk->out);
    return finish_step(chunk, chunk->length);
}

static const char *encode_shuffle(fp_pipeline *pipeline, const fp_filter *filter,
                                  chunk_state *chunk) {
    (void)pipeline;
    size_t item_bytes = parameter(filter, 0, 1);
    if (item_bytes <= 1) return NULL;
    fp_shuffle(chunk->data, chunk->length, item_bytes, chunk->out);
    return finish_step(chunk, chunk->length);
}

/* fletcher32 */

uint32_t fp_fletcher32(const uint8_t *data, size_t length) {
    uint32_t low = 0, high = 0;
    size_t words = length / 2;
    while (words > 0) {
        size_t piece = words < 360 ? words : 360; /* more could overflow */
        words -= piece;
        for (; piece > 0; piece--, data += 2) {
            low += fp_load_be16(data);
            high += low;
        }
        low = (low & 0xffff) + (low >> 16);
        high = (high & 0xffff) + (high >> 16);
    }
    if (length % 2) {
        low += (uint32_t)*data << 8;
        high += low;
        low = (low & 0xffff) + (low >> 16);
        high = (high & 0xffff) + (high >> 16);
    }
    low = (low & 0xffff) + (low >> 16);
    high = (high & 0xffff) + (high >> 16);
    return high << 16 | low;
}

/* HDF5 1.6.2 and older swapped the bytes of both halves on little-endian machines. The library
   accepts either. */
static uint32_t swapped_halves(uint32_t sum) {
    return (sum & 0x00ff00ffu) << 8 | (sum >> 8 & 0x00ff00ffu);
}

static const char *decode_fletcher32(fp_pipeline *pipeline, const fp_filter *filter,
                                     chunk_state *chunk) {
    (void)pipeline;
    (void)filter;
    if (chunk->length < 4) return "a chunk is too short for its checksum";
    chunk->length -= 4;
    uint32_t stored = fp_load_le32(chunk->data + chunk->length);
    uint32_t sum = fp_fletcher32(chunk->data, chunk->length);
    if (stored == sum || stored == swapped_halves(sum)) return NULL;
    return "a chunk differs from its Fletcher32 checksum";
}

static const char *encode_fletcher32(fp_pipeline *pipeline, const fp_filter *filter,
                                     chunk_state *chunk) {
    (void)pipeline;
    (void)filter;
    memcpy(chunk->out, chunk->data, chunk->length);
    fp_store_le32(chunk->out + chunk->length, fp_fletcher32(chunk->data, chunk->length));
    return finish_step(chunk, chunk->length + 4);
}

/* deflate */

static const char *decode_deflate(fp_pipeline *pipeline, const fp_filter *filter,
                                  chunk_state *chunk) {
    (void)filter;
    size_t length = 0;
    const char *wrong = fp_decompress_deflate(&pipeline->blosc.decompressor, chunk->data,
                                              chunk->length, chunk->out, chunk->capacity, &length);
    return wrong ? wrong : finish_step(chunk, length);
}

static const char *encode_deflate(fp_pipeline *pipeline, const fp_filter *filter,
                                  chunk_state *chunk) {
    if (!pipeline->own_deflater)
        pipeline->own_deflater = libdeflate_alloc_compressor((int)parameter(filter, 0, 6));
    if (!pipeline->own_deflater) return "deflate: no memory, or not a valid level";
    size_t length = libdeflate_zlib_compress(pipeline->own_deflater, chunk->data, chunk->length,
                                             chunk->out, chunk->capacity);
    return length ? finish_step(chunk, length) : "deflate: a chunk did not fit";
}

static size_t bound_deflate(size_t length) { return libdeflate_zlib_compress_bound(NULL, length); }

/* lz4: length and block length, big-endian. Then each block: its stored length and its bytes. A
   block of full length is not compressed. */

#define LZ4_HEADER 12
#define LZ4_BLOCK (1u << 30)

static void store_be32(uint8_t *p, uint32_t value) {
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(value >> (24 - 8 * i));
}

static const char *decode_lz4(fp_pipeline *pipeline, const fp_filter *filter, chunk_state *chunk) {
    (void)pipeline;
    (void)filter;
    static const char damaged[] = "an LZ4 chunk is damaged";
    if (chunk->length < LZ4_HEADER) return damaged;
    const uint8_t *at = chunk->data + LZ4_HEADER, *end = chunk->data + chunk->length;
    uint64_t length = fp_load_be64(chunk->data), block = fp_load_be32(chunk->data + 8);
    if (length > chunk->capacity) return "an LZ4 chunk is longer than its dataset says";
    if ((block == 0 && length > 0) || block > LZ4_MAX_INPUT_SIZE) return damaged;
    for (uint64_t done = 0; done < length;) {
        uint64_t wanted = length - done < block ? length - done : block;
        if (end - at < 4) return damaged;
        uint32_t stored = fp_load_be32(at);
        at += 4;
        if (stored > (uint64_t)(end - at)) return damaged;
        uint64_t needed = chunk->wanted.end - done < wanted ? chunk->wanted.end - done : wanted;
        if (stored == wanted) memcpy(chunk->out + done, at, needed);
        else if (LZ4_decompress_safe_partial((const char *)at, (char *)chunk->out + done,
                                             (int)stored, (int)needed, (int)wanted) < (int)needed)
            return damaged;
        at += stored;
        done += wanted;
        if (done >= chunk->wanted.end) break;
    }
    return finish_step(chunk, length);
}

static size_t lz4_block(const fp_filter *filter, size_t length) {
    size_t block = parameter(filter, 0, 0);
    if (block == 0 || block > LZ4_BLOCK) block = LZ4_BLOCK;
    return block < length ? block : length;
}

static const char *encode_lz4(fp_pipeline *pipeline, const fp_filter *filter, chunk_state *chunk) {
    (void)pipeline;
    size_t block = lz4_block(filter, chunk->length);
    uint8_t *at = chunk->out + LZ4_HEADER, *end = chunk->out + chunk->capacity;
    store_be32(chunk->out, (uint32_t)((uint64_t)chunk->length >> 32));
    store_be32(chunk->out + 4, (uint32_t)chunk->length);
    store_be32(chunk->out + 8, (uint32_t)block);
    for (size_t done = 0; done < chunk->length;) {
        size_t wanted = chunk->length - done < block ? chunk->length - done : block;
        if ((size_t)(end - at) < wanted + 4) return "lz4: a chunk did not fit";
        /* at most one byte less than the block; else it is stored uncompressed */
        int stored = LZ4_compress_default((const char *)chunk->data + done, (char *)at + 4,
                                          (int)wanted, (int)wanted - 1);
        if (stored <= 0) {
            stored = (int)wanted;
            memcpy(at + 4, chunk->data + done, wanted);
        }
        store_be32(at, (uint32_t)stored);
        at += 4 + stored;
        done += wanted;
    }
    return finish_step(chunk, (size_t)(at - chunk->out));
}

/* zstd: one frame */

static const char *decode_zstd(fp_pipeline *pipeline, const fp_filter *filter, chunk_state *chunk) {
    (void)filter;
    fp_decompressor *decompressor = &pipeline->blosc.decompressor;
    size_t length = chunk->capacity, needed = chunk->wanted.end;
    const char *wrong = NULL;
    if (needed < chunk->capacity / 2)
        wrong = fp_decompress_zstd_prefix(decompressor, chunk->data, chunk->length, chunk->out,
                                          needed);
    else
        wrong = fp_decompress_zstd(decompressor, chunk->data, chunk->length, chunk->out,
                                   chunk->capacity, &length);
    return wrong ? wrong : finish_step(chunk, length);
}

static const char *encode_zstd(fp_pipeline *pipeline, const fp_filter *filter, chunk_state *chunk) {
    if (!pipeline->own_zstd) pipeline->own_zstd = ZSTD_createCCtx();
    if (!pipeline->own_zstd) return NO_MEMORY;
    size_t length = ZSTD_compressCCtx(pipeline->own_zstd, chunk->out, chunk->capacity, chunk->data,
                                      chunk->length, (int32_t)parameter(filter, 0, 3));
    return ZSTD_isError(length) ? "zstd: a chunk did not fit, or the level is not valid"
                                : finish_step(chunk, length);
}

static size_t bound_zstd(size_t length) { return ZSTD_compressBound(length); }

/* lzf, blosc, blosc2 */

static const char *decode_lzf(fp_pipeline *pipeline, const fp_filter *filter, chunk_state *chunk) {
    (void)pipeline;
    (void)filter;
    size_t length = 0;
    const char *wrong = fp_decompress_lzf(chunk->data, chunk->length, chunk->out, chunk->capacity,
                                          &length);
    return wrong ? wrong : finish_step(chunk, length);
}

static const char *decode_blosc(fp_pipeline *pipeline, const fp_filter *filter,
                                chunk_state *chunk) {
    size_t length = 0;
    int is_blosc1 = filter->id == FP_FILTER_BLOSC;
    const char *wrong = (is_blosc1 ? fp_decode_blosc : fp_decode_blosc2)(
        &pipeline->blosc, chunk->data, chunk->length, chunk->wanted, chunk->out, chunk->capacity,
        &length);
    return wrong ? wrong : finish_step(chunk, length);
}

static const char *encode_blosc2(fp_pipeline *pipeline, const fp_filter *filter,
                                 chunk_state *chunk) {
    fp_blosc2_plan plan = {.codec = parameter(filter, 6, FP_BLOSC_ZSTD),
                           .level = parameter(filter, 4, 5),
                           .type_bytes = parameter(filter, 2, 1),
                           .shuffles = parameter(filter, 5, 1) == 1};
    int is_known = (plan.codec == FP_BLOSC_LZ4 || plan.codec == FP_BLOSC_ZSTD) &&
                   parameter(filter, 5, 1) <= 1;
    if (!is_known || plan.level < 1 || plan.level > 9 || plan.type_bytes < 1 ||
        plan.type_bytes > 255)
        return "blosc2: the level is not valid, or fastpack cannot write the codec or filter";
    if (!pipeline->own_zstd) pipeline->own_zstd = ZSTD_createCCtx();
    if (!pipeline->own_zstd) return NO_MEMORY;
    size_t length = 0;
    const char *wrong = fp_encode_blosc2(pipeline->own_zstd, &pipeline->blosc.filtered, &plan,
                                         chunk->data, chunk->length, chunk->out, &length);
    return wrong ? wrong : finish_step(chunk, length);
}

/* Pipeline */

static size_t bound_same(size_t length) { return length; }
static size_t bound_fletcher32(size_t length) { return length + 4; }
/* for blocks of 16 bytes or more */
static size_t bound_lz4(size_t length) { return length + length / 4 + LZ4_HEADER + 8; }

typedef const char *(*step)(fp_pipeline *pipeline, const fp_filter *filter, chunk_state *chunk);

static const struct {
    uint32_t id;
    step decode;
    step encode; /* NULL: read only */
    size_t (*bound)(size_t length);
} FILTERS[] = {
    {FP_FILTER_DEFLATE, decode_deflate, encode_deflate, bound_deflate},
    {FP_FILTER_SHUFFLE, decode_shuffle, encode_shuffle, bound_same},
    {FP_FILTER_FLETCHER32, decode_fletcher32, encode_fletcher32, bound_fletcher32},
    {FP_FILTER_LZF, decode_lzf, NULL, NULL},
    {FP_FILTER_BLOSC, decode_blosc, NULL, NULL},
    {FP_FILTER_BLOSC2, decode_blosc, encode_blosc2, fp_bound_blosc2},
    {FP_FILTER_LZ4, decode_lz4, encode_lz4, bound_lz4},
    {FP_FILTER_ZSTD, decode_zstd, encode_zstd, bound_zstd},
};
#define NUM_FILTERS (sizeof FILTERS / sizeof *FILTERS)

static size_t find(uint32_t id) {
    size_t i = 0;
    while (i < NUM_FILTERS && FILTERS[i].id != id) i++;
    return i;
}

/* Blosc's codec and filter are parameters. Not supported: Snappy (codec 3) and delta (filter 3). */
static int has_known_blosc(const fp_filter *filter) {
    uint32_t rearranged = parameter(filter, 5, 1), codec = parameter(filter, 6, 0);
    return (rearranged <= 2 || rearranged == 4) && codec <= 5 && codec != 3;
}

int fp_can_decode(const fp_filter *filter) {
    int is_blosc = filter->id == FP_FILTER_BLOSC || filter->id == FP_FILTER_BLOSC2;
    return find(filter->id) < NUM_FILTERS && (!is_blosc || has_known_blosc(filter));
}

int fp_can_encode(uint32_t id) { return find(id) < NUM_FILTERS && FILTERS[find(id)].encode; }

fp_pipeline *fp_pipeline_new(const fp_filter *filters, size_t num_filters) {
    fp_pipeline *pipeline = calloc(1, sizeof *pipeline);
    if (!pipeline) return NULL;
    pipeline->num_filters = num_filters < FP_MAX_FILTERS ? num_filters : FP_MAX_FILTERS;
    if (pipeline->num_filters)
        memcpy(pipeline->filters, filters, pipeline->num_filters * sizeof *filters);
    return pipeline;
}

void fp_pipeline_free(fp_pipeline *pipeline) {
    if (!pipeline) return;
    fp_scratch_free(&pipeline->scratch[0]);
    fp_scratch_free(&pipeline->scratch[1]);
    fp_blosc_decoder_free(&pipeline->blosc);
    if (pipeline->own_deflater) libdeflate_free_compressor(pipeline->own_deflater);
    ZSTD_freeCCtx(pipeline->own_zstd);
    free(pipeline);
}

/* Returns the last applied filter before `number`, or the number of filters if none is left. */
static size_t previous(const fp_pipeline *pipeline, uint32_t mask, size_t number) {
    while (number-- > 0)
        if (!(mask >> number & 1)) return number;
    return pipeline->num_filters;
}

const char *fp_decode_chunk(fp_pipeline *pipeline, uint32_t mask, const uint8_t *data,
                            size_t length, uint8_t *out, size_t out_length, fp_range wanted) {
    chunk_state chunk = {.data = data, .length = length};
    size_t number = previous(pipeline, mask, pipeline->num_filters);
    for (int turn = 0; number < pipeline->num_filters; turn = !turn) {
        size_t next = previous(pipeline, mask, number), kind = find(pipeline->filters[number].id);
        if (kind == NUM_FILTERS) return "a chunk has an unknown filter";
        if (next == pipeline->num_filters) {
            chunk.out = out;
            chunk.capacity = out_length;
            chunk.wanted = wanted;
        } else { /* no filter expands a chunk by more */
            chunk.capacity = out_length + out_length / 4 + 4096;
            chunk.wanted.end = chunk.capacity;
            chunk.out = fp_scratch_reserve(&pipeline->scratch[turn], chunk.capacity);
            if (!chunk.out) return NO_MEMORY;
        }
        const char *wrong = FILTERS[kind].decode(pipeline, &pipeline->filters[number], &chunk);
        if (wrong) return wrong;
        number = next;
    }
    if (chunk.length != out_length) return "a chunk is not as long as its dataset says";
    if (chunk.data != out) memcpy(out, chunk.data, out_length);
    return NULL;
}

const char *fp_encode_chunk(fp_pipeline *pipeline, const uint8_t *data, size_t length,
                            const uint8_t **stored, size_t *stored_length) {
    chunk_state chunk = {.data = data, .length = length};
    for (size_t number = 0; number < pipeline->num_filters; number++) {
        size_t kind = find(pipeline->filters[number].id);
        if (kind == NUM_FILTERS || !FILTERS[kind].encode)
            return "fastpack cannot write one of the filters";
        chunk.capacity = FILTERS[kind].bound(chunk.length);
        chunk.out = fp_scratch_reserve(&pipeline->scratch[number % 2], chunk.capacity);
        if (!chunk.out) return NO_MEMORY;
        const char *wrong = FILTERS[kind].encode(pipeline, &pipeline->filters[number], &chunk);
        if (wrong) return wrong;
    }
    *stored = chunk.data;
    *stored_length = chunk.length;
    return NULL;
}
