"""Two predictions of the same rows: is one better? Differences of metrics, tested in pairs.

Both metrics are averages over the same customers, so the variance of their difference is that of the **difference of their
influence functions**, which leaves out what both have in common: who happened to leave, and the estimation of the censoring
(DeLong, DeLong and Clarke-Pearson 1988 for the AUC; Blanche et al. 2013 and Gerds and Kattan 2021 with censoring; the
infinitesimal jackknife of Therneau and Watson 2015 for concordances). The predictions are taken as given: made by models
fitted on other customers, or out of fold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.curves import Curves
from churnsurv.messages import confidence_level
from churnsurv.metrics.auc import auc_at, scores_of
from churnsurv.metrics.brier import integrated_at, score_at, time_shares
from churnsurv.metrics.difference import Difference, difference_of
from churnsurv.metrics.discrimination import Weighting, read_pairs, value_and_influence
from churnsurv.metrics.inputs import cluster_sums
from churnsurv.metrics.ipcw import (
    Cohort,
    events_in,
    predicted_risk,
    read_horizons,
    sandwich_error,
    scored_cohort,
    weighting_in_words,
)
from churnsurv.nonparametric import CensoringModel
from churnsurv.outcome import Outcome
from churnsurv.rows import as_outcome, meant_times

Floats = NDArray[np.float64]


def concordance_difference(
    y: Outcome | NDArray[Any],
    risk: ArrayLike,
    other: ArrayLike,
    *,
    cause: str | None = None,
    tau: float | None = None,
    weighting: Weighting = "n",
    censoring: CensoringModel | None = None,
    sample_weight: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> Difference:
    """Estimate the concordance of a score minus that of another, on the same pairs of customers.

    Parameters
    ----------
    y, cause, tau, weighting, censoring, sample_weight, strata, cluster, level
        As of :func:`churnsurv.metrics.concordance_index`, with its errors.
    risk, other : (n,)
        Scores; higher = leaves sooner.

    Returns
    -------
    Difference
        C(risk) − C(other): above 0, `risk` orders customers better. Standard error: infinitesimal jackknife of the
        difference, the weights of the event times taken as known; interval value ± z·se, cut to [−1, 1]. Scores that order
        all pairs alike differ by 0 with standard error 0 and p-value 1, as ``method`` says then.

    References
    ----------
    Therneau, Watson (2015) The concordance statistic and the Cox model, Mayo Clinic technical report 85.
    Kang, Chen, Petrick, Gallas (2015) Stat Med 34:685.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[3, 5, 8, 12, 14], event=[1, 1, 0, 1, 0])
    >>> cs.metrics.concordance_difference(y, [0.9, 0.2, 0.5, 0.1, 0.3], [0.1, 0.8, 0.2, 0.9, 0.3]).value
    0.25
    """
    level = confidence_level(level)
    compared = read_pairs(y, cause, tau, weighting, censoring, sample_weight, strata, cluster)
    scored = [
        value_and_influence(compared.pairs(compared.score(given, name)), compared.judged.weight)
        for given, name in ((risk, "risk"), (other, "other"))
    ]
    sums, units = cluster_sums(scored[0][1] - scored[1][1], compared.judged)
    return difference_of(
        compared.name, [value for value, _ in scored], float(np.sqrt(sums @ sums)), level, compared.n, compared.n_events,
        f"{compared.method}; infinitesimal jackknife of the difference over {units}",
    )  # fmt: skip


def auc_difference(
    y: Outcome | NDArray[Any],
    risk_or_curves: Curves | ArrayLike,
    other: Curves | ArrayLike,
    times: float | ArrayLike,
    *,
    cause: str | None = None,
    censoring: CensoringModel | None = None,
    sample_weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> Difference | pd.DataFrame:
    """Estimate the AUC of a prediction minus that of another, on the same cases and controls.

    Parameters
    ----------
    y, times, cause, censoring, sample_weight, cluster, level
        As of :func:`churnsurv.metrics.cumulative_dynamic_auc`, with its errors.
    risk_or_curves, other : array (n,) or (n, T), or Curves of n rows

    Returns
    -------
    Difference for a single number, else a frame with one row per time
        AUC of the first minus that of `other`: above 0, the first discriminates better. Columns ``time``, the fields of
        Estimate, ``statistic`` and ``p_value``. Standard errors come from the difference of the influence functions, the
        part due to estimating the censoring included; intervals are value ± z·se, cut to [−1, 1].

    References
    ----------
    Blanche, Dartigues, Jacqmin-Gadda (2013) Stat Med 32:5381. DeLong, DeLong, Clarke-Pearson (1988) Biometrics 44:837.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[3, 5, 8, 12], event=[1, 1, 0, 1])
    >>> cs.metrics.auc_difference(y, [0.9, 0.2, 0.3, 0.1], [0.9, 0.4, 0.3, 0.1], 6).value
    -0.25
    """
    level, y, asked = confidence_level(level), as_outcome(y), read_horizons(times)
    horizons = meant_times(asked, y)
    cohort = scored_cohort(y, horizons, cause, censoring, sample_weight, cluster, "the AUC")
    both = [
        scores_of(risk_or_curves, y, cohort, horizons, "first score"),
        scores_of(other, y, cohort, horizons, "other score"),
    ]
    found = []
    for k, t in enumerate(horizons.tolist()):
        scores = [given[:, min(k, given.shape[1] - 1)] for given in both]
        pair = [auc_at(cohort, score, t) for score in scores]
        found.append(_of_cohort(f"AUC at {t:g}", pair, level, cohort, t))
    return _as_asked(found, times, asked)


def brier_difference(
    y: Outcome | NDArray[Any],
    curves_or_risk: Curves | ArrayLike,
    other: Curves | ArrayLike,
    times: float | ArrayLike,
    *,
    cause: str | None = None,
    censoring: CensoringModel | None = None,
    sample_weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> Difference | pd.DataFrame:
    """Estimate the Brier score of predicted probabilities minus that of others for the same rows.

    Parameters
    ----------
    y, times, cause, censoring, sample_weight, cluster, level
        As of :func:`churnsurv.metrics.brier_score`, with its errors.
    curves_or_risk, other : Curves of n rows, or array (n,) for one time, (n, T) for T times

    Returns
    -------
    Difference for a single number, else a frame with one row per time
        Score of the first minus that of `other`: **below 0, the first is better**. Otherwise as of
        :func:`churnsurv.metrics.auc_difference`.

    References
    ----------
    Gerds, Kattan (2021) Medical Risk Prediction Models, ch. 7. Blanche et al. (2015) Biometrics 71:102.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[3, 5, 8, 12], event=[1, 1, 0, 1])
    >>> round(cs.metrics.brier_difference(y, [0.9, 0.7, 0.2, 0.1], [0.5, 0.5, 0.5, 0.5], 6).value, 4)
    -0.2125
    """
    level, y, asked = confidence_level(level), as_outcome(y), read_horizons(times)
    horizons = meant_times(asked, y)
    cohort = scored_cohort(y, horizons, cause, censoring, sample_weight, cluster, "the Brier score")
    first, second = _two_risks(curves_or_risk, other, y, cohort, horizons)
    found = []
    for k, t in enumerate(horizons.tolist()):
        pair = [score_at(cohort, risk[:, k], t) for risk in (first, second)]
        found.append(_of_cohort(f"Brier score at {t:g}", pair, level, cohort, t))
    return _as_asked(found, times, asked)


def integrated_brier_difference(
    y: Outcome | NDArray[Any],
    curves_or_risk: Curves | ArrayLike,
    other: Curves | ArrayLike,
    times: ArrayLike,
    *,
    cause: str | None = None,
    censoring: CensoringModel | None = None,
    sample_weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> Difference:
    """Estimate the integrated Brier score of predictions minus that of others; **below 0, the first is better**.

    Parameters and errors are those of :func:`churnsurv.metrics.integrated_brier_score`, the variance is that of
    :func:`churnsurv.metrics.brier_difference`.

    Examples
    --------
    >>> import churnsurv as cs, numpy as np
    >>> y = cs.Outcome(stop=[3, 5, 8, 12], event=[1, 1, 0, 1])
    >>> risk = np.array([[0.5, 0.9], [0.3, 0.7], [0.1, 0.2], [0.0, 0.1]])
    >>> same = cs.metrics.integrated_brier_difference(y, risk, risk, [4, 6])
    >>> same.value, same.se, same.p_value
    (0.0, 0.0, 1.0)
    """
    level, y = confidence_level(level), as_outcome(y)
    horizons = meant_times(read_horizons(times), y)
    cohort = scored_cohort(y, horizons, cause, censoring, sample_weight, cluster, "the Brier score")
    share = time_shares(horizons)
    risks = _two_risks(curves_or_risk, other, y, cohort, horizons)
    pair = [integrated_at(cohort, risk, horizons, share) for risk in risks]
    name = f"Integrated Brier score, {horizons[0]:g} to {horizons[-1]:g}"
    return _of_cohort(name, pair, level, cohort, float(horizons[-1]))


def _two_risks(
    first: Curves | ArrayLike, other: Curves | ArrayLike, y: Outcome, cohort: Cohort, horizons: Floats
) -> tuple[Floats, Floats]:
    return (
        predicted_risk(first, y, cohort, horizons, "first prediction"),
        predicted_risk(other, y, cohort, horizons, "other prediction"),
    )


def _of_cohort(
    name: str, pair: Sequence[tuple[float, Floats]], level: float, cohort: Cohort, horizon: float
) -> Difference:
    """Give the difference of two metrics, each with the rows' influence on it."""
    se, units = sandwich_error(pair[0][1] - pair[1][1], cohort.judged)
    name += f" of {cohort.cause}" if len(cohort.y.causes) > 1 else ""
    method = f"{weighting_in_words(cohort)}; difference of influence functions over {units}"
    values = [value for value, _ in pair]
    return difference_of(name, values, se, level, len(cohort.y), events_in(cohort, horizon), method)


def _as_asked(found: list[Difference], times: float | ArrayLike, asked: Floats) -> Difference | pd.DataFrame:
    """Give one record for a number, a frame for a list."""
    if np.ndim(times) == 0:
        return found[0]
    table = pd.concat([difference.to_frame() for difference in found], ignore_index=True)
    table.insert(0, "time", asked)
    return table
