"""PyTorch: datasets for its DataLoader, and a Loader of whole batches.

Tensors share the batch's memory; no data are copied. Images are (n, C, H, W) by default, a view
of channels-last memory (torch.channels_last). Images of one size are one tensor. Images of
different sizes, encoded images and lists of numbers are lists of tensors. Text is a list of str.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.context import get_spawning_popen
from typing import Any, SupportsIndex, Unpack

import numpy as np
import numpy.typing as npt

from fastpack.core import checks
from fastpack.core.threads import num_cores
from fastpack.errors import MissingPackageError, OptionError
from fastpack.images.batch import Batch
from fastpack.loading.adapter import (
    AdaptedLoader,
    added_names,
    fields_of,
    image_axes,
    in_arrays,
    is_random,
)
from fastpack.loading.loader import Loader as BatchLoader
from fastpack.loading.loader import epoch_number
from fastpack.loading.options import LoaderKwargs, LoaderOptions
from fastpack.reading.reader import Reader

try:
    import torch
    from torch.utils import data
except ImportError as error:
    raise MissingPackageError(
        "fastpack.torch needs PyTorch: pip install 'fastpack-io[torch]'"
    ) from error

Tensors = dict[str, Any]

# Counters of reads, 4 bytes each.
_MAX_COUNTERS = 2**22


class Dataset(data.Dataset[Tensors]):
    """A map-style dataset for DataLoader, DistributedSampler, Subset and so on.

    With `collate_fn=collate`, a DataLoader passes batches on as they were read, without a copy. A
    subclass may define `__getitem__`; DataLoader then reads each sample by itself. The dataset is
    picklable and fork-safe.

    Random transforms draw new numbers each time a sample is read. `set_epoch` makes them
    reproducible: its first read after that gives the sample of that epoch. With more than 4,194,304
    samples, reads are counted for groups of neighbors. Then only whole epochs give new numbers: if
    you leave epochs early, or draw samples with replacement, call `set_epoch`.

    torch's own samplers make a list of all sample numbers, about 40 bytes a sample. For large
    datasets, use `Loader(shuffle=...)` or `IterableDataset(shuffle=...)`: they store no order.

    Args:
        reader: from `fastpack.open`, with on_error="raise" or "mask".
        channels_last: False gives images (C, H, W), True (H, W, C). Both are views.

    Raises:
        OptionError: the reader has on_error="skip".

    Example:
        >>> import fastpack
        >>> dataset = Dataset(fastpack.open(getfixture("digits")))
        >>> batches = data.DataLoader(dataset, batch_size=4, collate_fn=collate)
        >>> [batch["label"].tolist() for batch in batches]
        [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
        >>> dataset[3]["image"].shape, dataset[[1, 2]]["image"].shape
        (torch.Size([3, 8, 8]), torch.Size([2, 3, 8, 8]))
    """

    def __init__(self, reader: Reader, *, channels_last: bool = False) -> None:
        if reader.options.on_error == "skip":
            raise OptionError(
                'a map-style dataset gives every sample, so on_error cannot be "skip"; '
                'choose on_error="mask", or use a Loader'
            )
        self._convert = _Converter(reader, channels_last)
        self._reader = reader
        self._worker_reader: Reader | None = None
        self._epoch = _SharedNumbers(1, torch.int64)
        self._reads = _Reads(len(reader)) if is_random(reader) else None

    def set_epoch(self, epoch: SupportsIndex) -> None:
        """Set the epoch for random transforms, also in running workers; optional.

        Call it before each epoch for reproducible crops, as DistributedSampler's `set_epoch`.
        """
        self._epoch.numbers[0] = epoch_number(epoch)
        if self._reads is not None:
            self._reads.clear()

    def __len__(self) -> int:
        return len(self._reader)

    def __repr__(self) -> str:
        return f"{type(self).__module__}.{type(self).__name__}({self._reader!r})"

    def __getitem__(self, i: Any) -> Any:
        """Return a sample; for a slice, a Subset; for a list of numbers, a batch."""
        if isinstance(i, slice):
            return data.Subset(self, range(len(self))[i])
        if isinstance(i, (list, tuple)):
            return collate(self.__getitems__(i))
        if self._overrides("__getitems__") and not self._overrides("__getitem__"):
            return self.__getitems__([i])[0]
        return self._read([i])[0]

    def __getitems__(self, rows: Sequence[int]) -> "Sequence[Tensors]":
        """Return the samples of a batch in one read; DataLoader calls this."""
        return [self[i] for i in rows] if self._overrides("__getitem__") else self._read(rows)

    def _overrides(self, method: str) -> bool:
        return getattr(type(self), method) is not getattr(Dataset, method)

    def _read(self, rows: Sequence[int]) -> "Samples":
        epochs: int | npt.NDArray[np.int64] = int(self._epoch.numbers[0])
        if self._reads is not None:
            epochs += self._reads.count(np.asarray(rows, np.int64))
        return Samples(self._convert(self._reader_here().read(rows, epoch=epochs)), len(rows))

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
    """Return the batch in which the samples were read, for DataLoader's `collate_fn`.

    Args:
        samples: from one read of a Dataset. From several reads, tensors of one shape are stacked,
            and others become lists.

    Returns:
        Field name -> tensor (n, ...), list of n tensors, or list of n str.
    """
    if isinstance(samples, Samples):
        return samples.batch
    return {name: _together([sample[name] for sample in samples]) for name in samples[0]}


def _together(values: list[Any]) -> Any:
    are_alike = all(
        isinstance(value, torch.Tensor) and value.shape == values[0].shape for value in values
    )
    return torch.stack(values) if are_alike else values


def _with_share_of_cores(reader: Reader) -> Reader:
    """Give a worker of a DataLoader its share of the cores as threads."""
    worker = data.get_worker_info()
    if worker is None or reader.options.num_workers is not None:
        return reader
    return reader.with_options(num_workers=max(1, num_cores() // worker.num_workers))


class IterableDataset(data.IterableDataset[Tensors]):
    """The batches of a fastpack Loader, for DataLoader(..., batch_size=None).

    Of n workers, each makes every n-th batch; together they give each batch once, in order. The
    iterators have state_dict and load_state_dict, for torchdata's StatefulDataLoader.

    Each iteration is the next epoch; `set_epoch` selects one, also in running workers. Without
    persistent_workers, workers are new in each epoch and do not know earlier ones. They need
    `set_epoch`, and warn without it.

    Args:
        dataset: from `fastpack.open`.
        options: how to load.
        channels_last: False gives images (n, C, H, W), True (n, H, W, C). Both are views.
        changes: fields of LoaderOptions by name.

    Example:
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
        **changes: Unpack[LoaderKwargs],
    ) -> None:
        self._dataset, self._channels_last = dataset, channels_last
        self._loader = Loader(dataset, options, channels_last=channels_last, **changes)
        is_shuffled = self._loader.options.shuffle is not None
        self._epochs = _Epochs(do_differ=is_shuffled or is_random(self._loader.dataset))

    def set_epoch(self, epoch: SupportsIndex) -> None:
        """Set the epoch of the next iteration; optional, except for new workers."""
        self._epochs.set(epoch_number(epoch))

    def __len__(self) -> int:
        return len(self._loader)

    def __repr__(self) -> str:
        return f"{type(self).__module__}.{type(self).__name__}({self._loader._loader!r})"

    def __iter__(self) -> "_Steps":
        worker = data.get_worker_info()
        if worker is None:
            return _Steps(self._loader, self._epochs, 0, 1)
        reader, options = _with_share_of_cores(self._dataset), self._loader.options
        loader = Loader(reader, options, channels_last=self._channels_last)
        return _Steps(loader, self._epochs, worker.id, worker.num_workers)


class _Epochs:
    """The epoch of each iteration: the one that was set, then the next ones.

    Each process counts its own iterations, so a DataLoader's workers agree as long as they live.
    Three numbers are shared: the epoch that was set, how often one was set, and the last count for
    which a new worker started.
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
        """Continue this epoch; the next iteration is the next epoch."""
        self._num_begun = epoch - int(self._shared.numbers[0]) + 1

    def _warn_of_repeating(self, epoch: int, times_set: int) -> None:
        worker = data.get_worker_info()
        if worker is None or worker.id != 0:
            return
        if self._do_differ and self._shared.numbers[2] == times_set + 1:
            warnings.warn(
                f"these workers are new and repeat epoch {epoch}: same order, same crops; "
                "call set_epoch before each epoch, or give the DataLoader "
                "persistent_workers=True, or use fastpack.torch.Loader",
                stacklevel=2,
            )
        self._shared.numbers[2] = times_set + 1


class _Steps(Iterator[Tensors]):
    """Every `stride`-th batch of an epoch, from `step` on. Its state is (epoch, step)."""

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
        self._loader.load_state_dict(state["loader"])  # raises if it is of another dataset
        self._epoch, self._step = state["epoch"], state["step"]
        self._epochs.resume(self._epoch)


class Loader(AdaptedLoader[Tensors]):
    """The batches of a fastpack Loader as dicts of tensors, without DataLoader and workers.

    Threads read and decode ahead. Iterating gives the rest of the epoch, then the next ones;
    `set_epoch` is optional. **`break` and `next(iter(loader))` consume batches; `peek` does not.**

    Args:
        dataset: from `fastpack.open`.
        options: how to load.
        pin_memory: give tensors in page-locked memory, if there is an accelerator.
        channels_last: False gives images (n, C, H, W), True (n, H, W, C). Both are views of
            channels-last memory; Normalize(layout="NCHW") writes channels-first memory.
        changes: fields of LoaderOptions by name: batch_size=256, shuffle=True, rank="auto", ...

    Raises:
        OptionError: an option has a wrong value.
        EmptySourceError: the dataset has no samples.

    Example:
        >>> import fastpack
        >>> loader = Loader(fastpack.open(getfixture("digits")), batch_size=4)
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
        **changes: Unpack[LoaderKwargs],
    ) -> None:
        super().__init__(BatchLoader(dataset, options, **changes))
        self._convert = _Converter(self._loader.dataset, channels_last, pads=self.options.pad_last)
        has_device = torch.accelerator.is_available()
        self._pin_memory = checks.flag("pin_memory", pin_memory) and has_device
        self._resumed_at: tuple[int, int] | None = None

    @property
    def batch_size(self) -> int:
        """Samples of a batch, for one rank."""
        return self.options.batch_size

    @property
    def sampler(self) -> "_EpochStarts":
        """An object whose `set_epoch` Lightning calls before each epoch."""
        return _EpochStarts(self)

    @property
    def batch_sampler(self) -> None:
        """None: Lightning looks for one, but the loader makes batches itself."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to the position of a state; batch size and world may differ.

        Raises StateError if the state is of another dataset, order or seed.
        """
        super().load_state_dict(state)
        self._resumed_at = self.epoch, self.position

    def begin(self, epoch: int) -> None:
        """Go to the start of an epoch, unless `load_state_dict` just went into the middle of it.

        Trainers call this that leave epochs unfinished, as Lightning's check of a few batches.
        """
        if (self.epoch, self.position) != self._resumed_at or epoch != self.epoch:
            super().load_state_dict(self.state_dict() | {"epoch": epoch, "position": 0})

    def convert(self, batch: Batch) -> Tensors:
        """Return the batch as tensors that share its memory, or in page-locked memory."""
        tensors = self._convert(batch)
        if not self._pin_memory:
            return tensors
        return {name: _pinned(values) for name, values in tensors.items()}


class _EpochStarts:
    """The sampler that Lightning calls `set_epoch` of."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def set_epoch(self, epoch: int) -> None:
        self._loader.begin(epoch)


def _pinned(values: Any) -> Any:
    if isinstance(values, list):
        return [_pinned(value) for value in values]
    return values.pin_memory() if isinstance(values, torch.Tensor) else values


class _Converter:
    """Converts batches of a reader to tensors."""

    def __init__(self, reader: Reader, channels_last: bool, *, pads: bool = False) -> None:
        self._added = added_names(reader.schema, reader.options.on_error, pads=pads)
        axes = "HWC" if checks.flag("channels_last", channels_last) else "CHW"
        self._orders: dict[str, tuple[int, ...]] = {}
        for field in reader.schema.fields:
            stored = image_axes(field, reader.options)
            if stored not in ("", axes):
                self._orders[field.name] = tuple(stored.index(axis) - 3 for axis in axes)

    def __call__(self, batch: Batch) -> Tensors:
        fields = fields_of(batch, self._added)
        return {name: self._to_tensors(name, values) for name, values in fields.items()}

    def _to_tensors(self, name: str, values: Any) -> Any:
        if name not in self._orders:
            return in_arrays(values, torch.from_numpy)
        order = self._orders[name]
        return in_arrays(values, lambda images: _permuted(torch.from_numpy(images), order))


def _permuted(images: torch.Tensor, order: tuple[int, ...]) -> torch.Tensor:
    """Reorder the last three axes; encoded images have one axis and stay as they are."""
    if images.ndim < 3:
        return images
    return images.permute(*range(images.ndim - 3), *(images.ndim + axis for axis in order))


class _SharedNumbers:
    """Integers that a process shares with its DataLoader's workers, also running ones."""

    def __init__(self, count: int, dtype: torch.dtype) -> None:
        self._tensor = torch.zeros(count, dtype=dtype).share_memory_()

    @property
    def numbers(self) -> "npt.NDArray[Any]":
        return self._tensor.numpy()  # type: ignore[no-any-return]

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self._tensor = state["_tensor"].share_memory_()  # a plain copy is not shared yet


class _Reads:
    """Earlier reads of each sample, by all processes of a DataLoader.

    One counter serves a group of neighbors: the memory is limited, whatever the dataset's size. A
    whole epoch reads each sample of a group once, so the count of reads gives the epoch.
    """

    def __init__(self, num_samples: int, counters: "_SharedNumbers | None" = None) -> None:
        self._num_samples = num_samples
        self._group = -(-num_samples // _MAX_COUNTERS) or 1
        self._counters = counters or _SharedNumbers(-(-num_samples // self._group), torch.int32)

    def __reduce__(self) -> Any:
        is_for_worker = get_spawning_popen() is not None
        return _Reads, (self._num_samples, self._counters if is_for_worker else None)

    def clear(self) -> None:
        """Count from 0 again."""
        self._counters.numbers.fill(0)

    def count(self, rows: "npt.NDArray[np.int64]") -> "npt.NDArray[np.int64]":
        """Return how often each of `rows` (k,) was read, and count these reads."""
        groups = rows % self._num_samples // self._group
        order = np.argsort(groups, kind="stable")
        ordered = groups[order]
        places = np.arange(len(rows)) - np.searchsorted(ordered, ordered)
        times = np.empty(len(rows), np.int64)
        sizes = np.minimum(self._group, self._num_samples - ordered * self._group)
        times[order] = (self._counters.numbers[ordered].view(np.uint32) + places) // sizes
        np.add.at(self._counters.numbers, groups, 1)
        return times
