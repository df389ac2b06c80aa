/* Reading spans.

   A read takes the record if it has a checksum, else only the blob. One preadv puts the blob to its
   destination and the record's other bytes into scratch memory. Then the checksum is computed over
   all three pieces. Files are read with pread, never mapped: another program may truncate a mapped
   file, which would end this process with SIGBUS.

   Offsets and lengths come from index files, which may be forged. So every sum of the two is
   checked without overflow before it is used. */
#define _GNU_SOURCE
#include "span.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "crc32c.h"

uint8_t *fp_scratch_reserve(fp_scratch *scratch, size_t length) {
    if (length == 0) length = 1;
    if (length > scratch->capacity) {
        free(scratch->own_bytes);
        scratch->own_bytes = malloc(length);
        scratch->capacity = scratch->own_bytes ? length : 0;
    }
    return scratch->own_bytes;
}

void fp_scratch_free(fp_scratch *scratch) {
    free(scratch->own_bytes);
    scratch->own_bytes = NULL;
    scratch->capacity = 0;
}

/* Repeats preadv until every piece is full. */
static int read_pieces(int fd, struct iovec *pieces, int num_pieces, uint64_t offset, int64_t row,
                       fp_outcome *outcome) {
    while (num_pieces > 0) {
        if (pieces->iov_len == 0) {
            pieces++;
            num_pieces--;
            continue;
        }
        ssize_t got = preadv(fd, pieces, num_pieces, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fp_fail(outcome, FP_IO_ERROR, row, offset, "the read failed");
        if (got == 0) return fp_fail(outcome, FP_TRUNCATED, row, offset, "the file ends here");
        offset += (uint64_t)got;
        while (num_pieces > 0 && (size_t)got >= pieces->iov_len) {
            got -= (ssize_t)pieces->iov_len;
            pieces++;
            num_pieces--;
        }
        if (num_pieces > 0) {
            pieces->iov_base = (uint8_t *)pieces->iov_base + got;
            pieces->iov_len -= (size_t)got;
        }
    }
    return FP_OK;
}

int fp_pread(int fd, uint8_t *out, size_t length, uint64_t offset, int64_t row,
             fp_outcome *outcome) {
    struct iovec whole = {out, length};
    return read_pieces(fd, &whole, 1, offset, row, outcome);
}

/* True if [offset, offset + length) lies inside [0, limit). Computes no sum that could overflow. */
static int lies_within(uint64_t offset, uint64_t length, uint64_t limit) {
    return offset <= limit && length <= limit - offset;
}

static int encloses_blob(const fp_span *span) {
    return span->offset >= span->record_offset &&
           lies_within(span->offset - span->record_offset, span->length, span->record_length);
}

static int fail_crc(const fp_span *span, int64_t row, fp_outcome *outcome) {
    return fp_fail(outcome, FP_BAD_DATA_CRC, row, span->record_offset,
                   "the bytes differ from their CRC32C");
}

static int fail_enclosure(const fp_span *span, int64_t row, fp_outcome *outcome) {
    return fp_fail(outcome, FP_TRUNCATED, row, span->offset, "the blob ends past its record");
}

/* Gives a pointer to the blob in its memory. Of the record, only the blob needs to be there without
   `check`. */
static int view_memory(const fp_origin *origin, const fp_span *span, int check, int64_t row,
                       const uint8_t **out, fp_outcome *outcome) {
    if (span->shard >= origin->num_memories)
        return fp_fail(outcome, FP_TRUNCATED, row, span->offset,
                       "the span refers to a missing memory");
    const fp_memory *memory = &origin->memories[span->shard];
    const uint8_t *bytes = (const uint8_t *)(uintptr_t)memory->address;
    if (!lies_within(span->offset, span->length, memory->length))
        return fp_fail(outcome, FP_TRUNCATED, row, span->offset, "the span ends past its memory");
    *out = bytes + span->offset;
    if (!check || span->record_length == 0) return FP_OK;
    if (!encloses_blob(span)) return fail_enclosure(span, row, outcome);
    if (!lies_within(span->record_offset, span->record_length, memory->length))
        return fp_fail(outcome, FP_TRUNCATED, row, span->offset, "the record ends past its memory");
    uint32_t crc = fp_crc32c(0, bytes + span->record_offset, span->record_length);
    return crc == span->crc32c ? FP_OK : fail_crc(span, row, outcome);
}

/* Reads the blob to `out`. One preadv reads the rest of the record to `scratch`, for the
   checksum. */
static int read_file(int fd, const fp_span *span, int check, uint8_t *out, fp_scratch *scratch,
                     int64_t row, fp_outcome *outcome) {
    if (!check || span->record_length == 0)
        return fp_pread(fd, out, span->length, span->offset, row, outcome);
    if (!encloses_blob(span)) return fail_enclosure(span, row, outcome);
    size_t before = span->offset - span->record_offset;
    size_t after = span->record_length - before - span->length;
    uint8_t *aside = fp_scratch_reserve(scratch, before + after);
    if (!aside)
        return fp_fail(outcome, FP_NO_MEMORY, row, span->record_offset, "no memory for a record");
    struct iovec pieces[3] = {{aside, before}, {out, span->length}, {aside + before, after}};
    if (read_pieces(fd, pieces, 3, span->record_offset, row, outcome)) return outcome->status;
    uint32_t crc = fp_crc32c(0, aside, before);
    crc = fp_crc32c(crc, out, span->length);
    crc = fp_crc32c(crc, aside + before, after);
    return crc == span->crc32c ? FP_OK : fail_crc(span, row, outcome);
}

static int find_file(const fp_origin *origin, const fp_span *span, int64_t row, int *fd,
                     fp_outcome *outcome) {
    if (span->shard >= origin->num_fds || origin->fds[span->shard] < 0)
        return fp_fail(outcome, FP_TRUNCATED, row, span->offset,
                       "the span refers to a missing shard");
    *fd = origin->fds[span->shard];
    return FP_OK;
}

int fp_read_span(const fp_origin *origin, const fp_span *span, int check, uint8_t *out,
                 fp_scratch *scratch, int64_t row, fp_outcome *outcome) {
    if (origin->memories) {
        const uint8_t *lent = NULL;
        if (view_memory(origin, span, check, row, &lent, outcome)) return outcome->status;
        memcpy(out, lent, span->length);
        return FP_OK;
    }
    int fd = -1;
    if (find_file(origin, span, row, &fd, outcome)) return outcome->status;
    return read_file(fd, span, check, out, scratch, row, outcome);
}

int fp_view_span(const fp_origin *origin, const fp_span *span, int check, fp_scratch *blob,
                 fp_scratch *scratch, int64_t row, const uint8_t **out, fp_outcome *outcome) {
    if (origin->memories) return view_memory(origin, span, check, row, out, outcome);
    int fd = -1;
    if (find_file(origin, span, row, &fd, outcome)) return outcome->status;
    uint8_t *bytes = fp_scratch_reserve(blob, span->length);
    if (!bytes) return fp_fail(outcome, FP_NO_MEMORY, row, span->offset, "no memory for a blob");
    *out = bytes;
    return read_file(fd, span, check, bytes, scratch, row, outcome);
}

int fp_read_part(const fp_origin *origin, const fp_span *span, uint64_t first, uint64_t end,
                 uint8_t *blob, int64_t row, fp_outcome *outcome) {
    int fd = -1;
    if (first > end || end > span->length)
        return fp_fail(outcome, FP_TRUNCATED, row, span->offset, "the part ends past the span");
    if (find_file(origin, span, row, &fd, outcome)) return outcome->status;
    return fp_pread(fd, blob + first, (size_t)(end - first), span->offset + first, row, outcome);
}

/* The bytes that a read takes: the record if it has a checksum, else the blob. */
static uint64_t first_byte(const fp_span *span) {
    return span->record_length ? span->record_offset : span->offset;
}

static uint64_t num_bytes(const fp_span *span) {
    return span->record_length ? span->record_length : span->length;
}

/* Spans closer than the OS's minimum read are joined to one request. */
#define MAX_GAP 16384

void fp_advise_willneed(const fp_origin *origin, const fp_span *spans, int64_t num_spans) {
    for (int64_t i = 0; i < num_spans;) {
        const fp_span *first = &spans[i];
        uint64_t begin = first_byte(first), length = num_bytes(first);
        for (i++; i < num_spans && spans[i].shard == first->shard; i++) {
            uint64_t next = first_byte(&spans[i]);
            if (next < begin || next - begin > length + MAX_GAP) break;
            uint64_t reach = next - begin + num_bytes(&spans[i]);
            if (reach > length) length = reach;
        }
        if (first->shard < origin->num_fds && origin->fds[first->shard] >= 0)
            (void)posix_fadvise(origin->fds[first->shard], (off_t)begin, (off_t)length,
                                POSIX_FADV_WILLNEED);
    }
}
