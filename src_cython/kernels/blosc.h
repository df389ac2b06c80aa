/* Blosc's chunks, of both versions, and the frames that Blosc2 puts them in. The formats: README_CHUNK_FORMAT,
   README_CFRAME_FORMAT and README_B2ND_METALAYER of c-blosc2. Dictionaries, lazy chunks, Snappy and codecs and filters of
   users are refused. */
#ifndef FASTPACK_BLOSC_H
#define FASTPACK_BLOSC_H
#include "decompress.h"
#include "span.h"

/* Working memory, which begins as zeros. */
typedef struct {
    fp_decompressor decompressor;
    fp_scratch streams;  /* a block as its compressor gives it */
    fp_scratch filtered; /* a block half way through its filters */
    fp_scratch block;    /* a block of several dimensions */
} fp_blosc_decoder;

void fp_blosc_decoder_free(fp_blosc_decoder *decoder);

/* The bytes of the output that are wanted: those of blocks that have none of them are not written. */
typedef struct {
    size_t first;
    size_t end;
} fp_range;

/* Both write no more than `capacity` bytes to `out` and return what is wrong, or NULL. */
const char *fp_decode_blosc(fp_blosc_decoder *decoder, const uint8_t *data, size_t length, fp_range wanted, uint8_t *out,
                            size_t capacity, size_t *out_length);
const char *fp_decode_blosc2(fp_blosc_decoder *decoder, const uint8_t *data, size_t length, fp_range wanted, uint8_t *out,
                             size_t capacity, size_t *out_length);

struct ZSTD_CCtx_s;

/* Writing: a frame of one chunk. The numbers are those of Blosc2's filter of HDF5. */
enum fp_blosc_codec { FP_BLOSC_LZ4 = 1, FP_BLOSC_ZSTD = 5 };

typedef struct {
    uint32_t codec;
    uint32_t level;      /* 1 to 9 */
    uint32_t type_bytes; /* 1 to 255 */
    uint8_t shuffles;    /* 0 or 1 */
} fp_blosc2_plan;

size_t fp_bound_blosc2(size_t length);
/* `out` has fp_bound_blosc2(length) bytes. */
const char *fp_encode_blosc2(struct ZSTD_CCtx_s *zstd, fp_scratch *shuffled, const fp_blosc2_plan *plan, const uint8_t *data,
                             size_t length, uint8_t *out, size_t *out_length);
#endif
