/* Decompressors of HDF5 chunks: zlib and Zstandard through their libraries, LZF and BloscLZ here.

   LZF and BloscLZ are LZ77 formats: a control byte announces literal bytes, or a match: a copy of
   `length` bytes from `distance` bytes before. The tables give the control byte c first:

        LZF      c < 32: c + 1 literals
                 else:   length (c >> 5) + 2, plus a byte if c >> 5 is 7;
                         distance (c & 31) << 8 | byte, plus 1
        BloscLZ  c < 32: c + 1 literals; the first byte always is such, with marks in its upper bits
                 else:   length (c >> 5) + 2, plus bytes while they are 255 if c >> 5 is 7;
                         distance (c & 31) << 8 | byte, plus 1; if all 13 bits are set,
                        8191 + two bytes

   Both check each length against the bytes left in input and output. */
#include "decompress.h"

#include <libdeflate.h>
#include <string.h>
#include <zstd.h>

static const char NO_MEMORY[] = "no memory for a decompressor";

void fp_decompressor_free(fp_decompressor *decompressor) {
    if (decompressor->own_inflater) libdeflate_free_decompressor(decompressor->own_inflater);
    ZSTD_freeDCtx(decompressor->own_zstd_decoder);
}

const char *fp_decompress_deflate(fp_decompressor *decompressor, const uint8_t *data, size_t length,
                                  uint8_t *out, size_t capacity, size_t *out_length) {
    if (!decompressor->own_inflater) decompressor->own_inflater = libdeflate_alloc_decompressor();
    if (!decompressor->own_inflater) return NO_MEMORY;
    switch (libdeflate_zlib_decompress(decompressor->own_inflater, data, length, out, capacity,
                                       out_length)) {
        case LIBDEFLATE_SUCCESS: return NULL;
        case LIBDEFLATE_INSUFFICIENT_SPACE:
            return "deflated bytes are more than their dataset says";
        default: return "deflated bytes are damaged";
    }
}

static const char DAMAGED_ZSTD[] = "Zstandard bytes are damaged, or more than their dataset says";

const char *fp_decompress_zstd(fp_decompressor *decompressor, const uint8_t *data, size_t length,
                               uint8_t *out, size_t capacity, size_t *out_length) {
    if (!decompressor->own_zstd_decoder) decompressor->own_zstd_decoder = ZSTD_createDCtx();
    if (!decompressor->own_zstd_decoder) return NO_MEMORY;
    *out_length = ZSTD_decompressDCtx(decompressor->own_zstd_decoder, out, capacity, data, length);
    return ZSTD_isError(*out_length) ? DAMAGED_ZSTD : NULL;
}

const char *fp_decompress_zstd_prefix(fp_decompressor *decompressor, const uint8_t *data,
                                      size_t length, uint8_t *out, size_t needed) {
    if (!decompressor->own_zstd_decoder) decompressor->own_zstd_decoder = ZSTD_createDCtx();
    if (!decompressor->own_zstd_decoder) return NO_MEMORY;
    ZSTD_inBuffer in = {data, length, 0};
    ZSTD_outBuffer wanted = {out, needed, 0};
    ZSTD_DCtx_reset(decompressor->own_zstd_decoder, ZSTD_reset_session_only);
    while (wanted.pos < wanted.size) {
        size_t before = in.pos + wanted.pos;
        size_t left = ZSTD_decompressStream(decompressor->own_zstd_decoder, &wanted, &in);
        if (ZSTD_isError(left) || in.pos + wanted.pos == before) return DAMAGED_ZSTD;
    }
    return NULL;
}

/* Copies `length` bytes from `distance` before. The two may overlap: then the copy repeats
   itself. */
static uint8_t *repeat(uint8_t *out, size_t distance, size_t length) {
    const uint8_t *from = out - distance;
    if (distance >= length) memcpy(out, from, length);
    else if (distance == 1) memset(out, *from, length);
    else for (size_t i = 0; i < length; i++) out[i] = from[i];
    return out + length;
}

/* LZF (liblzf), see above. */
const char *fp_decompress_lzf(const uint8_t *data, size_t length, uint8_t *out, size_t capacity,
                              size_t *out_length) {
    static const char damaged[] = "LZF bytes are damaged, or more than their dataset says";
    const uint8_t *at = data, *end = data + length;
    uint8_t *to = out, *to_end = out + capacity;
    while (at < end) {
        size_t control = *at++;
        if (control < 32) {
            size_t run = control + 1;
            if (run > (size_t)(end - at) || run > (size_t)(to_end - to)) return damaged;
            memcpy(to, at, run);
            at += run;
            to += run;
            continue;
        }
        size_t copied = control >> 5, distance = (control & 31) << 8;
        if (copied == 7 && at < end) copied += *at++;
        if (at >= end) return damaged;
        distance += *at++ + 1u;
        copied += 2;
        if (distance > (size_t)(to - out) || copied > (size_t)(to_end - to)) return damaged;
        to = repeat(to, distance, copied);
    }
    *out_length = (size_t)(to - out);
    return NULL;
}

/* BloscLZ (c-blosc, after FastLZ), see above. */
const char *fp_decompress_blosclz(const uint8_t *data, size_t length, uint8_t *out, size_t capacity,
                                  size_t *out_length) {
    static const char damaged[] = "BloscLZ bytes are damaged, or more than their dataset says";
    const uint8_t *at = data, *end = data + length;
    uint8_t *to = out, *to_end = out + capacity;
    if (at == end) return damaged;
    size_t control = *at++ & 31;
    for (;;) {
        if (control < 32) {
            size_t run = control + 1;
            if (run > (size_t)(end - at) || run > (size_t)(to_end - to)) return damaged;
            memcpy(to, at, run);
            at += run;
            to += run;
        } else {
            size_t copied = (control >> 5) + 2, distance = (control & 31) << 8;
            uint8_t more = control >> 5 == 7 ? 255 : 0;
            while (more == 255) {
                if (at == end) return damaged;
                more = *at++;
                copied += more;
            }
            if (at == end) return damaged;
            uint8_t low = *at++;
            if (low == 255 && distance == 31u << 8) {
                if (end - at < 2) return damaged;
                distance = ((size_t)at[0] << 8 | at[1]) + 8191;
                at += 2;
            } else {
                distance += low;
            }
            distance++;
            if (distance > (size_t)(to - out) || copied > (size_t)(to_end - to)) return damaged;
            to = repeat(to, distance, copied);
        }
        if (at == end) break;
        control = *at++;
    }
    *out_length = (size_t)(to - out);
    return NULL;
}
