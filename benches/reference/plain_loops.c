/* References of the guard: plain loops that do similar work to a kernel's, on the same data. They
   share no code with fastpack, so a slower kernel cannot slow its reference. Each returns a sum of
   its results; otherwise the compiler could remove the work. */
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* CRC-32C, one byte at a time: reflected polynomial of RFC 3720. */
static uint32_t table[256];

__attribute__((constructor)) static void make_table(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
        table[byte] = crc;
    }
}

static uint32_t plain_crc(const uint8_t *data, uint64_t length) {
    uint32_t crc = ~0u;
    for (uint64_t i = 0; i < length; i++) crc = crc >> 8 ^ table[(crc ^ data[i]) & 255];
    return ~crc;
}

int64_t crc_loop(const uint8_t *data, uint64_t length) { return plain_crc(data, length); }

/* Blends RGB pixels to size x size: two rows, then two columns for each output. */
int64_t blend_loop(const uint8_t *pixels, uint32_t width, uint32_t height, uint8_t *out,
                   uint32_t size) {
    float row[3 * 4096];
    if (width > 4096) return -1;
    for (uint32_t y = 0; y < size; y++) {
        uint32_t at_y = (uint32_t)((uint64_t)y * (height - 1) / size);
        const uint8_t *upper = pixels + (uint64_t)at_y * width * 3, *lower = upper + width * 3;
        float down = (float)(y % 16) / 16;
        for (uint32_t x = 0; x < width * 3; x++)
            row[x] = (float)upper[x] + down * (float)(lower[x] - upper[x]);
        for (uint32_t x = 0; x < size; x++, out += 3) {
            const float *left = row + (uint64_t)x * (width - 1) / size * 3;
            for (int c = 0; c < 3; c++)
                out[c] = (uint8_t)(left[c] + 0.25f * (left[c + 3] - left[c]));
        }
    }
    return 0;
}

/* Reads tags, lengths and numbers of protobuf's wire format, `depth` messages deep. */
static int64_t walk_message(const uint8_t *at, const uint8_t *end, int depth) {
    int64_t sum = 0;
    while (at < end) {
        uint64_t number = 0;
        uint8_t tag = *at++;
        for (int shift = 0; at < end; shift += 7) {
            number |= (uint64_t)(*at & 127) << (shift & 63);
            if (!(*at++ & 128)) break;
        }
        sum += tag;
        if ((tag & 7) != 2) continue;
        if (number > (uint64_t)(end - at)) return sum;
        if (depth) sum += walk_message(at, at + number, depth - 1);
        at += number;
    }
    return sum;
}

/* Walks the frames of a TFRecord, and in each three levels of messages. */
int64_t walk_loop(const uint8_t *data, uint64_t length) {
    int64_t sum = 0;
    for (uint64_t at = 0; length - at >= 16;) {
        uint64_t record;
        memcpy(&record, data + at, sizeof record);
        if (record > length - at - 16) return -1;
        const uint8_t *payload = data + at + 12;
        sum += plain_crc(payload, record) + walk_message(payload, payload + record, 2);
        at += record + 16;
    }
    return sum;
}

static int is_table(uint8_t marker) { return marker == 0xc4 || marker == 0xc8 || marker == 0xcc; }

static const uint8_t *next_marker(const uint8_t *at) { return at + 2 + (at[2] << 8 | at[3]); }

/* Walks JPEGs from marker to marker to the frame header; sums width times height. */
int64_t marker_loop(const uint8_t *data, const int64_t *offsets, int64_t num_images) {
    int64_t sum = 0;
    for (int64_t i = 0; i < num_images; i++) {
        const uint8_t *at = data + offsets[i] + 2, *end = data + offsets[i + 1];
        while (end - at >= 9 && (at[1] & 0xf0) != 0xc0) at = next_marker(at);
        while (end - at >= 9 && is_table(at[1])) at = next_marker(at);
        if (end - at >= 9) sum += (int64_t)(at[5] << 8 | at[6]) * (at[7] << 8 | at[8]);
    }
    return sum;
}

/* Mixes numbers by multiplication and shifts. */
int64_t mix_loop(int64_t *out, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        uint64_t mixed = i;
        for (int round = 0; round < 10; round++) {
            mixed = (mixed ^ mixed >> 29) * 0x9e3779b97f4a7c15u;
            if (mixed & 1) mixed += (uint64_t)round;
        }
        out[i] = (int64_t)mixed;
    }
    return 0;
}

/* Frames rows of bytes: a length and two checksums around each. */
int64_t frame_loop(const uint8_t *values, const int64_t *offsets, int64_t num_rows, uint8_t *out) {
    const uint8_t *first = out;
    for (int64_t i = 0; i < num_rows; i++) {
        uint64_t length = (uint64_t)(offsets[i + 1] - offsets[i]);
        memcpy(out, &length, 8);
        memcpy(out + 12, values + offsets[i], length);
        uint32_t header = plain_crc(out, 8), data = plain_crc(out + 12, length);
        memcpy(out + 8, &header, 4);
        memcpy(out + 12 + length, &data, 4);
        out += length + 16;
    }
    return out - first;
}

/* Copies files into one and reads it back. The names are terminated by zeros. */
int64_t copy_loop(const char *paths, int64_t num_paths, const char *target, uint8_t *buffer,
                  uint64_t capacity) {
    int out = open(target, O_RDWR | O_CREAT | O_TRUNC, 0600);
    int64_t total = 0;
    for (int64_t i = 0; i < num_paths && out >= 0; i++, paths += strlen(paths) + 1) {
        int in = open(paths, O_RDONLY);
        ssize_t got = in < 0 ? -1 : read(in, buffer, capacity);
        if (in >= 0) close(in);
        if (got < 0 || write(out, buffer, (size_t)got) != got) return -1;
        total += got;
    }
    for (int64_t done = 0; out >= 0 && done < total;) {
        ssize_t got = pread(out, buffer, capacity, done);
        if (got <= 0) return -1;
        done += got;
    }
    return out >= 0 && close(out) == 0 ? total : -1;
}
