"""Loader: batches of a Reader in an order, read ahead. The only object that has a position."""

import os
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self, SupportsIndex, Unpack

from fastpack.core import checks
from fastpack.core.buffer_pool import BufferPool
from fastpack.core.cached import cached_property
from fastpack.errors import (
    EmptySourceError,
    FastpackError,
    OptionError,
    OutOfRangeError,
    StateError,
)
from fastpack.images.batch import Batch
from fastpack.loading.iteration import Iteration
from fastpack.loading.options import LoaderKwargs, LoaderOptions
from fastpack.loading.schedule import Schedule, StepPartition
from fastpack.loading.state import STATE_VERSION, check_state, order_text
from fastpack.reading.order import sampler_of
from fastpack.reading.reader import Reader

_MAX_FAILURES = 100  # kept
_NO_LIMIT = 1 << 62
_LAST_EPOCH = 2**32 - 1


class Loader:
    """Batches of a dataset in one global order, epoch after epoch.

    The order depends on neither ranks nor threads. Iterating gives the rest of the current epoch;
    afterwards the loader is at the start of the next, so `set_epoch` is optional. **`break` and
    `next(iter(loader))` consume batches; `peek` does not.**

    The state counts delivered samples. A loader that loads it continues with the next sample of the
    same order, also with another batch size or world.

    Args:
        dataset: a Reader, as `fastpack.open` returns it.
        options: how to load.
        changes: fields of LoaderOptions by name, which win: `batch_size=64`.

    Raises:
        OptionError: an option has a wrong value.
        EmptySourceError: the dataset has no samples.

    Example:
        >>> import fastpack
        >>> dataset = fastpack.open(getfixture("digits"))
        >>> with Loader(dataset, batch_size=4, shuffle=True) as loader:
        ...     sizes = [batch.num_samples for batch in loader]
        >>> sizes, loader.epoch, loader.position
        ([4, 4, 2], 1, 0)
    """

    def __init__(
        self,
        dataset: Reader,
        options: LoaderOptions | None = None,
        **changes: Unpack[LoaderKwargs],
    ) -> None:
        checks.instance("dataset", dataset, Reader, "a Reader, as fastpack.open returns it")
        checks.instance("options", options, LoaderOptions | None, "LoaderOptions(...)")
        checks.known_names("Loader", changes, LoaderKwargs.__annotations__)
        chosen = replace(options or LoaderOptions(), **changes).with_rank(os.environ)
        self._options = chosen
        # Batches that are read ahead, delivered and in use come back here. Their number is the
        # bound, whatever their size. One more is for the short batch at the end of an epoch, which
        # otherwise would replace a full one.
        self._memory = BufferPool(max_blocks=chosen.prefetch + 3, max_bytes=_NO_LIMIT)
        self._dataset = dataset.with_options(**chosen.of_reading).with_buffer_pool(self._memory)
        self._sampler = sampler_of(chosen.shuffle)
        order = self._sampler.order(dataset)
        partition = StepPartition.of(order.num_positions, chosen)
        self._schedule = Schedule(order, partition)
        self._epoch = self._position = 0
        self._iteration: Callable[[], Iteration | None] = _nothing
        self._failures: deque[FastpackError] = deque(maxlen=_MAX_FAILURES)
        self._num_failures = 0
        self._check_dataset()

    def _check_dataset(self) -> None:
        if self._options.pad_last and self._dataset.options.on_error == "skip":
            raise OptionError(
                'on_error="skip" makes batches smaller; '
                'leave pad_last out, or choose on_error="mask"'
            )
        if len(self._dataset) == 0:
            raise EmptySourceError("the dataset has no samples to load")
        if len(self) == 0:
            raise OptionError(
                f"drop_last leaves nothing of {self._schedule.order.num_positions} samples; "
                f"take batches of fewer than {self.step_size}"
            )

    @property
    def dataset(self) -> Reader:
        """The Reader, with the loader's options. batch.sample_numbers are its numbers."""
        return self._dataset

    @property
    def options(self) -> LoaderOptions:
        """The options; rank="auto" is replaced by the rank and world found."""
        return self._options

    @property
    def schedule(self) -> Schedule:
        """The samples of each step."""
        return self._schedule

    @property
    def epoch(self) -> int:
        """The epoch of the next batch."""
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
        """Errors of the last 100 samples that could not be read, with on_error="skip" or "mask"."""
        return tuple(self._failures)

    @property
    def num_failures(self) -> int:
        """How many samples of delivered batches could not be read."""
        return self._num_failures

    def __len__(self) -> int:
        """Batches of an epoch, the same number for each rank."""
        return self._schedule.partition.num_steps()

    def __repr__(self) -> str:
        options = self._options
        return (
            f"Loader({len(self)} batches of {options.batch_size} samples, "
            f"{order_text(self._sampler)}; rank {options.rank} of {options.world}; "
            f"at epoch {self._epoch}, position {self._position})"
        )

    def __iter__(self) -> Iterator[Batch]:
        """Iterate over the rest of the epoch. An earlier iterator then raises StateError."""
        self._leave()
        iteration = Iteration(self)
        self._iteration = weakref.ref(iteration)
        return iteration

    def peek(self) -> Batch:
        """Return the next batch without consuming it.

        The batch is read in the caller's thread. The state, and an iteration in progress, stay as
        they are.

        Example:
            >>> import fastpack
            >>> loader = Loader(fastpack.open(getfixture("digits")), batch_size=4)
            >>> loader.peek()["label"].tolist(), loader.position
            ([0, 1, 2, 3], 0)
        """
        return self._schedule.read(self._dataset, self._epoch, self._position)

    def set_epoch(self, epoch: SupportsIndex) -> None:
        """Go to the start of an epoch; in that epoch, stay at the current position.

        So a loop may call this at each epoch, also after `load_state_dict` in the middle of one.
        It is optional: at the end of an epoch the loader goes to the next.
        """
        if epoch_number(epoch) != self._epoch:
            self._go_to(epoch, 0)

    def state_dict(self) -> dict[str, Any]:
        """Return the position, and checksums of dataset and order: under 200 bytes of JSON.

        Example:
            >>> import fastpack
            >>> Loader(fastpack.open(getfixture("digits")), shuffle=7).state_dict()["order"]
            'Shuffle(seed=7)'
        """
        return {
            "version": STATE_VERSION,
            "epoch": self._epoch,
            "position": self._position,
            "order": order_text(self._sampler),
            "seed": self._dataset.options.seed,
            "dataset": self._fingerprint,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to the position of a state. No sample is read; batch size and world may differ.

        Args:
            state: from `state_dict`.

        Raises:
            StateError: the state is of another dataset, order or seed; the message has which.
        """
        check_state(state, self.state_dict())
        self._go_to(state["epoch"], state["position"])

    def replay(
        self,
        epoch: SupportsIndex,
        step: SupportsIndex | None = None,
        *,
        position: SupportsIndex | None = None,
    ) -> Batch:
        """Return a batch of this rank again, with the same pixels, from anywhere in the run.

        Args:
            epoch: batch.epoch.
            step: batch.step, in an epoch that ran from its start with this batch size and world.
            position: batch.position, instead of `step`. It also finds batches that came after a
                resume with other sizes.

        Raises:
            OutOfRangeError: there is no such batch.
        """
        if (step is None) == (position is None):
            raise OptionError("name the batch by its step or by its position")
        if step is None:
            first = checks.integer("position", position)
        else:
            first = checks.integer("step", step) * self.step_size
        num_positions = self._schedule.partition.num_positions
        if not 0 <= first < num_positions:
            raise OutOfRangeError(
                f"there is no position {first} among {num_positions}; positions count from 0"
            )
        return self._schedule.read(self._dataset, epoch_number(epoch), first)

    def close(self) -> None:
        """Stop prefetching, wait for its threads, and free the memory of batches.

        Iterating continues at the current position.
        """
        self._leave()
        self._memory.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out prefetched batches."""
        return self.__dict__ | {"_iteration": _nothing}

    def _leave(self) -> None:
        """End the iteration in progress."""
        if iteration := self._iteration():
            iteration.close()
        self._iteration = _nothing

    def _go_to(self, epoch: SupportsIndex, position: Any) -> None:
        epoch = epoch_number(epoch)
        num_positions = self._schedule.partition.num_positions
        try:
            position = checks.integer("position", position, 0, num_positions)
        except OptionError as error:
            raise StateError(f"there is no such position in an epoch: {error}") from error
        self._leave()
        self._stand_at(epoch, position)

    def _stand_at(self, epoch: int, position: int) -> None:
        """Move there, or to the next epoch if no step of this one is left."""
        is_left = self._schedule.partition.num_steps(position) > 0
        self._epoch, self._position = (epoch, position) if is_left else (epoch + 1, 0)

    def count(self, batch: Batch) -> None:
        """Internal: count a batch as delivered."""
        if batch.failures:
            self._log(batch.failures)
        self._stand_at(batch.epoch, self._schedule.partition.end(batch.position))

    def _log(self, failures: Sequence[FastpackError]) -> None:
        import logging  # late: rarely needed, and a tenth of fastpack's import time

        on_error = self._dataset.options.on_error
        for failure in failures:
            logging.getLogger("fastpack").warning("on_error=%r: %s", on_error, failure)
        self._failures.extend(failures)
        self._num_failures += len(failures)

    @cached_property
    def _fingerprint(self) -> str:
        """Number of samples, and checksums of fields, files and the choice of samples."""
        return ":".join(self._dataset.fingerprints().values())


def _nothing() -> None:
    return None


def epoch_number(epoch: Any) -> int:
    """Return the epoch as an int, or raise OptionError."""
    return checks.integer("epoch", epoch, 0, _LAST_EPOCH)
