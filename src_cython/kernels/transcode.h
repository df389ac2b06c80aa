/* Transcodes JPEGs that decode slowly (progressive, arithmetic, several scans) to one sequential
   scan with Huffman codes of its own. The coefficients stay the same. Restart markers are removed,
   since they slow down other decoders. */
#ifndef FASTPACK_TRANSCODE_H
#define FASTPACK_TRANSCODE_H
#include <stddef.h>
#include <stdint.h>

typedef struct {
    int32_t strip;           /* omit metadata except the orientation; else keep all of it */
    uint32_t max_scans;
    uint64_t max_pixels;
} fp_transcode_options;

/* Why there is no transcoded image. */
enum fp_not_transcoded {
    FP_ONE_SCAN_ALREADY = -1, /* the image is of the fast kind */
    FP_WOULD_GROW = -2,       /* by more than a quarter */
    FP_TOO_UNUSUAL = -3       /* damaged, or not possible without loss */
};

typedef struct fp_transcoder fp_transcoder;

fp_transcoder *fp_transcoder_new(void);
void fp_transcoder_free(fp_transcoder *transcoder);

/* On FP_OK, *out is the image until the next call. It was read back and compared: all coefficients
   and headers that affect pixels are the same. Else returns FP_NO_MEMORY or one of
   fp_not_transcoded. */
int fp_transcode(fp_transcoder *transcoder, const uint8_t *data, size_t length,
                 const fp_transcode_options *options, const uint8_t **out, size_t *out_length);
#endif
