"""pack: a Source becomes shards of a standard container, whole or not at all."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastpack import containers
from fastpack.batch import Batch
from fastpack.codecs import Color
from fastpack.codecs.batch import DecodeOptions, Failures, Origin, Pictures, decode_pictures, empty_outputs, refuse_pictures, upright_sizes
from fastpack.containers import Container, Layout, ShardPlan
from fastpack.errors import CorruptRecordError, EmptySourceError, OptionError, Place, ShapeError, at
from fastpack.headers import probe_blobs
from fastpack.index import Index, index_path
from fastpack.limits import DEFAULT_LIMITS, Limits
from fastpack.ragged import Ragged, offsets_of
from fastpack.schema import Field, Schema
from fastpack.shard import parse_size, refuse_existing, shard_paths, written_whole
from fastpack.sources import Source, source_of
from fastpack.structs import SPAN
from fastpack.transforms import Plan, Resize, plan_batch

# Called with (samples done, samples in all, bytes done) after each batch.
Progress = Callable[[int, int, int], None]

# A batch is enough work for all threads, and three of them are in memory at once. At 8 MiB malloc hands the
# same memory out again; at 32 MiB each batch was fresh pages, which took twice as long.
_BATCH_BYTES = 8 * 2**20
_BATCH_SAMPLES = 1024
# What TFRecord and HDF5 add to a sample; only --shard-size looks at it.
_SAMPLE_OVERHEAD_BYTES = 128


@dataclass(frozen=True)
class PackOptions:
    """How to pack.

    - format: "tfrecord" or "hdf5"; None goes by the output's ending.
    - layout: of HDF5: "encoded" (image files as they are) or "pixels" (decoded, one size). "auto" is
      `pixels` when a size is given.
    - size: (height, width) or one number, to which images are decoded and resampled; None leaves the bytes alone.
    - shards: how many files; or shard_size: bytes a file at most, as a number or like "1GB".
    - color: of decoded pixels.
    - names: field name -> what it is called in the files, such as {"image": "image/encoded"}.
    - num_workers: threads; None is one a core.
    - sync: wait until the disk has each file before it gets its name.
    """

    format: str | None = None
    layout: Layout = "auto"
    size: int | tuple[int, int] | None = None
    shards: int | None = None
    shard_size: int | str | None = None
    color: Color = "RGB"
    names: Mapping[str, str] = field(default_factory=dict)
    num_workers: int | None = None
    sync: bool = True
    limits: Limits = DEFAULT_LIMITS

    def __post_init__(self) -> None:
        if self.shards is not None and self.shard_size is not None:
            raise OptionError("give shards or shard_size, not both")
        if self.shards is not None and self.shards < 1:
            raise OptionError(f"shards must be at least 1, not {self.shards}")
        if self.shard_size is not None and parse_size(self.shard_size) < 1:
            raise OptionError(f"shard_size must be positive, not {self.shard_size}")
        if self.layout not in ("auto", "encoded", "pixels"):
            raise OptionError(f"there is no layout {self.layout!r}; choose encoded or pixels")
        if self.layout == "encoded" and self.size is not None:
            raise OptionError("the layout `encoded` keeps image files as they are; leave the size out, or choose `pixels`")


@dataclass(frozen=True)
class Packed:
    """What was written: files, samples, bytes of images that went in, bytes of the files, seconds."""

    paths: tuple[Path, ...]
    num_samples: int
    source_bytes: int
    output_bytes: int
    seconds: float


def pack(
    source: Source | str | Path,
    output: str | Path,
    options: PackOptions | None = None,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Packed:
    """Packs images into TFRecord or HDF5 files that stock TensorFlow and stock h5py open.

    - source: a folder of images (class = folder), a CSV, JSONL or Parquet table, or any Source.
    - output: the file to write, such as "train.tfrecord" or "train.h5". Several shards are named
      "train-00000-of-00010.tfrecord" and so on.
    - overwrite: replace files that are there already.
    - progress: called with (samples done, samples in all, bytes done).

    Each file is written under a temporary name, read back and checked, synced, and then renamed; when
    anything fails, nothing stands under a final name. Raises FastpackError of the kind that fits.

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
    container = _container(output, options)
    samples = source_of(source) if isinstance(source, (str, Path)) else source
    if len(samples) == 0:
        raise EmptySourceError("the source has no samples; there is nothing to pack")
    supply = _DecodedSupply(samples, options) if _wants_pixels(container, options, samples) else _EncodedSupply(samples, options)
    cuts = _shard_cuts(supply.sizes, options)
    paths = shard_paths(output, len(cuts) - 1)
    refuse_existing(paths, overwrite)
    if not output.parent.is_dir():
        raise OptionError(at("the output's folder is not there; make it first", Place(output.parent)))
    report = _Report(progress, len(samples))
    with contextlib.ExitStack() as pending:
        # Every shard is complete under its temporary name before the first is renamed.
        indexes = []
        for path, first, end in zip(paths, cuts[:-1], cuts[1:], strict=True):
            temporary = pending.enter_context(written_whole(path, sync=options.sync))
            indexes.append(_write_shard(container, temporary, supply, range(first, end), options, report))
    for path, index in zip(paths, indexes, strict=True):
        shard = replace(index.shards[0], path=path)
        replace(index, shards=(shard,)).save(index_path(path))
    output_bytes = sum(path.stat().st_size for path in paths)
    return Packed(tuple(paths), len(samples), int(samples.sizes.sum()), output_bytes, time.perf_counter() - started)


def _container(output: Path, options: PackOptions) -> Container:
    if options.format is not None:
        return containers.named(options.format)
    if (container := containers.of_suffix(output)) is None:
        raise OptionError(f"the name {output.name!r} does not say a format; end it in .tfrecord or .h5, or give a format")
    return container


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


class _Report:
    def __init__(self, progress: Progress | None, num_samples: int) -> None:
        self._progress, self._num_samples = progress, num_samples
        self._samples_done = self._bytes_done = 0

    def add(self, num_samples: int, num_bytes: int) -> None:
        self._samples_done += num_samples
        self._bytes_done += num_bytes
        if self._progress:
            self._progress(self._samples_done, self._num_samples, self._bytes_done)


def _output_schema(schema: Schema, options: PackOptions) -> Schema:
    """The source's fields under the names that the files shall have: what the source's files call them does not matter."""
    for name in options.names:
        schema[name]  # raises for a field that is not there
    fields = tuple(replace(each, stored_as=options.names.get(each.name, "")) for each in schema.fields)
    return replace(schema, fields=fields)


class _EncodedSupply:
    """Batches of image files as the source has them."""

    def __init__(self, source: Source, options: PackOptions) -> None:
        self._source = source
        self.schema = _output_schema(source.schema, options)
        self.sizes = source.sizes

    def read(self, rows: npt.NDArray[np.int64]) -> Batch:
        batch = self._source.read(rows)
        for blob in self.schema.blobs:
            if blob.kind == "image" and not isinstance(batch[blob.name], Ragged):
                raise OptionError(f"the source gives {blob.name!r} decoded; open it with decode=False to pack its files as they are")
        return batch


class _DecodedSupply:
    """Batches of pixels of one size."""

    def __init__(self, source: Source, options: PackOptions) -> None:
        self._source, self._options = source, options
        picture = source.schema.picture
        assert picture is not None
        self._name = picture.name
        self._steps = () if options.size is None else (Resize(options.size),)
        self._decoding = DecodeOptions(options.color, limits=options.limits, num_workers=options.num_workers)
        height, width = self._size_of_first()
        channels = self._decoding.channels
        pixels = Field(picture.name, "pixels", (height, width, channels), "|u1", color=options.color)
        fields = tuple(pixels if other == picture else other for other in source.schema.fields)
        self.schema = _output_schema(Schema(fields, source.schema.class_names), options)
        self.sizes = np.full(len(source), height * width * channels, np.int64)

    def _size_of_first(self) -> tuple[int, int]:
        first = np.zeros(1, np.int64)
        plan, refused = self._plan(self._pictures(self._source.read(first), first))
        if refused:
            raise refused[0]
        return int(plan.heights[0]), int(plan.widths[0])

    def read(self, rows: npt.NDArray[np.int64]) -> Batch:
        batch = self._source.read(rows)
        pictures = self._pictures(batch, rows)
        plan, refused = self._plan(pictures)
        outs = empty_outputs(plan, self._decoding.channels)
        if not isinstance(outs, np.ndarray) or outs.shape[1:] != self.schema[self._name].shape:
            raise ShapeError("the images have different sizes; give a size to resample them to, or choose the layout `encoded`")
        decode_pictures(pictures, plan, outs, self._decoding, refused)
        return Batch({**batch, self._name: outs}, len(rows))

    def _pictures(self, batch: Batch, rows: npt.NDArray[np.int64]) -> Pictures:
        blobs: Ragged = batch[self._name]
        infos, _ = probe_blobs(blobs)
        spans = np.zeros(len(blobs), SPAN)
        spans["offset"], spans["length"] = blobs.offsets[:-1], blobs.lengths
        return Pictures(Origin(memory=blobs.values), spans, infos, lambda row: self._source.place(int(rows[row])))

    def _plan(self, pictures: Pictures) -> tuple[Plan, Failures]:
        refused = refuse_pictures(pictures, self._decoding)
        plan = plan_batch(self._steps, *upright_sizes(pictures.infos, True, refused))
        plan.views["orientation"] = pictures.infos["orientation"]
        return plan, refused


def _write_shard(
    container: Container,
    path: Path,
    supply: "_EncodedSupply | _DecodedSupply",
    rows: range,
    options: PackOptions,
    report: _Report,
) -> Index:
    sizes = supply.sizes[rows.start : rows.stop]
    plan = ShardPlan(supply.schema, len(rows), int(sizes.sum()), options.layout)
    writer = container.writer(path, plan, options.num_workers)
    try:
        for batch, num_bytes in _read_ahead(supply, rows.start, sizes):
            writer.write(batch)
            report.add(batch.num_samples, num_bytes)
        writer.close()
    except BaseException:
        writer.abandon()
        raise
    index = container.index(path, limits=options.limits)
    if len(index) != len(rows):
        raise CorruptRecordError(at(f"{len(rows)} samples were written but {len(index)} read back; check the disk", Place(path)))
    return index


def _read_ahead(supply: "_EncodedSupply | _DecodedSupply", first: int, sizes: npt.NDArray[np.int64]) -> Iterator[tuple[Batch, int]]:
    """Batches in order, the next one being read while the caller writes this one."""
    from concurrent.futures import ThreadPoolExecutor

    ends = offsets_of(sizes)
    with ThreadPoolExecutor(1, "fastpack-read") as reader:
        waiting = None
        start = 0
        while start < len(sizes):
            end = int(np.searchsorted(ends, ends[start] + _BATCH_BYTES, side="right")) - 1
            end = min(max(end, start + 1), start + _BATCH_SAMPLES, len(sizes))
            coming = reader.submit(supply.read, np.arange(first + start, first + end)), int(ends[end] - ends[start])
            if waiting:
                yield waiting[0].result(), waiting[1]
            waiting, start = coming, end
        if waiting:
            yield waiting[0].result(), waiting[1]
