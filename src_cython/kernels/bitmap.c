/* Bitmaps of rows, as filters and splits keep them: one bit for each row of the source.

   Words:
   - position: the number of a set bit among the set bits. A dataset's sample number is a position.
   - row: the number of a bit. It is a row of the source.
   - rank: the number of set bits before a row.
   - select: the inverse of rank. It turns a position into a row.
   - superblock, block: 65,536 and 1,024 bits. Each superblock has its rank in 8 bytes. Each block
     has its rank within the superblock in 2 bytes. Both together are 1.7% of the bitmap.

   Method: a select finds the superblock by binary search, and the block by binary search within
   it. It counts at most 15 words to find the word. Arithmetic on all bytes of the word at once
   finds the bit (Vigna, "Broadword implementation of rank/select queries", 2008). At 10^9 rows the
   superblocks' ranks are 122 KB and stay in the second-level cache. A select then misses the cache
   for two lines: the blocks' ranks and the words. Positions are looked up in groups, so that the
   misses of a group overlap.

   There are no POPCNT or PDEP instructions: wheels are portable, and the misses dominate.

   Invariant: no ranks, whatever they are, lead to a read outside the arrays. */
#include "bitmap.h"

#define GROUP 32
#define BLOCKS_PER_SUPER (FP_SUPER_WORDS / FP_BLOCK_WORDS)
#define ONES UINT64_C(0x0101010101010101)
#define TOPS UINT64_C(0x8080808080808080)

/* The number of set bits of each byte. */
static inline uint64_t byte_counts(uint64_t word) {
    word -= word >> 1 & UINT64_C(0x5555555555555555);
    word = (word & UINT64_C(0x3333333333333333)) + (word >> 2 & UINT64_C(0x3333333333333333));
    return (word + (word >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
}

static inline int popcount(uint64_t word) { return (int)(byte_counts(word) * ONES >> 56); }

/* The bit of the set bit number `position`; 64 if the word has no more than `position`. */
static inline int select_in_word(uint64_t word, int position) {
    uint64_t up_to = byte_counts(word) * ONES; /* set bits up to and with each byte */
    if (position >= (int)(up_to >> 56)) return 64;
    uint64_t passed = (((uint64_t)position * ONES | TOPS) - up_to) & TOPS;
    int first_bit = (int)((passed >> 7) * ONES >> 56) * 8;
    int left = position - (int)((up_to << 8) >> first_bit & 0xff);
    uint64_t byte = word >> first_bit & 0xff;
    while (left--) byte &= byte - 1;
    return first_bit + __builtin_ctzll(byte);
}

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

int64_t fp_bitmap_count(const uint64_t *words, int64_t num_words, int64_t *supers,
                        uint16_t *blocks) {
    int64_t total = 0, within = 0;
    for (int64_t first = 0; first < num_words; first += FP_BLOCK_WORDS) {
        if (first % FP_SUPER_WORDS == 0) {
            supers[first / FP_SUPER_WORDS] = total;
            within = 0;
        }
        blocks[first / FP_BLOCK_WORDS] = (uint16_t)within;
        int64_t end = least(first + FP_BLOCK_WORDS, num_words);
        int64_t count = 0;
        for (int64_t i = first; i < end; i++) count += popcount(words[i]);
        total += count;
        within += count;
    }
    return total;
}

/* The last superblock whose rank is at most `position`. */
static int64_t super_of(const fp_bitmap *bitmap, int64_t position) {
    int64_t first = 0, length = (bitmap->num_words + FP_SUPER_WORDS - 1) / FP_SUPER_WORDS;
    while (length > 1) {
        int64_t half = length / 2;
        if (bitmap->supers[first + half] <= position) first += half;
        length -= half;
    }
    return first;
}

/* The last block of a superblock whose rank within it is at most `left`. */
static int64_t block_of(const fp_bitmap *bitmap, int64_t super, int64_t left) {
    int64_t first = super * BLOCKS_PER_SUPER;
    int64_t num_blocks = (bitmap->num_words + FP_BLOCK_WORDS - 1) / FP_BLOCK_WORDS;
    int64_t length = least(BLOCKS_PER_SUPER, num_blocks - first);
    while (length > 1) {
        int64_t half = length / 2;
        if (bitmap->blocks[first + half] <= left) first += half;
        length -= half;
    }
    return first;
}

/* The row of the set bit number `left` of a block. */
static int64_t row_in(const fp_bitmap *bitmap, int64_t block, int64_t left) {
    int64_t i = block * FP_BLOCK_WORDS, last = least(i + FP_BLOCK_WORDS, bitmap->num_words) - 1;
    for (; i < last; i++) {
        int count = popcount(bitmap->words[i]);
        if (left < count) break;
        left -= count;
    }
    return i * 64 + select_in_word(bitmap->words[i], (int)least(left, 64));
}

static void select_group(const fp_bitmap *bitmap, const int64_t *positions, int count,
                         int64_t *out) {
    int64_t blocks[GROUP], left[GROUP];
    for (int i = 0; i < count; i++) {
        blocks[i] = super_of(bitmap, positions[i]);
        left[i] = (int64_t)((uint64_t)positions[i] - (uint64_t)bitmap->supers[blocks[i]]);
        __builtin_prefetch(bitmap->blocks + blocks[i] * BLOCKS_PER_SUPER);
    }
    for (int i = 0; i < count; i++) {
        blocks[i] = block_of(bitmap, blocks[i], left[i]);
        left[i] -= least(left[i], bitmap->blocks[blocks[i]]); /* less only if ranks are wrong */
        __builtin_prefetch(bitmap->words + blocks[i] * FP_BLOCK_WORDS);
    }
    for (int i = 0; i < count; i++) out[i] = row_in(bitmap, blocks[i], left[i]);
}

int64_t fp_bitmap_select(const fp_bitmap *bitmap, const int64_t *positions, int64_t count,
                         int64_t *out) {
    for (int64_t i = 0; i < count; i++)
        if (positions[i] < 0 || positions[i] >= bitmap->count) return i;
    for (int64_t i = 0; i < count; i += GROUP)
        select_group(bitmap, positions + i, (int)least(GROUP, count - i), out + i);
    return count;
}

int64_t fp_bitmap_rows(const uint64_t *words, int64_t num_words, int64_t row, int64_t count,
                       int64_t *out) {
    int64_t i = row / 64, found = 0;
    if (row < 0 || i >= num_words) return 0;
    uint64_t bits = words[i] & ~UINT64_C(0) << (row % 64);
    while (found < count) {
        while (!bits) {
            if (++i == num_words) return found;
            bits = words[i];
        }
        out[found++] = i * 64 + __builtin_ctzll(bits);
        bits &= bits - 1;
    }
    return found;
}

int64_t fp_bitmap_set(uint64_t *words, int64_t num_rows, const int64_t *rows, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        if (rows[i] < 0 || rows[i] >= num_rows) return i;
        words[rows[i] / 64] |= UINT64_C(1) << (rows[i] % 64);
    }
    return count;
}

/* 64 bits from bit `position` on; bits past the end are 0. */
static inline uint64_t bits_at(const uint64_t *words, int64_t num_words, int64_t position) {
    int64_t i = position / 64;
    int shift = (int)(position % 64);
    uint64_t bits = i < num_words ? words[i] >> shift : 0;
    return shift && i + 1 < num_words ? bits | words[i + 1] << (64 - shift) : bits;
}

/* The set bits of `word` whose number is a set bit of `chosen` (the PDEP instruction). Slices choose
   all bits of most words. */
static inline uint64_t deposit(uint64_t chosen, uint64_t word, int count) {
    uint64_t all = count < 64 ? (UINT64_C(1) << count) - 1 : ~UINT64_C(0);
    if ((chosen & all) == all) return word;
    uint64_t kept = 0;
    for (chosen &= all; chosen; chosen >>= 1, word &= word - 1)
        kept |= (word & -word) & -(chosen & 1);
    return kept;
}

void fp_bitmap_keep(const uint64_t *inner, int64_t num_inner_words, const uint64_t *outer,
                    int64_t num_outer_words, uint64_t *out) {
    int64_t position = 0;
    for (int64_t i = 0; i < num_inner_words; i++) {
        int count = popcount(inner[i]);
        uint64_t chosen = count ? bits_at(outer, num_outer_words, position) : 0;
        out[i] = deposit(chosen, inner[i], count);
        position += count;
    }
}
