"""What recalibration learns from a validation cohort: factors of the hazards, or a map of the risk at a horizon."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri
from sklearn.isotonic import IsotonicRegression

from churnsurv.curves import Curves
from churnsurv.estimators.predict import predict_curves
from churnsurv.exceptions import ConvergenceError, DataError, NotIdentifiedError, SupportWarning, TooFewEventsError
from churnsurv.kernels.pseudo import pseudo_values
from churnsurv.kernels.times import slack
from churnsurv.messages import counted
from churnsurv.metrics.ipcw import predicted_risk, scored_cohort
from churnsurv.metrics.recalibration import fit_link, inverse_link, link
from churnsurv.outcome import Outcome

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: numbers of curves that are held at once
_MOST = 4_000_000
#: cumulative hazards are read as no smaller than this: the logarithm is infinite at 0
_LEAST = 1e-8


class Expected(NamedTuple):
    """Exits that the model expects of rows under observation, by cause and band (n, K, B), and the end of its support (n,)."""

    exits: Floats
    known: Floats


def chunks_of_curves(model: Any, X: pd.DataFrame, start: Floats | None) -> Iterator[tuple[slice, Curves]]:
    """Predict in chunks of rows, on all steps of the model."""
    size = 64  # the first rows tell how many steps there are
    begin = 0
    while begin < len(X):
        rows = slice(begin, begin + size)
        curves = predict_curves(model, X.iloc[rows], start=None if start is None else start[rows])
        if not curves.complete:
            raise NotIdentifiedError(
                f"The model knows the cause {curves.causes[0]!r} alone; curves that are recalibrated need all causes. Use "
                "CauseSpecificCox, DiscreteHazard or RandomSurvivalForest."
            )
        yield rows, curves
        begin += size
        size = max(1, _MOST // max(int(np.prod(curves.probability.shape[1:])), 1))


def hazard_steps(curves: Curves) -> Floats:
    """Give the increments of the cause-specific hazards (n, K, T), ΔF_k(t)/S(t−); 0 past the support."""
    probability = np.nan_to_num(curves.probability)
    before = np.concatenate((np.ones((len(curves), 1)), probability[:, 0, :-1]), axis=1)
    rise = np.diff(probability[:, 1:], axis=2, prepend=0.0)
    inside = curves.times <= curves.last[:, None] + slack(curves.times)
    usable = (before > 0) & inside
    return np.where(usable[:, None, :], rise / np.where(usable, before, 1.0)[:, None, :], 0.0)


def expected_of(model: Any, X: pd.DataFrame, y: Outcome, edges: Floats) -> Expected:
    """Compare rows with the model: sums of its hazard over each row's time under observation, by band of age."""
    n, k = len(y), len(y.causes)
    exits, known = np.zeros((n, k, len(edges) - 1)), np.zeros(n)
    for rows, curves in chunks_of_curves(model, X, None if y.from_origin else y.start):
        if tuple(curves.causes) != tuple(y.causes):
            raise DataError(f"The model has the causes {list(curves.causes)}, the outcome {list(y.causes)}.")
        refuse_missing(curves, rows.start)
        steps = hazard_steps(curves)
        steps = np.where((curves.times <= y.stop[rows, None] + slack(curves.times))[:, None, :], steps, 0.0)
        band = np.clip(np.searchsorted(edges, curves.times, side="left") - 1, 0, len(edges) - 2)
        for b in range(len(edges) - 1):
            exits[rows, :, b] = steps[:, :, band == b].sum(axis=2)
        known[rows] = curves.last
    return Expected(exits, known)


def refuse_missing(curves: Curves, begin: int) -> None:
    """Refuse rows for which the model predicts nothing."""
    inside = curves.times <= curves.last[:, None] + slack(curves.times)
    bad = np.flatnonzero((np.isnan(curves.probability[:, 0]) & inside).any(axis=1))
    if len(bad):
        raise DataError(
            f"The model predicts nothing for row {begin + bad[0]} (a covariate is missing?): leave such rows out or impute."
        )


def log_hazards(model: Any, X: pd.DataFrame, end: float) -> Floats:
    """Give log Λ_k of each row from the first age to `end`, (n, K): with proportional hazards x'β_k and a constant."""
    total = [
        hazard_steps(curves)[:, :, curves.times <= end + slack(curves.times)].sum(axis=2)
        for _, curves in chunks_of_curves(model, X, None)
    ]
    return np.asarray(np.log(np.maximum(np.concatenate(total), _LEAST)))


def hazard_factors(
    y: Outcome, found: Expected, score: Floats | None, weight: Floats, unit: Ints, edges: Floats, level: float
) -> pd.DataFrame:
    """Fit O ~ Poisson(E exp(a_b + (slope − 1) r)) by cause; one row per parameter, with sandwich standard errors.

    `score` (n, K) holds the log hazards r about their mean; None: no slope.
    """
    late = (y.event > 0) & (y.stop > found.known * (1 + 1e-9))
    if late.any():
        warnings.warn(
            f"{counted(int(late.sum()), 'event')} after the end of the model's support ({found.known[late].min():g}) cannot be "
            "compared with it, and are left out.",
            SupportWarning,
            stacklevel=4,
        )
    band = np.clip(np.searchsorted(edges, y.stop, side="left") - 1, 0, len(edges) - 2)
    frames = []
    for k, cause in enumerate(y.causes):
        left = (y.event == k + 1) & ~late
        for b in range(len(edges) - 1):
            observed = (left & (band == b)).astype(np.float64)
            expected = found.exits[:, k, b]
            where = f"of {cause!r} from {edges[b]:g} to {edges[b + 1]:g}"
            least = 1 if score is None else 2
            if np.count_nonzero(observed * weight) < least:
                raise TooFewEventsError(
                    f"{counted(int(observed.sum()), 'event')} {where}: there is nothing to recalibrate with. Use a longer "
                    "validation period or wider bands."
                )
            total = float(weight @ expected)
            if total <= 0:
                raise DataError(f"The model expects no exit {where}, where there are some: no factor corrects that.")
            columns = [np.ones(len(y))]
            if score is not None:
                columns.append(score[:, k])
            coef, se = _poisson(observed, expected, np.column_stack(columns), weight, unit)
            frame = pd.DataFrame({"parameter": ["log_ratio", "slope"][: len(coef)], "value": coef, "se": se})
            frame.insert(0, "cause", cause)
            frame["begin"], frame["end"] = edges[b], edges[b + 1]
            frame["observed"], frame["expected"] = float(weight @ observed), total
            frames.append(frame)
    return with_bounds(pd.concat(frames, ignore_index=True), level)


def with_bounds(frame: pd.DataFrame, level: float) -> pd.DataFrame:
    """Add Wald bounds to values and standard errors; a slope is told from 1, not from 0."""
    is_slope = frame["parameter"] == "slope"
    z = float(ndtri((1 + level) / 2))
    at = frame.columns.to_list().index("se") + 1
    frame.insert(at, "lower", frame["value"] - z * frame["se"])
    frame.insert(at + 1, "upper", frame["value"] + z * frame["se"])
    frame["null_value"] = np.where(is_slope, 1.0, 0.0)
    return frame


def _poisson(observed: Floats, expected: Floats, design: Floats, weight: Floats, unit: Ints) -> tuple[Floats, Floats]:
    """Fit log E[O] = log E + a + (slope − 1) r by Newton; give (a, slope) and standard errors by unit."""
    coef = np.zeros(design.shape[1])
    coef[0] = np.log((weight @ observed) / (weight @ expected))
    for _ in range(100):
        mean = expected * np.exp(np.minimum(design @ coef, 50.0))
        bread = design.T @ ((weight * mean)[:, None] * design)
        score = design.T @ (weight * (observed - mean))
        step = np.linalg.lstsq(bread, score, rcond=None)[0]
        coef = coef + step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-12))
        if np.abs(step).max() < 1e-10:
            break
    else:
        raise ConvergenceError("The slope of the recalibration was not found: too few events? Use method='hazard'.")
    by_unit = np.column_stack([np.bincount(unit, weight * (observed - mean) * column) for column in design.T])
    inverse = np.linalg.pinv(bread)
    units = len(by_unit)
    covariance = inverse @ (by_unit.T @ by_unit) @ inverse * units / max(units - 1, 1)
    coef[1:] += 1.0
    return coef, np.sqrt(np.diag(covariance))


def cohort_time(y: Outcome) -> Outcome:
    """Give the time since each row's start, one row per customer's loan."""
    if y.n_subjects < len(y):
        raise NotIdentifiedError(
            f"{counted(len(y), 'row')} of {y.n_subjects:,} subjects: the risk at a horizon is of customers followed from one "
            "moment, one row each. Build a landmark cohort (Spells.landmark(date)), or use method='hazard' with any rows."
        )
    return Outcome(y.stop - y.start, y.event, causes=y.causes) if np.any(y.start > 0) else y


class RiskMap(NamedTuple):
    """Recalibrated against predicted risk of one cause: a line on the scale of the link, or steps."""

    cause: str
    intercept: float
    slope: float
    thresholds: Floats  #: (2, M) predicted and recalibrated; empty unless isotonic

    def applied(self, risk: Floats) -> Floats:
        """Give the recalibrated risk."""
        if self.thresholds.size:
            return np.asarray(np.interp(risk, *self.thresholds))
        return inverse_link(self.intercept + self.slope * link(risk))


def risk_map(
    y: Outcome, predicted: Floats, cause: str, horizon: float, method: str, weight: Floats, unit: Ints, level: float
) -> tuple[RiskMap, pd.DataFrame]:
    """Regress the pseudo-values of having left by the horizon on the predictions."""
    cohort = scored_cohort(y, np.array([horizon]), cause, None, weight, unit, "recalibration")
    risk = predicted_risk(predicted, y, cohort, np.array([horizon]))[:, 0]
    code = cohort.y.cause_code(cause)
    outcome = pseudo_values(cohort.y.stop, cohort.y.event, cohort.weight, code, horizon)
    events = (cohort.y.event == code) & (cohort.y.stop <= horizon)
    counts = {"observed": float(cohort.weight @ events), "expected": float(cohort.weight @ risk)}
    if method == "isotonic":
        fit = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(risk, outcome, cohort.weight)
        table = np.vstack((fit.X_thresholds_, fit.y_thresholds_))
        frame = pd.DataFrame({"cause": cause, "parameter": "step", "at": table[0], "value": table[1]}).assign(**counts)
        return RiskMap(cause, 0.0, 1.0, table), frame
    eta = link(risk)
    codes = pd.factorize(cohort.y.subject if cohort.judged.cluster is None else cohort.judged.cluster)[0]
    names = ["intercept"] if np.ptp(eta) < 1e-9 else ["intercept", "slope"]
    one = np.ones((len(eta), 1))
    design, offset = (one, eta) if len(names) == 1 else (np.column_stack((one, eta)), np.zeros(len(eta)))
    found = fit_link(outcome, design, offset, cohort.weight, codes, np.array([0.0, 1.0])[: len(names)])
    frame = pd.DataFrame({"parameter": names, "value": found.coef, "se": np.sqrt(np.diag(found.covariance))})
    frame.insert(0, "cause", cause)
    slope = float(found.coef[1]) if len(names) == 2 else 1.0
    return RiskMap(cause, float(found.coef[0]), slope, np.zeros((2, 0))), with_bounds(frame.assign(**counts), level)


def risks(
    model: Any, frame: pd.DataFrame, start: Floats | None, causes: tuple[str, ...], horizon: float
) -> tuple[Floats, Floats]:
    """Give the model's risks within the horizon after the start (n, K), and the origins."""
    risk, origin = np.zeros((len(frame), len(causes))), np.zeros(len(frame))
    for rows, curves in chunks_of_curves(model, frame, start):
        if tuple(curves.causes) != causes:
            raise DataError(f"The model has the causes {list(curves.causes)}, the outcome {list(causes)}.")
        origin[rows] = curves.origin
        risk[rows] = np.column_stack([curves.risk(cause, horizon) for cause in causes])
    return risk, origin
