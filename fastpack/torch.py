"""PyTorch: datasets for its DataLoader, and a Loader of whole batches.

Tensors share memory with the batch they come from; nothing is copied. Images of one size are one tensor; of
differing sizes, or undecoded, a list of tensors, as are lists of numbers; text is a list of str.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core import checks
from fastpack.core.schema import PLAIN
from fastpack.core.threads import num_cores
from fastpack.errors import MissingPackageError, OptionError
from fastpack.images.batch import Batch
from fastpack.images.transforms import Normalize
from fastpack.loading.adapter import AdaptedLoader, added_names, fields_of, in_arrays, is_random
from fastpack.loading.loader import Loader as BatchLoader
from fastpack.loading.loader import LoaderOptions, epoch_number
from fastpack.reading.reader import Reader

try:
    import torch
    from torch.utils import data
except ImportError as error:
    raise MissingPackageError(
        "fastpack.torch needs PyTorch: pip install 'fastpack-io[torch]'"
    ) from error

Tensors = dict[str, Any]


class Dataset(data.Dataset[Tensors]):
    """A map-style dataset: what DataLoader, DistributedSampler, Subset and their like take.

    - reader: from `fastpack.open`, with on_error="raise" or "mask".
    - channels_last: images come as (C, H, W), without being moved in memory: a batch of them is in
      torch.channels_last. Else they come as the reader gives them, (H, W, C) or as Normalize has it.

    With `collate_fn=collate` a DataLoader passes batches on as they were read, instead of putting samples
    together again. A subclass may define `__getitem__`: DataLoader then asks it for each sample, which is read by itself.

    Random transforms draw other numbers each time a sample is asked for. `set_epoch` makes them reproducible: the first time
    after it, a sample gets what it gets in that epoch. Picklable and safe to fork; workers that are running already see it.

    >>> import fastpack
    >>> dataset = Dataset(fastpack.open(getfixture("digits")))
    >>> batches = data.DataLoader(dataset, batch_size=4, collate_fn=collate)
    >>> [batch["label"].tolist() for batch in batches]
    [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    """

    def __init__(self, reader: Reader, *, channels_last: bool = False) -> None:
        if reader.options.on_error == "skip":
            raise OptionError(
                'a map-style dataset gives each sample that is asked for; choose on_error="mask", or a Loader'
            )
        self._convert = _Converter(reader, channels_last)
        self._reader = reader
        self._worker_reader: Reader | None = None
        self._epoch = _SharedNumbers(1, torch.int64)
        self._times_asked = _SharedNumbers(len(reader) if is_random(reader) else 0, torch.uint8)

    def set_epoch(self, epoch: int) -> None:
        """Which epoch's numbers random transforms draw; to be called before each, as DistributedSampler's."""
        self._epoch.numbers[0] = epoch_number(epoch)
        self._times_asked.numbers.fill(0)

    def __len__(self) -> int:
        return len(self._reader)

    def __getitem__(self, i: Any) -> Any:
        """One sample; of a slice, a Subset of those samples; of a list of indices, their batch, as `collate` gives it."""
        if isinstance(i, slice):
            return data.Subset(self, range(len(self))[i])
        if isinstance(i, (list, tuple)):
            return collate(self.__getitems__(i))
        if self._overrides("__getitems__") and not self._overrides("__getitem__"):
            return self.__getitems__([i])[0]
        return self._read([i])[0]

    def __getitems__(self, rows: Sequence[int]) -> "Sequence[Tensors]":
        """All samples of a batch in one read: DataLoader asks for them so."""
        return [self[i] for i in rows] if self._overrides("__getitem__") else self._read(rows)

    def _overrides(self, method: str) -> bool:
        return getattr(type(self), method) is not getattr(Dataset, method)

    def _read(self, rows: Sequence[int]) -> "Samples":
        epochs = int(self._epoch.numbers[0]) + self._times(rows)
        return Samples(self._convert(self._reader_here().read(rows, epoch=epochs)), len(rows))

    def _times(self, rows: Sequence[int]) -> "npt.NDArray[np.int64]":
        """How often each of these was asked for since `set_epoch`, up to 255 times, after which the numbers begin again."""
        counts, times = self._times_asked.numbers, np.zeros(len(rows), np.int64)
        for place, row in enumerate(rows if len(counts) else ()):
            times[place] = counts[row]
            counts[row] = (times[place] + 1) % 256
        return times

    def _reader_here(self) -> Reader:
        if data.get_worker_info() is None:
            return self._reader
        if self._worker_reader is None:
            self._worker_reader = _with_share_of_cores(self._reader)
        return self._worker_reader


class Samples(list[Tensors]):
    """The samples of one read, each a view of `batch`."""

    def __init__(self, batch: Tensors, num_samples: int) -> None:
        self.batch = batch
        columns = {name: values for name, values in batch.items() if name != "failures"}
        super().__init__(
            {name: values[i] for name, values in columns.items()} for i in range(num_samples)
        )


def collate(samples: Sequence[Tensors]) -> Tensors:
    """For DataLoader's `collate_fn`: the batch that the samples were read in; else tensors of one shape stacked, others listed."""
    if isinstance(samples, Samples):
        return samples.batch
    return {name: _together([sample[name] for sample in samples]) for name in samples[0]}


def _together(values: list[Any]) -> Any:
    are_alike = all(
        isinstance(value, torch.Tensor) and value.shape == values[0].shape for value in values
    )
    return torch.stack(values) if are_alike else values


def _with_share_of_cores(reader: Reader) -> Reader:
    """For one of several workers of a DataLoader: as many threads as there are cores for it."""
    worker = data.get_worker_info()
    if worker is None or reader.options.num_workers is not None:
        return reader
    return reader.with_options(num_workers=max(1, num_cores() // worker.num_workers))


class IterableDataset(data.IterableDataset[Tensors]):
    """Whole batches for DataLoader(..., batch_size=None): those of a fastpack Loader, in its order.

    Arguments as `Loader`'s. Each of a DataLoader's workers makes every n-th batch, so that together they
    give each once and in order, however many they are. The iterators have state_dict and load_state_dict, as
    torchdata's StatefulDataLoader wants.

    Each iteration gives the next epoch. `set_epoch` says which one, and reaches workers that are running already. Workers that
    are new in each epoch (without persistent_workers) know of no earlier one: they need `set_epoch`, and warn without it.

    >>> import fastpack
    >>> batches = IterableDataset(fastpack.open(getfixture("digits")), batch_size=4)
    >>> [batch["label"].tolist() for batch in data.DataLoader(batches, batch_size=None)]
    [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    """

    def __init__(
        self,
        dataset: Reader,
        options: LoaderOptions | None = None,
        *,
        channels_last: bool = False,
        **changes: Any,
    ) -> None:
        self._dataset, self._channels_last = dataset, channels_last
        self._loader = Loader(dataset, options, channels_last=channels_last, **changes)
        self._epochs = _Epochs(
            do_differ=self._loader.options.shuffle is not None or is_random(self._loader.dataset)
        )

    def set_epoch(self, epoch: int) -> None:
        """Which epoch the next iteration gives."""
        self._epochs.set(epoch_number(epoch))

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> "_Steps":
        worker = data.get_worker_info()
        if worker is None:
            return _Steps(self._loader, self._epochs, 0, 1)
        loader = Loader(
            _with_share_of_cores(self._dataset),
            self._loader.options,
            channels_last=self._channels_last,
        )
        return _Steps(loader, self._epochs, worker.id, worker.num_workers)


class _Epochs:
    """Which epoch an iteration gives: the one that was set, then one after the other.

    Each process counts its own iterations, so a DataLoader's workers agree as long as they live. What is shared: the epoch that was
    set, how often one was, and the last such time in which an epoch was begun by a new worker.
    """

    def __init__(self, *, do_differ: bool) -> None:
        self._shared = _SharedNumbers(3, torch.int64)
        self._do_differ = do_differ
        self._times_set = self._num_begun = 0

    def set(self, epoch: int) -> None:
        self._shared.numbers[0] = epoch
        self._shared.numbers[1] += 1

    def begin(self) -> int:
        epoch, times_set, _ = self._shared.numbers.tolist()
        if times_set != self._times_set:
            self._times_set, self._num_begun = times_set, 0
        if self._num_begun == 0:
            self._warn_of_repeating(epoch, times_set)
        self._num_begun += 1
        return int(epoch) + self._num_begun - 1

    def resume(self, epoch: int) -> None:
        """What was begun is this epoch; after it comes the next."""
        self._num_begun = epoch - int(self._shared.numbers[0]) + 1

    def _warn_of_repeating(self, epoch: int, times_set: int) -> None:
        worker = data.get_worker_info()
        if worker is None or worker.id != 0:
            return
        if self._do_differ and self._shared.numbers[2] == times_set + 1:
            warnings.warn(
                f"these workers are new and give epoch {epoch} once more, in the same order and with the same crops; call set_epoch "
                "before each epoch, or give the DataLoader persistent_workers=True, or use fastpack.torch.Loader",
                stacklevel=2,
            )
        self._shared.numbers[2] = times_set + 1


class _Steps(Iterator[Tensors]):
    """Every `stride`-th batch of an epoch, from `step` on. A batch depends on (epoch, step) alone, so these two are its state."""

    def __init__(self, loader: "Loader", epochs: _Epochs, step: int, stride: int) -> None:
        self._loader, self._epochs, self._step, self._stride = loader, epochs, step, stride
        self._epoch = epochs.begin()

    def __next__(self) -> Tensors:
        if self._step >= len(self._loader):
            raise StopIteration
        batch = self._loader.replay(self._epoch, self._step)
        self._step += self._stride
        return batch

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self._epoch, "step": self._step, "loader": self._loader.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._loader.load_state_dict(state["loader"])  # raises when it is of another dataset
        self._epoch, self._step = state["epoch"], state["step"]
        self._epochs.resume(self._epoch)


class Loader(AdaptedLoader[Tensors]):
    """The batches of a fastpack Loader as dicts of tensors, read ahead by threads: no DataLoader, no worker processes.

    - dataset, options, changes: as fastpack.Loader has them: batch_size=256, shuffle=True, rank="auto", ...
    - pin_memory: tensors come in page-locked memory, when there is an accelerator to copy them to.
    - channels_last: images come as (n, C, H, W) in torch.channels_last, without being moved in memory.

    >>> import fastpack
    >>> loader = Loader(fastpack.open(getfixture("digits")), batch_size=4, channels_last=True)
    >>> [tuple(batch["image"].shape) for batch in loader]
    [(4, 3, 8, 8), (4, 3, 8, 8), (2, 3, 8, 8)]
    """

    def __init__(
        self,
        dataset: Reader,
        options: LoaderOptions | None = None,
        *,
        pin_memory: bool = False,
        channels_last: bool = False,
        **changes: Any,
    ) -> None:
        super().__init__(BatchLoader(dataset, options, **changes))
        self._convert = _Converter(self._loader.dataset, channels_last, pads=self.options.pad_last)
        self._pin_memory = (
            checks.flag("pin_memory", pin_memory) and torch.accelerator.is_available()
        )
        self._resumed_at: tuple[int, int] | None = None

    @property
    def batch_size(self) -> int:
        return self.options.batch_size

    @property
    def sampler(self) -> "_Beginnings":
        """Where Lightning looks for a `set_epoch` to call before each epoch."""
        return _Beginnings(self)

    @property
    def batch_sampler(self) -> None:
        """Lightning looks for one; batches are made here."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues at the same sample, with another batch size or world too. Raises when the state is of another dataset."""
        super().load_state_dict(state)
        self._resumed_at = self.epoch, self.position

    def begin(self, epoch: int) -> None:
        """Goes to the beginning of an epoch, unless the loader was just put into the middle of it by `load_state_dict`.

        So `set_epoch` is called by trainers that leave epochs unfinished, as Lightning's check of a few batches for validation.
        """
        if (self.epoch, self.position) != self._resumed_at or epoch != self.epoch:
            super().load_state_dict(self.state_dict() | {"epoch": epoch, "position": 0})

    def convert(self, batch: Batch) -> Tensors:
        tensors = self._convert(batch)
        return (
            {name: _pinned(values) for name, values in tensors.items()}
            if self._pin_memory
            else tensors
        )


class _Beginnings:
    """What a loader is to a trainer that looks for a sampler."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def set_epoch(self, epoch: int) -> None:
        self._loader.begin(epoch)


def _pinned(values: Any) -> Any:
    if isinstance(values, list):
        return [_pinned(value) for value in values]
    return values.pin_memory() if isinstance(values, torch.Tensor) else values


class _Converter:
    """Batch -> tensors, as the reader's options have it."""

    def __init__(self, reader: Reader, channels_last: bool, *, pads: bool = False) -> None:
        options = reader.options
        self._added = added_names(reader.schema, options.on_error, pads=pads)
        if channels_last and any(
            isinstance(step, Normalize) and step.layout == "NCHW" for step in options.steps
        ):
            raise OptionError('Normalize writes NCHW; for channels_last give it layout="NHWC"')
        encoded = [
            field.name
            for field in reader.schema.fields
            if field.kind in ("image", "pixels") and field.axes != PLAIN
        ]
        self._permuted = frozenset(encoded if channels_last else ())

    def __call__(self, batch: Batch) -> Tensors:
        fields = fields_of(batch, self._added)
        return {
            name: in_arrays(values, _permuted if name in self._permuted else torch.from_numpy)
            for name, values in fields.items()
        }


def _permuted(images: Any) -> torch.Tensor:
    tensor = torch.from_numpy(images)
    return tensor.movedim(-1, -3) if tensor.ndim >= 3 else tensor


class _SharedNumbers:
    """Integers that a process and its DataLoader's workers see alike, also those that were started before they changed."""

    def __init__(self, count: int, dtype: torch.dtype) -> None:
        self._tensor = torch.zeros(count, dtype=dtype).share_memory_()

    @property
    def numbers(self) -> "npt.NDArray[Any]":
        return self._tensor.numpy()  # type: ignore[no-any-return]

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self._tensor = state["_tensor"].share_memory_()  # a plain copy is shared with nobody yet
