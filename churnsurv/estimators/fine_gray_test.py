r"""Do subdistribution hazard ratios change over time? A score test in Fine and Gray's weighted likelihood.

Adding the covariates :math:`x\,g(t)` with coefficients θ, the score at θ = 0 is
:math:`U_2 = \sum_{exits} g (x - \bar x)`, whose derivative by β is :math:`-I_{21} = -\sum g V` with V the covariance of x in
the weighted risk sets. As the weighted likelihood's information is no variance, that of :math:`U_2` at :math:`\hat β` is
taken from its influences :math:`u_2 - I_{21} I_{11}^{-1} u_1`, which are summed by subject or cluster. O(n p²).

References: Grambsch and Therneau (1994), Biometrika 81; Lin and Wei (1989), J. Am. Stat. Assoc. 84; Zhou, Fine and Laird
(2013), Stat. Med. 32 (for the subdistribution hazard).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2

from churnsurv.estimators.fine_gray_fit import Laid, scores
from churnsurv.exceptions import DataError
from churnsurv.kernels.cox import Terms, gradient
from churnsurv.kernels.newton import State, information_at

Floats = NDArray[np.float64]


def score_test(fit: Laid, state: State, terms: list[str], transform: str, weighted: bool) -> pd.DataFrame:
    """Give the test of each coefficient and of all (GLOBAL): columns statistic, df, p_value."""
    g = _transformed(transform, fit, state)
    problem = fit.data.problem
    information = information_at(problem, state)
    scaled = state._replace(terms=Terms(*(g * term for term in state.terms)))
    mixed = information_at(problem, scaled)
    by_cluster = scores(fit, state, weighted, g) - scores(fit, state, weighted) @ np.linalg.solve(information, mixed)
    died = np.flatnonzero(fit.data.shard.death >= 0)
    shard = fit.data.shard
    event_x = (shard.weight[died] * g[shard.death[died]]) @ shard.x[died]
    score = gradient(state.sums._replace(event_x=event_x), scaled.terms)
    # at the estimate the score of β is zero up to rounding; the projection removes what is left
    score = score - mixed.T @ np.linalg.solve(information, gradient(state.sums, state.terms))
    variance = by_cluster.T @ by_cluster
    single = score**2 / np.diag(variance)
    together = float(score @ np.linalg.lstsq(variance, score, rcond=None)[0])
    rank = int(np.linalg.matrix_rank(variance, hermitian=True))
    frame = pd.DataFrame(
        {"statistic": [*single, together], "df": [1] * len(terms) + [rank]},
        index=pd.Index([*terms, "GLOBAL"], name="term"),
    )
    frame["p_value"] = chi2.sf(frame["statistic"], frame["df"])
    return frame


def _transformed(transform: str, fit: Laid, state: State) -> Floats:
    """Give g at the event times, from 0 up (the test does not depend on the origin of g, and needs g ≥ 0)."""
    time, weight = fit.data.buckets.time, state.sums.death_weight
    order = np.argsort(time, kind="stable")
    if transform == "km":
        distinct, of = np.unique(time, return_inverse=True)
        # all strata together; the risk sets at β = 0 hold the weighted competing rows too
        died = np.bincount(of, weight)
        at_risk = _weight_at_risk(fit, distinct)
        g = (1 - np.concatenate(([1.0], np.cumprod(1 - died / at_risk)))[:-1])[of]
    elif transform == "identity":
        g = time.copy()
    elif transform == "rank":
        total = np.cumsum(weight[order])
        g = np.empty(len(time))
        g[order] = total - weight[order] / 2
        distinct, of = np.unique(time, return_inverse=True)
        g = (np.bincount(of, g * weight) / np.bincount(of, weight))[of]
    elif transform == "log":
        if time.min() <= 0:
            raise DataError("transform='log' needs event times above 0; use 'identity', 'rank' or 'km'.")
        g = np.log(time)
    else:
        raise DataError(f"transform={transform!r} is not known: use one of ['km', 'identity', 'rank', 'log'].")
    return np.asarray(g - g.min())


def _weight_at_risk(fit: Laid, times: Floats) -> Floats:
    """Give the weight at risk of the subdistribution at the times, over all strata."""
    spells, competing = fit.spells, fit.competing
    entry, stop = np.sort(spells.entry), np.sort(spells.stop)
    by_entry, by_stop = (spells.weight[np.argsort(v, kind="stable")] for v in (spells.entry, spells.stop))
    entered = np.concatenate(([0.0], np.cumsum(by_entry)))[np.searchsorted(entry, times)]
    gone = np.concatenate(([0.0], np.cumsum(by_stop)))[np.searchsorted(stop, times)]
    at_risk = entered - gone
    for g, step in enumerate(fit.steps):
        mine = competing.group == g
        left = spells.stop[competing.row[mine]]
        order = np.argsort(left, kind="stable")
        mass = np.concatenate(([0.0], np.cumsum(competing.mass[mine][order])))
        at_risk = at_risk + step.weight_at(times) * mass[np.searchsorted(left[order], times)]
    return np.asarray(at_risk)
