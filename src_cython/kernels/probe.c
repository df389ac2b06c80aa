#define _GNU_SOURCE
#include "probe.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Most JPEGs have their size in the first 16 KiB; those with a large EXIF thumbnail in the first
   256. */
#define HEAD_BYTES ((uint64_t)16 << 10)

/* True if more of the blob may change the result. Other formats than JPEG have facts at their
   ends. */
static int wants_more(int status, const fp_image_info *info) {
    if (status == FP_NOT_AN_IMAGE) return 0;
    return info->format != FP_JPEG || status == FP_TRUNCATED_IMAGE;
}

int fp_probe_blob(int fd, uint64_t offset, uint64_t length, fp_scratch *scratch, int64_t row,
                  fp_image_info *info, fp_outcome *outcome) {
    uint64_t seen = length < HEAD_BYTES ? length : HEAD_BYTES;
    for (;;) {
        uint8_t *bytes = fp_scratch_reserve(scratch, seen);
        if (!bytes) return fp_fail(outcome, FP_NO_MEMORY, row, offset, "no memory for an image");
        if (fp_pread(fd, bytes, seen, offset, row, outcome)) return outcome->status;
        if (!wants_more(fp_probe(bytes, seen, info), info) || seen == length) return FP_OK;
        seen = seen == HEAD_BYTES && length > 16 * HEAD_BYTES &&
               info->format == FP_JPEG ? 16 * HEAD_BYTES : length;
    }
}

int fp_probe_path(const char *path, fp_scratch *scratch, int64_t row, fp_file_facts *facts,
                  fp_outcome *outcome) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* opening a FIFO must not block */
    if (fd < 0) return fp_fail(outcome, FP_IO_ERROR, row, 0, "the file cannot be opened");
    int result;
    if (fstat(fd, &status) < 0)
        result = fp_fail(outcome, FP_IO_ERROR, row, 0, "the size of the file cannot be read");
    else if (!S_ISREG(status.st_mode))
        result = fp_fail(outcome, FP_FILE_CHANGED, row, 0, "this is not a regular file");
    else {
        facts->size = (uint64_t)status.st_size;
        facts->mtime_ns = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
        result = fp_probe_blob(fd, 0, facts->size, scratch, row, &facts->info, outcome);
    }
    close(fd);
    return result;
}
