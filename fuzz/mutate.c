/* Calls LLVMFuzzerTestOneInput with damaged copies of files, for compilers without libFuzzer.

       mutate SECONDS SEED FILE...

   The file `input` has the current input, so that it is kept after a crash. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

enum { ROOM = 256, MAX_EDITS = 4 };

static uint64_t state;

/* Marsaglia's xorshift64. */
static size_t below(size_t limit) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state >> 16) % limit;
}

typedef struct {
    uint8_t *own_bytes;
    size_t length, capacity;
} input;

static input read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) exit(2);
    size_t length = (size_t)ftell(file);
    rewind(file);
    input in = {malloc(length + ROOM), length, length + ROOM};
    if (!in.own_bytes || fread(in.own_bytes, 1, length, file) != length) exit(2);
    fclose(file);
    return in;
}

static void insert(input *in, size_t at, size_t count) {
    if (count > in->capacity - in->length) return;
    memmove(in->own_bytes + at + count, in->own_bytes + at, in->length - at);
    for (size_t i = 0; i < count; i++) in->own_bytes[at + i] = (uint8_t)below(256);
    in->length += count;
}

static void erase(input *in, size_t at, size_t count) {
    if (count > in->length - at) return;
    memmove(in->own_bytes + at, in->own_bytes + at + count, in->length - at - count);
    in->length -= count;
}

static void edit(input *in) {
    size_t at = below(in->length), rest = in->length - at;
    size_t count = 1 + below(rest < 32 ? rest : 32);
    uint8_t *place = in->own_bytes + at;
    switch (below(8)) {
    case 0: *place ^= (uint8_t)(1 << below(8)); break;
    case 1: *place = (uint8_t)below(256); break;
    case 2: *place = 0xff; break;
    case 3: place[count - 1] = (uint8_t)(0xc0 + below(64)), *place = 0xff; break;
    case 4: memset(place, below(2) ? 0xff : 0, count); break;
    case 5: memmove(place, in->own_bytes + below(in->length - count + 1), count); break;
    case 6: insert(in, at, count); break;
    default:
        if (below(4)) erase(in, at, count);
        else in->length = at > 0 ? at : in->length;
    }
}

static void try(const input *in) {
    FILE *file = fopen("input", "wb");
    if (!file || fwrite(in->own_bytes, 1, in->length, file) != in->length || fclose(file)) exit(2);
    uint8_t *exact = malloc(in->length); /* a sanitizer detects a read after its end */
    if (!exact) exit(2);
    memcpy(exact, in->own_bytes, in->length);
    LLVMFuzzerTestOneInput(exact, in->length);
    free(exact);
}

int main(int num_arguments, char **arguments) {
    if (num_arguments < 4) return 2;
    time_t end = time(NULL) + atol(arguments[1]);
    state = 88172645463325252ull + strtoull(arguments[2], NULL, 10) * 0x9e3779b97f4a7c15ull;
    unsigned long tried = 0;
    for (; time(NULL) < end; tried++) {
        input in = read_file(arguments[3 + below((size_t)num_arguments - 3)]);
        for (size_t left = below(MAX_EDITS + 1); left > 0 && in.length > 0; left--) edit(&in);
        if (in.length > 0) try(&in);
        free(in.own_bytes);
    }
    printf("%lu inputs\n", tried);
}
