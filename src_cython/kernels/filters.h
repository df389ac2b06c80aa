/* The filters of HDF5 chunks, in both directions. Numbers and parameters are those of the file.
   Outputs never exceed the caller's limit, whatever the data claim. */
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

/* The numpy dtype is FILTER in fastpack/core/dtypes.py. */
typedef struct {
    uint32_t id;
    uint32_t num_parameters;
    uint32_t parameters[FP_FILTER_PARAMETERS];
} fp_filter;

/* Filters in the order of encoding, with the compressors' memory. For one thread at a time. */
typedef struct fp_pipeline fp_pipeline;

int fp_can_decode(const fp_filter *filter);
int fp_can_encode(uint32_t id);
/* Returns NULL without memory. Takes at most FP_MAX_FILTERS. */
fp_pipeline *fp_pipeline_new(const fp_filter *filters, size_t num_filters);
void fp_pipeline_free(fp_pipeline *pipeline);

/* Decodes a chunk to `out`. Bit i of the mask: filter i was not applied. Filters may skip bytes
   that are not wanted. Returns a message on failure, else NULL. */
const char *fp_decode_chunk(fp_pipeline *pipeline, uint32_t mask, const uint8_t *data,
                            size_t length, uint8_t *out, size_t out_length, fp_range wanted);
/* Encodes a chunk. *stored is in the pipeline's memory until its next use, or `data` itself.
   Returns a message on failure, else NULL. */
const char *fp_encode_chunk(fp_pipeline *pipeline, const uint8_t *data, size_t length,
                            const uint8_t **stored, size_t *stored_length);

uint32_t fp_fletcher32(const uint8_t *data, size_t length);
#endif
