r"""Default estimates of a design: hazard ratio by Cox's model, risk difference by Aalen–Johansen with clusters across arms.

The influence of a row on a cumulative incidence :math:`F_k(\tau) = \sum_{t \le \tau} S(t-) \lambda_k(t)` is its derivative by
the row's weight (infinitesimal jackknife). With :math:`Y(t)` at risk and :math:`\lambda` the hazard of leaving by any cause,

.. math:: w_i \sum_{t \le \tau} Y_i(t) \Big\{ \frac{S(t-)}{Y(t)} [dN_{ik}(t) - \lambda_k(t)]
          - \frac{F_k(\tau) - F_k(t)}{(1 - \lambda(t))\, Y(t)} [dN_i(t) - \lambda(t)] \Big\}.

Summed by cluster over both arms it gives variances of differences in which a customer's loans may stand in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, ndtri

from churnsurv.data.frames import selected
from churnsurv.effects.design import StudyCohort, require_columns_of
from churnsurv.estimators.cox import CoxPH
from churnsurv.exceptions import DataError, TooFewEventsError
from churnsurv.messages import confidence_level, counted, first_of, one_number
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate, TestResult
from churnsurv.rows import meant_times, row_weights

Floats = NDArray[np.float64]


class Contrast(NamedTuple):
    """A difference of risks and each row's influence on it (n,)."""

    value: float
    influence: Floats
    n_events: int

    def cluster_sums(self, cluster: NDArray[Any]) -> Floats:
        """Give the influence of each cluster (G,)."""
        codes = np.unique(cluster, return_inverse=True)[1]
        return np.bincount(codes, self.influence).astype(np.float64)

    def se(self, cluster: NDArray[Any]) -> float:
        """Give the standard error, summed by cluster."""
        return float(np.linalg.norm(self.cluster_sums(cluster)))


def incidence_influence(y: Outcome, code: int, horizon: float, weight: Floats) -> tuple[float, Floats]:
    """Give the cumulative incidence of a cause at a horizon and the influence of each row (n,), see the module."""
    event = (y.event > 0) & (y.stop <= horizon) & (weight > 0)
    times, at = np.unique(y.stop[event], return_inverse=True)
    # rows at risk at times[k] are those with entry < times[k] <= stop: positions low <= k < high
    low, high = np.searchsorted(times, y.entry, "right"), np.searchsorted(times, y.stop, "right")
    high = np.maximum(low, high)
    steps = np.bincount(low, weight, len(times) + 1) - np.bincount(high, weight, len(times) + 1)
    at_risk = np.cumsum(steps)[:-1]
    of_cause = y.event[event] == code
    hazard = np.bincount(at, weight[event], len(times)) / at_risk
    cause_hazard = np.bincount(at, weight[event] * of_cause, len(times)) / at_risk
    before = np.concatenate(([1.0], np.cumprod(1 - hazard)))[:-1]
    incidence = np.cumsum(before * cause_hazard)
    total = float(incidence[-1]) if len(times) else 0.0
    own = before / at_risk
    remaining = np.maximum(1 - hazard, np.finfo(np.float64).tiny)
    lost = np.where(hazard < 1, -(total - incidence) / (remaining * at_risk), 0.0)
    expected = np.concatenate(([0.0], np.cumsum(own * cause_hazard + lost * hazard)))
    influence = expected[low] - expected[high]
    influence[event] += own[at] * of_cause + lost[at]
    return total, weight * influence


def risk_contrast(cohort: StudyCohort, cause: str, horizon: float, sample_weight: ArrayLike | None = None) -> Contrast:
    """Give the difference of risks, treated minus control; controls are weighted to the strata of the treated.

    With several strata (dates of time zero, loan ages), a control counts as many times as there are treated per control in its
    stratum; rows of strata with one arm alone do not count.
    """
    y, code = cohort.y, cohort.y.cause_code(cause)
    horizon = float(meant_times(np.array(one_number(horizon, "horizon")), y))
    given = row_weights(sample_weight, len(y))
    weight = stratum_weights(cohort, np.ones(len(y)) if given is None else given)
    if horizon <= 0:
        raise DataError(f"horizon={horizon:g}: give a time after time zero, such as 12.")
    risks, influence = {}, np.zeros(len(y))
    for label, sign in ((cohort.treated, 1.0), (cohort.control, -1.0)):
        rows = np.flatnonzero(cohort.arm == label)
        _refuse_beyond(y, rows, horizon, label)
        risks[label], part = incidence_influence(y[rows], code, horizon, weight[rows])
        influence[rows] = sign * part
    n_events = int(np.sum((y.event == code) & (y.stop <= horizon)))
    return Contrast(risks[cohort.treated] - risks[cohort.control], influence, n_events)


def stratum_weights(cohort: StudyCohort, weight: Floats) -> Floats:
    """Give weights by which the controls are as many as the treated in each stratum."""
    codes = np.unique(cohort.strata, return_inverse=True)[1]
    treated, size = cohort.arm == cohort.treated, int(codes.max()) + 1
    n_treated, n_control = (np.bincount(codes[rows], weight[rows], size) for rows in (treated, ~treated))
    per_control = n_treated / np.where(n_control > 0, n_control, 1.0)
    return np.where(treated, (n_control > 0)[codes], per_control[codes]) * weight


def _refuse_beyond(y: Outcome, rows: NDArray[np.int64], horizon: float, label: str) -> None:
    last = float(y.stop[rows].max())
    if horizon > last:
        raise DataError(
            f"Horizon {horizon:g} is past the last time with data of arm {label!r} ({last:g}): the risk there is not "
            f"estimable. Ask for at most {last:g}, or wait."
        )


def risk_difference_of(
    cohort: StudyCohort, cause: str, horizon: float, level: float, sample_weight: ArrayLike | None = None
) -> Estimate:
    """Give the difference of the risks of leaving by a cause within a horizon, with its normal interval."""
    contrast = risk_contrast(cohort, cause, horizon, sample_weight)
    se = contrast.se(cohort.cluster)
    half = float(ndtri((1 + confidence_level(level)) / 2)) * se
    return Estimate(
        name=f"Difference of the risk of {cause} within {horizon:g}, {cohort.treated} - {cohort.control}",
        value=contrast.value,
        se=se,
        lower=contrast.value - half,
        upper=contrast.value + half,
        level=level,
        n=cohort.y.n_subjects,
        n_events=contrast.n_events,
        method="Aalen-Johansen by arm; infinitesimal-jackknife variance by cluster; normal interval"
        + ("; sampling weights, taken as known" if sample_weight is not None else ""),
    )


def names_of(adjust: str | Sequence[str]) -> list[str]:
    """Give the columns adjusted for; a text is one name."""
    return [adjust] if isinstance(adjust, str) else list(adjust)


def arm_and_covariates(cohort: StudyCohort, adjust: Sequence[str]) -> pd.DataFrame:
    """Give the indicator of the treated arm, ``treated``, and the covariates adjusted for."""
    named = names_of(adjust)
    require_columns_of(cohort.X, named)
    if "treated" in named:
        raise DataError("A covariate is called 'treated', as the indicator of the arm is: rename the column.")
    return pd.concat([pd.DataFrame({"treated": cohort.is_treated}), cohort.X[named].reset_index(drop=True)], axis=1)


def refuse_arm_without_event(cohort: StudyCohort, cause: str) -> int:
    """Count the events of a cause; refuse an arm that has none: its hazard ratio is 0 or infinite."""
    event = cohort.y.event == cohort.y.cause_code(cause)
    without = [label for label in (cohort.treated, cohort.control) if not event[cohort.arm == label].any()]
    if without:
        raise TooFewEventsError(
            f"No {cause} in arm {first_of(map(repr, without))} ({counted(int(event.sum()), 'event')} in all): the hazard "
            "ratio is not estimable. Report the risk difference, or follow longer."
        )
    return int(event.sum())


def hazard_ratio_of(
    cohort: StudyCohort,
    cause: str,
    level: float,
    adjust: Sequence[str] = (),
    sample_weight: ArrayLike | None = None,
) -> Estimate:
    """Give the hazard ratio, treated to control, by Cox's model stratified by date and robust by cluster.

    ``se`` is that of the ratio by the delta method; the interval is symmetric for its logarithm.
    """
    n_events = refuse_arm_without_event(cohort, cause)
    weight = row_weights(sample_weight, len(cohort.y))
    kept = in_strata_with_exits(cohort, cause)
    if not kept.all():
        cohort, weight = part_of(cohort, kept, names_of(adjust)), None if weight is None else weight[kept]
    several = len(np.unique(cohort.strata)) > 1
    model = CoxPH(cause=cause, weight_type="case" if weight is None else "sampling").fit(
        arm_and_covariates(cohort, adjust),
        cohort.y,
        strata=cohort.strata if several else None,
        cluster=cohort.cluster,
        sample_weight=weight,
    )
    words = [
        "Cox model (Efron)",
        f"stratified ({len(np.unique(cohort.strata))} strata of date and loan age)" if several else "unstratified",
    ]
    words += [f"adjusted for {first_of(names_of(adjust), 40)}"] if len(adjust) else []
    words += ["sampling weights, taken as known"] if weight is not None else []
    log, se = float(model.coef_["treated"]), float(np.sqrt(model.covariance_.to_numpy()[0, 0]))
    quantile = float(ndtri((1 + confidence_level(level)) / 2))
    method = "; ".join([*words, "sandwich variance by cluster", "log-normal interval"])
    return ratio_estimate(cohort, cause, log, se, quantile, level, n_events, method)


def ratio_estimate(
    cohort: StudyCohort, cause: str, log: float, se: float, quantile: float, level: float, n_events: int, method: str
) -> Estimate:
    """Put a log hazard ratio and its standard error into words and an interval."""
    return Estimate(
        name=f"Hazard ratio of {cause}, {cohort.treated} / {cohort.control}",
        value=float(np.exp(log)),
        se=float(np.exp(log)) * se,
        lower=float(np.exp(log - quantile * se)),
        upper=float(np.exp(log + quantile * se)),
        level=level,
        n=cohort.y.n_subjects,
        n_events=n_events,
        method=method,
    )


def wald_test_of(cohort: StudyCohort, cause: str, found: Estimate) -> TestResult:
    """Test whether a hazard ratio is 1, by the standard error of its logarithm."""
    z = float(np.log(found.value)) * found.value / found.se
    return TestResult(
        name="Wald test of the hazard ratio",
        statistic=z**2,
        df=1,
        p_value=float(chdtrc(1, z**2)),
        method=found.method,
        estimand=f"equal hazards of {cause}, {cohort.treated} and {cohort.control}, given what is adjusted for",
        n=found.n,
        n_events=found.n_events,
    )


def part_of(cohort: StudyCohort, kept: NDArray[np.bool_], columns: Sequence[str] | None = None) -> StudyCohort:
    """Give some rows of a cohort, and of its covariates those named; its counts stay those of the whole."""
    rows = np.flatnonzero(kept)
    if columns is not None:
        require_columns_of(cohort.X, columns)
    return replace(
        cohort,
        y=cohort.y[rows],
        arm=cohort.arm[rows],
        X=selected(cohort.X if columns is None else cohort.X[list(columns)], kept),
        strata=cohort.strata[rows],
        cluster=cohort.cluster[rows],
        calendar=cohort.calendar[rows],
        uptake=None if cohort.uptake is None else cohort.uptake[rows],
    )


def in_strata_with_exits(cohort: StudyCohort, cause: str) -> NDArray[np.bool_]:
    """Tell which rows are of strata with an exit by the cause; the others say nothing about ratios."""
    stratum, labels = pd.factorize(cohort.strata, use_na_sentinel=False)
    has_exit = np.zeros(len(labels), dtype=bool)
    has_exit[stratum[cohort.y.event == cohort.y.cause_code(cause)]] = True
    return np.asarray(has_exit[stratum])


def causes_asked(cohort: StudyCohort, cause: str, safety: str | None) -> list[str]:
    """Give the main cause and the safety endpoint; both must be causes of the outcome."""
    asked = [cause] if safety is None or safety == cause else [cause, safety]
    for name in asked:
        cohort.y.cause_code(name)
    return asked
