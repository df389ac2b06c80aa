/* Salvage of damaged TFRecords.

   A TFRecord has no marks between records, so one damaged length hides all records after it. But
   every length and all data have checksums: 8 bytes that match the next 4 are a record's header,
   except with a chance of 2^-32. So after damage, the walk tries every byte as a header. A
   candidate counts only if its data match their checksum, too.

   The file is cut into contiguous pieces: whole records, damaged ones, and unknown bytes. Reading a
   candidate's data costs time, and a file can be made of false headers that each claim all the
   rest. So all false starts together may cost a budget of bytes, at least the size of the file. */
#include "salvage.h"

#include <sys/stat.h>

#include "crc32c.h"
#include "endian.h"
#include "tfrecord.h"

#define WINDOW_BYTES ((size_t)1 << 20)
#define FRAME_BYTES (FP_FRAME_HEADER + FP_FRAME_FOOTER)
/* damage by accident makes next to no false starts; see the overview */
#define MIN_FALSE_START_BUDGET ((uint64_t)1 << 28)

void fp_walk_begin(fp_walk *walk, int fd, uint64_t size, uint64_t record_limit) {
    *walk = (fp_walk){.fd = fd, .size = size, .record_limit = record_limit};
    walk->false_start_budget = size > MIN_FALSE_START_BUDGET ? size : MIN_FALSE_START_BUDGET;
}

void fp_walk_end(fp_walk *walk) {
    fp_scratch_free(&walk->window);
    walk->window_length = 0;
}

/* Returns `length` bytes at `offset`, at most a window. They lie inside the file. NULL after a
   failure. */
static const uint8_t *view(fp_walk *walk, uint64_t offset, size_t length, fp_outcome *outcome) {
    int is_here = walk->window_length && offset >= walk->window_offset &&
                  offset - walk->window_offset <= walk->window_length &&
                  length <= walk->window_length - (offset - walk->window_offset);
    if (!is_here) {
        uint8_t *bytes = fp_scratch_reserve(&walk->window, WINDOW_BYTES);
        walk->window_length = 0;
        if (!bytes) {
            fp_fail(outcome, FP_NO_MEMORY, 0, offset, "no memory to read with");
            return NULL;
        }
        uint64_t left = walk->size - offset;
        size_t wanted = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
        if (fp_pread(walk->fd, bytes, wanted, offset, 0, outcome)) return NULL;
        walk->window_offset = offset;
        walk->window_length = wanted;
    }
    return walk->window.own_bytes + (offset - walk->window_offset);
}

static int read_crc(fp_walk *walk, uint64_t offset, uint64_t length, uint32_t *crc,
                    fp_outcome *outcome) {
    *crc = 0;
    while (length) {
        size_t part = length < WINDOW_BYTES ? (size_t)length : WINDOW_BYTES;
        const uint8_t *bytes = view(walk, offset, part, outcome);
        if (!bytes) return outcome->status;
        *crc = fp_crc32c(*crc, bytes, part);
        offset += part;
        length -= part;
    }
    return FP_OK;
}

/* Sets *holds if the data at [offset, offset + length) match the checksum after them. */
static int check_data(fp_walk *walk, uint64_t offset, uint64_t length, uint32_t *crc, int *holds,
                      fp_outcome *outcome) {
    if (read_crc(walk, offset, length, crc, outcome)) return outcome->status;
    const uint8_t *footer = view(walk, offset + length, FP_FRAME_FOOTER, outcome);
    if (!footer) return outcome->status;
    *holds = fp_crc32c_mask(*crc) == fp_load_le32(footer);
    return FP_OK;
}

/* True if the header's length matches its checksum. `header` has FP_FRAME_HEADER bytes. */
static int is_header(const uint8_t *header, uint64_t *length) {
    *length = fp_load_le64(header);
    return fp_crc32c_mask(fp_crc32c(0, header, 8)) == fp_load_le32(header + 8);
}

/* True if a record of this length fits. `left` counts from its header to the end of the file. */
static int fits(const fp_walk *walk, uint64_t length, uint64_t left) {
    return left >= FRAME_BYTES && length <= left - FRAME_BYTES && length <= walk->record_limit;
}

/* Finds the next whole record at `from` or later, or gives the file's size. */
static int find_record(fp_walk *walk, uint64_t from, uint64_t *found, fp_outcome *outcome) {
    for (uint64_t at = from; at < walk->size && walk->size - at >= FRAME_BYTES; at++) {
        const uint8_t *header = view(walk, at, FP_FRAME_HEADER, outcome);
        if (!header) return outcome->status;
        /* Eight random bytes are rarely a number that small. This test first makes the search
           fast. */
        if (!fits(walk, fp_load_le64(header), walk->size - at)) continue;
        uint64_t length;
        if (!is_header(header, &length)) continue;
        uint32_t crc;
        int holds;
        if (check_data(walk, at + FP_FRAME_HEADER, length, &crc, &holds, outcome))
            return outcome->status;
        *found = at;
        if (holds) return FP_OK;
        if (walk->false_start_budget < length) break;
        walk->false_start_budget -= length;
    }
    *found = walk->size;
    return FP_OK;
}

/* True if a header, of a whole record or not, or the end of the file is at `at`. Then the bytes
   before were one record. */
static int is_boundary(fp_walk *walk, uint64_t at, int *answer, fp_outcome *outcome) {
    *answer = at == walk->size;
    if (*answer || walk->size - at < FP_FRAME_HEADER) return FP_OK;
    const uint8_t *header = view(walk, at, FP_FRAME_HEADER, outcome);
    uint64_t length;
    if (!header) return outcome->status;
    *answer = is_header(header, &length);
    return FP_OK;
}

static fp_piece piece_of(const fp_walk *walk, uint64_t end, int kind, uint32_t crc) {
    return (fp_piece){walk->position, end - walk->position, crc, (uint32_t)kind};
}

/* The header at the walk's position is damaged. If the bytes up to the next record are the data of
   one record, they end in a checksum that matches. */
static int pass_bad_header(fp_walk *walk, fp_piece *piece, fp_outcome *outcome) {
    uint64_t next;
    uint32_t crc = 0;
    int holds = 0;
    if (find_record(walk, walk->position + 1, &next, outcome)) return outcome->status;
    uint64_t span = next - walk->position;
    if (span >= FRAME_BYTES && span - FRAME_BYTES <= walk->record_limit &&
        check_data(walk, walk->position + FP_FRAME_HEADER, span - FRAME_BYTES, &crc, &holds,
                   outcome))
        return outcome->status;
    *piece = piece_of(walk, next, holds ? FP_PIECE_BAD_HEADER : FP_PIECE_UNKNOWN, holds ? crc : 0);
    return FP_OK;
}

/* The header is valid, the data are not. If the next record is in its place, one record is lost.
   Else bytes may be missing, and the next record is searched for. */
static int pass_bad_data(fp_walk *walk, uint64_t end, fp_piece *piece, fp_outcome *outcome) {
    int is_one_record;
    if (is_boundary(walk, end, &is_one_record, outcome)) return outcome->status;
    if (!is_one_record) {
        uint64_t next;
        if (find_record(walk, walk->position + 1, &next, outcome)) return outcome->status;
        if (next < end) {
            *piece = piece_of(walk, next, FP_PIECE_UNKNOWN, 0);
            return FP_OK;
        }
    }
    *piece = piece_of(walk, end, FP_PIECE_BAD_DATA, 0);
    return FP_OK;
}

/* The header is valid, but its record passes the end of the file. */
static int pass_torn(fp_walk *walk, fp_piece *piece, fp_outcome *outcome) {
    uint64_t next;
    if (find_record(walk, walk->position + 1, &next, outcome)) return outcome->status;
    *piece = piece_of(walk, next, next == walk->size ? FP_PIECE_TORN : FP_PIECE_UNKNOWN, 0);
    return FP_OK;
}

static int next_piece(fp_walk *walk, fp_piece *piece, fp_outcome *outcome) {
    uint64_t left = walk->size - walk->position, length;
    if (left < FP_FRAME_HEADER) {
        *piece = piece_of(walk, walk->size, FP_PIECE_TORN, 0);
        return FP_OK;
    }
    const uint8_t *header = view(walk, walk->position, FP_FRAME_HEADER, outcome);
    if (!header) return outcome->status;
    if (!is_header(header, &length)) return pass_bad_header(walk, piece, outcome);
    if (!fits(walk, length, left)) return pass_torn(walk, piece, outcome);
    uint32_t crc;
    int holds;
    if (check_data(walk, walk->position + FP_FRAME_HEADER, length, &crc, &holds, outcome))
        return outcome->status;
    uint64_t end = walk->position + FRAME_BYTES + length;
    if (!holds) return pass_bad_data(walk, end, piece, outcome);
    *piece = piece_of(walk, end, FP_PIECE_RECORD, crc);
    return FP_OK;
}

int fp_walk_next(fp_walk *walk, uint64_t stride, fp_piece *pieces, size_t capacity,
                 size_t *num_pieces, fp_outcome *outcome) {
    uint64_t first = walk->position;
    *num_pieces = 0;
    while (walk->position < walk->size && *num_pieces < capacity &&
           walk->position - first < stride) {
        fp_piece *piece = &pieces[*num_pieces];
        if (next_piece(walk, piece, outcome)) return outcome->status;
        walk->position += piece->length;
        (*num_pieces)++;
    }
    return FP_OK;
}

static int check_inside(int fd, const fp_span *span, int64_t row, fp_outcome *outcome) {
    struct stat facts;
    if (fstat(fd, &facts) < 0)
        return fp_fail(outcome, FP_IO_ERROR, row, span->offset,
                       "the size of the file cannot be read");
    uint64_t size = (uint64_t)facts.st_size;
    if (span->offset > size || span->length > size - span->offset)
        return fp_fail(outcome, FP_TRUNCATED, row, span->offset,
                       "the file ends before these bytes");
    return FP_OK;
}

int fp_check_span(int fd, const fp_span *span, fp_scratch *scratch, int64_t row,
                  fp_outcome *outcome) {
    if (span->record_length == 0) return check_inside(fd, span, row, outcome);
    uint64_t offset = span->record_offset, left = span->record_length;
    uint8_t *bytes = fp_scratch_reserve(scratch, left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES);
    if (!bytes) return fp_fail(outcome, FP_NO_MEMORY, row, offset, "no memory to read with");
    uint32_t crc = 0;
    while (left) {
        size_t part = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
        if (fp_pread(fd, bytes, part, offset, row, outcome)) return outcome->status;
        crc = fp_crc32c(crc, bytes, part);
        offset += part;
        left -= part;
    }
    if (crc == span->crc32c) return FP_OK;
    return fp_fail(outcome, FP_BAD_DATA_CRC, row, span->record_offset,
                   "the bytes differ from their CRC32C");
}
