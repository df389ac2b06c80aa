/* Writes rows of bytes, given as pieces of memory, to a file, and reads them back immediately. */
#ifndef FASTPACK_WRITE_ROWS_H
#define FASTPACK_WRITE_ROWS_H
#include <stddef.h>
#include <sys/uio.h>

#include "status.h"

/* Row i is the bytes offsets[i] .. offsets[i + 1] of all pieces together. Its CRC-32C is
   crcs[i]. */
typedef struct {
    const int64_t *offsets;
    const uint32_t *crcs;
    int64_t num_rows;
} fp_rows;

/* Writes all pieces from `offset` on. Repeats after short writes and interruptions. Reads back each
   call's bytes while they are in the processor's cache, and compares each row with its CRC. Returns
   FP_BAD_DATA_CRC, with the row, if one differs. */
int fp_write_rows(int fd, const struct iovec *pieces, size_t num_pieces, uint64_t offset,
                  const fp_rows *rows, fp_outcome *outcome);
#endif
