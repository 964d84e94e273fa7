"""Out-of-bag concordance of a forest: rows that it cannot tell apart tie.

Out of bag, customers alike in all features are answered by different trees, each by those without its own outcome. Who left
early then scores low, only because it is not among its own neighbours, and the concordance among such customers is far
below 1/2, where it must be 1/2: no model can order them (the negative bias of leave-one-out for rankings, Airola et al.
2011, Comput. Stat. Data Anal. 55). So pairs in the same cell of every feature count as ties. Their scores are not averaged:
a mean over few customers holds, by way of the others, each one's own outcome again, and flatters the forest.

The variance is twice that of a score given from outside, as customers also grew the trees that judge the others: where nothing
is to be learnt the concordance is a degenerate U-statistic, see :mod:`churnsurv.estimators.importance`. Where there is much
to be learnt this is too much, and the interval wide.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.estimators.forest_rows import binned, mixed
from churnsurv.exceptions import SmallSampleWarning
from churnsurv.metrics import concordance_index
from churnsurv.metrics.discrimination import concordance_interval
from churnsurv.metrics.scorers import concordance_scorer
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate

if TYPE_CHECKING:
    from churnsurv.estimators.forest import RandomSurvivalForest

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: by what the sampling variance is multiplied, as customers are both judged and among those the others are judged by
ROLES = 2.0


def profiles(forest: RandomSurvivalForest, numbers: Floats) -> Ints:
    """Give rows (n, p) in the same cell of every feature the same code (n,)."""
    key = np.zeros(len(numbers), dtype=np.uint64)
    for column in binned(numbers, forest.bin_edges_):
        key = mixed(key, column)
    return np.unique(key, return_inverse=True)[1].astype(np.int64)


def oob_concordance(
    y: Outcome,
    score: Floats,
    profile: Ints,
    cause: str,
    *,
    weight: Floats | None = None,
    tau: float | None = None,
    level: float = 0.95,
) -> Estimate:
    """Estimate Harrell's concordance of out-of-bag scores (n,), pairs of the same `profile` (n,) counted as ties."""
    with warnings.catch_warnings():
        # of a concordance of 0 or 1, which ties may not be
        warnings.simplefilter("ignore", SmallSampleWarning)
        plain = concordance_index(y, score, cause=cause, sample_weight=weight, tau=tau, level=level)
    rows = np.arange(len(y)) if weight is None else np.flatnonzero(weight > 0)
    counted, row_weight = y[rows], np.ones(len(y)) if weight is None else weight[rows]
    value, influence = concordance_scorer(counted, cause, row_weight, tau)(score[rows], profile[rows])
    sums = np.bincount(pd.factorize(counted.subject)[0], influence)
    se = float(np.sqrt(ROLES * (sums @ sums)))
    lower, upper = concordance_interval(value, se, level)
    method = f"{plain.method}; rows alike in all features tie; variance doubled (they also grew each other's trees)"
    return replace(plain, value=value, se=se, lower=lower, upper=upper, method=method)
