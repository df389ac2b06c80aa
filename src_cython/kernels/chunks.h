/* Reads samples of an HDF5 dataset whose chunks are compressed, divide samples, or are missing.
   Each chunk of a batch is read and decoded once, and its parts are copied to the batch's rows. */
#ifndef FASTPACK_CHUNKS_H
#define FASTPACK_CHUNKS_H
#include "parts.h"
#include "filters.h"
#include "span.h"

#define FP_NO_CHUNK UINT64_MAX

/* The numpy dtype is CHUNK in fastpack/core/dtypes.py. */
typedef struct {
    uint64_t offset;  /* FP_NO_CHUNK: not written, so all items have the fill value */
    uint32_t length;  /* as stored */
    uint32_t mask;    /* bit i: filter i was not applied */
} fp_chunk;

/* A dataset with samples along its first axis. Chunks are numbered row by row of their grid. They
   lie in file 0 of the origin, or in its memories. Memories have only the wanted chunks: chunk i of
   wanted layer l is number l * (chunks in a layer) + i of memory_numbers and memory_offsets. */
typedef struct {
    fp_origin origin;
    const uint32_t *memory_numbers;
    const uint64_t *memory_offsets;
    int rank;
    int64_t shape[FP_MAX_RANK];
    int64_t chunk_shape[FP_MAX_RANK];
    const fp_chunk *chunks;
    const fp_filter *filters;
    size_t num_filters;
    size_t item_bytes;
    const uint8_t *fill; /* one item */
} fp_chunked;

/* The wanted samples, by layers of the grid. A layer is all chunks with the same samples. Sample
   within[i] of layer numbers[l] goes to row rows[i] of the batch, for i from starts[l] up to
   starts[l + 1]. */
typedef struct {
    int64_t num_layers;
    const int64_t *numbers;
    const int64_t *starts;
    const int64_t *within;
    const int64_t *rows;
} fp_wanted;

/* Any number of threads call this with one counter. Each returns when no chunk is left. The caller
   has checked all numbers. */
int fp_read_chunks(const fp_chunked *dataset, const fp_wanted *wanted, uint8_t *out,
                   int64_t *counter, fp_outcome *outcome);
#endif
