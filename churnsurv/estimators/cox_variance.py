"""Standard errors of what a fitted Cox model predicts: from the fitted baseline's steps and covariance to variances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from churnsurv.estimators.cox_curves import Placed, Predicted
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.kernels.cox_prediction import Pieces, Steps, along_paths, hazard_bounds, root_of
from churnsurv.kernels.times import steps_until
from churnsurv.messages import confidence_level

if TYPE_CHECKING:
    from churnsurv.estimators.cox_prediction import CoxPrediction

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
ConfType = Literal["log-log", "log", "plain"]
CONF_TYPES = ("log-log", "log", "plain")


class Baseline(NamedTuple):
    """Steps of all strata below each other (a row of zeros before each), as the kernels take them.

    time (R,): −inf in the rows of zeros; begin (strata + 1,); root: L with LL' the covariance of the coefficients.
    """

    steps: Steps
    time: Floats
    begin: Integers
    root: Floats

    def rows_at(self, stratum: Integers, times: Floats) -> Integers:
        """Give for each pair of a stratum and a time the row of the last step that is not later."""
        rows = self.begin[stratum]
        order = np.argsort(stratum, kind="stable")
        codes, first = np.unique(stratum[order], return_index=True)
        for code, of_stratum in zip(codes, np.split(order, first[1:]), strict=True):
            steps = self.time[self.begin[code] + 1 : self.begin[code + 1]]
            rows[of_stratum] += steps_until(steps, times[of_stratum])
        return rows

    def grid_rows(self, strata: Integers, grid: Floats) -> Integers:
        """Give the same for every time of a grid, (strata, T)."""
        count = len(grid)
        return self.rows_at(np.repeat(strata, count), np.tile(grid, len(strata))).reshape(len(strata), count)


def refuse_saved_without(parts: Any) -> None:
    """Refuse intervals of models saved without what they need."""
    if parts is None:
        raise NotIdentifiedError(
            "This model was saved without what standard errors of its predictions need (cs.save with intervals=False, or by "
            "an earlier churnsurv). Save the fitted model with intervals=True, or predict without level=."
        )


def baseline_of(model: CoxPrediction) -> Baseline:
    """Lay out what a fit keeps of its baseline; refuses models saved without it."""
    refuse_saved_without(getattr(model, "hazard_gradient_", None))
    frame, labels = model.centred_hazard_, model.strata_
    n_strata = 1 if labels is None else len(labels)
    position = {label: code for code, label in enumerate(labels or [0])}
    stratum = np.array([position[label] for label in frame["stratum"]], dtype=np.int64)
    begin = np.searchsorted(stratum, np.arange(n_strata + 1)) + np.arange(n_strata + 1)
    at = np.arange(len(frame)) + stratum + 1
    root = root_of(model.covariance_.to_numpy())

    def laid(values: Floats, before: float = 0.0) -> Floats:
        out = np.full((len(values) + n_strata, *values.shape[1:]), before)
        out[at] = values
        return out

    gradient = laid(model.hazard_gradient_ @ root)
    steps = Steps(laid(frame["hazard"].to_numpy()), laid(model.hazard_variance_), gradient)
    return Baseline(steps, laid(frame["time"].to_numpy(), -np.inf), begin, root)


def hazard_variance(model: CoxPrediction, found: Predicted, from_first: bool) -> Floats:
    """Give the variance (n, T) of predicted cumulative hazards; from_first: since the first age, exits at it included."""
    baseline, rows, n = baseline_of(model), found.rows, len(found.rows.ratio)
    present, position = np.unique(rows.stratum, return_inverse=True)
    begin = baseline.begin[rows.stratum]
    low = begin if from_first else baseline.rows_at(rows.stratum, found.origin)
    every = np.zeros(n, dtype=np.int64)
    pieces = Pieces(
        np.arange(n + 1), rows.ratio, rows.z @ baseline.root, low, baseline.begin[rows.stratum + 1] - 1, position, every,
        every + len(found.grid),
    )  # fmt: skip
    return along_paths(pieces, baseline.grid_rows(present, found.grid), baseline.steps)[1]


def interval_rows(baseline: Baseline, rows: Placed, start: Floats, stop: Floats) -> tuple[Floats, Floats]:
    """Give the cumulative hazard of each row over its own (start, stop], and its variance, (n,)."""
    n = len(rows.ratio)
    low, high = baseline.rows_at(rows.stratum, start), baseline.rows_at(rows.stratum, stop)
    each, zero = np.arange(n), np.zeros(n, dtype=np.int64)
    pieces = Pieces(
        np.arange(n + 1), rows.ratio, rows.z @ baseline.root, low, np.maximum(high, low), each, zero, zero + 1
    )
    hazard, variance = along_paths(pieces, high[:, None], baseline.steps)
    return hazard[:, 0], variance[:, 0]


def state_bounds(
    hazard: Floats, variance: Floats, level: float, conf_type: str, complete: bool
) -> tuple[Floats, Floats]:
    """Give bounds of the states (n, states, T): staying and gone, or of an incomplete model the cumulative hazard."""
    if conf_type not in CONF_TYPES:
        raise DataError(f"conf_type={conf_type!r} is not known: use one of {list(CONF_TYPES)}.")
    low, high = hazard_bounds(hazard, np.sqrt(variance), confidence_level(level), conf_type)
    if not complete:
        return low[:, None, :], high[:, None, :]
    lower, upper = np.exp(-high), np.exp(-low)
    return np.stack([lower, 1 - upper], axis=1), np.stack([upper, 1 - lower], axis=1)


def log_bounds(value: Floats, se: Floats, level: float) -> tuple[Floats, Floats]:
    """Give bounds of a positive quantity that are symmetric for its logarithm; where it is 0 it is known."""
    return hazard_bounds(value, se, confidence_level(level), "log-log")
