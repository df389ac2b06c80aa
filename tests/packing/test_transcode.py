"""Slow JPEGs transcoded to fast ones: same pixels, metadata and orientation, or the original."""

import io
import re
import struct

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import fastpack
from fastpack._native.transcode import Transcoder
from fastpack.cli import main
from fastpack.errors import OptionError
from fastpack.images.headers import probe
from fastpack.packing.transcode import FastJpegs
from tests.support.extent import num_examples
from tests.support.images import (
    cmyk_jpeg,
    jpeg,
    photo,
    save,
    to_pillow,
    with_more_scans,
    with_orientation,
    ycck_jpeg,
)
from tests.support.paths import JPEGS

# Of kinds that Pillow and OpenCV do not write; libjpeg-turbo did.
ODD_KINDS = ["arithmetic", "arithmetic-progressive", "several-scans"]


def transcode(data, *, strip=False, max_pixels=10**8, max_scans=100):
    return Transcoder(strip, max_pixels=max_pixels, max_scans=max_scans).transcode(data)


def pixels_of(data):
    """Decodes with Pillow's libjpeg-turbo, without color conversion."""
    with Image.open(io.BytesIO(data)) as image:
        return image.mode, np.asarray(image)


def assert_same_pixels(a, b):
    (mode, pixels), (other_mode, others) = pixels_of(a), pixels_of(b)
    assert mode == other_mode
    np.testing.assert_array_equal(pixels, others)


def markers_of(data):
    """Markers before the first scan."""
    found, at = [], 2
    while data[at + 1] != 0xDA:
        found.append(data[at + 1])
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return found


IMAGES = st.builds(
    jpeg,
    st.integers(1, 70),
    st.integers(1, 70),
    seed=st.integers(0, 5),
    channels=st.sampled_from([1, 3]),
    quality=st.integers(1, 100),
    subsampling=st.integers(0, 2),
    optimize=st.booleans(),
    progressive=st.booleans(),
    restart_marker_blocks=st.sampled_from([0, 1, 7]),
)


@settings(max_examples=num_examples(150), deadline=None)
@given(IMAGES, st.booleans())
def test_pixels_stay_the_same(data, strip):
    made = transcode(data, strip=strip)
    if not probe(data)["progressive"]:
        assert made == "fast already"
        return
    assert isinstance(made, bytes)
    assert_same_pixels(data, made)
    assert not probe(made)["progressive"]
    assert not re.search(rb"\xff[\xd0-\xd7]", made[made.index(b"\xff\xda") :])
    assert 0xDD not in markers_of(made)
    assert transcode(made) == "fast already"


@pytest.mark.parametrize("make", [cmyk_jpeg, ycck_jpeg])
def test_four_components(make):
    data = make(33, 47, progressive=True)
    made = transcode(data)
    assert_same_pixels(data, made)
    assert b"Adobe" in made


@pytest.mark.parametrize("name", ODD_KINDS)
def test_arithmetic_codes_and_several_scans(name):
    data = (JPEGS / f"{name}.jpg").read_bytes()
    assert_same_pixels(data, transcode(data))


@pytest.mark.parametrize("factors", ["444", "422", "440", "420", "411"])
def test_all_subsamplings(factors):
    flags = [
        cv2.IMWRITE_JPEG_PROGRESSIVE,
        1,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{factors}"),
    ]
    data = cv2.imencode(".jpg", photo(45, 67), flags)[1].tobytes()
    made = transcode(data)
    assert_same_pixels(data, made)
    assert probe(made)["subsampling"] == probe(data)["subsampling"]


def test_huffman_tables_are_the_best_ones():
    assert len(transcode(jpeg(200, 300, progressive=True))) == len(jpeg(200, 300, optimize=True))


def test_rgb_stays_rgb():
    data = save(photo(24, 40), "JPEG", keep_rgb=True, progressive=True)
    made = transcode(data)
    assert_same_pixels(data, made)
    with Image.open(io.BytesIO(made)) as image:
        assert image.info.get("adobe_transform") == 0


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("strip", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_is_kept(orientation, strip, order):
    made = transcode(with_orientation(jpeg(progressive=True), orientation, order), strip=strip)
    assert probe(made)["orientation"] == orientation


def test_metadata():
    image = to_pillow(photo(40, 56))
    data = save(
        image,
        "JPEG",
        progressive=True,
        comment=b"a comment",
        icc_profile=b"profile" * 20_000,
        dpi=(72, 72),
    )
    kept, stripped = transcode(data), transcode(data, strip=True)
    with (
        Image.open(io.BytesIO(data)) as before,
        Image.open(io.BytesIO(kept)) as after,
        Image.open(io.BytesIO(stripped)) as bare,
    ):
        assert {**after.info, "progressive": 1, "progression": 1} == before.info
        assert not {"comment", "icc_profile"} & set(bare.info)
    assert len(stripped) < len(kept) - 140_000


def test_what_is_unusual_is_left_alone():
    data = jpeg(progressive=True)
    assert (
        transcode(b"") == transcode(b"no image") == transcode(save(photo(9, 9), "PNG")) == "unusual"
    )
    assert transcode(data[:-40]) == "unusual"
    assert transcode(data + b"a film") == "unusual"
    assert isinstance(transcode(data + b"a film", strip=True), bytes)
    assert transcode(data, max_pixels=40 * 56 - 1) == "unusual"
    assert transcode(with_more_scans(data, 200)) == "unusual"
    damaged = bytearray(data)
    damaged[-30:-20] = b"\xff\x01" * 5
    assert transcode(bytes(damaged)) == "unusual"


def test_an_image_without_its_last_bits_is_left_alone():
    """Decoders smooth missing bits of a progressive image, but not of a sequential one."""
    data = jpeg(64, 64, channels=1, quality=30, progressive=True)
    scans = [match.start() for match in re.finditer(b"\xff\xda", data)]
    tables = data.rindex(b"\xff\xc4", 0, scans[1])
    assert transcode(data[:tables] + b"\xff\xd9") == "unusual"


def test_what_would_grow_is_left_alone():
    """An image of one level: arithmetic codes need few bytes, Huffman codes a bit a block."""
    assert transcode((JPEGS / "flat.jpg").read_bytes()) == "would grow"


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    files = [
        jpeg(progressive=True, seed=1),
        jpeg(seed=2),
        save(photo(20, 20), "PNG"),
        with_orientation(jpeg(progressive=True, seed=3, subsampling=2), 6),
    ]
    for number, data in enumerate(files):
        (folder / f"{number}.jpg").write_bytes(data)
    return folder


@pytest.mark.parametrize("name", ["out.tfrecord", "out.h5"])
@pytest.mark.parametrize("shards", [1, 3])
def test_pack_makes_jpegs_fast(photos, tmp_path, name, shards):
    options = fastpack.PackOptions(jpeg="fast", shards=shards)
    packed = fastpack.pack(fastpack.from_folder(photos), tmp_path / name, options)
    assert packed.transcodes is not None
    assert (packed.transcodes.num_transcoded, packed.transcodes.left_alone) == (
        2,
        {"fast already": 1},
    )
    assert packed.source_bytes == sum(path.stat().st_size for path in photos.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["photos"]
    dataset = fastpack.open([str(path) for path in packed.paths], decode=False)
    decoded = fastpack.open([str(path) for path in packed.paths])
    original = fastpack.open(photos)
    for number in range(4):
        stored, data = dataset[number]["image"], (photos / f"{number}.jpg").read_bytes()
        np.testing.assert_array_equal(decoded[number]["image"], original[number]["image"])
        if number in (1, 2):
            assert bytes(stored) == data
        else:
            assert bytes(stored) == transcode(data)
    assert fastpack.verify(packed.paths[0]).is_sound


def test_the_same_bytes_however_many_threads(photos, tmp_path):
    for workers in (1, 3):
        options = fastpack.PackOptions(jpeg="fast", metadata="strip", num_workers=workers)
        fastpack.pack(fastpack.from_folder(photos), tmp_path / f"{workers}.tfrecord", options)
    assert (tmp_path / "1.tfrecord").read_bytes() == (tmp_path / "3.tfrecord").read_bytes()


@pytest.mark.parametrize(
    "options",
    [{}, {"layout": "vlen"}, {"shuffle_seed": 3}, {"check": "decode", "metadata": "strip"}],
    ids=str,
)
@pytest.mark.parametrize("memory", [None, 4096])
def test_all_layouts_orders_and_batches(photos, tmp_path, options, memory):
    packed = fastpack.pack(
        photos, tmp_path / "out.h5", fastpack.PackOptions(jpeg="fast", memory=memory, **options)
    )
    strip = options.get("metadata") == "strip"
    for sample in fastpack.open(packed.paths, decode=False):
        data = (photos / sample["key"]).read_bytes()
        assert_same_pixels(data, bytes(sample["image"]))
        assert (bytes(sample["image"]) == data) == (sample["key"] in ("1.jpg", "2.jpg")) or strip
        assert not probe(bytes(sample["image"]))["progressive"]
    assert packed.transcodes.num_transcoded == 2
    assert (
        packed.transcodes.bytes_before
        == sum((photos / name).stat().st_size for name in ("0.jpg", "3.jpg"))
        or strip
    )


def test_progress_goes_on_while_jpegs_are_made_fast(photos, tmp_path):
    """JPEGs are transcoded during the pack, not all before the first report."""
    reported = []
    options = fastpack.PackOptions(jpeg="fast", memory=4096, num_workers=1)
    fastpack.pack(
        photos,
        tmp_path / "out.h5",
        options,
        progress=lambda done, total, num_bytes: reported.append((done, total)),
    )
    assert reported == [(done, 4) for done in (1, 2, 3, 4)]


@pytest.mark.parametrize("name", ["out.tfrecord", "out.h5"])
def test_a_stopped_pack_counts_what_it_had_made(photos, tmp_path, name, monkeypatch, stop_after):
    """Finished shards are not rebuilt; the result still counts their JPEGs."""
    options = fastpack.PackOptions(jpeg="fast", shards=4, num_workers=1)
    whole = fastpack.pack(photos, tmp_path / f"whole-{name}", options)
    with stop_after(2), pytest.raises(KeyboardInterrupt):
        fastpack.pack(photos, tmp_path / name, options)
    made_fast, rows = FastJpegs.made_fast, []
    monkeypatch.setattr(
        FastJpegs,
        "made_fast",
        lambda self, row, *rest: rows.append(row) or made_fast(self, row, *rest),
    )
    resumed = fastpack.pack(photos, tmp_path / name, options, resume=True)
    assert rows == [3]  # number 2 is no JPEG
    assert resumed.transcodes == whole.transcodes
    assert [path.read_bytes() for path in resumed.paths] == [
        path.read_bytes() for path in whole.paths
    ]


def test_command_line(photos, tmp_path):
    result = CliRunner().invoke(
        main, ["pack", str(photos), "-o", str(tmp_path / "out.tfrecord"), "--jpeg", "fast"]
    )
    assert result.exit_code == 0, result.output
    assert re.search(r"JPEGs: 2 made fast \(.* became .*\); 1 fast already", result.output)


@pytest.mark.parametrize(
    "options",
    [
        {"jpeg": "slow"},
        {"metadata": "some"},
        {"metadata": "strip", "size": 8},
        {"jpeg": "fast", "size": 8},
    ],
)
def test_options_that_do_not_fit(options):
    with pytest.raises(OptionError):
        fastpack.PackOptions(**options)
