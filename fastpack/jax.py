"""JAX: a data source for Grain, and a Loader of whole batches that lie where the sharding has them.

On the CPU an aligned batch is not copied: the jax.Array keeps its memory. Where x64 is off, JAX makes int32 of
int64. What JAX has no arrays for stays on the host: text is a list of str, rows of differing length are a list.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastpack.errors import MissingPackageError, OptionError, ShapeError
from fastpack.images.batch import Batch
from fastpack.loading.adapter import AdaptedLoader, fields_of, in_arrays, is_random
from fastpack.loading.loader import Loader as BatchLoader
from fastpack.loading.loader import LoaderOptions, epoch_number
from fastpack.reading.reader import Reader

try:
    import jax
except ImportError as error:
    raise MissingPackageError("fastpack.jax needs JAX: pip install 'fastpack-io[jax]'") from error


class DataSource:
    """A Grain RandomAccessDataSource of samples: dicts of numpy arrays, numbers and texts.

    - reader: from `fastpack.open`, with on_error="raise".
    - epoch: whose numbers random transforms draw. Grain counts epochs where a source cannot see it, so give
      each its own: `MapDataset.concatenate([MapDataset.source(DataSource(reader, epoch=e)).shuffle(e) for e in range(90)])`.
      A source whose samples come again, as behind `repeat`, warns that their random crops are the same.

    Thread-safe and picklable; Grain's batches are one read each. Needs nothing of JAX or Grain itself.

    >>> import fastpack
    >>> source = DataSource(fastpack.open(getfixture("digits")))
    >>> len(source), source[3]["label"], [sample["label"] for sample in source._getitems([9, 0])]
    (10, 3, [9, 0])
    """

    def __init__(self, reader: Reader, *, epoch: int = 0) -> None:
        if reader.options.on_error != "raise":
            raise OptionError(
                'a data source gives each sample that is asked for; choose on_error="raise", or a Loader'
            )
        self._reader, self._epoch = reader, epoch_number(epoch)
        self._was_asked = np.zeros(len(reader) if is_random(reader) else 0, np.bool_)
        self._num_repeated = 0

    def __len__(self) -> int:
        return len(self._reader)

    def __getitem__(self, i: int) -> dict[str, Any]:
        return self._getitems([i])[0]

    def _getitems(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Samples in one read: what Grain calls for a batch."""
        batch = self._reader.read(rows, epoch=self._epoch)
        self._warn_of_repeating(rows)
        return [batch.sample(i) for i in range(batch.num_samples)]

    def _warn_of_repeating(self, rows: Sequence[int]) -> None:
        """Once, when as many samples came again as there are: a look at some of them, or a resume, is nothing to warn of."""
        if len(self._was_asked) == 0:
            return
        self._num_repeated += int(np.count_nonzero(self._was_asked[rows]))
        self._was_asked[rows] = True
        if self._num_repeated >= len(self._was_asked):
            self._was_asked = self._was_asked[:0]
            warnings.warn(
                "samples come again with the same random crops; give each epoch a source of its own: DataSource(reader, epoch=...)",
                stacklevel=4,
            )

    def __repr__(self) -> str:
        return f"DataSource({self._reader!r}, epoch={self._epoch})"


class Loader(AdaptedLoader[dict[str, Any]]):
    """The batches of a fastpack Loader as dicts of jax.Arrays.

    - dataset, options, changes: as fastpack.Loader has them. In a run of several processes give
      rank=jax.process_index() and world=jax.process_count().
    - sharding: where each global batch lies: a jax.sharding.Sharding that splits the first axis, such as
      NamedSharding(mesh, PartitionSpec("data")); this process gives its part. None is JAX's default device.
      With one, images must be of one size, and drop_last=True keeps every batch divisible.

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
        **changes: Any,
    ) -> None:
        super().__init__(BatchLoader(dataset, options, **changes))
        self._sharding = sharding

    def convert(self, batch: Batch) -> dict[str, Any]:
        fields = fields_of(batch, self._added)
        images = [name for name, values in fields.items() if isinstance(values, list)]
        if images and self._sharding is not None:
            raise ShapeError(
                f"{images[0]!r} has images of differing sizes; give a transform such as RandomResizedCrop(224)"
            )
        return {name: in_arrays(values, self._to_device) for name, values in fields.items()}

    def _to_device(self, values: Any) -> "jax.Array":
        if self._sharding is None:
            return jax.device_put(values)
        return jax.make_array_from_process_local_data(self._sharding, values)
