"""AdaptedLoader: a Loader whose batches are in a framework's own arrays."""

from collections.abc import Callable, Iterator
from typing import Any, Generic, Self, SupportsIndex, TypeVar

import numpy as np

from fastpack.core.ragged import Ragged, Text
from fastpack.core.schema import DOUBTFUL, IMAGE_AXES, PLAIN, Field, Schema
from fastpack.errors import FastpackError, OptionError
from fastpack.images.batch import Batch
from fastpack.images.transforms import Normalize
from fastpack.loading.loader import Loader
from fastpack.loading.options import LoaderOptions
from fastpack.reading.options import OnError, ReadOptions
from fastpack.reading.reader import Reader

Delivered = TypeVar("Delivered")


class AdaptedLoader(Generic[Delivered]):
    """A Loader with each batch converted: the base class of the frameworks' loaders."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._added = added_names(
            loader.dataset.schema, loader.dataset.options.on_error, pads=loader.options.pad_last
        )

    def convert(self, batch: Batch) -> Delivered:
        """Return the batch in the framework's arrays."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Delivered]:
        """Iterate over the rest of the epoch; afterwards the loader is at the next epoch's start.

        `break` and `next(iter(loader))` consume batches; `peek` does not.
        """
        # A generator starts at its first batch: trainers take an iterator, then set the epoch.
        yield from map(self.convert, self._loader)

    def peek(self) -> Delivered:
        """Return the next batch without consuming it; the state stays as it is."""
        return self.convert(self._loader.peek())

    def __repr__(self) -> str:
        name = f"{type(self).__module__}.{type(self).__name__}"
        return name + repr(self._loader).removeprefix("Loader")

    def __len__(self) -> int:
        """Batches of an epoch, the same number for each rank."""
        return len(self._loader)

    @property
    def dataset(self) -> Reader:
        """The Reader, with the loader's options."""
        return self._loader.dataset

    @property
    def options(self) -> LoaderOptions:
        """The options; rank="auto" is replaced by the rank and world found."""
        return self._loader.options

    @property
    def epoch(self) -> int:
        """The epoch of the next batch."""
        return self._loader.epoch

    @property
    def position(self) -> int:
        """Samples of this epoch that were delivered to all ranks together."""
        return self._loader.position

    @property
    def failures(self) -> tuple[FastpackError, ...]:
        """Errors of the last 100 samples that could not be read, with on_error="skip" or "mask"."""
        return self._loader.failures

    @property
    def num_failures(self) -> int:
        """How many samples of delivered batches could not be read."""
        return self._loader.num_failures

    def set_epoch(self, epoch: SupportsIndex) -> None:
        """Go to the start of an epoch; in that epoch, stay at the current position.

        It is optional: at the end of an epoch the loader goes to the next.
        """
        self._loader.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return the position in delivered samples, as plain numbers and texts."""
        return self._loader.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to the position of a state; batch size and world may differ.

        Raises StateError if the state is of another dataset, order or seed.
        """
        self._loader.load_state_dict(state)

    def replay(
        self,
        epoch: SupportsIndex,
        step: SupportsIndex | None = None,
        *,
        position: SupportsIndex | None = None,
    ) -> Delivered:
        """Return a batch again, by its step or, after a resume with other sizes, its position."""
        return self.convert(self._loader.replay(epoch, step, position=position))

    def close(self) -> None:
        """Stop prefetching and free the memory of batches; iterating continues from here."""
        self._loader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def is_random(reader: Reader) -> bool:
    """Return True if a sample's pixels differ between epochs."""
    return reader.options.decode and any(step.num_draws for step in reader.options.steps)


def added_names(schema: Schema, on_error: OnError, *, pads: bool = False) -> frozenset[str]:
    """Return which of `mask` and `failures` a batch has beside its fields.

    Raises OptionError if a field has that name.

    - pads: the loader pads its last batches.
    """
    added = {"raise": set(), "skip": {"failures"}, "mask": {"mask", "failures"}}[on_error] | (
        {"mask"} if pads else set()
    )
    taken = sorted(added & {field.name for field in schema.fields})
    if taken:
        why = f"on_error={on_error!r}" if on_error != "raise" else "pad_last=True"
        raise OptionError(
            f"{why} adds {taken[0]!r}, but a field has that name; "
            "rename the field: open the dataset with fields={...}"
        )
    return frozenset(added)


def image_axes(field: Field, options: ReadOptions) -> str:
    """Return the last axes of a field's images in a batch, or "" if it has none.

    >>> pixels = Field("X", "pixels", (3, 20, 30), axes="NCHW")
    >>> image_axes(Field("image", "image"), ReadOptions()), image_axes(pixels, ReadOptions())
    ('HWC', 'CHW')
    """
    if field.kind not in ("image", "pixels") or field.axes in (PLAIN, DOUBTFUL):
        return ""
    layouts = [step.layout for step in options.steps if isinstance(step, Normalize)]
    if layouts:
        return layouts[-1].removeprefix("N")
    if field.kind == "image":
        return IMAGE_AXES
    if len(field.shape) not in (2, 3) or (len(field.shape) == 2 and not options.steps):
        return ""
    # Stored pixels keep the axes of their file.
    return "".join(IMAGE_AXES[axis] for axis in np.argsort((*field.to_image, 2)[:3]))


def fields_of(batch: Batch, added: frozenset[str]) -> dict[str, Any]:
    """Return the batch's fields and, if in `added`, `mask` and `failures` (one text for each).

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
    """Convert arrays; rows of different shapes become a list, and text a list of str.

    >>> in_arrays(Text.of(["a", "b"]), len)
    ['a', 'b']
    """
    if isinstance(values, Text):
        return list(values)
    if isinstance(values, (Ragged, list)):
        return [in_arrays(row, convert) for row in values]
    return convert(values)
