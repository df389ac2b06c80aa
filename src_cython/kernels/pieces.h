/* Pieces of memory, written to a file one after the other. */
#ifndef FASTPACK_PIECES_H
#define FASTPACK_PIECES_H
#include <stddef.h>
#include <sys/uio.h>

#include "status.h"

/* Writes all of them from `offset` on, through short writes and interruptions. The outcome's offset says where it failed. */
int fp_write_pieces(int fd, const struct iovec *pieces, size_t num_pieces, uint64_t offset, fp_outcome *outcome);
#endif
