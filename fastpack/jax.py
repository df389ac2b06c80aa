"""JAX: a data source for Grain, and a Loader whose batches are placed by a sharding.

On the CPU an aligned batch is not copied: the jax.Array keeps its memory. Without x64, JAX converts
int64 to int32. Text stays on the host as a list of str, and rows of different lengths as a list.
"""

import warnings
from collections.abc import Sequence
from typing import Any, SupportsIndex, Unpack

from fastpack.errors import MissingPackageError, OptionError, ShapeError
from fastpack.images.batch import Batch
from fastpack.loading.adapter import AdaptedLoader, fields_of, in_arrays, is_random
from fastpack.loading.loader import Loader as BatchLoader
from fastpack.loading.loader import epoch_number
from fastpack.loading.options import LoaderKwargs, LoaderOptions
from fastpack.reading.reader import Reader

try:
    import jax
except ImportError as error:
    raise MissingPackageError("fastpack.jax needs JAX: pip install 'fastpack-io[jax]'") from error


class DataSource:
    """A Grain RandomAccessDataSource of samples: dicts of numpy arrays, numbers and texts.

    It is thread-safe and picklable, and reads each of Grain's batches at once. Grain does not pass
    the epoch to a source, so each epoch needs its own:
    `MapDataset.concatenate([MapDataset.source(DataSource(reader, epoch=e)) for e in range(90)])`.
    A source whose samples repeat warns that random crops repeat too.

    Args:
        reader: from `fastpack.open`, with on_error="raise".
        epoch: random transforms draw for (seed, epoch, sample).

    Raises:
        OptionError: the reader has another on_error.

    Example:
        >>> import fastpack
        >>> source = DataSource(fastpack.open(getfixture("digits")))
        >>> len(source), source[3]["label"], [one["label"] for one in source._getitems([9, 0])]
        (10, 3, [9, 0])
    """

    def __init__(self, reader: Reader, *, epoch: SupportsIndex = 0) -> None:
        if reader.options.on_error != "raise":
            raise OptionError(
                'a data source gives every sample; choose on_error="raise", or use a Loader'
            )
        self._reader, self._epoch = reader, epoch_number(epoch)
        self._num_read, self._may_warn = 0, is_random(reader)

    def __len__(self) -> int:
        return len(self._reader)

    def __getitem__(self, i: SupportsIndex) -> dict[str, Any]:
        return self._getitems([i])[0]

    def _getitems(self, rows: Sequence[SupportsIndex]) -> list[dict[str, Any]]:
        """Return samples in one read; Grain calls this for a batch."""
        batch = self._reader.read(rows, epoch=self._epoch)
        self._warn_of_repeating(len(rows))
        return [batch.sample(i) for i in range(batch.num_samples)]

    def _warn_of_repeating(self, count: int) -> None:
        """Warn once, when at least as many samples were repeated as there are.

        Two epochs of reads repeat that many. A resume repeats fewer.
        """
        self._num_read += count
        if self._may_warn and self._num_read >= 2 * len(self):
            self._may_warn = False
            warnings.warn(
                "samples are repeated with the same random crops; "
                "give each epoch its own source: DataSource(reader, epoch=...)",
                stacklevel=4,
            )

    def __repr__(self) -> str:
        return f"DataSource({self._reader!r}, epoch={self._epoch})"


class Loader(AdaptedLoader[dict[str, Any]]):
    """The batches of a fastpack Loader as dicts of jax.Arrays.

    Iterating gives the rest of the epoch, then the next ones; `set_epoch` is optional. **`break`
    and `next(iter(loader))` consume batches; `peek` does not.**

    Args:
        dataset: from `fastpack.open`.
        options: how to load.
        sharding: a jax.sharding.Sharding that splits the first axis of the global batch, such as
            NamedSharding(mesh, PartitionSpec("data")). This process gives its part. None is JAX's
            default device. A sharding needs images of one size; drop_last=True keeps batches
            divisible.
        changes: fields of LoaderOptions by name. With several processes, give
            rank=jax.process_index() and world=jax.process_count().

    Raises:
        OptionError: an option has a wrong value.
        EmptySourceError: the dataset has no samples.

    Example:
        >>> import fastpack
        >>> loader = Loader(fastpack.open(getfixture("digits")), batch_size=5)
        >>> [(batch["image"].shape, int(batch["label"].sum())) for batch in loader]
        [((5, 8, 8, 3), 10), ((5, 8, 8, 3), 35)]
    """

    def __init__(
        self,
        dataset: Reader,
        options: LoaderOptions | None = None,
        *,
        sharding: "jax.sharding.Sharding | None" = None,
        **changes: Unpack[LoaderKwargs],
    ) -> None:
        super().__init__(BatchLoader(dataset, options, **changes))
        self._sharding = sharding

    def convert(self, batch: Batch) -> dict[str, Any]:
        """Return the batch as jax.Arrays, placed by the sharding."""
        fields = fields_of(batch, self._added)
        images = [name for name, values in fields.items() if isinstance(values, list)]
        if images and self._sharding is not None:
            raise ShapeError(
                f"{images[0]!r} has images of different sizes; "
                "give a transform such as RandomResizedCrop(224)"
            )
        return {name: in_arrays(values, self._to_device) for name, values in fields.items()}

    def _to_device(self, values: Any) -> "jax.Array":
        if self._sharding is None:
            return jax.device_put(values)
        return jax.make_array_from_process_local_data(self._sharding, values)
