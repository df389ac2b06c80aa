/* The features of many tf.train.Examples, found in one pass over the records: each name is looked up, never searched for. */
#ifndef FASTPACK_FEATURES_H
#define FASTPACK_FEATURES_H
#include "example.h"

/* A feature that some record has. */
typedef struct {
    uint8_t *own_name;
    size_t name_length;
    uint64_t hash;
    int32_t kind;      /* of its lists; FP_KIND_ABSENT while no record has one */
    uint8_t has_values; /* 0 while all lists are empty: then the kind may still become another */
    uint8_t left_out;  /* its lists may be of any kind, and it stays FP_KIND_ABSENT */
    int64_t latest;    /* where its newest value list stands in the table */
    int32_t next_feature;  /* the feature that came after it last time: most likely it comes again */
} fp_feature;

/* The values that one record has of one feature, in place. */
typedef struct {
    int64_t row;
    int32_t feature;
    int32_t kind;
    uint64_t count;
    uint64_t num_bytes;
    fp_bytes last;     /* the last bytes value */
    fp_bytes entry;
} fp_value_list;

typedef struct {
    fp_feature *own_features;
    size_t num_features;
    size_t feature_capacity;
    size_t max_features;
    int32_t *own_slots; /* by hash; -1 is free; a power of two of them, at most half taken */
    size_t num_slots;
    uint64_t seed;      /* of the hash, so that nobody can choose names that collide */
    fp_value_list *own_lists;
    size_t num_lists;
    size_t list_capacity;
} fp_features;

void fp_features_free(fp_features *table);
/* Forgets the value lists, as before the next piece of a file; the names stay. */
void fp_features_clear_lists(fp_features *table);
/* The feature of that name, new or not. `before` is the one that the record named before it, -1 at its beginning. */
int fp_features_find(fp_features *table, const fp_bytes *name, int32_t before, int32_t *out);
/* Adds the value lists of one record. FP_OK; FP_BAD_PROTO; FP_WRONG_KIND, *odd being the feature; FP_RECORD_LIMIT when there
   are more than max_features names; FP_NO_MEMORY. */
int fp_features_add(fp_features *table, const uint8_t *example, size_t length, int64_t row, int32_t *odd);
/* Sorts the lists by feature, rows rising in each: those of feature f are order[starts[f] .. starts[f + 1]]. */
void fp_features_sort(const fp_features *table, int64_t *order, int64_t *starts);
#endif
