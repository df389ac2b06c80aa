"""JPEG: decoded by the native kernel over libjpeg-turbo, encoded through OpenCV's copy of it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.decode import DecodeBatch
from fastpack.codecs import Bits, Color, Pixels, widen
from fastpack.errors import Place, raise_first, raise_status
from fastpack.limits import Limits
from fastpack.structs import SPAN, VIEW


class JpegCodec:
    formats: tuple[str, ...] = ("jpeg",)

    def decode(self, data: bytes, info: npt.NDArray[Any], color: Color, limits: Limits, bits: Bits = 8) -> Pixels:
        spans = np.zeros(1, SPAN)
        spans["length"] = len(data)
        if int(info["width"]) * int(info["height"]) > limits.max_pixels:
            raise_status(12, f"{info['width']} x {info['height']} pixels are more than {limits.max_pixels}", Place())
        views = np.zeros(1, VIEW)
        views["width"], views["height"] = info["width"], info["height"]
        views["scaled_width"], views["scaled_height"] = info["width"], info["height"]
        out = np.empty((info["height"], info["width"], 1 if color == "GRAY" else 3), np.uint8)
        job = DecodeBatch(
            spans,
            views,
            [out],
            color=color,
            max_pixels=limits.max_pixels,
            max_scans=limits.max_scans,
            memory=np.frombuffer(data, np.uint8),
        )
        job.run()
        raise_first(job.failures(), lambda _: Place())
        return widen(out) if bits == 16 else out

    def encode(self, pixels: npt.NDArray[np.uint8], format: str, quality: int) -> bytes:
        from fastpack.codecs.opencv import OPENCV_CODEC

        return OPENCV_CODEC.encode(pixels, format, quality)


JPEG_CODEC = JpegCodec()
