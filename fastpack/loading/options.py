"""LoaderOptions: how to load batches, in one value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import EllipsisType
from typing import Literal, Self, TypedDict

import numpy as np

from fastpack.core import checks
from fastpack.errors import OptionError
from fastpack.images.transforms import Transform
from fastpack.reading.options import OnError, ReadKwargs, ReadOptions
from fastpack.reading.order import Sampler, sampler_of

# The variables of launchers with a process's rank and the number of processes: torchrun, Slurm,
# Open MPI, other MPIs.
_RANK_VARIABLES = (
    ("RANK", "WORLD_SIZE"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
)
_MAX_COUNT = 2**31 - 1  # of batches, of samples of one, or of ranks


@dataclass(frozen=True)
class LoaderOptions:
    """How to load batches.

    Args:
        batch_size: samples of a batch, for one rank.
        shuffle: None is the order of the files. True, a seed, or an order: Shuffle(seed, window),
            Balanced or Mix.
        drop_last: leave out the last samples of an epoch if they do not fill a batch of every
            rank. By default, the ranks share them in smaller batches. If there are fewer samples
            than ranks, some ranks get a sample of another rank, so no batch is empty.
        pad_last: fill the last batches with samples from the start of the epoch. batch.mask is
            False for these.
        rank: the number of this process, or "auto": from torchrun, Slurm or MPI, and 0 of 1
            without these.
        world: the number of processes.
        prefetch: batches to read ahead. 0 reads in the caller's thread.
        num_workers: threads. None takes the dataset's option.
        transform: replaces the dataset's transform, if given.
        on_error: replaces the dataset's option, if given.
        read_ahead: ask the OS to load the next batches' bytes, so that a slow disk gets many
            requests at once. None does so while reads reach the disk.

    Raises:
        OptionError: an option has a wrong value.

    Example:
        >>> LoaderOptions(batch_size=64, shuffle=True).prefetch
        2
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
        checks.settle(
            self,
            batch_size=checks.integer("batch_size", self.batch_size, 1, _MAX_COUNT),
            world=checks.integer("world", self.world, 1, _MAX_COUNT),
            prefetch=checks.integer("prefetch", self.prefetch, 0, _MAX_COUNT),
            drop_last=checks.flag("drop_last", self.drop_last),
            pad_last=checks.flag("pad_last", self.pad_last),
            num_workers=checks.optional_integer("num_workers", self.num_workers, 1),
            shuffle=_checked_shuffle(self.shuffle),
        )
        if self.drop_last and self.pad_last:
            raise OptionError(
                "drop_last leaves out the samples that pad_last keeps; "
                "give drop_last or pad_last, not both"
            )
        if self.read_ahead is not None:
            checks.settle(self, read_ahead=checks.flag("read_ahead", self.read_ahead))
        self._check_rank()
        ReadOptions(**self.of_reading)  # refuses a transform or on_error that is not one

    def _check_rank(self) -> None:
        if not (isinstance(self.rank, str) and self.rank == "auto"):
            name = 'rank ("auto", or one of world)'
            checks.settle(self, rank=checks.integer(name, self.rank, 0, self.world - 1))
        elif self.world != 1:
            raise OptionError('rank="auto" finds the world too; leave world out')

    def with_rank(self, environment: Mapping[str, str]) -> Self:
        """Return these options, with "auto" replaced by rank and world from the environment."""
        if self.rank != "auto":
            return self
        for rank, world in _RANK_VARIABLES:
            if rank in environment and world in environment:
                number, count = (_number_in(environment, name) for name in (rank, world))
                return replace(self, rank=number, world=count)
        return replace(self, rank=0)

    @property
    def of_reading(self) -> ReadKwargs:
        """The ReadOptions that the loader changes."""
        changes = ReadKwargs()
        if self.num_workers is not None:
            changes["num_workers"] = self.num_workers
        if self.on_error is not None:
            changes["on_error"] = self.on_error
        if not isinstance(self.transform, EllipsisType):
            changes["transform"] = self.transform
        return changes


def _checked_shuffle(shuffle: Sampler | int | None) -> Sampler | int | None:
    """Return `shuffle`, with numpy's numbers as Python's. Raises OptionError for anything else."""
    sampler_of(shuffle)
    return shuffle.item() if isinstance(shuffle, np.generic) else shuffle


class LoaderKwargs(TypedDict, total=False):
    """The fields of LoaderOptions as keywords of a function."""

    batch_size: int
    shuffle: Sampler | int | None
    drop_last: bool
    pad_last: bool
    rank: int | Literal["auto"]
    world: int
    prefetch: int
    num_workers: int | None
    transform: Transform | Sequence[Transform] | EllipsisType | None
    on_error: OnError | None
    read_ahead: bool | None


def _number_in(environment: Mapping[str, str], name: str) -> int:
    try:
        return int(environment[name])
    except ValueError:
        value = environment[name]
        message = f"the environment's {name} is {value!r}, not a number"
        raise OptionError(f"{message}; correct it, or give rank and world") from None
