/* A preloaded library that lets one call of the C library fail. fault_arm selects it: the n-th call
 * that opens, writes, syncs, renames, makes or removes a file below a folder. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { KILL = -1, SHORT = -2, TEAR = -3 }; /* positive faults are errnos */

static char root[PATH_MAX];
static int armed_call, armed_fault, num_calls;

void fault_arm(const char *folder, int call, int fault) {
    snprintf(root, sizeof root, "%s", folder);
    armed_call = call;
    armed_fault = fault;
    num_calls = 0;
}

int fault_count(void) { return num_calls; }

static int is_below(const char *path) {
    return root[0] && path && strncmp(path, root, strlen(root)) == 0;
}

static int is_watched(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = root[0] ? readlink(link, path, sizeof path - 1) : -1;
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path);
}

/* The fault of this call, or 0. */
static int fault_of(int watched) {
    if (!watched || __atomic_add_fetch(&num_calls, 1, __ATOMIC_SEQ_CST) != armed_call) return 0;
    if (armed_fault == KILL) kill(getpid(), SIGKILL);
    return armed_fault;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL_IF(watched)            \
    int fault = fault_of(watched);  \
    if (fault > 0) {                \
        errno = fault;              \
        return -1;                  \
    }

#define OPEN(name)                                                      \
    int name(const char *path, int flags, ...) {                        \
        va_list rest;                                                   \
        va_start(rest, flags);                                          \
        mode_t mode = va_arg(rest, mode_t);                             \
        va_end(rest);                                                   \
        FAIL_IF(is_below(path))                                         \
        return REAL(name)(path, flags, mode);                           \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                    \
    int name(int folder, const char *path, int flags, ...) {            \
        va_list rest;                                                   \
        va_start(rest, flags);                                          \
        mode_t mode = va_arg(rest, mode_t);                             \
        va_end(rest);                                                   \
        FAIL_IF(is_below(path))                                         \
        return REAL(name)(folder, path, flags, mode);                   \
    }
OPENAT(openat)
OPENAT(openat64)

/* Half of the length; the disk or the program may stop there. */
static size_t cut(size_t length, int fault) {
    return fault == SHORT || fault == TEAR ? (length + 1) / 2 : length;
}

static ssize_t after(ssize_t written, int fault) {
    if (fault == TEAR) kill(getpid(), SIGKILL);
    return written;
}

ssize_t write(int fd, const void *data, size_t length) {
    FAIL_IF(is_watched(fd))
    return after(REAL(write)(fd, data, cut(length, fault)), fault);
}

#define PWRITE(name, offset_type)                                                       \
    ssize_t name(int fd, const void *data, size_t length, offset_type offset) {         \
        FAIL_IF(is_watched(fd))                                                         \
        return after(REAL(name)(fd, data, cut(length, fault), offset), fault);          \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

/* Half of the first piece. */
#define WRITEV(name, parameters, arguments)                             \
    ssize_t name parameters {                                           \
        FAIL_IF(is_watched(fd))                                         \
        struct iovec half;                                              \
        if (fault && count) {                                           \
            half = *pieces;                                             \
            half.iov_len = cut(half.iov_len, fault);                    \
            pieces = &half, count = 1;                                  \
        }                                                               \
        return after(REAL(name) arguments, fault);                      \
    }
WRITEV(writev, (int fd, const struct iovec *pieces, int count), (fd, pieces, count))
WRITEV(pwritev, (int fd, const struct iovec *pieces, int count, off_t offset),
       (fd, pieces, count, offset))
WRITEV(pwritev64, (int fd, const struct iovec *pieces, int count, off64_t offset),
       (fd, pieces, count, offset))

int fsync(int fd) {
    FAIL_IF(is_watched(fd))
    return REAL(fsync)(fd);
}

int fdatasync(int fd) {
    FAIL_IF(is_watched(fd))
    return REAL(fdatasync)(fd);
}

int ftruncate(int fd, off_t length) {
    FAIL_IF(is_watched(fd))
    return REAL(ftruncate)(fd, length);
}

int ftruncate64(int fd, off64_t length) {
    FAIL_IF(is_watched(fd))
    return REAL(ftruncate64)(fd, length);
}

int rename(const char *from, const char *to) {
    FAIL_IF(is_below(from) || is_below(to))
    return REAL(rename)(from, to);
}

int mkdir(const char *path, mode_t mode) {
    FAIL_IF(is_below(path))
    return REAL(mkdir)(path, mode);
}

int unlink(const char *path) {
    FAIL_IF(is_below(path))
    return REAL(unlink)(path);
}

int unlinkat(int folder, const char *path, int flags) {
    FAIL_IF(is_below(path) || is_watched(folder))
    return REAL(unlinkat)(folder, path, flags);
}

int rmdir(const char *path) {
    FAIL_IF(is_below(path))
    return REAL(rmdir)(path);
}
