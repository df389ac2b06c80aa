/* Reads image headers of blobs in files. Of a JPEG it reads only the head. */
#ifndef FASTPACK_PROBE_H
#define FASTPACK_PROBE_H
#include "image.h"
#include "span.h"

/* Probes the blob [offset, offset + length) of an open file. A blob that is not an image is not a
   failure: *info shows it. */
int fp_probe_blob(int fd, uint64_t offset, uint64_t length, fp_scratch *scratch, int64_t row,
                  fp_image_info *info, fp_outcome *outcome);

/* The facts about a file that need no decoding. */
typedef struct {
    uint64_t size;
    int64_t mtime_ns;
    fp_image_info info;
} fp_file_facts;

/* Returns FP_FILE_CHANGED if the path is not a regular file. */
int fp_probe_path(const char *path, fp_scratch *scratch, int64_t row, fp_file_facts *facts,
                  fp_outcome *outcome);
#endif
