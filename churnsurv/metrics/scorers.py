"""Metrics of many predictions for the same outcome, which is laid out once: values and the rows' influence on them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.kernels.buckets import lay_buckets
from churnsurv.kernels.concordance import Pairs, count_pairs
from churnsurv.metrics.brier import score_at
from churnsurv.metrics.discrimination import value_and_influence
from churnsurv.metrics.ipcw import scored_cohort
from churnsurv.outcome import Outcome
from churnsurv.rows import meant_times

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def concordance_scorer(
    y: Outcome, cause: str, weight: Floats, tau: float | None = None
) -> Callable[[Floats, Ints | None], tuple[float, Floats]]:
    """Give a function from scores (n,) to Harrell's concordance and each row's influence on it.

    What :func:`churnsurv.metrics.concordance_index` gives for `weight` (n,) above 0; the outcome is not checked again. With a
    second argument, codes (n,), pairs of rows of the same code count as ties.
    """
    is_event = np.asarray(y.event == y.cause_code(cause))
    if tau is not None:
        is_event &= y.stop <= float(meant_times(np.array([tau]), y)[0])
    entry = None if y.from_origin else y.start
    buckets, first, last, death = lay_buckets(entry, y.stop, is_event, None, 1)
    time_weight = np.ones(len(buckets.time))

    def scored(score: Floats, alike: Ints | None = None) -> tuple[float, Floats]:
        pairs = count_pairs(score, first, last, death, weight, time_weight)
        return value_and_influence(pairs if alike is None else tied(pairs, score, alike), weight)

    def tied(pairs: Pairs, score: Floats, alike: Ints) -> Pairs:
        codes, size = np.unique(alike, return_inverse=True, return_counts=True)[1:]
        rows = np.flatnonzero(size[codes] > 1)
        own_entry = None if entry is None else entry[rows]
        of = pd.factorize(codes[rows])[0].astype(np.int64)
        n_codes = int(of.max(initial=-1)) + 1
        own, own_first, own_last, own_death = lay_buckets(own_entry, y.stop[rows], is_event[rows], of, n_codes)
        if not len(own.time):
            return pairs
        within = count_pairs(score[rows], own_first, own_last, own_death, weight[rows], np.ones(len(own.time)))
        net = pairs.net_of_row.copy()
        net[rows] -= within.net_of_row
        return pairs._replace(
            concordant=pairs.concordant - within.concordant,
            discordant=pairs.discordant - within.discordant,
            net_of_row=net,
        )

    return scored


def brier_scorer(y: Outcome, horizon: float, cause: str, weight: Floats) -> Callable[[Floats], tuple[float, Floats]]:
    """Give a function from risks (n,) at `horizon` to the Brier score and each row's influence on it.

    What :func:`churnsurv.metrics.brier_score` gives for `weight` (n,) above 0 and the censoring of y.
    """
    horizons = meant_times(np.array([horizon]), y)
    cohort = scored_cohort(y, horizons, cause, None, weight, None, "the Brier score")

    def scored(risk: Floats) -> tuple[float, Floats]:
        score = score_at(cohort, risk, float(horizons[0]))
        return score.value, score.influence

    return scored
