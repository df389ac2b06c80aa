"""Reader: random access to the samples of a dataset, in any container."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, Unpack, overload

import numpy as np
import numpy.typing as npt

from fastpack.core import checks
from fastpack.core.buffer_pool import BufferPool
from fastpack.core.dtypes import IMAGE_INFO, Rows
from fastpack.core.ragged import Ragged
from fastpack.core.rng import check_epochs
from fastpack.core.schema import Field, Schema
from fastpack.core.threads import import_threads
from fastpack.errors import FastpackError, Location, OptionError
from fastpack.files.shard import Shard
from fastpack.formats.index.index import Index
from fastpack.formats.indexing import save_seek_points
from fastpack.images.batch import Batch, with_failures
from fastpack.images.decode import Failures
from fastpack.reading.batch_values import check_out, sample_number, shaped, writable
from fastpack.reading.blob_reader import BlobReader
from fastpack.reading.columns import Columns, masks_of
from fastpack.reading.display import Size, html_of, text_of
from fastpack.reading.image_pipeline import ImagePipeline, Request
from fastpack.reading.options import READ_NAMES, ReadKwargs, ReadOptions
from fastpack.reading.order import Shuffle
from fastpack.reading.remote import Window
from fastpack.reading.samples import Indices, Samples
from fastpack.reading.selection import Selection, of_masks, of_rows, span
from fastpack.reading.split import selections_of

if TYPE_CHECKING:
    from fastpack.images.picture import Picture

# Iterating sample by sample reads this many at once: enough to keep all threads busy.
_ITERATED_SAMPLES = 32
_BLOCK_ROWS = 2**16
_SHOWN_SAMPLES = 8  # thumbnails in a notebook


class Reader(Sequence[dict[str, Any]]):
    """The samples of a dataset, in the order of its files.

    `open`, `concat`, `take`, `filter`, `split` and slices make Readers. An integer gives a sample
    as a dict, a slice a Reader over those samples, and `read` a Batch. A Reader is thread-safe,
    picklable and fork-safe. It has no state except a cache of seek points.

    Example:
        >>> import fastpack
        >>> dataset = fastpack.open(getfixture("digits"))
        >>> dataset[3]["image"].shape, len(dataset[2:5]), dataset.read([9, 0])["label"].tolist()
        ((8, 8, 3), 3, [9, 0])
    """

    def __init__(self, samples: Samples, options: ReadOptions | None = None) -> None:
        """Internal; users call `open`."""
        checks.instance("Reader(...)", samples, Samples, "made by fastpack.open(path)")
        self._options = options or ReadOptions()
        is_lazy = self._options.seek_points == "lazy"
        self._samples = samples.with_seek_point_cache() if is_lazy else samples
        self._blobs = BlobReader(samples.table, samples.files)
        self._pipeline = ImagePipeline(self._blobs, self._samples, self._options)
        self._import_modules()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._import_modules()

    def _import_modules(self) -> None:
        """Import all that a read imports.

        A child that is forked while another thread imports would wait for that import forever.
        """
        import_threads()
        self._pipeline.import_modules()

    # The dataset

    @property
    def index(self) -> Index:  # type: ignore[override]  # not Sequence.index
        """The table of all samples: columns, and places of blobs in files.

        It is made for each call, and takes about 100 bytes of memory for each sample. `entries`
        gives that of some samples.
        """
        return self._samples.whole()

    def entries(self, rows: Indices) -> Index:
        """Return the index of some samples: columns, and places of blobs in files.

        Args:
            rows: sample numbers (n,), in the order wanted.

        Returns:
            An Index of n samples.

        Raises:
            OutOfRangeError: there is no such sample.

        Example:
            >>> import fastpack
            >>> fastpack.open(getfixture("digits")).entries([3]).columns["label"].tolist()
            [3]
        """
        return self._samples.entries(self._samples.rows(rows))

    def entry_blocks(self, names: Sequence[str] | None = None) -> Iterator[Index]:
        """Yield the indexes of all samples, 65,536 at a time.

        Args:
            names: fields to read; None reads all.
        """
        return self._samples.blocks(names)

    @property
    def shards(self) -> Sequence[Shard]:
        """The files of the dataset, in order."""
        return self._samples.table.shards

    @property
    def containers(self) -> set[str]:
        """Names of the formats of the files: "tfrecord", "hdf5", "tar" or "folder"."""
        return self._samples.table.containers

    def shard_counts(self) -> list[tuple[Shard, int]]:
        """Return each file that has samples of this Reader, with their number."""
        return self._samples.shard_counts()

    def load_infos(self, name: str) -> npt.NDArray[Any]:
        """Return the facts of all image headers of a field, (n,) IMAGE_INFO, in memory."""
        blocks = [entries.infos[name] for entries in self._samples.blocks([name])]
        return np.concatenate(blocks) if blocks else np.zeros(0, IMAGE_INFO)

    @property
    def num_bytes(self) -> int:
        """Bytes of all files."""
        return self._samples.table.num_bytes

    @property
    def options(self) -> ReadOptions:
        """How samples are read; `with_options` changes them."""
        return self._options

    @property
    def samples(self) -> Samples:
        """Internal: which samples this Reader reads, and from where."""
        return self._samples

    @property
    def part_sizes(self) -> tuple[int, ...]:
        """Samples of each dataset that `concat` joined; otherwise one number."""
        return self._samples.part_sizes

    @property
    def schema(self) -> Schema:
        """The fields of a sample, and the class names."""
        return self._samples.schema

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names by label; empty if the files have none."""
        return self.schema.class_names

    @property
    def notes(self) -> tuple[str, ...]:
        """Guesses about the files and omissions, one sentence each; `open` warns about them."""
        return self._samples.table.notes

    @property
    def columns(self) -> Columns:
        """The columns, read when they are used; no image is read.

        `columns["label"]` reads nothing, and `columns["label"][rows]` reads these rows. Using the
        column as an array, as in `columns["label"].sum()`, reads it whole. Columns of the main
        image's headers are included: width, height, orientation and so on.
        """
        return self._samples.columns

    def class_cache(self, column: str) -> tuple[Path | None, str]:
        """Internal: the file beside the index that keeps the samples by class, and its key."""
        return self._samples.class_cache(column)

    @property
    def sizes(self) -> Rows:
        """Bytes of each stored main image, (n,) int64; of all blobs if there is no main image.

        Takes 8 bytes of memory a sample. `stored_bytes` is the sum, `take(rows).sizes` those of
        some samples.
        """
        return self._samples.sizes

    @property
    def stored_bytes(self) -> int:
        """Bytes of all stored main images; of all blobs if there is no main image."""
        return self._samples.stored_bytes

    @property
    def mean_bytes(self) -> float:
        """Mean stored bytes of a sample of the files, all blobs together. It reads no index."""
        return self._samples.mean_bytes

    @property
    def sizes_beside(self) -> Rows:
        """Bytes of each sample's blobs other than the main image, (n,) int64."""
        return self._samples.sizes_beside

    def fingerprints(self) -> dict[str, str]:
        """Return checksums by name. They differ for other samples or files, not other paths."""
        return self._samples.fingerprints()

    def location(self, row: int) -> Location:
        """Return the file, record, byte and key of a sample, for messages."""
        return self.entries([row]).location(0)

    def __len__(self) -> int:
        return len(self._samples)

    def __repr__(self) -> str:
        return text_of(self.schema, Size.of(self))

    def _repr_html_(self) -> str:
        try:
            return html_of(self.schema, Size.of(self), self._first_images(_SHOWN_SAMPLES, None))
        except FastpackError:  # a file is missing, for instance
            return html_of(self.schema, Size.of(self), Batch({}, 0))

    def show(self, n: SupportsIndex = 16, seed: int | None = None) -> "Picture":
        """Draw some images as a grid of thumbnails, which a notebook displays.

        Args:
            n: the number of samples, at least 1.
            seed: None takes the first samples; a number takes random ones.

        Returns:
            A Picture: `pixels` is uint8 (height, width, 3), and `save` writes an image file.

        Raises:
            SchemaError: the dataset has no images.

        Example:
            >>> import fastpack
            >>> fastpack.open(getfixture("digits")).show(8, seed=0).pixels.shape[2]
            3
        """
        return self._first_images(checks.integer("n", n, 1), seed).show()

    def _first_images(self, count: int, seed: int | None) -> Batch:
        rows = np.arange(min(count, len(self)))
        if seed is not None:
            rows = Shuffle(seed).permutation(len(self)).samples_at(0, rows).samples
        looking = self.with_one_depth().with_options(decode=True, color="RGB", on_error="mask")
        return looking.read(rows)

    # Other Readers over the same files

    def with_options(self, **changes: Unpack[ReadKwargs]) -> "Reader":
        """Return a Reader over the same samples with other ReadOptions.

        Args:
            changes: fields of ReadOptions by name, such as `decode=False`.

        Raises:
            OptionError: an option has a wrong value.

        Example:
            >>> import fastpack
            >>> dataset = fastpack.open(getfixture("digits"))
            >>> dataset.with_options(color="GRAY")[0]["image"].shape
            (8, 8, 1)
        """
        checks.known_names("with_options", changes, READ_NAMES)
        return Reader(self._samples, replace(self._options, **changes))

    def with_fields(self, names: Sequence[str]) -> "Reader":
        """Return a Reader over the same samples with only some fields."""
        return Reader(self._samples.with_fields(names), self._options)

    def with_buffer_pool(self, memory: BufferPool) -> "Reader":
        """Return a Reader over the same samples that writes its batches to `memory`."""
        return Reader(replace(self._samples, memory=memory), self._options)

    def with_one_depth(self) -> "Reader":
        """Return this Reader, with bits=8 if a field mixes 8-bit and 16-bit images.

        Inspection reads so: it must not stop where `bits` is not chosen.
        """
        images = [field for field in self.schema.fields if field.kind == "image"]
        is_mixed = any(self._samples.depth(field).is_mixed for field in images)
        return self.with_options(bits=8) if is_mixed and self._options.bits is None else self

    def take(self, rows: Indices) -> "Reader":
        """Return a Reader over some samples.

        Args:
            rows: sample numbers (n,), in the order wanted. Negative ones count from the end.
                A number may occur more than once.

        Returns:
            A Reader. Random transforms give each sample the same crops as here.

        Raises:
            OutOfRangeError: there is no such sample.

        Example:
            >>> import fastpack
            >>> fastpack.open(getfixture("digits")).take([3, -1]).columns["label"].tolist()
            [3, 9]
        """
        return self._selected(of_rows(len(self), self._samples.rows(rows)))

    def _selected(self, selection: Selection) -> "Reader":
        return Reader(self._samples.select(selection), self._options)

    def filter(self, keep: Callable[[Columns], Any]) -> "Reader":
        """Return a Reader over the samples that a function of the columns selects.

        Args:
            keep: takes `columns` and returns booleans (n,). No image is read. Comparisons and
                arithmetic of columns are computed in blocks, so that no column is in memory.

        Returns:
            A Reader over the samples where `keep` is True.

        Raises:
            OptionError: `keep` returns something else.

        Example:
            >>> import fastpack
            >>> dataset = fastpack.open(getfixture("digits"))
            >>> kept = dataset.filter(lambda columns: columns["label"] >= 7)
            >>> kept.columns["label"].tolist()
            [7, 8, 9]
        """
        kept = checks.function("keep", keep)(self.columns)
        return self._selected(of_masks(len(self), masks_of(kept, len(self))))

    def split(
        self, fractions: Mapping[str, float], *, by: Literal["key", "index"] = "key", seed: int = 0
    ) -> dict[str, "Reader"]:
        """Split into Readers that share no sample.

        Args:
            fractions: the size of each part, such as {"train": 0.9, "val": 0.1}. The sum is at
                most 1; the rest is in no part.
            by: "key" hashes the sample's key, so a sample stays in its part when others come or
                go. The sizes are approximate. "index" permutes the numbers: exact sizes.
            seed: 0 <= seed < 2**64.

        Returns:
            A Reader for each part, in the order of this one.

        Raises:
            OptionError: the fractions are wrong, or by="key" and there are no keys.

        Example:
            >>> import fastpack
            >>> dataset = fastpack.open(getfixture("digits"))
            >>> parts = dataset.split({"train": 0.8, "val": 0.2}, by="index")
            >>> len(parts["train"]), len(parts["val"])
            (8, 2)

        Reference:
            The hash is 64-bit FNV-1a, mixed (http://www.isthe.com/chongo/tech/comp/fnv/).
        """
        is_keyed = any(field.name == "key" and field.kind == "text" for field in self.schema.fields)
        keys = self._samples.keys if is_keyed else None
        selections = selections_of(len(self), fractions, by, seed, keys)
        return {name: self._selected(selection) for name, selection in selections.items()}

    # Samples

    @overload
    def __getitem__(self, i: SupportsIndex) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, i: slice) -> "Reader": ...
    def __getitem__(self, i: SupportsIndex | slice) -> "dict[str, Any] | Reader":
        if isinstance(i, slice):
            rows = range(len(self))[i]
            return self._selected(span(len(self), rows.start, len(rows), rows.step))
        batch = self.read([sample_number(i)])
        if batch.failures:  # a single sample has no mask
            raise batch.failures[0]
        return batch.sample(0)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for first in range(0, len(self), _ITERATED_SAMPLES):
            batch = self.read(np.arange(first, min(first + _ITERATED_SAMPLES, len(self))))
            yield from (batch.sample(i) for i in range(batch.num_samples))

    def read(
        self,
        indices: Indices,
        *,
        epoch: SupportsIndex | Rows = 0,
        out: npt.NDArray[Any] | None = None,
    ) -> Batch:
        """Read samples by number.

        Args:
            indices: sample numbers (n,), in the order wanted. A number may occur more than once.
            epoch: random transforms draw for (seed, epoch, sample). Each epoch has its own
                crops, and the same call gives the same pixels. One for all, or (n,) int64.
            out: an array that receives the main image field's pixels: (n, H, W, C), or as
                Normalize writes it, with any strides.

        Returns:
            A Batch of n samples; fewer with on_error="skip". Batch memory is reused once no
            array refers to it.

        Raises:
            OutOfRangeError: there is no such sample.
            ShapeError: `out` does not fit.
            CorruptRecordError: a file is damaged; also the other errors of damaged files and
                images. `location` has the place.

        Example:
            >>> import fastpack
            >>> batch = fastpack.open(getfixture("digits")).read([9, 0])
            >>> batch["image"].shape, batch["label"].tolist()
            ((2, 8, 8, 3), [9, 0])
        """
        rows = self._samples.rows(indices)
        check_epochs(epoch, len(rows))  # type: ignore[arg-type]  # any integer
        check_out(out, self.schema, decode=self._options.decode)
        epoch = epoch if isinstance(epoch, np.ndarray) and epoch.ndim else int(epoch)
        return self._read((), rows, epoch, out)

    def read_from(self, windows: Sequence[Window], rows: Rows, epoch: Rows) -> Batch:
        """Internal: read samples whose bytes were requested from stores, if they are there."""
        return self._read(windows, rows, epoch, None)

    def _read(
        self,
        windows: Sequence[Window],
        rows: Rows,
        epoch: int | Rows,
        out: npt.NDArray[Any] | None,
    ) -> Batch:
        numbers = self._samples.numbers(rows)
        entries = self._samples.with_bytes(self._samples.table.take(numbers), windows)
        batch = Request(entries, numbers, epoch)
        failures: Failures = {}
        fields: dict[str, Any] = {}
        image_field = self.schema.image_field
        for field in self.schema.fields:
            if field.is_blob:
                pixels = out if field == image_field else None
                values, failed = self._pipeline.values(field, batch, pixels)
                fields[field.name] = values
                failures |= failed
            else:
                fields[field.name] = shaped(field, writable(entries.columns[field.name]))
        failures |= entries.failures()
        if failures and self._options.on_error == "raise":
            raise failures[min(failures)]
        skips = self._options.on_error == "skip"
        return with_failures(fields, rows, failures, skips=skips, schema=self.schema)

    def save_seek_points(self, index_dir: str | os.PathLike[str] | None = None) -> int:
        """Save the seek points that seek_points="lazy" has found, for later readers.

        Images that were not decoded yet are scanned now.

        Args:
            index_dir: a folder for the indexes, as in `open`.

        Returns:
            The number of images with seek points, in all files.

        Raises:
            OptionError: the dataset was not opened with seek_points="lazy".
            UnreadableFileError: an index cannot be written.
        """
        cache = self._samples.seek_point_cache
        if cache is None:
            raise OptionError('there are no seek points; open the dataset with seek_points="lazy"')
        table, blocks = self._samples.table, self._samples.selection.blocks(_BLOCK_ROWS)
        return save_seek_points(table, blocks, cache, index_dir, self._options.limits)

    def heads(self, field: Field, rows: Rows, num_bytes: int) -> Ragged:
        """Return up to `num_bytes` first bytes of stored images; empty for unreadable ones."""
        entries = self._samples.with_bytes(self._samples.entries(rows, [field.name]))
        return self._blobs.heads(field, entries, num_bytes, self._pipeline.decoding)

    def are_cached(self, rows: Rows) -> bool:
        """Return True if reading these samples needs no disk, by the first bytes of each blob."""
        blobs = [field.name for field in self.schema.blobs]
        return self._blobs.are_cached(self._samples.entries(rows, blobs))

    def advise_willneed(self, rows: Rows) -> None:
        """Ask the OS to load these samples, so that a slow disk gets all requests at once."""
        self._samples.table.advise(self._samples.numbers(rows))
        blobs = [field.name for field in self.schema.blobs]
        self._blobs.advise_willneed(self._samples.entries(rows, blobs))
