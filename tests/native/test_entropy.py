"""fastpack's own decoder against libjpeg-turbo: the same pixels, of common and unusual files."""

import contextlib
import itertools
import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastpack._native.decode import SeekPointBatch
from fastpack.core.dtypes import SPAN
from fastpack.core.memories import Memories
from fastpack.core.threads import run_in_threads
from tests.support.crops import FACTORS, SIZES, boxes, plain_paths
from tests.support.decode_jobs import batch, run_all, view_of
from tests.support.decoder_pair import (
    ANY_FACTORS,
    COLORS,
    decode,
    encoded,
    libjpeg_alone,
    segment,
    size_of,
    start_of_frame,
    using_sequential,
    verdicts,
    whole,
)
from tests.support.extent import num_examples
from tests.support.images import (
    cmyk_jpeg,
    factored_jpeg,
    jpeg,
    noise,
    photo,
    save,
    to_pillow,
    with_orientation,
)

pytestmark = pytest.mark.usefixtures("own_decoder")

# Sound images


@st.composite
def pixel_arrays(draw):
    height, width, channels = draw(SIZES), draw(SIZES), draw(st.sampled_from([3, 3, 3, 1]))
    kind = draw(st.sampled_from(["photo", "noise", "flat", "halves"]))
    if kind == "noise":
        return noise(height, width, channels)
    if kind == "photo":
        return photo(height, width, channels, seed=draw(st.integers(0, 3)))
    pixels = np.full((height, width, channels), draw(st.integers(0, 255)), np.uint8)
    pixels[: height // 2 if kind == "halves" else 0] ^= 255
    return pixels


@st.composite
def plain_jpegs(draw):
    quality, interval, optimize = (
        draw(st.integers(1, 100)),
        draw(st.sampled_from([0, 0, 1, 2, 7])),
        draw(st.booleans()),
    )
    if draw(st.integers(0, 3)) == 0:
        height, width = draw(st.integers(1, 80)), draw(st.integers(1, 80))
        options = {"quality": quality, "restart_marker_blocks": interval, "optimize": optimize}
        return factored_jpeg(height, width, draw(st.sampled_from(ANY_FACTORS)), **options)
    return encoded(
        draw(pixel_arrays()),
        draw(st.sampled_from([*FACTORS.values()])),
        quality,
        interval,
        optimize=optimize,
    )


@settings(max_examples=num_examples(600))
@given(plain_jpegs(), st.sampled_from(COLORS))
def test_whole_images_are_libjpegs(data, color):
    assert verdicts(data, whole(data), color) == (None, True)


@settings(max_examples=num_examples(600))
@given(plain_jpegs(), st.sampled_from(COLORS), st.data())
def test_boxes_are_libjpegs(data, color, draw):
    x, y, width, height = draw.draw(boxes(*size_of(data)))
    assert verdicts(data, view_of(width, height, x=x, y=y), color) == (None, True)


@settings(max_examples=num_examples(200))
@given(plain_jpegs(), st.sampled_from(COLORS), st.data(), st.integers(1, 8), st.booleans())
def test_turned_boxes_are_libjpegs(data, color, draw, orientation, flip):
    width, height = size_of(data)
    x, y, width, height = draw.draw(
        boxes(*((height, width) if orientation > 4 else (width, height)))
    )
    view = view_of(width, height, x=x, y=y, orientation=orientation, flip=flip)
    assert verdicts(with_orientation(data, orientation), view, color) == (None, True)


@settings(max_examples=num_examples(300))
@given(plain_jpegs(), st.sampled_from(COLORS), st.data())
def test_plain_paths_are_libjpegs(data, color, draw):
    """Without AVX2."""
    x, y, width, height = draw.draw(boxes(*size_of(data)))
    with plain_paths():
        assert verdicts(data, view_of(width, height, x=x, y=y), color) == (None, True)


@pytest.mark.parametrize("factors", FACTORS.values(), ids=FACTORS)
@pytest.mark.parametrize("interval", [0, 1, 3])
def test_boxes_at_every_offset(factors, interval):
    """Boxes at any offset in blocks, runs of blocks and chroma samples, and at the image's end."""
    data = encoded(photo(53, 301), factors, 90, interval)
    views = [
        view_of(width, 40, x=x, y=3) for width in (1, 2, 17) for x in range(0, 301 - width + 1)
    ]
    views += [
        view_of(60, height, x=5, y=y) for height in (1, 2, 17) for y in range(53 - height + 1)
    ]
    outs = [
        [np.empty((view["height"][0], view["width"][0], 3), np.uint8) for view in views]
        for _ in range(2)
    ]
    job = batch([data] * len(views), np.concatenate(views), outs[0])
    assert run_all(job) == []
    assert job.num_sequential() == len(views)
    with libjpeg_alone():
        assert run_all(batch([data] * len(views), np.concatenate(views), outs[1])) == []
    assert [
        view.item() for view, own, other in zip(views, *outs, strict=True) if (own != other).any()
    ] == []


@pytest.mark.parametrize("width", [1, 7, 8, 9, 127, 128, 129, 255, 256, 257, 2049])
@pytest.mark.parametrize("factors", FACTORS.values(), ids=FACTORS)
def test_widths_around_those_of_runs(width, factors):
    data = encoded(photo(33, width), factors, 85)
    assert verdicts(data, whole(data)) == (None, True)


@pytest.mark.parametrize("quality", [1, 50, 75, 100])
@pytest.mark.parametrize("optimize", [False, True])
def test_noise_has_codes_of_every_length(quality, optimize):
    """And blocks that end with their last coefficient, without a code that says so."""
    data = encoded(noise(200, 200, 3), FACTORS["444"], quality, optimize=optimize)
    assert verdicts(data, whole(data)) == (None, True)


def test_tables_are_kept_only_for_images_that_have_them():
    files = [
        jpeg(60, 80, seed=seed, optimize=seed % 3 > 0, quality=60 + seed) for seed in range(12)
    ] * 2
    outs = [np.empty((len(files), 60, 80, 3), np.uint8) for _ in range(2)]
    views = np.repeat(view_of(80, 60), len(files))
    job = batch(files, views, list(outs[0]))
    run_in_threads(job.run, 2)
    assert job.failures() == []
    assert job.num_sequential() == len(files)
    with libjpeg_alone():
        assert run_all(batch(files, views, list(outs[1]))) == []
    assert (outs[0] == outs[1]).all()


def nums_sequential(files, shape):
    """For each file of a batch, 1 if fastpack's own decoder decodes it, else 0."""
    outs = np.empty((len(files), *shape), np.uint8)
    views = np.repeat(view_of(shape[1], shape[0]), len(files))
    jobs = [
        batch(files[:count], views[:count], list(outs[:count])) for count in range(len(files) + 1)
    ]
    with using_sequential("where it pays"):
        assert [run_all(job) for job in jobs] == [[]] * len(jobs)
    return np.diff([job.num_sequential() for job in jobs]).tolist()


def test_tables_are_made_where_that_pays():
    """For images with much data, and for those that have the tables of the one before."""
    small, other = (jpeg(40, 40, seed=seed, optimize=True) for seed in range(2))
    assert len(small) < len(other) + 500 < 3000
    assert nums_sequential(
        [small, small, small, other, small, small, other, other], (40, 40, 3)
    ) == [0, 1, 1, 0, 0, 1, 0, 1]
    large = [
        encoded(noise(120, 120, 3), FACTORS["444"], quality, optimize=True) for quality in (50, 60)
    ]
    assert nums_sequential(large, (120, 120, 3)) == [1, 1]


def test_outputs_of_any_strides():
    data = jpeg(40, 56)
    _, expected, _ = decode(data, whole(data))
    memory = np.full((80, 112, 3), 7, np.uint8)
    job = batch([data], whole(data), [memory[::-2, 20:76]])
    assert run_all(job) == []
    assert job.num_sequential() == 1
    assert (memory[::-2, 20:76] == expected).all()
    memory[::-2, 20:76] = 7
    assert (memory == 7).all()


# Unusual ones

UNUSUAL = {
    "progressive": (jpeg(40, 56, progressive=True), 56),
    "CMYK": (cmyk_jpeg(40, 56), 56),
    "RGB": (jpeg(40, 56, keep_rgb=True), 56),
    "chroma of two kinds": (factored_jpeg(40, 56, ((2, 2), (2, 1), (1, 1))), 56),
}


@pytest.mark.parametrize(("data", "width"), UNUSUAL.values(), ids=UNUSUAL)
def test_unusual_images_are_left_to_libjpeg(data, width):
    assert verdicts(data, view_of(width, 40)) == (None, False)


@pytest.mark.parametrize("luma", [*itertools.product(range(1, 6), repeat=2)])
@pytest.mark.parametrize("chroma", [(1, 1), (1, 2), (2, 2), (4, 4)])
def test_factors_that_no_mcu_has_room_for(luma, chroma):
    """A damaged header claims them: libjpeg refuses more than ten blocks when decoding begins."""
    data = bytearray(jpeg(40, 56, subsampling=0))
    frame = start_of_frame(data)
    for component, (across, down) in enumerate((luma, chroma, chroma)):
        data[frame + 11 + 3 * component] = across << 4 | down
    verdicts(bytes(data), view_of(56, 40))
    span = np.zeros(1, SPAN)
    span["length"] = len(data)
    job, length = (
        SeekPointBatch(span, memories=Memories.of([bytes(data)])),
        np.ones(1, np.int64),
    )
    job.run()
    job.lengths(length)
    has_room = math.prod(luma) + 2 * math.prod(chroma) <= 10 and max(luma) <= 4
    assert has_room or length[0] == 0


def black_and_white(height, width, channels):
    """Coefficients as large as they get, so that the last bit of a factor is seen."""
    return np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (height, width, channels))


@pytest.mark.parametrize("smaller", [2, 4, 8])
@pytest.mark.parametrize("factors", FACTORS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("make", [photo, black_and_white])
def test_smaller_decodes_are_the_same(smaller, factors, channels, make):
    data = encoded(make(176, 232, channels), FACTORS[factors], 100)
    outs = np.empty((2, 176 // smaller, 232 // smaller, 3), np.uint8)
    for out, use in zip(outs, ("always", "never"), strict=True):
        job = batch([data], view_of(232, 176), [out], may_reduce=True)
        with using_sequential(use):
            assert run_all(job) == []
        assert job.num_sequential() == (use == "always")
    assert (outs[0] == outs[1]).all()


@pytest.mark.parametrize("smaller", [1, 2, 4, 8])
@pytest.mark.parametrize("factors", ANY_FACTORS, ids=str)
def test_all_factors(smaller, factors):
    data = factored_jpeg(76, 131, factors, quality=90)
    outs = np.empty((2, 76 // smaller, 131 // smaller, 3), np.uint8)
    for out, use in zip(outs, ("always", "never"), strict=True):
        job = batch([data], view_of(131, 76), [out], may_reduce=smaller > 1)
        with using_sequential(use):
            assert run_all(job) == []
        assert job.num_sequential() == (use == "always")
    assert (outs[0] == outs[1]).all()


@pytest.mark.parametrize("smaller", [2, 4, 8])
def test_numbers_that_no_encoder_writes_are_left_to_libjpeg_when_smaller(smaller):
    job = batch(
        [with_steps(jpeg(64, 64, seed=1), 255)],
        view_of(64, 64),
        [np.empty((64 // smaller, 64 // smaller, 3), np.uint8)],
        may_reduce=True,
    )
    assert run_all(job) == []
    assert job.num_sequential() == 0


def with_steps(data, step, size=1):
    """Multiplies all coefficients by `step`, a quantization step of one or two bytes."""
    at = segment(data, 0xDB)
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    bodies = [
        bytes([(size - 1) << 4 | number]) + step.to_bytes(size, "big") * 64 for number in range(2)
    ]
    tables = b"".join(b"\xff\xdb" + struct.pack(">H", 2 + len(body)) + body for body in bodies)
    assert data[at + 2 + length : at + 4 + length] == b"\xff\xdb"  # a segment for each table
    return data[:at] + tables + data[at + 2 * (2 + length) :]


@pytest.mark.parametrize("step", [2, 255, 256, 1000, 0x7FFF, 0x8001, 0xFFFF])
@pytest.mark.parametrize("make", [noise, photo])
@pytest.mark.parametrize("paths", [contextlib.nullcontext, plain_paths], ids=["vectors", "plain"])
def test_numbers_that_no_encoder_writes(step, make, paths):
    """Beyond 16 bits, libjpeg's x86 vector code wraps around or saturates; so does the kernel."""
    data = with_steps(jpeg_of(make(64, 72, 3)), step, 1 if step < 256 else 2)
    with paths():
        assert verdicts(data, whole(data)) == (None, True)


def jpeg_of(pixels):
    return save(to_pillow(pixels), "JPEG", quality=95, subsampling=0)


@pytest.mark.parametrize("step", [37, 99, 255, 1000])
@pytest.mark.parametrize("columns", [1, 8], ids=["one row", "flat"])
@pytest.mark.parametrize("paths", [contextlib.nullcontext, plain_paths], ids=["vectors", "plain"])
def test_blocks_of_one_row_that_no_encoder_writes(step, columns, paths):
    """They are shifted instead of transformed; only shifting wraps around."""
    row = noise(1, 512 // columns, 1).repeat(columns, axis=1)
    pixels = np.ascontiguousarray(np.broadcast_to(row, (16, 512, 3)))
    data = with_steps(jpeg_of(pixels), step, 1 if step < 256 else 2)
    with paths():
        assert verdicts(data, whole(data)) == (None, True)
