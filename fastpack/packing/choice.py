"""Choice: the samples that a pack takes from its source, for each output."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastpack.core.dtypes import Rows
from fastpack.core.keys import spread_by_key
from fastpack.errors import EmptySourceError, Location, OptionError, with_location
from fastpack.packing.duplicates import duplicates
from fastpack.packing.rejects import Reject
from fastpack.packing.select_options import SelectOptions
from fastpack.packing.subset import keys_of, matching, shuffled
from fastpack.reading.split import parts_of
from fastpack.sources import Source


@dataclass(frozen=True)
class Choice:
    """The samples to pack.

    Args:
        parts: output -> numbers of its samples in the source, in the order of writing.
        rejects: duplicates.
    """

    parts: Mapping[Path, Rows]
    rejects: tuple[Reject, ...]

    @property
    def rows(self) -> Rows:
        """The samples of all outputs, one output after the other."""
        rows = list(self.parts.values())
        return rows[0] if len(rows) == 1 else np.concatenate(rows)


def choose(source: Source, output: Path, options: SelectOptions) -> Choice:
    """Choose samples by key, without duplicates; shuffle and split them.

    Raises EmptySourceError if no sample is left, for an output or in all.
    """
    if len(source) == 0:
        raise EmptySourceError("the source has no samples; there is nothing to pack")
    rows = matching(source, options.include, options.exclude)
    rejects: list[Reject] = []
    if options.duplicates != "keep":
        first_of = duplicates(source, rows)
        rejects = _duplicate_rejects(source, first_of, kept=options.duplicates == "report")
        if options.duplicates == "drop":
            rows = rows[~np.isin(rows, list(first_of))]
    if len(rows) == 0:
        message = "no sample is left; check include and exclude, which match whole keys"
        raise EmptySourceError(message)
    if options.shuffle_seed is not None:
        rows = shuffled(rows, options.shuffle_seed)
    return Choice(_split(source, rows, output, options), tuple(rejects))


def outputs_of(output: Path, options: SelectOptions) -> list[Path]:
    """Return the output of each split; the output itself without splits."""
    if not options.split:
        return [output]
    return [output.with_name(f"{output.stem}-{name}{output.suffix}") for name in options.split]


def _duplicate_rejects(source: Source, first_of: Mapping[int, int], *, kept: bool) -> list[Reject]:
    keys, location = keys_of(source), source.location
    rejects = []
    for number, first in first_of.items():
        key = None if keys is None else keys[number]
        rejects.append(Reject.duplicate(number, key, location(number), location(first), kept=kept))
    return rejects


def _split(source: Source, rows: Rows, output: Path, options: SelectOptions) -> dict[Path, Rows]:
    if not options.split:
        return {output: rows}
    if (keys := keys_of(source)) is None:
        raise OptionError("a split needs keys, and the samples have none; give the source keys")
    parts = parts_of(spread_by_key(keys, 0)[rows], options.split)
    found = {path: rows[parts == part] for part, path in enumerate(outputs_of(output, options))}
    for path, part in found.items():
        if len(part) == 0:
            message = "no sample falls into this split; give it a larger part, or more samples"
            raise EmptySourceError(with_location(message, Location(path)))
    return found
