"""PackOptions: how to pack, in one value."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypedDict, TypeVar

from fastpack.core import checks
from fastpack.core.cached import cached_property
from fastpack.core.limits import DEFAULT_LIMITS, Limits
from fastpack.core.renamed import renamed
from fastpack.errors import OptionError
from fastpack.files.classes import ClassFolder, ClassList
from fastpack.formats.file_options import Float64, Layout
from fastpack.formats.storage import Compression, Storage
from fastpack.images.codec import Alpha, Bits, Color
from fastpack.packing.image_options import Check, ImageOptions
from fastpack.packing.rejects import Duplicates, OnError
from fastpack.packing.select_options import SelectOptions
from fastpack.packing.transcode import Jpeg, Metadata
from fastpack.packing.write_options import WriteOptions

Group = TypeVar("Group")


@renamed(shuffle="byte_shuffle", master="virtual", checkpoints="seek_points")
@dataclass(frozen=True)
class PackOptions:
    """How to pack: which samples, what happens to their images, which files.

    `pack` also takes these options as keywords. Inside the package they are grouped: `images`,
    `select`, `write` and `storage`.

    Args:
        format: "tfrecord", "hdf5" or "tar"; None: by the output's ending.
        layout: layout of HDF5. "encoded" stores image files unchanged, "vlen" the same as rows of
            variable length, "pixels" decoded images of one size. "auto" is "pixels" if a size is
            given without a quality, else "encoded".
        size: (height, width) in pixels, or one number for both, of all images. With a quality,
            image files are re-encoded at that size. Masks are resampled to the nearest pixel.
        shards: number of files. Files are then numbered, even one file.
        shard_size: size of each file, at most: bytes, or text such as "1GB". A larger sample gets
            its own file. Without shards and shard_size, one file gets the output's name.
        resize_max: pixels. Images with a larger side are scaled down to it and re-encoded.
        quality: 1 to 100. Re-encode all images; JPEG and WebP use this quality. Images that are
            re-encoded for another reason use 95.
        check: "header" parses image headers; "decode" also decodes each image file once.
        color: channels of decoded pixels: "RGB", "BGR" or "GRAY".
        bits: bits of a channel of decoded pixels: 8, or 16 (white is 65535). None: those of the
            first image; images of other depths are then refused.
        alpha: transparency of decoded and re-encoded images; see ReadOptions.
        jpeg: "fast" rewrites JPEGs that are slow to decode, with the same pixels; "keep" does not.
        metadata: "strip" removes metadata from JPEG, PNG and WebP, except the orientation. Pixels
            stay the same.
        names: field -> its name in the files, such as {"image": "image/encoded"}.
        compression: of pixels: "none", "gzip", "lz4", "zstd" or "blosc2".
        level: level of the compression; None: the usual one. See Storage for ranges.
        byte_shuffle: group the bytes of numbers by significance before compressing pixels.
        fletcher32: HDF5's checksum for each chunk of pixels; None: for compressed pixels.
        chunk: samples in a chunk of pixels; None: about 1 MiB, or 32 KiB with a filter.
        virtual: also write a file in which h5py sees all shards of pixels as one dataset. Open
            either this file or the shards.
        num_workers: threads; None: one for each core.
        memory: size of all batches together, at most: bytes, or text such as "512MB". None: about
            6 MiB for each thread. Labels, keys and paths take about 250 bytes a sample more.
        include: shell patterns for keys; `*` matches slashes too. Pack only matching samples.
        exclude: shell patterns for keys. Leave out matching samples.
        allow_external: follow links that leave the source's folder.
        class_folder: folder that is the class of an image; see `from_folder`. Also for tars.
        classes: class names that labels count in: a list, a file with one a line, or a dataset.
            Other classes are refused.
        sidecars: endings of files beside the images; see `from_folder`.
        fields: fields to keep besides the main image, label and key; None: all.
        shuffle_seed: seed of a random order, the order of `Shuffle(seed)` in its first epoch. None
            keeps the source's order.
        split: name -> fraction, such as {"train": 0.9, "val": 0.1}. Each split becomes a dataset
            "NAME-train.tfrecord" and so on. A hash of its key decides the split of a sample, as in
            `Reader.split`. If the fractions sum to less than 1, the rest is not packed.
        duplicates: images with equal bytes: "keep" ignores them, "report" lists them, "drop" keeps
            only the first.
        dry_run: plan, but write nothing.
        on_error: "raise" stops at the first bad sample in the source's order. "skip" leaves bad
            samples out and lists them in `NAME.rejects.jsonl` beside the output.
        float64: TFRecord stores 32-bit floats: "refuse" numbers that would change, or "round".
        seek_points: store in the index where decoding can start inside JPEGs; crops are then
            faster. See `build_indexes`.
        sync: wait until each file is on disk before it gets its name.
        scratch: folder in which the shards of an output in a store are made, a few at a time. None:
            the system's folder for temporary files.
        limits: bounds for images and records; see Limits.

    Raises:
        OptionError: a value or a combination of options is not valid.

    Example:
        >>> PackOptions(size=224, shards=8).images.is_decoded
        True
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
    scratch: str | os.PathLike[str] | None = None
    limits: Limits = DEFAULT_LIMITS

    def __post_init__(self) -> None:
        for group in (self.storage, self.images, self.select, self.write):
            checked = {name: getattr(group, name) for name in _names(group) & _names(self)}
            checks.settle(self, **checked)
        if not self.images.is_decoded:
            self._refuse_pixel_options()

    def _refuse_pixel_options(self) -> None:
        if self.storage != Storage():
            message = "compression, checksums and chunks are for decoded pixels"
            raise OptionError(f"{message}; give a size, or the layout `pixels`")
        if self.virtual:
            message = "a virtual dataset shows decoded pixels"
            raise OptionError(f"{message}; give a size, or the layout `pixels`")

    @cached_property
    def images(self) -> ImageOptions:
        """Options about the images."""
        return self._group(ImageOptions)

    @cached_property
    def select(self) -> SelectOptions:
        """Options about the selection of samples."""
        return self._group(SelectOptions)

    @cached_property
    def storage(self) -> Storage:
        """Options about the storage of pixels in HDF5."""
        return self._group(Storage)

    @cached_property
    def write(self) -> WriteOptions:
        """Options about the files."""
        return self._group(WriteOptions)

    def _group(self, kind: type[Group]) -> Group:
        return kind(**{name: getattr(self, name) for name in _names(kind)})


def _names(options: Any) -> set[str]:
    return {each.name for each in fields(options)}


class PackKwargs(TypedDict, total=False):
    """The fields of PackOptions, as keywords of `pack` and `convert`."""

    format: str | None
    layout: Layout
    size: int | tuple[int, int] | None
    shards: int | None
    shard_size: int | str | None
    resize_max: int | None
    quality: int | None
    check: Check
    color: Color
    bits: Bits | None
    alpha: Alpha
    jpeg: Jpeg
    metadata: Metadata
    names: Mapping[str, str]
    compression: Compression
    level: int | None
    byte_shuffle: bool
    fletcher32: bool | None
    chunk: int | None
    virtual: bool
    num_workers: int | None
    memory: int | str | None
    include: Sequence[str]
    exclude: Sequence[str]
    allow_external: bool
    class_folder: ClassFolder | None
    classes: ClassList
    sidecars: Sequence[str] | None
    fields: Sequence[str] | None
    shuffle_seed: int | None
    split: Mapping[str, float]
    duplicates: Duplicates
    dry_run: bool
    on_error: OnError
    float64: Float64
    seek_points: bool
    sync: bool
    scratch: str | os.PathLike[str] | None
    limits: Limits


def pack_options(given: PackOptions | None, keywords: PackKwargs) -> PackOptions:
    """Combine the options of a call: keywords override the fields of `given`.

    >>> pack_options(PackOptions(size=224, shards=2), {"shards": 8}).shards
    8
    """
    checks.instance("options", given, PackOptions | None, "PackOptions(...)")

    return replace(given or PackOptions(), **keywords)
