/* Huffman tables.

   A JPEG stores the number of codes of each length, 1 to 16 bits, and their symbols in order (T.81,
   annex C). The codes are canonical: those of one length are consecutive numbers, and a length
   begins at twice the number after the last shorter code. So a code is found by comparing it with
   one limit for each length.

   A symbol alone is not enough for a decoder: it says how many value bits follow. A table of 2^11
   entries is indexed by the next 11 bits. Its entries hold the length of the code and of the value,
   the run, and the value itself. Three tables have that index:
   - singles: one symbol. DC coefficients use them.
   - pairs: two symbols, if both fit 11 bits. AC coefficients use them; in photos that is the usual
     case.
   - limits and offsets: the slow path, for codes of 12 to 16 bits.

   Making the tables costs as much time as they save on 3,000 bytes of data (decode.c). So tables
   stay until an image has another code. The helpers of huffman.h read and write all packed
   words. */
#include "huffman.h"

#include <string.h>

/* Numbers the canonical codes. T.81 forbids a code of only ones; libjpeg checks the same. */
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

/* Fills the entries of codes of up to FP_LOOKUP_BITS. A code with a value that fits has entries for
   each value. */
static void fill_singles(fp_huffman *table) {
    const uint8_t *symbol = table->code.symbols;
    fp_symbol *entry = table->singles, *end = entry + FP_LOOKUP_SIZE;
    for (uint32_t length = 1; length <= FP_LOOKUP_BITS; length++) {
        for (uint32_t count = table->code.counts[length - 1]; count > 0; count--, symbol++) {
            uint32_t size = *symbol & 15, num_entries = FP_LOOKUP_SIZE >> length;
            if (length + size > FP_LOOKUP_BITS) {
                entry = fill(entry, fp_pack_code(*symbol, length), num_entries);
                continue;
            }
            for (uint32_t value = 0; value < 1u << size; value++)
                entry = fill(entry, fp_symbol_of(*symbol, length, value), num_entries >> size);
        }
    }
    memset(entry, 0, (size_t)(end - entry) * sizeof *entry);
}

/* Combines each single symbol with the next one, if the lookup shows both whole. */
static void fill_pairs(fp_huffman *table) {
    for (uint32_t i = 0; i < FP_LOOKUP_SIZE; i++) {
        fp_symbol first = table->singles[i];
        fp_symbol second = fp_pack_symbol(fp_symbol_value(first), 0, 0);
        uint32_t bits = fp_symbol_num_bits(first), move = bits ? fp_symbol_move(first) : 0;
        if (bits && move != FP_END_OF_BLOCK) {
            fp_symbol next = table->singles[i << bits & (FP_LOOKUP_SIZE - 1)];
            uint32_t next_bits = fp_symbol_num_bits(next);
            if (next_bits && bits + next_bits <= FP_LOOKUP_BITS) second = next;
        }
        table->pairs.steps[i] =
            fp_pack_steps(move, fp_symbol_move(second), bits + fp_symbol_num_bits(second));
        table->pairs.values[i] = fp_pack_values(fp_symbol_value(first), fp_symbol_value(second));
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
    table->is_made = 1;
    return 1;
}

fp_symbol fp_huffman_find(const fp_huffman *table, uint64_t bits) {
    uint32_t head = (uint32_t)(bits >> 48);
    uint32_t length = FP_LOOKUP_BITS + 1;
    while (length <= 16 && head >= table->limits[length]) length++;
    if (length > 16) return 0;
    int32_t index = (int32_t)(head >> (16 - length)) + table->offsets[length];
    return fp_symbol_at(bits, table->code.symbols[index], length);
}
