"""Read the headers of image files in memory."""
from kernels cimport fp_image_info, fp_probe
from libc.stdint cimport int32_t, int64_t, uint8_t


def probe_many(const uint8_t[::1] data, const int64_t[::1] offsets, const int64_t[::1] lengths,
               fp_image_info[::1] infos, int32_t[::1] statuses):
    cdef Py_ssize_t i, num_images = infos.shape[0]
    cdef const uint8_t* first = &data[0] if data.shape[0] else NULL
    if min(offsets.shape[0], lengths.shape[0], statuses.shape[0]) < num_images:
        raise ValueError("offsets, lengths and statuses must be as long as infos")
    for i in range(num_images):
        if offsets[i] < 0 or lengths[i] < 0 or offsets[i] > data.shape[0] - lengths[i]:
            raise ValueError(f"image {i} lies outside the data")
    with nogil:
        for i in range(num_images):
            statuses[i] = fp_probe(first + offsets[i], lengths[i], &infos[i])
