"""Image files sample by sample: depths, palettes, transparency, packings, bit masks, damage."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import fastpack
from fastpack.errors import CorruptImageError, UnsupportedImageError
from fastpack.images.bmp import read_bmp
from fastpack.images.gif import read_gif
from fastpack.images.png import read_png
from fastpack.images.tiff import read_tiff
from tests.support.extent import num_examples
from tests.support.images import jpeg, photo, read_pillow, save, to_pillow
from tests.support.raster_files import (
    CHANNELS,
    HEIGHT,
    PNG_KINDS,
    WIDTH,
    animation,
    bmp,
    noise,
    patches,
    png,
    with_alpha,
)
from tests.support.tiffs import (
    BLACK_IS_ZERO,
    CIELAB,
    CMYK,
    PALETTE,
    RGB,
    WHITE_IS_ZERO,
    YCBCR,
    tiff,
)

sizes = st.tuples(st.integers(1, 20), st.integers(1, 20))
seeds = st.integers(0, 2**16)


# PNG.


@given(
    kind=st.sampled_from(PNG_KINDS),
    size=sizes,
    seed=seeds,
    interlaced=st.booleans(),
    filters=st.lists(st.integers(0, 4), min_size=1),
)
@settings(max_examples=num_examples(150), deadline=None)
def test_png_samples(kind, size, seed, interlaced, filters):
    color_type, bits = kind
    samples = noise(seed, *size, CHANNELS[color_type], bits)
    found = read_png(
        png(samples, color_type, bits, interlaced=int(interlaced), filters=filters), "png"
    ).samples
    assert found.dtype == samples.dtype
    np.testing.assert_array_equal(found, samples)


@pytest.mark.parametrize("kind", PNG_KINDS, ids=str)
def test_png_is_read_as_pillow_reads_it(kind):
    data = png(noise(1, HEIGHT, WIDTH, CHANNELS[kind[0]], kind[1]), *kind)
    image = Image.open(io.BytesIO(data))
    expected = np.array(image.convert("RGB") if image.mode not in ("I;16", "I") else image)
    found = fastpack.decode(data, bits=None if image.mode in ("I;16", "I") else 8)
    assert np.abs(found.astype(int) - np.atleast_3d(expected)).max() <= 0


@given(at=st.integers(8, 10**6), change=st.integers(1, 255))
@settings(max_examples=num_examples(60), deadline=None)
def test_any_changed_byte_of_a_png_is_an_error(at, change):
    data = bytearray(save(photo(HEIGHT, WIDTH), "PNG"))
    data[8 + at % (len(data) - 8)] ^= change
    with pytest.raises((CorruptImageError, UnsupportedImageError, fastpack.errors.LimitError)):
        fastpack.decode(bytes(data))


@pytest.mark.parametrize(
    ("idat", "message"),
    [
        (lambda rows: zlib.compress(rows[:-1]), "fewer rows"),
        (lambda rows: zlib.compress(rows + b"\0"), "more data"),
        (lambda rows: zlib.compress(b"\7" + rows[1:]), "unknown filter"),
        (lambda rows: zlib.compress(rows)[:-4] + bytes(4), "damaged"),
        (lambda rows: zlib.compress(rows)[:40], "damaged"),
        (lambda rows: b"", "fewer"),
    ],
)
def test_png_data_that_do_not_fit_their_header(idat, message):
    with pytest.raises(CorruptImageError, match=message):
        fastpack.decode(png(noise(0, HEIGHT, WIDTH, 3), 2, 8, idat=idat))


# TIFF.


@given(
    size=sizes,
    seed=seeds,
    bits=st.sampled_from([1, 2, 4, 8, 16]),
    channels=st.sampled_from([1, 3]),
    order=st.sampled_from("<>"),
    planar=st.booleans(),
    cut=st.sampled_from([{}, {"rows": 3}, {"tile": (16, 16)}, {"tile": (8, 32)}]),
)
@settings(max_examples=num_examples(150), deadline=None)
def test_tiff_samples(size, seed, bits, channels, order, planar, cut):
    bits = max(bits, 8) if channels == 3 else bits
    samples = noise(seed, *size, channels, bits)
    data = tiff(
        samples,
        RGB if channels == 3 else BLACK_IS_ZERO,
        order=order,
        bits=bits,
        planar=planar,
        **cut,
    )
    np.testing.assert_array_equal(read_tiff(data, "tiff").samples, samples)


@given(
    size=st.tuples(st.integers(1, 70), st.integers(1, 90)),
    seed=seeds,
    compression=st.sampled_from(["tiff_lzw", "tiff_adobe_deflate", "packbits"]),
    mode=st.sampled_from(["L", "RGB", "noise", "I;16"]),
    predictor=st.sampled_from([1, 2]),
)
@settings(max_examples=num_examples(120), deadline=None)
def test_packed_tiffs_are_what_pillow_wrote(size, seed, compression, mode, predictor):
    samples = (
        patches(seed, *size)
        if mode == "L"
        else noise(seed, *size, 3 if mode == "RGB" else 1, 16 if mode == "I;16" else 8)
    )
    options = {"tiffinfo": {317: predictor, 278: 7}} if compression != "packbits" else {}
    data = save(to_pillow(samples), "TIFF", compression=compression, **options)
    np.testing.assert_array_equal(read_tiff(data, "tiff").samples, samples)


@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 3000)),
    seed=seeds,
    density=st.sampled_from([0.002, 0.03, 0.3, 0.5, 0.97]),
    compression=st.sampled_from(["group4", "group3", "tiff_ccitt"]),
    options=st.sampled_from([{}, {278: 5}, {266: 2}, {292: 1}, {292: 4}, {292: 5}]),
)
@settings(max_examples=num_examples(150), deadline=None)
def test_fax_rows_are_what_libtiff_wrote(size, seed, density, compression, options):
    random = np.random.default_rng(seed)
    bits = random.random(size) < density
    if seed % 2:  # rows like those above
        bits = np.repeat(bits[:: 1 + seed % 7], 1 + seed % 7, axis=0)[: size[0]] ^ (
            random.random(size) < 0.001
        )
    options = {
        tag: value for tag, value in options.items() if tag != 292 or compression == "group3"
    }
    data = save(Image.fromarray(bits), "TIFF", compression=compression, tiffinfo=options)
    expected = np.array(Image.open(io.BytesIO(data)))
    assert (expected == bits).all()
    assert (fastpack.decode(data, color="GRAY")[..., 0] == np.where(bits, 255, 0)).all()


def test_long_lzw_fills_its_table():
    samples = noise(3, 300, 300, 3)
    np.testing.assert_array_equal(
        read_tiff(save(samples, "TIFF", compression="tiff_lzw"), "tiff").samples, samples
    )


@pytest.mark.parametrize("quality", [50, 95])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_in_tiff_is_near_pillows(channels, quality):
    data = save(photo(64, 96, channels), "TIFF", compression="jpeg", quality=quality)
    assert (
        np.abs(
            fastpack.decode(data).astype(int)
            - np.array(Image.open(io.BytesIO(data)).convert("RGB"))
        ).max()
        <= 8
    )


def test_colors_of_tiffs():
    levels = noise(0, HEIGHT, WIDTH, 4)
    gray = levels[..., :1]
    assert (fastpack.decode(tiff(gray, WHITE_IS_ZERO), color="GRAY") == 255 - gray).all()
    bits = noise(0, HEIGHT, WIDTH, 1, 1)
    assert (
        fastpack.decode(tiff(bits, WHITE_IS_ZERO, bits=1), color="GRAY") == 255 * (1 - bits)
    ).all()
    colors = np.random.default_rng(1).integers(0, 256, (256, 3))
    data = tiff(gray, PALETTE, tags={320: tuple((colors.T.reshape(-1) * 257).tolist())})
    assert (fastpack.decode(data) == colors[gray[..., 0]]).all()
    expected = np.array(Image.frombytes("CMYK", (WIDTH, HEIGHT), levels.tobytes()).convert("RGB"))
    assert np.abs(fastpack.decode(tiff(levels, CMYK)).astype(int) - expected).max() <= 1


REFUSED = {
    "two bands": (tiff(noise(0, 9, 8, 2), BLACK_IS_ZERO), "2 bands"),
    "four bands": (tiff(noise(0, 9, 8, 4), BLACK_IS_ZERO, tags={338: (0, 0, 0)}), "4 bands"),
    "six bands": (tiff(noise(0, 9, 8, 6), BLACK_IS_ZERO), "6 bands"),
    "RGB and infrared": (tiff(noise(0, 9, 8, 4), RGB, tags={338: (0,)}), "4 bands"),
    "RGB, alpha and infrared": (tiff(noise(0, 9, 8, 5), RGB, tags={338: (2, 0)}), "5 bands"),
    "floats": (
        tiff(np.zeros((9, 8, 1), np.float32), BLACK_IS_ZERO, tags={339: (3,)}),
        "float values of 32 bits",
    ),
    "signed": (tiff(noise(0, 9, 8, 1), BLACK_IS_ZERO, tags={339: (2,)}), "signed values"),
    "32 bits": (tiff(np.zeros((9, 8, 1), np.uint32), BLACK_IS_ZERO), "32 bits"),
    "CIELab": (tiff(noise(0, 9, 8, 3), CIELAB), "colors of the kind 8"),
    "YCbCr": (tiff(noise(0, 9, 8, 3), YCBCR), "colors of the kind 6"),
    "fax": (
        tiff(noise(0, 9, 8, 1), BLACK_IS_ZERO, tags={259: (4,)}),
        "fax data of more than one bit",
    ),
    "old JPEG": (tiff(noise(0, 9, 8, 1), BLACK_IS_ZERO, tags={259: (6,)}), "old JPEG"),
    "other compressions": (tiff(noise(0, 9, 8, 3), RGB, tags={259: (50000,)}), "Zstandard"),
    "predictor of floats": (
        tiff(noise(0, 9, 8, 3), RGB, tags={259: (5,), 317: (3,)}),
        "predictor 3",
    ),
    "other depths": (tiff(noise(0, 9, 8, 3), RGB, tags={258: (5, 6, 5)}), "5 and 6 bits"),
    "RGBA in JPEG": (
        save(Image.new("RGBA", (8, 9)), "TIFF", compression="jpeg"),
        "JPEG data other than gray",
    ),
}


@pytest.mark.parametrize("compression", ["raw", "packbits"])
def test_a_predictor_counts_with_lzw_and_deflate_only(compression):
    """As libtiff has it."""
    levels = photo(HEIGHT, WIDTH)
    data = save(levels, "TIFF", compression=compression, tiffinfo={317: 2})
    np.testing.assert_array_equal(read_pillow(data), levels)
    np.testing.assert_array_equal(fastpack.decode(data), levels)


def test_palette_values_of_more_than_16_bits_are_damage():
    data = tiff(noise(0, 9, 8, 1), PALETTE, tags={320: (0,) * 767 + (70_000,)})
    with pytest.raises(CorruptImageError, match="palette value of 70000"):
        fastpack.decode(data)


@pytest.mark.parametrize(("data", "feature"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_named(data, feature):
    with pytest.raises(UnsupportedImageError, match=f"{feature}.*is not supported; convert"):
        fastpack.decode(data)


# BMP and GIF.


@given(size=sizes, seed=seeds, bits=st.sampled_from([16, 32]), data=st.data())
@settings(max_examples=num_examples(100), deadline=None)
def test_bmp_masks_of_any_width(size, seed, bits, data):
    widths = data.draw(
        st.lists(st.integers(1, bits // 4 if bits == 16 else 10), min_size=3, max_size=3)
    )
    starts = np.concatenate([[0], np.cumsum(widths)])
    order = data.draw(st.permutations(range(3)))
    masks = [(2 ** widths[i] - 1) << int(starts[i]) for i in order]
    levels = np.random.default_rng(seed).integers(0, [2 ** widths[i] for i in order], (*size, 3))
    numbers = sum(levels[..., c] * (masks[c] & -masks[c]) for c in range(3))
    expected = levels * 255 / np.array([2 ** widths[i] - 1 for i in order])
    found = fastpack.decode(bmp(numbers, bits, masks))
    assert np.abs(found - expected).max() <= 0.5


def test_alpha_of_bmp():
    levels = noise(0, HEIGHT, WIDTH, 4).astype(np.uint32)
    numbers = levels[..., 0] << 16 | levels[..., 1] << 8 | levels[..., 2] | levels[..., 3] << 24
    data = bmp(numbers, 32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000), header=56)
    assert (fastpack.decode(data) == levels[..., :3]).all()
    assert (read_bmp(data, "bmp").samples == levels).all()


@pytest.mark.parametrize("masks", [(0xF0F, 0xF0, 0xF000), (0, 0xF0, 0xF000)], ids=str)
def test_odd_bmp_masks_are_refused(masks):
    with pytest.raises(UnsupportedImageError, match="bit masks"):
        fastpack.decode(bmp(np.zeros((2, 2), np.uint16), 16, masks))


@pytest.mark.parametrize("bits", [4, 8])
def test_bmp_runs(bits):
    """A run, pixels as they are, a step, the ends of a row and of the picture."""
    value, literal = (0x12, b"\0\3\x34\x50") if bits == 4 else (7, b"\0\3\1\2\3\0")
    runs = bytes([5, value]) + b"\0\0" + literal + b"\0\2\1\0" + bytes([2, value]) + b"\0\1"
    rows = (
        [[1, 2, 1, 2, 1, 0], [3, 4, 5, 0, 1, 2]]
        if bits == 4
        else [[7] * 5 + [0], [1, 2, 3, 0, 7, 7]]
    )
    palette = bytes(range(64)) if bits == 4 else bytes(1024)
    facts = (
        struct.pack("<IiiHHIIiiII", 40, 6, 2, 1, bits, 2 if bits == 4 else 1, len(runs), 0, 0, 0, 0)
        + palette
    )
    data = (
        b"BM"
        + struct.pack("<IHHI", 14 + len(facts) + len(runs), 0, 0, 14 + len(facts))
        + facts
        + runs
    )
    assert read_bmp(data, "bmp").samples[..., 0].tolist() == rows[::-1]
    assert (fastpack.decode(data) == read_pillow(data)).all()
    for damaged in (data[:-2], data.replace(runs, b"\7" + runs[1:])):
        with pytest.raises(CorruptImageError, match="runs"):
            fastpack.decode(damaged)


@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    seed=seeds,
    is_noise=st.booleans(),
    interlace=st.booleans(),
)
@settings(max_examples=num_examples(80), deadline=None)
def test_gif_indices(size, seed, is_noise, interlace):
    indices = (noise(seed, *size, 1) if is_noise else patches(seed, *size))[..., 0]
    image = Image.fromarray(indices, "P")
    image.putpalette(bytes(range(256)) * 3)
    data = save(image, "GIF", optimize=False, interlace=interlace)
    np.testing.assert_array_equal(read_gif(data, "gif").samples[..., 0], indices)


# Formats that are not read.


def of_format(format, mode="RGB", **options):
    return save(Image.new(mode, (20, 20)), format, **options)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (of_format("JPEG2000"), "a JPEG 2000"),
        (of_format("PPM"), "a PPM"),
        (of_format("PPM", "L"), "a PGM"),
        (of_format("ICO"), "an ICO"),
        (of_format("TGA"), "a TGA"),
        (of_format("TGA")[:-26], "a TGA"),  # the first version of the format ends here
        (of_format("TGA", "P")[:-26], "a TGA"),
        (of_format("DDS"), "a DDS"),
        (b"II\x2b\0\x08\0\0\0" + bytes(40), "a BigTIFF"),
        (b"\0\0\0\x20ftypavif" + bytes(40), "an AVIF"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "a HEIF"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_formats_are_named(tmp_path, data, name):
    message = f"{name} image is not supported; convert it to "
    with pytest.raises(UnsupportedImageError, match=message):
        fastpack.decode(data)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "0.png").write_bytes(data)
    with pytest.raises(UnsupportedImageError, match=f"{message}.* at .*0.png"):
        fastpack.pack(tmp_path / "in", tmp_path / "x.tfrecord")


# Damage.

PACKED = {
    "lzw": save(photo(HEIGHT, WIDTH), "TIFF", compression="tiff_lzw"),
    "deflate": save(photo(HEIGHT, WIDTH), "TIFF", compression="tiff_adobe_deflate"),
    "packbits": save(photo(HEIGHT, WIDTH), "TIFF", compression="packbits"),
    "fax 3": save(to_pillow(photo(HEIGHT, WIDTH)).convert("1"), "TIFF", compression="group3"),
    "fax 4": save(to_pillow(photo(HEIGHT, WIDTH)).convert("1"), "TIFF", compression="group4"),
    "jpeg in tiff": save(photo(HEIGHT, WIDTH), "TIFF", compression="jpeg"),
    "bmp": save(photo(HEIGHT, WIDTH), "BMP"),
    "gif": save(to_pillow(photo(HEIGHT, WIDTH)).convert("P"), "GIF"),
    "webp": save(photo(HEIGHT, WIDTH), "WEBP"),
    "animated webp": animation(),
    "animated webp with alpha": animation("RGBA", lossless=True),
    "webp with alpha": save(with_alpha(), "WEBP", lossless=True),
    "png": save(photo(HEIGHT, WIDTH), "PNG"),
    "jpeg": jpeg(HEIGHT, WIDTH),
}


@pytest.mark.parametrize("kind", PACKED)
def test_damage_prints_nothing_and_raises_only_our_errors(kind, capfd):
    random = np.random.default_rng(len(kind))
    for _ in range(150):
        data = bytearray(PACKED[kind])
        at = int(random.integers(4, len(data)))
        data[at : at + 9] = (
            random.bytes(len(data[at : at + 9]))
            if random.integers(2)
            else bytes(len(data[at : at + 9]))
        )
        cut = int(random.integers(1, len(data) + 1)) if random.integers(2) else len(data)
        try:
            fastpack.decode(bytes(data[:cut]), limits=fastpack.Limits(max_pixels=2**20))
        except fastpack.FastpackError:
            continue
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", PACKED)
def test_what_is_cut_is_an_error(kind):
    data = PACKED[kind]
    for length in range(0, len(data) - 12, 7):
        with pytest.raises(fastpack.FastpackError):
            fastpack.decode(data[:length])


def test_zeros_in_lzw_data_are_found():
    data = bytearray(save(photo(480, 640), "TIFF", compression="tiff_lzw"))
    data[len(data) // 2 : len(data) // 2 + 4096] = bytes(4096)
    with pytest.raises(
        CorruptImageError, match="LZW data of the TIFF's strip or tile .* is damaged"
    ):
        fastpack.decode(bytes(data))
