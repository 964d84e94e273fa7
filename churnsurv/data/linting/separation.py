"""How well a column tells exits from the rest: what marks imply an exit, and concordance within risk sets.

Both are judged against what an honest covariate could do in a sample of this size, not against chance: a mark must be
purer than one that multiplies the hazard many times, a concordance must stay high at its lower limit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import bdtr

from churnsurv.data.linting.values import Floats

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: an honest mark of a loan multiplies its hazard at most so often; one of a single period (a missed payment) more
OF_LOANS, OF_SPELLS = 5.0, 50.0
#: chance of a false alarm for one mark
RARE = 1e-5
#: share of marked rows without an exit that dirt in the data explains
DIRT = 0.02
#: concordance of no honest covariate, and what its lower limit must exceed
SUSPICIOUS, AT_LEAST = 0.97, 0.92
#: exits that a concordance must rest on, and rows each of them must be compared with
FEWEST_EXITS, FEWEST_OTHERS = 8, 10


class Purity(NamedTuple):
    """Rows with a mark: how many, how many of them end in an exit, how many of the other rows do."""

    marked: int
    exits: int
    others: int
    exits_of_others: int


def implied(mark: Bools, exits: Bools, cohort: Ints, hazard_ratio: float) -> Purity | None:
    """Tell whether a mark implies an exit beyond what a mark known in advance could.

    In a cohort of which the share q stays, of loans that leave h times as readily q**h stay. Marked ones of which hardly
    any stays, and so few that even then the probability is below :data:`RARE`, are marked by the exit. The cohorts
    (vintages, ages) keep apart what all left long ago from what had no time to leave.
    """
    n = int(np.count_nonzero(mark))
    staying = int(np.count_nonzero(mark & ~exits))
    if n == 0 or staying > DIRT * n:
        return None
    if _at_most(staying, _share_staying(exits, cohort)[cohort[mark]] ** hazard_ratio) > RARE:
        return None
    return Purity(n, n - staying, len(mark) - n, int(np.count_nonzero(exits & ~mark)))


def never(mark: Bools, exits: Bools, cohort: Ints, hazard_ratio: float) -> bool:
    """Tell whether marked rows have no exits, though rows whose hazard is `hazard_ratio` times lower would have."""
    found = int(np.count_nonzero(mark & exits))
    if found > DIRT * np.count_nonzero(exits) or not np.any(mark):
        return False
    return _at_most(found, 1 - _share_staying(exits, cohort)[cohort[mark]] ** (1 / hazard_ratio)) <= RARE


def _share_staying(exits: Bools, cohort: Ints) -> Floats:
    n = np.bincount(cohort)
    return np.asarray(1 - np.bincount(cohort[exits], minlength=len(n)) / np.maximum(n, 1))


def _at_most(k: int, probability: Floats) -> float:
    """Give a bound of the probability of at most k successes (Hoeffding 1956: the binomial one of the mean probability)."""
    n, mean = len(probability), float(probability.mean())
    return float(bdtr(k, n, mean)) if k <= n * mean - 1 else 1.0


class Concordance(NamedTuple):
    """Share of pairs (exit, row that stays) of one risk set in which the values tell which is which."""

    value: float
    se: float
    exits: int
    higher: bool

    @property
    def beyond(self) -> bool:
        """Whether no honest covariate tells exits so well, in a sample of this size."""
        return self.value >= SUSPICIOUS and self.value - 3 * self.se >= AT_LEAST and self.exits >= FEWEST_EXITS


class GroupRanks:
    """Mid-ranks of a column within groups, for concordances with several kinds of exits. O(n log n)."""

    def __init__(self, values: Floats, group: Ints) -> None:
        self._known = np.isfinite(values)
        self._group = group[self._known]
        self._rank = pd.Series(values[self._known]).groupby(self._group).rank().to_numpy()
        self._size = np.bincount(self._group)

    def concordance(self, exits: Bools) -> Concordance | None:
        """Give the concordance, in the direction in which it is at least a half (Mann and Whitney, Hanley and McNeil)."""
        exit_ = exits[self._known]
        groups = self._group[exit_]
        n = np.bincount(groups, minlength=len(self._size))
        others = self._size - n
        used = (n > 0) & (others >= FEWEST_OTHERS)
        if not np.any(used):
            return None
        rank_sum = np.bincount(groups, self._rank[exit_], minlength=len(n))
        pairs = float(np.sum((n * others)[used]))
        upper = float(np.sum((rank_sum - n * (n + 1) / 2)[used])) / pairs
        value = max(upper, 1 - upper)
        n_exits = int(n[used].sum())
        return Concordance(value, _standard_error(value, n_exits, pairs / n_exits), n_exits, upper >= 0.5)


def _standard_error(c: float, n: int, others: float) -> float:
    """Give the standard error of an area under the curve (Hanley and McNeil 1982, Radiology 143:29)."""
    q1, q2 = c / (2 - c), 2 * c * c / (1 + c)
    variance = (c * (1 - c) + (n - 1) * (q1 - c * c) + (others - 1) * (q2 - c * c)) / (n * others)
    return float(np.sqrt(max(variance, 0.0)))
