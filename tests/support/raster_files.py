"""PNG and BMP files, written by hand from their specifications."""

import struct
import zlib

import numpy as np
from PIL import Image

from tests.support.images import save

HEIGHT, WIDTH = 21, 37


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


def bmp(numbers, bits, masks, *, header=40):
    """Of (height, width) numbers of 16 or 32 bits, with masks after or in the header."""
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


def with_alpha(seed=0):
    levels = noise(seed, HEIGHT, WIDTH, 4)
    levels[:4, :, 3] = [[0], [255], [1], [128]]
    return levels


def animation(mode="RGB", **options):
    """Frames of WebP hold what changes: the first is smaller than the canvas."""
    frames = [np.zeros((HEIGHT, WIDTH, len(mode)), np.uint8) for _ in range(3)]
    for number, frame in enumerate(frames):
        frame[4:12, 6:20] = noise(number, 8, 14, len(mode))
    images = [Image.fromarray(frame) for frame in frames]
    return save(images[0], "WEBP", save_all=True, append_images=images[1:], **options)
