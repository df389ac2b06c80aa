/* Finds what is whole in a damaged file: records of a TFRecord after a damaged place, and spans
   that match their checksums. */
#ifndef FASTPACK_SALVAGE_H
#define FASTPACK_SALVAGE_H
#include <stddef.h>

#include "span.h"
#include "status.h"

enum fp_piece_kind {
    FP_PIECE_RECORD = 0,         /* a whole record */
    FP_PIECE_BAD_HEADER = 1,     /* a record with whole data after a damaged header */
    FP_PIECE_BAD_DATA = 2, /* one record: its length is valid, its data or their checksum is not */
    FP_PIECE_UNKNOWN = 3,        /* bytes in which no whole record begins */
    FP_PIECE_TORN = 4            /* the file ends inside this record */
};

/* The numpy dtype is PIECE in fastpack/core/dtypes.py. */
typedef struct {
    uint64_t offset;             /* of the frame, or of the damaged bytes */
    uint64_t length;             /* of the whole frame */
    uint32_t crc32c;             /* of the data, if they are whole */
    uint32_t kind;
} fp_piece;

/* A walk through one file. The pieces are contiguous and cover the file. */
typedef struct {
    int fd;
    uint64_t size;
    uint64_t record_limit;
    uint64_t position;
    /* bytes that may still be spent on false starts; then the rest is UNKNOWN */
    uint64_t false_start_budget;
    uint64_t window_offset;
    size_t window_length;
    fp_scratch window;
} fp_walk;

void fp_walk_begin(fp_walk *walk, int fd, uint64_t size, uint64_t record_limit);
/* Continues until there are `capacity` pieces, `stride` bytes are done, or the file ends. */
int fp_walk_next(fp_walk *walk, uint64_t stride, fp_piece *pieces, size_t capacity,
                 size_t *num_pieces, fp_outcome *outcome);
void fp_walk_end(fp_walk *walk);

/* Returns FP_OK if the bytes under the span's checksum match it. A span without a checksum only has
   to lie inside the file. */
int fp_check_span(int fd, const fp_span *span, fp_scratch *scratch, int64_t row,
                  fp_outcome *outcome);
#endif
