/* Entropy decoding of baseline and extended sequential JPEG (ITU-T T.81, annex F).

   Words:
   - block: 8 x 8 coefficients. The first is the DC coefficient, the others are AC coefficients.
   - MCU: minimum coded unit, the blocks of all components that belong together. With 4:2:0 these
     are four blocks of luma and one of each chroma.
   - symbol: a Huffman code and the value bits after it. For DC, the value is the difference from
     the previous block's DC coefficient. For AC, the symbol is a run of zeros and a value.
   - zigzag order: the order of coefficients in the data, from low to high frequencies.
   - stuffing: a byte 0xff in the data is followed by a zero, so that 0xff and another byte is a
     marker.
   - lane: one position in the data, with its bits and DC predictions.

   Method. Huffman decoding is a dependency chain: a symbol's first bit is known when the previous
   symbol is decoded. So the cost of an image is the number of lookups times their latency.
   1. The data is copied up to the next marker without stuffing. So the bit reader needs no branch.
   2. A lookup of 11 bits gives up to two symbols with their values (huffman.h).
   3. A refill loads 8 bytes and needs no branch. It leaves at least 56 bits, enough for a DC
      symbol and four lookups.
   4. Checks wait until the end of a block or an MCU. Positions past the block are stored to the
      place of the DC coefficient, which is written last.
   5. With seek points, two lanes decode alternately. The processor works on one while it waits for
      a lookup of the other.

   Invariants. Reads and writes stay in bounds for all inputs:
   - zigzag_order has an entry for every position that a lookup can reach (huffman.h).
   - An MCU takes at most MCU_BYTES. PAD zero bytes follow the copy. Before each MCU, `next` is at
     most 8 bytes past its end. So a refill never reads past the pad.
   - Any flaw returns 0, and libjpeg decodes the image again from its beginning. This file never
     decides which flaws are acceptable.

   Sources: T.81; F. Giesen, "Reading bits in far too many ways" (2018), for the refill. */
#include "entropy.h"

#include <string.h>

#include "idct.h"

enum {
    MCU_BYTES = FP_MAX_BLOCKS * 64 * 4, /* 64 symbols of at most 31 bits for each block */
    PAD = MCU_BYTES + 64,
    LOOKUPS = 4, /* 4 x 11 bits: 56 bits less a DC symbol of up to 11 bits */
};

/* Zigzag order (T.81, figure A.6). Positions past the block map to the DC coefficient's place,
   which is written last. */
static const uint8_t zigzag_order[FP_NUM_PLACES] = {
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
};

/* Segments: stretches of data between markers */

/* Copies data up to the next marker. Returns the end of the copy. If no marker follows, or if it
   has fill bytes, returns an empty copy: libjpeg warns of either, depending on how far it reads
   ahead. */
static uint8_t *unstuff(const uint8_t *data, const uint8_t *end, uint8_t *copy,
                        const uint8_t **marker) {
    uint8_t *out = copy;
    for (;;) {
        const uint8_t *found = data < end ? memchr(data, 0xff, (size_t)(end - data)) : NULL;
        size_t length = (size_t)((found ? found : end) - data);
        memcpy(out, data, length);
        out += length;
        if (!found || found + 1 == end || found[1] == 0xff) return copy;
        if (found[1] != 0) {
            *marker = found;
            return out;
        }
        *out++ = 0xff;
        data = found + 2;
    }
}

/* Copies a piece that ends inside the data. Returns NULL if it contains a marker. */
static uint8_t *unstuff_piece(const uint8_t *data, const uint8_t *end, uint8_t *out) {
    while (data < end) {
        const uint8_t *found = memchr(data, 0xff, (size_t)(end - data));
        size_t length = (size_t)((found ? found + 1 : end) - data);
        memcpy(out, data, length);
        out += length;
        data += length + 1;
        if (found && data <= end && data[-1] != 0) return NULL;
    }
    return out;
}

static void start_segment(fp_entropy *e, const uint8_t *data) {
    e->marker = NULL;
    uint8_t *end = unstuff(data, e->data_end, e->copy.own_bytes, &e->marker);
    memset(end, 0, PAD);
    e->end = end;
    e->restarts_left = e->restart_interval;
    e->lane = (fp_lane){.next = e->copy.own_bytes};
}

int fp_entropy_start(fp_entropy *entropy, const uint8_t *data, size_t length) {
    if (!fp_scratch_reserve(&entropy->copy, length + PAD)) return FP_NO_MEMORY;
    entropy->data_end = data + length;
    entropy->next_restart = 0;
    start_segment(entropy, data);
    return FP_OK;
}

int fp_entropy_reserve(fp_entropy *entropy, size_t length) {
    if (!fp_scratch_reserve(&entropy->copy, length + PAD)) return FP_NO_MEMORY;
    entropy->end = entropy->copy.own_bytes;
    return FP_OK;
}

int64_t fp_entropy_add(fp_entropy *entropy, const uint8_t *data, size_t length) {
    uint8_t *begin = entropy->copy.own_bytes + (entropy->end - entropy->copy.own_bytes);
    uint8_t *end = unstuff_piece(data, data + length, begin);
    if (!end) return -1;
    memset(end, 0, PAD);
    entropy->end = end;
    return begin - entropy->copy.own_bytes;
}

const uint8_t *fp_entropy_stuffed(const fp_entropy *entropy, const uint8_t *data, uint64_t from,
                                  uint64_t to) {
    for (uint64_t left = to - from; left > 0;) {
        size_t rest = (size_t)(entropy->data_end - data);
        const uint8_t *found = memchr(data, 0xff, left < rest ? left : rest);
        if (!found) return data + left;
        left -= (uint64_t)(found + 1 - data);
        data = found + 2;
    }
    return data;
}

void fp_entropy_free(fp_entropy *entropy) { fp_scratch_free(&entropy->copy); }

static int64_t bits_left(const fp_entropy *e) {
    return (e->end - e->lane.next) * 8 + e->lane.count;
}

int fp_entropy_is_sound(const fp_entropy *entropy) { return bits_left(entropy) >= 0; }

/* True if less than a byte is left before the marker `code`. */
static int is_before_marker(const fp_entropy *e, uint8_t code) {
    int64_t left = bits_left(e);
    return left >= 0 && left < 8 && e->marker && e->marker[1] == code;
}

int fp_entropy_is_at_end(const fp_entropy *entropy) { return is_before_marker(entropy, 0xd9); }

static int restart(fp_entropy *e) {
    if (!is_before_marker(e, (uint8_t)(0xd0 + e->next_restart))) return 0;
    e->next_restart = (e->next_restart + 1) % 8;
    start_segment(e, e->marker + 2);
    return 1;
}

/* Bits. All functions are inlined, so that the structs live in registers. */

typedef struct {
    uint64_t bits;
    uint32_t count;        /* only its lowest 6 bits are valid */
    const uint8_t *next;
    uint64_t lookup_shift;
} bit_reader;

/* A shift by a variable can write to another register than it reads from, which saves a move in the
   chain. The empty asm hides the constant from the compiler. */
FP_INLINE bit_reader start_reading(const fp_lane *lane) {
    uint64_t lookup_shift = 64 - FP_LOOKUP_BITS;
    __asm__("" : "+r"(lookup_shift));
    return (bit_reader){lane->bits, lane->count, lane->next, lookup_shift};
}

FP_INLINE void stop_reading(fp_lane *lane, const bit_reader *r) {
    lane->bits = r->bits;
    lane->count = r->count & 63;
    lane->next = r->next;
}

FP_INLINE uint64_t load_be64(const uint8_t *p) {
    uint64_t value;
    memcpy(&value, p, sizeof value);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

/* Fills the reader to at least 56 bits, without a branch (Giesen). */
FP_INLINE void refill(bit_reader *r) {
    r->bits |= load_be64(r->next) >> (r->count & 63);
    r->next += ~r->count >> 3 & 7;
    r->count |= 56;
}

void fp_entropy_seek(const fp_entropy *entropy, fp_lane *lane, uint64_t bit,
                     const int16_t *predictions) {
    *lane = (fp_lane){.next = entropy->copy.own_bytes + bit / 8};
    for (int c = 0; c < FP_MAX_COMPONENTS; c++) lane->predictions[c] = predictions[c];
    bit_reader r = start_reading(lane);
    refill(&r);
    r.bits <<= bit % 8;
    r.count -= bit % 8;
    stop_reading(lane, &r);
}

uint64_t fp_entropy_tell(const fp_entropy *entropy, const fp_lane *lane) {
    return (uint64_t)(lane->next - entropy->copy.own_bytes) * 8 - lane->count;
}

FP_INLINE uint64_t look_up(const bit_reader *r) { return r->bits >> r->lookup_shift; }

/* Drops the bits of a symbol. Takes the packed word: its low byte is num_bits, below 64, and
   `count` needs only its lowest 6 bits. So no mask is needed. */
FP_INLINE void take(bit_reader *r, uint32_t symbol) {
    r->bits <<= symbol & 63;
    r->count -= symbol;
}

/* Takes a symbol that the table does not hold whole. Returns 0 if it is not valid. */
FP_INLINE fp_symbol take_long(bit_reader *r, const fp_huffman *table, fp_symbol entry) {
    refill(r);
    fp_symbol found =
        entry ? fp_symbol_at(r->bits, fp_code_run_and_size(entry), fp_code_bits(entry))
              : fp_huffman_find(table, r->bits);
    take(r, found);
    refill(r);
    return found;
}

/* Decodes a DC coefficient. Returns 0 if it is not valid. */
FP_INLINE int decode_dc(bit_reader *r, const fp_coded_component *component, int32_t *prediction) {
    refill(r);
    fp_symbol dc = component->dc->singles[look_up(r)];
    if (__builtin_expect(fp_symbol_num_bits(dc) == 0, 0)) {
        dc = take_long(r, component->dc, dc);
        if (dc == 0) return 0;
    } else {
        take(r, dc);
    }
    *prediction += fp_symbol_value(dc);
    return *prediction == (int16_t)*prediction;
}

/* Decodes one block. Returns 0 if it is not valid. */
FP_INLINE int decode_block(bit_reader *reader, const fp_coded_component *component,
                           int32_t *prediction, int16_t *block, uint8_t *last) {
    bit_reader r = *reader;
    if (__builtin_expect(!decode_dc(&r, component, prediction), 0)) return 0;
    const fp_symbol_pairs *pairs = &component->ac->pairs;
    uint32_t at = 0;
    while (at < 63) {
        bit_reader before = r;
        uint32_t first = 0;
        for (int i = 0; i < LOOKUPS && at < 63; i++) {
            before = r;
            uint64_t index = look_up(&r);
            uint32_t steps = pairs->steps[index];
            if (__builtin_expect(fp_steps_num_bits(steps) == 0, 0)) {
                fp_symbol found = take_long(&r, component->ac, component->ac->singles[index]);
                if (found == 0) return 0;
                at += fp_symbol_move(found);
                first = at;
                if (block) block[zigzag_order[at]] = (int16_t)fp_symbol_value(found);
                continue;
            }
            take(&r, steps);
            first = at + fp_steps_first_move(steps);
            at = first + fp_steps_second_move(steps);
            if (!block) continue;
            uint32_t values = pairs->values[index];
            block[zigzag_order[first]] = fp_first_value(values);
            block[zigzag_order[at]] = fp_second_value(values);
        }
        if (first == 63 && at > 63) { /* the second symbol belongs to the next block */
            r = before;
            take(&r, component->ac->singles[look_up(&r)]);
            at = 63;
        } else if (at < 63) {
            refill(&r);
        }
    }
    *reader = r;
    uint32_t end = at < FP_END_OF_BLOCK ? at : at - FP_END_OF_BLOCK;
    if (block) {
        block[0] = (int16_t)*prediction;
        *last = (uint8_t)end;
    }
    return end < 63 || at == 63;
}

/* One of the MCU's blocks, and where it is stored. */
typedef struct {
    const fp_coded_component *component;
    int32_t *prediction;
    int16_t *coefficients;
    uint8_t *last;
    uint32_t per_mcu;        /* distance to the same block of the next MCU, in blocks */
} coded_block;

FP_INLINE uint32_t list_blocks(fp_entropy *e, fp_lane *lane, const fp_coefficients *out,
                               coded_block blocks[FP_MAX_BLOCKS]) {
    coded_block *block = blocks;
    for (uint32_t c = 0; c < e->num_components; c++) {
        const fp_coded_component *component = &e->components[c];
        for (uint32_t y = 0; y < component->down; y++) {
            for (uint32_t x = 0; x < component->across; x++) {
                *block = (coded_block){component, &lane->predictions[c], NULL, NULL,
                                       component->across};
                if (out && out[c].coefficients) {
                    size_t number = (size_t)y * out[c].row_blocks + x;
                    block->coefficients = out[c].coefficients + number * FP_BLOCK;
                    block->last = out[c].last + number;
                }
                block++;
            }
        }
    }
    return (uint32_t)(block - blocks);
}

FP_INLINE int decode_mcu(bit_reader *r, coded_block *blocks, uint32_t num_blocks) {
    for (coded_block *block = blocks; block < blocks + num_blocks; block++) {
        if (!block->coefficients) {
            if (!decode_block(r, block->component, block->prediction, NULL, NULL)) return 0;
            continue;
        }
        if (!decode_block(r, block->component, block->prediction, block->coefficients, block->last))
            return 0;
        block->coefficients += block->per_mcu * FP_BLOCK;
        block->last += block->per_mcu;
    }
    return 1;
}

FP_INLINE int decode_mcus(fp_entropy *e, uint32_t num_mcus, const fp_coefficients *out) {
    coded_block blocks[FP_MAX_BLOCKS];
    uint32_t num_blocks = list_blocks(e, &e->lane, out, blocks);
    bit_reader r = start_reading(&e->lane);
    int sound = 1;
    for (uint32_t mcu = 0; mcu < num_mcus && sound; mcu++) {
        if (e->restart_interval) {
            if (e->restarts_left == 0) {
                stop_reading(&e->lane, &r);
                if (!restart(e)) return 0;
                r = start_reading(&e->lane);
            }
            e->restarts_left--;
        }
        /* A refill may have read 8 bytes ahead. The next MCU then still ends inside the pad. */
        sound = r.next <= e->end + 8 && decode_mcu(&r, blocks, num_blocks);
    }
    stop_reading(&e->lane, &r);
    return sound;
}

/* Two lanes

   The lanes take turns after each lookup. Blocks end at different times in the two lanes. So each
   lane keeps its position in the loop over blocks as a state. `step` advances it by one lookup. */

typedef struct {
    bit_reader r;
    const fp_symbol_pairs *pairs;
    int16_t *block;
    uint32_t at;
    /* not in one struct, so that all this may live in registers */
    coded_block *here, *blocks, *end;
    uint32_t mcus_left;
    const uint8_t *limit;    /* of `r.next` before an MCU */
} lane_state;

FP_INLINE int begin_block(lane_state *t) {
    const coded_block *here = t->here;
    t->block = here->coefficients;
    t->pairs = &here->component->ac->pairs;
    t->at = 0;
    return decode_dc(&t->r, here->component, here->prediction);
}

/* Ends a block and begins the next one. Returns 0 when the lane ends: with mcus_left == 0 if all
   MCUs are decoded, else because the data is not valid. */
FP_INLINE int next_block(lane_state *t, int stores) {
    coded_block *here = t->here;
    uint32_t end = t->at < FP_END_OF_BLOCK ? t->at : t->at - FP_END_OF_BLOCK;
    if (__builtin_expect(end >= 63 && t->at != 63, 0)) return 0;
    if (stores) {
        t->block[0] = (int16_t)*here->prediction;
        *here->last = (uint8_t)end;
        here->coefficients += here->per_mcu * FP_BLOCK;
        here->last += here->per_mcu;
    }
    if (++here == t->end) {
        here = t->blocks;
        if (__builtin_expect(t->r.next > t->limit, 0)) return 0;
        if (--t->mcus_left == 0) return 0;
    }
    t->here = here;
    if (__builtin_expect(!begin_block(t), 0)) return 0;
    return 1;
}

/* One lookup. Returns 0 when the lane ends, as next_block does. */
FP_INLINE int step(lane_state *t, int stores) {
    bit_reader before = t->r;
    uint32_t first;
    uint64_t index = look_up(&t->r);
    uint32_t steps = t->pairs->steps[index];
    if (__builtin_expect(fp_steps_num_bits(steps) == 0, 0)) {
        const fp_huffman *table = t->here->component->ac;
        fp_symbol found = take_long(&t->r, table, table->singles[index]);
        if (found == 0) return 0;
        t->at += fp_symbol_move(found);
        first = t->at;
        if (stores) t->block[zigzag_order[t->at]] = (int16_t)fp_symbol_value(found);
    } else {
        take(&t->r, steps);
        first = t->at + fp_steps_first_move(steps);
        t->at = first + fp_steps_second_move(steps);
        if (stores) {
            uint32_t values = t->pairs->values[index];
            t->block[zigzag_order[first]] = fp_first_value(values);
            t->block[zigzag_order[t->at]] = fp_second_value(values);
        }
    }
    if (t->at < 63) return 1;
    if (first == 63 && t->at > 63) { /* the second symbol belongs to the next block */
        t->r = before;
        take(&t->r, t->here->component->ac->singles[index]);
        t->at = 63;
    }
    return next_block(t, stores);
}

/* Starts a lane. Unwanted blocks go to a dummy block: an unconditional store beats a branch. */
FP_INLINE int begin_lane(lane_state *t, coded_block *blocks, fp_entropy *e, fp_lane *lane,
                         uint32_t num_mcus, const fp_coefficients *out) {
    t->blocks = blocks;
    t->here = blocks;
    t->end = blocks + list_blocks(e, lane, out, blocks);
    for (coded_block *block = blocks; block < t->end; block++)
        if (!block->coefficients)
            *block = (coded_block){block->component, block->prediction, e->unwanted,
                                   &e->unwanted_last, 0};
    t->mcus_left = num_mcus;
    t->limit = e->end + 8;
    t->r = start_reading(lane);
    return t->r.next <= t->limit && begin_block(t);
}

/* Decodes the rest of a lane, two lookups after each refill. One of them may begin a block. */
FP_INLINE int finish_lane(lane_state *t, int stores) {
    do {
        refill(&t->r);
    } while (step(t, stores) && step(t, stores));
    return t->mcus_left == 0;
}

FP_INLINE int decode_two_lanes(fp_entropy *e, uint32_t num_mcus, const fp_coefficients *out,
                               const fp_coefficients *second, int stores) {
    lane_state a, b;
    coded_block blocks[2][FP_MAX_BLOCKS];
    if (num_mcus == 0) return 1;
    if (!begin_lane(&a, blocks[0], e, &e->lane, num_mcus, out)) return 0;
    if (!begin_lane(&b, blocks[1], e, &e->second, num_mcus, second)) return 0;
    b.r.lookup_shift = a.r.lookup_shift; /* one register for both */
    int sound;
    for (;;) {
        refill(&a.r);
        refill(&b.r);
        if (!step(&a, stores)) { sound = a.mcus_left == 0 && finish_lane(&b, stores); break; }
        if (!step(&b, stores)) { sound = b.mcus_left == 0 && finish_lane(&a, stores); break; }
        if (!step(&a, stores)) { sound = a.mcus_left == 0 && finish_lane(&b, stores); break; }
        if (!step(&b, stores)) { sound = b.mcus_left == 0 && finish_lane(&a, stores); break; }
    }
    stop_reading(&e->lane, &a.r);
    stop_reading(&e->second, &b.r);
    return sound;
}

static int decode_plain(fp_entropy *e, uint32_t num_mcus, const fp_coefficients *out) {
    return decode_mcus(e, num_mcus, out);
}
static int skip_plain(fp_entropy *e, uint32_t num_mcus) { return decode_mcus(e, num_mcus, NULL); }
static int decode_both_plain(fp_entropy *e, uint32_t num_mcus, const fp_coefficients *out,
                             const fp_coefficients *second) {
    return decode_two_lanes(e, num_mcus, out, second, 1);
}
static int skip_both_plain(fp_entropy *e, uint32_t num_mcus) {
    return decode_two_lanes(e, num_mcus, NULL, NULL, 0);
}

#if FP_HAS_AVX2
FP_AVX2 static int decode_bmi2(fp_entropy *e, uint32_t num_mcus, const fp_coefficients *out) {
    return decode_mcus(e, num_mcus, out);
}
FP_AVX2 static int skip_bmi2(fp_entropy *e, uint32_t num_mcus) {
    return decode_mcus(e, num_mcus, NULL);
}
FP_AVX2 static int decode_both_bmi2(fp_entropy *e, uint32_t num_mcus, const fp_coefficients *out,
                                    const fp_coefficients *second) {
    return decode_two_lanes(e, num_mcus, out, second, 1);
}
FP_AVX2 static int skip_both_bmi2(fp_entropy *e, uint32_t num_mcus) {
    return decode_two_lanes(e, num_mcus, NULL, NULL, 0);
}
#endif

int fp_entropy_decode(fp_entropy *entropy, uint32_t num_mcus, const fp_coefficients *out) {
#if FP_HAS_AVX2
    if (fp_may_use_avx2())
        return out ? decode_bmi2(entropy, num_mcus, out) : skip_bmi2(entropy, num_mcus);
#endif
    return out ? decode_plain(entropy, num_mcus, out) : skip_plain(entropy, num_mcus);
}

int fp_entropy_decode_both(fp_entropy *entropy, uint32_t num_mcus, const fp_coefficients *out,
                           const fp_coefficients *second) {
#if FP_HAS_AVX2
    if (fp_may_use_avx2())
        return out ? decode_both_bmi2(entropy, num_mcus, out, second)
                   : skip_both_bmi2(entropy, num_mcus);
#endif
    return out ? decode_both_plain(entropy, num_mcus, out, second)
               : skip_both_plain(entropy, num_mcus);
}
