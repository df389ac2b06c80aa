"""ReadOptions: how to read, in one value."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict, get_args

from fastpack.core import checks
from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.core.renamed import renamed
from fastpack.errors import OptionError
from fastpack.images.codec import Alpha, Bits, Color
from fastpack.images.decode import DecodeOptions, Interpolation, Mode, Truncated
from fastpack.images.transforms import Transform

OnError = Literal["raise", "skip", "mask"]
_CHOICES = {
    "alpha": Alpha,
    "color": Color,
    "interpolation": Interpolation,
    "mode": Mode,
    "on_error": OnError,
    "truncated": Truncated,
}
_SEEK_POINTS = (True, False, "lazy", None)
_NEW_NAMES = {"checkpoints": "seek_points"}


@renamed(**_NEW_NAMES)
@dataclass(frozen=True)
class ReadOptions:
    """How to read samples.

    Args:
        decode: False gives encoded images as they are stored, as a Ragged of bytes.
        transform: a step, such as Resize(224), or a sequence of steps. Steps choose each image's
            box, size and dtype. None keeps whole images at their own sizes.
        seed: seed of random transforms, 0 <= seed < 2**64.
        interpolation: "bilinear", "bicubic", "area" or "nearest". "nearest" does not antialias.
            Masks always take the nearest pixel.
        mode: "exact" equals a full decode, cropped and resampled. "fast" may decode a JPEG at
            1/2, 1/4 or 1/8 if it is shrunk at least that much.
        color: "RGB", "BGR" or "GRAY". Stored pixels with other channels stay as they are.
        bits: 8 or 16 bits for each channel. None gives uint16 if all images have 16 bits, and
            uint8 if none has; a mixture is refused. 16 scales shallower images, so that white
            is 65535. 8 drops the lower 8 bits of deeper ones.
        alpha: "drop" ignores transparency. "white" or "black" blends images with that color.
        orient: rotate and mirror images as their EXIF orientation says.
        on_error: for images that cannot be read or decoded. "raise" raises. "skip" leaves the
            sample out of the batch. "mask" keeps it with pixels 0 and batch.mask False.
            `batch.failures` has the reasons. `dataset[3]` always raises. With "skip" and "mask",
            `open` also accepts damaged records; their columns are 0 or empty (`index.lost`).
        truncated: "error", or "accept" damaged JPEGs: libjpeg fills the missing part with gray.
        check: compare data with checksums. None compares where there is one, except for
            uncompressed HDF5 pixels: that would double the time. True compares these too.
            False compares nothing.
        seek_points: start decoding JPEGs near the crop, at saved positions, and read only those
            bytes. None uses the positions that the index has. True makes `open` find and save
            missing ones. "lazy" finds an image's at its first decode;
            `Reader.save_seek_points` saves them. False uses none. No checksum is compared for
            an image that is read in part.
        num_workers: threads of one `read`. None is one for each core.
        limits: maximum cost of an image, a record or a chunk, for `open` too.

    Raises:
        OptionError: an option has a wrong value.

    Example:
        >>> ReadOptions(color="GRAY", on_error="mask").decode
        True
    """

    decode: bool = True
    transform: Transform | Sequence[Transform] | None = None
    seed: int = 0
    interpolation: Interpolation = "bilinear"
    mode: Mode = "exact"
    color: Color = "RGB"
    bits: Bits | None = None
    alpha: Alpha = "drop"
    orient: bool = True
    on_error: OnError = "raise"
    truncated: Truncated = "error"
    check: bool | None = None
    seek_points: bool | Literal["lazy"] | None = None
    num_workers: int | None = None
    limits: Limits = DEFAULT_LIMITS

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            checks.choice(name, getattr(self, name), get_args(choices))
        points = self.seek_points
        if not isinstance(points, bool | str | None) or points not in _SEEK_POINTS:
            shown = checks.shown(points)
            raise OptionError(f'seek_points must be True, False, "lazy" or None, not {shown}')
        checks.instance("limits", self.limits, Limits, "Limits(...)")
        if not all(map(_is_step, self.steps)):
            shown = checks.shown(self.transform)
            raise OptionError(f"transform must be steps such as Resize(224), not {shown}")
        checks.settle(
            self,
            bits=checks.bits("bits", self.bits),
            seed=checks.seed("seed", self.seed),
            num_workers=checks.optional_integer("num_workers", self.num_workers, 1),
            decode=checks.flag("decode", self.decode),
            orient=checks.flag("orient", self.orient),
            check=None if self.check is None else checks.flag("check", self.check),
        )

    @property
    def steps(self) -> tuple[Transform, ...]:
        """The transform as a tuple of steps."""
        if self.transform is None:
            return ()
        return tuple(self.transform) if isinstance(self.transform, Sequence) else (self.transform,)

    @property
    def for_decoding(self) -> DecodeOptions:
        """The options that decoding needs."""
        return DecodeOptions(
            self.color,
            self.interpolation,
            self.mode,
            self.limits,
            self.check is not False,
            self.num_workers,
            self.on_error != "raise",
            self.truncated,
            self.bits or 8,
            seek_points=self.seek_points is not False,
            alpha=self.alpha,
            check_pixels=self.check is True,
        )


class ReadKwargs(TypedDict, total=False):
    """The fields of ReadOptions as keywords of a function."""

    decode: bool
    transform: Transform | Sequence[Transform] | None
    seed: int
    interpolation: Interpolation
    mode: Mode
    color: Color
    bits: Bits | None
    alpha: Alpha
    orient: bool
    on_error: OnError
    truncated: Truncated
    check: bool | None
    seek_points: bool | Literal["lazy"] | None
    num_workers: int | None
    limits: Limits


# The keywords that ReadOptions takes, or refuses with a message of its own.
READ_NAMES = (*ReadKwargs.__annotations__, *_NEW_NAMES)


def _is_step(value: object) -> bool:
    is_instance = not isinstance(value, type)
    return is_instance and hasattr(value, "apply") and hasattr(value, "num_draws")
