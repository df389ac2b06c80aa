/* Writes rows with pwritev, and reads them back to detect errors of memory, disk or kernel.

   Each call writes at most CALL_BYTES. Its bytes are then read back in windows from the page cache,
   while the processor's cache has many of them, and summed row by row. A row may span calls and
   windows, so its CRC is carried from one to the next. */
#define _GNU_SOURCE
#include "write_rows.h"

#include <errno.h>
#include <unistd.h>

#include "crc32c.h"
#include "span.h"

#define MAX_PIECES 1024 /* IOV_MAX, the limit of one call */

/* The size of a call. Linux caches a larger write in larger blocks of memory, which have been
   unused for longer. On a virtual machine, the host must then provide them again. Measured: calls
   of 256 KiB at multiples of 256 KiB took four times as long. Calls of 128 KiB reuse the memory of
   small files. */
#define CALL_BYTES (128 * 1024)

/* read back at a time */
#define WINDOW_BYTES (64 * 1024)

/* Gives the next pieces for one call, without the first `done` bytes. */
static int gather(const struct iovec *pieces, size_t num_pieces, size_t done, struct iovec *out) {
    size_t bytes = 0;
    int count = 0;
    for (; count < MAX_PIECES && (size_t)count < num_pieces && bytes < CALL_BYTES; count++,
         done = 0) {
        size_t length = pieces[count].iov_len - done;
        if (length > CALL_BYTES - bytes) length = CALL_BYTES - bytes;
        out[count] = (struct iovec){(uint8_t *)pieces[count].iov_base + done, length};
        bytes += length;
    }
    return count;
}

/* The state of reading back. */
typedef struct {
    const fp_rows *rows;
    uint64_t offset; /* of the first row in the file */
    uint64_t done;   /* bytes of all rows */
    int64_t row;
    uint32_t crc;    /* of the bytes of this row so far */
    uint8_t window[WINDOW_BYTES];
} reading_back;

/* Compares the next bytes of the file with the rows. */
static int compare(reading_back *back, const uint8_t *bytes, size_t length, fp_outcome *outcome) {
    const fp_rows *rows = back->rows;
    for (; back->row < rows->num_rows; back->row++, back->crc = 0) {
        uint64_t left = (uint64_t)rows->offsets[back->row + 1] - back->done;
        size_t part = left < length ? (size_t)left : length;
        back->crc = fp_crc32c(back->crc, bytes, part);
        bytes += part;
        length -= part;
        back->done += part;
        if (part < left) return FP_OK;
        if (back->crc != rows->crcs[back->row])
            return fp_fail(outcome, FP_BAD_DATA_CRC, back->row,
                           back->offset + (uint64_t)rows->offsets[back->row],
                               "the stored bytes differ from the written ones");
    }
    return FP_OK;
}

static int read_back(int fd, size_t length, reading_back *back, fp_outcome *outcome) {
    while (length) {
        size_t part = length < WINDOW_BYTES ? length : WINDOW_BYTES;
        if (fp_pread(fd, back->window, part, back->offset + back->done, back->row, outcome))
            return outcome->status;
        if (compare(back, back->window, part, outcome)) return outcome->status;
        length -= part;
    }
    return FP_OK;
}

static int write_all(int fd, const struct iovec *pieces, size_t num_pieces, reading_back *back,
                     fp_outcome *outcome) {
    struct iovec some[MAX_PIECES];
    size_t done = 0; /* bytes of the first piece */
    for (;;) {
        for (; num_pieces > 0 && done == pieces->iov_len; pieces++, num_pieces--) done = 0;
        if (num_pieces == 0) return FP_OK;
        uint64_t offset = back->offset + back->done;
        ssize_t put = pwritev(fd, some, gather(pieces, num_pieces, done, some), (off_t)offset);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return fp_fail(outcome, FP_IO_ERROR, back->row, offset, "the write failed");
        if (read_back(fd, (size_t)put, back, outcome)) return outcome->status;
        for (done += (size_t)put; num_pieces > 0 && done >= pieces->iov_len; pieces++, num_pieces--)
            done -= pieces->iov_len;
    }
}

int fp_write_rows(int fd, const struct iovec *pieces, size_t num_pieces, uint64_t offset,
                  const fp_rows *rows, fp_outcome *outcome) {
    reading_back back;
    back.rows = rows; /* not an initializer, which would clear the window */
    back.offset = offset;
    back.done = 0;
    back.row = 0;
    back.crc = 0;
    return write_all(fd, pieces, num_pieces, &back, outcome);
}
