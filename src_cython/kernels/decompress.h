/* Decompressors of bytes. Each fills `out`, of which it writes no more than `capacity`, and returns what is wrong, or NULL. */
#ifndef FASTPACK_DECOMPRESS_H
#define FASTPACK_DECOMPRESS_H
#include <stddef.h>
#include <stdint.h>

/* Working memory, made when first needed: begins as zeros, for one thread at a time. */
typedef struct {
    struct libdeflate_decompressor *own_inflater;
    struct ZSTD_DCtx_s *own_zstd_decoder;
} fp_decompressor;

void fp_decompressor_free(fp_decompressor *decompressor);

/* A zlib stream. */
const char *fp_decompress_deflate(fp_decompressor *decompressor, const uint8_t *data, size_t length, uint8_t *out, size_t capacity,
                              size_t *out_length);
/* A Zstandard frame. */
const char *fp_decompress_zstd(fp_decompressor *decompressor, const uint8_t *data, size_t length, uint8_t *out, size_t capacity,
                           size_t *out_length);
/* Only the first `needed` bytes of one, which fill `out`; piece by piece costs a copy of what is decoded. */
const char *fp_decompress_zstd_prefix(fp_decompressor *decompressor, const uint8_t *data, size_t length, uint8_t *out,
                                     size_t needed);
const char *fp_decompress_lzf(const uint8_t *data, size_t length, uint8_t *out, size_t capacity, size_t *out_length);
const char *fp_decompress_blosclz(const uint8_t *data, size_t length, uint8_t *out, size_t capacity, size_t *out_length);
#endif
