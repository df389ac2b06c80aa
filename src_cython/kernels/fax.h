/* Rows of two colors as fax machines pack them, which TIFF took over. */
#ifndef FASTPACK_FAX_H
#define FASTPACK_FAX_H
#include <stddef.h>
#include <stdint.h>

/* As TIFF numbers them: rows of runs that begin at bytes; T.4, rows with ends between them; T.6, each from the one above. */
enum fp_fax { FP_FAX_RUNS = 2, FP_FAX_T4 = 3, FP_FAX_T6 = 4 };

/* Writes a byte for each pixel: 0 for white, 1 for black. `is_mixed`: of T.4, some rows are coded from the one above.
   0 when the data are damaged, too few or too many; or there is no memory. */
int fp_unpack_fax(const uint8_t *data, size_t length, int kind, int is_mixed, uint32_t width, uint32_t height, uint8_t *out);
#endif
