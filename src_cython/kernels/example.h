/* Reads tf.train.Example messages (protobuf; tensorflow/core/example/{example,feature}.proto). */
#ifndef FASTPACK_EXAMPLE_H
#define FASTPACK_EXAMPLE_H
#include <stddef.h>

#include "status.h"

enum fp_kind { FP_KIND_ABSENT = 0, FP_KIND_BYTES = 1, FP_KIND_FLOAT = 2, FP_KIND_INT64 = 3 };

/* Borrowed bytes. Reading takes bytes from the front. */
typedef struct {
    const uint8_t *at;
    const uint8_t *end;
} fp_bytes;

/* An entry of the map from feature names to features. */
typedef struct {
    fp_bytes name;
    fp_bytes body;
} fp_entry;

/* An iterator over the entries of an Example: the unread bytes of either level. */
typedef struct {
    fp_bytes example;
    fp_bytes features;
} fp_entries;

fp_entries fp_entries_of(const uint8_t *example, size_t length);
/* Returns 1 and an entry, 0 at the end, or -1 if the bytes are not an Example. */
int fp_next_entry(fp_entries *entries, fp_entry *entry);
/* True if the bytes are a tf.train.SequenceExample with lists. Read as an Example, it would lack
   them. */
int fp_is_sequence(const uint8_t *example, size_t length);

/* The values of a feature. A first walk counts them, with no memory to fill. A second walk fills
   the caller's memory: at most `capacity` values and `bytes_capacity` bytes. */
typedef struct {
    int32_t kind;
    uint64_t count;
    uint64_t num_bytes;      /* sum over all bytes values */
    fp_bytes last;           /* the last bytes value, in place */
    /* fill only lists of this kind; a later list of another kind replaces them */
    int32_t filled_kind;
    void *numbers;           /* int64_t or float, capacity values */
    uint8_t *bytes;          /* bytes_capacity bytes */
    int64_t *ends;           /* the end of each bytes value in `bytes`, capacity values */
    fp_bytes *places;        /* each bytes value in place, capacity values */
    uint64_t capacity;
    uint64_t bytes_capacity;
} fp_values;

/* Returns FP_OK or FP_BAD_PROTO. */
int fp_walk_values(const fp_entry *entry, fp_values *values);
#endif
