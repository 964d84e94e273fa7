"""What a recalibrated model predicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from churnsurv.curves import Curves, check_size, within_support
from churnsurv.data.features import feature_frame
from churnsurv.estimators.cause_specific import states_of
from churnsurv.estimators.inputs import requested_start, requested_times
from churnsurv.estimators.recalibrated_fit import RiskMap, chunks_of_curves, hazard_steps, log_hazards, risks
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.kernels.times import TIE_TOLERANCE, steps_until
from churnsurv.messages import counted, one_number

Floats = NDArray[np.float64]

#: methods that recalibrate hazards, and with them all horizons
WHOLE_CURVES = ("hazard", "slope")


class RecalibratedPrediction:
    """Predictions of a recalibrated model; a part of the estimator that inherits it."""

    model_: Any
    method: str
    horizon: float | None
    causes_: list[str]
    feature_names_in_: NDArray[Any]
    recalibration_: pd.DataFrame
    edges_: Floats
    score_center_: Floats
    score_until_: float
    maps_: list[tuple[Any, ...]]

    def predict(self, X: pd.DataFrame | ArrayLike, *, cause: str | None = None) -> Floats:
        """Give the model's own score: recalibration does not change who leaves sooner."""
        check_is_fitted(self)
        if cause is not None and cause not in self.causes_:
            raise DataError(f"Cause {cause!r} is unknown; the model has {self.causes_}.")
        named = {} if cause is None or len(self.causes_) == 1 else {"cause": cause}
        return np.asarray(self.model_.predict(X, **named))

    def predict_curves(
        self, X: pd.DataFrame | ArrayLike, times: ArrayLike | None = None, *, start: ArrayLike | None = None
    ) -> Curves:
        """Predict recalibrated probabilities; arguments as of the model.

        With a method of one horizon the only time is start + horizon, so that all rows need the same start; see :meth:`risk`.
        """
        check_is_fitted(self)
        frame = feature_frame(X, self.feature_names_in_)
        since = _broadcast(start, len(frame))
        if self.method not in WHOLE_CURVES:
            return self._curves_at_horizon(frame, times, since)
        score = self._score(frame)
        parts: list[Curves] = []
        for rows, curves in chunks_of_curves(self.model_, frame, since):
            grid = requested_times(times, curves.times)
            check_size(len(frame), 1 + len(self.causes_), len(grid), asked=times is not None)
            factor = self._factors(curves.times)[None] * np.exp(score[rows])[:, :, None]
            every = states_of(hazard_steps(curves) * factor)
            unknown = np.isnan(curves.probability[:, :1]).all(axis=2, keepdims=True)
            probability = np.where(unknown, np.nan, every[:, :, steps_until(curves.times, grid)])
            made = Curves(grid, probability, curves.origin, curves.last, tuple(self.causes_), curves.index)
            steps = curves.times
            parts.append(made)
        joined = Curves(
            parts[0].times,
            np.concatenate([part.probability for part in parts]),
            np.concatenate([part.origin for part in parts]),
            np.concatenate([part.last for part in parts]),
            tuple(self.causes_),
            frame.index,
        )
        return within_support(joined, times is not None, steps, stacklevel=2)

    def risk(
        self,
        X: pd.DataFrame | ArrayLike,
        cause: str | None = None,
        horizon: float | None = None,
        *,
        start: ArrayLike | None = None,
    ) -> Floats:
        """Give the recalibrated probability of leaving by the cause within the horizon after the start, (n,).

        With a method of one horizon, `horizon` is that of the model and may be left out.
        """
        check_is_fitted(self)
        frame = feature_frame(X, self.feature_names_in_)
        if self.method in WHOLE_CURVES:
            if horizon is None:
                raise DataError("Pass horizon=, the time after the start by which customers leave.")
            return self.predict_curves(frame, start=start).risk(cause, horizon)
        if horizon is not None and one_number(horizon, "horizon") != self.horizon:
            raise NotIdentifiedError(
                f"The recalibration is of the risk within {self.horizon:g}, not {horizon:g}: fit another for that horizon, or "
                "use method='hazard' or 'slope', which recalibrate whole curves."
            )
        if (cause is None and len(self.causes_) > 1) or (cause is not None and cause not in self.causes_):
            raise DataError(f"Name the cause: one of {self.causes_}.")
        mapped, _ = self._mapped(frame, _broadcast(start, len(frame)))
        return np.asarray(mapped[:, 0 if cause is None else self.causes_.index(cause)])

    def _factors(self, times: Floats) -> Floats:
        """Give the factor of each cause's hazard at each time, (K, T)."""
        band = np.clip(np.searchsorted(self.edges_, times, side="left") - 1, 0, len(self.edges_) - 2)
        table = self.recalibration_[self.recalibration_["parameter"] == "log_ratio"]
        by_band = table["value"].to_numpy().reshape(len(self.causes_), -1)
        return np.asarray(np.exp(by_band)[:, band])

    def _score(self, frame: pd.DataFrame) -> Floats:
        """Give (slope − 1)(r − r̄), (n, K)."""
        if self.method != "slope":
            return np.zeros((len(frame), len(self.causes_)))
        slope = self.recalibration_.loc[self.recalibration_["parameter"] == "slope", "value"].to_numpy()
        return np.asarray((slope - 1.0) * (log_hazards(self.model_, frame, self.score_until_) - self.score_center_))

    def _mapped(self, frame: pd.DataFrame, start: Floats | None) -> tuple[Floats, Floats]:
        """Give the recalibrated risks (n, K), which share 1 in proportion should they sum to more, and the origins."""
        risk, origin = risks(self.model_, frame, start, tuple(self.causes_), float(self.horizon or 0))
        mapped = np.column_stack([RiskMap(*of).applied(risk[:, k]) for k, of in enumerate(self.maps_)])
        return mapped / np.maximum(mapped.sum(axis=1, keepdims=True), 1.0), origin

    def _curves_at_horizon(self, frame: pd.DataFrame, times: ArrayLike | None, start: Floats | None) -> Curves:
        mapped, origin = self._mapped(frame, start)
        if np.ptp(origin) > 0:
            raise NotIdentifiedError(
                "The rows start at different ages, and only the risk within the horizon is recalibrated: use .risk(X, cause, "
                "start=...), or method='hazard' or 'slope' for whole curves."
            )
        only = origin[:1] + float(self.horizon or 0)
        grid = requested_times(times, only)
        if len(grid) > 1 or abs(grid[0] - only[0]) > TIE_TOLERANCE * only[0]:
            raise NotIdentifiedError(
                f"Only the risk by {only[0]:g} is recalibrated, not at {counted(len(grid), 'time')} from {grid[0]:g}: ask for "
                "that time, or use method='hazard' or 'slope' for whole curves."
            )
        probability = np.concatenate((1 - mapped.sum(axis=1, keepdims=True), mapped), axis=1)[:, :, None]
        last = np.full(len(frame), only[0])
        return Curves(only, probability, origin, last, tuple(self.causes_), frame.index, steps=False)


def _broadcast(start: ArrayLike | None, n: int) -> Floats | None:
    if start is None:
        return None
    return requested_start(start, n, np.zeros(n))
