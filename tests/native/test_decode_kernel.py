"""The JPEG kernel against Pillow's full decode: any box, into any array."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fastpack._native.decode import DecodeBatch
from fastpack.core.dtypes import SPAN, VIEW
from fastpack.core.threads import run_in_threads
from tests.support.decode_jobs import HEIGHT, SOURCE, WIDTH, batch, decode, run, run_all, view_of
from tests.support.images import (
    cmyk_jpeg,
    jpeg,
    photo,
    read_pillow,
    read_upright,
    resized,
    sampled_jpeg,
    save,
    with_orientation,
    ycck_jpeg,
)

SIZES = st.integers(1, 100)


# Whole images

jpegs = st.builds(
    jpeg,
    SIZES,
    SIZES,
    seed=st.integers(0, 9),
    quality=st.integers(5, 100),
    subsampling=st.integers(0, 2),
    progressive=st.booleans(),
    restart_marker_blocks=st.integers(0, 5),
    optimize=st.booleans(),
)
RARE_FACTORS = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440]
rare_jpegs = st.one_of(
    st.builds(sampled_jpeg, SIZES, SIZES, st.sampled_from(RARE_FACTORS)),
    st.builds(jpeg, SIZES, SIZES, channels=st.just(1)),
    st.builds(jpeg, SIZES, SIZES, keep_rgb=st.just(True)),
    st.builds(cmyk_jpeg, SIZES, SIZES, quality=st.integers(5, 100), progressive=st.booleans()),
    st.builds(ycck_jpeg, SIZES, SIZES, quality=st.integers(5, 100)),
)


@given(jpegs | rare_jpegs)
def test_whole_image_is_pillows(data):
    expected = read_pillow(data)
    assert (decode(data) == expected).all()  # all builds of libjpeg-turbo give the same
    assert (decode(data, color="BGR") == expected[..., ::-1]).all()


@given(jpegs | st.builds(jpeg, SIZES, SIZES, channels=st.just(1)))
def test_gray_is_the_luma_of_the_file(data):
    with Image.open(io.BytesIO(data)) as image:
        image.draft("L", None)  # libjpeg's gray, which no color conversion has rounded
        assert (decode(data, color="GRAY")[..., 0] == np.asarray(image)).all()


@given(st.builds(jpeg, SIZES, SIZES, keep_rgb=st.just(True)) | st.builds(cmyk_jpeg, SIZES, SIZES))
def test_gray_of_files_without_luma(data):
    rgb = Image.fromarray(read_pillow(data))
    assert (decode(data, color="GRAY")[..., 0] == np.asarray(rgb.convert("L"))).all()


# Views of an image

PIXELS = read_pillow(SOURCE)


@st.composite
def views(draw, orientations=st.integers(1, 8)):
    orientation = draw(orientations)
    width, height = (HEIGHT, WIDTH) if orientation > 4 else (WIDTH, HEIGHT)
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    box = {"width": draw(st.integers(1, width - x)), "height": draw(st.integers(1, height - y))}
    return view_of(**box, x=x, y=y, orientation=orientation, flip=draw(st.booleans()))


UPRIGHT = {
    orientation: read_upright(with_orientation(SOURCE, orientation)) for orientation in range(1, 9)
}


def expected_view(view):
    """Upright, then cropped, then mirrored."""
    x, y, width, height, *_, orientation, flip, _ = view[0].item()
    cropped = UPRIGHT[orientation][y : y + height, x : x + width]
    return cropped[:, ::-1] if flip else cropped


@given(views())
def test_view_is_a_crop_of_the_upright_image(view):
    assert (decode(SOURCE, view) == expected_view(view)).all()


RARE = {
    "progressive": jpeg(HEIGHT, WIDTH, progressive=True),
    "restarts": jpeg(HEIGHT, WIDTH, restart_marker_blocks=3),
    "rgb": jpeg(HEIGHT, WIDTH, keep_rgb=True),
    "gray": jpeg(HEIGHT, WIDTH, channels=1),
    "cmyk": cmyk_jpeg(HEIGHT, WIDTH),
    "ycck": ycck_jpeg(HEIGHT, WIDTH),
    "4:1:1": sampled_jpeg(HEIGHT, WIDTH, RARE_FACTORS[0]),
    "4:4:0": sampled_jpeg(HEIGHT, WIDTH, RARE_FACTORS[1]),
}


@pytest.mark.parametrize("data", RARE.values(), ids=RARE)
@given(view=views(st.just(1)))
def test_view_of_rare_kinds_is_a_crop_too(data, view):
    x, y, width, height, *_, flip, _ = view[0].item()
    expected = read_pillow(data)[y : y + height, x : x + width]
    assert (decode(data, view) == (expected[:, ::-1] if flip else expected)).all()


@given(views(), SIZES, SIZES)
def test_resampled_view(view, height, width):
    expected = resized(
        expected_view(view)[:, ::-1] if view["flip"] else expected_view(view), height, width
    )
    expected = expected[:, ::-1] if view["flip"] else expected  # the mirror comes last
    assert np.abs(decode(SOURCE, view, (height, width)).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_as_pillow_turns(orientation):
    upright = UPRIGHT[orientation]
    view = view_of(upright.shape[1], upright.shape[0], orientation=orientation)
    assert (decode(with_orientation(SOURCE, orientation), view) == upright).all()


def windows_of(whole):
    """Arrays of one shape, in several memory layouts, of (3, 3 * height, 3 * width) bytes."""
    height, width = whole.shape[1] // 3, whole.shape[2] // 3
    planes = whole[:, height : 2 * height, width : 2 * width]
    packed = whole.reshape(-1)[: 9 * height * width * 3].reshape(3 * height, 3 * width, 3)
    return {
        "packed": whole.reshape(-1)[: height * width * 3].reshape(height, width, 3),
        "window": packed[height : 2 * height, width : 2 * width],
        "planes": planes.transpose(1, 2, 0),
        "upside down": packed[::-1][:height, :width],
        "backwards": packed[:height, :width][:, ::-1, ::-1],
        "every third": packed[::3, ::3],
        "transposed": whole.reshape(-1)[: height * width * 3]
        .reshape(width, height, 3)
        .transpose(1, 0, 2),
    }


@pytest.mark.parametrize("layout", windows_of(np.zeros((3, 3, 3), np.uint8)))
@given(view=views(), size=st.none() | st.tuples(st.integers(1, 20), st.integers(1, 20)))
def test_outputs_of_any_strides(layout, view, size):
    height, width = size or (int(view["height"][0]), int(view["width"][0]))
    memory = np.full((3, 3 * height, 3 * width), 7, np.uint8)
    expected = memory.copy()
    windows_of(expected)[layout][...] = decode(SOURCE, view, (height, width))
    assert run(SOURCE, view, windows_of(memory)[layout]) is None
    assert (memory == expected).all()  # and nothing beside it was touched


# Several images at once


@pytest.mark.parametrize("num_workers", [1, 2, 8])
def test_threads_share_the_rows(num_workers):
    files = [jpeg(20 + seed, 70 - seed, seed=seed) for seed in range(40)]
    outs = [np.empty((20 + seed, 70 - seed, 3), np.uint8) for seed in range(40)]
    job = batch(files, np.concatenate([view_of(70 - seed, 20 + seed) for seed in range(40)]), outs)
    run_in_threads(job.run, num_workers)
    assert job.failures() == []
    assert all((out == read_pillow(file)).all() for out, file in zip(outs, files, strict=True))


@pytest.mark.parametrize("num_workers", [1, 2, 8])
def test_the_first_row_that_fails_is_reported(num_workers):
    files = [SOURCE] * 40
    for row in (17, 18, 31):
        files[row] = SOURCE[:-100]
    job = batch(
        files,
        np.repeat(view_of(WIDTH, HEIGHT), 40),
        list(np.empty((40, HEIGHT, WIDTH, 3), np.uint8)),
    )
    run_in_threads(job.run, num_workers)
    assert job.failures()[0][2] == 17


@pytest.mark.parametrize("num_workers", [1, 2, 8])
def test_a_batch_may_go_on(num_workers):
    files = [SOURCE] * 40
    for row in (17, 18, 31):
        files[row] = SOURCE[:-100]
    outs = np.empty((40, HEIGHT, WIDTH, 3), np.uint8)
    job = batch(files, np.repeat(view_of(WIDTH, HEIGHT), 40), list(outs), keep_going=True)
    run_in_threads(job.run, num_workers)
    assert [failure[2] for failure in job.failures()] == [17, 18, 31]
    assert all((out == PIXELS).all() for row, out in enumerate(outs) if row not in (17, 18, 31))


def test_a_decoder_is_sound_after_a_failure():
    outs = np.empty((3, HEIGHT, WIDTH, 3), np.uint8)
    for out, data, status in zip(
        outs, [SOURCE, SOURCE[:-100], SOURCE], [None, 10, None], strict=True
    ):
        assert run(data, view_of(WIDTH, HEIGHT), out) == status
    assert (outs[0] == PIXELS).all()
    assert (outs[2] == PIXELS).all()


def test_no_rows():
    assert run_all(batch([], np.zeros(0, VIEW), [])) == []


def test_decodes_from_files(tmp_path):
    (tmp_path / "x").write_bytes(b"before" + SOURCE + b"after")
    spans = np.zeros(1, SPAN)
    spans["offset"], spans["length"] = 6, len(SOURCE)
    out = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    with open(tmp_path / "x", "rb") as file:
        fds = np.array([file.fileno()], np.int32)
        assert (
            run_all(
                DecodeBatch(
                    spans, view_of(WIDTH, HEIGHT), [out], fds=fds, max_pixels=2**20, max_scans=9
                )
            )
            == []
        )
    assert (out == PIXELS).all()


def test_pixels_are_tensorflows():
    tf = pytest.importorskip("tensorflow")
    data = jpeg(90, 100, quality=70)
    expected = tf.image.decode_jpeg(
        data, channels=3, dct_method="INTEGER_ACCURATE", fancy_upscaling=True
    ).numpy()
    assert (decode(data) == expected).all()


def test_photo_is_what_was_saved():
    pixels = photo(80, 120, seed=5)
    assert (
        np.abs(decode(save(pixels, "JPEG", quality=100, subsampling=0)).astype(int) - pixels).mean()
        < 2
    )
