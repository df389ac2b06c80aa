/* A reader of tf.train.Example without protobuf's library and without copies.

   Wire format. A message is a sequence of fields. A field is a tag, number << 3 | wire type, and a
   value. Wire types are a varint, 4 or 8 bytes, or a length and bytes. A varint has 7 bits in a
   byte; the high bit is set on all except the last. A message inside a message is such bytes. Types
   3 and 4 are groups, which are no longer used; they are skipped.

   An Example is:
        Example    field 1: Features
        Features   field 1, repeated: an entry of the map: field 1 name, field 2 Feature
        Feature    field 1 BytesList, field 2 FloatList or field 3 Int64List
        lists      field 1, repeated: the values; numbers may be packed into one field of bytes

   Method. fp_next_entry iterates over the map; fp_walk_values walks the values of one entry.
   Nothing is allocated. Callers walk twice: once to count, once to fill.

   Rules of protobuf that a reader must follow, and this one does:
   - Unknown fields are skipped.
   - If a field is not repeated, its last occurrence counts; messages are merged.
   - Feature is a oneof: a list of another kind replaces the list before it.
   - Repeated numbers come packed or one by one, even mixed.

   Invariants and limits:
   - No byte past the message is read: each length is compared with the bytes left.
   - A varint has at most 10 bytes. Groups nest at most 100 deep, as in protobuf's own parsers.
   - A walk that fills never writes more than the capacities, even if a dropped list is longer.

   Sources: protobuf.dev, "Encoding"; example.proto and feature.proto of TensorFlow. */
#include "example.h"

#include <string.h>

#include "endian.h"

enum wire { VARINT = 0, FIXED64 = 1, BYTES = 2, GROUP_BEGIN = 3, GROUP_END = 4, FIXED32 = 5 };

/* the limit of protobuf's own parsers */
#define MAX_GROUP_DEPTH 100

static size_t left(const fp_bytes *bytes) { return (size_t)(bytes->end - bytes->at); }

static int read_varint(fp_bytes *in, uint64_t *value) {
    uint64_t result = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (in->at == in->end) return 0;
        uint8_t byte = *in->at++;
        if (shift < 64) result |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            return 1;
        }
    }
    return 0;
}

static int take(fp_bytes *in, uint64_t length, fp_bytes *piece) {
    if (length > left(in)) return 0;
    piece->at = in->at;
    in->at += length;
    piece->end = in->at;
    return 1;
}

typedef struct {
    uint32_t number;
    uint32_t wire;
    uint64_t varint;
    fp_bytes body; /* for BYTES, FIXED32 and FIXED64 */
} field;

static int read_scalar(fp_bytes *in, field *out) {
    uint64_t length;
    switch (out->wire) {
    case VARINT: return read_varint(in, &out->varint);
    case FIXED64: return take(in, 8, &out->body);
    case FIXED32: return take(in, 4, &out->body);
    case BYTES: return read_varint(in, &length) && take(in, length, &out->body);
    default: return 0;
    }
}

static int read_tag(fp_bytes *in, field *out) {
    uint64_t tag;
    if (!read_varint(in, &tag) || tag > UINT32_MAX || tag >> 3 == 0) return 0;
    out->number = (uint32_t)(tag >> 3);
    out->wire = (uint32_t)(tag & 7);
    return 1;
}

static int skip_group(fp_bytes *in, uint32_t number) {
    uint32_t open[MAX_GROUP_DEPTH] = {number};
    int depth = 1;
    field inside;
    while (depth > 0) {
        if (!read_tag(in, &inside)) return 0;
        if (inside.wire == GROUP_BEGIN) {
            if (depth == MAX_GROUP_DEPTH) return 0;
            open[depth++] = inside.number;
        } else if (inside.wire == GROUP_END) {
            if (open[--depth] != inside.number) return 0;
        } else if (!read_scalar(in, &inside)) {
            return 0;
        }
    }
    return 1;
}

/* Returns 1 and the next field, 0 at the end, or -1 if the bytes are not a message. Skips
   groups. */
static int next_field(fp_bytes *in, field *out) {
    while (in->at < in->end) {
        if (!read_tag(in, out)) return -1;
        if (out->wire == GROUP_BEGIN) {
            if (!skip_group(in, out->number)) return -1;
            continue;
        }
        return read_scalar(in, out) ? 1 : -1;
    }
    return 0;
}

/* Gives the next submessage or string with that number. Skips all other fields. */
static int next_body(fp_bytes *in, uint32_t number, fp_bytes *body) {
    field found;
    int more;
    while ((more = next_field(in, &found)) == 1) {
        if (found.number == number && found.wire == BYTES) {
            *body = found.body;
            return 1;
        }
    }
    return more;
}

fp_entries fp_entries_of(const uint8_t *example, size_t length) {
    fp_entries entries = {{example, example + length}, {example, example}};
    return entries;
}

static int read_entry(fp_bytes body, fp_entry *entry) {
    field found;
    int more;
    entry->body = body;
    entry->name = (fp_bytes){body.at, body.at};
    while ((more = next_field(&body, &found)) == 1)
        if (found.number == 1 && found.wire == BYTES) entry->name = found.body;
    return more;
}

int fp_next_entry(fp_entries *entries, fp_entry *entry) {
    for (;;) {
        fp_bytes body;
        int more = next_body(&entries->features, 1, &body);
        if (more < 0) return -1;
        if (more == 1) return read_entry(body, entry) < 0 ? -1 : 1;
        more = next_body(&entries->example, 1, &entries->features);
        if (more != 1) return more;
    }
}

/* True if the message is a FeatureLists: a map from names to messages. */
static int is_feature_lists(fp_bytes body) {
    field entry, inside;
    int more, num_entries = 0;
    while ((more = next_field(&body, &entry)) == 1) {
        if (entry.number != 1 || entry.wire != BYTES) return 0;
        if (next_field(&entry.body, &inside) != 1 || inside.number != 1 || inside.wire != BYTES)
            return 0;
        if (next_field(&entry.body, &inside) != 1 || inside.number != 2 || inside.wire != BYTES)
            return 0;
        num_entries++;
    }
    return more == 0 && num_entries > 0;
}

int fp_is_sequence(const uint8_t *example, size_t length) {
    fp_bytes bytes = {example, example + length}, lists;
    while (next_body(&bytes, 2, &lists) == 1)
        if (is_feature_lists(lists)) return 1;
    return 0;
}

/* Values */

/* Values of a list that a later one of another kind will replace are walked, too. They may be more
   or wider than the memory for the others. */
static int has_room(const fp_values *values) {
    return values->kind == values->filled_kind && values->count < values->capacity;
}

static int has_room_for_bytes(const fp_values *values, size_t length) {
    return has_room(values) && values->num_bytes <= values->bytes_capacity &&
           length <= values->bytes_capacity - values->num_bytes;
}

static void add_bytes(fp_values *values, fp_bytes value) {
    size_t length = left(&value);
    if (values->ends && has_room_for_bytes(values, length)) {
        if (length) memcpy(values->bytes + values->num_bytes, value.at, length);
        values->ends[values->count] = (int64_t)(values->num_bytes + length);
    }
    if (values->places && has_room(values)) values->places[values->count] = value;
    values->last = value;
    values->num_bytes += length;
    values->count++;
}

static void add_float(fp_values *values, const uint8_t *at) {
    if (values->numbers && has_room(values)) {
        uint32_t bits = fp_load_le32(at);
        memcpy((float *)values->numbers + values->count, &bits, 4);
    }
    values->count++;
}

static void add_int64(fp_values *values, uint64_t number) {
    if (values->numbers && has_room(values))
        ((int64_t *)values->numbers)[values->count] = (int64_t)number;
    values->count++;
}

/* Repeated numbers are packed or not. A reader must accept both. */
static int walk_packed(fp_bytes packed, fp_values *values) {
    if (values->kind == FP_KIND_FLOAT) {
        if (left(&packed) % 4) return 0;
        for (; packed.at < packed.end; packed.at += 4) add_float(values, packed.at);
        return 1;
    }
    while (packed.at < packed.end) {
        uint64_t number;
        if (!read_varint(&packed, &number)) return 0;
        add_int64(values, number);
    }
    return 1;
}

static int walk_list(fp_bytes list, fp_values *values) {
    field found;
    int more;
    while ((more = next_field(&list, &found)) == 1) {
        if (found.number != 1) continue;
        if (values->kind == FP_KIND_BYTES) {
            if (found.wire == BYTES) add_bytes(values, found.body);
        } else if (found.wire == BYTES) {
            if (!walk_packed(found.body, values)) return 0;
        } else if (values->kind == FP_KIND_FLOAT && found.wire == FIXED32) {
            add_float(values, found.body.at);
        } else if (values->kind == FP_KIND_INT64 && found.wire == VARINT) {
            add_int64(values, found.varint);
        }
    }
    return more == 0;
}

/* Feature is a oneof of three lists: a list of another kind replaces the one before. */
static int walk_feature(fp_bytes feature, fp_values *values) {
    field found;
    int more;
    while ((more = next_field(&feature, &found)) == 1) {
        if (found.number < FP_KIND_BYTES || found.number > FP_KIND_INT64 || found.wire != BYTES)
            continue;
        if (values->kind != (int32_t)found.number) {
            values->count = 0;
            values->num_bytes = 0;
        }
        values->kind = (int32_t)found.number;
        if (!walk_list(found.body, values)) return 0;
    }
    return more == 0;
}

int fp_walk_values(const fp_entry *entry, fp_values *values) {
    fp_bytes body = entry->body, feature;
    int more;
    values->kind = FP_KIND_ABSENT;
    values->count = 0;
    values->num_bytes = 0;
    while ((more = next_body(&body, 2, &feature)) == 1)
        if (!walk_feature(feature, values)) return FP_BAD_PROTO;
    return more < 0 ? FP_BAD_PROTO : FP_OK;
}
