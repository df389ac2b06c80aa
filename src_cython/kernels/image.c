/* Headers of JPEG, PNG, WebP, BMP, TIFF and GIF: format, size, channels, EXIF orientation.

   Each format has one function, and each checks every length in the file against the bytes left.
   Where decoders accept a truncated file without an error (PNG, BMP), the function looks for its
   end. Files come from strangers: no number of the file is trusted before it is compared. */
#include "image.h"

#include <string.h>

#include "endian.h"

static int starts_with(const uint8_t *data, size_t length, const char *magic, size_t magic_length) {
    return length >= magic_length && memcmp(data, magic, magic_length) == 0;
}

int fp_sniff(const uint8_t *data, size_t length) {
    if (starts_with(data, length, "\xff\xd8\xff", 3)) return FP_JPEG;
    if (starts_with(data, length, "\x89PNG\r\n\x1a\n", 8)) return FP_PNG;
    if (starts_with(data, length, "RIFF", 4) && length >= 12 && memcmp(data + 8, "WEBP", 4) == 0)
        return FP_WEBP;
    if (starts_with(data, length, "BM", 2) && length >= 26 && fp_load_le32(data + 14) <= 256)
        return FP_BMP;
    if (starts_with(data, length, "II*\0", 4) || starts_with(data, length, "MM\0*", 4))
        return FP_TIFF;
    if (starts_with(data, length, "GIF87a", 6) || starts_with(data, length, "GIF89a", 6))
        return FP_GIF;
    return FP_UNKNOWN;
}

/* TIFF's directory of tags, which EXIF uses, too (TIFF 6.0, section 2) */

typedef struct {
    const uint8_t *data;
    size_t length;
    int big_endian;
} tiff;

static uint32_t tiff_u16(const tiff *t, size_t at) {
    return t->big_endian ? fp_load_be16(t->data + at)
                         : (uint32_t)t->data[at] | (uint32_t)t->data[at + 1] << 8;
}

static uint32_t tiff_u32(const tiff *t, size_t at) {
    return t->big_endian ? fp_load_be32(t->data + at) : fp_load_le32(t->data + at);
}

static int tiff_open(const uint8_t *data, size_t length, tiff *t, size_t *directory) {
    if (length < 8 || (memcmp(data, "II*\0", 4) != 0 && memcmp(data, "MM\0*", 4) != 0)) return 0;
    t->data = data;
    t->length = length;
    t->big_endian = data[0] == 'M';
    *directory = tiff_u32(t, 4);
    return *directory <= length - 2;
}

/* Returns the first value of a SHORT or LONG tag in the first directory, or `missing`. */
static uint32_t tiff_value(const uint8_t *data, size_t length, uint32_t tag, uint32_t missing) {
    tiff t;
    size_t place;
    size_t entry;
    if (!tiff_open(data, length, &t, &entry)) return missing;
    uint32_t num_entries = tiff_u16(&t, entry);
    entry += 2;
    for (; num_entries > 0 && entry <= length && length - entry >= 12; num_entries--, entry += 12) {
        if (tiff_u16(&t, entry) != tag) continue;
        uint32_t type = tiff_u16(&t, entry + 2);
        uint32_t count = tiff_u32(&t, entry + 4);
        if (count < 1) return missing;
        if (type == 4) return count == 1 ? tiff_u32(&t, entry + 8) : missing;
        if (type != 3) return missing;
        /* more than four bytes are stored elsewhere */
        place = count <= 2 ? entry + 8 : tiff_u32(&t, entry + 8);
        return place <= length - 2 ? tiff_u16(&t, place) : missing;
    }
    return missing;
}

#define TIFF_WIDTH 256
#define TIFF_HEIGHT 257
#define TIFF_BITS 258
#define TIFF_ORIENTATION 274
#define TIFF_SAMPLES 277

static uint8_t orientation_of(const uint8_t *tiff_data, size_t length) {
    uint32_t value = tiff_value(tiff_data, length, TIFF_ORIENTATION, 1);
    return value >= 1 && value <= 8 ? (uint8_t)value : 1;
}

static int probe_tiff(const uint8_t *data, size_t length, fp_image_info *info) {
    info->width = tiff_value(data, length, TIFF_WIDTH, 0);
    info->height = tiff_value(data, length, TIFF_HEIGHT, 0);
    uint32_t samples = tiff_value(data, length, TIFF_SAMPLES, 1);
    uint32_t bits = tiff_value(data, length, TIFF_BITS, 1);
    info->components = samples < UINT8_MAX ? (uint8_t)samples : UINT8_MAX;
    info->bits = bits < UINT8_MAX ? (uint8_t)bits : UINT8_MAX;
    info->orientation = orientation_of(data, length);
    return info->width && info->height ? FP_OK : FP_CORRUPT_IMAGE;
}

/* JPEG (ITU T.81, annex B) */

static int is_frame_header(uint8_t marker) {
    return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

static int read_frame(const uint8_t *body, size_t length, uint8_t marker, fp_image_info *info) {
    if (length < 6 || length < 6 + 3 * (size_t)body[5]) return FP_CORRUPT_IMAGE;
    info->bits = body[0];
    info->height = fp_load_be16(body + 1);
    info->width = fp_load_be16(body + 3);
    info->components = body[5];
    info->progressive = (marker & 3) == 2;
    if (info->components == 0 || info->width == 0 || info->height == 0) return FP_CORRUPT_IMAGE;
    info->subsampling = info->components == 1 ? 0x11 : body[7];
    for (int c = 1; c < info->components && c < 3; c++)
        if (body[7 + 3 * c] != 0x11 && info->subsampling == body[7 + 3 * c])
            info->subsampling = 0x11;
    return FP_OK;
}

static void read_exif(const uint8_t *body, size_t length, fp_image_info *info) {
    if (length > 6 && memcmp(body, "Exif\0\0", 6) == 0)
        info->orientation = orientation_of(body + 6, length - 6);
}

static int probe_jpeg(const uint8_t *data, size_t length, fp_image_info *info) {
    size_t at = 2;
    while (at < length) {
        if (data[at] != 0xff) {
            at++; /* decoders skip bytes between segments */
            continue;
        }
        while (at < length && data[at] == 0xff) at++;
        if (at == length) break;
        uint8_t marker = data[at++];
        if (marker == 0 || marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8)) continue;
        /* a scan, or the end, before any frame */
        if (marker == 0xd9 || marker == 0xda) return FP_CORRUPT_IMAGE;
        if (length - at < 2) break;
        size_t segment = fp_load_be16(data + at);
        if (segment < 2) return FP_CORRUPT_IMAGE;
        if (segment > length - at) break;
        if (marker == 0xe1) read_exif(data + at + 2, segment - 2, info);
        if (is_frame_header(marker)) return read_frame(data + at + 2, segment - 2, marker, info);
        at += segment;
    }
    return FP_TRUNCATED_IMAGE;
}

/* A PNG chunk is length, type, data, CRC. eXIf may come before or after the pixels. Decoders
   allocate what a chunk claims, so no chunk may claim more than the file has. */
static int walk_png_chunks(const uint8_t *data, size_t length, fp_image_info *info) {
    size_t at = 8;
    while (length - at >= 12) {
        size_t chunk = fp_load_be32(data + at);
        if (chunk > length - at - 12) return FP_TRUNCATED_IMAGE;
        if (memcmp(data + at + 4, "eXIf", 4) == 0)
            info->orientation = orientation_of(data + at + 8, chunk);
        if (memcmp(data + at + 4, "IEND", 4) == 0) return FP_OK;
        at += chunk + 12;
    }
    return FP_TRUNCATED_IMAGE;
}

static int probe_png(const uint8_t *data, size_t length, fp_image_info *info) {
    /* a palette image has one channel, its indices */
    static const uint8_t channels[] = {1, 0, 3, 1, 2, 0, 4};
    if (length < 29) return FP_TRUNCATED_IMAGE;
    if (memcmp(data + 12, "IHDR", 4) != 0 || data[25] > 6) return FP_CORRUPT_IMAGE;
    info->width = fp_load_be32(data + 16);
    info->height = fp_load_be32(data + 20);
    info->bits = data[24];
    info->components = channels[data[25]];
    if (!info->width || !info->height) return FP_CORRUPT_IMAGE;
    return walk_png_chunks(data, length, info);
}

static uint32_t load_le24(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
}

/* A RIFF chunk is type, length, data, padded to an even length. */
static void find_webp_exif(const uint8_t *data, size_t length, fp_image_info *info) {
    size_t at = 12;
    while (length - at >= 8) {
        size_t chunk = fp_load_le32(data + at + 4);
        if (chunk > length - at - 8) return;
        if (memcmp(data + at, "EXIF", 4) == 0) {
            const uint8_t *body = data + at + 8;
            /* some writers keep JPEG's prefix */
            int has_prefix = chunk > 6 && memcmp(body, "Exif\0\0", 6) == 0;
            info->orientation = has_prefix ? orientation_of(body + 6, chunk - 6)
                                           : orientation_of(body, chunk);
        }
        at += chunk + 8;
        if (chunk % 2 && at < length) at++;
    }
}

/* RFC 9649: a lossy, a lossless or an extended bitstream comes first. */
static int probe_webp(const uint8_t *data, size_t length, fp_image_info *info) {
    if (length < 30) return FP_TRUNCATED_IMAGE;
    info->bits = 8;
    info->components = 3;
    if (memcmp(data + 12, "VP8X", 4) == 0) {
        info->components = data[20] & 0x10 ? 4 : 3;
        info->width = load_le24(data + 24) + 1;
        info->height = load_le24(data + 27) + 1;
    } else if (memcmp(data + 12, "VP8L", 4) == 0) {
        uint32_t bits = fp_load_le32(data + 21);
        info->components = bits >> 28 & 1 ? 4 : 3;
        info->width = (bits & 0x3fff) + 1;
        info->height = (bits >> 14 & 0x3fff) + 1;
    } else if (memcmp(data + 12, "VP8 ", 4) == 0) {
        info->width = fp_load_le32(data + 26) & 0x3fff;
        info->height = fp_load_le32(data + 26) >> 16 & 0x3fff;
    }
    find_webp_exif(data, length, info);
    return info->width && info->height ? FP_OK : FP_CORRUPT_IMAGE;
}

/* Rows without compression, padded to 4 bytes. Decoders silently fill missing rows with black. */
static int bmp_rows_are_there(const uint8_t *data, size_t length, const fp_image_info *info,
                              uint32_t bits) {
    uint64_t row_bytes = ((uint64_t)info->width * bits + 31) / 32 * 4;
    uint64_t first = fp_load_le32(data + 10);
    return first <= length && info->height <= (length - first) / (row_bytes ? row_bytes : 1);
}

static int probe_bmp(const uint8_t *data, size_t length, fp_image_info *info) {
    uint32_t bits, compression = 0;
    if (length < 34) return FP_TRUNCATED_IMAGE;
    if (fp_load_le32(data + 14) == 12) {
        info->width = fp_load_le32(data + 18) & 0xffff;
        info->height = fp_load_le32(data + 18) >> 16;
        bits = fp_load_le32(data + 22) >> 16;
    } else {
        int64_t height = (int32_t)fp_load_le32(data + 22); /* negative: rows from the top */
        info->width = fp_load_le32(data + 18);
        info->height = (uint32_t)(height < 0 ? -height : height);
        bits = fp_load_le32(data + 26) >> 16;
        compression = fp_load_le32(data + 30);
    }
    if (!info->width || !info->height || info->width > INT32_MAX) return FP_CORRUPT_IMAGE;
    info->components = bits <= 8 ? 1 : 3; /* up to 8 bits are indices of a palette */
    info->bits = 8;
    int is_plain = compression == 0 || compression == 3;
    return is_plain && !bmp_rows_are_there(data, length, info, bits) ? FP_TRUNCATED_IMAGE : FP_OK;
}

static int probe_gif(const uint8_t *data, size_t length, fp_image_info *info) {
    if (length < 10) return FP_TRUNCATED_IMAGE;
    info->width = fp_load_le32(data + 6) & 0xffff;
    info->height = fp_load_le32(data + 6) >> 16;
    info->components = 1; /* indices of a palette */
    info->bits = 8;
    return info->width && info->height ? FP_OK : FP_CORRUPT_IMAGE;
}

static int probe_format(const uint8_t *data, size_t length, fp_image_info *info) {
    memset(info, 0, sizeof *info);
    info->orientation = 1;
    info->format = (uint8_t)fp_sniff(data, length);
    switch (info->format) {
    case FP_JPEG: return probe_jpeg(data, length, info);
    case FP_PNG: return probe_png(data, length, info);
    case FP_WEBP: return probe_webp(data, length, info);
    case FP_BMP: return probe_bmp(data, length, info);
    case FP_TIFF: return probe_tiff(data, length, info);
    case FP_GIF: return probe_gif(data, length, info);
    default: return FP_NOT_AN_IMAGE;
    }
}

int fp_probe(const uint8_t *data, size_t length, fp_image_info *info) {
    int status = probe_format(data, length, info);
    /* 0 marks an image that cannot be decoded */
    if (status != FP_OK) info->width = info->height = 0;
    return status;
}
