/* Keyed permutations of [0, n), and a stable hash of byte rows. */
#ifndef FASTPACK_ORDER_H
#define FASTPACK_ORDER_H
#include <stddef.h>
#include <stdint.h>

/* the number of keys; num_rounds returns how many are used */
#define FP_ORDER_ROUNDS 24

/* Permutes `number` < n < 2^63. Each (keys, tweak) is another permutation. */
uint64_t fp_permute(uint64_t number, uint64_t n, uint64_t tweak,
                    const uint64_t keys[FP_ORDER_ROUNDS]);
/* The inverse of fp_permute. */
uint64_t fp_permute_back(uint64_t number, uint64_t n, uint64_t tweak,
                         const uint64_t keys[FP_ORDER_ROUNDS]);

/* Applies fp_permute with tweak 0, or fp_permute_back, to `count` numbers. Faster than one by
   one. */
void fp_permute_all(const int64_t *numbers, int64_t count, uint64_t n,
                    const uint64_t keys[FP_ORDER_ROUNDS], int back, int64_t *out);

/* Returns the same 64 bits for the same bytes and seed, on every machine and in every version. */
uint64_t fp_hash_bytes(const uint8_t *bytes, size_t length, uint64_t seed);
#endif
