/* Decompressors of bytes. Each fills `out`, of which it writes no more than `capacity`, and returns what is wrong, or NULL. */
#ifndef FASTPACK_EXPAND_H
#define FASTPACK_EXPAND_H
#include <stddef.h>
#include <stdint.h>

/* Working memory, made when first needed: begins as zeros, for one thread at a time. */
typedef struct {
    struct libdeflate_decompressor *own_inflater;
    struct ZSTD_DCtx_s *own_unzstd;
} fp_expander;

void fp_expander_free(fp_expander *expander);

/* A zlib stream. */
const char *fp_expand_deflate(fp_expander *expander, const uint8_t *data, size_t length, uint8_t *out, size_t capacity,
                              size_t *out_length);
/* A Zstandard frame. */
const char *fp_expand_zstd(fp_expander *expander, const uint8_t *data, size_t length, uint8_t *out, size_t capacity,
                           size_t *out_length);
/* Only the first `needed` bytes of one, which fill `out`; piece by piece costs a copy of what is decoded. */
const char *fp_expand_zstd_beginning(fp_expander *expander, const uint8_t *data, size_t length, uint8_t *out,
                                     size_t needed);
const char *fp_expand_lzf(const uint8_t *data, size_t length, uint8_t *out, size_t capacity, size_t *out_length);
const char *fp_expand_blosclz(const uint8_t *data, size_t length, uint8_t *out, size_t capacity, size_t *out_length);
#endif
