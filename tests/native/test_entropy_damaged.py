"""fastpack's own decoder and libjpeg-turbo report the same errors of damaged files."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.crops import boxes
from tests.support.damaged_jpegs import ENDINGS, RESTARTS, SOUND, TABLES, damaged_jpegs, with_table
from tests.support.decode_jobs import batch, run_all, view_of
from tests.support.decoder_pair import COLORS, start_of_data, verdicts, whole
from tests.support.extent import every, num_examples

pytestmark = pytest.mark.usefixtures("own_decoder")

each_sound = pytest.mark.parametrize("data", SOUND.values(), ids=SOUND)


@each_sound
@pytest.mark.parametrize("filler", [b"", b"\xff", b"\xff\xff"], ids=["", "marker", "fill bytes"])
def test_files_that_end_anywhere(data, filler):
    """A box in the middle needs a part; but libjpeg reads ahead, and reports the file's end."""
    views = [whole(data), view_of(20, 10, x=7, y=3), view_of(20, 10, x=7, y=17)]
    found = {
        verdicts(data[:end] + filler, view)[0]
        for end in every(7, range(start_of_data(data), len(data)))
        for view in views
    }
    assert found == {None, 10}


@each_sound
@pytest.mark.parametrize("accept", [False, True], ids=["strict", "accept"])
def test_damage_anywhere(data, accept):
    random = np.random.default_rng(0)
    for at in every(7, range(start_of_data(data), len(data))):
        damaged = bytearray(data)
        damaged[at] ^= 1 << random.integers(8)
        verdicts(bytes(damaged), whole(data), accept_damage=accept)
        verdicts(
            bytes(damaged), view_of(20, 12, x=7, y=3), accept_damage=accept
        )  # 4:2:0: libjpeg reads the next MCUs


@settings(max_examples=num_examples(1500))
@given(damaged_jpegs(), st.sampled_from(COLORS), st.booleans(), st.data())
def test_damaged_files_have_libjpegs_verdict(data, color, accept, draw):
    x, y, width, height = draw.draw(boxes(56, 40))
    verdicts(data, view_of(width, height, x=x, y=y), color, accept_damage=accept)


@each_sound
@pytest.mark.parametrize("change", ENDINGS.values(), ids=ENDINGS)
def test_odd_endings(data, change):
    verdicts(change(data), whole(data))


@pytest.mark.parametrize(("old", "new"), RESTARTS.values(), ids=RESTARTS)
@pytest.mark.parametrize("y", [0, 30])
def test_odd_restarts(old, new, y):
    data = SOUND["restarts"]
    start = start_of_data(data)
    verdicts(data[:start] + data[start:].replace(old, new, 1), view_of(56, 10, y=y))


@pytest.mark.parametrize("number", [0x00, 0x10])
@pytest.mark.parametrize(("counts", "symbols"), TABLES.values(), ids=TABLES)
def test_odd_tables(number, counts, symbols):
    verdicts(with_table(SOUND["gray"], number, counts, symbols), view_of(56, 40))
    verdicts(with_table(SOUND["gray"], number, counts, symbols), view_of(3, 2))


@settings(max_examples=num_examples(300))
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
