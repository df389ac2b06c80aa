"""Structures that numpy and the kernels share, field by field."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

# Numbers of samples or records, (n,).
Rows: TypeAlias = npt.NDArray[np.int64]


# The bytes of a blob in a file, and the record that its checksum covers.
# fp_span in src_cython/kernels/span.h.
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
# The offset of a blob that is not stored as it is (compressed, for example). Its container must
# fetch it.
NO_SPAN = np.uint64(2**64 - 1)

# The facts of an image's header. fp_image_info in src_cython/kernels/image.h.
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

# A filter of HDF5's chunks, with its number and parameters from the file.
# fp_filter in src_cython/kernels/filters.h.
FILTER = np.dtype([("id", "<u4"), ("num_parameters", "<u4"), ("parameters", "<u4", (16,))])

# The bytes of a chunk of an HDF5 dataset. An offset of NO_SPAN: the chunk was never written.
# fp_chunk in src_cython/kernels/chunks.h.
CHUNK = np.dtype(
    [
        ("offset", "<u8"),
        ("length", "<u4"),
        ("mask", "<u4"),  # bit i: filter i was left out
    ]
)

# The part of an image that one output shows. The box (x, y, width, height), in upright coordinates,
# is scaled to scaled_width x scaled_height; 0 is the output's size. The output is the window of the
# scaled box at (left, top). `orientation` says how the stored pixels are turned.
# fp_view in src_cython/kernels/geometry.h.
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

# A whole or damaged piece of a TFRecord file (see PIECE_KINDS).
# fp_piece in src_cython/kernels/salvage.h.
PIECE = np.dtype([("offset", "<u8"), ("length", "<u8"), ("crc32c", "<u4"), ("kind", "<u4")])
