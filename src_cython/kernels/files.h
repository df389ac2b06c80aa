/* Whole files by their names, asked for ahead of the reading: a disk that knows what comes next fetches several at once. */
#ifndef FASTPACK_FILES_H
#define FASTPACK_FILES_H
#include <stddef.h>

#include "status.h"

/* How many files a thread asks for ahead of the one that it reads. */
enum { FP_FILES_AHEAD = 16 };

/* Opens a file that will soon be read and has the system fetch its first `length` bytes; the caller owns the descriptor. -1 where
 * that cannot be done: the reading will tell why. */
int fp_prefetch_file(const char *path, size_t length);

/* Reads a whole file, which must be `length` bytes long (FP_FILE_CHANGED when it is not), and closes it. fd: what asking for it
 * gave. */
int fp_read_file(int fd, const char *path, uint8_t *out, size_t length, int64_t row, fp_outcome *outcome);
#endif
