"""The JPEG kernel and images that are damaged, unusual, hostile, or not what the caller says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.decode_jobs import HEIGHT, SOURCE, WIDTH, batch, decode, run, view_of
from tests.support.images import cmyk_jpeg, jpeg, photo, read_pillow, save, with_more_scans

CORRUPT, TRUNCATED, UNSUPPORTED, PIXEL_LIMIT, SCAN_LIMIT, BAD_BOX = 9, 10, 11, 12, 13, 14
BAD_DATA_CRC = 5
PROGRESSIVE = jpeg(HEIGHT, WIDTH, progressive=True)


def status_of(data, width=WIDTH, height=HEIGHT, **options):
    return run(data, view_of(width, height), np.empty((height, width, 3), np.uint8), **options)


@pytest.mark.parametrize(
    "data", [SOURCE, PROGRESSIVE, cmyk_jpeg(HEIGHT, WIDTH)], ids=["baseline", "progressive", "cmyk"]
)
def test_every_truncation_is_noticed(data):
    statuses = {status_of(data[:end]) for end in range(1, len(data))}
    assert statuses == {TRUNCATED}


@given(st.sampled_from([SOURCE, PROGRESSIVE]), st.integers(0, 10**6), st.integers(1, 255))
def test_a_changed_byte_gives_pixels_or_a_status(data, at, change):
    damaged = bytearray(data)
    damaged[at % len(data)] ^= change
    assert status_of(bytes(damaged)) in (
        None,
        CORRUPT,
        TRUNCATED,
        UNSUPPORTED,
        PIXEL_LIMIT,
        SCAN_LIMIT,
        BAD_BOX,
    )


@given(st.binary(min_size=1, max_size=300))
def test_garbage_is_no_image(data):
    assert status_of(data) in (CORRUPT, TRUNCATED)
    assert status_of(b"\xff\xd8\xff" + data) in (
        CORRUPT,
        TRUNCATED,
        UNSUPPORTED,
        PIXEL_LIMIT,
        BAD_BOX,
    )


def test_another_format_is_corrupt():
    assert status_of(save(photo(HEIGHT, WIDTH), "PNG")) == CORRUPT


def test_damage_inside_the_data_is_noticed_where_libjpeg_can():
    scan = SOURCE.index(b"\xff\xda") + 14
    assert (
        status_of(SOURCE[:scan] + b"\xff\xd0" + SOURCE[scan:]) == CORRUPT
    )  # a restart marker without an interval


@pytest.mark.parametrize("marker", [0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF])
def test_hierarchical_images_are_unsupported(marker):
    frame = SOURCE.index(b"\xff\xc0")
    assert status_of(SOURCE[:frame] + bytes([0xFF, marker]) + SOURCE[frame + 2 :]) == UNSUPPORTED


def test_more_bits_than_eight_are_unsupported():
    precision = SOURCE.index(b"\xff\xc0") + 4
    assert status_of(SOURCE[:precision] + b"\x0c" + SOURCE[precision + 1 :]) == UNSUPPORTED


@pytest.mark.parametrize(
    ("max_pixels", "status"),
    [(WIDTH * HEIGHT, None), (WIDTH * HEIGHT - 1, PIXEL_LIMIT), (1, PIXEL_LIMIT)],
)
def test_limit_on_pixels(max_pixels, status):
    assert status_of(SOURCE, max_pixels=max_pixels) == status


def test_a_header_that_claims_much_costs_nothing():
    size = SOURCE.index(b"\xff\xc0") + 5
    huge = (
        SOURCE[:size] + b"\xff\xdc\xff\xdc" + SOURCE[size + 4 :]
    )  # 65500 x 65500, the most that libjpeg takes
    assert status_of(huge, max_pixels=2**28) == PIXEL_LIMIT


def test_limit_on_scans():
    num_scans = PROGRESSIVE.count(b"\xff\xda")
    assert num_scans > 2
    assert status_of(PROGRESSIVE, max_scans=num_scans) is None
    assert status_of(PROGRESSIVE, max_scans=num_scans - 1) == SCAN_LIMIT
    assert status_of(SOURCE, max_scans=1) is None


def test_a_bomb_of_scans_is_refused():
    bomb = with_more_scans(PROGRESSIVE, 2000)
    assert len(bomb) < 50_000
    assert status_of(bomb, max_scans=500) == SCAN_LIMIT
    # It is a sound image all the same.
    assert (decode(bomb, max_scans=3000) == read_pillow(PROGRESSIVE)).all()


@pytest.mark.parametrize(
    "box",
    [
        {"width": WIDTH + 1},
        {"height": HEIGHT + 1},
        {"x": 1},
        {"y": 1},
        {"x": WIDTH, "width": 1},
        {"x": 2**32 - 1, "width": 1},
        {"x": 2**32 - 1, "width": 2**32 - 1},
        {"width": 0},
        {"height": 0},
        {"orientation": 6},
        {"orientation": 9, "width": 1, "height": 1},
        {"orientation": 255, "width": 1, "height": 1},
    ],
)
def test_a_box_outside_the_image_is_refused(box):
    view = view_of(**{"width": WIDTH, "height": HEIGHT, **box})
    assert run(SOURCE, view, np.empty((4, 4, 3), np.uint8)) == BAD_BOX


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3), (4, 4, 1), (4, 4, 4), (4, 4, 0)])
def test_an_output_without_room_is_a_mistake(shape):
    with pytest.raises(ValueError, match="output 0"):
        batch([SOURCE], view_of(WIDTH, HEIGHT), [np.empty(shape, np.uint8)])


def test_an_output_for_each_view_is_needed():
    with pytest.raises(ValueError, match="one view and one output"):
        batch([SOURCE], view_of(WIDTH, HEIGHT), [])
    with pytest.raises(ValueError, match="one view and one output"):
        batch([SOURCE], np.repeat(view_of(WIDTH, HEIGHT), 2), [np.empty((4, 4, 3), np.uint8)])


def test_an_output_that_cannot_be_written_is_a_mistake():
    out = np.empty((4, 4, 3), np.uint8)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        batch([SOURCE], view_of(WIDTH, HEIGHT), [out])


def test_bytes_after_the_end_are_left_alone():
    assert (decode(SOURCE + b"\xff\xd8 trailing \xff\xda bytes") == read_pillow(SOURCE)).all()
