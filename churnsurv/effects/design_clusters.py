r"""Inference with few clusters that are strata of a Cox model: a jackknife by cluster and a permutation of switch dates.

With the clusters as strata the log likelihood is a sum over clusters, with score :math:`U_g` and information :math:`I_g` of
each. Leaving cluster g out moves the estimate by about :math:`\delta_g = (I - I_g)^{-1} U_g`, one Newton step from the
estimate of all. The jackknife variance :math:`(G-1)/G \sum_g \delta_g \delta_g'` is the bias-corrected sandwich of Mancl and
DeRouen (2001; for Cox models Wang, Turner and Li 2023), the "CR3" of regression, up to its factor (G − 1)/G; with it go the
quantiles of Student's t with G − 1 degrees of freedom.

If the order in which clusters switch was random, every other order was as likely, and under no effect at all the exits would
have been the same. The permutation test compares the score statistic of the order that happened with those of others; its
level is right for any number of clusters and any dependence within them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.estimators.cox import CoxPH
from churnsurv.estimators.cox_state import seen
from churnsurv.exceptions import NotIdentifiedError
from churnsurv.kernels.cox import Buckets, Shard, gradient, one_shard
from churnsurv.kernels.newton import Problem, evaluate, information_at
from churnsurv.messages import first_of
from churnsurv.outcome import Outcome

Floats = NDArray[np.float64]
#: a condition number beyond which the information of the other clusters is taken for singular
SINGULAR = 1e12


class Jackknife(NamedTuple):
    """Change of each coefficient by leaving out each cluster (G, p), with G the clusters that have an event."""

    change: Floats
    clusters: NDArray[np.object_]

    def covariance(self) -> Floats:
        """Give the jackknife covariance (p, p)."""
        n = len(self.change)
        return np.asarray((n - 1) / n * self.change.T @ self.change)


def jackknife_by_stratum(model: CoxPH, X: pd.DataFrame, y: Outcome, strata: NDArray[np.object_]) -> Jackknife:
    """Leave each stratum of a fitted model out, by one Newton step.

    Raises
    ------
    NotIdentifiedError
        Without one of the strata the coefficients are not identified.
    """
    at = seen(model, X, y, strata=strata)
    shard, buckets, to_own = at.data.shard, at.data.buckets, at.data.scale
    # codes of strata are in the order of their sorted labels
    labels, code = np.unique(strata, return_inverse=True)
    with_event = np.unique(code[at.rows.event])
    clusters = labels[with_event]
    score, information = [], []
    for g in with_event:
        part = _stratum(at.data.problem, shard, buckets, int(g), np.flatnonzero(code == g))
        state = evaluate(part, at.state.beta)
        score.append(gradient(state.sums, state.terms) * to_own)
        information.append(information_at(part, state) * np.outer(to_own, to_own))
    total = np.sum(information, axis=0)
    spread = np.sqrt(np.diag(total))
    change = np.empty((len(clusters), len(total)))
    for g, cluster in enumerate(clusters):
        rest = (total - information[g]) / np.outer(spread, spread)
        if not np.linalg.cond(rest) < SINGULAR:
            raise NotIdentifiedError(
                f"The effect rests on {first_of([repr(cluster)])} alone: without it nothing can be compared, so that its "
                "variance cannot be estimated. More clusters have to switch inside the observed time."
            )
        change[g] = np.linalg.solve(rest, score[g] / spread) / spread
    return Jackknife(change, clusters)


def _stratum(problem: Problem, shard: Shard, buckets: Buckets, g: int, rows: NDArray[np.int64]) -> Problem:
    """Give the likelihood of one stratum's rows alone."""
    begin, end = int(buckets.begin[g]), int(buckets.begin[g + 1])
    death = shard.death[rows]
    part = Shard(
        np.ascontiguousarray(shard.x[rows]),
        (shard.first[rows] - begin).astype(shard.first.dtype),
        (shard.last[rows] - begin).astype(shard.last.dtype),
        np.where(death >= 0, death - begin, -1).astype(death.dtype),
        shard.weight[rows],
        shard.offset[rows],
    )
    layout = Buckets(
        buckets.time[begin:end],
        np.zeros(end - begin, buckets.stratum.dtype),
        np.array([0, end - begin], buckets.begin.dtype),
        buckets.late,
    )
    return problem._replace(mr=one_shard(part), buckets=layout)


class Permutation(NamedTuple):
    """Score statistic less its mean over all orders, in standard deviations of the orders drawn, and the p-value."""

    statistic: float
    p_value: float
    n_drawn: int


def permuted_orders(
    residual: Floats, switched: NDArray[np.bool_], n_permutations: int, rng: np.random.Generator
) -> Permutation:
    """Test no effect by permuting which cluster has which switch date.

    Parameters
    ----------
    residual : (G, M)
        Events less expected events of a model without the intervention, by cluster and calendar period.
    switched : (G, M)
        Whether the cluster had switched.

    Notes
    -----
    The statistic of an order π, Σ_g Σ_m switched[π(g), m] residual[g, m], is a sum of G entries of one G × G matrix.
    """
    by_order = residual @ switched.T.astype(np.float64)
    own = np.arange(len(by_order))
    centre = float(by_order.mean(axis=1).sum())
    observed = float(by_order[own, own].sum()) - centre
    drawn = np.array([by_order[own, rng.permutation(len(own))].sum() - centre for _ in range(n_permutations)])
    # orders that swap clusters of one date give the same statistic, up to rounding
    beyond = int(np.count_nonzero(np.abs(drawn) >= abs(observed) * (1 - 1e-9)))
    spread = float(np.sqrt(np.mean(drawn**2)))
    return Permutation(observed / spread if spread > 0 else 0.0, (1 + beyond) / (1 + n_permutations), n_permutations)


def sums_by_cell(values: Floats, row: NDArray[np.int64], column: NDArray[np.int64], shape: tuple[int, int]) -> Floats:
    """Sum values into the cells of a matrix."""
    total = np.bincount(row * shape[1] + column, values, shape[0] * shape[1])
    return total.astype(np.float64).reshape(shape)
