/* Results of kernels. fastpack/errors.py has the table that turns them into exceptions. */
#ifndef FASTPACK_STATUS_H
#define FASTPACK_STATUS_H
#include <stdint.h>

enum fp_status {
    FP_OK = 0,
    FP_IO_ERROR = 1,         /* error_number has the reason */
    FP_NO_MEMORY = 2,
    FP_TRUNCATED = 3,        /* the file ends before the bytes to read */
    FP_BAD_LENGTH_CRC = 4,   /* TFRecord: the length differs from its checksum */
    FP_BAD_DATA_CRC = 5,     /* a record or a blob differs from its checksum */
    FP_RECORD_LIMIT = 6,     /* a record claims more bytes than the limit */
    FP_BAD_PROTO = 7,        /* not a tf.train.Example */
    FP_NOT_AN_IMAGE = 8,     /* no known image signature */
    FP_CORRUPT_IMAGE = 9,
    FP_TRUNCATED_IMAGE = 10,
    FP_UNSUPPORTED_IMAGE = 11,
    FP_PIXEL_LIMIT = 12,
    FP_SCAN_LIMIT = 13,
    FP_BAD_BOX = 14,         /* a crop box outside its image, or an output of another shape */
    FP_FILE_CHANGED = 15,    /* a file has another length than when it was listed */
    FP_WRONG_KIND = 16,      /* a feature has another kind of list than the schema */
    FP_BAD_CHUNK = 17,       /* a chunk of an HDF5 dataset does not decode to the dataset's shape */
    FP_BAD_ARCHIVE = 18      /* a damaged tar, or one with members that are not plain files */
};

#define FP_MESSAGE_BYTES 200

/* The outcome of a kernel: the status, and the place of the first failure. */
typedef struct {
    int32_t status;
    int32_t error_number;
    int64_t row;             /* the row of the batch */
    uint64_t offset;         /* the byte in the file */
    char message[FP_MESSAGE_BYTES];
} fp_outcome;

int fp_fail(fp_outcome *outcome, int status, int64_t row, uint64_t offset, const char *message);
#endif
