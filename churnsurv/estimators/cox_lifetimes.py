"""What is expected of a customer by a fitted Cox model: time that is left, exits, hazard relative to another customer."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from churnsurv.data.features import feature_frame
from churnsurv.estimators.cox_curves import Placed, placed_rows
from churnsurv.estimators.cox_variance import baseline_of, interval_rows, log_bounds
from churnsurv.estimators.inputs import RowArgument, requested_start, row_values
from churnsurv.exceptions import DataError, NotIdentifiedError, SupportWarning
from churnsurv.kernels.cox_prediction import Lives, lifetimes
from churnsurv.kernels.times import slack
from churnsurv.messages import confidence_level, counted, first_of, one_number
from churnsurv.rows import row_numbers

if TYPE_CHECKING:
    from churnsurv.estimators.cox_prediction import CoxPrediction

Floats = NDArray[np.float64]

#: rows whose curves at all event times are held at once
CHUNK = 2048


def expected_lifetime(
    model: CoxPrediction,
    X: pd.DataFrame | ArrayLike,
    horizon: float,
    *,
    start: ArrayLike | None,
    strata: RowArgument,
    offset: RowArgument,
    level: float,
    stacklevel: int = 3,
) -> pd.DataFrame:
    """Give the restricted mean with its delta-method interval; see :meth:`CoxForecasts.expected_lifetime`."""
    refuse_incomplete(model, "an expected lifetime")
    length, z = one_number(horizon, "horizon"), _quantile(level)
    if length <= 0:
        raise DataError(f"horizon={horizon!r}: give a positive number of months (or what the ages are counted in).")
    rows, baseline = placed_rows(model, X, strata, offset), baseline_of(model)
    origin = requested_start(start, len(rows.ratio), np.asarray(model.first_)[rows.stratum])
    end = origin + length
    beyond = _beyond(model, rows, end, stacklevel + 1)
    low = baseline.begin[rows.stratum] if start is None else baseline.rows_at(rows.stratum, origin)
    past = baseline.rows_at(rows.stratum, end) + 1
    lives = Lives(rows.ratio, rows.z @ baseline.root, low, past, origin, end)
    area, variance = lifetimes(lives, baseline.time, baseline.steps)
    area, se = np.where(beyond, np.nan, area), np.where(beyond, np.nan, np.sqrt(variance))
    lower, upper = np.maximum(area - z * se, 0.0), np.minimum(area + z * se, length)
    return pd.DataFrame({"estimate": area, "se": se, "lower": lower, "upper": upper}, index=rows.labels)


def median_lifetime(
    model: CoxPrediction,
    X: pd.DataFrame | ArrayLike,
    *,
    start: ArrayLike | None,
    strata: RowArgument,
    offset: RowArgument,
    level: float,
    conf_type: str,
) -> pd.DataFrame:
    """Give the median age at exit, its interval by where the bounds of the curve cross one half."""
    refuse_incomplete(model, "a median")
    frame = feature_frame(X, model.feature_names_in_)
    n = len(frame)
    arguments = {"strata": row_values(strata, frame, "strata"), "offset": row_values(offset, frame, "offset")}
    ages = None if start is None else requested_start(start, n, np.zeros(n))
    parts = []
    for begin in range(0, n, CHUNK):
        rows = slice(begin, begin + CHUNK)
        cut = {k: v if v is None else v.iloc[rows] for k, v in arguments.items()}
        curves = model.predict_curves(
            frame.iloc[rows],
            start=None if ages is None else ages[rows],
            level=confidence_level(level),
            conf_type=conf_type,  # type: ignore[arg-type]
            **cut,
        )
        ends = {"estimate": curves.probability, "lower": curves.lower, "upper": curves.upper}
        medians = {name: replace(curves, probability=values).median() for name, values in ends.items()}  # type: ignore[arg-type]
        parts.append(pd.DataFrame(medians, index=curves.index))
    return pd.concat(parts)


def expected_events(
    model: CoxPrediction,
    X: pd.DataFrame | ArrayLike,
    start: ArrayLike | None,
    stop: ArrayLike,
    *,
    strata: RowArgument,
    offset: RowArgument,
    level: float,
    stacklevel: int = 3,
) -> pd.DataFrame:
    """Give the cumulative hazard of each row over its own (start, stop]; see :meth:`CoxForecasts.expected_events`."""
    rows, baseline = placed_rows(model, X, strata, offset), baseline_of(model)
    n = len(rows.ratio)
    end = row_numbers(np.broadcast_to(np.asarray(stop), n) if np.ndim(stop) == 0 else stop, n, "stop")
    begin = requested_start(start, n, np.asarray(model.first_)[rows.stratum])
    if end is None:
        raise DataError("stop is missing: give the end of each row's time under observation.")
    bad = np.flatnonzero(end < begin)
    if len(bad):
        raise DataError(
            f"stop is before start in {counted(len(bad), 'row')} (row {first_of(bad)}): rows cover (start, stop]."
        )
    hazard, variance = interval_rows(baseline, rows, np.full(n, -np.inf) if start is None else begin, end)
    beyond = _beyond(model, rows, end, stacklevel + 1)
    value, se = np.where(beyond, np.nan, hazard), np.where(beyond, np.nan, np.sqrt(variance))
    lower, upper = log_bounds(value, se, level)
    return pd.DataFrame({"estimate": value, "se": se, "lower": lower, "upper": upper}, index=rows.labels)


def refuse_incomplete(model: CoxPrediction, what: str) -> None:
    """Refuse quantities that need the probability of staying where the model knows one hazard of several."""
    if len(model.causes_) > 1 or model.is_recurrent_:
        raise NotIdentifiedError(
            f"A Cox model of {model.cause_!r} alone does not identify {what}: the other causes (of recurrent events: the "
            "events after the first) matter too. Fit all causes together with CauseSpecificCox and use its curves."
        )


def _quantile(level: float) -> float:
    return float(ndtri((1 + confidence_level(level)) / 2))


def _beyond(model: CoxPrediction, rows: Placed, end: Floats, stacklevel: int) -> NDArray[np.bool_]:
    """Mark rows that end after the follow-up of their stratum, with a warning."""
    last = np.asarray(model.last_)[rows.stratum]
    beyond = np.asarray(end > last + slack(model.event_times_))
    if beyond.any():
        at = np.flatnonzero(beyond)
        warnings.warn(
            f"Time {end[at[0]]:g} is past the last time known ({last[at].min():g}) of {counted(len(at), 'row')} "
            f"({first_of(rows.labels[at])}): not estimable. The answer there is NaN.",
            SupportWarning,
            stacklevel=stacklevel,
        )
    return beyond
