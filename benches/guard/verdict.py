"""Slower, or as fast as before? Decided from few rounds where it is clear, from more where it is not."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

# When the rounds are looked at. With ten, all must agree.
LOOKS = (10, 14, 18, 24, 32)
# Of each look that the median lies on the side that is named.
CONFIDENCE = 0.999

State = Literal["fine", "slower", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """How a case stands after some rounds. Slowdowns are parts of the expected time: 0.15 is 15% more.

    - least, most: the bounds between which the median is, each with CONFIDENCE.
    """

    state: State
    slowdown: float
    least: float
    most: float


def judge(ratios: Sequence[float], *, expected: float, tolerance: float) -> Verdict:
    """Whether the median of all the rounds there could be is within the tolerance.

    The bounds are order statistics: of n rounds, k lie beyond the median as often as n coins show k heads, whatever the ratios'
    distribution is (Conover, Practical Nonparametric Statistics, section 3.2). So a few rounds that something disturbed move nothing.

    >>> judge([1.01, 0.98, 1.0, 1.02, 1.6, 0.99, 1.0, 1.01, 0.97, 1.0, 1.03, 0.99, 1.0, 1.0], expected=1, tolerance=0.07).state
    'fine'
    >>> judge([1.15] * 10, expected=1, tolerance=0.07).state
    'slower'
    >>> judge([1.15] * 9, expected=1, tolerance=0.07).state
    'undecided'
    """
    slowdowns = sorted(ratio / expected - 1 for ratio in ratios)
    beyond = _num_beyond(len(slowdowns))
    least, most = (
        (slowdowns[beyond], slowdowns[-1 - beyond]) if beyond >= 0 else (-math.inf, math.inf)
    )
    state: State = "slower" if least > tolerance else "fine" if most < tolerance else "undecided"
    return Verdict(state, statistics.median(slowdowns), least, most)


def _num_beyond(num_rounds: int) -> int:
    """How many of the smallest rounds can be left out, so that the next one still is a lower bound of the median; -1: not even none."""
    total, beyond = 0, -1
    for count in range(num_rounds):
        total += math.comb(num_rounds, count)
        if total > (1 - CONFIDENCE) * 2**num_rounds:
            break
        beyond = count
    return beyond
