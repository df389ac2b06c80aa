"""The first frame of an animated WebP, as a plain WebP file (RFC 9649).

OpenCV prints warnings about animations to the user's terminal, but not about plain files.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fastpack.errors import CorruptImageError
from fastpack.images.codec import RESTORE
from fastpack.images.headers import probe
from fastpack.images.raster import Raster

_BEGIN, _FRAME_HEADER = 12, 16
_ANIMATED, _WITH_ALPHA = 2, 16


@dataclass(frozen=True)
class Frame:
    """A frame as a plain WebP file, and its position in a canvas of (height, width)."""

    file: bytes
    top: int
    left: int
    canvas: tuple[int, int]

    def on_canvas(self, raster: Raster) -> Raster:
        """Return the canvas with the frame; the rest is transparent."""
        height, width, channels = raster.samples.shape
        if (height, width) == self.canvas:
            return raster
        samples = np.zeros((*self.canvas, 4), np.uint8)
        target = samples[self.top : self.top + height, self.left : self.left + width]
        target[...] = 255
        target[..., :channels] = raster.samples
        return Raster(samples, alpha="straight")


def first_frame(data: bytes) -> Frame | None:
    """Return the first frame of an animation; None for a plain file.

    Raises CorruptImageError if the chunks are damaged.
    """
    if data[12:16] != b"VP8X" or not data[20] & _ANIMATED:
        return None
    chunks = list(_chunks(data[_BEGIN : 8 + _number(data, 4, 4)]))
    frames = [body for name, body in chunks if name == b"ANMF"]
    if not frames or min(map(len, frames)) < _FRAME_HEADER:
        raise _damaged("it is an animation without a frame")
    left, top, width, height = (_number(frames[0], at, 3) for at in (0, 3, 6, 9))
    file = _plain_file(dict(_chunks(frames[0][_FRAME_HEADER:])), width + 1, height + 1)
    canvas = _number(data, 27, 3) + 1, _number(data, 24, 3) + 1
    frame = Frame(file, 2 * top, 2 * left, canvas)
    info = probe(frame.file)  # before memory is allocated for its size
    if (int(info["width"]), int(info["height"])) != (width + 1, height + 1):
        raise _damaged("its first frame has two sizes")
    if frame.top + height >= frame.canvas[0] or frame.left + width >= frame.canvas[1]:
        raise _damaged("its first frame is larger than the image")
    return frame


def _plain_file(chunks: dict[bytes, bytes], width: int, height: int) -> bytes:
    name = b"VP8L" if b"VP8L" in chunks else b"VP8 "
    if name not in chunks:
        raise _damaged("its first frame has no pixels")
    parts = [_chunk(name, chunks[name])]
    if name == b"VP8 " and b"ALPH" in chunks:
        sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        parts = [
            _chunk(b"VP8X", bytes([_WITH_ALPHA, 0, 0, 0]) + sides),
            _chunk(b"ALPH", chunks[b"ALPH"]),
            *parts,
        ]
    return _chunk(b"RIFF", b"WEBP" + b"".join(parts))


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        end = at + 8 + _number(data, at + 4, 4)
        if at + 8 > len(data) or end > len(data):
            raise _damaged("a chunk ends after the file")
        yield data[at : at + 4], data[at + 8 : end]
        at = end + (end - at) % 2


def _number(data: bytes, at: int, num_bytes: int) -> int:
    return int.from_bytes(data[at : at + num_bytes], "little")


def _damaged(what: str) -> CorruptImageError:
    return CorruptImageError(f"the chunks of the webp are damaged: {what}; {RESTORE}")
