"""What the adapters to frameworks share: a Loader whose batches come in the framework's own arrays."""

from collections.abc import Callable, Iterator
from typing import Any, Generic, Self, TypeVar

from fastpack.core.ragged import Ragged, Text
from fastpack.core.schema import Schema
from fastpack.errors import FastpackError, OptionError
from fastpack.images.batch import Batch
from fastpack.loading.loader import Loader, LoaderOptions
from fastpack.reading.options import OnError
from fastpack.reading.reader import Reader

Delivered = TypeVar("Delivered")


class AdaptedLoader(Generic[Delivered]):
    """A Loader that a framework's adapter stands before: the same verbs, and each batch as `convert` has it."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._added = added_names(
            loader.dataset.schema, loader.dataset.options.on_error, pads=loader.options.pad_last
        )

    def convert(self, batch: Batch) -> Delivered:
        """The batch in the framework's arrays."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Delivered]:
        """The rest of the epoch; at its end the loader stands at the beginning of the next."""
        # A generator begins when it is first asked: trainers take an iterator, then set the epoch.
        yield from map(self.convert, self._loader)

    def __len__(self) -> int:
        """Batches of an epoch, for this rank."""
        return len(self._loader)

    @property
    def dataset(self) -> Reader:
        """What is read, with the loader's options."""
        return self._loader.dataset

    @property
    def options(self) -> LoaderOptions:
        """As they were given, rank and world as they were found."""
        return self._loader.options

    @property
    def epoch(self) -> int:
        return self._loader.epoch

    @property
    def position(self) -> int:
        """Samples of this epoch that were delivered to all ranks together."""
        return self._loader.position

    @property
    def failures(self) -> tuple[FastpackError, ...]:
        """Why samples of delivered batches could not be read: the last hundred. See on_error."""
        return self._loader.failures

    @property
    def num_failures(self) -> int:
        """How many samples of delivered batches could not be read."""
        return self._loader.num_failures

    def set_epoch(self, epoch: int) -> None:
        """Goes to the beginning of an epoch."""
        self._loader.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands, counted in what it delivered: plain numbers and texts."""
        return self._loader.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues at the same sample, with another batch size or world too. Raises when the state is of another dataset."""
        self._loader.load_state_dict(state)

    def replay(
        self, epoch: int, step: int | None = None, *, position: int | None = None
    ) -> Delivered:
        """That step's batch again; or, wherever the steps began, the one at that position."""
        return self.convert(self._loader.replay(epoch, step, position=position))

    def close(self) -> None:
        self._loader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def is_random(reader: Reader) -> bool:
    """True when a sample's pixels are others in each epoch."""
    return reader.options.decode and any(step.num_draws for step in reader.options.steps)


def added_names(schema: Schema, on_error: OnError, *, pads: bool = False) -> frozenset[str]:
    """Which of `mask` and `failures` a batch has beside its fields. Raises OptionError when a field has that name.

    - pads: the loader fills its last batches up.
    """
    added = {"raise": set(), "skip": {"failures"}, "mask": {"mask", "failures"}}[on_error] | (
        {"mask"} if pads else set()
    )
    taken = sorted(added & {field.name for field in schema.fields})
    if taken:
        why = f"on_error={on_error!r}" if on_error != "raise" else "pad_last=True"
        raise OptionError(
            f"{why} adds {taken[0]!r}, but a field has that name; open the dataset with fields=... and another"
        )
    return frozenset(added)


def fields_of(batch: Batch, added: frozenset[str]) -> dict[str, Any]:
    """The batch's fields and, of what `added_names` gives, `mask` and `failures` (a text for each).

    >>> import numpy as np
    >>> sorted(fields_of(Batch({"label": np.arange(3)}, 3), frozenset({"mask", "failures"})))
    ['failures', 'label', 'mask']
    """
    fields = dict(batch)
    if "mask" in added:
        fields["mask"] = batch.mask
    if "failures" in added:
        fields["failures"] = Text.of(str(failure) for failure in batch.failures)
    return fields


def in_arrays(values: Any, convert: Callable[[Any], Any]) -> Any:
    """A field's values as `convert` has arrays: rows of differing shape are a list of them, and text a list of str.

    >>> in_arrays(Text.of(["a", "b"]), len)
    ['a', 'b']
    """
    if isinstance(values, Text):
        return list(values)
    if isinstance(values, (Ragged, list)):
        return [in_arrays(row, convert) for row in values]
    return convert(values)
