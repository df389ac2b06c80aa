/* Describes a JPEG for our decoder, from the headers that libjpeg-turbo has read. */
#ifndef FASTPACK_SCANS_H
#define FASTPACK_SCANS_H
#include "libjpeg.h"
#include "sequential.h"

/* FP_OURS, or the first thing in the headers (enum fp_route) that makes the image libjpeg's. */
int fp_route_of(const struct jpeg_decompress_struct *jpeg);

/* Describes what is left to decode after the headers, `reduced` times smaller. 0: it is for libjpeg. */
int fp_describe_scan(const struct jpeg_decompress_struct *jpeg, uint32_t reduced, fp_scan *scan);
#endif
