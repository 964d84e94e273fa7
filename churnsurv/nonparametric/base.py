"""What the nonparametric estimators share: one fit per group, and its curves, quantiles, areas and table."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import ndtri
from sklearn.base import BaseEstimator

from churnsurv.curves import Curves, check_size
from churnsurv.exceptions import DataError, SmallSampleWarning, SupportWarning
from churnsurv.kernels import nonparametric as kernel
from churnsurv.kernels.times import Floats, Ints, slack, step_area, step_values, steps_until
from churnsurv.messages import confidence_level, counted, first_of, one_number
from churnsurv.nonparametric.groups import GroupRows, from_origin, group_rows
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate
from churnsurv.rows import meant_times, row_labels


@dataclass(frozen=True, eq=False)
class GroupFit:
    """One group's curve over T times, with 1 + K states (state 0: still a customer)."""

    times: Floats
    state: Floats  #: (1 + K, T) probabilities
    se: Floats  #: (1 + K, T)
    variance_steps: Floats  #: (T,) increments of the model-based Var(log S)
    area_moments: Floats | None  #: (3, 3, T) of the influence on the area under S; None: the variance is model-based
    counts: dict[str, Floats]  #: columns time, n_risk, n_event, n_censored of the table
    event_by_state: Floats  #: (1 + K, T) weight of events that lead to the state; of any cause for state 0
    event_rows: Ints  #: (T,) number of rows with an event
    falls_early: bool  #: the curve reaches 0 while somebody is at risk later
    origin: float
    n: int

    @property
    def n_events(self) -> int:
        """Rows with an event."""
        return int(self.event_rows.sum())

    def supports(self, horizon: float) -> bool:
        """Whether the area under S up to origin + horizon is known."""
        return bool(self.origin + horizon <= self.times[-1] + slack(self.times) or self.state[0, -1] == 0)

    def restricted_mean(self, horizon: float) -> tuple[float, float]:
        """Area under S over (origin, origin + horizon] and its standard error."""
        end = self.origin + horizon
        value = float(step_area(self.times, self.state[0], self.origin, end, 1.0))
        upto = slice(int(steps_until(self.times, np.array(end))))
        times, survival, steps = self.times[upto], self.state[0, upto], self.variance_steps[upto]
        if not len(times):
            return value, 0.0
        if self.area_moments is not None:
            f, g = kernel.area_functions(times, self.origin, survival, np.cumsum(steps))
            rest = survival[-1] * (end - times[-1])
            moments = self.area_moments[:, :, len(times) - 1]
            return value, float(np.sqrt(kernel.quadratic(moments, 1.0, f[-1] + rest, g[-1] + rest * steps.sum())))
        right_of = np.cumsum((survival * np.diff(times, append=end))[::-1])[::-1]
        return value, float(np.sqrt(np.sum(right_of**2 * steps)))


class Nonparametric(BaseEstimator):  # type: ignore[misc]
    """Base of the estimators; they say how one group is fitted and how its table looks."""

    _method: ClassVar[str]
    _model_variance: str
    _conf_types: ClassVar[tuple[str, ...]] = kernel.CONF_TYPES

    def _fit(
        self,
        y: Outcome,
        fit_group: Callable[[GroupRows], GroupFit],
        *,
        sample_weight: ArrayLike | None,
        by: ArrayLike | pd.DataFrame | None,
        cluster: ArrayLike | None,
        min_at_risk: int,
        origin: float | None,
        level: float,
        conf_type: str,
        robust: bool,
    ) -> None:
        level = confidence_level(level)
        if conf_type not in self._conf_types:
            raise DataError(f"conf_type={conf_type!r} is not known: use one of {list(self._conf_types)}.")
        least = one_number(min_at_risk, "min_at_risk")
        if least != int(least) or least < 1:
            raise DataError(f"min_at_risk={min_at_risk!r}: give a number of rows, 1 or more.")
        if origin is not None:
            origin = float(meant_times(np.array(one_number(origin, "origin")), y))
        self.level_, self.conf_type_, self.robust_ = level, conf_type, robust
        self.weighted_, self.grouped_ = sample_weight is not None, by is not None
        self.delayed_entry_ = bool(np.any(y.entry > 0))
        self.groups_: pd.Index = pd.Index(["all"], name="group")
        group = np.zeros(len(y), dtype=np.int64)
        if by is not None:
            group, self.groups_ = row_labels(by, len(y), "by")
        self._fits: list[GroupFit] = []
        parts = group_rows(y, group, len(self.groups_), sample_weight, cluster)
        for label, rows in zip(self.groups_, parts, strict=True):
            name = f"{self.groups_.name} {label!r}" if self.grouped_ else "The outcome"
            self._fits.append(fit_group(from_origin(rows, name, int(least), origin, y.from_origin)))
        self.n_subjects_ = pd.Series([f.n for f in self._fits], self.groups_)
        self.n_events_ = pd.Series([f.n_events for f in self._fits], self.groups_)
        self.__dict__.pop("curves_", None)
        self._warn_of_thin_groups()
        self.table_ = self._table()

    def _warn_of_thin_groups(self) -> None:
        without = (self.n_events_ == 0).to_numpy()
        if without.any():
            n = int(self.n_subjects_[without].sum())
            warnings.warn(
                f"No events among {counted(n, 'subject')}{self._where(without)}: the curve stays at its start, and its "
                "interval says nothing about how far it could fall.",
                SmallSampleWarning,
                stacklevel=4,
            )
        early = np.array([f.falls_early for f in self._fits])
        if early.any():
            warnings.warn(
                f"The curve{self._where(early)} falls to 0 while customers enter later: everybody of a small early risk "
                "set left. Begin where more are at risk: fit(..., min_at_risk=20), say.",
                SmallSampleWarning,
                stacklevel=4,
            )

    @cached_property
    def curves_(self) -> Curves:
        """The curves of the groups on the union of their times, with bounds; NaN after a group's last time."""
        self._check_fitted()
        times = np.unique(np.concatenate([f.times for f in self._fits]))
        check_size(3 * len(self._fits), len(self._fits[0].state), len(times), asked=False)
        stacks: tuple[list[Floats], ...] = ([], [], [])
        for f in self._fits:
            for stack, values in zip(stacks, (f.state, *self._state_bounds(f)), strict=True):
                on_grid = step_values(f.times, values, times, before=0.0)
                on_grid[0, times < f.times[0]] = 1.0
                on_grid[:, times > f.times[-1]] = np.nan
                stack.append(on_grid)
        probability, lower, upper = (np.stack(stack) for stack in stacks)
        return Curves(
            times=times,
            probability=probability,
            origin=np.array([f.origin for f in self._fits]),
            last=np.array([f.times[-1] for f in self._fits]),
            causes=self.causes_,
            index=self.groups_,
            lower=lower,
            upper=upper,
            level=self.level_,
        )

    def median(self) -> Estimate | dict[Any, Estimate]:
        """Give the age by which half have left, see :meth:`quantile`."""
        return self.quantile(0.5)

    def quantile(self, share: float) -> Estimate | dict[Any, Estimate]:
        """Give the age by which the `share` of customers has left, with its interval (Brookmeyer & Crowley 1982).

        The first time at which the curve is at most 1 − `share`; where it is flat at exactly that height the midpoint of
        the flat piece. The ends of the interval are the same for the curve's bounds. NaN where a curve stays above.

        Returns
        -------
        Estimate, or with `by` a dict of one per group label; ``se`` is NaN.
        """
        self._check_fitted()
        if not 0 < one_number(share, "share") < 1:
            raise DataError(f"share={share!r}: give a number between 0 and 1, such as 0.5 for the median.")
        name = "Median time to leaving" if share == 0.5 else f"Age by which {share:.0%} have left"

        def of(fit: GroupFit) -> tuple[float, float, float, float]:
            lower, upper = self._survival_bounds(fit)
            value, low, high = (kernel.step_quantile(fit.times, c, share) for c in (fit.state[0], lower, upper))
            return value, np.nan, low, high

        return self._estimates(name, of, f"inverted {self.conf_type_} interval")

    def rmst(self, horizon: float) -> Estimate | dict[Any, Estimate]:
        """Give the restricted mean time: expected time still a customer within `horizon` after the origin.

        The area under the survival curve from the origin (``curves_.origin``) to origin + `horizon`. Its variance is
        Σ A(t)² ΔVar(log S) with A(t) the area right of t (Andersen, Borgan, Gill & Keiding 1993, IV.3), or the
        infinitesimal jackknife where the fit's variance is robust. Beyond the last time of a group whose curve is not at
        0 by then it is not estimable: NaN with a :class:`SupportWarning`.

        Returns
        -------
        Estimate, or with `by` a dict of one per group label.
        """
        self._check_fitted()
        horizon = one_number(horizon, "horizon")
        if horizon <= 0:
            raise DataError(f"horizon={horizon!r}: give a positive number, e.g. rmst(12).")
        short = np.array([not f.supports(horizon) for f in self._fits])
        if short.any():
            known = min(f.times[-1] - f.origin for f, s in zip(self._fits, short, strict=True) if s)
            warnings.warn(
                f"Horizon {horizon:g} is past the last time with data{self._where(short)} ({known:g} after the origin): not "
                "estimable. The answer there is NaN.",
                SupportWarning,
                stacklevel=2,
            )
        z = float(ndtri((1 + self.level_) / 2))

        def of(fit: GroupFit) -> tuple[float, float, float, float]:
            value, se = fit.restricted_mean(horizon) if fit.supports(horizon) else (np.nan, np.nan)
            return value, se, float(np.maximum(value - z * se, 0)), float(np.minimum(value + z * se, horizon))

        return self._estimates(f"Restricted mean time within {horizon:g}", of, "area under the curve, normal interval")

    def _estimates(
        self, name: str, of: Callable[[GroupFit], tuple[float, float, float, float]], how: str
    ) -> Estimate | dict[Any, Estimate]:
        variance = "infinitesimal-jackknife" if self.robust_ else self._model_variance
        words = [self._method, how, f"{variance} variance"] + (["case weights"] if self.weighted_ else [])
        estimates = {}
        for label, fit in zip(self.groups_, self._fits, strict=True):
            entry = [f"delayed entry, from {fit.origin:g}"] if self.delayed_entry_ or fit.origin > 0 else []
            estimates[label] = Estimate(
                f"{name} ({self.groups_.name} {label})" if self.grouped_ else name,
                *of(fit),
                level=self.level_,
                n=fit.n,
                n_events=fit.n_events,
                method="; ".join(words + entry),
            )
        return estimates if self.grouped_ else estimates["all"]

    def _check_fitted(self) -> None:
        if not hasattr(self, "_fits"):
            raise DataError(f"This {type(self).__name__} is not fitted yet: call fit(y) first.")

    def _where(self, groups: np.ndarray[Any, np.dtype[np.bool_]]) -> str:
        return f" in {self.groups_.name} {first_of([repr(v) for v in self.groups_[groups]])}" if self.grouped_ else ""

    def _survival_bounds(self, fit: GroupFit) -> tuple[Floats, Floats]:
        return kernel.interval(fit.state[0], fit.se[0], self.level_, self.conf_type_)

    def _state_bounds(self, fit: GroupFit) -> tuple[Floats, Floats]:
        """Bounds of all states; of two states the second's are the complement of the first's."""
        if len(fit.state) == 2:
            lower, upper = self._survival_bounds(fit)
            return np.stack((lower, 1 - upper)), np.stack((upper, 1 - lower))
        return kernel.interval(fit.state, fit.se, self.level_, self.conf_type_)

    def _columns(self, fit: GroupFit) -> dict[str, Any]:
        """Columns of one group's table."""
        lower, upper = self._survival_bounds(fit)
        return {**fit.counts, "estimate": fit.state[0], "se": fit.se[0], "lower": lower, "upper": upper}

    def _table(self) -> pd.DataFrame:
        parts = [pd.DataFrame(self._columns(f)) for f in self._fits]
        frame = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
        frame.insert(0, "group", np.repeat(self.groups_.to_numpy(), [len(p) for p in parts]))
        if not self.weighted_:
            whole = ["n_risk", "n_event", "n_censored"]
            frame[whole] = frame[whole].astype(np.int64)
        return frame
