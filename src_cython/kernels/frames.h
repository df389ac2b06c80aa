/* Rows of columns as tf.train.Examples in TFRecord frames. */
#ifndef FASTPACK_FRAMES_H
#define FASTPACK_FRAMES_H
#include <stddef.h>
#include <sys/uio.h>

#include "example.h"
#include "span.h"

/* One feature of examples to serialise. Row i has the values offsets[i] .. offsets[i + 1], or just value i. */
typedef struct {
    int32_t kind;                  /* an fp_kind */
    int32_t apart;                 /* bytes, one value a row: they are only pointed to, not copied */
    const uint8_t *name;
    size_t name_length;
    const int64_t *offsets;        /* NULL: one number a row */
    const int64_t *value_offsets;  /* bytes values only: value j is values[value_offsets[j] .. [j + 1]] */
    const void *values;            /* uint8_t, float or int64_t */
} fp_column;

uint64_t fp_example_size(const fp_column *columns, size_t num_columns, int64_t row);
/* Of these, the bytes of values that stay apart. */
uint64_t fp_apart_size(const fp_column *columns, size_t num_columns, int64_t row);
/* Writes the frame of the row's example: what does not stay apart goes to `out`, and `pieces`, two for each column that
   stays apart and one more, say in which order everything follows. Gives the CRC of the example. */
uint32_t fp_frame_example(const fp_column *columns, size_t num_columns, int64_t row, uint8_t *out, struct iovec *pieces);

/* Reads the record that fills [offset, offset + length) of a file: FP_OK when its frame is sound and the example's CRC is `crc`. */
int fp_check_frame(int fd, uint64_t offset, uint64_t length, uint32_t crc, fp_scratch *scratch, int64_t row, fp_outcome *outcome);
#endif
