"""Preprocess: checks, resizes, re-encodes and strips image files before they are written."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.dtypes import SPAN, Rows
from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.core.ragged import Ragged, owners
from fastpack.core.schema import Field, Kind
from fastpack.errors import FastpackError, Location, with_location
from fastpack.images.batch import Batch
from fastpack.images.codec import Alpha, Color, PixelFormat, Pixels
from fastpack.images.codecs import decode_numbers, decode_stored, encode
from fastpack.images.decode import (
    DecodeOptions,
    EncodedImages,
    Failures,
    SpanSource,
    decode_images,
    decode_masks,
    empty_outputs,
    refuse_images,
    upright_sizes,
)
from fastpack.images.headers import FORMATS, JPEG, probe_blobs
from fastpack.images.transforms import Plan, Resize, plan_batch
from fastpack.packing.inputs import PackInput
from fastpack.packing.metadata import strip_metadata
from fastpack.packing.transcode import FastJpegs
from fastpack.sources import Source

_DEFAULT_QUALITY = 95
# Formats that keep 16 bits a channel.
_DEEP_FORMATS = ("png", "tiff")


@dataclass(frozen=True)
class Preprocess:
    """A change of image files.

    Re-encoded images keep their format. They are upright, without transparency and metadata. PNG
    and TIFF keep 16 bits. Masks are resampled to the nearest pixel and become PNGs, with class
    numbers as gray levels.

    Args:
        check: decode each image once.
        strip: remove metadata; see `strip_metadata`.
        resize_max: pixels. Scale images with a larger side down to it.
        size: (height, width) in pixels of all images.
        quality: 1 to 100, for JPEG and WebP. If given, all images are re-encoded.
        limits: bounds for decoding.
        alpha: transparency of re-encoded images; see ReadOptions.
    """

    check: bool = False
    strip: bool = False
    resize_max: int | None = None
    size: tuple[int, int] | None = None
    quality: int | None = None
    limits: Limits = DEFAULT_LIMITS
    alpha: Alpha = "drop"

    @property
    def is_needed(self) -> bool:
        return self != Preprocess(limits=self.limits, alpha=self.alpha)

    @property
    def reencodes(self) -> bool:
        """True if the sizes of the files cannot be known before."""
        return (self.resize_max, self.size, self.quality) != (None, None, None)

    def apply(
        self, data: bytes, info: npt.NDArray[Any], location: Location, kind: Kind = "image"
    ) -> bytes:
        """Return the file to write; raises errors of decoding with the location.

        Args:
            data: the image file.
            info: its header, one IMAGE_INFO.
            kind: "image" or "mask".
        """
        format = FORMATS[info["format"]]
        size = self._size_of(info, kind)
        try:
            if size is not None and kind == "mask":
                return encode(self._numbers(data, info, size, location), "png")
            if size is not None:
                pixels = self._pixels(data, info, size, location)
                return encode(pixels, format, quality=self.quality or _DEFAULT_QUALITY)
            if self.check and kind == "mask":
                decode_numbers(data, info, self.limits)
            elif self.check:
                decode_stored(data, info, PixelFormat(bits=None), self.limits)
            return strip_metadata(data, format, int(info["orientation"])) if self.strip else data
        except FastpackError as error:
            if error.location is not None:
                raise
            raise type(error)(with_location(str(error), location)) from error

    def _size_of(self, info: npt.NDArray[Any], kind: Kind) -> tuple[int, int] | None:
        """Return (height, width) of the re-encoded image; None leaves the file unchanged."""
        if self.size is not None:
            return self.size
        widths, heights = upright_sizes(info.reshape(1), True, {})
        height, width, most = int(heights[0]), int(widths[0]), self.resize_max
        if most is not None and max(height, width) > most:
            larger = max(height, width)
            return max(1, round(height * most / larger)), max(1, round(width * most / larger))
        return None if self.quality is None or kind == "mask" else (height, width)

    def _pixels(
        self, data: bytes, info: npt.NDArray[Any], size: tuple[int, int], location: Location
    ) -> Pixels:
        """Decode to upright pixels (height, width, 3), or 1 channel of a gray image."""
        is_deep = info["bits"] == 16 and FORMATS[info["format"]] in _DEEP_FORMATS
        color: Color = "GRAY" if info["format"] == JPEG and info["components"] == 1 else "RGB"
        options = DecodeOptions(
            color, limits=self.limits, num_workers=1, bits=16 if is_deep else 8, alpha=self.alpha
        )
        encoded, plan, refused = _one(data, info, size, options, location)
        outs = empty_outputs(plan, options.channels, options.dtype)
        decode_images(encoded, plan, outs, options, refused)
        pixels: Pixels = outs[0]
        is_gray = info["components"] <= 2 and bool((pixels == pixels[..., :1]).all())
        return np.ascontiguousarray(pixels[..., :1]) if is_gray else pixels

    def _numbers(
        self, data: bytes, info: npt.NDArray[Any], size: tuple[int, int], location: Location
    ) -> Pixels:
        """Decode to upright class numbers (height, width, 1)."""
        options = DecodeOptions(
            "GRAY", limits=self.limits, num_workers=1, bits=16 if info["bits"] == 16 else 8
        )
        encoded, plan, refused = _one(data, info, size, options, location)
        outs = empty_outputs(plan, 1, options.dtype)
        widths, heights = upright_sizes(encoded.infos, True, refused)
        decode_masks(
            encoded, plan, [(int(heights[0]), int(widths[0]))], [outs[0][..., 0]], options, refused
        )
        numbers: Pixels = outs[0]
        return numbers


def _one(
    data: bytes,
    info: npt.NDArray[Any],
    size: tuple[int, int],
    options: DecodeOptions,
    location: Location,
) -> tuple[EncodedImages, Plan, Failures]:
    """Prepare one image: the image, the plan of its resize, and its refusal if any."""
    spans = np.zeros(1, SPAN)
    spans["length"] = len(data)
    encoded = EncodedImages(SpanSource.of(data), spans, info.reshape(1), lambda _: location)
    refused = refuse_images(encoded, options)
    plan = plan_batch((Resize(size),), *upright_sizes(encoded.infos, True, refused))
    plan.views["orientation"] = info["orientation"]
    return encoded, plan, refused


def with_masks_of_size(pack_input: PackInput, source: Source, limits: Limits) -> PackInput:
    """Resample masks to the size of the pixels."""
    image_field = pack_input.schema.image_field
    assert image_field is not None
    height, width = image_field.shape[:2]
    assert height is not None
    assert width is not None
    if not any(blob.kind == "mask" for blob in pack_input.schema.blobs):
        return pack_input
    resize = Preprocess(size=(height, width), limits=limits)
    return PreprocessedInput(pack_input, source, resize, kinds=("mask",))


class PreprocessedInput:
    """Image files after a Preprocess, which the calling thread runs.

    Args:
        fast_jpegs: rewrites slow JPEGs of the main image afterwards.
        kinds: kinds of the fields that are changed.
    """

    def __init__(
        self,
        pack_input: PackInput,
        source: Source,
        preprocess: Preprocess,
        fast_jpegs: FastJpegs | None = None,
        kinds: tuple[Kind, ...] = ("image", "mask"),
    ) -> None:
        self._pack_input, self._source = pack_input, source
        self._preprocess, self._fast_jpegs = preprocess, fast_jpegs
        self._fields = [blob for blob in pack_input.schema.blobs if blob.kind in kinds]
        self.schema, self.sizes = pack_input.schema, pack_input.sizes
        changes_sizes = preprocess.reencodes and "image" in kinds
        self.keeps_sizes = pack_input.keeps_sizes and not changes_sizes
        self.memory_sizes = 2 * pack_input.memory_sizes

    def read(self, rows: Rows) -> Batch:
        batch = self._pack_input.read(rows)
        changed = {
            blob.name: self._preprocessed_field(blob, batch[blob.name], rows)
            for blob in self._fields
        }
        main = self.schema.image_field
        if self._fast_jpegs is not None and main is not None and main.name in changed:
            changed[main.name] = _made_fast(self._fast_jpegs, changed[main.name], rows)
        return Batch({**batch, **changed}, len(rows))

    def _preprocessed_field(self, field: Field, values: Any, rows: Rows) -> Ragged:
        if not field.is_list:
            return self._preprocessed(field, values, rows)
        files = self._preprocessed(field, values.values, rows[owners(values)])
        return Ragged(files, values.offsets)

    def _preprocessed(self, field: Field, blobs: Ragged, rows: Rows) -> Ragged:
        if not self._preprocess.is_needed:
            return blobs
        infos, statuses = probe_blobs(blobs)
        locations = [self._source.location(int(row)) for row in rows]
        apply = self._preprocess.apply
        return Ragged.of_bytes(
            blobs.bytes(i) if statuses[i] else apply(blobs.bytes(i), infos[i], location, field.kind)
            for i, location in enumerate(locations)
        )


def _made_fast(fast_jpegs: FastJpegs, blobs: Ragged, rows: Rows) -> Ragged:
    is_jpeg, transcoder = probe_blobs(blobs)[0]["format"] == JPEG, fast_jpegs.transcoder()
    return Ragged.of_bytes(
        fast_jpegs.made_fast(row, blobs.bytes(i), transcoder) if is_jpeg[i] else blobs.bytes(i)
        for i, row in enumerate(rows.tolist())
    )
