#include "example.h"

#include <string.h>

#include "endian.h"

enum wire { VARINT = 0, FIXED64 = 1, BYTES = 2, GROUP_BEGIN = 3, GROUP_END = 4, FIXED32 = 5 };

/* A protobuf nests unknown groups as deep as it likes; protobuf's own parsers stop at 100. */
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
    piece->end = in->at += length;
    return 1;
}

typedef struct {
    uint32_t number;
    uint32_t wire;
    uint64_t varint;
    fp_bytes body; /* BYTES, FIXED32 and FIXED64 */
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

/* 1 with the next field, 0 at the end, -1 for bytes that are no message. Groups are passed over. */
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

/* The next submessage or string with that number; other fields are unknown, so passed over. */
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
    entry->name.at = entry->name.end = body.at;
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

int fp_find_entry(const uint8_t *example, size_t length, const uint8_t *name, size_t name_length, fp_entry *entry) {
    fp_entries entries = fp_entries_of(example, length);
    fp_entry candidate;
    int more, found = 0;
    while ((more = fp_next_entry(&entries, &candidate)) == 1) {
        if (left(&candidate.name) != name_length || memcmp(candidate.name.at, name, name_length) != 0) continue;
        *entry = candidate;
        found = 1;
    }
    return more < 0 ? -1 : found;
}

/* Values */

/* Values that a later list of another kind drops are walked too: they may be more than there is room for, or
   wider. */
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
    if (values->numbers && has_room(values)) ((int64_t *)values->numbers)[values->count] = (int64_t)number;
    values->count++;
}

/* Repeated numbers come packed or one by one, and a reader must take both. */
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

/* Feature is a oneof of three lists: a list of another kind drops what came before. */
static int walk_feature(fp_bytes feature, fp_values *values) {
    field found;
    int more;
    while ((more = next_field(&feature, &found)) == 1) {
        if (found.number < FP_KIND_BYTES || found.number > FP_KIND_INT64 || found.wire != BYTES) continue;
        if (values->kind != (int32_t)found.number) values->count = values->num_bytes = 0;
        values->kind = (int32_t)found.number;
        if (!walk_list(found.body, values)) return 0;
    }
    return more == 0;
}

int fp_walk_values(const fp_entry *entry, fp_values *values) {
    fp_bytes body = entry->body, feature;
    int more;
    values->kind = FP_KIND_ABSENT;
    values->count = values->num_bytes = 0;
    while ((more = next_body(&body, 2, &feature)) == 1)
        if (!walk_feature(feature, values)) return FP_BAD_PROTO;
    return more < 0 ? FP_BAD_PROTO : FP_OK;
}

/* Serialising. Sizes are counted from the inside out, then written from the outside in. */

static uint64_t varint_size(uint64_t value) {
    uint64_t size = 1;
    while (value >= 0x80) value >>= 7, size++;
    return size;
}

/* A length-delimited field with a tag of one byte. */
static uint64_t delimited_size(uint64_t body) { return 1 + varint_size(body) + body; }

static uint8_t *write_varint(uint8_t *out, uint64_t value) {
    for (; value >= 0x80; value >>= 7) *out++ = (uint8_t)(value | 0x80);
    *out++ = (uint8_t)value;
    return out;
}

static uint8_t *write_tag(uint8_t *out, int number, uint64_t length) {
    *out++ = (uint8_t)(number << 3 | BYTES);
    return write_varint(out, length);
}

static uint8_t *write_bytes(uint8_t *out, const void *bytes, uint64_t length) {
    if (length) memcpy(out, bytes, length); /* of nothing, the address may be NULL */
    return out + length;
}

typedef struct {
    uint64_t packed, list, feature, entry;
} sizes;

static int64_t first_value(const fp_column *column, int64_t row) { return column->offsets ? column->offsets[row] : row; }
static int64_t end_value(const fp_column *column, int64_t row) { return column->offsets ? column->offsets[row + 1] : row + 1; }

static uint64_t list_size(const fp_column *column, int64_t row, sizes *out) {
    int64_t first = first_value(column, row), end = end_value(column, row);
    out->packed = 0;
    if (column->kind == FP_KIND_BYTES) {
        uint64_t total = 0;
        for (int64_t j = first; j < end; j++)
            total += delimited_size((uint64_t)(column->value_offsets[j + 1] - column->value_offsets[j]));
        return total;
    }
    if (column->kind == FP_KIND_FLOAT) out->packed = 4 * (uint64_t)(end - first);
    else
        for (int64_t j = first; j < end; j++) out->packed += varint_size((uint64_t)((const int64_t *)column->values)[j]);
    return out->packed ? delimited_size(out->packed) : 0;
}

static sizes column_sizes(const fp_column *column, int64_t row) {
    sizes out;
    out.list = list_size(column, row, &out);
    out.feature = delimited_size(out.list);
    out.entry = delimited_size(column->name_length) + delimited_size(out.feature);
    return out;
}

static uint64_t features_size(const fp_column *columns, size_t num_columns, int64_t row) {
    uint64_t total = 0;
    for (size_t c = 0; c < num_columns; c++) total += delimited_size(column_sizes(&columns[c], row).entry);
    return total;
}

uint64_t fp_example_size(const fp_column *columns, size_t num_columns, int64_t row) {
    return delimited_size(features_size(columns, num_columns, row));
}

static uint8_t *write_floats(uint8_t *out, const float *values, int64_t first, int64_t end) {
    for (int64_t j = first; j < end; j++, out += 4) {
        uint32_t bits;
        memcpy(&bits, values + j, 4);
        fp_store_le32(out, bits);
    }
    return out;
}

static uint8_t *write_values(uint8_t *out, const fp_column *column, int64_t row, const sizes *size) {
    int64_t first = first_value(column, row), end = end_value(column, row);
    if (column->kind == FP_KIND_BYTES) {
        const uint8_t *values = column->values;
        for (int64_t j = first; j < end; j++) {
            uint64_t length = (uint64_t)(column->value_offsets[j + 1] - column->value_offsets[j]);
            out = write_bytes(write_tag(out, 1, length), values + column->value_offsets[j], length);
        }
        return out;
    }
    if (size->packed == 0) return out;
    out = write_tag(out, 1, size->packed);
    if (column->kind == FP_KIND_FLOAT) return write_floats(out, column->values, first, end);
    for (int64_t j = first; j < end; j++) out = write_varint(out, (uint64_t)((const int64_t *)column->values)[j]);
    return out;
}

void fp_write_example(const fp_column *columns, size_t num_columns, int64_t row, uint8_t *out) {
    out = write_tag(out, 1, features_size(columns, num_columns, row));
    for (size_t c = 0; c < num_columns; c++) {
        const fp_column *column = &columns[c];
        sizes size = column_sizes(column, row);
        out = write_tag(out, 1, size.entry);
        out = write_bytes(write_tag(out, 1, column->name_length), column->name, column->name_length);
        out = write_tag(out, 2, size.feature);
        out = write_tag(out, column->kind, size.list);
        out = write_values(out, column, row, &size);
    }
}
