/* Rows of columns as tf.train.Examples in TFRecord frames. */
#ifndef FASTPACK_FRAMES_H
#define FASTPACK_FRAMES_H
#include <stddef.h>
#include <sys/uio.h>

#include "example.h"

/* One feature of examples to serialise. Row i has the values offsets[i] .. offsets[i + 1], or just value i. */
typedef struct {
    int32_t kind;                  /* an fp_kind */
    int32_t apart;                 /* bytes, one value a row: they are only pointed to, not copied */
    const uint8_t *name;
    size_t name_length;
    const int64_t *offsets;        /* NULL: one number a row */
    const int64_t *value_offsets;  /* bytes values only: value j is values[value_offsets[j] .. [j + 1]] */
    const void *values;            /* uint8_t, float or int64_t */
    const uint32_t *crcs;          /* of a column that stays apart: the CRC-32C of each row's value */
} fp_column;

uint64_t fp_example_size(const fp_column *columns, size_t num_columns, int64_t row);
/* Of these, the bytes of values that stay apart. */
uint64_t fp_apart_size(const fp_column *columns, size_t num_columns, int64_t row);
/* Writes the frame of the row's example: what does not stay apart goes to `out`, and `pieces`, two for each column that
   stays apart and one more, say in which order everything follows. Gives the CRC of the example, and in *frame_crc that of the
   whole frame. */
uint32_t fp_frame_example(const fp_column *columns, size_t num_columns, int64_t row, uint8_t *out, struct iovec *pieces,
                          uint32_t *frame_crc);
#endif
