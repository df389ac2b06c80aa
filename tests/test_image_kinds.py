"""What image files may hold, sample by sample: depths, palettes, transparency, packings, bit masks; damage; what is refused."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from images import jpeg, photo, read_pillow, save, to_pillow
from PIL import Image
from tiffs import BLACK_IS_ZERO, CIELAB, CMYK, PALETTE, RGB, WHITE_IS_ZERO, YCBCR, tiff

import fastpack
from fastpack.errors import CorruptImageError, FastpackWarning, UnsupportedImageError
from fastpack.images.bmp import read_bmp
from fastpack.images.gif import read_gif
from fastpack.images.png import read_png
from fastpack.images.tiff import read_tiff

HEIGHT, WIDTH = 21, 37
sizes = st.tuples(st.integers(1, 20), st.integers(1, 20))
seeds = st.integers(0, 2**16)


def noise(seed, height, width, channels, bits=8):
    return (
        np.random.default_rng(seed)
        .integers(0, 2**bits, (height, width, channels))
        .astype(np.uint16 if bits == 16 else np.uint8)
    )


def patches(seed, height, width):
    """Few colors, with runs and repeats."""
    return (
        np.random.default_rng(seed)
        .integers(0, 9, (height, 1 + width // 5, 1))
        .repeat(5, axis=1)[:, :width]
        .astype(np.uint8)
        * 17
    )


# PNG.

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
PNG_KINDS = [
    (0, 1),
    (0, 2),
    (0, 4),
    (0, 8),
    (0, 16),
    (2, 8),
    (2, 16),
    (3, 1),
    (3, 2),
    (3, 4),
    (3, 8),
    (4, 8),
    (4, 16),
    (6, 8),
    (6, 16),
]
ADAM7 = [
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
]


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    samples, color_type, bits, *, interlaced=0, filters=(0,), extra=b"", idat=None, num_colors=256
):
    """As the specification says it, with the given filters in turn."""
    height, width, _ = samples.shape
    passes = ADAM7 if interlaced else [(0, 0, 1, 1)]
    parts = [samples[y::down, x::across] for y, x, down, across in passes]
    rows = b"".join(_filtered(part, bits, filters) for part in parts if part.size)
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, interlaced)
    palette = chunk(b"PLTE", (bytes(range(256)) * 3)[: 3 * num_colors]) if color_type == 3 else b""
    packed = zlib.compress(rows) if idat is None else idat(rows)
    middle = len(packed) // 2
    data = chunk(b"IDAT", packed[:middle]) + chunk(b"IDAT", packed[middle:])
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + extra + data + chunk(b"IEND", b"")
    )


def _filtered(part, bits, filters):
    distance = max(1, part.shape[2] * bits // 8)
    above, out = None, b""
    for y, row in enumerate(part):
        flat = row.reshape(-1)
        if bits == 16:
            line = flat.astype(">u2").view(np.uint8)
        elif bits == 8:
            line = flat
        else:
            line = np.packbits((flat[:, None] >> np.arange(bits - 1, -1, -1, dtype=np.uint8)) & 1)
        line = line.astype(int)
        above = np.zeros_like(line) if above is None else above
        left, corner = (
            np.concatenate([np.zeros(distance, int), other])[: len(line)] for other in (line, above)
        )
        guess = left + above - corner
        distances = np.abs(np.stack([guess - left, guess - above, guess - corner]))
        paeth = np.choose(distances.argmin(axis=0), [left, above, corner])
        kind = filters[y % len(filters)]
        prediction = [0, left, above, (left + above) // 2, paeth][kind]
        out += bytes([kind]) + ((line - prediction) % 256).astype(np.uint8).tobytes()
        above = line
    return out


@given(
    kind=st.sampled_from(PNG_KINDS),
    size=sizes,
    seed=seeds,
    interlaced=st.booleans(),
    filters=st.lists(st.integers(0, 4), min_size=1),
)
@settings(max_examples=150, deadline=None)
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
@settings(max_examples=60, deadline=None)
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
@settings(max_examples=150, deadline=None)
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
@settings(max_examples=120, deadline=None)
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
@settings(max_examples=150, deadline=None)
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
        "float32 values",
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
    with pytest.raises(UnsupportedImageError, match=f"{feature}.*is not read; convert"):
        fastpack.decode(data)


# BMP and GIF.


def bmp(numbers, bits, masks, *, header=40):
    """Of (height, width) numbers of 16 or 32 bits, with masks; behind the header, or in a longer one."""
    height, width = numbers.shape
    rows = np.zeros((height, (width * bits + 31) // 32 * 32 // bits), f"<u{bits // 8}")
    rows[:, :width] = numbers[::-1]
    listed = struct.pack(f"<{len(masks)}I", *masks)
    inside = (listed.ljust(header - 40, b"\0")) if header > 40 else b""
    facts = struct.pack(
        "<IiiHHIIiiII", header, width, height, 1, bits, 3, rows.nbytes, 0, 0, 0, 0
    ) + (inside or listed)
    return (
        b"BM"
        + struct.pack("<IHHI", 14 + len(facts) + rows.nbytes, 0, 0, 14 + len(facts))
        + facts
        + rows.tobytes()
    )


@given(size=sizes, seed=seeds, bits=st.sampled_from([16, 32]), data=st.data())
@settings(max_examples=100, deadline=None)
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
@settings(max_examples=80, deadline=None)
def test_gif_indices(size, seed, is_noise, interlace):
    indices = (noise(seed, *size, 1) if is_noise else patches(seed, *size))[..., 0]
    image = Image.fromarray(indices, "P")
    image.putpalette(bytes(range(256)) * 3)
    data = save(image, "GIF", optimize=False, interlace=interlace)
    np.testing.assert_array_equal(read_gif(data, "gif").samples[..., 0], indices)


# Transparency.


def with_alpha(seed=0):
    levels = noise(seed, HEIGHT, WIDTH, 4)
    levels[:4, :, 3] = [[0], [255], [1], [128]]
    return levels


def associated(levels):
    parts = levels[..., 3:] / 255
    return np.concatenate(
        [np.rint(levels[..., :3] * parts).astype(np.uint8), levels[..., 3:]], axis=2
    )


ALPHA = with_alpha()
WITH_ALPHA = {
    "png": save(ALPHA, "PNG"),
    "webp": save(ALPHA, "WEBP", lossless=True, exact=True),
    "tiff": save(ALPHA, "TIFF"),
    "tiff of OpenCV": tiff(ALPHA, RGB),
    "planar tiff": tiff(ALPHA, RGB, planar=True, tags={338: (2,)}),
    "associated tiff": tiff(associated(ALPHA), RGB, tags={338: (1,)}),
    "deep png": png(ALPHA.astype(np.uint16) * 257, 6, 16),
}


@pytest.mark.parametrize("kind", WITH_ALPHA)
def test_alpha_is_dropped(kind):
    found = fastpack.decode(WITH_ALPHA[kind], bits=8).astype(int)
    if kind != "associated tiff":
        assert (found == ALPHA[..., :3]).all()
        return
    opacity = ALPHA[..., 3:].astype(int)
    known = np.broadcast_to(
        opacity > 0, found.shape
    )  # nothing is left of colors that were multiplied with 0
    assert (np.abs(found - ALPHA[..., :3]) <= 128 / np.maximum(opacity, 1) + 1)[known].all()


@pytest.mark.parametrize("ground", ["white", "black"])
@pytest.mark.parametrize("kind", WITH_ALPHA)
def test_alpha_on_a_ground(kind, ground):
    level = 255 if ground == "white" else 0
    parts = ALPHA[..., 3:] / 255
    expected = ALPHA[..., :3] * parts + level * (1 - parts)
    found = fastpack.decode(WITH_ALPHA[kind], bits=8, alpha=ground)
    assert np.abs(found - expected).max() <= 1 + (kind == "associated tiff")


def test_transparency_of_gray_palettes_and_colors(tmp_path):
    gray, palette = noise(1, HEIGHT, WIDTH, 1), noise(2, HEIGHT, WIDTH, 1)
    color = int(gray[3, 5, 0])
    clear_gray = png(gray, 0, 8, extra=chunk(b"tRNS", struct.pack(">H", color)))
    assert (fastpack.decode(clear_gray, color="GRAY") == gray).all()
    assert (
        fastpack.decode(clear_gray, color="GRAY", alpha="white")
        == np.where(gray == color, 255, gray)
    ).all()
    clear_index = png(palette, 3, 8, extra=chunk(b"tRNS", bytes([0] * 200)))
    colors = np.frombuffer(bytes(range(256)) * 3, np.uint8).reshape(256, 3)[palette[..., 0]]
    assert (fastpack.decode(clear_index) == colors).all()
    assert (fastpack.decode(clear_index, alpha="black") == np.where(palette < 200, 0, colors)).all()
    both = save(np.concatenate([gray, palette], axis=2), "PNG")
    assert (fastpack.decode(both, color="GRAY") == gray).all()
    (tmp_path / "a.png").write_bytes(clear_gray)
    fastpack.pack(
        fastpack.from_folder(tmp_path),
        tmp_path / "x.h5",
        fastpack.PackOptions(layout="pixels", alpha="white", color="GRAY"),
    )
    assert (
        fastpack.open(tmp_path / "x.h5")[0]["image"] == np.where(gray == color, 255, gray)
    ).all()


@pytest.mark.parametrize("bits", [2, 8])
def test_a_transparent_level_has_as_many_bits_as_the_image(bits):
    """PNG, 3rd edition, 11.3.1.1: the others do not count."""
    levels = noise(1, HEIGHT, WIDTH, 1, bits)
    data = png(levels, 0, bits, extra=chunk(b"tRNS", struct.pack(">H", 2**bits * 7 + 3)))
    shown = levels.astype(int) * (255 // (2**bits - 1))
    np.testing.assert_array_equal(
        fastpack.decode(data, color="GRAY", alpha="white"), np.where(levels == 3, 255, shown)
    )


def test_gray_of_a_gray_palette_is_gray():
    indices = noise(2, HEIGHT, WIDTH, 1)
    image = Image.fromarray(indices[..., 0], "P")
    image.putpalette(np.repeat(np.arange(255, -1, -1), 3).tolist())
    assert (fastpack.decode(save(image, "PNG"), color="GRAY") == 255 - indices).all()
    image.putpalette(bytes(range(256)) * 3)
    with pytest.warns(FastpackWarning, match="palette indices"):
        assert (fastpack.decode(save(image, "PNG"), color="GRAY", bits=16) == indices).all()


def test_a_palette_that_lacks_colors():
    indices = noise(2, HEIGHT, WIDTH, 1)
    data = png(indices, 3, 8, num_colors=1)
    with pytest.warns(FastpackWarning, match="palette indices"):
        assert (fastpack.decode(data, color="GRAY") == indices).all()
    with pytest.raises(CorruptImageError, match='palette index 255 of 1 colors; .*"mask"'):
        fastpack.decode(data)


# Animations.


def animation(mode="RGB", **options):
    """Frames of WebP hold what changes: the first is smaller than the canvas."""
    frames = [np.zeros((HEIGHT, WIDTH, len(mode)), np.uint8) for _ in range(3)]
    for number, frame in enumerate(frames):
        frame[4:12, 6:20] = noise(number, 8, 14, len(mode))
    pictures = [Image.fromarray(frame) for frame in frames]
    return save(pictures[0], "WEBP", save_all=True, append_images=pictures[1:], **options)


@pytest.mark.parametrize(
    "options", [{}, {"lossless": True}, {"lossless": True, "minimize_size": True}], ids=str
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("alpha", ["drop", "white"])
def test_the_first_frame_of_a_webp_is_opencvs(mode, options, alpha):
    data = animation(mode, **options)
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    expected = fastpack.decode(cv2.imencode(".png", stored)[1], alpha=alpha)
    np.testing.assert_array_equal(fastpack.decode(data, alpha=alpha), expected)


def test_a_small_frame_lies_where_the_file_says():
    frame = save(photo(5, 7), "WEBP", lossless=True)[12:]
    sides = (13).to_bytes(3, "little") + (9).to_bytes(3, "little")
    head = b"\2\0\0\1\0\0" + (6).to_bytes(3, "little") + (4).to_bytes(3, "little") + bytes(4)
    body = (
        riff(b"VP8X", b"\2\0\0\0" + sides) + riff(b"ANIM", bytes(6)) + riff(b"ANMF", head + frame)
    )
    expected = np.full((10, 14, 3), 255, np.uint8)
    expected[2:7, 4:11] = photo(5, 7)
    np.testing.assert_array_equal(
        fastpack.decode(riff(b"RIFF", b"WEBP" + body), alpha="white"), expected
    )
    outside = body.replace(b"\2\0\0\1\0\0", b"\6\0\0\1\0\0")
    with pytest.raises(CorruptImageError, match="larger than the image"):
        fastpack.decode(riff(b"RIFF", b"WEBP" + outside))


def riff(name, body):
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


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
    message = f"{name} image is not read; convert it to "
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
        CorruptImageError, match="LZW data of the TIFF's strip or tile .* are damaged"
    ):
        fastpack.decode(bytes(data))
