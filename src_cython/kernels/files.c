#define _GNU_SOURCE
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "span.h"

static int open_file(const char *path) {
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* opening a FIFO must not block */
}

int fp_prefetch_file(const char *path, size_t length) {
    int fd = open_file(path);
    if (fd >= 0) posix_fadvise(fd, 0, (off_t)length, POSIX_FADV_WILLNEED);
    return fd;
}

static int read_open_file(int fd, uint8_t *out, size_t length, int64_t row, fp_outcome *outcome) {
    struct stat facts;
    if (fstat(fd, &facts) < 0)
        return fp_fail(outcome, FP_IO_ERROR, row, 0, "the size of the file cannot be read");
    if (!S_ISREG(facts.st_mode) || (uint64_t)facts.st_size != length)
        return fp_fail(outcome, FP_FILE_CHANGED, row, 0,
                       "the file has changed since it was listed");
    return fp_pread(fd, out, length, 0, row, outcome);
}

int fp_read_file(int fd, const char *path, uint8_t *out, size_t length, int64_t row,
                 fp_outcome *outcome) {
    if (fd < 0) fd = open_file(path);
    if (fd < 0) return fp_fail(outcome, FP_IO_ERROR, row, 0, "the file cannot be opened");
    int status = read_open_file(fd, out, length, row, outcome);
    close(fd);
    return status;
}
