/* What a kernel can say. errors.py holds the one table that turns these into exceptions. */
#ifndef FASTPACK_STATUS_H
#define FASTPACK_STATUS_H
#include <stdint.h>

enum fp_status {
    FP_OK = 0,
    FP_IO_ERROR = 1,         /* error_number says which */
    FP_NO_MEMORY = 2,
    FP_TRUNCATED = 3,        /* the file ends inside what was to be read */
    FP_BAD_LENGTH_CRC = 4,   /* TFRecord: the length's checksum does not hold */
    FP_BAD_DATA_CRC = 5,     /* a record's or a blob's checksum does not hold */
    FP_RECORD_LIMIT = 6,     /* a record claims more bytes than the limit */
    FP_BAD_PROTO = 7,        /* not a tf.train.Example */
    FP_NOT_AN_IMAGE = 8,     /* no known image signature */
    FP_CORRUPT_IMAGE = 9,
    FP_TRUNCATED_IMAGE = 10,
    FP_UNSUPPORTED_IMAGE = 11,
    FP_PIXEL_LIMIT = 12,
    FP_SCAN_LIMIT = 13,
    FP_BAD_BOX = 14,         /* a crop box outside its image, or an output of another shape */
    FP_FILE_CHANGED = 15,    /* a file is not as long as it was when it was listed */
    FP_WRONG_KIND = 16,      /* a feature holds another kind of list than the schema says */
    FP_BAD_CHUNK = 17,       /* a chunk of an HDF5 dataset does not decode to what the dataset says */
    FP_BAD_ARCHIVE = 18      /* a tar that is damaged, or has members that are no plain files */
};

#define FP_MESSAGE_BYTES 200

/* How a kernel's work ended: the status and the place of the first failure. */
typedef struct {
    int32_t status;
    int32_t error_number;
    int64_t row;             /* which of the batch's rows */
    uint64_t offset;         /* byte in the file */
    char message[FP_MESSAGE_BYTES];
} fp_outcome;

int fp_fail(fp_outcome *outcome, int status, int64_t row, uint64_t offset, const char *message);
#endif
