"""Effects by standardisation (the g-formula): every customer predicted in either arm, and the predictions averaged."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from churnsurv.effects.assigned import checked_horizon, events_of_arms
from churnsurv.effects.resampling import Bootstrap, Interval, check_bootstrap, interval_of, normal_interval, resampled
from churnsurv.effects.standardised_rows import Standardised, Whose, last_step, read_standardised
from churnsurv.estimators.cause_specific import CauseSpecificCox
from churnsurv.estimators.cox import CoxPH
from churnsurv.estimators.inputs import requested_times
from churnsurv.estimators.standardise import standardised_curves
from churnsurv.estimators.standardise_causes import average_incidences
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.kernels.times import step_area, step_values
from churnsurv.messages import confidence_level
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Effect = Literal["risk_difference", "risk_ratio", "rmst_difference", "rmtl_difference"]

_NAMES = {
    "risk_difference": "Standardised risk difference",
    "risk_ratio": "Standardised risk ratio",
    "rmst_difference": "Standardised difference of restricted mean time",
    "rmtl_difference": "Standardised difference of restricted mean time lost",
}


def standardised_effect(
    model: Any,
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    arm: str,
    *,
    effect: Effect = "risk_difference",
    horizon: float,
    cause: str | None = None,
    estimand: Whose = "ate",
    reference: Any = None,
    treated: Any = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
    variance: Literal["analytic", "bootstrap"] | None = None,
    interval: Interval = "percentile",
    n_resamples: int = 500,
    random_state: int | None = None,
    n_jobs: int | None = None,
    progress: bool = False,
) -> Estimate:
    """Estimate the effect of an arm under confounding, by a model of leaving that knows the arm and the confounders.

    The model is fitted with the arm as a column; every customer is predicted in either arm, and the difference (or ratio) is
    that of the averages (Robins 1986; Hernán and Robins 2020, chapter 13). It is the effect if, given the other columns of the
    model, who got which arm was as good as random, if every kind of customer was in both arms, and if the model is right;
    weights (:func:`weighted_effect`) need a right model of the assignment instead. Delayed entry is accounted for by the risk
    sets of the fit; the average is over the customers of X.

    Parameters
    ----------
    model : CoxPH, CauseSpecificCox, FineGray, RandomSurvivalForest, or a Pipeline that ends in one
        Cloned and fitted to X and y.
    X : frame or array of n rows
        The arm and the confounders, as known at time zero: constant within subjects.
    y : Outcome or scikit-survival's structured array, of n rows
        On time since assignment.
    arm : str
        The column of X with the arm. More than two arms that are numbers are taken as labels, never as doses; with a formula
        write C(arm).
    effect : {"risk_difference", "risk_ratio", "rmst_difference", "rmtl_difference"}
        Arm against reference. Time lost is the area under the risk.
    horizon : float
        Length of the period, from the time from which customers are watched.
    cause : str, optional
        Risk of leaving by this cause while the others compete; needs a model of all causes or FineGray's of it. Default:
        leaving by any cause (FineGray: its cause).
    estimand : {"ate", "att"}
        Averaged over all customers, or over those in the arm.
    reference, treated : label, optional
        The arm that is compared with (default: the first in sorted order) and the other one, to be named if there are more
        than two.
    cluster : (n,), optional
        Customer of each row, if subjects are loans.
    level : float
        Confidence level.
    variance : {"analytic", "bootstrap"}, optional
        "analytic": the delta method of the fit and of the mean over a sample of customers, of risks by Cox models, of one
        cause (:func:`churnsurv.standardised_curves`) or of all (Ozenne et al. 2020); "bootstrap" by customer, the model fitted
        again in each resample. Default: analytic where there is one.
    interval, n_resamples, random_state, n_jobs, progress
        Of the bootstrap, as in :func:`weighted_effect`.

    Returns
    -------
    Estimate
        ``se`` of a ratio is its own, by the delta method; n and n_events are of both arms, whoever is averaged over.

    Raises
    ------
    DataError
        No such column, cause, arm or option; a subject whose covariates change; a horizon past an arm's follow-up; a model
        without the arm.
    TooFewEventsError
        No event in an arm.
    NotIdentifiedError
        The model is of one cause among several.

    Examples
    --------
    >>> import churnsurv as cs, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> strain = rng.normal(size=400)
    >>> deferral = rng.random(400) < 1 / (1 + np.exp(-strain))
    >>> months = rng.exponential(20 * np.exp(-0.8 * strain + 0.4 * deferral))
    >>> y = cs.Outcome(np.minimum(months, 24), months <= 24)
    >>> X = pd.DataFrame({"strain": strain, "deferral": deferral.astype(int)})
    >>> effect = cs.effects.standardised_effect(cs.CoxPH(), X, y, "deferral", horizon=12)
    >>> bool(effect.lower < effect.value < 0)
    True
    """
    how = Bootstrap(n_resamples, random_state, n_jobs, progress, interval, confidence_level(level))
    check_bootstrap(how)
    asked = read_standardised(model, X, y, arm, cause, estimand, reference, treated, cluster)
    check_standardised(effect, asked)
    everyone = np.ones(len(asked.assigned.y), dtype=bool)
    end = checked_horizon(asked.assigned, horizon, everyone)
    event = asked.assigned.y.event > 0
    if asked.cause is not None:
        event = asked.assigned.y.event == asked.assigned.y.cause_code(asked.cause)
    n_events = events_of_arms(asked.assigned, event, end, everyone, asked.cause)
    log = effect == "risk_ratio"
    words = [f"{type(last_step(model)).__name__}, averaged over {_averaged_over(asked, estimand)}"]
    if _is_analytic(asked, effect, variance):
        value, se, said = _by_influence(asked, end, log, cluster, level)
        lower, upper = normal_interval(value, se, level, log)
    else:
        value = _contrast(*asked.averages(None), effect, asked.assigned.origin, end)
        found = resampled(
            lambda times: np.array([_contrast(*asked.averages(times), effect, asked.assigned.origin, end)]),
            asked.assigned.arms.unit,
            how,
        )
        se, lower, upper = (float(each[0]) for each in interval_of(np.array([value]), found, how, log))
        said = f"{how.words()} with the model fitted again in each"
    one, other = asked.assigned.pair
    of = f" of {asked.cause}" if asked.cause else ""
    return Estimate(
        name=f"{_NAMES[effect]}{of} within {horizon:g}, {one}{' / ' if log else ' - '}{other}",
        value=value,
        se=se * value if log else se,
        lower=float(lower),
        upper=float(upper),
        level=level,
        n=asked.assigned.n_compared,
        n_events=n_events,
        method="; ".join([*words, said]),
    )


def standardised_risks(
    model: Any,
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    arm: str,
    times: ArrayLike,
    *,
    cause: str | None = None,
    estimand: Whose = "ate",
    reference: Any = None,
    treated: Any = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
    interval: Interval = "percentile",
    n_resamples: int = 500,
    random_state: int | None = None,
    n_jobs: int | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Give the average risk of leaving by each of several times, had all customers been in the arm or in the reference.

    As :func:`standardised_effect`, whose assumptions and arguments it shares; intervals are pointwise, by the bootstrap. Of a
    Cox model :func:`churnsurv.standardised_curves` gives them by formula.

    Parameters
    ----------
    model, X, y, arm, cause, estimand, reference, treated, cluster, level, interval, n_resamples, random_state, n_jobs, progress
        As of :func:`standardised_effect`.
    times : array
        Lengths of periods, such as months 1 to 24.

    Returns
    -------
    DataFrame
        Columns arm, time, estimate, se, lower, upper; the reference first.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> X = pd.DataFrame({"offer": [0, 1, 0, 1, 1] * 24, "rate": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3] * 20})
    >>> y = cs.Outcome(stop=[9, 12, 5, 4, 6, 3, 7] * 17 + [8], event=[1, 2, 1, 0] * 30, causes=("attrition", "default"))
    >>> table = cs.effects.standardised_risks(
    ...     cs.CauseSpecificCox(), X, y, "offer", [4, 6], cause="attrition", n_resamples=20, random_state=1)
    >>> table[["arm", "time"]].to_numpy().tolist()
    [[0, 4.0], [0, 6.0], [1, 4.0], [1, 6.0]]
    """
    how = Bootstrap(n_resamples, random_state, n_jobs, progress, interval, confidence_level(level))
    check_bootstrap(how)
    asked = read_standardised(model, X, y, arm, cause, estimand, reference, treated, cluster)
    grid = requested_times(times, np.empty(0))
    at = asked.assigned.origin + grid
    checked_horizon(asked.assigned, float(grid[-1]), np.ones(len(asked.assigned.y), dtype=bool))

    def risks(drawn: Ints | None) -> Floats:
        steps, risk = asked.averages(drawn)
        return step_values(steps, risk, at, before=0.0).ravel()

    value = risks(None)
    se, lower, upper = interval_of(value, resampled(risks, asked.assigned.arms.unit, how), how, log=False)
    labels = np.array(asked.assigned.pair[::-1], dtype=object)
    return pd.DataFrame(
        {
            "arm": np.repeat(labels, len(grid)),
            "time": np.tile(grid, 2),
            "estimate": value,
            "se": se,
            "lower": lower,
            "upper": upper,
        }
    )


def check_standardised(effect: Any, asked: Standardised) -> None:
    """Refuse effects that are not known, and a mean time until leaving by one cause."""
    if effect not in get_args(Effect):
        raise DataError(f"effect={effect!r} is not known: use one of {list(get_args(Effect))}.")
    if effect == "rmst_difference" and asked.cause is not None:
        raise DataError(
            f"The restricted mean time is that until leaving by any cause, not by {asked.cause!r}: ask for "
            "effect='rmtl_difference', or leave the cause out."
        )


def _averaged_over(asked: Standardised, estimand: Whose) -> str:
    return f"{'all' if estimand == 'ate' else 'the'} {asked.counted.sum():,} {'customers' if estimand == 'ate' else 'treated'}"


def _is_analytic(asked: Standardised, effect: Effect, variance: Any) -> bool:
    if variance not in (None, "analytic", "bootstrap"):
        raise DataError(f"variance={variance!r} is not known: use 'analytic' or 'bootstrap'.")
    possible = isinstance(asked.model, CoxPH | CauseSpecificCox) and effect in ("risk_difference", "risk_ratio")
    if variance == "analytic" and not possible:
        raise NotIdentifiedError(
            f"There is no formula for the variance of {effect!r} by {type(last_step(asked.model)).__name__}: use "
            "variance='bootstrap'. A formula exists for risks by CoxPH and CauseSpecificCox."
        )
    return possible and variance != "bootstrap"


def _by_influence(
    asked: Standardised, end: float, log: bool, cluster: ArrayLike | None, level: float
) -> tuple[float, float, str]:
    assigned = asked.assigned
    fitted = clone(asked.model).fit(asked.X, assigned.y, cluster=cluster)
    one, other = assigned.pair
    if isinstance(asked.model, CauseSpecificCox):
        people = asked.X.iloc[assigned.first[asked.counted]]
        unit = None if cluster is None else assigned.arms.unit[asked.counted]
        risk, covariance = average_incidences(
            fitted,
            [asked.with_arm(people, other), asked.with_arm(people, one)],
            asked.cause,
            end,
            np.ones(len(people)),
            unit,
        )
        by = np.array([-1 / risk[0], 1 / risk[1]]) if log else np.array([-1.0, 1.0])
        robust = "robust variance" if cluster is not None else "variance"
        said = f"normal interval, {robust} of the fit, and of the mean over a sample of customers"
        value = risk[1] / risk[0] if log else risk[1] - risk[0]
        return float(value), float(np.sqrt(by @ covariance @ by)), said
    curves = standardised_curves(
        fitted,
        asked.X.iloc[assigned.first],
        [end],
        values={"arm": {asked.arm: one}, "reference": {asked.arm: other}},
        sample_weight=asked.counted.astype(np.float64),
        population="sample",
        cluster=None if cluster is None else np.asarray(cluster)[assigned.first],
        level=level,
    )
    row = curves.contrast("arm", "reference", kind="ratio" if log else "difference").iloc[0]
    return float(row["estimate"]), float(row["se"]), f"normal interval, {curves.method}"


def _contrast(times: Floats, risk: Floats, effect: Effect, begin: float, end: float) -> float:
    if effect in ("risk_difference", "risk_ratio"):
        reference, arm = step_values(times, risk, np.array([end]), before=0.0)[:, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(arm / reference) if effect == "risk_ratio" else float(arm - reference)
    lost = step_area(times, risk, begin, end, 0.0)
    difference = float(lost[1] - lost[0])
    return -difference if effect == "rmst_difference" else difference
