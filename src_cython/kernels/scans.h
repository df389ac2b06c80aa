/* Describes a JPEG for our decoder, from the headers that libjpeg-turbo has read. */
#ifndef FASTPACK_SCANS_H
#define FASTPACK_SCANS_H
#include "libjpeg.h"
#include "sequential.h"

/* Returns FP_OURS, or the first reason (enum fp_route) to leave the image to libjpeg. */
int fp_route_of(const struct jpeg_decompress_struct *jpeg);

/* Describes the scan for decoding `reduced` times smaller. Returns 0 if libjpeg must decode it. */
int fp_describe_scan(const struct jpeg_decompress_struct *jpeg, uint32_t reduced, fp_scan *scan);
#endif
