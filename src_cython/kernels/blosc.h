/* Reads chunks of Blosc 1 and Blosc2, and Blosc2's frames; writes Blosc2 frames. Not supported:
   dictionaries, lazy chunks, Snappy, and codecs or filters of users. */
#ifndef FASTPACK_BLOSC_H
#define FASTPACK_BLOSC_H
#include "decompress.h"
#include "span.h"

/* Working memory; zeros at first. */
typedef struct {
    fp_decompressor decompressor;
    fp_scratch streams;  /* a block after decompression */
    fp_scratch filtered; /* a block between two filters */
    fp_scratch block;    /* a block of an array with several dimensions */
} fp_blosc_decoder;

void fp_blosc_decoder_free(fp_blosc_decoder *decoder);

/* The needed bytes of the output. Blocks without any of them are not written. */
typedef struct {
    size_t first;
    size_t end;
} fp_range;

/* Both write at most `capacity` bytes to `out`. They return a message on failure, else NULL. */
const char *fp_decode_blosc(fp_blosc_decoder *decoder, const uint8_t *data, size_t length,
                            fp_range wanted, uint8_t *out, size_t capacity, size_t *out_length);
const char *fp_decode_blosc2(fp_blosc_decoder *decoder, const uint8_t *data, size_t length,
                             fp_range wanted, uint8_t *out, size_t capacity, size_t *out_length);

struct ZSTD_CCtx_s;

/* Writing: a frame of one chunk. The numbers are those of the HDF5 filter of Blosc2. */
enum fp_blosc_codec { FP_BLOSC_LZ4 = 1, FP_BLOSC_ZSTD = 5 };

typedef struct {
    uint32_t codec;
    uint32_t level;      /* 1 to 9 */
    uint32_t type_bytes; /* 1 to 255 */
    uint8_t shuffles;    /* 0 or 1 */
} fp_blosc2_plan;

size_t fp_bound_blosc2(size_t length);
/* `out` has fp_bound_blosc2(length) bytes. */
const char *fp_encode_blosc2(struct ZSTD_CCtx_s *zstd, fp_scratch *shuffled,
                             const fp_blosc2_plan *plan, const uint8_t *data, size_t length,
                             uint8_t *out, size_t *out_length);
#endif
