"""Batch: the arrays that one step receives, or that one write takes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.core.ragged import Ragged, Text
from fastpack.errors import FastpackError


class Batch(Mapping[str, Any]):
    """Field name -> the values of `num_samples` samples.

    A column is an array (n,), a Text or a Ragged. Images are one array (n, H, W, C) when all have one shape,
    else a list of n arrays; undecoded ones are a Ragged of bytes. Masks are the same without C. Where a sample has a list of
    images, it has an array (k, H, W, C) or a list of k arrays; undecoded, a Ragged of bytes, so that all are a Ragged of Raggeds.

    `mask` (n,) is False for samples that could not be read and `failures` says why, when the reader was
    asked to go on (on_error="mask" or "skip"); and for those that fill up a loader's last batch (pad_last).
    `sample_numbers` (n,) are the samples' numbers in the reader.

    In a batch from a loader, `epoch`, `step` and `position` (global, of the step's first sample) say when it came.

    >>> batch = Batch({"label": np.array([3, 4])}, 2)
    >>> batch["label"].tolist(), batch.num_samples, list(batch)
    ([3, 4], 2, ['label'])
    """

    def __init__(
        self,
        fields: Mapping[str, Any],
        num_samples: int,
        *,
        mask: npt.NDArray[np.bool_] | None = None,
        failures: Sequence[FastpackError] = (),
        sample_numbers: npt.NDArray[np.int64] | None = None,
    ) -> None:
        for name, values in fields.items():
            if len(values) != num_samples:
                raise ValueError(f"field {name!r} has {len(values)} values, not {num_samples}")
        self._fields = dict(fields)
        self.num_samples = num_samples
        self.mask = np.ones(num_samples, np.bool_) if mask is None else mask
        self.failures = tuple(failures)
        self.sample_numbers = np.arange(num_samples) if sample_numbers is None else sample_numbers
        self.epoch = self.step = self.position = 0

    def __getitem__(self, name: str) -> Any:
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        """The number of fields, as for every mapping; `num_samples` counts the samples."""
        return len(self._fields)

    def sample(self, i: int) -> dict[str, Any]:
        """Sample i of the batch: field name -> array, number, str or bytes."""
        return {name: _one(values, i) for name, values in self._fields.items()}

    def __repr__(self) -> str:
        described = ", ".join(
            f"{name}: {_describe(values)}" for name, values in self._fields.items()
        )
        return f"Batch({self.num_samples} samples; {described})"


def with_failures(
    fields: dict[str, Any],
    rows: npt.NDArray[np.int64],
    failures: Mapping[int, FastpackError],
    *,
    skips: bool,
) -> Batch:
    """The batch of the samples `rows` when those in `failures` could not be read: without them, or with a mask that tells."""
    told = [failures[row] for row in sorted(failures)]
    mask = np.ones(len(rows), np.bool_)
    mask[list(failures)] = False
    if not skips or not failures:
        return Batch(fields, len(rows), mask=mask, failures=told, sample_numbers=rows)
    good = np.flatnonzero(mask)
    kept = {name: _take(values, good) for name, values in fields.items()}
    return Batch(kept, len(good), failures=told, sample_numbers=rows[good])


def _take(values: Any, rows: npt.NDArray[np.int64]) -> Any:
    if isinstance(values, Ragged):
        return values.take(rows)
    return [values[row] for row in rows] if isinstance(values, list) else values[rows]


def _one(values: Any, i: int) -> Any:
    if isinstance(values, Text):
        return values[i]
    if isinstance(values, Ragged):
        if type(values.values) is Ragged:  # a list of blobs
            return [values[i].bytes(row) for row in range(len(values[i]))]
        is_bytes = isinstance(values.values, np.ndarray) and values.values.dtype == np.uint8
        return values.bytes(i) if is_bytes else values[i]
    if isinstance(values, np.ndarray) and values.ndim == 1:
        return values[i].item()
    return values[i]


def _describe(values: Any) -> str:
    if isinstance(values, np.ndarray):
        return f"{values.dtype} {values.shape}"
    return repr(values) if isinstance(values, Ragged) else f"{len(values)} arrays"
