/* TFRecord framing. A record is a length (8 bytes), its masked CRC (4), the data, and the data's
   masked CRC (4), all little-endian. */
#ifndef FASTPACK_TFRECORD_H
#define FASTPACK_TFRECORD_H
#include <stddef.h>

#include "status.h"

#define FP_FRAME_HEADER 12
#define FP_FRAME_FOOTER 4

/* Finds the whole records in `data`, a piece of a file with `bytes_left` bytes from data[0] on.
   Gives the offset in `data`, the length and the unmasked CRC of each payload, at most `capacity`
   of them. *consumed is the end of the last one. A record past the end of `data`, but not of the
   file, ends the scan without a failure. *wanted is then the length of `data` that would hold
   it. */
int fp_scan_records(const uint8_t *data, size_t length, uint64_t bytes_left, uint64_t record_limit,
                    int check, size_t capacity, uint64_t *offsets, uint64_t *lengths,
                    uint32_t *crcs, size_t *num_records, size_t *consumed, size_t *wanted,
                    fp_outcome *outcome);
/* Writes the header and the footer of a record of `length` bytes with this unmasked CRC. */
void fp_frame_around(uint8_t *header, uint64_t length, uint8_t *footer, uint32_t crc);
#endif
