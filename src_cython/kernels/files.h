/* Whole files by name, with prefetch: a disk that knows the next files fetches several at once. */
#ifndef FASTPACK_FILES_H
#define FASTPACK_FILES_H
#include <stddef.h>

#include "status.h"

/* how many files a thread opens ahead of the one that it reads */
enum { FP_FILES_AHEAD = 16 };

/* Opens a file that will be read soon, and lets the OS fetch its first `length` bytes. The caller
   owns the descriptor. Returns -1 on failure; fp_read_file will report the reason. */
int fp_prefetch_file(const char *path, size_t length);

/* Reads a whole file of `length` bytes and closes it. Returns FP_FILE_CHANGED if it has another
   length. `fd` is the result of fp_prefetch_file. */
int fp_read_file(int fd, const char *path, uint8_t *out, size_t length, int64_t row,
                 fp_outcome *outcome);
#endif
