#include "huffman.h"

#include <string.h>

/* Codes are canonical: those of each length count on from where the shorter ones ended. No code may be all ones. */
static int number_codes(fp_huffman *table, int is_dc) {
    uint32_t code = 0, index = 0, longest = 16;
    while (longest > 0 && table->code.counts[longest - 1] == 0) longest--;
    for (uint32_t length = 1; length <= 16; length++) {
        uint32_t count = table->code.counts[length - 1];
        table->offsets[length] = (int32_t)index - (int32_t)code;
        code += count;
        index += count;
        if (index > 256 || (length <= longest && code >= 1u << length)) return 0;
        table->limits[length] = code << (16 - length);
        code <<= 1;
    }
    for (uint32_t i = 0; is_dc && i < index; i++)
        if (table->code.symbols[i] > 15) return 0;
    return 1;
}

static fp_symbol *fill(fp_symbol *entry, fp_symbol symbol, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) *entry++ = symbol;
    return entry;
}

/* Every value of a code that fits with it has entries of its own. */
static void fill_singles(fp_huffman *table) {
    const uint8_t *symbol = table->code.symbols;
    fp_symbol *entry = table->singles, *end = entry + FP_LOOKUP_SIZE;
    for (uint32_t length = 1; length <= FP_LOOKUP_BITS; length++) {
        for (uint32_t count = table->code.counts[length - 1]; count > 0; count--, symbol++) {
            uint32_t size = *symbol & 15, num_entries = FP_LOOKUP_SIZE >> length;
            if (length + size > FP_LOOKUP_BITS) {
                entry = fill(entry, (uint32_t)*symbol << 16 | length << 8, num_entries);
                continue;
            }
            for (uint32_t value = 0; value < 1u << size; value++)
                entry = fill(entry, fp_symbol_of(*symbol, length, value), num_entries >> size);
        }
    }
    memset(entry, 0, (size_t)(end - entry) * sizeof *entry);
}

static void fill_pairs(fp_huffman *table) {
    for (uint32_t i = 0; i < FP_LOOKUP_SIZE; i++) {
        fp_symbol first = table->singles[i], second = first & 0xffff0000u;
        uint32_t bits = first & 0xff, move = bits ? first >> 8 & 0xff : 0;
        if (bits && move != FP_END_OF_BLOCK) {
            fp_symbol behind = table->singles[i << bits & (FP_LOOKUP_SIZE - 1)];
            if ((behind & 0xff) && bits + (behind & 0xff) <= FP_LOOKUP_BITS) second = behind;
        }
        table->pairs.steps[i] = (second >> 8 & 0xff) << 16 | move << 8 | (bits + (second & 0xff));
        table->pairs.values[i] = (second & 0xffff0000u) | first >> 16;
    }
}

void fp_huffman_clear(fp_huffman *table) {
    memset(&table->code, 0, sizeof table->code);
    table->is_made = 0;
}

int fp_huffman_make(fp_huffman *table, const fp_huffman_code *code, int is_dc, int at_once) {
    int is_same = memcmp(&table->code, code, sizeof *code) == 0;
    if (is_same && table->is_made) return 1;
    table->is_made = 0;
    table->code = *code;
    if (!is_same && !at_once) return 0;
    if (!number_codes(table, is_dc)) return 0;
    fill_singles(table);
    if (!is_dc) fill_pairs(table);
    return table->is_made = 1;
}

fp_symbol fp_huffman_find(const fp_huffman *table, uint64_t bits) {
    uint32_t head = (uint32_t)(bits >> 48), length = FP_LOOKUP_BITS + 1;
    while (length <= 16 && head >= table->limits[length]) length++;
    if (length > 16) return 0;
    return fp_symbol_at(bits, table->code.symbols[(int32_t)(head >> (16 - length)) + table->offsets[length]], length);
}
