"""Warnings of libjpeg-turbo: those that change no pixel are counted, the others are errors."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import fastpack
from fastpack.cli import main
from fastpack.errors import CorruptImageError
from tests.support.decode_jobs import batch, run_all
from tests.support.decoder_pair import start_of_data, using_sequential, verdicts, view_of, whole
from tests.support.dirty_images import ARITHMETIC_PROGRESSIVE, segment
from tests.support.images import jpeg, read_pillow, with_spectrum
from tests.support.seek_points import table_of

pytestmark = pytest.mark.usefixtures("own_decoder")

PLAIN = jpeg(40, 56, quality=90)
RESTARTS = jpeg(40, 56, quality=90, restart_marker_blocks=2)
PROGRESSIVE = jpeg(40, 56, quality=90, progressive=True)
JUNK = bytes(np.random.default_rng(0).integers(0, 255, 300, np.uint8))


def with_version(data, major):
    """JFIF's."""
    at = data.index(b"JFIF") + 5
    return data[:at] + bytes([major]) + data[at + 1 :]


def with_transform(data, number):
    """Adobe's marker instead of JFIF's: the color space of the image."""
    adobe = segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([number]))
    return data[:2] + adobe + data[data.index(b"\xff\xdb") :]


def with_scan(data, first, last, bits):
    """The first scan header says that it has these coefficients, and these of their bits."""
    at = start_of_data(data)
    return data[: at - 3] + bytes([first, last, bits]) + data[at:]


def before(marker, junk, data):
    at = data.index(b"\xff" + bytes([marker]))
    return data[:at] + junk + data[at:]


def between_scans(junk):
    at = PROGRESSIVE.index(b"\xff\xc4", start_of_data(PROGRESSIVE))
    return PROGRESSIVE[:at] + junk + PROGRESSIVE[at:]


def zeroed(data, num_bytes):
    """A page of zeros in the midst of the data, as a file system leaves it after a crash."""
    at = start_of_data(data) + 200
    return data[:at] + bytes(num_bytes) + data[at + num_bytes :]


def with_height(data, height):
    """The frame header says that the image ends earlier than its data."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + height.to_bytes(2, "big") + data[at + 2 :]


IN_HEADERS = {
    "spectrum ends at 0": with_spectrum(PLAIN, 0),
    "spectrum ends at 62, restarts": with_spectrum(RESTARTS, 62),
    "spectrum begins at 1": with_scan(PLAIN, 1, 63, 0),
    "bits are missing": with_scan(PLAIN, 0, 63, 0x21),
    "spectrum ends at 0, not our decoder's": with_spectrum(jpeg(40, 56, keep_rgb=True), 0),
    "JFIF of another version": with_version(PLAIN, 7),
    "JFIF of another version, progressive": with_version(PROGRESSIVE, 2),
    "colors unknown to Adobe": with_transform(PLAIN, 9),
    **{
        f"bytes before {marker:02x}": before(marker, JUNK, PLAIN)
        for marker in (0xDB, 0xC0, 0xC4, 0xDA)
    },
    "bytes before c2": before(0xC2, JUNK, PROGRESSIVE),
}
BEHIND_SCANS = {
    "8 bytes before a restart": before(0xD1, JUNK[:8], RESTARTS),
    "8 bytes before the end": before(0xD9, JUNK[:8], PLAIN),
    "8 bytes between scans": between_scans(JUNK[:8]),
    "padding before a restart": before(0xD1, bytes(40), RESTARTS),
    "padding of zeros before the end": before(0xD9, bytes(500), PLAIN),
    "padding of spaces before the end": before(0xD9, b" " * 500, PLAIN),
    "other bytes before the end": before(0xD9, JUNK, PLAIN),
    "text before the end, gray": before(0xD9, b"by the camera " * 9, jpeg(40, 56, channels=1)),
    "other bytes before a comment": before(0xD9, JUNK + segment(0xFE, b"hi"), PLAIN),
    "padding between scans": between_scans(bytes(99)),
}
HARMLESS = IN_HEADERS | BEHIND_SCANS
NOT_EVEN_ODD = {
    "fill bytes before the end": before(0xD9, b"\xff" * 99, PLAIN),
    "bytes after the end": PLAIN + JUNK,
    "restarts that end an image": RESTARTS[:-2] + b"\xff\xd7\xff\xd9",
}


MADE_UP = {
    "[0-9]+ extraneous bytes": with_height(jpeg(64, 56, quality=90), 40),
    "extraneous bytes before marker 0xd1": before(0xD1, JUNK[:40], RESTARTS),
    "[0-9]+ extraneous bytes before marker 0xc4": between_scans(JUNK[:40]),
    "[0-9]+ extraneous bytes before marker 0xd9": zeroed(jpeg(40, 56, quality=98), 400),
    "premature end of data segment": PLAIN[:-200] + b"\xff\xd9",
    "bad Huffman code": PLAIN[:-200] + b"\xff\0" * 99 + b"\xff\xd9",
    "found marker 0xd4 instead of RST1": RESTARTS.replace(b"\xff\xd1", b"\xff\xd4", 1),
    "Premature end of JPEG file": PLAIN[:-2],
    "Inconsistent progression sequence": with_scan(PROGRESSIVE, 0, 0, 0x21),
}


def outcome(data, use="always"):
    """Pixels or the failure; and how many were counted as odd."""
    out = np.zeros((*size_of_any(data)[::-1], 3), np.uint8)
    with using_sequential(use):
        job = batch([data], view_of(out.shape[1], out.shape[0]), [out])
        failures = run_all(job)
    return failures[0] if failures else out, job.num_odd()


def size_of_any(data):
    at = re.search(rb"\xff[\xc0-\xc2\xc9\xca]\0", data).start()
    return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(
        data[at + 5 : at + 7], "big"
    )


@pytest.mark.parametrize("use", ["always", "never"])
@pytest.mark.parametrize("data", HARMLESS.values(), ids=HARMLESS)
def test_harmless_warnings(data, use):
    pixels, num_odd = outcome(data, use)
    assert (pixels == read_pillow(data)).all()
    assert num_odd == 1


@pytest.mark.parametrize("use", ["always", "never"])
@pytest.mark.parametrize("data", NOT_EVEN_ODD.values(), ids=NOT_EVEN_ODD)
def test_no_warnings(data, use):
    pixels, num_odd = outcome(data, use)
    assert (pixels == read_pillow(data)).all()
    assert num_odd == 0


@pytest.mark.parametrize("use", ["always", "never"])
@pytest.mark.parametrize(("words", "data"), MADE_UP.items(), ids=MADE_UP)
def test_pixels_that_were_made_up(words, data, use):
    with using_sequential(use), pytest.raises(CorruptImageError, match=words):
        fastpack.decode(data)
    assert outcome(data, use)[1] == 0


def test_rows_that_the_image_does_not_have_before_a_comment():
    data = with_height(jpeg(64, 56, quality=90), 40)
    pixels, _ = outcome(before(0xD9, segment(0xFE, b"hi"), data))
    assert isinstance(pixels, tuple)


def test_arithmetic_codes_that_are_bad():
    data = ARITHMETIC_PROGRESSIVE
    damaged = [
        data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
        for at in range(start_of_data(data), len(data) - 2)
    ]
    assert any("bad arithmetic code" in str(outcome(file)[0]) for file in damaged)


@given(
    st.sampled_from([PLAIN, RESTARTS]), st.integers(0, 63), st.integers(0, 63), st.integers(0, 255)
)
def test_any_scan_header_means_all_of_the_spectrum(data, first, last, bits):
    pixels, num_odd = outcome(with_scan(data, first, last, bits))
    assert (pixels == read_pillow(data)).all()
    assert num_odd == ((first, last, bits) != (0, 63, 0))
    verdicts(with_scan(data, first, last, bits), view_of(20, 10, x=7, y=3))


@given(
    st.sampled_from([PLAIN, RESTARTS, jpeg(40, 56, channels=1)]),
    st.integers(0, 40),
    st.integers(0, 255),
    st.binary(max_size=8),
)
def test_padding_has_libjpegs_verdict(data, count, value, few):
    """Wherever it stands, and by both decoders."""
    for marker in (0xC4, 0xD9, *([0xD1] if data is RESTARTS else [])):
        for junk in (bytes([value]) * count, few):
            verdicts(before(marker, junk, data), whole(data))
            verdicts(before(marker, junk, data), view_of(20, 10, x=7, y=20))


@pytest.mark.parametrize("data", HARMLESS.values(), ids=HARMLESS)
def test_packed_checked_stripped_and_rewritten(tmp_path, data):
    expected = read_pillow(data)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "0.jpg").write_bytes(data)
    for number, options in enumerate(
        [{}, {"metadata": "strip"}, {"jpeg": "fast"}, {"jpeg": "fast", "metadata": "strip"}]
    ):
        out = tmp_path / f"{number}.tfrecord"
        fastpack.pack(tmp_path / "in", out, fastpack.PackOptions(check="decode", **options))
        assert (fastpack.open(out)[0]["image"] == expected).all()
        assert fastpack.verify(out, decode=True).is_sound


def test_samsungs_header_is_no_reason_for_libjpeg():
    table = table_of(with_spectrum(jpeg(300, 400), 0))
    assert len(table)


def test_info_counts_odd_headers(tmp_path):
    for number, data in enumerate(
        [*HARMLESS.values(), PLAIN, MADE_UP["bad Huffman code"], b"\xff\xd8" + JUNK]
    ):
        (tmp_path / f"{number:02}.jpg").write_bytes(data)
    result = CliRunner().invoke(main, ["info", str(tmp_path)])
    assert f"odd but complete: {len(IN_HEADERS)}" in result.output
    facts = json.loads(CliRunner().invoke(main, ["info", str(tmp_path), "--json"]).stdout)
    assert facts["decoders"]["num_odd"] == len(IN_HEADERS)


def test_info_says_nothing_where_nothing_is_odd(tmp_path):
    (tmp_path / "0.jpg").write_bytes(PLAIN)
    assert "odd" not in CliRunner().invoke(main, ["info", str(tmp_path)]).output
