# All C functions that the Cython modules use; the headers describe them. No module of
# fastpack._native has a .pxd of its own. Cython would look for it in src_cython/fastpack/_native/
# and silently ignore one beside its .pyx.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "kernels/status.h" nogil:
    int FP_OK
    int FP_NO_MEMORY
    int FP_BAD_PROTO
    int FP_RECORD_LIMIT
    int FP_WRONG_KIND
    int FP_FILE_CHANGED
    int FP_IO_ERROR
    int FP_BAD_BOX

    ctypedef struct fp_outcome:
        int32_t status
        int32_t error_number
        int64_t row
        uint64_t offset
        char message[200]

    int fp_fail(fp_outcome* outcome, int status, int64_t row, uint64_t offset,
                const char* message) noexcept


cdef inline object outcome_tuple(fp_outcome* outcome):
    # The Outcome of errors.py: None, or (status, errno, row, offset, message).
    if outcome.status == FP_OK:
        return None
    message = outcome.message.decode()
    return outcome.status, outcome.error_number, outcome.row, outcome.offset, message


cdef extern from "kernels/counter.h" nogil:
    int64_t fp_take_row(int64_t* counter) noexcept
    void fp_close_counter(int64_t* counter, int64_t num_rows) noexcept


cdef extern from "kernels/crc32c.h" nogil:
    int FP_CRC_BEST
    int FP_CRC_TABLE
    int FP_CRC_HARDWARE
    int FP_CRC_256_BITS
    int FP_CRC_512_BITS
    int fp_crc32c_has(int path) noexcept
    uint32_t fp_crc32c(uint32_t crc, const uint8_t* data, size_t length) noexcept
    uint32_t fp_crc32c_join(uint32_t first, uint32_t second, uint64_t length) noexcept
    uint32_t fp_crc32c_by(int path, uint32_t crc, const uint8_t* data, size_t length) noexcept
    uint32_t fp_crc32c_mask(uint32_t crc) noexcept
    uint32_t fp_crc32c_unmask(uint32_t masked) noexcept


cdef extern from "kernels/files.h" nogil:
    enum:
        FP_FILES_AHEAD
    int fp_prefetch_file(const char* path, size_t length) noexcept
    int fp_read_file(int fd, const char* path, uint8_t* out, size_t length, int64_t row,
                     fp_outcome* outcome) noexcept

cdef extern from "kernels/span.h" nogil:
    ctypedef struct fp_span:
        uint32_t shard
        uint32_t crc32c
        uint64_t offset
        uint64_t length
        uint64_t record_offset
        uint64_t record_length

    ctypedef struct fp_memory:
        uint64_t address
        uint64_t length

    ctypedef struct fp_origin:
        const int* fds
        uint32_t num_fds
        const fp_memory* memories
        uint32_t num_memories

    ctypedef struct fp_scratch:
        uint8_t* own_bytes
        size_t capacity

    uint8_t* fp_scratch_reserve(fp_scratch* scratch, size_t length) noexcept
    void fp_scratch_free(fp_scratch* scratch) noexcept
    int fp_pread(int fd, uint8_t* out, size_t length, uint64_t offset, int64_t row,
                 fp_outcome* outcome) noexcept
    int fp_read_span(const fp_origin* origin, const fp_span* span, int check, uint8_t* out,
                     fp_scratch* scratch, int64_t row, fp_outcome* outcome) noexcept
    int fp_view_span(const fp_origin* origin, const fp_span* span, int check, fp_scratch* blob,
                     fp_scratch* scratch, int64_t row, const uint8_t** out,
                     fp_outcome* outcome) noexcept
    void fp_advise_willneed(const fp_origin* origin, const fp_span* spans,
                            int64_t num_spans) noexcept


cdef inline fp_origin origin_of(const int[::1] fds, const fp_memory[::1] memories) noexcept:
    # The caller keeps both alive while the origin is used.
    cdef fp_origin origin
    origin.fds = &fds[0] if fds is not None and fds.shape[0] else NULL
    origin.num_fds = <uint32_t> fds.shape[0] if origin.fds != NULL else 0
    origin.memories = &memories[0] if memories is not None and memories.shape[0] else NULL
    origin.num_memories = <uint32_t> memories.shape[0] if origin.memories != NULL else 0
    return origin


cdef extern from "kernels/tfrecord.h" nogil:
    size_t FP_FRAME_HEADER
    size_t FP_FRAME_FOOTER
    int fp_scan_records(const uint8_t* data, size_t length, uint64_t bytes_left,
                        uint64_t record_limit, int check, size_t capacity, uint64_t* offsets,
                        uint64_t* lengths, uint32_t* crcs, size_t* num_records, size_t* consumed,
                        size_t* wanted, fp_outcome* outcome) noexcept


cdef extern from "kernels/example.h" nogil:
    int FP_KIND_ABSENT
    int FP_KIND_BYTES
    int FP_KIND_FLOAT
    int FP_KIND_INT64

    ctypedef struct fp_bytes:
        const uint8_t* at
        const uint8_t* end

    ctypedef struct fp_entry:
        fp_bytes name
        fp_bytes body

    ctypedef struct fp_entries:
        pass

    ctypedef struct fp_values:
        int32_t kind
        uint64_t count
        uint64_t num_bytes
        fp_bytes last
        int32_t filled_kind
        void* numbers
        uint8_t* bytes
        int64_t* ends
        fp_bytes* places
        uint64_t capacity
        uint64_t bytes_capacity

    fp_entries fp_entries_of(const uint8_t* example, size_t length) noexcept
    int fp_next_entry(fp_entries* entries, fp_entry* entry) noexcept
    int fp_is_sequence(const uint8_t* example, size_t length) noexcept
    int fp_walk_values(const fp_entry* entry, fp_values* values) noexcept


cdef extern from "kernels/png.h" nogil:
    uint64_t fp_png_bytes(const uint8_t* header) noexcept
    int fp_png_samples(const uint8_t* data, size_t length, uint8_t* out, fp_scratch* scratch,
                       const char** why) noexcept


cdef extern from "kernels/fax.h" nogil:
    int fp_unpack_fax(const uint8_t* data, size_t length, int kind, int is_mixed, uint32_t width,
                      uint32_t height, uint8_t* out) noexcept


cdef extern from "kernels/unpack.h" nogil:
    int fp_unpack_lzw(const uint8_t* data, size_t length, uint8_t* out, size_t out_length) noexcept
    int fp_unpack_gif(const uint8_t* data, size_t length, int bits, uint8_t* out,
                      size_t out_length) noexcept
    int fp_unpack_bits(const uint8_t* data, size_t length, uint8_t* out, size_t out_length) noexcept
    int fp_unpack_zlib(const uint8_t* data, size_t length, uint8_t* out, size_t out_length) noexcept
    int fp_unpack_runs(const uint8_t* data, size_t length, int bits, uint32_t width,
                       uint32_t height, uint8_t* out) noexcept


cdef extern from "kernels/image.h" nogil:
    ctypedef struct fp_image_info:
        uint32_t width
        uint32_t height
        uint8_t format
        uint8_t components
        uint8_t subsampling
        uint8_t progressive
        uint8_t orientation
        uint8_t bits
        uint16_t reserved

    int fp_probe(const uint8_t* data, size_t length, fp_image_info* info) noexcept


cdef extern from "kernels/geometry.h" nogil:
    ctypedef struct fp_view:
        uint32_t x
        uint32_t y
        uint32_t width
        uint32_t height
        uint32_t scaled_width
        uint32_t scaled_height
        uint32_t left
        uint32_t top
        uint8_t orientation
        uint8_t flip
        uint16_t reserved

    ctypedef struct fp_target:
        uint8_t* pixels
        uint32_t height
        uint32_t width
        int32_t channels
        int32_t item_bytes
        int64_t row_stride
        int64_t pixel_stride
        int64_t channel_stride
        const uint8_t* table


cdef extern from "kernels/seek_points.h" nogil:
    ctypedef struct fp_seek_table:
        const uint64_t* words
        size_t num_words
        uint64_t image_bytes
        uint32_t image_crc32c


cdef extern from "kernels/decode.h" nogil:
    ctypedef struct fp_decode_options:
        int32_t color
        int32_t interpolation
        int32_t may_reduce
        int32_t accept_damage
        uint32_t max_scans
        uint64_t max_pixels

    ctypedef struct fp_decoder:
        pass

    fp_decoder* fp_decoder_new() noexcept
    void fp_decoder_free(fp_decoder* decoder) noexcept
    const char* fp_decoder_message(const fp_decoder* decoder) noexcept
    int64_t fp_decoder_num_sequential(const fp_decoder* decoder) noexcept
    int64_t fp_decoder_num_odd(const fp_decoder* decoder) noexcept
    int fp_decoder_is_odd(const fp_decoder* decoder) noexcept
    void fp_use_sequential(int use) noexcept
    int fp_route_jpeg(fp_decoder* decoder, const uint8_t* data, size_t length,
                      uint64_t image_bytes) noexcept

    ctypedef struct fp_reading:
        const fp_origin* origin
        const fp_span* span
        int check
        fp_scratch* blob
        fp_scratch* aside
        int64_t row

    int64_t fp_decoder_num_with_seek_points(const fp_decoder* decoder) noexcept
    int fp_decode_span(fp_decoder* decoder, const fp_reading* reading,
                       const fp_seek_table* seek_table, const fp_decode_options* options,
                       const fp_view* view, const fp_target* target, fp_outcome* outcome) noexcept
    int fp_find_seek_points(fp_decoder* decoder, const uint8_t* data, size_t length,
                            uint32_t crc32c, fp_scratch* words, size_t* num_words) noexcept
    int fp_resample_pixels(fp_decoder* decoder, const uint8_t* pixels, int64_t stride,
                           uint32_t width, uint32_t height, int interpolation, const fp_view* view,
                           const fp_target* target) noexcept


cdef extern from "kernels/transcode.h" nogil:
    int FP_ONE_SCAN_ALREADY
    int FP_WOULD_GROW
    int FP_TOO_UNUSUAL

    ctypedef struct fp_transcode_options:
        int32_t strip
        uint32_t max_scans
        uint64_t max_pixels

    ctypedef struct fp_transcoder:
        pass

    fp_transcoder* fp_transcoder_new() noexcept
    void fp_transcoder_free(fp_transcoder* transcoder) noexcept
    int fp_transcode(fp_transcoder* transcoder, const uint8_t* data, size_t length,
                     const fp_transcode_options* options, const uint8_t** out,
                     size_t* out_length) noexcept


cdef extern from "kernels/filters.h" nogil:
    size_t FP_MAX_FILTERS

    ctypedef struct fp_range:
        size_t first
        size_t end

    ctypedef struct fp_filter:
        uint32_t id
        uint32_t num_parameters
        uint32_t parameters[16]

    ctypedef struct fp_pipeline:
        pass

    int fp_can_decode(const fp_filter* filter) noexcept
    int fp_can_encode(uint32_t id) noexcept
    fp_pipeline* fp_pipeline_new(const fp_filter* filters, size_t num_filters) noexcept
    void fp_pipeline_free(fp_pipeline* pipeline) noexcept
    const char* fp_decode_chunk(fp_pipeline* pipeline, uint32_t mask, const uint8_t* data,
                                size_t length, uint8_t* out, size_t out_length,
                                fp_range wanted) noexcept
    const char* fp_encode_chunk(fp_pipeline* pipeline, const uint8_t* data, size_t length,
                                const uint8_t** stored, size_t* stored_length) noexcept


cdef extern from "kernels/salvage.h" nogil:
    int FP_TRUNCATED

    ctypedef struct fp_piece:
        uint64_t offset
        uint64_t length
        uint32_t crc32c
        uint32_t kind

    ctypedef struct fp_walk:
        uint64_t position

    void fp_walk_begin(fp_walk* walk, int fd, uint64_t size, uint64_t record_limit) noexcept
    int fp_walk_next(fp_walk* walk, uint64_t stride, fp_piece* pieces, size_t capacity,
                     size_t* num_pieces, fp_outcome* outcome) noexcept
    void fp_walk_end(fp_walk* walk) noexcept
    int fp_check_span(int fd, const fp_span* span, fp_scratch* scratch, int64_t row,
                      fp_outcome* outcome) noexcept


cdef extern from "kernels/bitmap.h" nogil:
    int FP_BLOCK_WORDS
    int FP_SUPER_WORDS

    ctypedef struct fp_bitmap:
        const uint64_t* words
        int64_t num_words
        const int64_t* supers
        const uint16_t* blocks
        int64_t count

    int64_t fp_bitmap_count(const uint64_t* words, int64_t num_words, int64_t* supers,
                            uint16_t* blocks) noexcept
    int64_t fp_bitmap_select(const fp_bitmap* bitmap, const int64_t* positions, int64_t count,
                             int64_t* out) noexcept
    int64_t fp_bitmap_rows(const uint64_t* words, int64_t num_words, int64_t row, int64_t count,
                           int64_t* out) noexcept
    int64_t fp_bitmap_set(uint64_t* words, int64_t num_rows, const int64_t* rows,
                          int64_t count) noexcept
    void fp_bitmap_keep(const uint64_t* inner, int64_t num_inner_words, const uint64_t* outer,
                        int64_t num_outer_words, uint64_t* out) noexcept


cdef extern from "kernels/order.h" nogil:
    int FP_ORDER_ROUNDS
    uint64_t fp_permute(uint64_t number, uint64_t n, uint64_t tweak, const uint64_t* keys) noexcept
    uint64_t fp_permute_back(uint64_t number, uint64_t n, uint64_t tweak,
                             const uint64_t* keys) noexcept
    void fp_permute_all(const int64_t* numbers, int64_t count, uint64_t n, const uint64_t* keys,
                        int back, int64_t* out) noexcept
    uint64_t fp_hash_bytes(const uint8_t* bytes, size_t length, uint64_t seed) noexcept


cdef extern from "kernels/chunks.h" nogil:
    int FP_MAX_RANK

    ctypedef struct fp_chunk:
        uint64_t offset
        uint32_t length
        uint32_t mask

    ctypedef struct fp_chunked:
        fp_origin origin
        const uint32_t* memory_numbers
        const uint64_t* memory_offsets
        int rank
        int64_t shape[8]
        int64_t chunk_shape[8]
        const fp_chunk* chunks
        const fp_filter* filters
        size_t num_filters
        size_t item_bytes
        const uint8_t* fill

    ctypedef struct fp_wanted:
        int64_t num_layers
        const int64_t* numbers
        const int64_t* starts
        const int64_t* within
        const int64_t* rows

    int fp_read_chunks(const fp_chunked* dataset, const fp_wanted* wanted, uint8_t* out,
                       int64_t* counter, fp_outcome* outcome) noexcept


cdef extern from "kernels/feature_table.h" nogil:
    ctypedef struct fp_feature:
        uint8_t* own_name
        size_t name_length
        int32_t kind
        uint8_t left_out

    ctypedef struct fp_value_list:
        int64_t row
        int32_t feature
        int32_t kind
        uint64_t count
        uint64_t num_bytes
        fp_bytes last
        fp_bytes entry

    ctypedef struct fp_features:
        fp_feature* own_features
        size_t num_features
        size_t max_features
        uint64_t seed
        fp_value_list* own_lists
        size_t num_lists

    void fp_features_free(fp_features* table) noexcept
    void fp_features_clear_lists(fp_features* table) noexcept
    int fp_features_add(fp_features* table, const uint8_t* example, size_t length, int64_t row,
                        int32_t* odd) noexcept
    void fp_features_sort(const fp_features* table, int64_t* order, int64_t* starts) noexcept


cdef extern from "<sys/uio.h>" nogil:
    ctypedef struct iovec "struct iovec":
        void* iov_base
        size_t iov_len


cdef extern from "kernels/write_rows.h" nogil:
    ctypedef struct fp_rows:
        const int64_t* offsets
        const uint32_t* crcs
        int64_t num_rows

    int fp_write_rows(int fd, const iovec* pieces, size_t num_pieces, uint64_t offset,
                      const fp_rows* rows, fp_outcome* outcome) noexcept


cdef extern from "kernels/frames.h" nogil:
    ctypedef struct fp_column:
        int32_t kind
        int32_t apart
        const uint8_t* name
        size_t name_length
        const int64_t* offsets
        const int64_t* value_offsets
        const void* values
        const uint32_t* crcs

    uint64_t fp_example_size(const fp_column* columns, size_t num_columns, int64_t row) noexcept
    uint64_t fp_apart_size(const fp_column* columns, size_t num_columns, int64_t row) noexcept
    uint32_t fp_frame_example(const fp_column* columns, size_t num_columns, int64_t row,
                              uint8_t* out, iovec* pieces, uint32_t* frame_crc) noexcept


cdef extern from "kernels/vectors.h" nogil:
    void fp_allow_vectors(int allowed) noexcept


cdef extern from "kernels/probe.h" nogil:
    ctypedef struct fp_file_facts:
        uint64_t size
        int64_t mtime_ns
        fp_image_info info

    int fp_probe_blob(int fd, uint64_t offset, uint64_t length, fp_scratch* scratch, int64_t row,
                      fp_image_info* info, fp_outcome* outcome) noexcept
    int fp_probe_path(const char* path, fp_scratch* scratch, int64_t row, fp_file_facts* facts,
                      fp_outcome* outcome) noexcept


cdef extern from "kernels/tar.h" nogil:
    ctypedef struct fp_member:
        uint64_t offset
        uint64_t size
        uint64_t name_offset
        uint32_t key_length
        int32_t suffix
        int64_t sample

    ctypedef struct fp_members:
        fp_member* own_members
        size_t num_members
        uint8_t* own_names
        size_t names_length
        int64_t num_passed_over
        fp_features suffixes

    void fp_members_free(fp_members* members) noexcept
    int fp_list_members(int fd, uint64_t size, fp_members* members, fp_outcome* outcome) noexcept
    int fp_is_tar_header(const uint8_t* block) noexcept


cdef extern from "kernels/tables.h" nogil:
    ctypedef struct fp_place:
        uint32_t column
        uint32_t offset
        uint32_t size
        uint32_t stride

    ctypedef struct fp_leaf:
        uint64_t base
        uint64_t step
        uint8_t width[2]

    ctypedef struct fp_table:
        int64_t num_rows
        size_t first_leaf

    ctypedef struct fp_pages:
        int fd
        uint32_t checksum
        uint64_t size
        uint32_t common_bytes
        uint32_t text_bytes
        uint8_t* own_header
        fp_table* own_tables
        fp_leaf* own_leaves

    ctypedef struct fp_outputs:
        const fp_place* places
        uint8_t** columns

    int fp_pages_open(fp_pages* pages, const char* path, int keep, fp_outcome* outcome) noexcept
    int fp_pages_copy(fp_pages* pages, const uint8_t* data, size_t size,
                      fp_outcome* outcome) noexcept
    const uint8_t* fp_pages_common(const fp_pages* pages) noexcept
    const uint8_t* fp_pages_text(const fp_pages* pages) noexcept
    int fp_bind_tables(fp_pages* pages, const fp_place* places, const int64_t* starts,
                       int64_t num_tables, fp_outcome* outcome) noexcept
    void fp_pages_free(fp_pages* pages) noexcept
    int64_t fp_first_outside(fp_pages** files, int per_row, int64_t table, const int64_t* rows,
                             int64_t num_rows) noexcept
    int fp_take_rows(fp_pages** files, int per_row, int64_t table, const fp_outputs* out,
                     const int64_t* rows, int64_t num_rows, fp_outcome* outcome) noexcept
    int fp_read_rows(fp_pages* file, int64_t table, const fp_outputs* out, int64_t first,
                     int64_t end, fp_outcome* outcome) noexcept
    void fp_advise_rows(fp_pages** files, int per_row, int64_t table, const int64_t* rows,
                        int64_t num_rows) noexcept
