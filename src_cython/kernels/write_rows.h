/* Rows of bytes, in pieces of memory, written to a file one after the other and read back at once. */
#ifndef FASTPACK_WRITE_ROWS_H
#define FASTPACK_WRITE_ROWS_H
#include <stddef.h>
#include <sys/uio.h>

#include "status.h"

/* Row i are the bytes offsets[i] .. offsets[i + 1] of all pieces together, and has the CRC-32C crcs[i]. */
typedef struct {
    const int64_t *offsets;
    const uint32_t *crcs;
    int64_t num_rows;
} fp_rows;

/* Writes all pieces from `offset` on, through short writes and interruptions. What a call has written is read back while it lies in
   the processor's cache, and each row compared with its CRC: FP_BAD_DATA_CRC, with the row. */
int fp_write_rows(int fd, const struct iovec *pieces, size_t num_pieces, uint64_t offset, const fp_rows *rows, fp_outcome *outcome);
#endif
