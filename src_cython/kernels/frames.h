/* Writes rows of columns as tf.train.Examples in TFRecord frames. */
#ifndef FASTPACK_FRAMES_H
#define FASTPACK_FRAMES_H
#include <stddef.h>
#include <sys/uio.h>

#include "example.h"

/* A feature of the Examples. Row i has the values offsets[i] .. offsets[i + 1], or only value i. */
typedef struct {
    int32_t kind;                  /* an fp_kind */
    int32_t apart; /* bytes of one value a row that are not copied, only pointed to */
    const uint8_t *name;
    size_t name_length;
    const int64_t *offsets;        /* NULL: one number a row */
    /* only for bytes: value j is values[value_offsets[j] .. value_offsets[j + 1]] */
    const int64_t *value_offsets;
    const void *values;            /* uint8_t, float or int64_t */
    const uint32_t *crcs;          /* if apart: the CRC-32C of each row's value */
} fp_column;

uint64_t fp_example_size(const fp_column *columns, size_t num_columns, int64_t row);
/* Returns how many of these bytes belong to columns that stay apart. */
uint64_t fp_apart_size(const fp_column *columns, size_t num_columns, int64_t row);
/* Writes the frame of a row's Example to `out`, except columns that stay apart. `pieces` lists the
   parts of the frame in order: two for each column apart, and one more. Returns the CRC of the
   Example; *frame_crc is that of the whole frame. */
uint32_t fp_frame_example(const fp_column *columns, size_t num_columns, int64_t row, uint8_t *out,
                          struct iovec *pieces, uint32_t *frame_crc);
#endif
