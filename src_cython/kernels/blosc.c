/* Decoding of Blosc, the block compressor of PyTables, hdf5plugin and Zarr.

   Words:
   - chunk: a header, a table of block offsets, and the blocks. HDF5 stores one in each of its
     chunks.
   - block: a part of the data that is filtered and compressed by itself. Only the last one may be
     shorter.
   - stream: a compressed piece of a block. A split block has a stream for each byte of its items.
   - filter: a reversible rearrangement before compression. Shuffle puts bytes of equal
     significance together, bit shuffle does so with bits (shuffle.c).
   - frame: Blosc2's container: a header with metalayers, chunks, a chunk with the chunks' offsets,
     and a trailer. The HDF5 filter writes frames with one chunk.
   - b2nd: the metalayer of arrays with several dimensions. Their blocks are boxes, not stretches.
   - special chunk: all items are zero, or the same; the chunk has no blocks.

   Method: find the chunk, read its header. For each block with needed bytes, decompress the
   streams, undo the filters in reverse order, and copy the block to its place. Block i's filters
   write alternately to two buffers; the last one writes to the output.

   Chunk header, little-endian:
        byte  0  version           4  uncompressed bytes (4)
              1  codec version     8  block bytes (4)
              2  flags            12  compressed bytes (4)
              3  item bytes       16  filters (6) ... 31  flags of the long header

   Flags (byte 2):
         7  6  5     4        3         2         1         0
        +---------+--------+-------+---------+--------+---------+
        |  codec  | whole  | delta |   bit   | copied | shuffle |
        |         | blocks |       | shuffle |        |         |
        +---------+--------+-------+---------+--------+---------+
   Both shuffle bits together mean a long header. Its flags (byte 31):
             7         6  5  4      3      2       1         0
        +-----------+-----------+------+------+--------+------------+
        |  instru-  |  special  | lazy |      | bigger | dictionary |
        |  mented   |           |      |      | header |            |
        +-----------+-----------+------+------+--------+------------+

   Limits. Every length is compared with the bytes left before it is used. Nothing is written past
   `capacity`. Dictionaries, lazy chunks, Snappy and user-defined codecs and filters are refused.

   Sources: README_CHUNK_FORMAT, README_CFRAME_FORMAT and README_B2ND_METALAYER of c-blosc2. */
#include "blosc.h"

#include <lz4.h>
#include <string.h>

#include "endian.h"
#include "parts.h"
#include "shuffle.h"

enum codec { BLOSCLZ = 0, LZ4 = 1, ZLIB = 3, ZSTD = 4 };
enum filter { NO_FILTER = 0, SHUFFLE = 1, BITSHUFFLE = 2, TRUNCATE = 4 };
enum special { PLAIN = 0, ZEROS = 1, NANS = 2, REPEATED = 3, ANYTHING = 4 };

#define NUM_SLOTS 6
#define SHORT_HEADER 16u
#define LONG_HEADER 32u
#define MAX_BYTES 0x7fffffffu /* the format's numbers are signed */

static const char DAMAGED[] = "a Blosc chunk is damaged";
static const char UNKNOWN[] =
    "a Blosc chunk uses a codec, a filter or a dictionary that fastpack cannot decode";
static const char NO_MEMORY[] = "no memory for a Blosc block";
static const char TOO_LONG[] = "a Blosc chunk is longer than its dataset says";

/* Bits of the flags; see the diagrams above. */
enum { FLAG_SHUFFLE = 0x01, FLAG_COPIED = 0x02, FLAG_BIT_SHUFFLE = 0x04, FLAG_DELTA = 0x08 };
enum { FLAG_WHOLE_BLOCKS = 0x10, LONG_HEADER_FLAGS = FLAG_SHUFFLE | FLAG_BIT_SHUFFLE };
enum { LONG_DICTIONARY = 0x01, LONG_BIGGER_HEADER = 0x02, LONG_LAZY = 0x08 };
enum { LONG_INSTRUMENTED = 0x80 };
enum { LONG_UNKNOWN = LONG_DICTIONARY | LONG_BIGGER_HEADER | LONG_LAZY | LONG_INSTRUMENTED };

static inline int codec_of(uint8_t flags) { return flags >> 5; }

static inline int has_long_header(uint8_t flags) {
    return (flags & LONG_HEADER_FLAGS) == LONG_HEADER_FLAGS;
}

static inline uint8_t filter_of(uint8_t flags) {
    if (flags & FLAG_SHUFFLE) return SHUFFLE;
    return flags & FLAG_BIT_SHUFFLE ? BITSHUFFLE : NO_FILTER;
}

static inline int special_of(uint8_t long_flags) { return long_flags >> 4 & 7; }

/* The parsed header of a chunk. */
typedef struct {
    const uint8_t *data;
    uint32_t length;
    uint32_t num_bytes;
    uint32_t block_bytes;
    uint32_t header_bytes;
    uint32_t type_bytes;
    int version;
    int codec;
    int is_copied;
    int is_split;
    int special;
    uint8_t filters[NUM_SLOTS];
} chunk_header;

void fp_blosc_decoder_free(fp_blosc_decoder *decoder) {
    fp_decompressor_free(&decoder->decompressor);
    fp_scratch_free(&decoder->streams);
    fp_scratch_free(&decoder->filtered);
    fp_scratch_free(&decoder->block);
}

static const char *read_long_header(chunk_header *chunk) {
    if (chunk->length < LONG_HEADER) return DAMAGED;
    uint8_t flags = chunk->data[31];
    chunk->header_bytes = LONG_HEADER;
    chunk->special = special_of(flags);
    for (int slot = 0; slot < NUM_SLOTS; slot++) {
        chunk->filters[slot] = chunk->data[16 + slot];
        int has_own_width = chunk->filters[slot] == SHUFFLE && chunk->data[24 + slot] != 0;
        if (has_own_width && chunk->data[24 + slot] != chunk->type_bytes) return UNKNOWN;
    }
    return flags & LONG_UNKNOWN ? UNKNOWN : NULL;
}

static const char *read_header(const uint8_t *data, size_t length, chunk_header *chunk) {
    if (length < SHORT_HEADER) return DAMAGED;
    uint8_t flags = data[2];
    *chunk = (chunk_header){.data = data,
                            .length = fp_load_le32(data + 12),
                            .num_bytes = fp_load_le32(data + 4),
                            .block_bytes = fp_load_le32(data + 8),
                            .header_bytes = SHORT_HEADER,
                            .type_bytes = data[3],
                            .version = data[0],
                            .codec = codec_of(flags),
                            .is_copied = (flags & FLAG_COPIED) != 0,
                            .is_split = !(flags & FLAG_WHOLE_BLOCKS)};
    if (chunk->length < SHORT_HEADER || chunk->length > length || chunk->type_bytes == 0)
        return DAMAGED;
    if (chunk->num_bytes > MAX_BYTES || chunk->block_bytes > MAX_BYTES) return DAMAGED;
    if (chunk->block_bytes == 0 && chunk->num_bytes > 0) return DAMAGED;
    if (has_long_header(flags)) return read_long_header(chunk);
    if (flags & FLAG_DELTA) return UNKNOWN;
    chunk->filters[0] = filter_of(flags);
    return NULL;
}

/* Blocks */

static uint32_t length_of_block(const chunk_header *chunk, uint32_t number) {
    uint32_t left = chunk->num_bytes - number * chunk->block_bytes;
    return left < chunk->block_bytes ? left : chunk->block_bytes;
}

static const char *decompress(fp_decompressor *decompressor, int codec, const uint8_t *data,
                              size_t length, uint8_t *out, size_t wanted) {
    size_t got = 0;
    const char *wrong = NULL;
    switch (codec) {
        case BLOSCLZ: wrong = fp_decompress_blosclz(data, length, out, wanted, &got); break;
        case ZLIB:
            wrong = fp_decompress_deflate(decompressor, data, length, out, wanted, &got);
            break;
        case ZSTD: wrong = fp_decompress_zstd(decompressor, data, length, out, wanted, &got); break;
        case LZ4: {
            int bytes = LZ4_decompress_safe((const char *)data, (char *)out, (int)length,
                                            (int)wanted);
            got = bytes > 0 ? (size_t)bytes : 0;
            break;
        }
        default: return UNKNOWN;
    }
    return wrong ? wrong : got == wanted ? NULL : DAMAGED;
}

/* Decompresses the streams of a block. A length of 0 or less is a run of one byte. */
static const char *read_streams(fp_blosc_decoder *decoder, const chunk_header *chunk,
                                const uint8_t *at, uint32_t length, int is_last, uint8_t *out) {
    const uint8_t *end = chunk->data + chunk->length;
    int is_partial = is_last && length < chunk->block_bytes;
    uint32_t num_streams = chunk->is_split && !is_partial ? chunk->type_bytes : 1;
    uint32_t wanted = length / num_streams;
    if (wanted * num_streams != length) return DAMAGED;
    for (uint32_t stream = 0; stream < num_streams; stream++, out += wanted) {
        if (end - at < 4) return DAMAGED;
        int32_t stored = (int32_t)fp_load_le32(at);
        at += 4;
        if (stored <= 0) {
            if (chunk->header_bytes == SHORT_HEADER || stored < -255) return DAMAGED;
            if (stored < 0 && (at == end || *at++ != 1)) return UNKNOWN;
            memset(out, -stored, wanted);
            continue;
        }
        if (stored > end - at) return DAMAGED;
        if ((uint32_t)stored == wanted) {
            memcpy(out, at, wanted);
        } else {
            const char *wrong = decompress(&decoder->decompressor, chunk->codec, at, (size_t)stored,
                                           out, wanted);
            if (wrong) return wrong;
        }
        at += stored;
    }
    return NULL;
}

static int does_nothing(const chunk_header *chunk, uint8_t filter) {
    return filter == NO_FILTER || filter == TRUNCATE ||
           (filter == SHUFFLE && chunk->type_bytes == 1);
}

static void undo(const chunk_header *chunk, uint8_t filter, const uint8_t *data, uint32_t length,
                 uint8_t *out) {
    size_t items = length / chunk->type_bytes;
    if (filter == SHUFFLE) fp_unshuffle(data, length, chunk->type_bytes, out);
    /* old versions left such blocks unshuffled */
    else if (chunk->version <= 2 && items % 8) memcpy(out, data, length);
    else fp_unshuffle_bits(data, length, chunk->type_bytes, out);
}

static const char *read_block(fp_blosc_decoder *decoder, const chunk_header *chunk, uint32_t number,
                              uint32_t num_blocks, uint8_t *out) {
    uint32_t length = length_of_block(chunk, number);
    uint32_t at = fp_load_le32(chunk->data + chunk->header_bytes + 4 * number);
    if (at < chunk->header_bytes || at > chunk->length) return DAMAGED;
    int waiting = 0;
    for (int slot = 0; slot < NUM_SLOTS; slot++)
        waiting += !does_nothing(chunk, chunk->filters[slot]);
    uint8_t *buffers[2] = {out, out};
    if (waiting > 0 && !(buffers[0] = fp_scratch_reserve(&decoder->streams, length)))
        return NO_MEMORY;
    if (waiting > 1 && !(buffers[1] = fp_scratch_reserve(&decoder->filtered, length)))
        return NO_MEMORY;
    const char *wrong = read_streams(decoder, chunk, chunk->data + at, length,
                                     number == num_blocks - 1, buffers[0]);
    if (wrong) return wrong;
    for (int slot = NUM_SLOTS - 1, room = 0; slot >= 0; slot--) {
        uint8_t filter = chunk->filters[slot];
        if (does_nothing(chunk, filter)) continue;
        if (filter != SHUFFLE && filter != BITSHUFFLE) return UNKNOWN;
        undo(chunk, filter, buffers[room], length, --waiting ? buffers[!room] : out);
        room = !room;
    }
    return NULL;
}

/* Special chunks store one item for all, or none. */
static const char *read_special(const chunk_header *chunk, uint8_t *out, size_t length) {
    if (chunk->special == ZEROS || chunk->special == ANYTHING) {
        memset(out, 0, length);
        return NULL;
    }
    if (chunk->special != REPEATED || chunk->length < chunk->header_bytes + chunk->type_bytes)
        return UNKNOWN;
    if (length % chunk->type_bytes) return DAMAGED;
    for (size_t done = 0; done < length; done += chunk->type_bytes)
        memcpy(out + done, chunk->data + chunk->header_bytes, chunk->type_bytes);
    return NULL;
}

/* The place of blocks: one after the other, or each in its box of the array. */
typedef struct {
    int rank; /* 0: one after the other */
    int64_t shape[FP_MAX_RANK];
    int64_t block_shape[FP_MAX_RANK];
    size_t item_bytes;
} arrangement;

static const char *read_chunk(fp_blosc_decoder *decoder, const chunk_header *chunk,
                              const arrangement *plan, fp_range wanted, uint8_t *out) {
    uint32_t num_blocks = chunk->num_bytes ? (chunk->num_bytes - 1) / chunk->block_bytes + 1 : 0;
    uint64_t table_end = chunk->header_bytes + 4ull * num_blocks;
    uint64_t needed =
        chunk->is_copied ? chunk->header_bytes + (uint64_t)chunk->num_bytes : table_end;
    if (needed > chunk->length) return DAMAGED;
    uint8_t *room =
        plan->rank ? fp_scratch_reserve(&decoder->block, length_of_block(chunk, 0)) : NULL;
    if (plan->rank && !room) return NO_MEMORY;
    for (uint32_t number = 0; number < num_blocks; number++) {
        size_t first = (size_t)number * chunk->block_bytes, length = length_of_block(chunk, number);
        fp_part box = {.to_first = first, .to_end = first + length};
        if (plan->rank)
            box = fp_part_of(plan->rank, plan->shape, plan->block_shape, number, plan->item_bytes);
        if (box.to_end <= wanted.first || box.to_first >= wanted.end) continue;
        uint8_t *to = plan->rank ? room : out + first;
        const char *wrong = NULL;
        if (chunk->is_copied) memcpy(to, chunk->data + chunk->header_bytes + first, length);
        else wrong = read_block(decoder, chunk, number, num_blocks, to);
        if (wrong) return wrong;
        if (plan->rank) fp_copy_part(&box, room, out);
    }
    return NULL;
}

const char *fp_decode_blosc(fp_blosc_decoder *decoder, const uint8_t *data, size_t length,
                            fp_range wanted, uint8_t *out, size_t capacity, size_t *out_length) {
    chunk_header chunk;
    const arrangement plan = {0};
    const char *wrong = read_header(data, length, &chunk);
    if (wrong) return wrong;
    if (chunk.num_bytes > capacity) return TOO_LONG;
    *out_length = chunk.num_bytes;
    if (chunk.special != PLAIN) return read_special(&chunk, out, chunk.num_bytes);
    return read_chunk(decoder, &chunk, &plan, wanted, out);
}

/* Frames */

#define FRAME_HEADER 0x57 /* where the metalayers begin */
#define FRAME_MAGIC "\xa8" "b2frame"

/* Reads a msgpack array of `rank` signed integers. Each is a marker and `width` bytes. */
static const uint8_t *read_sizes(const uint8_t *at, const uint8_t *end, int rank, int width,
                                 int64_t *sizes) {
    uint8_t mark = width == 8 ? 0xd3 : 0xd2;
    if (!at || end - at < 1 + rank * (1 + width) || *at++ != (0x90 | rank)) return NULL;
    for (int axis = 0; axis < rank; axis++, at += width) {
        if (*at++ != mark) return NULL;
        uint64_t size = width == 8 ? fp_load_be64(at) : fp_load_be32(at);
        if (size == 0 || size > MAX_BYTES) return NULL;
        sizes[axis] = (int64_t)size;
    }
    return at;
}

/* Returns the product of the sizes, at most MAX_BYTES + 1. */
static uint64_t product(int rank, const int64_t *sizes, uint64_t factor) {
    for (int axis = 0; axis < rank && factor <= MAX_BYTES; axis++) factor *= (uint64_t)sizes[axis];
    return factor <= MAX_BYTES ? factor : (uint64_t)MAX_BYTES + 1;
}

static const char *read_arrangement(const uint8_t *at, const uint8_t *end, arrangement *plan) {
    int64_t chunk_shape[FP_MAX_RANK];
    if (end - at < 8 || at[0] != 0xc6) return DAMAGED;
    at += 5; /* the marker and the length of the content */
    int rank = at[2];
    if (at[0] >> 4 != 9 || rank < 1 || rank > FP_MAX_RANK) return UNKNOWN;
    plan->rank = rank;
    at = read_sizes(at + 3, end, rank, 8, plan->shape);
    at = read_sizes(at, end, rank, 4, chunk_shape);
    at = read_sizes(at, end, rank, 4, plan->block_shape);
    if (!at || memcmp(plan->shape, chunk_shape, (size_t)rank * sizeof *chunk_shape)) return UNKNOWN;
    return NULL;
}

/* Looks for the metalayer `b2nd`, which describes how an array is divided into blocks. */
static const char *find_arrangement(const uint8_t *frame, size_t header_bytes, arrangement *plan) {
    const uint8_t *at = frame + FRAME_HEADER, *end = frame + header_bytes;
    if (end - at < 7 || at[0] != 0x93 || at[1] != 0xcd || at[4] != 0xde) return DAMAGED;
    uint32_t count = fp_load_be16(at + 5);
    for (at += 7; count > 0; count--) {
        size_t name_length = at < end ? *at & 0x1f : 0;
        if (at >= end || *at >> 5 != 5 || (size_t)(end - at) < 6 + name_length ||
            at[1 + name_length] != 0xd2)
            return DAMAGED;
        uint32_t content = fp_load_be32(at + 2 + name_length);
        if (content >= header_bytes) return DAMAGED;
        if (name_length == 4 && !memcmp(at + 1, "b2nd", 4))
            return read_arrangement(frame + content, end, plan);
        at += 6 + name_length;
    }
    return NULL;
}

/* The chunk after the last has the offset of the chunk. A negative offset is a special chunk. */
static const char *find_chunk(fp_blosc_decoder *decoder, const uint8_t *frame, size_t length,
                              size_t header_bytes, const uint8_t **chunk) {
    uint8_t place[8];
    size_t place_bytes = 0;
    uint64_t stored = fp_load_be64(frame + 0x27);
    if (stored > length - header_bytes) return DAMAGED;
    const char *wrong = fp_decode_blosc(decoder, frame + header_bytes + stored,
                                        length - header_bytes - stored, (fp_range){0, 8}, place, 8,
                                        &place_bytes);
    if (wrong) return wrong;
    if (place_bytes != 8) return DAMAGED;
    uint64_t offset = fp_load_le64(place);
    *chunk = NULL;
    if (offset >> 63) return (offset >> 56 & 0x7f) == ZEROS ? NULL : UNKNOWN;
    if (offset > length - header_bytes) return DAMAGED;
    *chunk = frame + header_bytes + offset;
    return NULL;
}

/* Blocks of several dimensions fill the chunk, past the array's edges. */
static int fits(const chunk_header *chunk, const arrangement *plan) {
    if (plan->rank == 0 || chunk->special != PLAIN) return 1;
    int64_t num_blocks = fp_num_parts(plan->rank, plan->shape, plan->block_shape);
    return product(plan->rank, plan->block_shape, plan->item_bytes) == chunk->block_bytes &&
           chunk->num_bytes % chunk->block_bytes == 0 &&
           (int64_t)(chunk->num_bytes / chunk->block_bytes) == num_blocks;
}

const char *fp_decode_blosc2(fp_blosc_decoder *decoder, const uint8_t *data, size_t length,
                             fp_range wanted, uint8_t *out, size_t capacity, size_t *out_length) {
    static const char not_a_frame[] = "a Blosc2 chunk is not a valid frame";
    if (length < FRAME_HEADER || memcmp(data + 1, FRAME_MAGIC, 8)) return not_a_frame;
    size_t header_bytes = fp_load_be32(data + 0x0b);
    if (header_bytes < FRAME_HEADER || header_bytes > length || fp_load_be64(data + 0x10) > length)
        return not_a_frame;
    arrangement plan = {.item_bytes = fp_load_be32(data + 0x30)};
    const uint8_t *at = NULL;
    chunk_header chunk;
    const char *wrong = find_arrangement(data, header_bytes, &plan);
    if (!wrong) wrong = find_chunk(decoder, data, length, header_bytes, &at);
    if (!wrong && at) wrong = read_header(at, (size_t)(data + length - at), &chunk);
    if (wrong) return wrong;
    if (plan.item_bytes == 0 || (at && !fits(&chunk, &plan))) return DAMAGED;
    uint64_t num_bytes =
        plan.rank ? product(plan.rank, plan.shape, plan.item_bytes) : fp_load_be64(data + 0x1e);
    if (at && !plan.rank) num_bytes = chunk.num_bytes;
    if (num_bytes > capacity) return TOO_LONG;
    *out_length = num_bytes;
    if (at && chunk.special == PLAIN) return read_chunk(decoder, &chunk, &plan, wanted, out);
    if (at) return read_special(&chunk, out, num_bytes);
    memset(out, 0, num_bytes);
    return NULL;
}
