/* Arrays stored as equal parts on a grid. Parts at the far edges reach past the array. A part's box
   is copied to its place in the array. */
#ifndef FASTPACK_PARTS_H
#define FASTPACK_PARTS_H
#include <stddef.h>
#include <stdint.h>

#define FP_MAX_RANK 8

/* How to walk the box of one part: `run_bytes` at a time along some axes. */
typedef struct {
    int axes;
    int64_t counts[FP_MAX_RANK];
    size_t from_strides[FP_MAX_RANK];
    size_t to_strides[FP_MAX_RANK];
    size_t run_bytes;
    size_t to_first; /* the touched bytes of the array lie in [to_first, to_end) */
    size_t to_end;
} fp_part;

/* Returns the number of parts in the grid. */
int64_t fp_num_parts(int rank, const int64_t *shape, const int64_t *part_shape);
/* Describes part `number`, counted row by row of the grid. */
fp_part fp_part_of(int rank, const int64_t *shape, const int64_t *part_shape, int64_t number,
                   size_t item_bytes);
void fp_copy_part(const fp_part *box, const uint8_t *part, uint8_t *array);
#endif
