"""Decoding from the middle of a JPEG gives the same pixels, or the table is not used."""

import contextlib
import os

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fastpack._native.crc32c import crc32c
from fastpack._native.decode import DecodeBatch, SeekPointBatch
from fastpack.core.dtypes import SPAN
from fastpack.core.memories import Memories
from fastpack.errors import FastpackError, outcome_error
from tests.support.crops import FACTORS, boxes, plain_paths
from tests.support.damaged_jpegs import damaged_jpegs
from tests.support.decode_jobs import run_all, view_of
from tests.support.decoder_pair import (
    ANY_FACTORS,
    decode,
    encoded,
    libjpeg_alone,
    size_of,
    start_of_data,
    whole,
)
from tests.support.extent import num_examples
from tests.support.images import factored_jpeg, jpeg, noise, photo
from tests.support.seek_points import spans_of, table_of, tables_of

pytestmark = pytest.mark.usefixtures("own_decoder")


def by(table):
    return table, np.array([0]), np.array([len(table)])


def decode_marked(data, view, table, color="RGB", **options):
    """Status, pixels, and whether the table was used."""
    out = np.full((view["height"][0], view["width"][0], 1 if color == "GRAY" else 3), 99, np.uint8)
    options = {"color": color, "max_pixels": 2**28, "max_scans": 100, **options}
    job = DecodeBatch(
        spans_of([data]),
        view,
        [out],
        memories=Memories.of([data]),
        seek_points=by(table),
        **options,
    )
    failures = run_all(job)
    return failures[0][0] if failures else None, out, job.num_with_seek_points() == 1


def assert_right(data, view, table, color="RGB"):
    """That the pixels are libjpeg's; gives whether the table was used."""
    status, pixels, is_marked = decode_marked(data, view, table, color)
    with libjpeg_alone():
        expected_status, expected, _ = decode(data, view, color)
    assert status == expected_status
    assert status is not None or (pixels == expected).all()
    return is_marked


GRIDS = {
    "a seek point every row": encoded(photo(120, 150), FACTORS["444"], 95),
    "rows of several": encoded(noise(40, 700, 3), FACTORS["444"], 90),
    "rows of several, 4:2:0": encoded(noise(50, 1000, 3), FACTORS["420"], 90),
    "one for several rows": encoded(photo(200, 64), FACTORS["444"], 70),
    "one for several rows, 4:2:0": encoded(photo(300, 90), FACTORS["420"], 75),
    "gray": encoded(noise(100, 200, 1), FACTORS["444"], 80),
    "gray with factors": factored_jpeg(120, 150, ((2, 2),), quality=95),
    "4:1:1": encoded(noise(40, 700, 3), FACTORS["411"], 90),
    "4:1:0": factored_jpeg(150, 200, ((4, 2), (1, 1), (1, 1)), quality=95),
}
each_grid = pytest.mark.parametrize("data", GRIDS.values(), ids=GRIDS)


def grid_of(table):
    """Rows of MCUs, and MCUs of a row, from seek point to seek point."""
    return int(table[0]) >> 48, int(table[0]) >> 32 & 0xFFFF


def test_grids():
    """That they are what the tests below mean."""
    rows, columns = zip(*[grid_of(table) for table in tables_of([*GRIDS.values()])], strict=True)
    assert [count > 1 for count in rows] == [
        False,
        False,
        False,
        True,
        True,
        False,
        False,
        False,
        False,
    ]
    assert columns[1] < 88
    assert columns[2] < 63


@st.composite
def large_jpegs(draw):
    """With enough data for seek points."""
    height, width, channels = (
        draw(st.integers(17, 150)),
        draw(st.integers(5, 400)),
        draw(st.sampled_from([3, 3, 1])),
    )
    make, quality, optimize = (
        draw(st.sampled_from([photo, noise])),
        draw(st.integers(30, 100)),
        draw(st.booleans()),
    )
    if draw(st.integers(0, 3)) == 0:
        data = factored_jpeg(
            height + 33,
            width,
            draw(st.sampled_from(ANY_FACTORS)),
            quality=quality,
            optimize=optimize,
        )
    else:
        data = encoded(
            make(height, width, channels),
            draw(st.sampled_from([*FACTORS.values()])),
            quality,
            optimize=optimize,
        )
    assume(len(data) > 3000)
    return data


@settings(max_examples=num_examples(150))
@given(large_jpegs(), st.sampled_from(["RGB", "BGR", "GRAY"]), st.data())
def test_boxes_are_libjpegs(data, color, draw):
    x, y, width, height = draw.draw(boxes(*size_of(data)))
    assert assert_right(data, view_of(width, height, x=x, y=y), table_of(data), color)


@settings(max_examples=num_examples(60))
@given(large_jpegs(), st.data())
def test_plain_paths_are_libjpegs(data, draw):
    x, y, width, height = draw.draw(boxes(*size_of(data)))
    with plain_paths():
        assert assert_right(data, view_of(width, height, x=x, y=y), table_of(data))
        assert assert_right(data, whole(data), table_of(data))


@each_grid
def test_boxes_at_every_offset(data):
    width, height = size_of(data)
    views = [view_of(min(20, width - x), 20, x=x, y=9) for x in range(width)]
    views += [view_of(20, rows, x=30, y=y) for rows in (1, 17) for y in range(height - rows + 1)]
    outs = [
        [np.empty((view["height"][0], view["width"][0], 3), np.uint8) for view in views]
        for _ in range(2)
    ]
    spans, table = np.repeat(spans_of([data]), len(views)), table_of(data)
    options = {"memories": Memories.of([data]), "max_pixels": 2**28, "max_scans": 100}
    tables = table, np.zeros(len(views), np.int64), np.full(len(views), len(table))
    job = DecodeBatch(spans, np.concatenate(views), outs[0], seek_points=tables, **options)
    assert run_all(job) == []
    assert job.num_with_seek_points() == len(views)
    with libjpeg_alone():
        assert run_all(DecodeBatch(spans, np.concatenate(views), outs[1], **options)) == []
    assert [
        view.item() for view, own, other in zip(views, *outs, strict=True) if (own != other).any()
    ] == []


def test_a_table_is_small():
    """An eight-byte word for 1,600 bytes of data, or for each row of MCUs."""
    data = encoded(noise(400, 500, 3), FACTORS["444"], 90)
    assert len(table_of(data)) * 8 < len(data) * 0.006


UNMARKED = {
    "progressive": jpeg(80, 96, progressive=True, quality=95),
    "restarts": jpeg(80, 96, quality=95, restart_marker_blocks=4),
    "little data": jpeg(16, 16),
    "cut": GRIDS["gray"][:-500],
    "bytes before the end": GRIDS["gray"][:-2] + b"\0\0\0\xff\xd9",
    "no end": GRIDS["gray"][:-2],
    "no image": b"\xff\xd8\xff\xe0no image",
}


@pytest.mark.parametrize("data", UNMARKED.values(), ids=UNMARKED)
def test_what_has_no_seek_points(data):
    assert len(table_of(data)) == 0


def test_data_that_ends_where_a_seek_point_would_be():
    """Missing bits make no seek point; sanitizers detect reads after the end."""
    data = GRIDS["a seek point every row"]
    table, start = table_of(data), start_of_data(data)
    for word in table[2:8]:
        byte = (int(word) & (2**28 - 1)) // 8
        for end in range(max(start, byte - 6), byte + 1):
            for tail in (b"\xff", b"\xff\xd9\xff", b"\xff\xd9"):
                assert len(table_of(data[:end] + tail)) == 0


@pytest.mark.parametrize("smaller", [1, 2, 4, 8])
@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("box", [None, (9, 6, 50, 33)])
def test_smaller_decodes_begin_at_seek_points_too(smaller, name, box):
    data = GRIDS[name]
    x, y, width, height = box or (0, 0, *size_of(data))
    outs = np.full((2, height // smaller, width // smaller, 3), 99, np.uint8)
    options = {
        "memories": Memories.of([data]),
        "max_pixels": 2**28,
        "max_scans": 100,
        "may_reduce": True,
    }
    for out, expects_marks in zip(outs, (True, False), strict=True):
        job = DecodeBatch(
            spans_of([data]),
            view_of(width, height, x=x, y=y),
            [out],
            seek_points=by(table_of(data)),
            **options,
        )
        with contextlib.nullcontext() if expects_marks else libjpeg_alone():
            assert run_all(job) == []
        assert job.num_with_seek_points() == expects_marks
    assert (outs[0] == outs[1]).all()


# Reading


def read(path, span, view, table):
    """The pixels, or the error, and whether the table was used."""
    out = np.zeros((view["height"][0], view["width"][0], 3), np.uint8)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fds = np.array([descriptor], np.int32)
        job = DecodeBatch(
            span, view, [out], fds=fds, seek_points=by(table), max_pixels=2**28, max_scans=100
        )
        failures = run_all(job)
    finally:
        os.close(descriptor)
    if failures:
        raise outcome_error(failures[0], path)
    return out, job.num_with_seek_points() == 1


@pytest.fixture
def record(tmp_path):
    """An image in the midst of a record in the midst of a file, and its span."""
    data = GRIDS["a seek point every row"]
    path = tmp_path / "record"
    path.write_bytes(b"before" + b"head" + data + b"tail" + b"behind")
    span = np.zeros(1, SPAN)
    span["offset"], span["length"], span["record_offset"], span["record_length"] = (
        10,
        len(data),
        6,
        len(data) + 8,
    )
    span["crc32c"] = crc32c(np.frombuffer(b"head" + data + b"tail", np.uint8))
    return path, span, data


def table_in(path, span):
    descriptor = os.open(path, os.O_RDONLY)
    job = SeekPointBatch(span, fds=np.array([descriptor], np.int32))
    assert run_all(job) == []
    os.close(descriptor)
    length = np.zeros(1, np.int64)
    job.lengths(length)
    words = np.zeros(length[0], np.uint64)
    job.words(words)
    return words


@pytest.mark.parametrize("box", [{"x": 20, "y": 50}, {"x": 0, "y": 0}, {"x": 90, "y": 90}])
def test_only_what_is_needed_is_read(record, box):
    """Bytes elsewhere may be damaged: no checksum is compared, and none of them looked at."""
    path, span, data = record
    table, view = table_in(path, span), view_of(30, 30, **box)
    expected, is_marked = read(path, span, view, table)
    assert is_marked
    first, last = (
        int(word) & (2**28 - 1)
        for word in (table[box["y"] // 8 + 1], table[(box["y"] + 29) // 8 + 2])
    )
    damaged = bytearray(path.read_bytes())
    for at in {*range(start_of_data(data) + 10, len(data) + 10)} - {
        *range(first // 8 + 10, last // 8 + 11)
    }:
        damaged[at] = 0xFF
    path.write_bytes(damaged)
    pixels, is_marked = read(path, span, view, table)
    assert is_marked
    assert (pixels == expected).all()


def test_all_that_is_read_is_compared(record):
    path, span, data = record
    table, view = table_in(path, span), view_of(*size_of(data))
    assert read(path, span, view, table)[1]
    damaged = bytearray(path.read_bytes())
    damaged[7] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(FastpackError, match="CRC32C"):
        read(path, span, view, table)


def test_a_damaged_header_is_noticed(record):
    path, span, _ = record
    table = table_in(path, span)
    damaged = bytearray(path.read_bytes())
    damaged[10 + 40] ^= 1  # a quantization step, for example
    path.write_bytes(damaged)
    with pytest.raises(FastpackError, match="CRC32C"):
        read(path, span, view_of(20, 20, x=8, y=40), table)


# Damaged and foreign tables


@settings(max_examples=num_examples(200))
@given(st.sampled_from([*GRIDS.values()]), st.data())
def test_damage_is_noticed(data, draw):
    table = table_of(data)
    damaged = bytearray(table.tobytes())
    for _ in range(draw.draw(st.integers(1, 3))):
        damaged[draw.draw(st.integers(0, len(damaged) - 1))] ^= draw.draw(st.integers(1, 255))
    damaged = damaged[
        : draw.draw(st.sampled_from([len(damaged), len(damaged), 8, 16, 24, len(damaged) - 8]))
    ]
    damaged = np.frombuffer(bytes(damaged), np.uint64)
    x, y, width, height = draw.draw(boxes(*size_of(data)))
    is_used = assert_right(data, view_of(width, height, x=x, y=y), damaged)
    assert is_used == np.array_equal(damaged, table)


@pytest.mark.parametrize("other", GRIDS.values(), ids=GRIDS)
@each_grid
def test_tables_of_others_are_noticed(data, other):
    assert assert_right(data, whole(data), table_of(other)) == (data == other)


@settings(max_examples=num_examples(100))
@given(
    st.lists(st.integers(0, 50), min_size=2, max_size=2, unique=True),
    st.sampled_from(["444", "420"]),
    st.data(),
)
def test_tables_of_images_with_the_same_headers_and_length_are_noticed(seeds, factors, draw):
    """No known checksum distinguishes them here."""
    files = [encoded(photo(60, 150, seed=seed), FACTORS[factors], 95) for seed in seeds]
    files = [data.ljust(max(map(len, files)), b"\0") for data in files]
    assert files[0][: start_of_data(files[0])] == files[1][: start_of_data(files[1])]
    x, y, width, height = draw.draw(boxes(*size_of(files[0])))
    view = view_of(width, height, x=x, y=y)
    assert [assert_right(files[0], view, table) for table in tables_of(files)] == [True, False]


def sealed(table, data):
    """Computes the checksum of changed words, as a forger would."""
    words = table.copy()
    grid = int(words[0]) >> 32 << 32
    head = data[: ((int(words[2]) & (2**28 - 1)) + 7) // 8]  # no checksum of all is known
    about = np.array([grid, len(data), 0], np.uint64)
    words[0] = grid | crc32c(np.frombuffer(about.tobytes() + words[1:].tobytes() + head, np.uint8))
    return words


def test_seals():
    data = GRIDS["gray"]
    assert np.array_equal(sealed(table_of(data), data), table_of(data))


@settings(max_examples=num_examples(150))
@given(st.sampled_from([*GRIDS.values()]), st.data())
def test_forged_offsets_lead_nowhere(data, draw):
    """Of a whole image each place is compared with where decoding comes from the one before."""
    table = table_of(data)
    table[draw.draw(st.integers(1, len(table) - 1))] ^= np.uint64(
        draw.draw(st.integers(1, 2**64 - 1))
    )
    forged = sealed(table, data)
    assume(not np.array_equal(forged, table_of(data)))
    assert_right(data, whole(data), forged)


@settings(max_examples=num_examples(150))
@given(
    st.sampled_from([*GRIDS.values()]),
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4),
    st.data(),
)
def test_any_sealed_words_are_safe(data, words, draw):
    """They may give other pixels in the box, as an index may name other bytes; nothing more."""
    table = table_of(data)
    first = draw.draw(st.integers(1, len(table) - 1))
    table[first : first + len(words)] = np.array(words, np.uint64)[: len(table) - first]
    x, y, width, height = draw.draw(boxes(*size_of(data)))
    status, _, _ = decode_marked(data, view_of(width, height, x=x, y=y), sealed(table, data))
    assert status is None


@settings(max_examples=num_examples(150))
@given(damaged_jpegs(), st.data())
def test_a_sound_table_of_a_file_that_was_damaged(data, draw):
    """Without a checksum: the table is of another length or header, or leads to other bytes."""
    with contextlib.suppress(IndexError):
        assume(size_of(data) == (56, 40))
    x, y, width, height = draw.draw(boxes(56, 40))
    assert_right(data, view_of(width, height, x=x, y=y), table_of(data))
