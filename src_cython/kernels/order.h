/* Keyed bijections of [0, n), and a stable hash of byte rows. */
#ifndef FASTPACK_ORDER_H
#define FASTPACK_ORDER_H
#include <stddef.h>
#include <stdint.h>

/* As many keys; see num_rounds for how many of them are used. */
#define FP_ORDER_ROUNDS 24

/* One of n numbers to another: a permutation for each (keys, tweak). `number` < n < 2^63. */
uint64_t fp_permute(uint64_t number, uint64_t n, uint64_t tweak, const uint64_t keys[FP_ORDER_ROUNDS]);
/* Undoes fp_permute. */
uint64_t fp_permute_back(uint64_t number, uint64_t n, uint64_t tweak, const uint64_t keys[FP_ORDER_ROUNDS]);

/* `count` numbers as fp_permute with the tweak 0 does, or with `back` fp_permute_back; faster than one by one. */
void fp_permute_all(const int64_t *numbers, int64_t count, uint64_t n, const uint64_t keys[FP_ORDER_ROUNDS], int back,
                    int64_t *out);

/* The same 64 bits for the same bytes and seed, on every machine and in every version. */
uint64_t fp_hash_bytes(const uint8_t *bytes, size_t length, uint64_t seed);
#endif
