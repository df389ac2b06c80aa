/* The features of many tf.train.Examples, found in one scan of the records. */
#ifndef FASTPACK_FEATURES_H
#define FASTPACK_FEATURES_H
#include "example.h"

/* A feature of at least one record. */
typedef struct {
    uint8_t *own_name;
    size_t name_length;
    uint64_t hash;
    int32_t kind;      /* of its lists; FP_KIND_ABSENT without a list */
    uint8_t has_values; /* 0 while all lists are empty: then the kind may still change */
    uint8_t left_out;  /* lists may have any kind; `kind` stays FP_KIND_ABSENT */
    int64_t latest;    /* its latest value list in the table */
    int32_t next_feature;  /* the feature that followed it last time, and probably will again */
} fp_feature;

/* The values of one feature in one record, in place. */
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
    /* a hash table; -1 is free; its size is a power of two, at least twice the features */
    int32_t *own_slots;
    size_t num_slots;
    uint64_t seed;      /* of the hash: random, so that a file cannot choose colliding names */
    fp_value_list *own_lists;
    size_t num_lists;
    size_t list_capacity;
} fp_features;

void fp_features_free(fp_features *table);
/* Removes the value lists, before the next piece of a file. The names stay. */
void fp_features_clear_lists(fp_features *table);
/* Finds or adds the feature of that name. `before` is the previous feature of the record, or -1. */
int fp_features_find(fp_features *table, const fp_bytes *name, int32_t before, int32_t *out);
/* Adds the value lists of one record. Returns FP_OK, FP_BAD_PROTO, FP_WRONG_KIND (and the feature
   in *odd), FP_RECORD_LIMIT for more than max_features names, or FP_NO_MEMORY. */
int fp_features_add(fp_features *table, const uint8_t *example, size_t length, int64_t row,
                    int32_t *odd);
/* Sorts the lists by feature and row. The lists of feature f are order[starts[f] .. starts[f +
   1]]. */
void fp_features_sort(const fp_features *table, int64_t *order, int64_t *starts);
#endif
