"""Fitters of lifelines as peers: which of their answers are taken, and which are made from their coefficients."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.estimators.adapter_peers import LANDMARK, Peer, ProportionalPeer
from churnsurv.exceptions import ConvergenceError, DataError, NotIdentifiedError
from churnsurv.kernels.times import step_values

Floats = NDArray[np.float64]

#: names of the outcome's columns in the frame that a fitter gets; none that a covariate would have
STOP, EVENT, WEIGHT = "__stop__", "__event__", "__weight__"
#: a fit whose expected exits are off by more than this factor is not at the maximum of its likelihood
MOST_OFF = 2.0


def fitter_names(estimator: Any) -> set[str]:
    """Give the names of the fitter's classes in lifelines, itself and what it inherits from."""
    return {c.__name__ for c in type(estimator).__mro__ if c.__module__.split(".")[0] == "lifelines"}


def lifelines_peer(estimator: Any) -> Peer:
    """Give the peer for a fitter of lifelines.

    Raises
    ------
    NotIdentifiedError, DataError
        A fitter that needs start-stop rows, or whose answers are wrong; the remedy is named.
    """
    names = fitter_names(estimator)
    if "CoxTimeVaryingFitter" in names:
        raise NotIdentifiedError(
            f"CoxTimeVaryingFitter needs start-stop rows and predicts no curves. {LANDMARK} CoxPH fits start-stop rows."
        )
    if "AalenJohansenFitter" in names:
        raise DataError(
            "AalenJohansenFitter moves tied times at random, so that its answer differs from run to run. Use "
            "churnsurv.AalenJohansen."
        )
    if "AalenAdditiveFitter" in names:
        return AdditivePeer(estimator)
    if "CoxPHFitter" in names:
        is_semiparametric = estimator.baseline_estimation_method == "breslow"
        return CoxPeer(estimator) if is_semiparametric else ParametricPeer(estimator)
    if "RegressionFitter" in names:
        return ParametricPeer(estimator)
    if "UnivariateFitter" in names:
        return StepNullPeer(estimator) if "NonParametricUnivariateFitter" in names else SmoothNullPeer(estimator)
    raise DataError(f"{type(estimator).__name__} of lifelines is no survival model that can be adapted.")


def fitter_settings(estimator: Any) -> dict[str, Any]:
    """Give the arguments of a fitter's constructor that it keeps as attributes; lifelines has no get_params."""
    names: list[str] = []
    for c in type(estimator).__mro__:
        if "__init__" not in vars(c):
            continue
        parameters = inspect.signature(vars(c)["__init__"]).parameters.values()
        names += [
            p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != "self"
        ]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break  # nothing is passed on to the classes above
    return {name: getattr(estimator, name) for name in dict.fromkeys(names) if hasattr(estimator, name)}


class LifelinesPeer(Peer):
    """A regression of lifelines, which takes one frame with covariates and outcome."""

    library = "lifelines"

    @property
    def takes_weights(self) -> bool:
        """Weights of lifelines are case weights."""
        return True

    def check(self) -> None:
        """Refuse strata: the new rows would need them too, and lifelines' baselines are not used."""
        if getattr(self.estimator, "strata", None) is not None:
            raise NotIdentifiedError(
                f"{type(self.estimator).__name__}(strata=...) is not adapted: strata are not supported in challengers. Make "
                "the strata covariates, or use CoxPH().fit(X, y, strata=...)."
            )

    def fit(self, frame: pd.DataFrame, stop: Floats, event: NDArray[np.bool_], weight: Floats | None) -> None:
        """Fit to right-censored rows."""
        rows = frame.reset_index(drop=True)
        outcome = {STOP: stop, EVENT: event.astype(np.int64)} | ({} if weight is None else {WEIGHT: weight})
        weights_col = None if weight is None else WEIGHT
        self.estimator.fit(rows.assign(**outcome), STOP, event_col=EVENT, weights_col=weights_col)
        self.last = float(stop.max())


class CoxPeer(LifelinesPeer, ProportionalPeer):
    """Cox's model of lifelines: its coefficients (Efron's ties), our Efron baseline."""

    efron = True

    def fit(self, frame: pd.DataFrame, stop: Floats, event: NDArray[np.bool_], weight: Floats | None) -> None:
        """Fit to right-censored rows."""
        super().fit(frame, stop, event, weight)
        self.keep_baseline(frame, stop, event, weight)

    def log_hazard(self, frame: pd.DataFrame) -> Floats:
        """Give x'β."""
        coef = self.estimator.params_
        return np.asarray(frame[list(coef.index)].to_numpy(np.float64) @ coef.to_numpy(np.float64))


class ParametricPeer(LifelinesPeer):
    """A parametric regression, evaluated at exactly the times asked for.

    Its risk is the cumulative hazard at the end of the follow-up: among accelerated failure times it orders as minus the
    predicted median does, and unlike that it is finite for all.
    """

    smooth = True

    def fit(self, frame: pd.DataFrame, stop: Floats, event: NDArray[np.bool_], weight: Floats | None) -> None:
        """Fit to right-censored rows; refuse one that expects far more or fewer exits than there were, or that falls.

        Maximum likelihood with a free scale expects as many exits as there were (exactly so for Weibull's model).
        """
        super().fit(frame, stop, event, weight)
        some = np.arange(len(stop)) if len(stop) <= 2000 else np.linspace(0, len(stop) - 1, 2000).astype(np.int64)
        share = np.ones(len(some)) if weight is None else weight[some]
        grid = np.unique(stop[some])
        curves = self.hazard(frame.iloc[some], grid)
        hazard = curves[np.arange(len(some)), np.searchsorted(grid, stop[some])]
        expected, observed = float(share @ hazard), float(share @ event[some])
        if not np.isfinite(expected) or not observed / MOST_OFF <= expected <= MOST_OFF * max(observed, 1.0):
            raise ConvergenceError(
                f"{self.name} expects {expected:.4g} exits in the rows of its fit where {observed:.4g} were seen: its "
                "likelihood was not maximised, though it does not say so. Standardise the covariates, use fewer of them, a "
                "penalizer, or another family."
            )

        if np.any(np.diff(curves, axis=1) < -1e-6):
            raise ConvergenceError(
                f"{self.name} has a cumulative hazard that falls, so that customers would come back: no model of leaving. Use "
                "fewer knots, a penalizer, or another family."
            )

    def risk(self, frame: pd.DataFrame) -> Floats:
        """Give the cumulative hazard at the end of the follow-up."""
        return self.hazard(frame, np.array([self.last]))[:, 0]

    def hazard(self, frame: pd.DataFrame, times: Floats) -> Floats:
        """Give the cumulative hazard (n, T) at the times."""
        found = np.zeros((len(frame), len(times)))
        later = times > 0  # families take the logarithm of the time
        if later.any():
            rows = frame.reset_index(drop=True)
            answer = self.estimator.predict_cumulative_hazard(rows, times=times[later])
            found[:, later] = np.asarray(answer, dtype=np.float64).T
        return np.maximum(found, 0.0)


class AdditivePeer(LifelinesPeer):
    """Aalen's additive hazards: the cumulative regression functions read as steps.

    An additive hazard may fall below zero; the cumulative hazard is then held where it was, so that no curve rises.
    """

    def risk(self, frame: pd.DataFrame) -> Floats:
        """Give the cumulative hazard at the end of the follow-up."""
        return self.hazard(frame, np.array([self.last]))[:, 0]

    def hazard(self, frame: pd.DataFrame, times: Floats) -> Floats:
        """Give the cumulative hazard (n, T) at the times."""
        table = self.estimator.cumulative_hazards_
        x = frame.assign(Intercept=1.0)[list(table.columns)].to_numpy(np.float64)
        steps = np.maximum.accumulate(np.maximum(x @ table.to_numpy(np.float64).T, 0.0), axis=1)
        return step_values(table.index.to_numpy(np.float64), steps, times, before=0.0)


class NullPeer(LifelinesPeer):
    """A univariate fitter: the same curve for every row, a null model."""

    def fit(self, frame: pd.DataFrame, stop: Floats, event: NDArray[np.bool_], weight: Floats | None) -> None:
        """Fit to right-censored rows; the covariates are not looked at."""
        self.estimator.fit(stop, event_observed=event, **({} if weight is None else {"weights": weight}))
        self.last = float(stop.max())

    def risk(self, frame: pd.DataFrame) -> Floats:
        """Give the same number for every row."""
        return self.hazard(frame, np.array([self.last]))[:, 0]

    def survival(self, frame: pd.DataFrame, times: Floats) -> Floats:
        """Give the probability of staying (n, T) at the times."""
        return np.tile(self.one_curve(times), (len(frame), 1))

    def one_curve(self, times: Floats) -> Floats:
        """Give the curve of everybody at the times (T,)."""
        raise NotImplementedError


class StepNullPeer(NullPeer):
    """Kaplan–Meier, Nelson–Aalen or Fleming–Harrington, read as steps."""

    def hazard(self, frame: pd.DataFrame, times: Floats) -> Floats:
        r"""Give the sum of the steps' hazards 1 − S(t)/S(t−), so that causes join to Aalen and Johansen's estimate."""
        steps = self.estimator.timeline.astype(np.float64)
        curve = np.concatenate([[1.0], self.one_curve(steps)])
        before = np.where(curve[:-1] > 0, curve[:-1], 1.0)
        total = np.cumsum(1.0 - curve[1:] / before * (curve[:-1] > 0) - (curve[:-1] <= 0))
        return np.tile(step_values(steps, total, times, before=0.0), (len(frame), 1))

    def one_curve(self, times: Floats) -> Floats:
        """Give the survival at the times (T,)."""
        is_hazard = not hasattr(self.estimator, "survival_function_")
        table = self.estimator.cumulative_hazard_ if is_hazard else self.estimator.survival_function_
        values = table.iloc[:, 0].to_numpy(np.float64)
        survival = np.exp(-values) if is_hazard else values
        return step_values(table.index.to_numpy(np.float64), survival, times, before=1.0)


class SmoothNullPeer(NullPeer):
    """A parametric distribution without covariates, evaluated at exactly the times asked for."""

    smooth = True

    def hazard(self, frame: pd.DataFrame, times: Floats) -> Floats:
        """Give the cumulative hazard (n, T) at the times."""
        return np.tile(-np.log(self.one_curve(times)), (len(frame), 1))

    def one_curve(self, times: Floats) -> Floats:
        """Give the survival at the times (T,)."""
        survival, later = np.ones(len(times)), times > 0
        if later.any():
            survival[later] = np.exp(-np.asarray(self.estimator.cumulative_hazard_at_times(times[later]), np.float64))
        return survival
