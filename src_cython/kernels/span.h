/* A span: where a blob lies, and which bytes around it a checksum covers. */
#ifndef FASTPACK_SPAN_H
#define FASTPACK_SPAN_H
#include <stddef.h>

#include "status.h"

/* The numpy dtype SPAN in fastpack/index.py is this struct. */
typedef struct {
    uint32_t shard;
    uint32_t crc32c;         /* of the record's bytes */
    uint64_t offset;         /* the blob */
    uint64_t length;
    uint64_t record_offset;  /* what the checksum covers; encloses the blob */
    uint64_t record_length;  /* 0: no checksum is known */
} fp_span;

/* Where spans point into: open files by shard number, or one block of memory that stands for shard 0. */
typedef struct {
    const int *fds;
    uint32_t num_fds;
    const uint8_t *memory;
    uint64_t memory_length;
} fp_origin;

/* A growing block, owned by whoever holds the struct; contents are not kept when it grows. */
typedef struct {
    uint8_t *own_bytes;
    size_t capacity;
} fp_scratch;

uint8_t *fp_scratch_reserve(fp_scratch *scratch, size_t length);
void fp_scratch_free(fp_scratch *scratch);

/* Reads the whole of [offset, offset + length), through short reads and interruptions. */
int fp_pread(int fd, uint8_t *out, size_t length, uint64_t offset, int64_t row, fp_outcome *outcome);

/* Copies the blob to `out` (length bytes); with `check`, the record's checksum is compared on the way. */
int fp_read_span(const fp_origin *origin, const fp_span *span, int check, uint8_t *out, fp_scratch *scratch,
                 int64_t row, fp_outcome *outcome);
/* The same for a caller who only looks: memory is lent as it is, files are read into `blob`. */
int fp_view_span(const fp_origin *origin, const fp_span *span, int check, fp_scratch *blob, fp_scratch *scratch,
                 int64_t row, const uint8_t **out, fp_outcome *outcome);

/* Bytes [first, end) of the blob, to their place in `blob`, of which the others are left alone; no checksum covers them. Not
   for memory, which lends all of a blob. */
int fp_read_part(const fp_origin *origin, const fp_span *span, uint64_t first, uint64_t end, uint8_t *blob, int64_t row,
                 fp_outcome *outcome);

/* Tells the system that these spans, in order of shard and offset, will be read soon; neighbours in one call.
 * No more than a hint: what cannot be told is left out. */
void fp_advise_willneed(const fp_origin *origin, const fp_span *spans, int64_t num_spans);
#endif
