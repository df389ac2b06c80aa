/* Bilevel rows as fax machines pack them, in TIFF files. */
#ifndef FASTPACK_FAX_H
#define FASTPACK_FAX_H
#include <stddef.h>
#include <stdint.h>

/* TIFF's numbers. RUNS: rows of runs, each beginning at a byte. T4: rows with end marks. T6: each
   row is coded from the row above. */
enum fp_fax { FP_FAX_RUNS = 2, FP_FAX_T4 = 3, FP_FAX_T6 = 4 };

/* Writes a byte for each pixel: 0 is white, 1 is black. `is_mixed`: some T.4 rows are coded from
   the row above. Returns 0 if the data is damaged, too short or too long, or without memory. */
int fp_unpack_fax(const uint8_t *data, size_t length, int kind, int is_mixed, uint32_t width,
                  uint32_t height, uint8_t *out);
#endif
