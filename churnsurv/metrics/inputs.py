"""Reading the arguments of metrics: outcome, cause, scores, weights and clusters, with errors that say what to do."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.exceptions import DataError, NoEventsError, NotIdentifiedError, SupportWarning
from churnsurv.messages import counted, first_of, numeric_column
from churnsurv.nonparametric import CensoringModel
from churnsurv.outcome import Outcome
from churnsurv.rows import row_labels, row_weights

Floats = NDArray[np.float64]


def the_cause(y: Outcome, cause: str | None) -> str:
    """Give the name of the cause to be measured; it must be named when there are several."""
    if cause is None:
        if len(y.causes) > 1:
            raise DataError(
                f"The outcome has the causes {list(y.causes)}: name the one to be measured, e.g. cause={y.causes[0]!r}."
            )
        return y.causes[0]
    y.cause_code(cause)
    return cause


def events_until(y: Outcome, cause: str, horizon: float | None, argument: str) -> NDArray[np.bool_]:
    """Mark the rows with an event of the cause, by the horizon if there is one.

    Refused: no event of the cause, none by the horizon, a horizon that is no positive number or is past the follow-up.
    """
    is_event = np.asarray(y.event == y.cause_code(cause))
    if not is_event.any():
        seen = [y.causes[code - 1] for code in np.unique(y.event[y.event > 0])]
        others = f"causes seen: {seen}" if seen else "all are censored"
        raise NoEventsError(f"No event of {cause!r} among {counted(len(y), 'row')} ({others}): nothing to measure.")
    if horizon is None:
        return is_event
    if not np.isfinite(horizon) or horizon <= 0:
        raise DataError(f"{argument}={horizon!r}: give a positive finite number, on the scale of `stop`.")
    if horizon > y.stop.max():
        raise DataError(
            f"{argument}={horizon:g} is past the last observed time ({y.stop.max():g}): not estimable. "
            "Ask for an earlier horizon."
        )
    by_then = is_event & (y.stop <= horizon)
    if not by_then.any():
        raise NoEventsError(
            f"No event of {cause!r} by {horizon:g}; the first is at {y.stop[is_event].min():g}. Ask for a later horizon."
        )
    return np.asarray(by_then)


def finite_numbers(values: ArrayLike, n: int, argument: str) -> Floats:
    """Give one finite number per row."""
    plain: Any = values.iloc[:, 0] if isinstance(values, pd.DataFrame) and values.shape[1] == 1 else values
    if not isinstance(plain, pd.Series):
        plain = np.asarray(plain)
        if plain.ndim == 2 and plain.shape[1] == 1:
            plain = plain[:, 0]
    if plain.shape != (n,):
        raise DataError(f"{argument} has shape {plain.shape}, the outcome has {counted(n, 'row')}; give one per row.")
    array = numeric_column(plain, argument)
    for kind, bad in (("missing", np.isnan(array)), ("infinite", np.isinf(array))):
        if bad.any():
            rows = np.flatnonzero(bad)
            raise DataError(
                f"{argument} has {counted(len(rows), f'{kind} value')} (row {first_of(rows)}). A row without a prediction "
                "cannot be judged: leave these rows out of both y and the predictions, and say so."
            )
    return array


def weights_or_ones(sample_weight: ArrayLike | None, n: int) -> Floats:
    """Give the checked weights of the rows, 1 by default."""
    weight = row_weights(sample_weight, n)
    return np.ones(n) if weight is None else weight


def one_row_each(y: Outcome) -> bool:
    """Tell quickly that the subjects differ, for labels that increase as the default ones do; False is no answer."""
    return y.subject.dtype.kind in "iu" and bool(np.all(y.subject[1:] > y.subject[:-1]))


def cluster_sums(influence: Floats, y: Outcome, cluster: ArrayLike | None) -> tuple[Floats, str]:
    """Sum the influence of the rows by cluster (default: by subject), and give the number of clusters in words."""
    if cluster is None and one_row_each(y):
        sums, unit = influence, "subject"
    else:
        unit = "subject" if cluster is None else "cluster"
        codes, _ = pd.factorize(y.subject) if cluster is None else row_labels(cluster, len(y), "cluster")
        sums = np.bincount(codes, influence).astype(np.float64)
    if len(sums) < 2:
        raise DataError(f"All rows belong to one {unit}: there is nothing to estimate a variance from.")
    return sums, counted(len(sums), unit)


def checked_level(level: float) -> float:
    """Refuse a confidence level that is not between 0 and 1."""
    if not 0 < level < 1:
        raise DataError(f"level={level!r}: give a confidence level between 0 and 1, such as 0.95.")
    return float(level)


def probability_uncensored(model: CensoringModel, times: Floats, *, before: bool) -> Floats:
    """Give G(t−) or G(t); refused where it is 0 or unknown, as nothing can be divided by it."""
    with warnings.catch_warnings():  # the error below says it for these customers
        warnings.simplefilter("ignore", SupportWarning)
        probability = np.asarray(model.probability(times, before=before), dtype=np.float64)
    impossible = np.flatnonzero(~(probability > 0))
    if len(impossible):
        raise NotIdentifiedError(
            f"The censoring model gives nobody a chance to be under observation at {times[impossible].min():g}, where some "
            "are. Use an earlier horizon (times= or tau=), or a censoring model fitted on these customers."
        )
    return probability


def has_late_entry(y: Outcome) -> bool:
    """Tell whether some subject comes under observation after time 0."""
    if y.from_origin or not np.any(y.start > 0):
        return False
    return bool(pd.Series(y.start).groupby(pd.factorize(y.subject)[0]).min().max() > 0)


def require_cohort(y: Outcome, metric: str) -> None:
    """Refuse outcomes that are not followed from time 0 in one row each."""
    later = np.flatnonzero(y.start > 0)
    if len(later):
        raise NotIdentifiedError(
            f"{counted(len(later), 'row')} (row {first_of(later)}) begin after time 0: {metric} averages over customers who "
            "are all followed from the same moment. Build a landmark cohort, one row per loan under observation at a "
            "date with time counted from that date (churnsurv.data: Spells.landmark(date)), and predict for it."
        )
