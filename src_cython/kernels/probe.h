/* Image headers of blobs that lie in files, without reading more of a JPEG than its head. */
#ifndef FASTPACK_PROBE_H
#define FASTPACK_PROBE_H
#include "image.h"
#include "span.h"

/* The blob [offset, offset + length) of an open file. What is no image is no failure: *info says so. */
int fp_probe_blob(int fd, uint64_t offset, uint64_t length, fp_scratch *scratch, int64_t row, fp_image_info *info,
                  fp_outcome *outcome);

/* What there is to know of a file without decoding it. */
typedef struct {
    uint64_t size;
    int64_t mtime_ns;
    fp_image_info info;
} fp_file_facts;

/* FP_FILE_CHANGED for what is no file. */
int fp_probe_path(const char *path, fp_scratch *scratch, int64_t row, fp_file_facts *facts, fp_outcome *outcome);
#endif
