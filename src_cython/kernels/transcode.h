/* JPEGs that take long to decode (progressive, arithmetic, several scans) -> the same coefficients in one sequential scan
   with Huffman codes of its own, through libjpeg-turbo. Without restart markers: they cost other decoders time. */
#ifndef FASTPACK_TRANSCODE_H
#define FASTPACK_TRANSCODE_H
#include <stddef.h>
#include <stdint.h>

typedef struct {
    int32_t strip;           /* leave out metadata but for the orientation; else all of it is kept */
    uint32_t max_scans;
    uint64_t max_pixels;
} fp_transcode_options;

/* Why there is no transcoded image. */
enum fp_not_transcoded {
    FP_ONE_SCAN_ALREADY = -1, /* it is of the fast kind */
    FP_WOULD_GROW = -2,       /* by more than a quarter */
    FP_TOO_UNUSUAL = -3       /* damaged, or not to be had without a loss */
};

typedef struct fp_transcoder fp_transcoder;

fp_transcoder *fp_transcoder_new(void);
void fp_transcoder_free(fp_transcoder *transcoder);

/* FP_OK: *out is the image, until the next call, read back and compared: what decides its pixels is the same, coefficient
   by coefficient. Else FP_NO_MEMORY or one of fp_not_transcoded. */
int fp_transcode(fp_transcoder *transcoder, const uint8_t *data, size_t length, const fp_transcode_options *options,
                 const uint8_t **out, size_t *out_length);
#endif
