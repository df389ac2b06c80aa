"""ReadOptions: how to read, in one value."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

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


@renamed(checkpoints="seek_points")
@dataclass(frozen=True)
class ReadOptions:
    """How to read.

    - decode: False gives encoded images as they are, a Ragged of bytes.
    - transform: a step or a sequence of steps (see transforms.py): which part of each image, at what size,
      how written; None is the whole of each at its own size.
    - seed: of random transforms.
    - interpolation: "bilinear", "bicubic", "area" or "nearest"; antialiased, but for the last. Of images: masks take
      the nearest pixels.
    - mode: "exact" equals a full decode, cropped and resampled; "fast" may decode a JPEG at 1/2, 1/4 or 1/8
      where it is shrunk by as much anyway.
    - color: "RGB", "BGR" or "GRAY". Stored pixels of another number of channels come as they are.
    - bits: of each channel. None gives what the images have: uint16 when all have 16 bits, uint8 when none has;
      a dataset of both is refused. 16 gives uint16, with white at 65535 for images of fewer bits. 8 gives uint8
      and drops the lower 8 bits of deeper images.
    - alpha: "drop" leaves transparency out: pixels have the color that they would have if they were opaque.
      "white" or "black" shows images on that ground. Masks have none.
    - orient: turn images upright as their EXIF orientation says.
    - on_error: what to do about an image that cannot be read or decoded. "raise"; "skip": leave its sample out of the
      batch; "mask": keep its place, its pixels 0 and its batch.mask False. batch.failures says why, always. A single sample
      (`reader[3]`) has no mask, so it is there or raises. But for "raise", `open` too goes on past images of HDF5 files and records
      of TFRecords that differ from their checksums, and past records that are not Examples. Of such a record nothing is known:
      its columns are 0 or empty (`index.lost`).
    - truncated: "accept" takes what libjpeg makes of a JPEG that is cut or damaged: what is missing comes out gray.
    - check: compare what is read with its checksum, where the file has one. None does so, but for uncompressed pixels of HDF5
      files: summing them takes as long as reading them. True compares these too, False nothing.
    - seek_points: begin decoding JPEGs near what is wanted of them, and read no other bytes, where the index knows places for that.
      None does so where it does; True makes `open` find such places where it does not, and save them; "lazy" finds those of an image
      when it is first decoded, for this process, and `Reader.save_seek_points` saves them; False does not use them.
      Of an image that is read in part no checksum is compared.
    - num_workers: threads for one `read`; None is one a core.
    - limits: what an image, a record or a chunk may cost; for `open` too.
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
        if (
            not (self.seek_points is None or isinstance(self.seek_points, (bool, str)))
            or self.seek_points not in _SEEK_POINTS
        ):
            raise OptionError(
                f'seek_points must be True, False, "lazy" or None, not {checks.shown(self.seek_points)}'
            )
        checks.instance("limits", self.limits, Limits, "Limits(...)")
        if any(
            isinstance(step, type) or not (hasattr(step, "apply") and hasattr(step, "num_draws"))
            for step in self.steps
        ):
            raise OptionError(
                f"transform must be steps such as Resize(224), not {checks.shown(self.transform)}"
            )
        checks.settle(
            self, bits=checks.bits("bits", self.bits), seed=checks.seed("seed", self.seed)
        )
        checks.settle(self, num_workers=checks.optional_integer("num_workers", self.num_workers, 1))
        checks.settle(
            self, **{name: checks.flag(name, getattr(self, name)) for name in ("decode", "orient")}
        )
        checks.settle(self, check=None if self.check is None else checks.flag("check", self.check))

    @property
    def steps(self) -> tuple[Transform, ...]:
        if self.transform is None:
            return ()
        return tuple(self.transform) if isinstance(self.transform, Sequence) else (self.transform,)

    @property
    def for_decoding(self) -> DecodeOptions:
        keep_going = self.on_error != "raise"
        return DecodeOptions(
            self.color,
            self.interpolation,
            self.mode,
            self.limits,
            self.check is not False,
            self.num_workers,
            keep_going,
            self.truncated,
            self.bits or 8,
            seek_points=self.seek_points is not False,
            alpha=self.alpha,
            check_pixels=self.check is True,
        )
