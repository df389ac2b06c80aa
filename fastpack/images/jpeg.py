"""JPEG: decoded by the native kernel."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack._native.decode import DecodeBatch
from fastpack.core.dtypes import SPAN, VIEW
from fastpack.core.limits import Limits
from fastpack.core.memories import Memories
from fastpack.errors import Location, Status, UnsupportedImageError, raise_first, raise_status
from fastpack.images.codec import PixelFormat, Pixels, widen


class JpegCodec:
    """The Codec of JPEG."""

    formats: tuple[str, ...] = ("jpeg",)

    def decode(
        self, data: bytes, info: npt.NDArray[Any], pixel_format: PixelFormat, limits: Limits
    ) -> Pixels:
        """Decode the whole image; see Codec."""
        spans = np.zeros(1, SPAN)
        spans["length"] = len(data)
        if int(info["width"]) * int(info["height"]) > limits.max_pixels:
            raise_status(
                Status.PIXEL_LIMIT,
                f"{info['width']} x {info['height']} pixels are more than {limits.max_pixels}",
                Location(),
            )
        views = np.zeros(1, VIEW)
        views["width"], views["height"] = info["width"], info["height"]
        views["scaled_width"], views["scaled_height"] = info["width"], info["height"]
        channels = 1 if pixel_format.color == "GRAY" else 3
        out = np.empty((info["height"], info["width"], channels), np.uint8)
        job = DecodeBatch(
            spans,
            views,
            [out],
            color=pixel_format.color,
            max_pixels=limits.max_pixels,
            max_scans=limits.max_scans,
            memories=Memories.of([data]),
        )
        job.run()
        raise_first(job.failures(), lambda _: Location())
        return widen(out) if pixel_format.bits == 16 else out

    def numbers(self, data: bytes, info: npt.NDArray[Any], limits: Limits) -> Pixels:
        """Decode a gray JPEG as class numbers; see Codec."""
        if info["components"] != 1:
            raise UnsupportedImageError(
                "a mask has one channel, but this JPEG has several; "
                "save the class numbers as a gray or palette PNG"
            )
        return self.decode(data, info, PixelFormat("GRAY"), limits)


JPEG_CODEC = JpegCodec()
