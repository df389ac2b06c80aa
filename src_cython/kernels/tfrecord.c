/* TFRecord framing (tfrecord.h has the format).

   The scan takes one window of the file at a time. The caller then moves the window to *consumed.
   So a record at the end of one window is found whole in the next. Each length is used only if it
   matches its checksum, is below the limit, and fits the rest of the file. */
#include "tfrecord.h"

#include "crc32c.h"
#include "endian.h"

int fp_scan_records(const uint8_t *data, size_t length, uint64_t bytes_left, uint64_t record_limit,
                    int check, size_t capacity, uint64_t *offsets, uint64_t *lengths,
                    uint32_t *crcs, size_t *num_records, size_t *consumed, size_t *wanted,
                    fp_outcome *outcome) {
    size_t position = 0, found = 0;
    int status = FP_OK;
    *wanted = FP_FRAME_HEADER;
    while (found < capacity) {
        uint64_t left = bytes_left - position;
        if (left == 0) break;
        if (left < FP_FRAME_HEADER) {
            status = fp_fail(outcome, FP_TRUNCATED, (int64_t)found, position,
                             "the file ends inside a record's header");
            break;
        }
        if (length - position < FP_FRAME_HEADER) break;
        const uint8_t *header = data + position;
        uint64_t payload = fp_load_le64(header);
        if (fp_crc32c_mask(fp_crc32c(0, header, 8)) != fp_load_le32(header + 8)) {
            status = fp_fail(outcome, FP_BAD_LENGTH_CRC, (int64_t)found, position,
                             "the length differs from its CRC32C");
            break;
        }
        if (payload > record_limit) {
            status = fp_fail(outcome, FP_RECORD_LIMIT, (int64_t)found, position,
                             "the record claims more bytes than the limit");
            break;
        }
        if (left < FP_FRAME_HEADER + FP_FRAME_FOOTER ||
            payload > left - FP_FRAME_HEADER - FP_FRAME_FOOTER) {
            status = fp_fail(outcome, FP_TRUNCATED, (int64_t)found, position,
                             "the file ends inside a record");
            break;
        }
        size_t whole = (size_t)payload + FP_FRAME_HEADER + FP_FRAME_FOOTER;
        *wanted = whole;
        if (whole > length - position) break;
        uint32_t crc = fp_crc32c_unmask(fp_load_le32(header + FP_FRAME_HEADER + payload));
        if (check && fp_crc32c(0, header + FP_FRAME_HEADER, payload) != crc) {
            status = fp_fail(outcome, FP_BAD_DATA_CRC, (int64_t)found, position,
                             "the record differs from its CRC32C");
            break;
        }
        offsets[found] = position + FP_FRAME_HEADER;
        lengths[found] = payload;
        crcs[found] = crc;
        found++;
        position += whole;
    }
    *num_records = found;
    *consumed = position;
    return status;
}

void fp_frame_around(uint8_t *header, uint64_t length, uint8_t *footer, uint32_t crc) {
    fp_store_le64(header, length);
    fp_store_le32(header + 8, fp_crc32c_mask(fp_crc32c(0, header, 8)));
    fp_store_le32(footer, fp_crc32c_mask(crc));
}
