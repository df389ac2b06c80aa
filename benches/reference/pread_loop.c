/* Reference of reading: one pread for each span into one buffer, and optionally its CRC-32C.
   Each of N threads takes the next span from a shared counter. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "crc32c.h"

typedef struct {
    int fd;
    const uint64_t *offsets;      /* of the spans in the file */
    const uint64_t *lengths;
    uint8_t *out;
    const int64_t *out_offsets;   /* of the spans in `out` */
    const uint32_t *crcs;         /* expected CRC-32C of each span, or NULL */
    int64_t num_spans;
    int64_t next;
    int64_t num_failed;
} job;

static int read_span(const job *all, int64_t span) {
    uint8_t *out = all->out + all->out_offsets[span];
    for (uint64_t done = 0; done < all->lengths[span];) {
        ssize_t got = pread(all->fd, out + done, all->lengths[span] - done,
                            (off_t)(all->offsets[span] + done));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return 0;
        done += (uint64_t)got;
    }
    return !all->crcs || fp_crc32c(0, out, all->lengths[span]) == all->crcs[span];
}

static void *read_spans(void *argument) {
    job *all = argument;
    int64_t span;
    while ((span = __atomic_fetch_add(&all->next, 1, __ATOMIC_RELAXED)) < all->num_spans)
        if (!read_span(all, span)) __atomic_fetch_add(&all->num_failed, 1, __ATOMIC_RELAXED);
    return NULL;
}

/* Returns the number of spans that cannot be read or have a wrong checksum. */
int64_t pread_loop(int fd, const uint64_t *offsets, const uint64_t *lengths, uint8_t *out,
                   const int64_t *out_offsets, const uint32_t *crcs, int64_t num_spans,
                   int num_threads) {
    job all = {fd, offsets, lengths, out, out_offsets, crcs, num_spans, 0, 0};
    pthread_t *threads = malloc(sizeof *threads * (size_t)num_threads);
    int num_others = 0;
    while (threads && num_others < num_threads - 1 &&
           !pthread_create(&threads[num_others], NULL, read_spans, &all))
        num_others++;
    read_spans(&all);
    for (int i = 0; i < num_others; i++) pthread_join(threads[i], NULL);
    free(threads);
    return num_others == num_threads - 1 ? all.num_failed : num_spans;
}
