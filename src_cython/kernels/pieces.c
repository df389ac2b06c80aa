#define _GNU_SOURCE
#include "pieces.h"

#include <errno.h>
#include <unistd.h>

#define MAX_PIECES 1024 /* IOV_MAX: what one call takes */

/* What one call is given. For a larger write the system looks for as large stretches of free memory to keep it in, and
   clearing those costs more than what the fewer calls save: at 2 MiB packing took half as long again. */
#define CALL_BYTES (256 * 1024)

/* The next pieces, without the first `done` bytes, as far as one call goes. */
static int gather(const struct iovec *pieces, size_t num_pieces, size_t done, struct iovec *out) {
    size_t bytes = 0;
    int count = 0;
    for (; count < MAX_PIECES && (size_t)count < num_pieces && bytes < CALL_BYTES; count++, done = 0) {
        size_t length = pieces[count].iov_len - done;
        if (length > CALL_BYTES - bytes) length = CALL_BYTES - bytes;
        out[count] = (struct iovec){(uint8_t *)pieces[count].iov_base + done, length};
        bytes += length;
    }
    return count;
}

int fp_write_pieces(int fd, const struct iovec *pieces, size_t num_pieces, uint64_t offset, fp_outcome *outcome) {
    struct iovec some[MAX_PIECES];
    size_t done = 0; /* bytes of the first piece */
    for (;;) {
        while (num_pieces > 0 && done == pieces->iov_len) pieces++, num_pieces--, done = 0;
        if (num_pieces == 0) return FP_OK;
        ssize_t put = pwritev(fd, some, gather(pieces, num_pieces, done, some), (off_t)offset);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return fp_fail(outcome, FP_IO_ERROR, 0, offset, "the write failed");
        offset += (uint64_t)put;
        for (done += (size_t)put; num_pieces > 0 && done >= pieces->iov_len; pieces++, num_pieces--) done -= pieces->iov_len;
    }
}
