"""The index of prediction accuracy: by how much predictions beat telling everybody the same risk.

    IPA(t) = 1 − BS(t) / BS₀(t)

with BS₀ the Brier score of the null model, the Aalen–Johansen estimate of the same rows for everybody (Kattan and Gerds 2018;
Graf et al. 1999 call it the explained residual variation). 0: no better than the null model, 1: perfect, below 0: harmful.

The standard error is the delta method's, −φ/BS₀ + φ₀ BS/BS₀² for the influences φ, φ₀ of the rows on the two scores. φ₀ holds
the estimation of the null risk too, dBS₀/dF₀ = −2 Σ w W (1{left} − F₀) / Σ w times the influence on Aalen–Johansen. With the
censoring by the Kaplan–Meier of the same rows that derivative is 0, since F₀ is then the mean that minimises BS₀.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from churnsurv.curves import Curves
from churnsurv.exceptions import NotIdentifiedError
from churnsurv.kernels.nonparametric import RiskTable, cumulative_incidence, kaplan_meier, risk_table
from churnsurv.kernels.times import step_values
from churnsurv.messages import confidence_level
from churnsurv.metrics.brier import Score, score_at, time_shares
from churnsurv.metrics.ipcw import (
    Cohort,
    events_in,
    known_by,
    predicted_risk,
    read_horizons,
    sandwich_error,
    scored_cohort,
    weighting_in_words,
)
from churnsurv.nonparametric import CensoringModel
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate
from churnsurv.rows import as_outcome, meant_times

Floats = NDArray[np.float64]


def index_of_prediction_accuracy(
    y: Outcome | NDArray[Any],
    curves_or_risk: Curves | ArrayLike,
    times: float | ArrayLike,
    *,
    cause: str | None = None,
    integrated: bool = False,
    censoring: CensoringModel | None = None,
    sample_weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> Estimate | pd.DataFrame:
    """Estimate by which share predictions reduce the Brier score of the null model (IPA; 1 is perfect, 0 useless).

    Parameters
    ----------
    y, curves_or_risk, times, cause, censoring, sample_weight, cluster, level
        As of :func:`churnsurv.metrics.brier_score`, with its errors.
    integrated : bool
        One index of the scores averaged over the span of the `times`, 1 − IBS/IBS₀, as
        :func:`churnsurv.metrics.integrated_brier_score` averages them.

    Returns
    -------
    Estimate for a single number or an integral, else a frame with one row per time
        ``time`` and the fields of Estimate. The standard error includes the null model's own estimation; the interval is
        value ± z·se, its upper end cut to 1.

    Raises
    ------
    NotIdentifiedError
        The null model is never wrong (everybody has left by the horizon): there is nothing to improve on.

    References
    ----------
    Kattan, Gerds (2018) Diagnostic and Prognostic Research 2:7. Graf, Schmoor, Sauerbrei, Schumacher (1999) Stat Med 18:2529.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[3, 5, 8, 12], event=[1, 1, 0, 1])
    >>> round(cs.metrics.index_of_prediction_accuracy(y, [0.9, 0.7, 0.2, 0.1], 6).value, 4)
    0.85
    """
    level, y, asked = confidence_level(level), as_outcome(y), read_horizons(times)
    horizons = meant_times(asked, y)
    share = time_shares(horizons) if integrated else None
    cohort = scored_cohort(y, horizons, cause, censoring, sample_weight, cluster, "the index of prediction accuracy")
    risk = predicted_risk(curves_or_risk, y, cohort, horizons)
    scores = [score_at(cohort, risk[:, k], t) for k, t in enumerate(horizons.tolist())]
    nulls = null_scores(cohort, horizons)
    if share is not None:
        name = f"Integrated index of prediction accuracy, {horizons[0]:g} to {horizons[-1]:g}"
        return _index(name, _average(scores, share), _average(nulls, share), level, cohort, float(horizons[-1]))
    found = [
        _index(f"Index of prediction accuracy at {t:g}", score, null, level, cohort, t)
        for t, score, null in zip(horizons.tolist(), scores, nulls, strict=True)
    ]
    if np.ndim(times) == 0:
        return found[0]
    table = pd.concat([estimate.to_frame() for estimate in found], ignore_index=True)
    table.insert(0, "time", asked)
    return table


def null_scores(cohort: Cohort, horizons: Floats) -> list[Score]:
    """Give the Brier scores of the Aalen–Johansen estimate of the rows, with its estimation in their influence."""
    y, weight = cohort.y, cohort.weight
    table = risk_table(y.entry, y.stop, y.event, weight, len(y.causes), np.zeros(len(y), dtype=bool))
    code = y.cause_code(cohort.cause)
    incidence = cumulative_incidence(table, kaplan_meier(table).survival)[code - 1]
    found = []
    for t, risk in zip(horizons.tolist(), step_values(table.times, incidence, horizons, before=0.0), strict=True):
        score = score_at(cohort, np.full(len(y), risk), t)
        by_then, known = known_by(cohort, t)
        slope = -2 * float(weight @ (known * ((by_then & (y.event == code)) - risk))) / float(weight.sum())
        influence = score.influence + slope * incidence_influence(table, incidence, y.event, code, weight, t)
        found.append(Score(score.value, influence))
    return found


def incidence_influence(
    table: RiskTable, incidence: Floats, event: NDArray[np.int64], code: int, weight: Floats, t: float
) -> Floats:
    """Give what each row moves the Aalen–Johansen estimate F(t) of a cause by, (n,), for rows at risk from 0.

    With h(s), h_k(s) the shares leaving at s by any cause and by this one, and n(s) at risk, the derivative by a row's weight
    is Σ_{s ≤ t} [S(s−) dh_k(s) − (F(t) − F(s)) dh(s)/(1 − h(s))], dh(s) = (1{leaves at s} − 1{at risk at s} h(s))/n(s).
    """
    size = int(np.searchsorted(table.times, t, side="right"))
    n_risk, survival = table.n_risk[:size], kaplan_meier(table).survival[:size]
    hazard, of_cause = table.n_event.sum(axis=0)[:size] / n_risk, table.n_event[code - 1][:size] / n_risk
    until = incidence[size - 1] - incidence[:size] if size else np.empty(0)
    before = np.concatenate(([1.0], survival[:-1])) if size else survival
    # where everybody leaves nothing is left to lose: F(t) = F(s)
    lost = np.divide(until, 1 - hazard, out=np.zeros(size), where=hazard < 1 - 1e-12) / n_risk
    gained = before / n_risk
    passed = np.concatenate(([0.0], np.cumsum(-gained * of_cause + lost * hazard)))
    result = passed[np.minimum(table.exit_at + 1, size)]
    left = (event > 0) & (table.exit_at < size)
    at = table.exit_at[left]
    result[left] += gained[at] * (event[left] == code) - lost[at]
    return np.asarray(weight * result)


def _average(scores: list[Score], share: Floats) -> Score:
    return Score(
        float(sum(weight * score.value for weight, score in zip(share, scores, strict=True))),
        np.sum([weight * score.influence for weight, score in zip(share, scores, strict=True)], axis=0),
    )


def _index(name: str, score: Score, null: Score, level: float, cohort: Cohort, horizon: float) -> Estimate:
    if null.value < 1e-12:
        raise NotIdentifiedError(
            f"By {horizon:g} the null model is never wrong (everybody has left): there is nothing to improve on. Ask for an "
            "earlier horizon."
        )
    ratio = score.value / null.value
    se, units = sandwich_error((ratio * null.influence - score.influence) / null.value, cohort.judged)
    half = float(ndtri((1 + level) / 2)) * se
    return Estimate(
        name=name + (f" of {cohort.cause}" if len(cohort.y.causes) > 1 else ""),
        value=1 - ratio,
        se=se,
        lower=1 - ratio - half,
        upper=min(1 - ratio + half, 1.0),
        level=level,
        n=len(cohort.y),
        n_events=events_in(cohort, horizon),
        method=f"1 - Brier score / that of the Aalen-Johansen estimate; {weighting_in_words(cohort)}; influence function over "
        f"{units}, the null model's estimation included; predictions taken as given",
    )
