/* A reader of tar archives, header by header.

   A tar is a sequence of members. A member is a header of 512 bytes and its data, padded to 512
   bytes. Two zero blocks end the archive. Long names and sizes of 8 GiB or more need an extended
   header, a member before the member:
   - 'x' and 'g': pax records, "LENGTH KEY=VALUE\n", for the next member or for all
   - 'L': GNU's long name of the next member; 'K': its long link name

   The convention of WebDataset makes samples of members: "n01/a.jpg" and "n01/a.cls" are the
   endings "jpg" and "cls" of the sample "n01/a". Consecutive members with one key are one sample.

   Limits. Links, sparse files, devices and volumes are refused: their bytes are not at the member's
   place. Data after the end mark is an error, since joined archives would lose their second half.
   Sizes are compared with the bytes left. */
#include "tar.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_BYTES ((size_t)16 << 10)
#define MAX_EXTENDED_BYTES ((uint64_t)1 << 20) /* of a pax header or a long name */
#define MAX_NAME_BYTES 65535
#define MAX_SUFFIX_BYTES 255
#define MAX_TAIL_BYTES ((uint64_t)1 << 20) /* tar pads its end with zeros, by default to 10 KiB */

/* Offsets and lengths of header fields. */
enum { NAME = 0, NAME_BYTES = 100, SIZE = 124, SIZE_BYTES = 12, CHECKSUM = 148, CHECKSUM_BYTES = 8,
      TYPE = 156 };
enum { MAGIC = 257, PREFIX = 345, PREFIX_BYTES = 155 };

typedef struct {
    int fd;
    uint64_t size;
    uint64_t position;
    uint8_t buffer[BUFFER_BYTES];
    uint64_t buffered_from;
    size_t buffered;
    /* from an extended header, for the next member */
    fp_scratch name;
    size_t name_length;
    int has_size;
    uint64_t member_size;
    int64_t number; /* of the member, for messages */
    fp_outcome *outcome;
} archive;

static int fail(archive *tar, int status, const char *message) {
    return fp_fail(tar->outcome, status, tar->number, tar->position, message);
}

/* Returns `length` bytes at `offset`, at most BUFFER_BYTES. NULL after a failure. */
static const uint8_t *peek(archive *tar, uint64_t offset, size_t length) {
    if (offset < tar->buffered_from || offset - tar->buffered_from > tar->buffered ||
        length > tar->buffered - (offset - tar->buffered_from)) {
        if (offset > tar->size || length > tar->size - offset) {
            fail(tar, FP_TRUNCATED, "the archive ends here, without its end mark");
            return NULL;
        }
        uint64_t left = tar->size - offset;
        tar->buffered = 0;
        if (fp_pread(tar->fd, tar->buffer, left < BUFFER_BYTES ? left : BUFFER_BYTES, offset,
                     tar->number, tar->outcome))
            return NULL;
        tar->buffered_from = offset;
        tar->buffered = left < BUFFER_BYTES ? left : BUFFER_BYTES;
    }
    return tar->buffer + (offset - tar->buffered_from);
}

/* Reads octal digits between blanks, or GNU's binary numbers, whose first bit is 1. */
static int read_number(const uint8_t *field, size_t length, uint64_t *out) {
    uint64_t value = 0;
    if (field[0] & 0x80) {
        for (size_t i = 0; i < length; i++) {
            if (value >> 55) return 0;
            value = value << 8 | (i ? field[i] : field[i] & 0x7f);
        }
        *out = value;
        return 1;
    }
    size_t i = 0;
    while (i < length && field[i] == ' ') i++;
    for (; i < length && field[i] >= '0' && field[i] <= '7'; i++)
        value = value << 3 | (uint64_t)(field[i] - '0');
    for (; i < length; i++)
        if (field[i] != ' ' && field[i] != 0) return 0;
    *out = value;
    return 1;
}

static int is_zero(const uint8_t *bytes, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (bytes[i]) return 0;
    return 1;
}

int fp_is_tar_header(const uint8_t *block) {
    uint64_t stored, plain = 0;
    int64_t with_signs = 0; /* some old tars sum signed bytes */
    for (int i = 0; i < FP_TAR_BLOCK; i++) {
        uint8_t byte = i >= CHECKSUM && i < CHECKSUM + CHECKSUM_BYTES ? ' ' : block[i];
        plain += byte;
        with_signs += (int8_t)byte;
    }
    if (!block[NAME] && !block[PREFIX]) return 0;
    return read_number(block + CHECKSUM, CHECKSUM_BYTES, &stored) &&
           (stored == plain || (int64_t)stored == with_signs);
}

/* Only padding may follow the end mark. Else archives were joined, and the second one would be
   lost. */
static int check_tail(archive *tar) {
    uint64_t end =
        tar->size - tar->position < MAX_TAIL_BYTES ? tar->size : tar->position + MAX_TAIL_BYTES;
    while (tar->position < end) {
        uint64_t left = end - tar->position;
        size_t length = left < BUFFER_BYTES ? (size_t)left : BUFFER_BYTES;
        const uint8_t *bytes = peek(tar, tar->position, length);
        if (!bytes) return tar->outcome->status;
        if (!is_zero(bytes, length))
            return fail(tar, FP_BAD_ARCHIVE, "the archive has data after its end mark");
        tar->position += length;
    }
    return FP_OK;
}

static int keep_name(archive *tar, const uint8_t *name, size_t length) {
    const uint8_t *end = memchr(name, 0, length);
    if (end) length = (size_t)(end - name);
    if (length == 0 || length > MAX_NAME_BYTES)
        return fail(tar, FP_BAD_ARCHIVE, "a name is empty or too long");
    uint8_t *own = fp_scratch_reserve(&tar->name, length);
    if (!own) return fail(tar, FP_NO_MEMORY, "no memory for a name");
    memcpy(own, name, length);
    tar->name_length = length;
    return FP_OK;
}

/* Reads a pax record "LENGTH KEY=VALUE\n"; LENGTH counts the whole record. Returns the next one. */
static const uint8_t *read_pax_record(archive *tar, const uint8_t *at, const uint8_t *end,
                                      fp_bytes *key, fp_bytes *value) {
    uint64_t length = 0;
    const uint8_t *begin = at;
    while (at < end && isdigit(*at) && length < MAX_EXTENDED_BYTES)
        length = 10 * length + (uint64_t)(*at++ - '0');
    if (at < end && *at == ' ' && length <= (uint64_t)(end - begin) &&
        length > (uint64_t)(at + 1 - begin)) {
        const uint8_t *last = begin + length - 1;
        const uint8_t *equals = memchr(at + 1, '=', (size_t)(last - at - 1));
        if (equals && *last == '\n') {
            *key = (fp_bytes){at + 1, equals};
            *value = (fp_bytes){equals + 1, last};
            return last + 1;
        }
    }
    fail(tar, FP_BAD_ARCHIVE, "a pax header is damaged");
    return NULL;
}

static int is_word(fp_bytes bytes, const char *word) {
    size_t length = strlen(word);
    return (size_t)(bytes.end - bytes.at) == length && memcmp(bytes.at, word, length) == 0;
}

static int begins_with(fp_bytes bytes, const char *word) {
    size_t length = strlen(word);
    return (size_t)(bytes.end - bytes.at) >= length && memcmp(bytes.at, word, length) == 0;
}

static int keep_size(archive *tar, fp_bytes digits) {
    uint64_t size = 0;
    for (; digits.at < digits.end; digits.at++) {
        if (!isdigit(*digits.at) || size > UINT64_MAX / 10 - 1)
            return fail(tar, FP_BAD_ARCHIVE, "a pax size is not a number");
        size = 10 * size + (uint64_t)(*digits.at - '0');
    }
    tar->has_size = 1;
    tar->member_size = size;
    return FP_OK;
}

static int read_pax(archive *tar, const uint8_t *at, size_t length, int is_global) {
    const uint8_t *end = at + length;
    fp_bytes key, value, name = {NULL, NULL};
    while (at < end) {
        if (!(at = read_pax_record(tar, at, end, &key, &value))) return tar->outcome->status;
        if (begins_with(key, "GNU.sparse."))
            return fail(tar, FP_BAD_ARCHIVE, "a member is stored sparse");
        if (is_global) continue;
        if (is_word(key, "path")) name = value;
        if (is_word(key, "size") && keep_size(tar, value)) return tar->outcome->status;
    }
    return name.at ? keep_name(tar, name.at, (size_t)(name.end - name.at)) : FP_OK;
}

/* Reads an extended header: a pax header, or a long name. */
static int read_extended(archive *tar, uint8_t type, uint64_t offset, uint64_t size) {
    if (size > MAX_EXTENDED_BYTES)
        return fail(tar, FP_BAD_ARCHIVE, "an extended header claims more than 1 MiB");
    fp_scratch body = {NULL, 0};
    uint8_t *bytes = fp_scratch_reserve(&body, size);
    int status = FP_OK;
    if (!bytes) status = fail(tar, FP_NO_MEMORY, "no memory for an extended header");
    else if (fp_pread(tar->fd, bytes, size, offset, tar->number, tar->outcome))
        status = tar->outcome->status;
    else if (type == 'L') status = keep_name(tar, bytes, size);
    else if (type != 'K') status = read_pax(tar, bytes, size, type == 'g');
    fp_scratch_free(&body);
    return status;
}

static int read_plain_name(archive *tar, const uint8_t *block) {
    uint8_t name[PREFIX_BYTES + 1 + NAME_BYTES];
    size_t length = 0;
    /* GNU's own magic has other fields in place of the prefix */
    int is_ustar = memcmp(block + MAGIC, "ustar\0", 6) == 0;
    if (is_ustar && block[PREFIX]) {
        length = strnlen((const char *)block + PREFIX, PREFIX_BYTES);
        memcpy(name, block + PREFIX, length);
        name[length++] = '/';
    }
    size_t rest = strnlen((const char *)block + NAME, NAME_BYTES);
    memcpy(name + length, block + NAME, rest);
    return keep_name(tar, name, length + rest);
}

static int grow_members(fp_members *members, size_t name_length) {
    if (members->num_members == members->member_capacity) {
        size_t capacity = members->member_capacity ? 2 * members->member_capacity : 1024;
        fp_member *grown = realloc(members->own_members, capacity * sizeof *grown);
        if (!grown) return 0;
        members->own_members = grown;
        members->member_capacity = capacity;
    }
    if (name_length > members->names_capacity - members->names_length) {
        size_t capacity = 2 * members->names_capacity + name_length + 4096;
        uint8_t *grown = realloc(members->own_names, capacity);
        if (!grown) return 0;
        members->own_names = grown;
        members->names_capacity = capacity;
    }
    return 1;
}

/* Returns the length of the name up to the first dot of its last part. 0 if there is no dot, or if
   nothing precedes or follows it. */
static size_t key_length_of(const uint8_t *name, size_t length) {
    size_t last_part = length;
    while (last_part > 0 && name[last_part - 1] != '/') last_part--;
    const uint8_t *dot = memchr(name + last_part, '.', length - last_part);
    return dot && dot > name + last_part && dot + 1 < name + length ? (size_t)(dot - name) : 0;
}

/* A name without a key belongs to no sample. As in WebDataset, neither does __notes__.txt at the
   top. */
static int is_note(const uint8_t *name, size_t length) {
    return length >= 4 && !memchr(name, '/', length) && memcmp(name, "__", 2) == 0 &&
           memcmp(name + length - 2, "__", 2) == 0;
}

static int number_suffix(archive *tar, fp_members *members, const uint8_t *suffix, size_t length,
                         int32_t *out) {
    uint8_t lower[MAX_SUFFIX_BYTES];
    if (length > MAX_SUFFIX_BYTES)
        return fail(tar, FP_BAD_ARCHIVE, "the name has an ending of more than 255 bytes");
    for (size_t i = 0; i < length; i++) lower[i] = (uint8_t)tolower(suffix[i]);
    fp_bytes name = {lower, lower + length};
    int32_t before =
        members->num_members ? members->own_members[members->num_members - 1].suffix : -1;
    int status = fp_features_find(&members->suffixes, &name, before, out);
    if (status == FP_RECORD_LIMIT)
        return fail(tar, FP_BAD_ARCHIVE, "the names have more different endings than the limit");
    return status ? fail(tar, status, "no memory for the members") : FP_OK;
}

static int add_member(archive *tar, fp_members *members, uint64_t offset, uint64_t size) {
    const uint8_t *name = tar->name.own_bytes;
    size_t length = tar->name_length, key_length = key_length_of(name, length);
    if (key_length == 0 || is_note(name, length)) {
        members->num_passed_over++;
        return FP_OK;
    }
    if (!grow_members(members, key_length))
        return fail(tar, FP_NO_MEMORY, "no memory for the members");
    fp_member member = {offset, size, members->names_length, (uint32_t)key_length, -1, 0};
    if (number_suffix(tar, members, name + key_length + 1, length - key_length - 1, &member.suffix))
        return tar->outcome->status;
    if (members->num_members) {
        const fp_member *before = &members->own_members[members->num_members - 1];
        int is_same = before->key_length == key_length &&
                      memcmp(members->own_names + before->name_offset, name, key_length) == 0;
        member.sample = before->sample + !is_same;
        if (is_same) member.name_offset = before->name_offset;
    }
    if (member.name_offset == members->names_length) {
        memcpy(members->own_names + members->names_length, name, key_length);
        members->names_length += key_length;
    }
    members->own_members[members->num_members++] = member;
    return FP_OK;
}

static int refuse_type(archive *tar, uint8_t type) {
    switch (type) {
    case '1':
    case '2': return fail(tar, FP_BAD_ARCHIVE, "a member is a link");
    case 'S': return fail(tar, FP_BAD_ARCHIVE, "a member is stored sparse");
    case 'M': return fail(tar, FP_BAD_ARCHIVE, "a member began in another volume");
    default: return fail(tar, FP_BAD_ARCHIVE, "a member is not a plain file");
    }
}

/* Returns 1 after a member or folder, 0 at the end, -1 after a failure. */
static int next_member(archive *tar, fp_members *members) {
    const uint8_t *block = peek(tar, tar->position, FP_TAR_BLOCK);
    uint64_t size;
    if (!block) return -1;
    if (is_zero(block, FP_TAR_BLOCK)) return check_tail(tar) ? -1 : 0;
    if (!fp_is_tar_header(block)) {
        fail(tar, FP_BAD_DATA_CRC, "a header differs from its checksum");
        return -1;
    }
    uint8_t type = block[TYPE];
    int is_extended = type == 'x' || type == 'g' || type == 'L' || type == 'K';
    if (!read_number(block + SIZE, SIZE_BYTES, &size)) {
        fail(tar, FP_BAD_DATA_CRC, "a header's size is not a number");
        return -1;
    }
    if (!is_extended && !tar->name_length && read_plain_name(tar, block)) return -1;
    if (!is_extended && tar->has_size) size = tar->member_size;
    int is_folder = type == '5';
    if (!is_extended) is_folder |= tar->name.own_bytes[tar->name_length - 1] == '/';
    int has_bytes = is_extended || (!is_folder && type != 'V');
    uint64_t offset = tar->position + FP_TAR_BLOCK;
    if (!has_bytes) size = 0;
    if (size > tar->size - offset) {
        fail(tar, FP_TRUNCATED, "a member goes past the archive's end");
        return -1;
    }
    int is_plain = type == '0' || type == 0 || type == '7';
    if (is_extended && read_extended(tar, type, offset, size)) return -1;
    if (has_bytes && !is_extended) {
        if (!is_plain) {
            refuse_type(tar, type);
            return -1;
        }
        if (add_member(tar, members, offset, size)) return -1;
    }
    if (!is_extended) {
        tar->name_length = 0;
        tar->has_size = 0;
        tar->number++;
    }
    uint64_t padding = (FP_TAR_BLOCK - size % FP_TAR_BLOCK) % FP_TAR_BLOCK;
    if (padding > tar->size - offset - size) {
        fail(tar, FP_TRUNCATED, "the archive ends inside a member");
        return -1;
    }
    tar->position = offset + size + padding;
    return 1;
}

int fp_list_members(int fd, uint64_t size, fp_members *members, fp_outcome *outcome) {
    archive *tar = calloc(1, sizeof *tar);
    if (!tar) return fp_fail(outcome, FP_NO_MEMORY, 0, 0, "no memory for the archive");
    tar->fd = fd;
    tar->size = size;
    tar->outcome = outcome;
    int more;
    while ((more = next_member(tar, members)) == 1) {}
    fp_scratch_free(&tar->name);
    free(tar);
    return more < 0 ? outcome->status : FP_OK;
}

void fp_members_free(fp_members *members) {
    free(members->own_members);
    free(members->own_names);
    fp_features_free(&members->suffixes);
    members->own_members = NULL;
    members->own_names = NULL;
}
