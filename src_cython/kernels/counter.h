/* The next row of a batch. All threads of the batch take rows here, so a slow image delays only one
   of them. */
#ifndef FASTPACK_COUNTER_H
#define FASTPACK_COUNTER_H
#include <stdint.h>

static inline int64_t fp_take_row(int64_t *counter) {
    return __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* After a failure, no thread takes another row. All rows before the failed one are already
   taken. */
static inline void fp_close_counter(int64_t *counter, int64_t num_rows) {
    __atomic_store_n(counter, num_rows, __ATOMIC_RELAXED);
}
#endif
