"""The decoder of our own against libjpeg-turbo: the same verdict on what is damaged."""

import struct

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from images import factored_jpeg, jpeg
from test_decode_kernel import batch, run_all, view_of
from test_engine_exact import boxes
from two_decoders import COLORS, start_of_data, start_of_frame, verdicts, whole

pytestmark = pytest.mark.usefixtures("own_decoder")

SOUND = {
    "4:4:4": jpeg(40, 56, subsampling=0, optimize=True),
    "4:2:0": jpeg(40, 56, subsampling=2),
    "restarts": jpeg(40, 56, subsampling=2, restart_marker_blocks=1),
    "gray": jpeg(40, 56, channels=1),
    "gray with factors": factored_jpeg(40, 56, ((1, 2),)),
    "4:1:0": factored_jpeg(40, 56, ((4, 2), (1, 1), (1, 1))),
    "four rows at once": factored_jpeg(40, 56, ((1, 4), (1, 2), (1, 2))),
}
each_sound = pytest.mark.parametrize("data", SOUND.values(), ids=SOUND)


@each_sound
@pytest.mark.parametrize("filler", [b"", b"\xff", b"\xff\xff"], ids=["", "marker", "fill bytes"])
def test_files_that_end_anywhere(data, filler):
    """A box in the middle needs less than all; but libjpeg reads ahead, and complains when it meets the end."""
    views = [whole(data), view_of(20, 10, x=7, y=3), view_of(20, 10, x=7, y=17)]
    found = {
        verdicts(data[:end] + filler, view)[0]
        for end in range(start_of_data(data), len(data))
        for view in views
    }
    assert found == {None, 10}


@each_sound
@pytest.mark.parametrize("accept", [False, True], ids=["strict", "accept"])
def test_damage_anywhere(data, accept):
    random = np.random.default_rng(0)
    for at in range(start_of_data(data), len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << random.integers(8)
        verdicts(bytes(damaged), whole(data), accept_damage=accept)
        verdicts(
            bytes(damaged), view_of(20, 12, x=7, y=3), accept_damage=accept
        )  # 4:2:0: libjpeg reads the next MCUs


@st.composite
def damaged_jpegs(draw):
    """Bytes changed, put in, taken out or swapped for markers, the headers' included but for the size."""
    data = bytearray(draw(st.sampled_from([*SOUND.values()])))
    frame = start_of_frame(data)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(2, len(data) - 1))
        assume(not frame <= at < frame + 9)
        new = draw(
            st.one_of(
                st.binary(max_size=3), st.integers(0xC0, 0xFF).map(lambda code: bytes([0xFF, code]))
            )
        )
        end = draw(st.integers(at, min(at + 3, len(data)))) if at > frame else at + len(new)
        if at > frame or end <= frame:
            data[at:end] = new
    return bytes(data)


@settings(max_examples=1500)
@given(damaged_jpegs(), st.sampled_from(COLORS), st.booleans(), st.data())
def test_damaged_files_have_libjpegs_verdict(data, color, accept, draw):
    x, y, width, height = draw.draw(boxes(56, 40))
    verdicts(data, view_of(width, height, x=x, y=y), color, accept_damage=accept)


ENDINGS = {
    "bytes before the end": lambda data: data[:-2] + b"\0\0\0" + data[-2:],
    "no end": lambda data: data[:-2],
    "half an end": lambda data: data[:-1],
    "a fill byte": lambda data: data[:-2] + b"\xff" + data[-2:],
    "another marker": lambda data: data[:-2] + b"\xff\xfe\0\4ab" + data[-2:],
    "a restart": lambda data: data[:-2] + b"\xff\xd0" + data[-2:],
    "bytes behind the end": lambda data: data + b"behind",
    "another image": lambda data: data + data,
}


@each_sound
@pytest.mark.parametrize("change", ENDINGS.values(), ids=ENDINGS)
def test_odd_endings(data, change):
    verdicts(change(data), whole(data))


RESTARTS = {
    "wrong": (b"\xff\xd1", b"\xff\xd4"),
    "missing": (b"\xff\xd1", b""),
    "twice": (b"\xff\xd1", b"\xff\xd1\xff\xd1"),
    "filled": (b"\xff\xd1", b"\xff\xff\xd1"),
    "bytes before": (b"\xff\xd1", b"\0\0\xff\xd1"),
    "bytes behind": (b"\xff\xd1", b"\xff\xd1\0\0"),
}


@pytest.mark.parametrize(("old", "new"), RESTARTS.values(), ids=RESTARTS)
@pytest.mark.parametrize("y", [0, 30])
def test_odd_restarts(old, new, y):
    data = SOUND["restarts"]
    start = start_of_data(data)
    verdicts(data[:start] + data[start:].replace(old, new, 1), view_of(56, 10, y=y))


def with_table(data, number, counts, symbols):
    """The DHT segment that defines this table (class << 4 | number) replaced."""
    at = 2
    while not (data[at + 1] == 0xC4 and data[at + 4] == number):
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    body = bytes([number, *counts, *symbols])
    return data[:at] + b"\xff\xc4" + struct.pack(">H", 2 + len(body)) + body + data[end:]


TABLES = {
    "nothing": ([0] * 16, []),
    "one code": ([1] + [0] * 15, [0]),
    "all ones": ([2] + [0] * 15, [0, 1]),
    "more than fit": ([0, 0, 9] + [0] * 13, range(9)),
    "sizes beyond 15": ([0, 1, 1] + [0] * 13, [16, 0]),
    "the longest codes": ([0] * 15 + [200], range(200)),
}


@pytest.mark.parametrize("number", [0x00, 0x10])
@pytest.mark.parametrize(("counts", "symbols"), TABLES.values(), ids=TABLES)
def test_odd_tables(number, counts, symbols):
    verdicts(with_table(SOUND["gray"], number, counts, symbols), view_of(56, 40))
    verdicts(with_table(SOUND["gray"], number, counts, symbols), view_of(3, 2))


@settings(max_examples=300)
@given(
    st.sampled_from([0x00, 0x10]),
    st.lists(st.integers(0, 9), min_size=16, max_size=16),
    st.binary(min_size=160, max_size=160),
)
def test_any_tables(number, counts, symbols):
    verdicts(with_table(SOUND["gray"], number, counts, symbols[: sum(counts)]), view_of(9, 5))


def test_a_decoder_is_sound_after_damage():
    good, bad = SOUND["4:2:0"], SOUND["4:2:0"][:-60] + b"\xff\xd9"
    outs = np.empty((3, 40, 56, 3), np.uint8)
    job = batch([good, bad, good], np.repeat(view_of(56, 40), 3), list(outs), keep_going=True)
    assert [failure[2] for failure in run_all(job)] == [1]
    assert job.num_sequential() == 2
    assert (outs[0] == outs[2]).all()
