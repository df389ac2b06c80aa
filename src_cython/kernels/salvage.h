/* What is still whole in a damaged file: records of a TFRecord found again after a damaged place, and spans
   compared with their checksums one by one. */
#ifndef FASTPACK_SALVAGE_H
#define FASTPACK_SALVAGE_H
#include <stddef.h>

#include "span.h"
#include "status.h"

enum fp_piece_kind {
    FP_PIECE_RECORD = 0,         /* a whole record */
    FP_PIECE_BAD_HEADER = 1,     /* a record whose data are whole, behind a damaged header */
    FP_PIECE_BAD_DATA = 2,       /* one record: its length holds, its data or their checksum do not */
    FP_PIECE_UNKNOWN = 3,        /* bytes in which no whole record begins */
    FP_PIECE_TORN = 4            /* the file ends inside this record */
};

/* The numpy dtype PIECE in fastpack/structs.py is this struct. */
typedef struct {
    uint64_t offset;             /* of the frame, or of the damaged bytes */
    uint64_t length;             /* frame and all */
    uint32_t crc32c;             /* of the data of a whole one */
    uint32_t kind;
} fp_piece;

/* A walk through one file. Pieces lie side by side and cover it from the first byte to the last. */
typedef struct {
    int fd;
    uint64_t size;
    uint64_t record_limit;
    uint64_t position;
    uint64_t false_start_budget;           /* bytes that false beginnings may still cost; then the rest is UNKNOWN */
    uint64_t window_offset;
    size_t window_length;
    fp_scratch window;
} fp_walk;

void fp_walk_begin(fp_walk *walk, int fd, uint64_t size, uint64_t record_limit);
/* Goes on until there are `capacity` pieces, `stride` bytes are done, or the file ends. */
int fp_walk_next(fp_walk *walk, uint64_t stride, fp_piece *pieces, size_t capacity, size_t *num_pieces,
               fp_outcome *outcome);
void fp_walk_end(fp_walk *walk);

/* FP_OK when the bytes that the span's checksum covers are there and agree with it. A span without one has only to
   lie inside the file. */
int fp_check_span(int fd, const fp_span *span, fp_scratch *scratch, int64_t row, fp_outcome *outcome);
#endif
