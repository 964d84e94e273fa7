"""The model without covariates: every customer of a stratum is predicted the Aalen–Johansen estimate of all of them."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from churnsurv.curves import Curves, check_size, within_support
from churnsurv.data.features import feature_frame
from churnsurv.estimators.inputs import (
    RowArgument,
    as_outcome,
    check_rows,
    codes_argument,
    columns_named,
    known_codes,
    remembered,
    requested_start,
    requested_times,
    weights_argument,
)
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.kernels import nonparametric as kernel
from churnsurv.kernels.times import step_values, steps_until
from churnsurv.messages import confidence_level
from churnsurv.nonparametric import AalenJohansen
from churnsurv.outcome import Outcome

Floats = NDArray[np.float64]


class _Rows(NamedTuple):
    """Rows to predict: their labels, code of the stratum, origin and end of the support."""

    labels: pd.Index
    stratum: NDArray[np.int64]
    origin: Floats
    last: Floats


class NullModel(BaseEstimator):  # type: ignore[misc]
    """Predict the same for everybody: the Aalen–Johansen estimate (Aalen & Johansen 1978), by stratum where there are strata.

    What a model with covariates must beat, and the reference of the index of prediction accuracy. Assumes that entry and
    censoring are independent of leaving, given the stratum. At a tie, exits come before censorings and entries after both: a
    customer is at risk on (start, stop].

    Attributes
    ----------
    causes_ : list of str
    strata_ : list or None
        Labels of the strata.
    risk_sets_ : list of dict
        By stratum: ``time`` (T,), ``n_risk`` (T,), ``n_event`` (K, T), weighted.
    event_times_ : array
        Distinct times of all strata.
    n_observations_, n_subjects_, n_events_ : int

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> y = cs.Outcome([6, 12, 12, 18], [1, 2, 1, 0], causes=("attrition", "default"))
    >>> X = pd.DataFrame({"rate": [3.0, 4.0, 5.0, 6.0]})
    >>> model = cs.NullModel().fit(X, y)
    >>> model.predict_curves(X.iloc[:1], [12]).cumulative_incidence("attrition")
    array([[0.5]])
    >>> model.predict_curves(X.iloc[:1], [12], start=6).cumulative_incidence("attrition").round(4)
    array([[0.3333]])
    """

    def fit(
        self,
        X: pd.DataFrame | ArrayLike,
        y: Outcome | NDArray[Any],
        *,
        strata: RowArgument = None,
        sample_weight: RowArgument = None,
    ) -> Self:
        """Count who is at risk and leaves at each age; of `X` only columns named as strata or weights are looked at.

        Parameters
        ----------
        X : frame or array (n, p)
        y : Outcome
            Recurrent events are refused.
        strata, sample_weight : array of n, or name(s) of column(s) of X
            Strata have estimates of their own. A weight is the number of customers a row stands for.
        """
        frame, outcome = feature_frame(X), as_outcome(y)
        check_rows(frame, outcome)
        given = {"strata": strata, "sample_weight": sample_weight}
        self.argument_columns_ = {k: list(columns_named(v, frame)) for k, v in given.items() if v is not None}
        codes = codes_argument(strata, frame, "strata")
        weight = weights_argument(sample_weight, frame)
        if codes is not None and weight is not None:
            lost = set(range(len(codes[1]))) - set(codes[0][weight > 0].tolist())
            if lost:
                raise DataError(f"All rows of stratum {codes[1][min(lost)]!r} have weight 0: leave them out.")
        fitted = AalenJohansen().fit(outcome, sample_weight=weight, by=None if codes is None else codes[0])
        self.strata_ = None if codes is None else codes[1]
        self.causes_ = list(outcome.causes)
        self.risk_sets_ = [
            {"time": f.times, "n_risk": f.counts["n_risk"], "n_event": f.event_by_state[1:]} for f in fitted._fits
        ]
        self.event_times_ = np.unique(np.concatenate([f.times for f in fitted._fits]))
        self.first_, self.last_ = [f.origin for f in fitted._fits], [float(f.times[-1]) for f in fitted._fits]
        self.has_whole_weights_ = weight is None or bool(np.all(weight == np.floor(weight)))
        self.n_features_in_, self.feature_names_in_ = frame.shape[1], np.asarray(frame.columns, dtype=object)
        self.n_observations_, self.n_subjects_ = len(outcome), outcome.n_subjects
        self.n_events_ = int(fitted.n_events_.sum())
        return self

    def predict(
        self, X: pd.DataFrame | ArrayLike, *, cause: str | None = None, strata: RowArgument = None
    ) -> NDArray[np.float64]:
        """Give the probability of leaving by the cause (default: the first) up to the last age known of all strata, (n,).

        The same number for all rows of a stratum: their order is a tie.
        """
        check_is_fitted(self)
        name = self.causes_[0] if cause is None else cause
        end = min(self.last_)
        curves = self.predict_curves(X, [end], strata=strata)
        return np.asarray(curves.cumulative_incidence(name)[:, 0])

    def predict_curves(
        self,
        X: pd.DataFrame | ArrayLike,
        times: ArrayLike | None = None,
        *,
        start: ArrayLike | None = None,
        strata: RowArgument = None,
        level: float | None = None,
    ) -> Curves:
        """Give the probabilities of staying and of having left by each cause, the same for all rows of a stratum and start.

        Parameters
        ----------
        X : frame or array
            As many rows as are to be predicted.
        times : array, optional
            Default: the times of the fit.
        start : number or array of n, optional
            Current age: what happened before does not count. Default: the first age at which customers of the stratum
            were watched; an earlier one is refused.
        strata : array of n, or name of a column
            Needed after a fit with strata; column names are remembered from there.
        level : float, optional
            Adds pointwise confidence bounds of this level, on the log scale as :class:`AalenJohansen` has them: the delta
            method with Poisson-like leavings, rows being independent customers (Aalen 1978).

        Raises
        ------
        NotIdentifiedError
            A level after a fit with fractional weights, whose variance the counts do not tell.
        """
        check_is_fitted(self)
        if level is not None:
            level = confidence_level(level)
            if not self.has_whole_weights_:
                raise NotIdentifiedError(
                    "Bounds need the rows when weights are fractional: use AalenJohansen().fit(y, sample_weight=...), whose "
                    "variance is robust, or leave level out."
                )
        rows = self._rows(X, start, strata)
        grid = requested_times(times, self.event_times_)
        check_size(len(rows.labels), 1 + len(self.causes_), len(grid), asked=times is not None)
        # one curve per stratum and start
        pairs, position = np.unique(np.column_stack((rows.stratum, rows.origin)), axis=0, return_inverse=True)
        found = [self._states(int(stratum), origin, grid, level) for stratum, origin in pairs]
        at = position.ravel()
        probability = np.stack([states for states, _ in found])[at]
        lower, upper = (
            None if level is None else np.stack([bounds[side] for _, bounds in found])[at] for side in (0, 1)
        )
        curves = Curves(
            grid, probability, rows.origin, rows.last, tuple(self.causes_), rows.labels,
            lower=lower, upper=upper, level=level,
        )  # fmt: skip
        return within_support(curves, times is not None, self.event_times_, stacklevel=2)

    def _rows(self, X: pd.DataFrame | ArrayLike, start: ArrayLike | None, strata: RowArgument) -> _Rows:
        frame = feature_frame(X, self.feature_names_in_)
        stratum = np.zeros(len(frame), dtype=np.int64)
        if self.strata_ is not None:
            named = remembered(self.argument_columns_, "strata", strata, frame)
            stratum = known_codes(named, frame, self.strata_, "strata")
        origin = requested_start(start, len(frame), np.asarray(self.first_)[stratum])
        return _Rows(frame.index, stratum, origin, np.asarray(self.last_)[stratum])

    def _states(
        self, stratum: int, origin: float, grid: Floats, level: float | None
    ) -> tuple[Floats, tuple[Floats, ...]]:
        """Give the states (1 + K, T) at the grid of those at risk at `origin`, and their bounds when a level is given."""
        risk_set = self.risk_sets_[stratum]
        # an exit at age 0 counts for those at risk from the closed origin, as in AalenJohansen
        begin = 0 if origin == self.first_[stratum] else int(steps_until(risk_set["time"], np.array([origin]))[0])
        times, n, d = risk_set["time"][begin:], risk_set["n_risk"][begin:], risk_set["n_event"][:, begin:]
        emptied = n - d.sum(axis=0) <= 1e-12 * n
        # of a risk table only the sums matter here
        none = np.zeros(len(times), dtype=np.int64)
        table = kernel.RiskTable(times, n, d, np.zeros(len(times)), none, emptied, none, none)
        survival = kernel.kaplan_meier(table).survival
        incidence = kernel.cumulative_incidence(table, survival) if len(times) else d

        def on_grid(values: Floats) -> Floats:
            placed = step_values(times, values, grid, before=0.0)
            placed[0, steps_until(times, grid) == 0] = 1.0
            return placed

        states = np.vstack((survival, incidence))
        if level is None:
            return on_grid(states), ()
        log = kernel.kaplan_meier(table)
        own = survival**2 * np.cumsum(log.variance_steps)
        variance = np.vstack((own, kernel.delta_variance(table, survival, incidence, multinomial=False)))
        lower, upper = kernel.interval(states, np.sqrt(variance), level, "log")
        return on_grid(states), (on_grid(lower), on_grid(upper))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "risk_sets_")
