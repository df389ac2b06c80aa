#include "parts.h"

#include <string.h>

static int64_t parts_along(int64_t size, int64_t part_size) { return (size - 1) / part_size + 1; }

int64_t fp_num_parts(int rank, const int64_t *shape, const int64_t *part_shape) {
    int64_t count = 1;
    for (int axis = 0; axis < rank; axis++) count *= parts_along(shape[axis], part_shape[axis]);
    return count;
}

/* Axes that are contiguous on both sides become one run. */
fp_part fp_part_of(int rank, const int64_t *shape, const int64_t *part_shape, int64_t number,
                   size_t item_bytes) {
    fp_part box = {.run_bytes = item_bytes};
    size_t from_stride = item_bytes, to_stride = item_bytes, to_last = 0;
    int in_one_piece = 1;
    for (int axis = rank - 1; axis >= 0; axis--) {
        int64_t size = shape[axis], part_size = part_shape[axis];
        int64_t parts = parts_along(size, part_size);
        int64_t first = number % parts * part_size;
        int64_t count = size - first < part_size ? size - first : part_size;
        number /= parts;
        box.to_first += (size_t)first * to_stride;
        to_last += (size_t)(count - 1) * to_stride;
        if (in_one_piece) {
            box.run_bytes *= (size_t)count;
        } else {
            box.counts[box.axes] = count;
            box.from_strides[box.axes] = from_stride;
            box.to_strides[box.axes] = to_stride;
            box.axes++;
        }
        in_one_piece = in_one_piece && count == part_size && count == size;
        from_stride *= (size_t)part_size;
        to_stride *= (size_t)size;
    }
    box.to_end = box.to_first + to_last + item_bytes;
    return box;
}

void fp_copy_part(const fp_part *box, const uint8_t *part, uint8_t *array) {
    int64_t at[FP_MAX_RANK] = {0};
    uint8_t *to = array + box->to_first;
    for (;;) {
        memcpy(to, part, box->run_bytes);
        int axis = 0;
        for (; axis < box->axes; axis++) {
            if (++at[axis] < box->counts[axis]) {
                part += box->from_strides[axis];
                to += box->to_strides[axis];
                break;
            }
            size_t steps = (size_t)(at[axis] - 1);
            part -= steps * box->from_strides[axis];
            to -= steps * box->to_strides[axis];
            at[axis] = 0;
        }
        if (axis == box->axes) return;
    }
}
