/* Spans: where a blob lies in a file, and which bytes around it a checksum covers. */
#ifndef FASTPACK_SPAN_H
#define FASTPACK_SPAN_H
#include <stddef.h>

#include "status.h"

/* The numpy dtype is SPAN in fastpack/core/dtypes.py. */
typedef struct {
    uint32_t shard;
    uint32_t crc32c;         /* of the record's bytes */
    uint64_t offset;         /* of the blob */
    uint64_t length;
    uint64_t record_offset;  /* the bytes that the checksum covers; they include the blob */
    uint64_t record_length;  /* 0: no checksum */
} fp_span;

/* A block of memory. The numpy dtype is MEMORY in fastpack/core/memories.py; numpy has no type for
   a pointer. */
typedef struct {
    uint64_t address;
    uint64_t length;
} fp_memory;

/* The origin of spans: open files, or blocks of memory, by shard number. */
typedef struct {
    const int *fds;
    uint32_t num_fds;
    const fp_memory *memories; /* NULL: files */
    uint32_t num_memories;
} fp_origin;

/* A growing block of memory. The owner of the struct owns it. Growing discards the contents. */
typedef struct {
    uint8_t *own_bytes;
    size_t capacity;
} fp_scratch;

uint8_t *fp_scratch_reserve(fp_scratch *scratch, size_t length);
void fp_scratch_free(fp_scratch *scratch);

/* Reads all of [offset, offset + length). Repeats after short reads and interruptions. */
int fp_pread(int fd, uint8_t *out, size_t length, uint64_t offset, int64_t row,
             fp_outcome *outcome);

/* Copies the blob to `out`, `length` bytes. With `check`, compares the record's checksum. */
int fp_read_span(const fp_origin *origin, const fp_span *span, int check, uint8_t *out,
                 fp_scratch *scratch, int64_t row, fp_outcome *outcome);
/* Gives a pointer to the blob: into the origin's memory, or to `blob`, where a file is read. */
int fp_view_span(const fp_origin *origin, const fp_span *span, int check, fp_scratch *blob,
                 fp_scratch *scratch, int64_t row, const uint8_t **out, fp_outcome *outcome);

/* Reads bytes [first, end) of the blob to their position in `blob`. The other bytes stay unchanged.
   No checksum is compared. Not for memory, which fp_view_span gives whole. */
int fp_read_part(const fp_origin *origin, const fp_span *span, uint64_t first, uint64_t end,
                 uint8_t *blob, int64_t row, fp_outcome *outcome);

/* Advises the OS that these spans, sorted by shard and offset, will be read soon. Neighbors share
   one call. This is only a hint: errors are ignored. */
void fp_advise_willneed(const fp_origin *origin, const fp_span *spans, int64_t num_spans);
#endif
