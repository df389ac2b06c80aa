/* The filters that HDF5 sends a chunk through, in both directions. Numbers and parameters are those that stand in the
   file. No output is ever longer than the caller says, whatever the data claim. */
#ifndef FASTPACK_FILTERS_H
#define FASTPACK_FILTERS_H
#include "blosc.h"

enum fp_filter_id {
    FP_FILTER_DEFLATE = 1,
    FP_FILTER_SHUFFLE = 2,
    FP_FILTER_FLETCHER32 = 3,
    FP_FILTER_LZF = 32000,
    FP_FILTER_BLOSC = 32001,
    FP_FILTER_LZ4 = 32004,
    FP_FILTER_ZSTD = 32015,
    FP_FILTER_BLOSC2 = 32026
};

#define FP_FILTER_PARAMETERS 16
#define FP_MAX_FILTERS 8

/* The numpy dtype FILTER in fastpack/structs.py is this struct. */
typedef struct {
    uint32_t id;
    uint32_t num_parameters;
    uint32_t parameters[FP_FILTER_PARAMETERS];
} fp_filter;

/* Filters in the order in which they were applied, with the compressors' working memory: for one thread at a time. */
typedef struct fp_pipeline fp_pipeline;

int fp_can_decode(const fp_filter *filter);
int fp_can_encode(uint32_t id);
/* NULL when memory runs out. At most FP_MAX_FILTERS are taken. */
fp_pipeline *fp_pipeline_new(const fp_filter *filters, size_t num_filters);
void fp_pipeline_free(fp_pipeline *pipeline);

/* Fills `out` with the chunk that was stored as `data`. Bit i of the mask says that filter i was left out. Only some bytes
   are wanted: a filter may leave the others out. Returns what is wrong, or NULL. */
const char *fp_decode_chunk(fp_pipeline *pipeline, uint32_t mask, const uint8_t *data, size_t length, uint8_t *out,
                            size_t out_length, fp_range wanted);
/* The stored form of a chunk, in the pipeline's memory until its next use, or data itself. Returns what is wrong, or
   NULL. */
const char *fp_encode_chunk(fp_pipeline *pipeline, const uint8_t *data, size_t length, const uint8_t **stored,
                            size_t *stored_length);

uint32_t fp_fletcher32(const uint8_t *data, size_t length);
#endif
