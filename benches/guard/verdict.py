"""Decision whether a case is slower: few rounds if it is clear, more if not."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

# Numbers of rounds after which a case is judged. With ten, all must agree.
LOOKS = (10, 14, 18, 24, 32)
# Probability, at each look, that the median lies within the bound.
CONFIDENCE = 0.999

State = Literal["fine", "slower", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """State of a case after some rounds. A slowdown of 0.15 is 15% more time.

    - low, high: bounds of the median slowdown, each with CONFIDENCE.
    """

    state: State
    slowdown: float
    low: float
    high: float


def judge(ratios: Sequence[float], *, expected: float, tolerance: float) -> Verdict:
    """Decide whether the median slowdown is within the tolerance.

    The bounds are order statistics, so they hold for every distribution, and a few disturbed rounds
    change nothing. See Conover, Practical Nonparametric Statistics, section 3.2.

    >>> ratios = [1.01, 0.98, 1.0, 1.02, 1.6, 0.99, 1.0, 1.01, 0.97, 1.0, 1.03, 0.99, 1.0, 1.0]
    >>> judge(ratios, expected=1, tolerance=0.07).state
    'fine'
    >>> judge([1.15] * 10, expected=1, tolerance=0.07).state
    'slower'
    >>> judge([1.15] * 9, expected=1, tolerance=0.07).state
    'undecided'
    """
    slowdowns = sorted(ratio / expected - 1 for ratio in ratios)
    beyond = _num_beyond(len(slowdowns))
    low, high = (
        (slowdowns[beyond], slowdowns[-1 - beyond]) if beyond >= 0 else (-math.inf, math.inf)
    )
    state: State = "slower" if low > tolerance else "fine" if high < tolerance else "undecided"
    return Verdict(state, statistics.median(slowdowns), low, high)


def _num_beyond(num_rounds: int) -> int:
    """Return how many of the smallest rounds lie below the lower bound; -1 if there is no bound."""
    total, beyond = 0, -1
    for count in range(num_rounds):
        total += math.comb(num_rounds, count)
        if total > (1 - CONFIDENCE) * 2**num_rounds:
            break
        beyond = count
    return beyond
