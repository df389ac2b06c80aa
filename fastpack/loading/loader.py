"""Loader: an order, a Reader, and batches read ahead. The only object that has a position."""

import os
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from types import EllipsisType
from typing import Any, Literal, Self

import numpy as np

from fastpack._native.crc32c import crc32c
from fastpack.core import checks
from fastpack.core.batch import Batch
from fastpack.core.buffer_pool import BufferPool
from fastpack.errors import (
    EmptySourceError,
    FastpackError,
    OptionError,
    OutOfRangeError,
    StateError,
)
from fastpack.images.transforms import Transform
from fastpack.loading.prefetch import Prefetch
from fastpack.loading.schedule import Schedule, StepPartition
from fastpack.reading.options import OnError
from fastpack.reading.order import Sampler, sampler_of
from fastpack.reading.reader import Reader

STATE_VERSION = 1
# How launchers tell a process its rank and how many there are: torchrun, Slurm, Open MPI, other MPIs.
_RANK_VARIABLES = (
    ("RANK", "WORLD_SIZE"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
)
_KEPT_FAILURES = 100
_NO_LIMIT = 1 << 62
_LAST_EPOCH = 2**32 - 1
_MOST = 2**31 - 1  # batches, samples of one, or ranks: what no machine has
_MAX_ORDER_TEXT = 48  # characters in a state


@dataclass(frozen=True)
class LoaderOptions:
    """What a loader delivers, and how it reads ahead.

    - batch_size: samples of a batch, for one rank.
    - shuffle: None is the order of the files; True, a seed, or an ordering: Shuffle(seed, window), Balanced, Mix.
    - drop_last: leave out the samples at the end of an epoch that do not fill a batch of every rank. By default the last step
      shares them among the ranks, whose batches then are smaller. Where fewer are left than there are ranks, some ranks get one
      that another rank has too, so that no batch is empty.
    - pad_last: fill the last batch of every rank up with samples from the epoch's beginning; batch.mask is False for these.
    - rank, world: which of how many processes this is. rank="auto" asks the variables of the usual launchers
      (torchrun, Slurm, MPI), and is 0 of 1 when there are none.
    - prefetch: batches that are read ahead; 0 reads when asked, in the caller's thread.
    - num_workers: threads; None is as the dataset's options say.
    - transform, on_error: instead of the dataset's own, when given.
    - read_ahead: tell the system which bytes come next, so that a cold disk sees many requests at once. None: as long
      as reading meets the disk.
    """

    batch_size: int = 256
    shuffle: Sampler | int | None = None
    drop_last: bool = False
    pad_last: bool = False
    rank: int | Literal["auto"] = 0
    world: int = 1
    prefetch: int = 2
    num_workers: int | None = None
    transform: Transform | Sequence[Transform] | EllipsisType | None = ...
    on_error: OnError | None = None
    read_ahead: bool | None = None

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("world", 1), ("prefetch", 0)):
            checks.settle(self, **{name: checks.integer(name, getattr(self, name), least, _MOST)})
        checks.settle(
            self,
            **{name: checks.flag(name, getattr(self, name)) for name in ("drop_last", "pad_last")},
        )
        if self.drop_last and self.pad_last:
            raise OptionError(
                "the last samples are dropped or their batches padded; give drop_last or pad_last, not both"
            )
        checks.settle(self, num_workers=checks.optional_integer("num_workers", self.num_workers, 1))
        if self.read_ahead is not None:
            checks.settle(self, read_ahead=checks.flag("read_ahead", self.read_ahead))
        if isinstance(self.rank, str) and self.rank == "auto":
            if self.world != 1:
                raise OptionError('rank="auto" finds the world too; leave world out')
        else:
            checks.settle(
                self,
                rank=checks.integer('rank ("auto", or one of world)', self.rank, 0, self.world - 1),
            )

    @property
    def of_reading(self) -> dict[str, Any]:
        """The options of the dataset that are changed."""
        given = {"num_workers": self.num_workers, "on_error": self.on_error}
        changes = {name: value for name, value in given.items() if value is not None}
        return changes if self.transform is ... else changes | {"transform": self.transform}


class Loader:
    """Batches of a dataset in one global order that depends on neither ranks nor threads, epoch after epoch.

    Iterating gives the rest of the current epoch; at its end the loader stands at the beginning of the next.
    The state counts what was delivered: put back, with another batch_size or world too, a loader goes on at the same
    sample of the same order. Whatever was delivered can be made again, pixel for pixel: `replay`.

    >>> import fastpack
    >>> dataset = fastpack.open(getfixture("digits"))
    >>> with Loader(dataset, batch_size=4, shuffle=True) as loader:
    ...     sizes = [batch.num_samples for batch in loader]
    >>> sizes, loader.epoch, loader.position
    ([4, 4, 2], 1, 0)
    """

    def __init__(
        self, dataset: Reader, options: LoaderOptions | None = None, **changes: Any
    ) -> None:
        """Takes LoaderOptions, or its fields by name, or both. Raises OptionError or EmptySourceError."""
        checks.instance("dataset", dataset, Reader, "a Reader, as fastpack.open gives it")
        checks.instance("options", options, LoaderOptions | None, "LoaderOptions(...)")
        chosen = replace(options or LoaderOptions(), **changes)
        if chosen.rank == "auto":
            rank, world = _rank_and_world(os.environ)
            chosen = replace(chosen, rank=rank, world=world)
        self._options = chosen
        # Whatever is read ahead, delivered and looked at comes back here: bounded by their number, whatever their size.
        # One more is for the short batch at the end of an epoch, which else would push out a long one.
        self._memory = BufferPool(max_blocks=chosen.prefetch + 3, max_bytes=_NO_LIMIT)
        self._dataset = dataset.with_options(**chosen.of_reading).with_buffer_pool(self._memory)
        self._ordering = sampler_of(chosen.shuffle)
        order = self._ordering.order(dataset)
        self._schedule = Schedule(
            order,
            StepPartition(
                order.num_positions,
                chosen.batch_size,
                int(chosen.rank),
                chosen.world,
                chosen.drop_last,
                chosen.pad_last,
            ),
        )
        if chosen.pad_last and self._dataset.options.on_error == "skip":
            raise OptionError(
                'on_error="skip" makes batches smaller; leave pad_last out, or choose on_error="mask"'
            )
        if len(dataset) == 0:
            raise EmptySourceError("the dataset has no samples to load")
        if len(self) == 0:
            raise OptionError(
                f"drop_last leaves nothing of {order.num_positions} samples; take batches of fewer than {self.step_size}"
            )
        self._epoch = self._position = 0
        self._iteration: Callable[[], _Iteration | None] = _nothing
        self._failures: deque[FastpackError] = deque(maxlen=_KEPT_FAILURES)
        self._num_failures = 0

    @property
    def dataset(self) -> Reader:
        """What is read, with the loader's options; batch.sample_numbers are its numbers."""
        return self._dataset

    @property
    def options(self) -> LoaderOptions:
        """As they were given, rank and world as they were found."""
        return self._options

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def position(self) -> int:
        """Samples of this epoch that were delivered to all ranks together."""
        return self._position

    @property
    def step_size(self) -> int:
        """Samples of a step, of all ranks together."""
        return self._schedule.partition.step_size

    @property
    def num_steps_left(self) -> int:
        """Batches of this epoch that are still to come."""
        return self._schedule.partition.num_steps(self._position)

    @property
    def failures(self) -> tuple[FastpackError, ...]:
        """Why samples of delivered batches could not be read: the last hundred. See on_error."""
        return tuple(self._failures)

    @property
    def num_failures(self) -> int:
        """How many samples of delivered batches could not be read."""
        return self._num_failures

    def __len__(self) -> int:
        """Batches of an epoch, the same for each rank."""
        return self._schedule.partition.num_steps()

    def __repr__(self) -> str:
        options = self._options
        return (
            f"Loader({len(self)} batches of {options.batch_size} samples, {_describe(self._ordering)}; "
            f"rank {options.rank} of {options.world}; at epoch {self._epoch}, position {self._position})"
        )

    def __iter__(self) -> Iterator[Batch]:
        """The rest of the epoch. An earlier iterator ends with StateError when it is asked for more."""
        self._leave()
        iteration = _Iteration(self)
        self._iteration = weakref.ref(iteration)
        return iteration

    def set_epoch(self, epoch: int) -> None:
        """Goes to the beginning of an epoch; when the loader is in that epoch already, it stays where it is.

        So a loop that begins each epoch with it can begin in the middle of one, after load_state_dict.
        """
        if epoch_number(epoch) != self._epoch:
            self._go_to(epoch, 0)

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands, and of which dataset and order: less than 200 bytes of JSON.

        >>> import fastpack
        >>> Loader(fastpack.open(getfixture("digits")), shuffle=7).state_dict()["order"]
        'Shuffle(seed=7)'
        """
        return {
            "version": STATE_VERSION,
            "epoch": self._epoch,
            "position": self._position,
            "order": _describe(self._ordering),
            "seed": self._dataset.options.seed,
            "dataset": self._fingerprint,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes where `state` says; no sample is read for that. Batch size and world may be others than they were.

        Raises StateError when the state is of another dataset, order or seed, and says which.
        """
        known = self.state_dict()
        missing = known.keys() - state.keys() if isinstance(state, Mapping) else known.keys()
        if missing or not _are_equal(state["version"], STATE_VERSION):
            raise StateError(
                f"this is no state of a loader, or of another version than {STATE_VERSION}: {checks.shown(state)}"
            )
        for name, difference in (
            ("dataset", _differing(state["dataset"], known["dataset"])),
            ("order", ""),
            ("seed", ""),
        ):
            if not _are_equal(state[name], known[name]):
                message = f"the state is of another {name}: {state[name]}, this loader has {known[name]}{difference}"
                raise StateError(
                    f"{message}; give the loader what the state was saved with, or begin anew"
                )
        self._go_to(state["epoch"], state["position"])

    def replay(self, epoch: int, step: int | None = None, *, position: int | None = None) -> Batch:
        """A batch of this rank again, pixel for pixel, wherever the loader stands.

        - step: of an epoch that ran from its beginning with this batch size and world; or
        - position: batch.position, which also finds batches that came after a resume with other sizes.
        """
        if (step is None) == (position is None):
            raise OptionError("name the batch by its step or by its position")
        first = (
            checks.integer("position", position)
            if step is None
            else checks.integer("step", step) * self.step_size
        )
        if not 0 <= first < self._schedule.partition.num_positions:
            raise OutOfRangeError(
                f"there is no position {first} among {self._schedule.partition.num_positions}; positions count from 0"
            )
        return self._schedule.read(self._dataset, epoch_number(epoch), first)

    def close(self) -> None:
        """Stops reading ahead, waits until no thread is at it, and frees the memory that was kept for the next batches.

        Iterating begins again where the loader stands.
        """
        self._leave()
        self._memory.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        """Goes to another process without what was read ahead."""
        return self.__dict__ | {"_iteration": _nothing}

    def _leave(self) -> None:
        """Ends the iteration that is under way."""
        if iteration := self._iteration():
            iteration.close()
        self._iteration = _nothing

    def _go_to(self, epoch: int, position: int) -> None:
        epoch = epoch_number(epoch)
        try:
            position = checks.integer(
                "position", position, 0, self._schedule.partition.num_positions
            )
        except OptionError as error:
            raise StateError(f"there is no such place in an epoch: {error}") from error
        self._leave()
        self._stand_at(epoch, position)

    def _stand_at(self, epoch: int, position: int) -> None:
        """There, or at the beginning of the next epoch when nothing is left of this one."""
        self._epoch, self._position = (
            (epoch, position) if self._schedule.partition.num_steps(position) else (epoch + 1, 0)
        )

    def _count(self, batch: Batch) -> None:
        """A batch is delivered."""
        if batch.failures:
            self._tell(batch.failures)
        self._stand_at(batch.epoch, self._schedule.partition.end(batch.position))

    def _tell(self, failures: Sequence[FastpackError]) -> None:
        import logging  # late: few need it, and it takes a tenth of the time that importing fastpack may

        for failure in failures:
            logging.getLogger("fastpack").warning(
                "on_error=%r: %s", self._dataset.options.on_error, failure
            )
        self._failures.extend(failures)
        self._num_failures += len(failures)

    @cached_property
    def _fingerprint(self) -> str:
        """Of the dataset, wherever it lies: number of samples, and checksums of the fields, the files and the choice of samples."""
        return ":".join(self._dataset.fingerprints().values())


class _Iteration(Iterator[Batch]):
    """The rest of an epoch. It keeps its loader alive, the loader not it: who drops it ends the reading ahead."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._epoch = loader.epoch
        self._prefetch: Prefetch[Batch] | None = None
        self._is_done = self._is_closed = False

    def __next__(self) -> Batch:
        if self._is_done or (not self._is_closed and self._loader.epoch != self._epoch):
            self._is_done = True
            self._stop(wait=False)
            raise StopIteration
        if self._is_closed:
            raise StateError(
                "the loader has left this iterator: it was closed, set elsewhere, or iterated anew; iterate it again"
            )
        try:
            batch = self._next()
        except (
            BaseException
        ):  # Ctrl-C too: whatever was under way, the loader stands where it stood
            self._stop(wait=False)
            raise
        self._loader._count(batch)
        return batch

    def _next(self) -> Batch:
        loader = self._loader
        if loader.options.prefetch == 0:
            return loader.replay(self._epoch, position=loader.position)
        if self._prefetch is None or self._prefetch.is_forked:
            start = loader.epoch, loader.position
            self._prefetch = loader._schedule.prefetch(
                loader.dataset, start, loader.options.prefetch, loader.options.read_ahead
            )
        return self._prefetch.take()

    def close(self) -> None:
        self._is_closed = True
        self._stop(wait=True)

    def _stop(self, *, wait: bool) -> None:
        if self._prefetch is not None:
            self._prefetch.close(wait=wait)
        self._prefetch = None

    def __del__(self) -> None:
        self._stop(wait=False)


def _nothing() -> None:
    return None


def epoch_number(epoch: int) -> int:
    """The epoch, when it is one. Raises OptionError."""
    return checks.integer("epoch", epoch, 0, _LAST_EPOCH)


def _rank_and_world(environment: Mapping[str, str]) -> tuple[int, int]:
    for rank, world in _RANK_VARIABLES:
        if rank in environment and world in environment:
            return _number_in(environment, rank), _number_in(environment, world)
    return 0, 1


def _number_in(environment: Mapping[str, str], name: str) -> int:
    try:
        return int(environment[name])
    except ValueError:
        message = f"the environment's {name} is {environment[name]!r}, which is no number; correct it, or give rank and world"
        raise OptionError(message) from None


def _describe(sampler: Sampler) -> str:
    """Name and values of an ordering, or, where that is long, name and checksum."""
    text = repr(sampler)
    if is_dataclass(sampler):
        values = {field.name: getattr(sampler, field.name) for field in fields(sampler)}
        text = f"{type(sampler).__name__}({', '.join(f'{name}={value}' for name, value in values.items() if value is not None)})"
    return (
        text
        if len(text) <= _MAX_ORDER_TEXT
        else f"{type(sampler).__name__}#{crc32c(text.encode()):08x}"
    )


def _are_equal(theirs: Any, ours: int | str) -> bool:
    """Whatever stands in a state, also arrays: frameworks save numbers as arrays without axes."""
    return bool(np.array_equal(theirs, ours))


def _differing(theirs: Any, ours: str) -> str:
    names = ("number of samples", "fields", "files", "choice of samples")
    pairs = zip(names, str(theirs).split(":"), ours.split(":"), strict=False)
    return f" (the {' and the '.join(name for name, one, other in pairs if one != other)} differ)"
