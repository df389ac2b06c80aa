"""The records that numpy and the kernels share, field by field."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

# Numbers of samples or records, (n,).
Rows: TypeAlias = npt.NDArray[np.int64]


# Where a blob lies, and which bytes around it the checksum covers: fp_span in src_cython/kernels/span.h.
SPAN = np.dtype(
    [
        ("shard", "<u4"),
        ("crc32c", "<u4"),
        ("offset", "<u8"),
        ("length", "<u8"),
        ("record_offset", "<u8"),
        ("record_length", "<u8"),  # 0: no checksum is known
    ]
)
# The offset of a blob that has no place of its own (compressed, say) and must be fetched by its container.
NO_SPAN = np.uint64(2**64 - 1)

# What an image's header says: fp_image_info in src_cython/kernels/image.h.
IMAGE_INFO = np.dtype(
    [
        ("width", "<u4"),
        ("height", "<u4"),
        ("format", "u1"),
        ("components", "u1"),
        ("subsampling", "u1"),
        ("progressive", "u1"),
        ("orientation", "u1"),
        ("bits", "u1"),
        ("reserved", "<u2"),
    ]
)
IMAGE_FACTS = tuple(name for name in IMAGE_INFO.names or () if name != "reserved")

# A filter of HDF5's chunks, with the number and the parameters that stand in the file: fp_filter in
# src_cython/kernels/filters.h.
FILTER = np.dtype([("id", "<u4"), ("num_parameters", "<u4"), ("parameters", "<u4", (16,))])

# Where a chunk of an HDF5 dataset lies: fp_chunk in src_cython/kernels/chunks.h. An offset of NO_SPAN: it was never written.
CHUNK = np.dtype(
    [
        ("offset", "<u8"),
        ("length", "<u4"),
        ("mask", "<u4"),  # bit i: filter i was left out
    ]
)

# What is wanted of an image, in upright coordinates: the box, scaled to scaled_width x scaled_height (0 is
# the output's size), of which the output is the window at (left, top); and how the stored pixels are turned: fp_view
# in src_cython/kernels/geometry.h.
VIEW = np.dtype(
    [
        ("x", "<u4"),
        ("y", "<u4"),
        ("width", "<u4"),
        ("height", "<u4"),
        ("scaled_width", "<u4"),
        ("scaled_height", "<u4"),
        ("left", "<u4"),
        ("top", "<u4"),
        ("orientation", "u1"),
        ("flip", "u1"),
        ("reserved", "<u2"),
    ]
)

# A piece of a TFRecord, whole or damaged (see PIECE_KINDS): fp_piece in src_cython/kernels/salvage.h.
PIECE = np.dtype([("offset", "<u8"), ("length", "<u8"), ("crc32c", "<u4"), ("kind", "<u4")])
