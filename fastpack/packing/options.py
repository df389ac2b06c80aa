"""PackOptions: how to pack, in one value."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from fastpack.core import checks
from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.core.renamed import renamed
from fastpack.errors import OptionError
from fastpack.files.classes import ClassFolder, ClassList, check_class_folder
from fastpack.files.sizes import parse_size
from fastpack.formats.file_options import FileOptions, Float64, Layout
from fastpack.formats.registry import NAMES
from fastpack.formats.storage import Compression, Storage
from fastpack.images.codec import Alpha, Bits, Color
from fastpack.packing.packer import WriteOptions
from fastpack.packing.preprocess import Preprocess
from fastpack.packing.rejects import Duplicates, OnError
from fastpack.packing.transcode import JPEG_CHOICES, METADATA_CHOICES, Jpeg, Metadata
from fastpack.reading.split import parts_of

Check = Literal["header", "decode"]
_CHOICES: dict[str, Sequence[str]] = {
    "layout": get_args(Layout),
    "color": get_args(Color),
    "alpha": get_args(Alpha),
    "jpeg": JPEG_CHOICES,
    "metadata": METADATA_CHOICES,
    "check": get_args(Check),
    "float64": get_args(Float64),
    "duplicates": get_args(Duplicates),
    "on_error": get_args(OnError),
}
_COUNTS = {
    "shards": None,
    "resize_max": None,
    "num_workers": None,
    "quality": 100,
}  # the highest that makes sense
_FLAGS = ("virtual", "allow_external", "dry_run", "seek_points", "sync")


@renamed(shuffle="byte_shuffle", master="virtual", checkpoints="seek_points")
@dataclass(frozen=True)
class PackOptions:
    """How to pack.

    - format: "tfrecord" or "hdf5"; None goes by the output's ending.
    - layout: of HDF5: "encoded" (image files as they are), "vlen" (the same as rows of variable length) or "pixels"
      (decoded, one size). "auto" is `pixels` when a size is given, else `encoded`.
    - size: (height, width) or one number, to which images are decoded and resampled; None leaves the bytes alone. With a quality
      they are encoded again, in their own format. Masks get the nearest pixels.
    - resize_max: encode images again of which a side has more pixels, scaled down to that; others stay as they are.
    - quality: 1 to 100: encode all images again, JPEG and WebP with this. Without, what is encoded again has 95.
    - check: "decode" decodes each image as it is packed, to see whether it can be; "header" looks at no more than its header.
    - shards: how many files; or shard_size: bytes a file at most, as a number or like "1GB". With either, files are numbered, also
      a single one. Without, there is one file of the output's own name.
    - color: of decoded pixels.
    - bits: of each channel of decoded pixels: 8, or 16, with white at 65535. None takes what the first image has, and
      refuses images of more or fewer.
    - alpha: of decoded pixels and of what is encoded again: see ReadOptions.
    - jpeg: "keep" image files as they are, or make those "fast" that take long to decode: see FastJpegs. Pixels stay the same.
    - metadata: "keep" it, or "strip" all but the orientation, from JPEG, PNG and WebP: pixels stay the same.
    - names: field name -> what it is called in the files, such as {"image": "image/encoded"}.
    - compression, level, byte_shuffle, fletcher32, chunk: of `pixels`: see Storage.
    - virtual: of several shards of `pixels`: write a file of the output's own name too, in which plain h5py sees all shards as
      one virtual dataset. It is for others: open either the virtual dataset or the shards.
    - num_workers: threads; None is one a core.
    - memory: bytes that batches may take together, as a number or like "512MB"; None takes about 6 MiB a thread. What is
      known of each sample (its label, key and place: some 250 bytes with its path) comes on top.
    - include, exclude: patterns of the shell for keys, in which `*` also stands for slashes: pack the samples that fit one of
      `include`, if there are any, and none of `exclude`.
    - allow_external: of a folder or a table that is given by its path: follow links that lead out of it.
    - fields: which fields to keep beside the main image, label and key; None keeps all that the source has.
    - shuffle_seed: pack in a random order, which depends on nothing but the seed and the number of samples; it is that of
      `Shuffle(seed)` in its first epoch. None keeps the source's order.
    - split: name -> part, such as {"train": 0.9, "val": 0.1}: a dataset for each, named "NAME-train.tfrecord" and so on, by a hash of
      the key, as `Reader.split` has it: whatever else is packed, a sample stays in its split. What is missing to 1 is left out.
    - duplicates: images of exactly the same bytes: "keep" does not look, "report" reports all but the first, "drop" leaves them out.
    - dry_run: write nothing, and say what would be written.
    - on_error: "raise" stops at the first bad sample, in the order of the source; "skip" leaves bad ones out and reports them,
      one JSON object a line, in a file beside the output, `NAME.rejects.jsonl`.
    - float64: TFRecord has floats of 32 bits: "refuse" numbers that these would change, or "round" them. HDF5 keeps all.
    - class_folder, sidecars: of a folder of images; see `from_folder`. class_folder is for tars, too.
    - classes: what labels count in: a list of names, a file with one a line, or a dataset. Others than these are refused.
    - seek_points: keep in the index places inside the JPEGs where decoding may begin: crops take less time then. See build_indexes.
    - sync: wait until the disk has each file before it gets its name.
    """

    format: str | None = None
    layout: Layout = "auto"
    size: int | tuple[int, int] | None = None
    shards: int | None = None
    shard_size: int | str | None = None
    resize_max: int | None = None
    quality: int | None = None
    check: Check = "header"
    color: Color = "RGB"
    bits: Bits | None = None
    alpha: Alpha = "drop"
    jpeg: Jpeg = "keep"
    metadata: Metadata = "keep"
    names: Mapping[str, str] = field(default_factory=dict)
    compression: Compression = "none"
    level: int | None = None
    byte_shuffle: bool = False
    fletcher32: bool | None = None
    chunk: int | None = None
    virtual: bool = False
    num_workers: int | None = None
    memory: int | str | None = None
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    allow_external: bool = False
    class_folder: ClassFolder | None = None
    classes: ClassList = None
    sidecars: Sequence[str] | None = None
    fields: Sequence[str] | None = None
    shuffle_seed: int | None = None
    split: Mapping[str, float] = field(default_factory=dict)
    duplicates: Duplicates = "keep"
    dry_run: bool = False
    on_error: OnError = "raise"
    float64: Float64 = "refuse"
    seek_points: bool = False
    sync: bool = True
    limits: Limits = DEFAULT_LIMITS

    def __post_init__(self) -> None:
        self._settle()
        if self.shards is not None and self.shard_size is not None:
            raise OptionError("give shards or shard_size, not both")
        for name in ("shard_size", "memory"):
            size = getattr(self, name)
            if size is not None and parse_size(size) < 1:
                raise OptionError(f"{name} must be positive, not {size}")
        self._check_choice()
        self._check_preprocess()
        if self.layout in ("encoded", "vlen") and self.size is not None and self.quality is None:
            message = f"the layout `{self.layout}` keeps image files as they are; leave the size out, give a quality, or choose `pixels`"
            raise OptionError(message)
        if self.storage != Storage() and not self.is_decoded:
            raise OptionError(
                "compression, checksums and chunks are for decoded pixels; give a size, or the layout `pixels`"
            )
        if self.virtual and not self.is_decoded:
            raise OptionError(
                "a virtual dataset shows decoded pixels; give a size, or the layout `pixels`"
            )

    def _settle(self) -> None:
        """Checks each value by itself."""
        for name, choices in _CHOICES.items():
            checks.choice(name, getattr(self, name), choices)
        for name, most in _COUNTS.items():
            checks.settle(
                self, **{name: checks.optional_integer(name, getattr(self, name), 1, most)}
            )
        checks.settle(self, **{name: checks.flag(name, getattr(self, name)) for name in _FLAGS})
        checks.settle(
            self,
            **{name: checks.texts(name, getattr(self, name)) for name in ("include", "exclude")},
        )
        if self.format is not None:
            checks.choice("format", self.format, NAMES)
        for name in ("fields", "sidecars"):
            if getattr(self, name) is not None:
                checks.settle(self, **{name: checks.texts(name, getattr(self, name))})
        if self.shuffle_seed is not None:
            checks.settle(self, shuffle_seed=checks.seed("shuffle_seed", self.shuffle_seed))
        if self.size is not None:
            checks.settle(self, size=checks.size("size", self.size))
        checks.texts(
            "names",
            list(checks.mapping("names", self.names, '{"image": "image/encoded"}').values()),
        )
        checks.mapping("split", self.split, '{"train": 0.9, "val": 0.1}')
        checks.instance("limits", self.limits, Limits, "Limits(...)")
        checks.settle(self, bits=checks.bits("bits", self.bits))
        checks.settle(self, chunk=self.storage.chunk, level=self.storage.level)

    def _check_preprocess(self) -> None:
        """What is said about what happens to the images."""
        if self.resize_max is not None and self.size is not None:
            raise OptionError(
                "give size, which all images get, or resize_max, which none exceeds; not both"
            )
        is_encoded_again = self.quality is not None or self.resize_max is not None
        if self.layout == "pixels" and is_encoded_again:
            raise OptionError(
                "pixels are stored decoded, of one size; leave out quality and resize_max, or choose the layout `encoded`"
            )
        if self.bits is not None and not self.is_decoded:
            raise OptionError(
                "bits are of decoded pixels; leave them out, or give a size or the layout `pixels`"
            )
        if self.alpha != "drop" and not (self.is_decoded or is_encoded_again):
            raise OptionError(
                "image files keep their transparency as they are; leave out alpha, and give it when you read them"
            )
        if self.jpeg == "fast" and (self.is_decoded or is_encoded_again):
            raise OptionError(
                "pixels are stored decoded, and what is encoded again is fast; leave out jpeg, or what changes the images"
            )
        if self.metadata == "strip" and self.is_decoded:
            raise OptionError(
                "decoded pixels have no metadata; leave out metadata, or the size and the layout"
            )

    @property
    def is_decoded(self) -> bool:
        """True when pixels are stored, not image files."""
        return self.layout == "pixels" or (
            self.layout == "auto" and self.size is not None and self.quality is None
        )

    @property
    def preprocess(self) -> Preprocess:
        """What is done with each image file."""
        if self.is_decoded:
            return Preprocess(limits=self.limits)  # it is decoded anyway
        size = (self.size, self.size) if isinstance(self.size, int) else self.size
        is_checked, is_stripped = self.check == "decode", self.metadata == "strip"
        return Preprocess(
            is_checked, is_stripped, self.resize_max, size, self.quality, self.limits, self.alpha
        )

    def _check_choice(self) -> None:
        """What is said about which samples are packed."""
        check_class_folder(self.class_folder)
        if self.split:
            parts_of(np.zeros(0), self.split)
        for name in self.split:
            if not re.fullmatch(r"\w[\w.-]*", name):
                raise OptionError(
                    f"{name!r} cannot be the name of a split: it becomes part of a file's name; use letters, digits, _ and -"
                )

    @property
    def taking(self) -> dict[str, Any]:
        """How a source is opened, as `source_of` and `open` take it."""
        return {
            "allow_external": self.allow_external,
            "class_folder": self.class_folder,
            "sidecars": self.sidecars,
        }

    @property
    def storage(self) -> Storage:
        return Storage(self.compression, self.level, self.byte_shuffle, self.fletcher32, self.chunk)

    @property
    def write_options(self) -> WriteOptions:
        memory_bytes = None if self.memory is None else parse_size(self.memory)
        work = self.num_workers, memory_bytes, self.sync, self.on_error, self.limits
        files = FileOptions(self.layout, self.storage, self.float64)
        return WriteOptions(files, *work, self.seek_points)


def pack_options(given: PackOptions | None) -> PackOptions:
    """The options that a function was given; None gives the default ones. Raises OptionError for what is not PackOptions."""
    checks.instance("options", given, PackOptions | None, "PackOptions(...)")
    return given or PackOptions()
