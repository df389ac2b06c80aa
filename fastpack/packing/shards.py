"""Shards of a pack: their names, and which samples each has."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastpack.core.plural import counted
from fastpack.core.portions import portions
from fastpack.errors import Location, OptionError, with_location
from fastpack.files.naming import data_members, num_shards_of, shard_paths
from fastpack.packing.write_options import WriteOptions

# Estimate of the bytes that TFRecord and HDF5 add to a sample, for shard_size and dry runs.
SAMPLE_OVERHEAD_BYTES = 128


def cut(
    num_samples: Mapping[Path, int],
    sizes: npt.NDArray[np.int64],
    options: WriteOptions,
    *,
    append: bool,
) -> tuple[list[int], list[Path]]:
    """Cut each output into shards.

    Args:
        num_samples: output -> its number of samples.
        sizes: bytes of each sample (n,), one output after the other.
        options: number or size of the shards.
        append: continue the numbers of existing shards.

    Returns:
        The first sample of each shard and the number of samples; and the names of the shards.
    """
    cuts, paths = [0], list[Path]()
    for output, count in num_samples.items():
        first = cuts[-1]
        ends = _shard_ends(sizes[first : first + count], options)
        num_before = num_shards_of(output) if append else 0
        is_numbered = options.is_numbered
        paths += shard_paths(output, len(ends), num_before=num_before, is_numbered=is_numbered)
        cuts += [first + end for end in ends]
    return cuts, paths


def _shard_ends(sizes: npt.NDArray[np.int64], options: WriteOptions) -> list[int]:
    """Return the end of each shard of an output."""
    if options.shard_bytes is not None:
        parts = portions(sizes + SAMPLE_OVERHEAD_BYTES, options.shard_bytes)
        return [part.stop for part in parts]
    shards = min(options.shards or 1, len(sizes))
    return [len(sizes) * (shard + 1) // shards for shard in range(shards)]


def notes_on_shards(num_samples: Mapping[Path, int], options: WriteOptions) -> tuple[str, ...]:
    """Report outputs that get fewer shards than were asked for.

    >>> notes_on_shards({Path("a.h5"): 2}, WriteOptions(shards=8))
    ('a.h5 gets 2 shards instead of 8, since there are only 2 samples; give fewer shards',)
    """
    notes = []
    for output, count in num_samples.items():
        if options.shards is not None and count < options.shards:
            shards = f"{output.name} gets {counted(count, 'shard')} instead of {options.shards:,}"
            are = "is" if count == 1 else "are"
            samples = f"since there {are} only {counted(count, 'sample')}"
            notes.append(f"{shards}, {samples}; give fewer shards")
    return tuple(notes)


def virtual_paths(
    outputs: Sequence[Path], paths: Sequence[Path], *, virtual: bool, append: bool
) -> tuple[Path, ...]:
    """Return the virtual datasets to write or to update.

    Raises OptionError if a file of samples has the name of a virtual dataset.
    """
    found = []
    for output in outputs:
        is_there = append and output.is_file()
        is_data = output in paths or (is_there and output in data_members(output))
        if is_data and is_there and virtual:
            message = "the set's first file has the name of the virtual dataset"
            remedy = "pack it with shards=1 first, or leave virtual out"
            raise OptionError(with_location(f"{message}; {remedy}", Location(output)))
        if not is_data and (virtual or is_there):
            found.append(output)
    return tuple(found)
