"""Hazard ratios of two arms: Cox's of the cause-specific hazard, Fine and Gray's of the subdistribution hazard."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.effects.arms import (
    positive_weights,
    read_two_arms,
    refuse_arms_without_events,
    refuse_lone_clusters,
    refuse_subjects_across_arms,
    warn_of_few_clusters,
)
from churnsurv.effects.comparison import compared
from churnsurv.effects.contrasts import of_log
from churnsurv.estimators.cox import CoxPH
from churnsurv.estimators.fine_gray import FineGray
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.kernels.logrank import arm_counts
from churnsurv.messages import confidence_level
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate
from churnsurv.rows import as_outcome, refuse_recurrent, row_labels


def hazard_ratio(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    *,
    cause: str | None = None,
    reference: Any = None,
    level: float = 0.95,
    strata: ArrayLike | pd.DataFrame | None = None,
    cluster: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ties: Literal["efron", "breslow"] = "efron",
) -> Estimate:
    """Estimate the ratio of the hazards of leaving in two arms, by Cox's model with the arm as its covariate.

    With a cause it is the ratio of cause-specific hazards, the rates among those still customers: a cause may have a ratio
    below 1 and yet take more customers, when another takes fewer (then :func:`risk_difference`). Assumes a ratio that does
    not change with time (within strata the hazards are free); under a changing ratio the number depends on the censoring.

    Parameters
    ----------
    y : Outcome or scikit-survival's structured array, of n rows
        With delayed entry where there is any; on time since assignment for interventions.
    arm : (n,)
        Two arms.
    cause : str, optional
        The cause whose hazard is compared, the others being censored; default leaving by any cause.
    reference : label, optional
        The arm divided by; default the first in sorted order.
    level : float
        Confidence level; the interval is normal for the log hazard ratio.
    strata : (n,) or frame of n rows, optional
        Baseline hazards of their own; one common ratio.
    cluster : (n,), optional
        Sandwich variance of Lin and Wei (1989) by cluster, which may have rows in both arms.
    sample_weight : (n,), optional
        Positive sampling or balancing weights, taken as known: sandwich variance.
    ties : {"efron", "breslow"}
        As of :class:`churnsurv.CoxPH`.

    Returns
    -------
    Estimate

    Raises
    ------
    DataError
        Not two arms, an arm of one customer, arms, clusters or weights missing or not positive, an unknown reference or cause,
        a subject in both arms, an arm that lies in one cluster.
    TooFewEventsError
        An arm without event: the ratio is 0 or infinite.
    NotIdentifiedError
        Recurrent events; arms that are never at risk together (in one stratum) when somebody leaves.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome(stop=[2, 4, 5, 8, 1, 2, 3, 6], event=[1, 1, 0, 1, 1, 1, 1, 1])
    >>> ratio = cs.effects.hazard_ratio(y, ["offer"] * 4 + ["none"] * 4)
    >>> round(ratio.value, 3), round(ratio.lower, 3), round(ratio.upper, 3)
    (0.344, 0.061, 1.932)
    """
    y, X, labels, weight = _read(y, arm, reference, cause, cluster, sample_weight, "A hazard ratio")
    left = y if cause is not None or len(y.causes) == 1 else _any_cause(y)
    modelled = cause or left.causes[0]
    _refuse_apart(left, X, modelled, strata, left.stop)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # nobody is predicted here: a stratum without events says nothing about the ratio
        warnings.filterwarnings("ignore", "Strata without events")
        model = CoxPH(ties=ties, cause=modelled, weight_type="case" if weight is None else "sampling").fit(
            X, left, strata=strata, cluster=cluster, sample_weight=weight
        )
    for warning in caught:  # said here, so that they point to the caller's line
        warnings.warn(str(warning.message), warning.category, stacklevel=2)
    robust = weight is not None or cluster is not None
    words = [f"Cox model with {ties.capitalize()}'s ties", "sandwich variance" if robust else "inverse information"]
    return _ratio(model, f"Hazard ratio of leaving{_by(cause)}", words, y, labels, level, strata, weight)


def subdistribution_hazard_ratio(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    *,
    cause: str,
    reference: Any = None,
    level: float = 0.95,
    strata: ArrayLike | pd.DataFrame | None = None,
    cluster: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    censoring_strata: ArrayLike | pd.DataFrame | None = None,
) -> Estimate:
    """Estimate the ratio of the subdistribution hazards of a cause in two arms, by Fine and Gray's model (1999).

    Below 1: fewer leave by the cause, whatever the other causes do, since 1 − F = (1 − F_reference)^ratio at all times. Assumes
    just that, and censoring and entry that do not depend on the arm (or only through `censoring_strata`).

    Parameters
    ----------
    y, arm, reference, level, strata, cluster, sample_weight
        As of :func:`hazard_ratio`.
    cause : str
        The cause to compare.
    censoring_strata : (n,) or frame of n rows, optional
        Groups with censoring (and entry) distributions of their own: give the arm where follow-up differs by arm.

    Returns
    -------
    Estimate
        Variance by the sandwich with the part due to estimating the weights.

    Raises
    ------
    DataError, TooFewEventsError
        As of :func:`hazard_ratio`.
    NotIdentifiedError
        As of :func:`hazard_ratio`; gaps in a subject's rows; ages through which nobody was watched.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome([2, 4, 5, 8, 1, 2, 3, 6], [1, 2, 0, 1, 1, 1, 2, 1], causes=("attrition", "default"))
    >>> ratio = cs.effects.subdistribution_hazard_ratio(y, ["offer"] * 4 + ["none"] * 4, cause="attrition")
    >>> ratio.value < 1
    True
    """
    y, X, labels, weight = _read(y, arm, reference, cause, cluster, sample_weight, "A subdistribution hazard ratio")
    # who left by another cause stays in the risk set
    stays = (y.event > 0) & (y.event != y.cause_code(cause))
    _refuse_apart(y, X, cause, strata, np.where(stays, np.inf, y.stop))
    model = FineGray(cause).fit(
        X, y, strata=strata, cluster=cluster, sample_weight=weight, censoring_strata=censoring_strata
    )
    words = ["Fine-Gray model with Efron's ties", "sandwich variance with the estimated weights' part"]
    words += ["censoring by stratum"] if censoring_strata is not None else []
    return _ratio(model, f"Subdistribution hazard ratio{_by(cause)}", words, y, labels, level, strata, weight)


def _read(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    reference: Any,
    cause: str | None,
    cluster: ArrayLike | None,
    sample_weight: ArrayLike | None,
    what: str,
) -> tuple[Outcome, pd.DataFrame, pd.Index, NDArray[np.float64] | None]:
    """Give the outcome, the covariate (1: the other arm), the labels and the weights."""
    y = as_outcome(y)
    refuse_recurrent(y, what)
    codes, labels = read_two_arms(y, arm, reference)
    refuse_subjects_across_arms(y, codes)
    refuse_lone_clusters(cluster, codes, labels)
    warn_of_few_clusters(cluster, codes, labels, stacklevel=4)
    weight = positive_weights(sample_weight, len(y))
    event = y.event > 0 if cause is None else y.event == y.cause_code(cause)
    refuse_arms_without_events(np.bincount(codes[event], minlength=2), labels, cause, "", what[0].lower() + what[1:])
    return y, pd.DataFrame({"arm": codes.astype(np.float64)}), labels, weight


def _refuse_apart(
    y: Outcome,
    X: pd.DataFrame,
    cause: str,
    strata: ArrayLike | pd.DataFrame | None,
    until: NDArray[np.float64],
) -> None:
    """Refuse arms of which no two rows are at risk together (`until` (n,) their times) when somebody leaves."""
    stratum = np.zeros(len(y), dtype=np.int64) if strata is None else row_labels(strata, len(y), "strata")[0]
    event = (y.event == y.cause_code(cause)).astype(np.int64)
    counts = arm_counts(y.entry, until, event, X["arm"].to_numpy(dtype=np.int64), stratum, 2)
    if not compared(counts, leaving=True).any():
        raise NotIdentifiedError(
            f"At no event are customers of both arms at risk together{' in one stratum' if strata is not None else ''}: the "
            "hazard ratio is not identified. Check the entry times, or use fewer strata."
        )


def _any_cause(y: Outcome) -> Outcome:
    start = None if y.from_origin else y.start
    return Outcome(y.stop, (y.event > 0).astype(np.int64), start, y.subject, ("any cause",))


def _ratio(
    model: CoxPH | FineGray,
    what: str,
    words: list[str],
    y: Outcome,
    labels: pd.Index,
    level: float,
    strata: Any,
    weight: NDArray[np.float64] | None,
) -> Estimate:
    log_ratio, variance = float(model.coef_.to_numpy()[0]), float(model.covariance_.to_numpy()[0, 0])
    if not np.isfinite(variance) or variance <= 0:
        raise DataError(f"The variance of the log hazard ratio of {labels[1]!r} and {labels[0]!r} is not estimable.")
    words = [*words, "interval normal on the log scale"]
    words += ["stratified"] if strata is not None else []
    words += ["sampling weights"] if weight is not None else []
    words += ["delayed entry"] if np.any(y.entry > 0) else []
    name = f"{what}, {labels[1]} / {labels[0]}"
    se = float(np.sqrt(variance))
    return of_log(name, log_ratio, se, confidence_level(level), y.n_subjects, int(model.n_events_), "; ".join(words))


def _by(cause: str | None) -> str:
    return f" by {cause}" if cause else ""
