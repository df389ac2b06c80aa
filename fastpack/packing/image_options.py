"""ImageOptions: what `pack` does with each image."""

from dataclasses import dataclass
from typing import Literal, get_args

from fastpack.core import checks
from fastpack.core.cached import cached_property
from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.errors import OptionError
from fastpack.formats.file_options import Layout
from fastpack.images.codec import Alpha, Bits, Color
from fastpack.images.decode import DecodeOptions
from fastpack.packing.preprocess import Preprocess
from fastpack.packing.transcode import JPEG_CHOICES, METADATA_CHOICES, Jpeg, Metadata

Check = Literal["header", "decode"]
_CHOICES = {
    "layout": get_args(Layout),
    "color": get_args(Color),
    "alpha": get_args(Alpha),
    "jpeg": JPEG_CHOICES,
    "metadata": METADATA_CHOICES,
    "check": get_args(Check),
}


@dataclass(frozen=True)
class ImageOptions:
    """The fields of PackOptions about the images; see there."""

    layout: Layout = "auto"
    size: int | tuple[int, int] | None = None
    resize_max: int | None = None
    quality: int | None = None
    color: Color = "RGB"
    bits: Bits | None = None
    alpha: Alpha = "drop"
    jpeg: Jpeg = "keep"
    metadata: Metadata = "keep"
    check: Check = "header"
    limits: Limits = DEFAULT_LIMITS

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            checks.choice(name, getattr(self, name), choices)
        checks.instance("limits", self.limits, Limits, "Limits(...)")
        checks.settle(
            self,
            size=None if self.size is None else checks.size("size", self.size),
            resize_max=checks.optional_integer("resize_max", self.resize_max, 1),
            quality=checks.optional_integer("quality", self.quality, 1, 100),
            bits=checks.bits("bits", self.bits),
        )
        self._refuse_contradictions()

    def _refuse_contradictions(self) -> None:
        if self.resize_max is not None and self.size is not None:
            raise OptionError("give size for all images, or resize_max for large ones; not both")
        if self.layout == "pixels" and (self.quality, self.resize_max) != (None, None):
            message = "pixels are stored decoded, of one size; leave out quality and resize_max"
            raise OptionError(f"{message}, or choose the layout `encoded`")
        if self.layout in ("encoded", "vlen") and self.size is not None and self.quality is None:
            message = f"the layout `{self.layout}` keeps image files as they are"
            raise OptionError(f"{message}; leave the size out, give a quality, or choose `pixels`")
        if self.bits is not None and not self.is_decoded:
            message = "bits are for decoded pixels; leave them out"
            raise OptionError(f"{message}, or give a size or the layout `pixels`")
        if self.alpha != "drop" and not (self.is_decoded or self.is_reencoded):
            message = "image files keep their transparency as it is; leave out alpha"
            raise OptionError(f"{message}, and give it when you read them")
        if self.jpeg == "fast" and (self.is_decoded or self.is_reencoded):
            message = "decoded pixels are not JPEGs, and re-encoded JPEGs are fast; leave out jpeg"
            raise OptionError(f"{message}, or the options that change the images")
        if self.metadata == "strip" and self.is_decoded:
            message = "decoded pixels have no metadata; leave out metadata"
            raise OptionError(f"{message}, or the size and the layout")

    @property
    def is_decoded(self) -> bool:
        """True if pixels are stored instead of image files."""
        is_automatic = self.layout == "auto" and self.size is not None and self.quality is None
        return self.layout == "pixels" or is_automatic

    @property
    def is_reencoded(self) -> bool:
        """True if image files are encoded with other pixels or another quality."""
        return self.quality is not None or self.resize_max is not None

    @cached_property
    def preprocess(self) -> Preprocess:
        """The change of each image file; no change if pixels are stored."""
        if self.is_decoded:
            return Preprocess(limits=self.limits)
        return Preprocess(
            check=self.check == "decode",
            strip=self.metadata == "strip",
            resize_max=self.resize_max,
            size=(self.size, self.size) if isinstance(self.size, int) else self.size,
            quality=self.quality,
            limits=self.limits,
            alpha=self.alpha,
        )

    @property
    def decoding(self) -> DecodeOptions:
        """How stored pixels are decoded."""
        return DecodeOptions(self.color, limits=self.limits, alpha=self.alpha)
