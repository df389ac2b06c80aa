"""open and Reader: one way to read, whatever the container."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from fastpack._native.crc32c import crc32c
from fastpack.core import checks
from fastpack.core.buffer_pool import BufferPool
from fastpack.core.dtypes import Rows
from fastpack.core.keys import spread_by_key
from fastpack.core.ragged import Ragged, Text, digest, flat_values, owners
from fastpack.core.rng import check_epochs
from fastpack.core.schema import Field, Schema
from fastpack.core.threads import import_threads
from fastpack.errors import Location, OptionError, OutOfRangeError, warn
from fastpack.files.shard import OpenShards
from fastpack.formats import discovery, protocols
from fastpack.formats.dataset_indexes import indexes_of, with_classes
from fastpack.formats.index.arrays import Column
from fastpack.formats.index.index import Index, concatenate
from fastpack.formats.index.kinds import checked_kinds
from fastpack.formats.index.seek_point_cache import SeekPointCache
from fastpack.formats.index_options import IndexOptions
from fastpack.formats.indexing import save_seek_points
from fastpack.images.batch import Batch, with_failures
from fastpack.images.decode import Failures
from fastpack.reading.blob_reader import BlobReader
from fastpack.reading.image_pipeline import ImagePipeline
from fastpack.reading.options import ReadOptions
from fastpack.reading.split import parts_of, spread_by_number

# Iterating sample by sample reads this many ahead: enough to keep all threads at work.
_ITERATED_SAMPLES = 32


def open(
    path: protocols.DatasetPaths,
    *,
    fields: Mapping[str, str] | Sequence[str] | None = None,
    options: ReadOptions | None = None,
    save_index: bool = True,
    index_dir: str | os.PathLike[str] | None = None,
    allow_external: bool = False,
    untrusted: bool = False,
    **changes: Any,
) -> "Reader":
    """Opens TFRecord, HDF5 or tar files, whoever wrote them, or folders of images, for random access.

    - path: a file, the name that a set was packed to, a glob such as "train-*.tfrecord", a folder of shards or of images, or a
      list of these. A plain file also stands for the shards that were appended to it.
    - fields: which fields, and under which names: ["image", "label"] or {"picture": "image/encoded"}.
    - options, and `changes` to them: a ReadOptions, or its fields by name, as in decode=False. Beside these, `changes` may be:
        - axes: of arrays in HDF5 files of others, where the guess is wrong: {"X": "NCHW"}. docs/formats.md describes the guess.
        - class_folder, sidecars: of a folder of images; see `from_folder`. class_folder is for tars, too.
        - kinds: what fields are, where a file does not say it and the guess is wrong: {"caption": "text"}, or "image", "mask"
          or "bytes". What `pack` wrote needs none. docs/formats.md describes the guess; `build_indexes` keeps the kinds.
        - classes: what labels count in: a list of names, a file with one a line, or a dataset. Others are refused.
    - save_index: keep the index beside each file, so that the next open is instant. That of a folder of images is kept only in
      an `index_dir`; `build_indexes` puts it beside the folder.
    - index_dir: a folder for the indexes, when that of the files is read-only.
    - allow_external: read pixels that an HDF5 file keeps in files of other folders than its own, and images that links in a folder
      lead to outside of it.
    - untrusted: build the index from the data, and neither load nor save one. HDF5 files are indexed by a process of its own,
      with limits, and nothing is read by HDF5's library.

    Raises MissingFileError, EmptySourceError, FormatError, CorruptRecordError or SchemaError; and MixedSetError for files that do
    not belong together, or are being replaced.

    >>> dataset = open(getfixture("digits"), transform=None)
    >>> len(dataset), dataset[0]["image"].shape
    (10, (8, 8, 3))
    """
    flags = {"save_index": save_index, "allow_external": allow_external, "untrusted": untrusted}
    save_index, allow_external, untrusted = (
        checks.flag(name, value) for name, value in flags.items()
    )
    checks.instance("options", options, ReadOptions | None, "ReadOptions(...)")
    names = _names_of(fields)
    classes, axes, kinds, folder, beside = (
        changes.pop(name, None) for name in ("classes", "axes", "kinds", "class_folder", "sidecars")
    )
    options = replace(options or ReadOptions(), **changes)
    wanted, given, goes_on = (
        None if names is None else tuple(names.values()),
        checked_kinds(kinds),
        options.on_error != "raise",
    )
    index_options = IndexOptions(
        wanted,
        allow_external,
        untrusted,
        goes_on,
        folder,
        beside,
        {} if axes is None else axes,
        given,
    )
    # Absolute, so that a later os.chdir changes nothing; links stay links.
    shards, marks = (
        [shard.absolute() for shard in discovery.find_shards(path, untrusted=untrusted)],
        options.seek_points is True,
    )
    indexes = indexes_of(
        shards,
        save=save_index,
        index_dir=index_dir,
        options=index_options,
        seek_points=marks,
        limits=options.limits,
    )
    index = concatenate(with_classes(indexes, () if classes is None else _class_list(classes)))
    warn(index.notes)
    return Reader(index if names is None else index.select(names), options)


def _class_list(given: Any) -> tuple[str, ...]:
    from fastpack.reading.class_lists import class_list  # late: it knows all sources

    return class_list(given)


def _names_of(fields: Mapping[str, str] | Sequence[str] | None) -> dict[str, str] | None:
    """New name -> name in the files, of the fields that are wanted; None is all of them."""
    if fields is None:
        return None
    if isinstance(fields, Mapping):
        named = checks.mapping("fields", fields, '{"picture": "image/encoded"}')
        return dict(zip(named, checks.texts("fields", tuple(named.values())), strict=True))
    return {name: name for name in checks.texts("fields", fields)}


def concat(readers: Sequence["Reader"]) -> "Reader":
    """One Reader over the samples of all, in order. They must have the same fields, and be read with the same options.

    Raises SchemaError or OptionError.

    >>> dataset = open(getfixture("digits"))
    >>> len(concat([dataset, dataset[:3]]))
    13
    """
    if (
        isinstance(readers, Reader)
        or not isinstance(readers, Sequence)
        or not all(isinstance(reader, Reader) for reader in readers)
    ):
        raise OptionError(f"readers must be a list of Readers, not {checks.shown(readers)}")
    if not readers:
        raise OptionError("there is nothing to concatenate; give one reader at least")
    if any(reader.options != readers[0].options for reader in readers):
        raise OptionError(
            "the readers read with different options; give all the same ones, by with_options"
        )
    return Reader(
        concatenate([reader.index for reader in readers]),
        readers[0].options,
        part_sizes=tuple(map(len, readers)),
    )


class Reader(Sequence[dict[str, Any]]):
    """The samples of a dataset, in the order of its files. Stateless but for what it learns, thread-safe, picklable, fork-safe.

    An integer gives a sample (a dict), a slice a Reader over those samples, `read` a Batch.
    """

    def __init__(
        self,
        index: Index,
        options: ReadOptions | None = None,
        files: OpenShards | None = None,
        sample_numbers: Rows | None = None,
        *,
        part_sizes: tuple[int, ...] | None = None,
        memory: BufferPool | None = None,
        seek_point_cache: SeekPointCache | None = None,
    ) -> None:
        """What the library itself passes, beside the index and how to read it:

        - sample_numbers (n,): what random transforms know the samples by; None counts them.
        - part_sizes: of the datasets that were concatenated.
        - memory: where batches are written.
        - seek_point_cache: the seek points that it shares with the reader that it is a part of.
        """
        self._index = index
        self._sample_numbers = np.arange(len(index)) if sample_numbers is None else sample_numbers
        self._part_sizes = part_sizes or (len(index),)
        self._options = options or ReadOptions()
        self._files = files or OpenShards(index.shards)
        self._blobs = BlobReader(index, self._files)
        if self._options.seek_points == "lazy" and seek_point_cache is None:
            missing = [
                name
                for name, infos in index.infos.items()
                if name not in index.seek_points and not isinstance(infos, Ragged)
            ]
            seek_point_cache = SeekPointCache(
                missing, int(self._sample_numbers.max(initial=-1)) + 1
            )
        self._seek_point_cache = seek_point_cache
        self._pipeline = ImagePipeline(
            self._blobs,
            self._options,
            self._sample_numbers,
            memory or BufferPool(),
            seek_point_cache,
        )
        self._import_modules()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._import_modules()

    def _import_modules(self) -> None:
        """Imports all that a read imports. A child that is forked while another thread imports would wait for that import for ever."""
        import_threads()
        self._pipeline.import_modules()

    @property
    def index(self) -> Index:  # type: ignore[override]  # not Sequence.index: samples are found by number
        return self._index

    @property
    def options(self) -> ReadOptions:
        return self._options

    @property
    def part_sizes(self) -> tuple[int, ...]:
        """How many samples each of the datasets gave that `concat` joined; else one number."""
        return self._part_sizes

    @property
    def schema(self) -> Schema:
        return self._index.schema

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by label; empty when the files do not tell."""
        return self._index.schema.class_names

    @property
    def notes(self) -> tuple[str, ...]:
        """What was guessed about the files, or left out of them, a sentence each. `open` warns of them."""
        return self._index.notes

    @property
    def columns(self) -> Mapping[str, Column]:
        """All columns of all samples, in memory: `columns["label"]` touches no image.

        For the main image there are also its header's facts: width, height, orientation and so on.
        """
        columns = dict(self._index.columns)
        image_field = self.schema.image_field
        if image_field is not None and image_field.name in self._index.infos:
            infos = self._index.infos[image_field.name]
            facts: dict[str, Column] = {
                name: infos[name] for name in infos.dtype.names or () if name != "reserved"
            }
            columns = facts | columns
        return MappingProxyType(columns)

    @property
    def sizes(self) -> Rows:
        """Bytes of each sample's stored image, (n,); of all its blobs, where none is the main image."""
        image_field = self.schema.image_field
        if image_field is not None:
            return np.asarray(self._index.spans[image_field.name]["length"], np.int64)
        return self._bytes_of(self.schema.blobs)

    @property
    def sizes_beside(self) -> Rows:
        """Bytes of each sample's blobs beside the main image, (n,)."""
        image_field = self.schema.image_field
        return self._bytes_of(
            []
            if image_field is None
            else [blob for blob in self.schema.blobs if blob != image_field]
        )

    def _bytes_of(self, blobs: Sequence[Field]) -> Rows:
        total: Rows = np.zeros(len(self), np.int64)
        for spans in (self._index.spans[blob.name] for blob in blobs):
            np.add.at(total, owners(spans), flat_values(spans)["length"].astype(np.int64))
        return total

    def fingerprints(self) -> dict[str, str]:
        """What changes when other samples, or other files, are read: its name -> checksums. Where the files lie does not matter."""
        files = repr([(shard.size, shard.fingerprint) for shard in self._index.shards]).encode()
        return {
            "number of samples": str(len(self)),
            "fields": f"{crc32c(self.schema.to_json().encode()):08x}",
            "files": f"{crc32c(files):08x}",
            "choice of samples": digest(
                np.stack([self._index.shard_numbers, self._index.record_numbers])
            ),
        }

    def location(self, row: int) -> Location:
        """Where a sample comes from, for messages."""
        return self._index.location(row)

    def with_options(self, *, memory: BufferPool | None = None, **changes: Any) -> "Reader":
        """The same samples, read otherwise: `with_options(decode=False)`; or written to another memory."""
        options, memory = (
            replace(self._options, **changes),
            memory or self._pipeline.decoding.memory,
        )
        shared: dict[str, Any] = {
            "part_sizes": self._part_sizes,
            "memory": memory,
            "seek_point_cache": self._seek_point_cache,
        }
        return Reader(self._index, options, self._files, self._sample_numbers, **shared)

    def with_one_depth(self) -> "Reader":
        """The same samples, read with bits=8 when some images of a field have 16 bits and nobody said how to read them.

        For looking at a dataset and measuring it, which must not stop at such a choice.
        """
        images = [field for field in self.schema.fields if field.kind == "image"]
        if self._options.bits is None and any(
            self._blobs.depth(field).is_mixed for field in images
        ):
            return self.with_options(bits=8)
        return self

    def take(self, rows: Sequence[int] | npt.NDArray[np.integer[Any]]) -> "Reader":
        """A Reader over the given samples, in that order; a random transform gives each what it gets here."""
        taken = self._rows(rows)
        return Reader(
            self._index.take(taken),
            self._options,
            self._files,
            self._sample_numbers[taken],
            seek_point_cache=self._seek_point_cache,
        )

    def filter(self, keep: Callable[[Mapping[str, Column]], npt.ArrayLike]) -> "Reader":
        """A Reader over the samples for which `keep(columns)`, (n,) booleans, is true. No image is read.

        >>> dataset = open(getfixture("digits"))
        >>> dataset.filter(lambda columns: columns["label"] >= 7).columns["label"].tolist()
        [7, 8, 9]
        """
        mask = np.asarray(checks.function("keep", keep)(self.columns))
        if mask.shape != (len(self),) or mask.dtype != np.bool_:
            raise OptionError(
                f"keep must give a boolean for each of {len(self)} samples, not {mask.dtype} {mask.shape}"
            )
        return self.take(np.flatnonzero(mask))

    def split(
        self, fractions: Mapping[str, float], *, by: Literal["key", "index"] = "key", seed: int = 0
    ) -> dict[str, "Reader"]:
        """Readers over parts that share no sample: `split({"train": 0.9, "val": 0.1})`. In each, the order stays.

        - by="key" looks at nothing but a sample's key (its 64-bit FNV-1a hash, mixed): other samples may come and go, a
          sample stays in its part. The parts have about the size that is asked for.
        - by="index" permutes the sample numbers: the parts have exactly that size.

        >>> parts = open(getfixture("digits")).split({"train": 0.8, "val": 0.2}, by="index")
        >>> len(parts["train"]), len(parts["val"])
        (8, 2)
        """
        parts = parts_of(self._spread(by, seed), fractions)
        return {
            name: self.take(np.flatnonzero(parts == part)) for part, name in enumerate(fractions)
        }

    def _spread(self, by: str, seed: int) -> npt.NDArray[np.float64]:
        """A number in [0, 1) for each sample."""
        if by == "index":
            return spread_by_number(len(self), seed)
        keys = self._index.columns.get("key")
        if by != "key" or not isinstance(keys, Text):
            raise OptionError(
                'split by="index"'
                + (": the samples have no keys" if by == "key" else f' or by="key", not by={by!r}')
            )
        return spread_by_key(keys, seed)

    def __len__(self) -> int:
        return len(self._index)

    def __repr__(self) -> str:
        fields = ", ".join(f"{field.name}: {field.kind}" for field in self.schema.fields)
        return f"Reader({len(self)} samples in {len(self._index.shards)} files; {fields})"

    @overload
    def __getitem__(self, i: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, i: slice) -> "Reader": ...
    def __getitem__(self, i: int | slice) -> "dict[str, Any] | Reader":
        if isinstance(i, slice):
            return self.take(np.arange(len(self))[i])
        batch = self.read([i])
        if batch.failures:  # a sample has no mask that could tell
            raise batch.failures[0]
        return batch.sample(0)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for first in range(0, len(self), _ITERATED_SAMPLES):
            batch = self.read(np.arange(first, min(first + _ITERATED_SAMPLES, len(self))))
            yield from (batch.sample(i) for i in range(batch.num_samples))

    def read(
        self,
        indices: Sequence[int] | npt.NDArray[np.integer[Any]],
        *,
        epoch: int | Rows = 0,
        out: npt.NDArray[Any] | None = None,
    ) -> Batch:
        """The samples with these numbers, in that order; a number may come more than once.

        - epoch: random transforms draw for (seed, epoch, sample), so each epoch has crops of its own and
          the same call gives the same pixels again. One for all, or one for each, (n,) int64.
        - out: an array (n, H, W, C), or as Normalize has it, of any strides, that receives the pixels of the
          main image field.

        Large arrays are recycled: when nothing looks at a batch's memory any more, the next may be written there.

        Raises OutOfRangeError, ShapeError (`out` does not fit), and what damaged files raise, with the place.
        """
        rows = self._rows(indices)
        check_epochs(epoch, len(rows))
        image_field = self.schema.image_field
        checks.instance("out", out, np.ndarray | None, "a numpy array")
        if out is not None and (
            image_field is None or (image_field.kind == "image" and not self._options.decode)
        ):
            raise OptionError(
                "out receives pixels, and there are none; leave it out, or open a dataset of images with decode=True"
            )
        failures: Failures = {}
        fields: dict[str, Any] = {}
        for field in self.schema.fields:
            if field.is_blob:
                fields[field.name], failed = self._pipeline.values(
                    field, rows, epoch, out if field == image_field else None
                )
                failures |= failed
            else:
                fields[field.name] = _taken(field, self._index.columns[field.name], rows)
        failures |= self._index.failures(rows)
        if failures and self._options.on_error == "raise":
            raise failures[min(failures)]
        return with_failures(
            fields, rows, failures, skips=self._options.on_error == "skip", schema=self.schema
        )

    def save_seek_points(self, index_dir: str | os.PathLike[str] | None = None) -> int:
        """Saves in the indexes what was learned with seek_points="lazy": later readers have it. Images that were not decoded yet are
        looked at now; after an epoch there are none.

        Returns how many images of all files have seek points. Raises OptionError when nothing is being learned, what a damaged image
        raises, and UnreadableFileError when an index cannot be written.
        """
        if self._seek_point_cache is None:
            raise OptionError('nothing is being learned; open the dataset with seek_points="lazy"')
        return save_seek_points(
            self._index,
            self._seek_point_cache,
            self._sample_numbers,
            index_dir,
            self._options.limits,
        )

    def heads(self, field: Field, rows: Rows, num_bytes: int) -> Ragged:
        """The first bytes of stored images, up to so many of each, as they are; none of those that cannot be read."""
        return self._blobs.heads(field, rows, num_bytes, self._pipeline.decoding)

    def advise_willneed(self, rows: Rows) -> None:
        """Tells the system that these samples will be read soon, so that a cold disk sees all requests at once."""
        self._blobs.advise_willneed(rows)

    def _rows(self, indices: Sequence[int] | npt.NDArray[np.integer[Any]]) -> Rows:
        try:
            rows = np.asarray(indices)
        except ValueError:  # lists of differing length
            rows = np.zeros(1, np.object_)
        if rows.size == 0 and rows.ndim == 1:
            return np.zeros(0, np.int64)
        if rows.ndim != 1 or rows.dtype.kind not in "iu":
            raise OptionError(f"indices must be a list of integers, not {rows.dtype} {rows.shape}")
        if rows.min() < -len(self) or rows.max() >= len(self):
            raise OutOfRangeError(
                f"there is no sample {rows.max() if rows.max() >= len(self) else rows.min()} among {len(self)}"
            )
        rows = rows.astype(np.int64)
        return np.where(rows < 0, rows + len(self), rows)


def _taken(field: Field, column: Column, rows: Rows) -> Column:
    """The values of some samples; lists of one length as an array (n, length)."""
    if not isinstance(column, Ragged):
        return column[rows]
    taken = column.take(rows)
    return (
        taken
        if field.list_length is None
        else np.asarray(taken.values).reshape(len(rows), field.list_length)
    )
