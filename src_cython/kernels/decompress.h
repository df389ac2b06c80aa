/* Decompressors. Each writes at most `capacity` bytes to `out`. It returns a message on failure,
   else NULL. */
#ifndef FASTPACK_DECOMPRESS_H
#define FASTPACK_DECOMPRESS_H
#include <stddef.h>
#include <stdint.h>

/* Working memory, allocated on first use. Zeros at first; for one thread at a time. */
typedef struct {
    struct libdeflate_decompressor *own_inflater;
    struct ZSTD_DCtx_s *own_zstd_decoder;
} fp_decompressor;

void fp_decompressor_free(fp_decompressor *decompressor);

/* A zlib stream. */
const char *fp_decompress_deflate(fp_decompressor *decompressor, const uint8_t *data, size_t length,
                                  uint8_t *out, size_t capacity, size_t *out_length);
/* A Zstandard frame. */
const char *fp_decompress_zstd(fp_decompressor *decompressor, const uint8_t *data, size_t length,
                               uint8_t *out, size_t capacity, size_t *out_length);
/* The first `needed` bytes of a Zstandard frame. Streaming costs one copy of them. */
const char *fp_decompress_zstd_prefix(fp_decompressor *decompressor, const uint8_t *data,
                                      size_t length, uint8_t *out, size_t needed);
const char *fp_decompress_lzf(const uint8_t *data, size_t length, uint8_t *out, size_t capacity,
                              size_t *out_length);
const char *fp_decompress_blosclz(const uint8_t *data, size_t length, uint8_t *out, size_t capacity,
                                  size_t *out_length);
#endif
