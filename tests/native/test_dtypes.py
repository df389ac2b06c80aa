"""numpy's records and the kernels' structs are the same bytes."""

import re

import numpy as np
import pytest

from fastpack.core.dtypes import CHUNK, FILTER, IMAGE_INFO, PIECE, SPAN, VIEW
from fastpack.core.memories import MEMORY
from tests.support.paths import ROOT

KERNELS = ROOT / "src_cython" / "kernels"
C_TYPES = {"uint64_t": "<u8", "uint32_t": "<u4", "uint16_t": "<u2", "uint8_t": "|u1"}


def struct_fields(header: str, name: str) -> list[tuple[str, str]]:
    text = re.sub(r"/\*.*?\*/", "", (KERNELS / header).read_text(), flags=re.S)
    body = re.search(r"typedef struct \{([^}]*)\} " + name + ";", text)[1]
    lines = [line.split() for line in body.replace(",", " ").split(";") if line.strip()]
    return [(field, C_TYPES[kind]) for kind, *fields in lines for field in fields]


@pytest.mark.parametrize(
    ("dtype", "header", "name"),
    [
        (SPAN, "span.h", "fp_span"),
        (IMAGE_INFO, "image.h", "fp_image_info"),
        (VIEW, "geometry.h", "fp_view"),
        (PIECE, "salvage.h", "fp_piece"),
        (CHUNK, "chunks.h", "fp_chunk"),
        (MEMORY, "span.h", "fp_memory"),
    ],
)
def test_dtype_is_the_struct(dtype, header, name):
    fields = [(field, dtype[field].str) for field in dtype.names]
    assert fields == struct_fields(header, name)
    # No padding: C would put none either, since each field stands at a multiple of its size.
    assert dtype.itemsize == sum(dtype[field].itemsize for field in dtype.names)
    assert all(dtype.fields[field][1] % dtype[field].itemsize == 0 for field in dtype.names)
    assert dtype.itemsize % max(dtype[field].itemsize for field in dtype.names) == 0
    assert np.dtype(dtype).isbuiltin == 0


def test_filters_have_as_many_parameters_as_in_the_struct():
    header = (KERNELS / "filters.h").read_text()
    most = int(re.search(r"FP_FILTER_PARAMETERS (\d+)", header)[1])
    assert FILTER["parameters"].shape == (most,)
    assert struct_fields("filters.h", "fp_filter") == [
        ("id", "<u4"),
        ("num_parameters", "<u4"),
        ("parameters[FP_FILTER_PARAMETERS]", "<u4"),
    ]
    assert FILTER.itemsize == 4 * (2 + most)
