"""Order and Picks: which samples come at some positions of an epoch."""

from dataclasses import dataclass
from typing import Protocol

from fastpack.reading.permutation import Numbers


@dataclass(frozen=True, eq=False)
class Picks:
    """The samples at some positions: numbers (n,) and passes (n,), int64.

    The pass counts the earlier deliveries of the sample; in a shuffle it is the epoch. Random
    transforms draw by (sample, pass), so a sample that comes twice in an epoch gets two crops.
    """

    samples: Numbers
    passes: Numbers


class Order(Protocol):
    """A pure function (epoch, position) -> sample.

    An order may have windows, whose samples lie in few places of the files. Then it also has
    `windows_of(positions)`, (n,) to (n,): the numbers of their windows. Files in object stores are
    read by window.
    """

    @property
    def num_positions(self) -> int:
        """Positions of an epoch."""
        ...

    def samples_at(self, epoch: int, positions: Numbers) -> Picks:
        """Return the samples at `positions` (n,) of an epoch, each in [0, num_positions)."""
        ...
