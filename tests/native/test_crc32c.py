"""CRC-32C: the vectors, the instruction and the table give what ten lines of Python give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpack._native.crc32c import crc32c, crc32c_rows, join, mask, paths, unmask
from fastpack.core.ragged import Ragged

PATHS = [
    pytest.param(
        path,
        marks=pytest.mark.skipif(path not in paths(), reason="this processor lacks what it needs"),
    )
    for path in ("best", "table", "hardware", "256 bits", "512 bits")
]


def plain(data: bytes, value: int = 0) -> int:
    crc = value ^ 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


# RFC 3720, appendix B.4. The last is the check value in the "Catalogue of parametrised CRC
# algorithms".
VECTORS = [
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
    (
        bytes.fromhex(
            "01c00000000000000000000000000000140000000000040000000014"
            "0000001828000000000000000200000000000000"
        ),
        0xD9963A56,
    ),
    (b"123456789", 0xE3069283),
    (b"", 0),
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("data", "crc"), VECTORS)
def test_published_vectors(data, crc, path):
    assert crc32c(data, path=path) == crc


@pytest.mark.parametrize("path", PATHS)
@given(st.binary(max_size=300), st.integers(0, 2**32 - 1))
def test_equals_plain(path, data, value):
    assert crc32c(data, value, path=path) == plain(data, value)


# All lengths around the limits of vectors, of blocks of 3 x 1024 bytes and of words of 8 bytes; any
# address.
_BYTES = np.random.default_rng(0).integers(0, 256, 10_000, np.uint8)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "length",
    [63, 64, 127, 128, 255, 256, 257, 319, 320, 511, 512, 1023, 1024, 3071, 3072, 3079, 3080, 9900],
)
@pytest.mark.parametrize("start", [0, 1, 7, 31, 63])
def test_long_data_at_any_address(path, length, start):
    data = _BYTES[start : start + length]
    assert crc32c(data, path=path) == plain(data.tobytes())


@pytest.mark.parametrize("path", PATHS)
@given(st.integers(0, 2200), st.integers(0, 64), st.integers(0, 2**32 - 1))
def test_any_length_at_any_address_from_any_value(path, length, start, value):
    data = _BYTES[start : start + length]
    assert crc32c(data, value, path=path) == crc32c(data, value, path="table")


@pytest.mark.parametrize("path", PATHS)
@given(st.lists(st.binary(max_size=5000), max_size=4))
def test_pieces_sum_to_the_whole(path, pieces):
    crc = 0
    for piece in pieces:
        crc = crc32c(piece, crc, path=path)
    assert crc == crc32c(b"".join(pieces))


@given(st.binary(max_size=600), st.integers(0, 600), st.integers(0, 2**32 - 1))
def test_two_sums_become_one(data, cut, value):
    first, second = data[:cut], data[cut:]
    assert join(crc32c(first, value), crc32c(second), len(second)) == crc32c(data, value)


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 2**40), min_size=2, max_size=3))
def test_joining_long_data_bit_by_bit(value, lengths):
    """Zeros combine to the CRC of their concatenation, for any number of them."""
    at_once, by_turns = join(value, 0, sum(lengths)), value
    for length in lengths:
        by_turns = join(by_turns, 0, length)
    assert at_once == by_turns


@given(st.integers(0, 2**32 - 1))
def test_mask_is_the_published_formula_and_has_an_inverse(crc):
    assert mask(crc) == ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32
    assert unmask(mask(crc)) == crc


def test_strided_data_are_refused():
    with pytest.raises(ValueError, match="contiguous"):
        crc32c(np.zeros(10, np.uint8)[::2])


@given(st.lists(st.binary(max_size=40)))
def test_rows_are_summed_one_by_one(rows):
    blobs = Ragged.of_bytes(rows)
    assert crc32c_rows(blobs.values, blobs.offsets).tolist() == [crc32c(row) for row in rows]


@pytest.mark.parametrize("offsets", [[], [1, 2], [0, 5], [0, 3, 2, 4]])
def test_offsets_of_rows_must_lie_within(offsets):
    with pytest.raises(ValueError, match="offsets"):
        crc32c_rows(np.zeros(4, np.uint8), np.array(offsets, np.int64))
