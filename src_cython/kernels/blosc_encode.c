/* Writes Blosc2 frames: the header, one chunk, a chunk with the first one's offset, the trailer.
   Numbers in frames are msgpack, big-endian after a marker byte; numbers in chunks are
   little-endian. blosc.c describes the formats. */
#include <lz4.h>
#include <string.h>
#include <zstd.h>

#include "blosc.h"
#include "endian.h"
#include "shuffle.h"

/* bytes of each part */
#define FRAME_HEADER 97
#define CHUNK_HEADER 32
#define PLACE_CHUNK (CHUNK_HEADER + 8)
#define TRAILER 35
#define BLOCK_BYTES (1u << 17)
/* the format's numbers are signed, and a frame is a little longer than its chunk */
#define MAX_BYTES 0x7ffe0000u

static size_t block_bytes(size_t length, uint32_t type_bytes) {
    size_t block = BLOCK_BYTES / type_bytes * type_bytes;
    return length < block ? length : block;
}

size_t fp_bound_blosc2(size_t length) {
    return FRAME_HEADER + CHUNK_HEADER + length + 8 * (length / (BLOCK_BYTES / 2) + 1) +
           PLACE_CHUNK + TRAILER;
}

/* Writes a msgpack number: a marker, then the number. */
static uint8_t *put(uint8_t *at, uint8_t mark, uint64_t value, int width) {
    *at++ = mark;
    for (int i = width - 1; i >= 0; i--) *at++ = (uint8_t)(value >> (8 * i));
    return at;
}

static uint8_t *put_no_metalayers(uint8_t *at) {
    static const uint8_t none[10] = {0x93, 0xcd, 0, 6, 0xde, 0, 0, 0xdc, 0, 0};
    memcpy(at, none, sizeof none);
    return at + sizeof none;
}

static void write_frame_header(const fp_blosc2_plan *plan, size_t length, size_t chunk_length,
                               size_t frame_length, uint8_t *at) {
    memcpy(at, "\x9e\xa8" "b2frame\0", 10);
    at = put(at + 10, 0xd2, FRAME_HEADER, 4);
    at = put(at, 0xcf, frame_length, 8);
    /* flags: format 2 with 64-bit offsets, contiguous; codec and level; split automatically */
    at = put(at, 0xa4, 0x12000000u | (plan->codec | plan->level << 4) << 8 | 0x03, 4);
    at = put(at, 0xd3, length, 8);
    at = put(at, 0xd3, chunk_length, 8);
    at = put(at, 0xd2, plan->type_bytes, 4);
    at = put(at, 0xd2, block_bytes(length, plan->type_bytes), 4);
    at = put(at, 0xd2, length, 4);
    at = put(at, 0xd1, 1, 2);
    at = put(at, 0xd1, 1, 2);
    *at++ = 0xc2; /* nothing in the trailer */
    *at++ = 0xd8;
    *at++ = 6;
    memset(at, 0, 16);
    at[5] = plan->shuffles;
    at[6] = (uint8_t)plan->codec;
    put_no_metalayers(at + 16);
}

static void write_chunk_header(const fp_blosc2_plan *plan, size_t length, size_t chunk_length,
                               uint8_t *at) {
    int format = plan->codec == FP_BLOSC_ZSTD ? 4 : 1;
    memset(at, 0, CHUNK_HEADER);
    at[0] = 5; /* version of the format */
    at[1] = 1; /* version of the codec */
    at[2] = (uint8_t)(0x05 | 0x10 | format << 5); /* long header, whole blocks */
    at[3] = (uint8_t)plan->type_bytes;
    fp_store_le32(at + 4, (uint32_t)length);
    fp_store_le32(at + 8, (uint32_t)block_bytes(length, plan->type_bytes));
    fp_store_le32(at + 12, (uint32_t)chunk_length);
    at[21] = plan->shuffles;
}

/* The chunk of offsets has one offset: 0, where the chunks begin. */
static uint8_t *write_end(uint8_t *at) {
    static const uint8_t place[16] = {5, 1, 0x07, 8, 8, 0, 0, 0, 8, 0, 0, 0, PLACE_CHUNK, 0, 0, 0};
    memset(at, 0, PLACE_CHUNK + TRAILER);
    memcpy(at, place, sizeof place);
    at += PLACE_CHUNK;
    *at++ = 0x94;
    *at++ = 1;
    at = put_no_metalayers(at);
    at = put(at, 0xce, TRAILER, 4);
    *at++ = 0xd8;
    return at + 17; /* no fingerprint */
}

/* Compresses to fewer bytes than the block, or copies it. */
static size_t compress_block(ZSTD_CCtx *zstd, const fp_blosc2_plan *plan, const uint8_t *block,
                             size_t length, uint8_t *out) {
    size_t room = length - 1, got = 0;
    if (plan->codec == FP_BLOSC_ZSTD) {
        got = ZSTD_compressCCtx(zstd, out, room, block, length,
                                plan->level < 9 ? 2 * (int)plan->level - 1 : ZSTD_maxCLevel());
        if (ZSTD_isError(got)) got = 0;
    } else if (room > 0) {
        int bytes = LZ4_compress_fast((const char *)block, (char *)out, (int)length, (int)room,
                                      10 - (int)plan->level);
        got = bytes > 0 ? (size_t)bytes : 0;
    }
    if (got == 0) memcpy(out, block, length);
    return got ? got : length;
}

const char *fp_encode_blosc2(ZSTD_CCtx *zstd, fp_scratch *shuffled, const fp_blosc2_plan *plan,
                             const uint8_t *data, size_t length, uint8_t *out, size_t *out_length) {
    size_t block = block_bytes(length, plan->type_bytes);
    size_t num_blocks = length ? (length - 1) / block + 1 : 0;
    uint8_t *chunk = out + FRAME_HEADER, *starts = chunk + CHUNK_HEADER;
    uint8_t *at = starts + 4 * num_blocks;
    if (length > MAX_BYTES) return "blosc2: a chunk is too long";
    for (size_t number = 0; number < num_blocks; number++) {
        const uint8_t *from = data + number * block;
        size_t wanted = length - number * block < block ? length - number * block : block;
        if (plan->shuffles && plan->type_bytes > 1) {
            uint8_t *room = fp_scratch_reserve(shuffled, wanted);
            if (!room) return "no memory for a block";
            fp_shuffle(from, wanted, plan->type_bytes, room);
            from = room;
        }
        size_t stored = compress_block(zstd, plan, from, wanted, at + 4);
        fp_store_le32(starts + 4 * number, (uint32_t)(at - chunk));
        fp_store_le32(at, (uint32_t)stored);
        at += 4 + stored;
    }
    size_t chunk_length = (size_t)(at - chunk);
    write_chunk_header(plan, length, chunk_length, chunk);
    *out_length = (size_t)(write_end(at) - out);
    write_frame_header(plan, length, chunk_length, *out_length, out);
    return NULL;
}
