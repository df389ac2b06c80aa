"""Test images. Pixels are smooth with a little noise, as in photos."""

import io
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

Pixels = npt.NDArray[np.uint8]


def photo(height: int, width: int, channels: int = 3, *, seed: int = 0) -> Pixels:
    """uint8 (height, width, channels)."""
    random = np.random.default_rng([seed, height, width, channels])
    coarse = random.integers(0, 256, (height // 16 + 2, width // 16 + 2, channels)).astype(
        np.float32
    )
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).reshape(
        height, width, channels
    )
    return np.clip(smooth + random.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


def to_pillow(pixels: Pixels, mode: str | None = None) -> Image.Image:
    """Of (height, width, channels); 4 channels are RGBA unless `mode` says otherwise."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    return (
        image if mode in (None, image.mode) else Image.frombytes(mode, image.size, image.tobytes())
    )


def save(image: Image.Image | Pixels, format: str, **options: Any) -> bytes:
    """An image file as Pillow writes it."""
    file = io.BytesIO()
    (to_pillow(image) if isinstance(image, np.ndarray) else image).save(file, format, **options)
    return file.getvalue()


def jpeg(
    height: int = 40, width: int = 56, *, seed: int = 0, channels: int = 3, **options: Any
) -> bytes:
    """`options` are Pillow's; subsampling 0, 1 or 2 means 4:4:4, 4:2:2 or 4:2:0."""
    return save(photo(height, width, channels, seed=seed), "JPEG", **options)


def cmyk_jpeg(height: int, width: int, *, seed: int = 0, **options: Any) -> bytes:
    return save(to_pillow(photo(height, width, 4, seed=seed), "CMYK"), "JPEG", **options)


def ycck_jpeg(height: int, width: int, *, seed: int = 0, **options: Any) -> bytes:
    """A CMYK JPEG whose Adobe marker says that its first three components are YCbCr."""
    data = bytearray(cmyk_jpeg(height, width, seed=seed, **options))
    transform = data.index(b"Adobe") + 11
    data[transform] = 2
    return bytes(data)


def sampled_jpeg(height: int, width: int, factors: int, *, seed: int = 0) -> bytes:
    """Subsampled by one of cv2.IMWRITE_JPEG_SAMPLING_FACTOR_*; Pillow lacks some of these."""
    flags = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factors]
    return cv2.imencode(".jpg", photo(height, width, seed=seed), flags)[1].tobytes()


Factors = tuple[tuple[int, int], ...]


def factored_jpeg(
    height: int, width: int, factors: Factors, *, seed: int = 0, **options: Any
) -> bytes:
    """A JPEG of any sampling factors (across and down of each component), also unusual ones.

    It is a grayscale strip with other headers: its blocks are those of the MCUs in order.
    """
    factors_of_mcu = ((1, 1),) if len(factors) == 1 else factors
    num_mcus = -(-width // (8 * max(across for across, _ in factors_of_mcu))) * -(
        -height // (8 * max(down for _, down in factors_of_mcu))
    )
    components = np.tile(
        np.repeat(np.arange(len(factors)), [across * down for across, down in factors_of_mcu]),
        num_mcus,
    )
    interval = options.pop("restart_marker_blocks", 0)
    of_interval = interval * len(components) // num_mcus
    strip = bytearray(
        save(
            _strip(components, of_interval, seed),
            "JPEG",
            restart_marker_blocks=of_interval,
            **options,
        )
    )
    frame, scan = strip.index(b"\xff\xc0\0\x0b"), strip.index(b"\xff\xda\0\x08")
    if interval:
        struct.pack_into(">H", strip, strip.index(b"\xff\xdd\0\x04") + 4, interval)
    described = b"".join(
        bytes([number, across << 4 | down, 0]) for number, (across, down) in enumerate(factors, 1)
    )
    head = (
        b"\xff\xc0"
        + struct.pack(">HBHHB", 8 + len(described), 8, height, width, len(factors))
        + described
    )
    chosen = b"".join(bytes([number, 0]) for number in range(1, len(factors) + 1))
    start = b"\xff\xda" + struct.pack(">HB", 6 + len(chosen), len(factors)) + chosen + b"\0\x3f\0"
    return bytes(strip[:frame] + head + strip[frame + 13 : scan] + start + strip[scan + 10 :])


def _strip(components: npt.NDArray[np.int64], of_interval: int, seed: int) -> Pixels:
    """(8, 8 * blocks, 1): differences of successive blocks equal those within each component."""
    random = np.random.default_rng([seed, len(components)])
    levels = random.integers(-30, 31, len(components))
    for first in range(0, len(components), of_interval or len(components)):
        part = slice(first, first + (of_interval or len(components)))
        for component in range(3):
            own = np.flatnonzero(components[part] == component) + first
            levels[own] = np.diff(levels[own], prepend=0)
        levels[part] = np.cumsum(levels[part])
    pixels = 128 + levels.repeat(8) + random.normal(0, 8, (8, 8 * len(components)))
    return np.clip(pixels, 0, 255).astype(np.uint8)[:, :, None]


def exif_segment(orientation: int, order: str) -> bytes:
    """JPEG's APP1 with one tag in it. order: "<" for Intel's byte order, ">" for Motorola's."""
    tiff = struct.pack(
        f"{order}2sHIHHHIHHI",
        b"II" if order == "<" else b"MM",
        42,
        8,
        1,
        0x0112,
        3,
        1,
        orientation,
        0,
        0,
    )
    body = b"Exif\0\0" + tiff
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def with_orientation(jpeg_bytes: bytes, orientation: int, order: str = "<") -> bytes:
    return jpeg_bytes[:2] + exif_segment(orientation, order) + jpeg_bytes[2:]


def without_segments(data: bytes, marker: int) -> bytes:
    """Removes header segments of one kind: 0xC4, Huffman tables; 0xDB, quantization tables."""
    kept, at = data[:2], 2
    while data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        kept += b"" if data[at + 1] == marker else data[at:end]
        at = end
    return kept + data[at:]


def with_spectrum(data: bytes, end: int) -> bytes:
    """Ends the spectrum in the first scan header there. Samsung's phones write 0 instead of 63."""
    at = data.index(b"\xff\xda")
    at += data[at + 3]
    return data[:at] + bytes([end]) + data[at + 1 :]


def with_more_scans(progressive: bytes, count: int) -> bytes:
    """The same image with `count` more scans of 14 bytes, each of which adds nothing."""
    height, width = struct.unpack_from(">HH", progressive, progressive.index(b"\xff\xc2") + 5)
    num_blocks = -(-height // 8) * -(-width // 8)
    run_bits = num_blocks.bit_length() - 1
    # A Huffman table of one code, the bit 0, for the symbol "the next 2**run_bits + ... blocks end
    # here" (T.81, G.1.2.2).
    table = b"\xff\xc4" + struct.pack(">HB16BB", 20, 0x10, 1, *bytes(15), run_bits << 4)
    bits = f"0{num_blocks - (1 << run_bits):0{run_bits}b}"
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    scan = b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0x00, 1, 63, 0) + data
    return progressive[:-2] + table + scan * count + b"\xff\xd9"


def write_striped(folder: Path, count: int) -> tuple[list[Path], Pixels]:
    """PNGs of 10 x 12 in compressible stripes: their paths, and pixels (count, 10, 12, 3)."""
    pixels = np.repeat(
        np.random.default_rng(5).integers(0, 255, (count, 10, 3, 3), np.uint8), 4, axis=2
    )
    paths = [folder / f"{i:02d}.png" for i in range(count)]
    for path, image in zip(paths, pixels, strict=True):
        path.write_bytes(save(image, "PNG"))
    return paths, pixels


def read_pillow(data: bytes, mode: str = "RGB") -> Pixels:
    """Pixels (height, width, channels) as Pillow decodes them, not turned upright."""
    with Image.open(io.BytesIO(data)) as image:
        return np.atleast_3d(np.asarray(image.convert(mode)))


def read_upright(data: bytes) -> Pixels:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def resized(pixels: Pixels, height: int, width: int) -> Pixels:
    """As Pillow's bilinear filter has it."""
    image = to_pillow(pixels).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(height, width, pixels.shape[2])


def noise(height, width, channels):
    """Independent pixels: the hardest for a filter."""
    return (
        np.random.default_rng([height, width, channels])
        .integers(0, 256, (height, width, channels))
        .astype(np.uint8)
    )
