"""Effects of an arm that customers were not drawn for, by weights made of the probability of getting it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.data.features import feature_frame
from churnsurv.effects.assigned import Assigned, checked_horizon, events_of_arms, read_assigned, refuse_late_entry
from churnsurv.effects.propensity import Propensity, propensity_of
from churnsurv.effects.propensity_fit import Candidates, fitted_probabilities, read_candidates
from churnsurv.effects.resampling import Bootstrap, Interval, check_bootstrap, interval_of, normal_interval, resampled
from churnsurv.effects.weighted_values import Asked, Effect, estimate_under
from churnsurv.effects.weighted_variance import refuse_other_models, sandwich_error
from churnsurv.effects.weights import (
    Estimand,
    Weighting,
    arm_weights,
    check_weighting,
    effective_sample_size,
    refuse_impossible,
)
from churnsurv.exceptions import DataError
from churnsurv.messages import confidence_level, counted
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate
from churnsurv.rows import as_outcome

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_NAMES = {
    "risk_difference": "Risk difference",
    "risk_ratio": "Risk ratio",
    "rmst_difference": "Difference of restricted mean time",
    "rmtl_difference": "Difference of restricted mean time lost",
    "hazard_ratio": "Hazard ratio",
}
_WHOSE = {"ate": "of all customers", "att": "of the treated", "overlap": "of the overlap population"}


Variance = Literal["bootstrap", "sandwich", "robust"]


def weighted_effect(
    y: Outcome | NDArray[Any],
    arm: ArrayLike,
    X: pd.DataFrame | ArrayLike,
    *,
    effect: Effect = "risk_difference",
    estimand: Estimand = "ate",
    horizon: float | None = None,
    cause: str | None = None,
    reference: Any = None,
    treated: Any = None,
    formula: str | None = None,
    model: Any | None = None,
    folds: int | None = None,
    stabilised: bool = False,
    truncate: float | None = None,
    trim: float | None = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
    variance: Variance = "bootstrap",
    interval: Interval = "percentile",
    n_resamples: int = 500,
    random_state: int | None = None,
    n_jobs: int | None = None,
    progress: bool = False,
) -> Estimate:
    """Estimate the effect of an arm under confounding, by inverse-probability or overlap weights.

    The probability of each arm is estimated from X (:func:`propensity`) and made into weights (:meth:`Propensity.weights`),
    under which the arms are alike in X; then curves are Kaplan–Meier's or Aalen–Johansen's of the weighted arms (Cole and
    Hernán 2004; Xie and Liu 2005), and the hazard ratio is that of a weighted Cox model with the arm alone (Efron's ties): the
    marginal one, an average over time where hazards are not proportional.

    It is the effect if X holds, as known at time zero, all that made customers get the arm and leave sooner or later; if every
    customer could have got either arm; if the model of the probability is right; and if censoring has nothing to do with
    leaving, given the arm.

    Parameters
    ----------
    y : Outcome or scikit-survival's structured array, of n rows
        On time since assignment. A subject's rows may follow each other; all subjects are watched from one time on.
    arm : (n,)
        Constant within subjects.
    X : frame or array of n rows
        Confounders; of a subject with several rows the first row's are used.
    effect : {"risk_difference", "risk_ratio", "rmst_difference", "rmtl_difference", "hazard_ratio"}
        At `horizon` (hazard ratio: up to it, default all of the follow-up), arm against reference. Time lost is the area under
        the risk: the expected part of the period that is lost to the cause.
    estimand : {"ate", "att", "overlap"}
        Whose effect.
    horizon : float
        Length of the period from time zero, in the unit of y's times.
    cause : str, optional
        Risk of leaving by this cause while the others compete (Aalen–Johansen); hazard ratio: of its cause-specific hazard.
        Default: leaving by any cause.
    reference, treated : label, optional
        The arm that is compared with (default: the first in sorted order) and the other one, to be named if there are more
        than two; all arms are weighted to the same customers.
    formula, model, folds
        Of the propensity, see :func:`propensity`: `model` is a classifier of the arm (in :func:`doubly_robust_effect`, whose
        `model` is that of leaving, it is called `classifier`).
    stabilised, truncate, trim
        Of the weights, see :meth:`Propensity.weights`.
    cluster : (n,), optional
        Customer of each row, if subjects are loans: resampled, and kept in one fold, as a whole.
    level : float
        Confidence level.
    variance : {"bootstrap", "sandwich", "robust"}
        "bootstrap" draws customers with replacement and estimates the probabilities again in every resample (Austin 2016).
        "sandwich" accounts for their estimation by stacked estimating equations (Lunceford and Davidian 2004; Mao, Li, Yang and
        Shen 2018): the squared influences of customers on effect and logistic regression together, times G/(G − 1) for G
        customers. For many customers: it costs about one resample. Bounds of `truncate` and who is left by `trim` are taken as
        known. "robust" takes the weights as known: for the ATE too large in large samples (Lunceford and Davidian 2004; Shu et
        al. 2020), for other estimands too large or too small. The intervals of both are normal, of ratios for the logarithm.
    interval : {"percentile", "normal"}
        Of the bootstrap; of ratios the normal one is symmetric for the logarithm.
    n_resamples, random_state, n_jobs, progress
        Resamples, their seed, processes (the result does not depend on their number), a progress bar.

    Returns
    -------
    Estimate
        ``se`` of a ratio is its own, by the delta method.

    Raises
    ------
    DataError
        As :func:`propensity`; a subject that changes arm; a horizon that is absent or past an arm's follow-up; an unknown
        cause, arm or option.
    TooFewEventsError
        No event in an arm.
    NotIdentifiedError
        Separated arms; late entry, recurrent events; robust variance of curves where a customer has loans in both arms, or of
        the time lost to a cause; sandwich of a given `model`, of a cross-fitted one, or of a risk of 1.

    Warns
    -----
    PositivityWarning
        As :meth:`Propensity.weights`.
    SmallSampleWarning
        Sandwich with fewer than 20 customers in an arm; resamples without an estimate.

    Examples
    --------
    >>> import churnsurv as cs, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> strain = rng.normal(size=400)
    >>> deferral = rng.random(400) < 1 / (1 + np.exp(-strain))
    >>> months = rng.exponential(20 * np.exp(-0.8 * strain + 0.4 * deferral))
    >>> y = cs.Outcome(np.minimum(months, 24), months <= 24)
    >>> effect = cs.effects.weighted_effect(
    ...     y, deferral, pd.DataFrame({"strain": strain}), horizon=12, n_resamples=50, random_state=1)
    >>> bool(effect.lower < effect.value < 0)
    True
    >>> again = cs.effects.weighted_effect(
    ...     y, deferral, pd.DataFrame({"strain": strain}), horizon=12, variance="sandwich")
    >>> again.value == effect.value, bool(again.lower < effect.value < 0)
    (True, True)
    """
    level = confidence_level(level)
    how = Bootstrap(n_resamples, random_state, n_jobs, progress, interval, level)
    weighting = Weighting(estimand, stabilised, truncate, trim)
    check_weighting(*weighting)
    if variance not in get_args(Variance):
        raise DataError(f"variance={variance!r} is not known: use one of {list(get_args(Variance))}.")
    check_bootstrap(how)
    y, frame = as_outcome(y), feature_frame(X)
    if len(frame) != len(y):
        raise DataError(f"X has {counted(len(frame), 'row')}, y has {len(y):,}; they must match row for row.")
    assigned = read_assigned(y, arm, cluster, reference, treated, "A weighted effect")
    refuse_late_entry(assigned, "Weighting")
    _check_effect(assigned.y, effect, horizon, cause)
    candidates = read_candidates(frame.iloc[assigned.first], assigned.arms, formula, model, folds, random_state or 0)
    if variance == "sandwich":
        refuse_other_models(candidates)
    ps = propensity_of(candidates, assigned.arms.code, assigned.arms.labels, int(assigned.arms.unit.max()) + 1)
    refuse_impossible(ps.probability, ps.code, ps.arms, estimand, assigned.target, trim)
    ps.warn_of_rare(estimand, assigned.target, trim, stacklevel=3)
    weight = _weights(assigned, ps.probability, weighting, None)
    used = weight[assigned.subject] > 0
    ess = _effective(assigned, weight)
    end = np.inf if horizon is None else checked_horizon(assigned, horizon, used)
    asked = Asked(assigned, effect, cause, end)
    event = y.event > 0 if cause is None else y.event == y.cause_code(cause)
    n_events = events_of_arms(assigned, event, end, used, cause)
    value, se, lower, upper, interval_words = _with_interval(
        asked, candidates, ps, weighting, weight, how, variance, cluster is not None
    )
    pair = np.isin(assigned.arms.code, (0, assigned.target)) & (weight > 0)
    return Estimate(
        name=_name(asked, horizon),
        value=value,
        se=se * value if asked.is_ratio else se,
        lower=lower,
        upper=upper,
        level=level,
        n=int(np.count_nonzero(pair)),
        n_events=n_events,
        method="; ".join([_curves_words(asked), _weights_words(weighting, ps), ess, interval_words]),
    )


def _check_effect(y: Outcome, effect: Any, horizon: float | None, cause: str | None) -> None:
    if effect not in get_args(Effect):
        raise DataError(f"effect={effect!r} is not known: use one of {list(get_args(Effect))}.")
    if cause is not None:
        y.cause_code(cause)
        if effect == "rmst_difference":
            raise DataError(
                f"The restricted mean time is that until leaving by any cause: leave cause={cause!r} out, or ask for "
                "effect='rmtl_difference', the part of the period lost to the cause."
            )
    if horizon is None and effect != "hazard_ratio":
        raise DataError(f"effect={effect!r} is that within a period: give its length, e.g. horizon=12.")


def _with_interval(
    asked: Asked,
    candidates: Candidates,
    ps: Propensity,
    weighting: Weighting,
    weight: Floats,
    how: Bootstrap,
    variance: Variance,
    clustered: bool,
) -> tuple[float, float, float, float, str]:
    """Give the effect, its standard error, the ends of its interval, and what the interval is in words."""
    value, se = estimate_under(asked, weight[asked.assigned.subject], variance == "robust", clustered)
    if variance == "bootstrap":
        found = resampled(_statistic(asked, candidates, weighting), asked.assigned.arms.unit, how, stacklevel=4)
        se, lower, upper = (float(each[0]) for each in interval_of(np.array([value]), found, how, asked.is_ratio))
        return value, se, lower, upper, f"{how.words()} with the propensity estimated again in each"
    if variance == "sandwich":
        se = sandwich_error(asked, ps, np.asarray(candidates.design), weighting, weight, stacklevel=4)
        cut = "" if weighting.truncate is None and weighting.trim is None else ", the cut taken as known"
        words = f"normal interval, sandwich variance by customer with the estimation of the propensity{cut}"
    else:
        bias = "too large in large samples" if weighting.estimand == "ate" else "too large or too small"
        words = f"normal interval, robust variance that takes the weights as known ({bias})"
    lower, upper = normal_interval(value, se, how.level, asked.is_ratio)
    return value, se, float(lower), float(upper), words


def _weights(assigned: Assigned, probability: Floats, weighting: Weighting, times: Ints | None) -> Floats:
    """Give the weight of each subject."""
    return arm_weights(
        probability,
        assigned.arms.code,
        weighting.estimand,
        target=assigned.target,
        stabilised=weighting.stabilised,
        truncate=weighting.truncate,
        trim=weighting.trim,
        times=times,
    )


def _statistic(asked: Asked, candidates: Candidates, weighting: Weighting) -> Callable[[Ints], Floats]:
    """Give the function that estimates the effect anew, propensity included, for how often each subject was drawn."""
    assigned = asked.assigned

    def statistic(times: Ints) -> Floats:
        probability = fitted_probabilities(candidates, assigned.arms.code, len(assigned.arms.labels), times)
        weight = _weights(assigned, probability, weighting, times) * times
        return np.array([estimate_under(asked, weight[assigned.subject], robust=False, clustered=False)[0]])

    return statistic


def _effective(assigned: Assigned, weight: Floats) -> str:
    labels = np.array(assigned.arms.labels, dtype=object)[assigned.arms.code]
    size = effective_sample_size(weight, labels)
    arm, reference = assigned.pair
    return f"effective sample sizes {size[arm]:,.0f} ({arm}) and {size[reference]:,.0f} ({reference})"


def _name(asked: Asked, horizon: float | None) -> str:
    arm, reference = asked.assigned.pair
    of = f" of {asked.cause}" if asked.cause else ""
    within = "" if horizon is None else f" within {horizon:g}"
    against = " / " if asked.is_ratio else " - "
    return f"{_NAMES[asked.effect]}{of}{within}, {arm}{against}{reference}"


def _curves_words(asked: Asked) -> str:
    if asked.effect == "hazard_ratio":
        return f"weighted Cox model, {'cause-specific, ' if asked.cause else ''}Efron's ties"
    name = "Kaplan-Meier" if asked.cause is None else "Aalen-Johansen"
    return f"weighted {name}"


def _weights_words(weighting: Weighting, ps: Propensity) -> str:
    words = [f"effect {_WHOSE[weighting.estimand]}"]
    words += ["stabilised weights"] if weighting.stabilised else []
    words += [f"weights truncated at their quantiles {weighting.truncate:g}"] if weighting.truncate else []
    words += [f"probabilities below {weighting.trim:g} left out"] if weighting.trim else []
    return f"{', '.join(words)}; propensity by {ps.method}"
