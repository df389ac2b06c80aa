/* Reference of HDF5's filters: the same libraries, called once for a block of memory. */
#include <libdeflate.h>
#include <lz4.h>
#include <stdint.h>
#include <zstd.h>

enum { GZIP, LZ4, ZSTD };

/* Made once for each thread, so that no run allocates their memory. */
static __thread struct libdeflate_compressor *compressor;
static __thread struct libdeflate_decompressor *decompressor;
static __thread ZSTD_CCtx *zstd_compressor;
static __thread ZSTD_DCtx *zstd_decompressor;

static int make_contexts(void) {
    if (!compressor) compressor = libdeflate_alloc_compressor(4);
    if (!decompressor) decompressor = libdeflate_alloc_decompressor();
    if (!zstd_compressor) zstd_compressor = ZSTD_createCCtx();
    if (!zstd_decompressor) zstd_decompressor = ZSTD_createDCtx();
    return compressor && decompressor && zstd_compressor && zstd_decompressor;
}

/* Returns the number of bytes written, 0 if it failed. */
int64_t codec_loop(int codec, int compresses, const uint8_t *in, uint64_t in_length, uint8_t *out,
                   uint64_t capacity) {
    size_t made = 0;
    if (!make_contexts()) return 0;
    if (codec == LZ4) {
        const char *source = (const char *)in;
        char *target = (char *)out;
        int length = compresses
                         ? LZ4_compress_default(source, target, (int)in_length, (int)capacity)
                         : LZ4_decompress_safe(source, target, (int)in_length, (int)capacity);
        return length > 0 ? length : 0;
    }
    if (codec == ZSTD) {
        made = compresses ? ZSTD_compressCCtx(zstd_compressor, out, capacity, in, in_length, 3)
                          : ZSTD_decompressDCtx(zstd_decompressor, out, capacity, in, in_length);
        return ZSTD_isError(made) ? 0 : (int64_t)made;
    }
    if (compresses)
        return (int64_t)libdeflate_zlib_compress(compressor, in, in_length, out, capacity);
    enum libdeflate_result result =
        libdeflate_zlib_decompress(decompressor, in, in_length, out, capacity, &made);
    return result == LIBDEFLATE_SUCCESS ? (int64_t)made : 0;
}
