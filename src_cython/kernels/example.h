/* tf.train.Example on the wire (protobuf encoding; tensorflow/core/example/{example,feature}.proto). */
#ifndef FASTPACK_EXAMPLE_H
#define FASTPACK_EXAMPLE_H
#include <stddef.h>

#include "status.h"

enum fp_kind { FP_KIND_ABSENT = 0, FP_KIND_BYTES = 1, FP_KIND_FLOAT = 2, FP_KIND_INT64 = 3 };

/* A stretch of borrowed bytes; reading takes from its front. */
typedef struct {
    const uint8_t *at;
    const uint8_t *end;
} fp_bytes;

/* One entry of the map from feature names to features. */
typedef struct {
    fp_bytes name;
    fp_bytes body;
} fp_entry;

/* Steps through an Example's entries: `example` and `features` are what is not yet read of each level. */
typedef struct {
    fp_bytes example;
    fp_bytes features;
} fp_entries;

fp_entries fp_entries_of(const uint8_t *example, size_t length);
/* 1 with *entry set, 0 at the end, -1 when the bytes are no Example. */
int fp_next_entry(fp_entries *entries, fp_entry *entry);
/* True when the bytes are a tf.train.SequenceExample with lists in it, which read as an Example would seem to lack them. */
int fp_is_sequence(const uint8_t *example, size_t length);

/* A feature's values. The first walk counts (nothing to fill); the second fills what the caller made
   room for, and never more than `capacity` values and `bytes_capacity` bytes. */
typedef struct {
    int32_t kind;
    uint64_t count;
    uint64_t num_bytes;      /* of all bytes values together */
    fp_bytes last;           /* the last bytes value, in place */
    int32_t filled_kind;     /* only lists of this kind are filled in: those of another are dropped in the end */
    void *numbers;           /* int64_t or float, capacity values */
    uint8_t *bytes;          /* bytes_capacity bytes */
    int64_t *ends;           /* where each bytes value ends in `bytes`, capacity values */
    fp_bytes *places;        /* each bytes value in place, capacity values */
    uint64_t capacity;
    uint64_t bytes_capacity;
} fp_values;

/* FP_OK or FP_BAD_PROTO. */
int fp_walk_values(const fp_entry *entry, fp_values *values);
#endif
