/* Reference of decoding: libjpeg-turbo, used as in its own example.c. Each of N threads has one
   decompressor and takes the next image from a shared counter. */
#include <pthread.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

typedef struct {
    const uint8_t *jpegs;           /* concatenated */
    const int64_t *jpeg_offsets;    /* num_images + 1 */
    uint8_t *pixels;                /* RGB, concatenated */
    const int64_t *pixel_offsets;   /* num_images + 1 */
    int64_t num_images;
    int64_t next;
    int64_t num_failed;
} job;

typedef struct {
    struct jpeg_error_mgr errors;
    jmp_buf escape;
} failure;

static void on_error(j_common_ptr common) { longjmp(((failure *)common->err)->escape, 1); }

static void decode_image(struct jpeg_decompress_struct *jpeg, const job *all, int64_t image) {
    uint8_t *out = all->pixels + all->pixel_offsets[image];
    jpeg_mem_src(jpeg, all->jpegs + all->jpeg_offsets[image],
                 (unsigned long)(all->jpeg_offsets[image + 1] - all->jpeg_offsets[image]));
    jpeg_read_header(jpeg, TRUE);
    jpeg->out_color_space = JCS_RGB;
    jpeg_start_decompress(jpeg);
    size_t row_bytes = (size_t)jpeg->output_width * 3;
    if ((int64_t)(row_bytes * jpeg->output_height) !=
        all->pixel_offsets[image + 1] - all->pixel_offsets[image])
        jpeg->err->error_exit((j_common_ptr)jpeg);
    while (jpeg->output_scanline < jpeg->output_height) {
        JSAMPROW row = out + jpeg->output_scanline * row_bytes;
        jpeg_read_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_decompress(jpeg);
}

static void *decode_images(void *argument) {
    job *all = argument;
    struct jpeg_decompress_struct jpeg;
    failure failed;
    jpeg.err = jpeg_std_error(&failed.errors);
    failed.errors.error_exit = on_error;
    jpeg_create_decompress(&jpeg);
    int64_t image;
    while ((image = __atomic_fetch_add(&all->next, 1, __ATOMIC_RELAXED)) < all->num_images) {
        if (setjmp(failed.escape)) {
            __atomic_fetch_add(&all->num_failed, 1, __ATOMIC_RELAXED);
            jpeg_abort_decompress(&jpeg);
            continue;
        }
        decode_image(&jpeg, all, image);
    }
    jpeg_destroy_decompress(&jpeg);
    return NULL;
}

/* Returns the number of images that failed. */
int64_t decode_loop(const uint8_t *jpegs, const int64_t *jpeg_offsets, uint8_t *pixels,
                    const int64_t *pixel_offsets, int64_t num_images, int num_threads) {
    job all = {jpegs, jpeg_offsets, pixels, pixel_offsets, num_images, 0, 0};
    pthread_t *threads = malloc(sizeof *threads * (size_t)num_threads);
    int num_others = 0;
    while (threads && num_others < num_threads - 1 &&
           !pthread_create(&threads[num_others], NULL, decode_images, &all))
        num_others++;
    decode_images(&all);
    for (int i = 0; i < num_others; i++) pthread_join(threads[i], NULL);
    free(threads);
    return num_others == num_threads - 1 ? all.num_failed : num_images;
}
