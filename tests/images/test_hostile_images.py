"""Damaged and malicious images: pixels or a FastpackError, at a cost in proportion to the file."""

import contextlib
import struct

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import fastpack
from fastpack import Limits, Resize
from fastpack.errors import CorruptImageError, FastpackError, LimitError
from tests.support.dirty_images import JPEGS, KINDS, PLAIN, each_kind, png, segment
from tests.support.extent import num_examples
from tests.support.images import read_pillow, with_more_scans
from tests.support.samples import packed
from tests.support.subprocesses import run_python
from tests.support.wire import bytes_list, entry, example, frame


def claiming(data, width, height):
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


HUGE = {
    "jpeg of 120 bytes": (
        b"\xff\xd8"
        + segment(
            0xC0, struct.pack(">BHHB9B", 8, 65535, 65535, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0)
        )
    ).ljust(120, b"\0"),
    "jpeg of libjpeg's largest size": claiming(PLAIN, 65500, 65500),
    "png of 2**31 pixels": png(2**16, 2**15, bytes(1000)),
    "png of all that fit": png(2**31 - 1, 2**31 - 1, bytes(1000)),
}
each_huge = pytest.mark.parametrize("data", HUGE.values(), ids=HUGE)


def shard(path, files):
    """A TFRecord; pack would refuse some of these."""
    path.write_bytes(b"".join(frame(example(entry(b"image", bytes_list(data)))) for data in files))
    return path


@each_huge
def test_huge_claims_are_refused(data):
    with pytest.raises(LimitError, match="max_pixels"):
        fastpack.decode(data)


@each_huge
def test_huge_claims_are_refused_by_a_reader(tmp_path, data):
    dataset = fastpack.open(shard(tmp_path / "x.tfrecord", [PLAIN, data]), transform=Resize(8))
    with pytest.raises((LimitError, CorruptImageError), match="record 1"):
        dataset.read([0, 1])
    batch = dataset.with_options(on_error="mask").read([0, 1])
    assert batch.mask.tolist() == [True, False]


@pytest.mark.parametrize("on_error", ["raise", "mask", "skip"])
def test_no_room_is_made_for_huge_claims(tmp_path, on_error):
    """Also without a transform. No machine has this much memory; other claims are gigabytes."""
    path = shard(tmp_path / "x.tfrecord", [PLAIN, HUGE["png of all that fit"]])
    dataset = fastpack.open(path, on_error=on_error)
    if on_error == "raise":
        with pytest.raises(LimitError, match="max_pixels.*record 1"):
            dataset.read([0, 1])
    else:
        assert isinstance(dataset.read([0, 1]).failures[0], LimitError)


def test_no_room_is_made_for_a_huge_chunk():
    """A chunk claims a gigabyte in a file of a few hundred bytes; a child measures its memory."""
    data = bytearray(KINDS["png palette of 2 bits"])
    data[data.index(b"PLTE") - 4] = 0x40
    code = f"""
import resource, sys, fastpack
data = sys.stdin.buffer.read()
fastpack.decode({KINDS["png palette of 4 bits"]!r})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    fastpack.decode(data)
except fastpack.FastpackError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    assert int(run_python(code, stdin=bytes(data))) < 64 * 1024  # KiB


@pytest.mark.parametrize("num_scans", [600, 3000])
def test_bombs_of_scans(tmp_path, num_scans):
    bomb = with_more_scans(JPEGS["jpeg progressive"], num_scans)
    with pytest.raises(LimitError, match="max_scans"):
        fastpack.decode(bomb)
    with pytest.raises(LimitError, match="max_scans.*record 0"):
        fastpack.open(packed(tmp_path, [bomb], "x.tfrecord"), transform=Resize(8))[0]
    assert (
        fastpack.decode(bomb, limits=Limits(max_scans=4000))
        == read_pillow(JPEGS["jpeg progressive"])
    ).all()


CAREFUL = Limits(max_pixels=2**16)


@each_kind
@pytest.mark.parametrize("tenths", range(10))
def test_truncated(kind, tenths):
    data = KINDS[kind].split(b"junk")[0]
    with pytest.raises(FastpackError):
        fastpack.decode(data[: len(data) * tenths // 10], limits=CAREFUL)


@each_kind
@settings(max_examples=num_examples(60))
@given(at=st.integers(0, 2**20), change=st.integers(1, 255))
def test_a_changed_byte_gives_pixels_or_a_fastpack_error(kind, at, change):
    damaged = bytearray(KINDS[kind])
    at %= min(len(damaged), 5000)
    assume(
        not (kind.startswith("png") and damaged[at + 4 : at + 8].isalpha())
    )  # see test_no_room_is_made_for_a_huge_chunk
    damaged[at] ^= change
    with contextlib.suppress(FastpackError):  # whatever else were raised would fail the test
        pixels = fastpack.decode(bytes(damaged), limits=CAREFUL)
        assert pixels.dtype == np.uint8
        assert pixels.shape[2] == 3


@settings(max_examples=num_examples(100))
@given(st.sampled_from([*KINDS]), st.integers(0, 2**20), st.integers(0, 400))
def test_a_reader_survives_holes(tmp_path_factory, kind, at, length):
    data = KINDS[kind]
    start = at % len(data)
    path = shard(
        tmp_path_factory.mktemp("holes") / "x.tfrecord",
        [PLAIN, data[:start] + data[start + length :]],
    )
    batch = fastpack.open(
        path, transform=Resize(8), on_error="mask", limits=CAREFUL, save_index=False
    ).read([0, 1])
    assert batch.mask[0]
    assert batch.mask[1] or (not batch["image"][1].any() and len(batch.failures) == 1)
