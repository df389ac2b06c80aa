/* A table of features by name, and of the values that each record has of them.

   Names are found by guess: records usually name the same features in the same order, so each
   feature remembers which one followed it. If the guess fails, a hash table with linear probing
   decides.

   The kind of a feature is that of its first nonempty list. An empty list fits any kind, because
   writers encode "no values" in different ways. Value lists point into the records, so the records
   must stay in memory until the next piece. */
#include "feature_table.h"

#include <stdlib.h>
#include <string.h>

void fp_features_free(fp_features *table) {
    for (size_t f = 0; f < table->num_features; f++) free(table->own_features[f].own_name);
    free(table->own_features);
    free(table->own_slots);
    free(table->own_lists);
    memset(table, 0, sizeof *table);
}

void fp_features_clear_lists(fp_features *table) {
    table->num_lists = 0;
    for (size_t f = 0; f < table->num_features; f++) table->own_features[f].latest = -1;
}

static uint64_t hash_of(const fp_bytes *name, uint64_t seed) {
    uint64_t hash = seed;
    for (const uint8_t *at = name->at; at < name->end; at++) {
        hash = (hash ^ *at) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    return hash;
}

static int has_name(const fp_feature *feature, const fp_bytes *name) {
    size_t length = (size_t)(name->end - name->at);
    return feature->name_length == length && memcmp(feature->own_name, name->at, length) == 0;
}

static void put_slot(fp_features *table, uint64_t hash, int32_t feature) {
    size_t slot = hash & (table->num_slots - 1);
    while (table->own_slots[slot] >= 0) slot = (slot + 1) & (table->num_slots - 1);
    table->own_slots[slot] = feature;
}

static int grow_features(fp_features *table) {
    size_t capacity = table->feature_capacity ? 2 * table->feature_capacity : 32;
    fp_feature *features = realloc(table->own_features, capacity * sizeof *features);
    if (!features) return FP_NO_MEMORY;
    table->own_features = features;
    int32_t *slots = malloc(2 * capacity * sizeof *slots);
    if (!slots) return FP_NO_MEMORY;
    free(table->own_slots);
    table->own_slots = slots;
    table->num_slots = 2 * capacity;
    table->feature_capacity = capacity;
    for (size_t slot = 0; slot < table->num_slots; slot++) slots[slot] = -1;
    for (size_t f = 0; f < table->num_features; f++) put_slot(table, features[f].hash, (int32_t)f);
    return FP_OK;
}

static int add_feature(fp_features *table, const fp_bytes *name, uint64_t hash, int32_t *out) {
    if (table->num_features == table->max_features) return FP_RECORD_LIMIT;
    if (table->num_features == table->feature_capacity && grow_features(table)) return FP_NO_MEMORY;
    size_t length = (size_t)(name->end - name->at);
    uint8_t *own_name = malloc(length + 1);
    if (!own_name) return FP_NO_MEMORY;
    memcpy(own_name, name->at, length);
    *out = (int32_t)table->num_features++;
    fp_feature feature = {own_name, length, hash, FP_KIND_ABSENT, 0, 0, -1, -1};
    table->own_features[*out] = feature;
    put_slot(table, hash, *out);
    return FP_OK;
}

int fp_features_find(fp_features *table, const fp_bytes *name, int32_t before, int32_t *out) {
    int32_t guess =
        before >= 0 ? table->own_features[before].next_feature : table->num_features ? 0 : -1;
    if (guess >= 0 && has_name(&table->own_features[guess], name)) {
        *out = guess;
        return FP_OK;
    }
    uint64_t hash = hash_of(name, table->seed);
    int status = FP_OK;
    *out = -1;
    if (table->num_slots) {
        size_t slot = hash & (table->num_slots - 1);
        for (; table->own_slots[slot] >= 0; slot = (slot + 1) & (table->num_slots - 1)) {
            const fp_feature *feature = &table->own_features[table->own_slots[slot]];
            if (feature->hash == hash && has_name(feature, name)) {
                *out = table->own_slots[slot];
                break;
            }
        }
    }
    if (*out < 0) status = add_feature(table, name, hash, out);
    if (status == FP_OK && before >= 0) table->own_features[before].next_feature = *out;
    return status;
}

static fp_value_list *next_list(fp_features *table) {
    if (table->num_lists == table->list_capacity) {
        size_t capacity = table->list_capacity ? 2 * table->list_capacity : 1024;
        fp_value_list *lists = realloc(table->own_lists, capacity * sizeof *lists);
        if (!lists) return NULL;
        table->own_lists = lists;
        table->list_capacity = capacity;
    }
    return &table->own_lists[table->num_lists];
}

static int add_list(fp_features *table, const fp_entry *entry, int64_t row, int32_t number) {
    fp_values values;
    memset(&values, 0, sizeof values);
    if (fp_walk_values(entry, &values) != FP_OK) return FP_BAD_PROTO;
    fp_feature *feature = &table->own_features[number];
    fp_value_list *list = NULL;
    /* the last of two entries with one name counts, as in protobuf's maps */
    if (feature->latest >= 0 && table->own_lists[feature->latest].row == row) {
        list = &table->own_lists[feature->latest];
    } else {
        if (!(list = next_list(table))) return FP_NO_MEMORY;
        feature->latest = (int64_t)table->num_lists++;
    }
    fp_value_list found = {row, number, values.kind, values.count, values.num_bytes, values.last,
                           entry->body};
    *list = found;
    return FP_OK;
}

static int check_kinds(fp_features *table, size_t first_list, int32_t *odd) {
    for (size_t i = first_list; i < table->num_lists; i++) {
        const fp_value_list *list = &table->own_lists[i];
        fp_feature *feature = &table->own_features[list->feature];
        if (feature->left_out || list->kind == FP_KIND_ABSENT) continue;
        if (list->kind != feature->kind) {
            /* an empty list does not determine the kind, unless all lists are empty */
            if (!list->count && feature->kind != FP_KIND_ABSENT) continue;
            if (feature->has_values) {
                *odd = list->feature;
                return FP_WRONG_KIND;
            }
            feature->kind = list->kind;
        }
        feature->has_values |= list->count > 0;
    }
    return FP_OK;
}

int fp_features_add(fp_features *table, const uint8_t *example, size_t length, int64_t row,
                    int32_t *odd) {
    fp_entries entries = fp_entries_of(example, length);
    fp_entry entry;
    size_t first_list = table->num_lists;
    int32_t feature = -1;
    int more, status;
    while ((more = fp_next_entry(&entries, &entry)) == 1) {
        if ((status = fp_features_find(table, &entry.name, feature, &feature))) return status;
        if ((status = add_list(table, &entry, row, feature))) return status;
    }
    return more < 0 ? FP_BAD_PROTO : check_kinds(table, first_list, odd);
}

void fp_features_sort(const fp_features *table, int64_t *order, int64_t *starts) {
    memset(starts, 0, (table->num_features + 1) * sizeof *starts);
    for (size_t i = 0; i < table->num_lists; i++) starts[table->own_lists[i].feature + 1]++;
    for (size_t f = 0; f < table->num_features; f++) starts[f + 1] += starts[f];
    for (size_t i = 0; i < table->num_lists; i++)
        order[starts[table->own_lists[i].feature]++] = (int64_t)i;
    /* each start has moved to the start of the next feature */
    memmove(starts + 1, starts, table->num_features * sizeof *starts);
    starts[0] = 0;
}
