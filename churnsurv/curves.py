"""Curves: predicted probabilities over time of still being a customer and of having left by each cause."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.exceptions import DataError, NotIdentifiedError, SupportWarning
from churnsurv.kernels.times import slack, step_values, steps_until
from churnsurv.messages import counted, first_of, one_number

Floats = NDArray[np.float64]

#: largest result that is built on all event times unasked, and at all (bytes)
SIZE_UNASKED, SIZE_LIMIT = 2**28, 2**31


def check_size(n_rows: int, n_states: int, n_times: int, asked: bool) -> None:
    """Refuse to build curves that would fill the memory; `asked`: the caller gave the times."""
    size = 8 * n_rows * n_states * n_times
    if size > (SIZE_LIMIT if asked else SIZE_UNASKED):
        raise DataError(
            f"Curves of {n_rows:,} rows x {n_states} states x {n_times:,} times would take {size / 2**30:.1f} GB. "
            "Pass times= with the few times of interest (a grid such as [12, 24, 36]), or predict in chunks of rows."
        )


@dataclass(frozen=True, repr=False, eq=False)
class Curves:
    """State probabilities of n rows over a common grid of times.

    Parameters
    ----------
    times : (T,) increasing
        Times at which the curves step, or at which they were evaluated.
    probability : (n, 1 + K, T)
        State 0: still a customer; state k: has left by ``causes[k - 1]``. The states sum to 1. For an incomplete model
        (``complete=False``) the middle axis holds what ``incomplete_kind`` says, for its one cause.
    origin : (n,)
        Age at which the row is known to be at risk: probabilities are conditional on it, and 1 in state 0 up to it.
    last : (n,)
        End of the support: nothing is known after it.
    causes : tuple of str
        Names of the K causes.
    index : Index
        Labels of the rows.
    lower, upper : (n, 1 + K, T), optional
        Pointwise confidence bounds.
    level : float, optional
        Their confidence level.
    complete : bool
        False: the model knows one of several causes, so only that cause's ``incomplete_kind`` is offered.
    incomplete_kind : {"cumulative hazard", "cumulative incidence"}
        What an incomplete model predicts.
    steps : bool
        True: `times` are all the steps, so that any time can be read. False: the curves were evaluated at the times that
        were asked for, and nothing is known between them.

    Examples
    --------
    >>> import churnsurv as cs
    >>> y = cs.Outcome([2, 4, 6, 8], [1, 2, 0, 1], causes=("attrition", "default"))
    >>> curves = cs.AalenJohansen().fit(y).curves_
    >>> curves.risk("attrition", horizon=5).round(2)
    array([0.25])
    """

    times: Floats
    probability: Floats
    origin: Floats
    last: Floats
    causes: tuple[str, ...]
    index: pd.Index
    lower: Floats | None = None
    upper: Floats | None = None
    level: float | None = None
    complete: bool = True
    incomplete_kind: str = "cumulative hazard"
    steps: bool = True
    se: Floats | None = None

    def __post_init__(self) -> None:
        n, states = len(self.index), 1 + len(self.causes) if self.complete else 1
        expected = (n, states, len(self.times))
        if self.probability.shape != expected:
            raise DataError(
                f"probability has shape {self.probability.shape}, expected (rows, states, times) = {expected}."
            )
        for name, bound in (("lower", self.lower), ("upper", self.upper), ("se", self.se)):
            if bound is not None and bound.shape != expected:
                raise DataError(f"{name} has shape {bound.shape}, expected that of probability, {expected}.")
        if np.any(np.diff(self.times) <= 0):
            raise DataError("The times of curves must increase.")

    def __len__(self) -> int:
        return len(self.index)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Floats:
        return np.array(self.probability, dtype=dtype, copy=copy)

    def __getitem__(self, key: Any) -> Any:
        """Select rows (curves of them), or with a tuple index the array of probabilities."""
        if isinstance(key, tuple):
            return self.probability[key]
        rows: Any = [key] if np.isscalar(key) else key
        return replace(
            self,
            probability=self.probability[rows],
            origin=self.origin[rows],
            last=self.last[rows],
            index=self.index[rows],
            lower=None if self.lower is None else self.lower[rows],
            upper=None if self.upper is None else self.upper[rows],
            se=None if self.se is None else self.se[rows],
        )

    @property
    def survival(self) -> Floats:
        """Probability of still being a customer, (n, T)."""
        self._require_complete("the survival")
        return self.probability[:, 0, :]

    def cumulative_incidence(self, cause: str | None = None) -> Floats:
        """Give the probability of having left by the cause, (n, T); with a single cause it need not be named."""
        if not self.complete and self.incomplete_kind != "cumulative incidence":
            self._require_complete("a cumulative incidence")
        return self.probability[:, self._state(cause), :]

    def cumulative_hazard(self, cause: str | None = None) -> Floats:
        """Give the cumulative cause-specific hazard of an incomplete model, (n, T)."""
        if self.complete or self.incomplete_kind != "cumulative hazard":
            raise NotIdentifiedError(
                "These curves are state probabilities; use .survival or .cumulative_incidence(cause)."
            )
        return self.probability[:, self._state(cause), :]

    def at(self, times: ArrayLike, *, strict: bool = False) -> Curves:
        """Evaluate at other times (right-continuous steps).

        Past the end of a row's support the answer is NaN with a :class:`SupportWarning`, or an error with `strict`.
        The result's ``times`` are the sorted distinct `times`.
        """
        wanted = np.unique(np.atleast_1d(np.asarray(times, dtype=np.float64)))
        if not np.all(np.isfinite(wanted)):
            raise DataError("times must be finite numbers.")
        check_size(len(self), self.probability.shape[1], len(wanted), asked=True)
        self._require_known(wanted[None, :])
        beyond = wanted[None, :] > self.last[:, None] + slack(self.times)
        if beyond.any():
            self._report_beyond(beyond, wanted, strict)
        bounds: dict[str, Any] = {}
        for name in ("lower", "upper", "se"):
            bound = getattr(self, name)
            bounds[name] = None if bound is None else self._evaluated(bound, wanted, beyond)
        probability = self._evaluated(self.probability, wanted, beyond)
        return replace(self, times=wanted, probability=probability, steps=False, **bounds)

    def risk(self, cause: str | None = None, horizon: float | None = None, *, strict: bool = False) -> Floats:
        """Give the probability of leaving by the cause within `horizon` after the row's origin, (n,)."""
        incidence = self.cumulative_incidence(cause)
        when = self.origin + _positive(horizon)
        self._require_known(when[:, None])
        beyond = when > self.last + slack(self.times)
        if beyond.any():
            self._report_beyond(beyond[:, None], when[:1] if len(when) == 1 else when[beyond][:1], strict)
        position = steps_until(self.times, when) - 1
        value = np.where(position >= 0, incidence[np.arange(len(self)), np.maximum(position, 0)], 0.0)
        return np.where(beyond, np.nan, value)

    def rmst(self, horizon: float) -> Floats:
        """Give the mean time still a customer within `horizon` after the origin (restricted mean time), (n,)."""
        survival = self.survival
        self._require_steps("a restricted mean")
        end = self.origin + _positive(horizon)
        beyond = end > self.last + slack(self.times)
        if beyond.any():
            self._report_beyond(beyond[:, None], end[beyond][:1], False)
        edges = np.concatenate((self.times, [np.inf]))
        # time spent in each step of the grid within (origin, end]; before the first step the probability is 1
        begin, finish = self.origin[:, None], end[:, None]
        spent = np.clip(np.minimum(edges[1:], finish) - np.maximum(edges[:-1], begin), 0, None)
        before = (
            np.clip(np.minimum(self.times[0], end) - self.origin, 0, None) if len(self.times) else end - self.origin
        )
        area = before + np.einsum("nt,nt->n", spent, np.where(spent > 0, survival, 0.0))
        return np.where(beyond, np.nan, area)

    def median(self) -> Floats:
        """Give the age by which half of such rows have left by any cause, (n,); NaN where the curve stays above ½."""
        survival = self.survival
        self._require_steps("a median")
        reached = survival <= 0.5 + 1e-12
        first = np.argmax(reached, axis=1)
        rows = np.arange(len(self))
        value = self.times[first]
        # a step exactly at one half: midpoint of the flat piece, as R's quantile
        flat = np.isclose(survival[rows, first], 0.5, rtol=0, atol=1e-12)
        below = survival < 0.5 - 1e-12
        end = np.where(below.any(axis=1), self.times[np.argmax(below, axis=1)], value)
        return np.where(reached.any(axis=1), np.where(flat, (value + end) / 2, value), np.nan)

    def to_frame(self, long: bool = True) -> pd.DataFrame:
        """Give a tidy frame; ``long=False``: a column per state and time, of probabilities.

        The tidy frame has the columns row, time, state, probability, and where there are such standard errors and bounds.
        """
        states = ["customer", *self.causes] if self.complete else list(self.causes)
        if not long:
            columns = pd.MultiIndex.from_product([states, pd.Index(self.times)], names=["state", "time"])
            return pd.DataFrame(self.probability.reshape(len(self), -1), index=self.index, columns=columns)
        rows = self.index.to_flat_index() if isinstance(self.index, pd.MultiIndex) else self.index
        index = pd.MultiIndex.from_product([rows, states, pd.Index(self.times)], names=["row", "state", "time"])
        frame = pd.DataFrame({"probability": self.probability.ravel()}, index=index)
        if self.se is not None:
            frame["se"] = self.se.ravel()
        if self.lower is not None and self.upper is not None:
            frame["lower"], frame["upper"] = self.lower.ravel(), self.upper.ravel()
        return frame.reset_index()

    def __repr__(self) -> str:
        span = f"{self.times[0]:g} to {self.times[-1]:g}" if len(self.times) else "none"
        what = ", ".join(["customer", *self.causes]) if self.complete else f"{self.incomplete_kind} of {self.causes[0]}"
        return f"Curves of {counted(len(self), 'row')} at {counted(len(self.times), 'time')} ({span}): {what}"

    def _evaluated(self, values: Floats, wanted: Floats, beyond: NDArray[np.bool_]) -> Floats:
        found = step_values(self.times, values, wanted, before=0.0)
        early = wanted < (self.times[0] if len(self.times) else np.inf)
        if self.complete and values is not self.se:
            found[:, 0, early] = 1.0
        found[np.broadcast_to(beyond[:, None, :], found.shape)] = np.nan
        return found

    def _state(self, cause: str | None) -> int:
        if cause is None:
            if len(self.causes) > 1:
                raise DataError(f"Name the cause: one of {list(self.causes)}.")
            cause = self.causes[0]
        if cause not in self.causes:
            raise DataError(f"Cause {cause!r} is unknown; these curves have {list(self.causes)}.")
        return self.causes.index(cause) + 1 if self.complete else 0

    def _require_complete(self, what: str) -> None:
        if not self.complete:
            raise NotIdentifiedError(
                f"A model of {self.causes[0]!r} alone does not identify {what}: the other causes (of recurrent events: the "
                "events after the first) matter too. Fit all causes together (CauseSpecificCox, RandomSurvivalForest)."
            )

    def _require_steps(self, what: str) -> None:
        if not self.steps:
            raise DataError(
                f"These curves were evaluated at {counted(len(self.times), 'time')} only, which does not give {what}. "
                "Predict without times=."
            )

    def _require_known(self, wanted: Floats) -> None:
        """Refuse times (rows, m) between those at which the curves were evaluated; up to the origin all is known."""
        if self.steps:
            return
        position = steps_until(self.times, wanted) - 1
        exact = (position >= 0) & (np.abs(self.times[np.maximum(position, 0)] - wanted) <= slack(self.times))
        unknown = ~exact & (wanted > self.origin[:, None]) & (wanted <= self.last[:, None])
        if unknown.any():
            first = np.broadcast_to(wanted, unknown.shape)[unknown][0]
            raise DataError(
                f"These curves were evaluated at {first_of([f'{t:g}' for t in self.times], 8)} only; {first:g} is not among "
                "them. Predict with times= that include it (for a risk: start + horizon), or without times=."
            )

    def _report_beyond(self, beyond: NDArray[np.bool_], times: Floats, strict: bool, stacklevel: int = 3) -> None:
        rows = np.flatnonzero(beyond.any(axis=1))
        columns = np.flatnonzero(beyond.any(axis=0))
        message = (
            f"Time {first_of([f'{times[c]:g}' for c in columns if c < len(times)])} is past the last time known "
            f"({self.last[rows].min():g}) of {counted(len(rows), 'row')} ({first_of(self.index[rows])}): not estimable."
        )
        if strict:
            raise DataError(message + " Ask for an earlier horizon.")
        warnings.warn(message + " The answer there is NaN.", SupportWarning, stacklevel=stacklevel)


def _positive(horizon: Any) -> float:
    value = one_number(horizon, "horizon")
    if value <= 0:
        raise DataError(f"horizon={horizon!r}: give a positive number, e.g. risk('attrition', horizon=12).")
    return value


def within_support(curves: Curves, asked: bool, model_steps: Floats, stacklevel: int) -> Curves:
    """Give NaN after the end of each row's support; with a warning when the caller asked for such a time.

    Curves at times that the caller asked for are steps up to the last of them if they hold all of the model's steps until
    then (a grid of all months does), else they are marked as evaluated there only.
    """
    beyond = curves.times[None, :] > curves.last[:, None] + slack(curves.times)
    if beyond.any():
        if asked:
            curves._report_beyond(beyond, curves.times, strict=False, stacklevel=stacklevel + 2)
        known = ~beyond[:, None, :]
        changed: dict[str, Any] = {
            name: np.where(known, values, np.nan)
            for name in ("probability", "lower", "upper", "se")
            if (values := getattr(curves, name)) is not None
        }
        curves = replace(curves, **changed)
    if not asked:
        return curves
    end = curves.times[-1] if len(curves.times) else 0.0
    needed = model_steps[model_steps <= end + slack(model_steps)]
    position = steps_until(curves.times, needed) - 1
    if np.any(position < 0) or np.any(np.abs(curves.times[position] - needed) > slack(curves.times)):
        return replace(curves, steps=False)
    return replace(curves, last=np.minimum(curves.last, end))
