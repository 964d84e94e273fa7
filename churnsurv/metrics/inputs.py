"""Reading the arguments of metrics: outcome, cause, scores, weights and clusters, with errors that say what to do."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple, NoReturn, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.exceptions import DataError, NoEventsError, NotIdentifiedError, SupportWarning
from churnsurv.kernels.nonparametric import cumulative_incidence, kaplan_meier, risk_table
from churnsurv.kernels.times import step_values
from churnsurv.messages import counted, first_of
from churnsurv.nonparametric import CensoringModel
from churnsurv.outcome import Outcome
from churnsurv.rows import row_labels, row_numbers, row_weights

Floats = NDArray[np.float64]


class Judged(NamedTuple):
    """The rows that are judged: those of positive weight."""

    y: Outcome
    weight: Floats
    cluster: NDArray[np.int64] | None  #: codes without gaps; None: the subjects are the clusters
    rows: NDArray[np.int64] | slice  #: their positions among all rows


def judged_rows(y: Outcome, sample_weight: ArrayLike | None, cluster: ArrayLike | None) -> Judged:
    """Read weights and clusters; a weight of zero leaves its row out."""
    weight = row_weights(sample_weight, len(y))
    codes = None if cluster is None else row_labels(cluster, len(y), "cluster")[0]
    if weight is None or weight.all():
        return Judged(y, np.ones(len(y)) if weight is None else weight, codes, slice(None))
    rows = np.flatnonzero(weight > 0)
    return Judged(y[rows], weight[rows], None if codes is None else pd.factorize(codes[rows])[0], rows)


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
        raise DataError(f"{argument}={horizon:g}: give a positive finite number, on the scale of `stop`.")
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
    """Give one finite number per row, of a column or of an array."""
    plain: Any = values.iloc[:, 0] if isinstance(values, pd.DataFrame) and values.shape[1] == 1 else values
    if not isinstance(plain, pd.Series):
        plain = np.asarray(plain)
        if plain.ndim == 2 and plain.shape[1] == 1:
            plain = plain[:, 0]
    remedy = (
        "A row without a prediction cannot be judged: leave these rows out of both y and the predictions, and say so."
    )
    return cast(Floats, row_numbers(plain, n, argument, remedy))


def one_row_each(y: Outcome) -> bool:
    """Tell quickly that the subjects differ, for labels that increase as the default ones do; False is no answer."""
    return y.subject.dtype.kind in "iu" and bool(np.all(y.subject[1:] > y.subject[:-1]))


def units_of(judged: Judged) -> tuple[NDArray[np.int64] | None, int, str]:
    """Give the independent units of the variance: codes (None: every row is one), their number, and that in words."""
    unit = "subject" if judged.cluster is None else "cluster"
    if judged.cluster is None and one_row_each(judged.y):
        codes, count = None, len(judged.y)
    else:
        codes = pd.factorize(judged.y.subject)[0] if judged.cluster is None else judged.cluster
        count = int(codes.max()) + 1
    if count < 2:
        raise DataError(f"All rows belong to one {unit}: there is nothing to estimate a variance from.")
    return codes, count, counted(count, unit)


def cluster_sums(influence: Floats, judged: Judged) -> tuple[Floats, str]:
    """Sum the influence of the rows by cluster (default: by subject), and give the number of clusters in words."""
    codes, _, words = units_of(judged)
    return influence if codes is None else np.bincount(codes, influence).astype(np.float64), words


def require_censoring_model(censoring: Any) -> None:
    """Refuse what is no CensoringModel."""
    if censoring is not None and not isinstance(censoring, CensoringModel):
        raise DataError(
            f"censoring={censoring!r} is no CensoringModel: pass a fitted one, or leave it out for Kaplan–Meier of y."
        )


def probability_uncensored(model: CensoringModel, times: Floats, *, before: bool) -> Floats:
    """Give G(t−) or G(t); refused where it is 0 or unknown, as nothing can be divided by it."""
    with warnings.catch_warnings():  # the error below says it for these customers
        warnings.simplefilter("ignore", SupportWarning)
        probability = np.asarray(model.probability(times, before=before), dtype=np.float64)
    return _divisor(probability, times)


def own_probability_uncensored(
    model: CensoringModel, rows: NDArray[np.int64], times: Floats, *, before: bool
) -> Floats:
    """Give G(t_i−|x_i) or G(t_i|x_i) for the rows at these positions among those of the model, each at its own time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SupportWarning)
        return _divisor(model.probability_each(times, before=before, rows=rows), times)


def _divisor(probability: Floats, times: Floats) -> Floats:
    impossible = np.flatnonzero(~(probability > 0))
    if len(impossible):
        refuse_no_chance(times[impossible].min())
    return probability


def refuse_no_chance(time: float) -> NoReturn:
    """Say that nothing can be divided by G at a time."""
    raise NotIdentifiedError(
        f"The censoring model gives nobody a chance to be under observation at {time:g}, where some are. Use an earlier "
        "horizon (times= or tau=), or a censoring model fitted on these customers."
    )


def has_late_entry(y: Outcome) -> bool:
    """Tell whether some subject comes under observation after time 0."""
    if y.from_origin or not np.any(y.start > 0):
        return False
    return bool(pd.Series(y.start).groupby(pd.factorize(y.subject)[0]).min().max() > 0)


def require_cohort(judged: Judged, metric: str) -> None:
    """Refuse outcomes that are not followed from time 0 in one row each."""
    later = np.flatnonzero(judged.y.start > 0)
    if len(later):
        later = later if isinstance(judged.rows, slice) else judged.rows[later]
        raise NotIdentifiedError(
            f"{counted(len(later), 'row')} (row {first_of(later)}) begin after time 0: {metric} averages over customers who "
            "are all followed from the same moment. Build a landmark cohort, one row per loan under observation at a "
            "date with time counted from that date (churnsurv.data: Spells.landmark(date)), and predict for it."
        )


def null_risk(y: Outcome, weight: Floats, cause: str, horizons: Floats) -> Floats:
    """Give the Aalen–Johansen estimate of having left by the cause by each horizon, (T,): the same risk for everybody."""
    table = risk_table(y.entry, y.stop, y.event, weight, len(y.causes), np.zeros(len(y), dtype=bool))
    incidence = cumulative_incidence(table, kaplan_meier(table).survival)[y.cause_code(cause) - 1]
    return step_values(table.times, incidence, horizons, before=0.0)
