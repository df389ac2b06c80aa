/* Batches from chunked HDF5 datasets.

   The unit of work is a chunk, not a sample: threads take chunks from a shared counter. A chunk may
   hold parts of many samples, and a sample may lie in several chunks of its layer. Each thread
   decodes the chunk to its own buffer and copies the wanted parts to the batch (parts.c). A chunk
   that is exactly one sample is decoded into the batch directly. A missing chunk becomes fill
   values. Different chunks write different bytes of the batch, so threads need no lock. */
#include "chunks.h"

#include <string.h>

#include "counter.h"

/* Sizes that follow from a dataset's shape. */
typedef struct {
    int64_t chunks_in_layer;
    size_t sample_bytes;
    size_t part_bytes;  /* of one sample, in a chunk */
    size_t chunk_bytes;
} layout;

/* The memory of a thread. */
typedef struct {
    fp_pipeline *pipeline;
    fp_scratch stored;
    fp_scratch decoded;
} thread_buffers;

static layout layout_of(const fp_chunked *dataset) {
    layout plan = {.sample_bytes = dataset->item_bytes, .part_bytes = dataset->item_bytes};
    plan.chunks_in_layer = fp_num_parts(dataset->rank - 1, dataset->shape + 1,
                                        dataset->chunk_shape + 1);
    for (int axis = 1; axis < dataset->rank; axis++) {
        plan.sample_bytes *= (size_t)dataset->shape[axis];
        plan.part_bytes *= (size_t)dataset->chunk_shape[axis];
    }
    plan.chunk_bytes = plan.part_bytes * (size_t)dataset->chunk_shape[0];
    return plan;
}

static void fill_items(uint8_t *out, size_t length, const uint8_t *item, size_t item_bytes) {
    for (size_t done = 0; done < length; done += item_bytes) memcpy(out + done, item, item_bytes);
}

static int is_plain(const fp_chunked *dataset, const fp_chunk *chunk) {
    uint32_t all = (uint32_t)((1ull << dataset->num_filters) - 1);
    return (chunk->mask & all) == all;
}

/* Where a wanted chunk lies in the origin. */
static fp_span place_of(const fp_chunked *dataset, const fp_chunk *chunk, int64_t wanted_number) {
    fp_span place = {.offset = chunk->offset, .length = chunk->length};
    if (dataset->origin.memories) {
        place.shard = dataset->memory_numbers[wanted_number];
        place.offset = dataset->memory_offsets[wanted_number];
    }
    return place;
}

/* Decodes a chunk, or at least its wanted bytes, to `out`. */
static int load_chunk(const fp_chunked *dataset, const layout *plan, const fp_chunk *chunk,
                      fp_span place, thread_buffers *mine, uint8_t *out, fp_range range,
                      int64_t row, fp_outcome *outcome) {
    const uint8_t *stored = NULL;
    if (is_plain(dataset, chunk)) {
        if (chunk->length != plan->chunk_bytes)
            return fp_fail(outcome, FP_BAD_CHUNK, row, chunk->offset,
                           "a chunk is not as long as its dataset says");
        if (place.offset > UINT64_MAX - place.length)
            return fp_fail(outcome, FP_TRUNCATED, row, chunk->offset,
                           "the chunk ends past its file");
        place.offset += range.first;
        place.length = range.end - range.first;
        return fp_read_span(&dataset->origin, &place, 0, out + range.first, NULL, row, outcome);
    }
    if (fp_view_span(&dataset->origin, &place, 0, &mine->stored, NULL, row, &stored, outcome))
        return outcome->status;
    if (!mine->pipeline) mine->pipeline = fp_pipeline_new(dataset->filters, dataset->num_filters);
    if (!mine->pipeline)
        return fp_fail(outcome, FP_NO_MEMORY, row, chunk->offset,
                       "no memory for a chunk's filters");
    const char *wrong = fp_decode_chunk(mine->pipeline, chunk->mask, stored, chunk->length, out,
                                        plan->chunk_bytes, range);
    return wrong ? fp_fail(outcome, FP_BAD_CHUNK, row, chunk->offset, wrong) : FP_OK;
}

static fp_range range_of(const fp_wanted *wanted, int64_t layer, size_t part_bytes) {
    int64_t first = wanted->within[wanted->starts[layer]], last = first;
    for (int64_t i = wanted->starts[layer] + 1; i < wanted->starts[layer + 1]; i++) {
        if (wanted->within[i] < first) first = wanted->within[i];
        if (wanted->within[i] > last) last = wanted->within[i];
    }
    return (fp_range){(size_t)first * part_bytes, (size_t)(last + 1) * part_bytes};
}

/* Decodes a chunk that is one whole sample to the batch, without a buffer. */
static int read_whole_sample(const fp_chunked *dataset, const layout *plan, const fp_chunk *chunk,
                             fp_span place, thread_buffers *mine, const fp_wanted *wanted,
                             int64_t layer, uint8_t *out, fp_outcome *outcome) {
    int64_t first = wanted->starts[layer];
    uint8_t *sample = out + (size_t)wanted->rows[first] * plan->sample_bytes;
    if (load_chunk(dataset, plan, chunk, place, mine, sample, (fp_range){0, plan->chunk_bytes},
                   wanted->rows[first], outcome))
        return outcome->status;
    for (int64_t i = first + 1; i < wanted->starts[layer + 1]; i++)
        memcpy(out + (size_t)wanted->rows[i] * plan->sample_bytes, sample, plan->sample_bytes);
    return FP_OK;
}

static int read_chunk(const fp_chunked *dataset, const layout *plan, int64_t wanted_number,
                      thread_buffers *mine, const fp_wanted *wanted, uint8_t *out,
                      fp_outcome *outcome) {
    int64_t layer = wanted_number / plan->chunks_in_layer;
    int64_t number = wanted_number % plan->chunks_in_layer;
    int64_t first_of_layer = wanted->numbers[layer] * plan->chunks_in_layer;
    const fp_chunk *chunk = &dataset->chunks[first_of_layer + number];
    fp_span place = place_of(dataset, chunk, wanted_number);
    int64_t row = wanted->rows[wanted->starts[layer]];
    int is_missing = chunk->offset == FP_NO_CHUNK;
    if (!is_missing && plan->chunk_bytes == plan->sample_bytes && plan->chunks_in_layer == 1)
        return read_whole_sample(dataset, plan, chunk, place, mine, wanted, layer, out, outcome);
    uint8_t *decoded = fp_scratch_reserve(&mine->decoded,
                                          is_missing ? plan->part_bytes : plan->chunk_bytes);
    if (!decoded)
        return fp_fail(outcome, FP_NO_MEMORY, row, chunk->offset, "no memory for a chunk");
    if (is_missing) fill_items(decoded, plan->part_bytes, dataset->fill, dataset->item_bytes);
    else if (load_chunk(dataset, plan, chunk, place, mine, decoded,
                        range_of(wanted, layer, plan->part_bytes), row, outcome))
        return outcome->status;
    fp_part box = fp_part_of(dataset->rank - 1, dataset->shape + 1, dataset->chunk_shape + 1,
                             number, dataset->item_bytes);
    for (int64_t i = wanted->starts[layer]; i < wanted->starts[layer + 1]; i++) {
        size_t offset = is_missing ? 0 : (size_t)wanted->within[i] * plan->part_bytes;
        fp_copy_part(&box, decoded + offset, out + (size_t)wanted->rows[i] * plan->sample_bytes);
    }
    return FP_OK;
}

int fp_read_chunks(const fp_chunked *dataset, const fp_wanted *wanted, uint8_t *out,
                   int64_t *counter, fp_outcome *outcome) {
    layout plan = layout_of(dataset);
    thread_buffers mine = {0};
    int64_t num_chunks = wanted->num_layers * plan.chunks_in_layer, next;
    int status = FP_OK;
    while (status == FP_OK && (next = fp_take_row(counter)) < num_chunks)
        status = read_chunk(dataset, &plan, next, &mine, wanted, out, outcome);
    if (status != FP_OK) fp_close_counter(counter, num_chunks);
    fp_pipeline_free(mine.pipeline);
    fp_scratch_free(&mine.stored);
    fp_scratch_free(&mine.decoded);
    return status;
}
