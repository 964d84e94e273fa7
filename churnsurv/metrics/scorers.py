"""Metrics of many predictions for the same outcome, which is laid out once: values and the rows' influence on them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from churnsurv.kernels.buckets import lay_buckets
from churnsurv.kernels.concordance import count_pairs
from churnsurv.metrics.brier import score_at
from churnsurv.metrics.discrimination import value_and_influence
from churnsurv.metrics.ipcw import scored_cohort
from churnsurv.outcome import Outcome
from churnsurv.rows import meant_times

Floats = NDArray[np.float64]


def concordance_scorer(y: Outcome, cause: str, weight: Floats) -> Callable[[Floats], tuple[float, Floats]]:
    """Give a function from scores (n,) to Harrell's concordance and each row's influence on it.

    What :func:`churnsurv.metrics.concordance_index` gives for `weight` (n,) above 0; the outcome is not checked again.
    """
    is_event = np.asarray(y.event == y.cause_code(cause))
    buckets, first, last, death = lay_buckets(None if y.from_origin else y.start, y.stop, is_event, None, 1)
    time_weight = np.ones(len(buckets.time))

    def scored(score: Floats) -> tuple[float, Floats]:
        return value_and_influence(count_pairs(score, first, last, death, weight, time_weight), weight)

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
