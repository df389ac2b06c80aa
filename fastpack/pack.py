"""pack: a Source becomes shards of a standard container, whole or not at all."""

import glob
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack import containers
from fastpack.codecs import Color
from fastpack.codecs.batch import DecodeOptions
from fastpack.containers import Container, Layout
from fastpack.errors import EmptySourceError, OptionError, Place, at
from fastpack.limits import DEFAULT_LIMITS, Limits
from fastpack.packer import Manner, Packer, Progress, Report
from fastpack.ragged import digest
from fastpack.shard import num_shards_of, parse_size, shard_paths
from fastpack.sources import Source, source_of
from fastpack.staging import Staging, interrupted_names
from fastpack.storage import Compression, Storage
from fastpack.supply import DecodedSupply, EncodedSupply, Supply
from fastpack.transcode import JPEG_CHOICES, METADATA_CHOICES, Jpeg, Metadata, Transcoded, Transcodes

# What TFRecord and HDF5 add to a sample; only --shard-size looks at it.
_SAMPLE_OVERHEAD_BYTES = 128


@dataclass(frozen=True)
class PackOptions:
    """How to pack.

    - format: "tfrecord" or "hdf5"; None goes by the output's ending.
    - layout: of HDF5: "encoded" (image files as they are), "vlen" (the same as rows of variable length) or "pixels"
      (decoded, one size). "auto" is `pixels` when a size is given, else `encoded`.
    - size: (height, width) or one number, to which images are decoded and resampled; None leaves the bytes alone.
    - shards: how many files; or shard_size: bytes a file at most, as a number or like "1GB".
    - color: of decoded pixels.
    - jpeg: "keep" image files as they are, or make those "fast" that take long to decode: see Transcoded. Pixels stay the same.
    - metadata: of the JPEGs that are made fast: "keep" it, or "strip" all but the orientation.
    - names: field name -> what it is called in the files, such as {"image": "image/encoded"}.
    - compression, level, shuffle, fletcher32, chunk: of `pixels`: see Storage.
    - master: of several shards of `pixels`: write a file of the output's own name too, in which plain h5py sees all shards as
      one virtual dataset. It is for others: open either the master or the shards.
    - num_workers: threads; None is one a core.
    - memory: bytes that batches may take together, as a number or like "512MB"; None takes about 6 MiB a thread. What is
      known of each sample (its label, key and place: about 150 bytes) comes on top.
    - sync: wait until the disk has each file before it gets its name.
    """

    format: str | None = None
    layout: Layout = "auto"
    size: int | tuple[int, int] | None = None
    shards: int | None = None
    shard_size: int | str | None = None
    color: Color = "RGB"
    jpeg: Jpeg = "keep"
    metadata: Metadata = "keep"
    names: Mapping[str, str] = field(default_factory=dict)
    compression: Compression = "none"
    level: int | None = None
    shuffle: bool = False
    fletcher32: bool | None = None
    chunk: int | None = None
    master: bool = False
    num_workers: int | None = None
    memory: int | str | None = None
    sync: bool = True
    limits: Limits = DEFAULT_LIMITS

    def __post_init__(self) -> None:
        if self.shards is not None and self.shard_size is not None:
            raise OptionError("give shards or shard_size, not both")
        if self.shards is not None and self.shards < 1:
            raise OptionError(f"shards must be at least 1, not {self.shards}")
        for name in ("shard_size", "memory"):
            size = getattr(self, name)
            if size is not None and parse_size(size) < 1:
                raise OptionError(f"{name} must be positive, not {size}")
        for name, choices in (("jpeg", JPEG_CHOICES), ("metadata", METADATA_CHOICES)):
            if (choice := getattr(self, name)) not in choices:
                raise OptionError(f"{name} is {' or '.join(choices)}, not {choice!r}")
        if self.jpeg == "fast" and (self.size is not None or self.layout == "pixels"):
            raise OptionError("pixels are stored decoded, so no JPEG is to be made fast; leave out jpeg, or the size and the layout")
        if self.metadata == "strip" and self.jpeg != "fast":
            raise OptionError("metadata is stripped from the JPEGs that are made fast only; choose jpeg='fast' too, or keep it")
        if self.layout not in ("auto", "encoded", "vlen", "pixels"):
            raise OptionError(f"there is no layout {self.layout!r}; choose encoded, vlen or pixels")
        if self.layout in ("encoded", "vlen") and self.size is not None:
            raise OptionError(f"the layout `{self.layout}` keeps image files as they are; leave the size out, or choose `pixels`")
        if self.storage != Storage() and self.layout != "pixels" and self.size is None:
            raise OptionError("compression, checksums and chunks are for decoded pixels; give a size, or the layout `pixels`")
        if self.master and self.layout != "pixels" and self.size is None:
            raise OptionError("a master file shows decoded pixels; give a size, or the layout `pixels`")

    @property
    def storage(self) -> Storage:
        return Storage(self.compression, self.level, self.shuffle, self.fletcher32, self.chunk)

    @property
    def manner(self) -> Manner:
        memory_bytes = None if self.memory is None else parse_size(self.memory)
        return Manner(self.layout, self.storage, self.num_workers, memory_bytes, self.sync, self.limits)


@dataclass(frozen=True)
class Packed:
    """What was written: files, samples, bytes of images that went in, bytes of the files, seconds; with jpeg="fast", what
    became of the JPEGs."""

    paths: tuple[Path, ...]
    num_samples: int
    source_bytes: int
    output_bytes: int
    seconds: float
    transcodes: Transcodes | None = None


def pack(
    source: Source | str | Path,
    output: str | Path,
    options: PackOptions | None = None,
    *,
    overwrite: bool = False,
    append: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> Packed:
    """Packs images into TFRecord or HDF5 files that stock TensorFlow and stock h5py open.

    - source: a folder of images (class = folder), a CSV, JSONL or Parquet table, or any Source.
    - output: the file to write, such as "train.tfrecord" or "train.h5". Several shards are named
      "train-00000-of-00010.tfrecord" and so on.
    - overwrite: replace files that are there already.
    - append: put the samples into new shards beside those that are there, which are left as they are. Numbers go on where
      those end: with one shard there, the next is "train-00001-of-00002.tfrecord".
    - resume: go on where an earlier pack of the same source, with the same options, was interrupted: shards that were finished
      are kept. Where there was none, begin.
    - progress: called with (samples done, samples in all, bytes done).

    Each shard is written in a hidden folder beside the output, read back and compared with the checksums of what went in,
    and synced; when all are, they take their names. When anything fails, nothing stands under a final name; finished shards
    wait in the folder for `resume`. Raises FastpackError of the kind that fits.

    >>> from fastpack.sources import Paths
    >>> from fastpack.codecs import encode
    >>> folder = Path(getfixture("tmp_path"))
    >>> _ = (folder / "a.png").write_bytes(encode(np.zeros((8, 8, 3), np.uint8), "png"))
    >>> pack(Paths([folder / "a.png"], [0]), folder / "one.tfrecord").num_samples
    1
    """
    started = time.perf_counter()
    options = options or PackOptions()
    output = Path(output)
    if (append and overwrite) or (resume and overwrite):
        raise OptionError(f"give {'append' if append else 'resume'} or overwrite, not both")
    container = _container(output, options)
    originals = source_of(source) if isinstance(source, (str, Path)) else source
    if len(originals) == 0:
        raise EmptySourceError("the source has no samples; there is nothing to pack")
    if not output.parent.is_dir():
        raise OptionError(at("the output's folder is not there; make it first", Place(output.parent)))
    samples = _with_fast_jpegs(originals, output.parent, options)
    supply = _supply(container, options, samples)
    cuts = _shard_cuts(supply.sizes, options)
    paths = _names(output, len(cuts) - 1, append, resume)
    plan = _plan(samples, supply, options, cuts)
    with Staging(output, paths, plan, resume=resume, overwrite=overwrite, sync=options.sync) as staging:
        missing = {number: staging.path(number) for number in range(len(paths)) if not staging.is_finished(number)}
        Packer(container, supply, options.manner, Report(progress, len(samples)), staging.finish).write(missing, cuts)
        staging.publish()
    if options.master:
        _write_master(output, paths, options)
    output_bytes = sum(path.stat().st_size for path in paths)
    transcodes = samples.transcodes if isinstance(samples, Transcoded) else None
    source_bytes = int(originals.sizes.sum())
    return Packed(tuple(paths), len(samples), source_bytes, output_bytes, time.perf_counter() - started, transcodes)


def _with_fast_jpegs(source: Source, folder: Path, options: PackOptions) -> Source:
    if options.jpeg != "fast":
        return source
    return Transcoded(source, folder, metadata=options.metadata, limits=options.limits, num_workers=options.num_workers)


def _names(output: Path, num_shards: int, append: bool, resume: bool) -> list[Path]:
    """The final names. An appending pack that was interrupted while its shards took theirs keeps to them."""
    earlier = interrupted_names(output) if append and resume else []
    if len(earlier) == num_shards:
        return [output.with_name(name) for name in earlier]
    return shard_paths(output, num_shards, num_before=num_shards_of(output) if append else 0)


def _plan(source: Source, supply: Supply, options: PackOptions, cuts: Sequence[int]) -> dict[str, Any]:
    """What must be the same for an interrupted pack to go on: source and options, but for those that change no byte."""
    unimportant = ("shards", "shard_size", "num_workers", "memory", "sync", "limits")
    chosen = {each.name: repr(getattr(options, each.name)) for each in fields(options) if each.name not in unimportant}
    return chosen | {
        "samples": len(source),
        "first samples of the shards": digest(np.array(cuts, np.int64)),
        "fields": supply.schema.to_json(),
        "sizes of the images": digest(source.sizes),
        **getattr(source, "fingerprints", dict)(),
    }


def _write_master(output: Path, paths: Sequence[Path], options: PackOptions) -> None:
    from fastpack.containers.hdf5_master import write_master  # takes a tenth of a second, as all that needs h5py

    if output in paths:
        return  # the one shard has the name already
    shards = containers.find_shards(str(output.with_name(f"{glob.escape(output.stem)}-*-of-*{output.suffix}")))
    write_master(output, shards, sync=options.sync)


def _container(output: Path, options: PackOptions) -> Container:
    if options.format is not None:
        if options.format not in containers.NAMES:
            raise OptionError(f"{options.format!r} is no format that is written; choose one of {', '.join(containers.NAMES)}")
        return containers.named(options.format)
    if (container := containers.of_suffix(output)) is None or container.name not in containers.NAMES:
        raise OptionError(f"the name {output.name!r} does not say a format; end it in .tfrecord or .h5, or give a format")
    return container


def _supply(container: Container, options: PackOptions, source: Source) -> Supply:
    if not _wants_pixels(container, options, source):
        return EncodedSupply(source, options.names)
    decoding = DecodeOptions(options.color, limits=options.limits)
    return DecodedSupply(source, options.names, options.size, decoding)


def _wants_pixels(container: Container, options: PackOptions, source: Source) -> bool:
    if options.size is None and options.layout != "pixels":
        return False
    if container.name != "hdf5":
        raise OptionError("TFRecord holds image files as they are; leave size and layout out, or choose HDF5")
    picture = source.schema.picture
    if picture is not None and picture.kind == "pixels" and options.size is not None:
        raise OptionError("the source holds pixels, not image files; pack it without a size, or pack the image files")
    return picture is not None and picture.kind == "image"


def _shard_cuts(sizes: npt.NDArray[np.int64], options: PackOptions) -> list[int]:
    """First sample of each shard, and the number of samples."""
    num_samples = len(sizes)
    if options.shard_size is None:
        shards = min(options.shards or 1, num_samples)
        return [num_samples * shard // shards for shard in range(shards + 1)]
    limit = parse_size(options.shard_size)
    ends = np.cumsum(sizes + _SAMPLE_OVERHEAD_BYTES)
    cuts = [0]
    while cuts[-1] < num_samples:
        done = int(ends[cuts[-1] - 1]) if cuts[-1] else 0
        # A sample larger than the limit gets a shard of its own.
        cuts.append(max(cuts[-1] + 1, int(np.searchsorted(ends, done + limit, side="right"))))
    return cuts
