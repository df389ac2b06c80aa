/* TFRecord framing: u64 length, masked CRC of it, the data, masked CRC of the data; little-endian. */
#ifndef FASTPACK_TFRECORD_H
#define FASTPACK_TFRECORD_H
#include <stddef.h>

#include "status.h"

#define FP_FRAME_HEADER 12
#define FP_FRAME_FOOTER 4

/* Finds the records that lie whole inside `data`, a piece of a file that has `bytes_left` bytes from
   data[0] on. For each: the place of its payload in `data`, its length and its (unmasked) CRC.
   Writes at most `capacity` records; *num_records and *consumed say how far it came. A record that
   goes past `length` but not past the file ends the scan without a failure; *wanted then says how
   long `data` must be to hold it. */
int fp_scan_records(const uint8_t *data, size_t length, uint64_t bytes_left, uint64_t record_limit, int check,
                    size_t capacity, uint64_t *offsets, uint64_t *lengths, uint32_t *crcs, size_t *num_records,
                    size_t *consumed, size_t *wanted, fp_outcome *outcome);
/* Writes the header and the footer of a record of `length` bytes that has this (unmasked) CRC. */
void fp_frame_around(uint8_t *header, uint64_t length, uint8_t *footer, uint32_t crc);
#endif
