"""What a fitted Cox model predicts: risk scores and curves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from churnsurv.curves import Curves, within_support
from churnsurv.data.encoder import DesignEncoder
from churnsurv.data.features import feature_frame
from churnsurv.estimators.cox_curves import Predicted, hazard_steps, predicted_hazard
from churnsurv.estimators.cox_variance import ConfType, hazard_variance, state_bounds
from churnsurv.estimators.inputs import RowArgument, remembered
from churnsurv.exceptions import NotIdentifiedError

Floats = NDArray[np.float64]


class CoxPrediction:
    """Predictions of models with coefficients and a baseline hazard; a part of the estimators that inherit it."""

    coef_: pd.Series
    encoder_: DesignEncoder
    feature_names_in_: NDArray[Any]
    argument_columns_: dict[str, list[str]]
    center_: pd.Series
    offset_center_: float
    covariance_: pd.DataFrame
    centred_hazard_: pd.DataFrame
    hazard_variance_: Floats
    hazard_gradient_: Floats
    event_times_: Floats
    strata_: list[Any] | None
    first_: list[float]
    last_: list[float]
    causes_: list[str]
    cause_: str
    is_recurrent_: bool
    n_events_: int

    @property
    def baseline_cumulative_hazard_(self) -> pd.DataFrame:
        """Cumulative baseline hazard at all covariates zero (columns stratum, time, hazard)."""
        check_is_fitted(self)
        exponent = -float(self.coef_.to_numpy() @ self.center_.to_numpy()) - self.offset_center_
        if abs(exponent) > 700:
            raise NotIdentifiedError(
                f"The hazard at all covariates zero is exp({exponent:.0f}) times that at their means, which no double "
                "represents: zero lies far outside the data. Centre the covariates, or use predict_curves."
            )
        frame = self.centred_hazard_.copy()
        frame["hazard"] *= np.exp(exponent)
        return frame

    def predict(self, X: pd.DataFrame | ArrayLike) -> Floats:
        """Give the linear predictor x'β, uncentred, without offset; higher leaves sooner. NaN where a value is missing."""
        check_is_fitted(self)
        frame = feature_frame(X, self.feature_names_in_)
        return np.asarray(self.encoder_.design(frame) @ self.coef_.to_numpy())

    def predict_curves(
        self,
        X: pd.DataFrame | ArrayLike,
        times: ArrayLike | None = None,
        *,
        start: ArrayLike | None = None,
        strata: RowArgument = None,
        offset: RowArgument = None,
        level: float | None = None,
        conf_type: ConfType = "log-log",
    ) -> Curves:
        """Predict the probability of staying, S(t|x) = exp(−Λ(t) e^{x'β}), for covariates that stay as given.

        Parameters
        ----------
        X : frame or array
            Covariates; a row with a missing value gives NaN.
        times : array, optional
            Default: the event times of the fit.
        start : number or array of n, optional
            Current age: probabilities are conditional on being a customer then. Default: the first age at which
            customers were watched (0 without late entry); an earlier start is refused.
        strata, offset
            As in :meth:`fit`; column names are remembered from there.
        level : float, optional
            Adds pointwise confidence bounds of this level as ``lower`` and ``upper``. They carry the uncertainty of the
            baseline hazard and, by the delta method, of the coefficients (Tsiatis 1981; Link 1984; with Efron's ties by
            the same sums over the tied exits), the robust covariance where the fit has one (the baseline's own part stays
            that of independent customers, as in R). Offsets count as known.
        conf_type : {"log-log", "log", "plain"}
            The scale on which the bounds are symmetric; all lie within 0 and 1.

        Returns
        -------
        Curves
            When the model is of one cause among several, or of recurrent events: the cumulative hazard only
            (``complete=False``), since a probability needs the other causes too. NaN past the follow-up.
        """
        check_is_fitted(self)
        found = predicted_hazard(self, X, times, start=start, strata=strata, offset=offset)
        variance = None if level is None else hazard_variance(self, found, start is None)
        return self.curves_of(found, variance, level, conf_type, asked=times is not None)

    def curves_of(
        self, found: Predicted, variance: Floats | None, level: float | None, conf_type: str, *, asked: bool
    ) -> Curves:
        """Turn cumulative hazards into curves, with bounds from their variance (n, T) when a level is given."""
        hazard = found.hazard
        bounds: tuple[Floats | None, Floats | None] = (None, None)
        complete = len(self.causes_) == 1 and not self.is_recurrent_
        if level is not None and variance is not None:
            bounds = state_bounds(hazard, variance, level, conf_type, complete)
        if complete:
            survival = np.exp(-hazard)
            probability, causes = np.stack([survival, 1 - survival], axis=1), tuple(self.causes_)
        else:
            probability, causes = hazard[:, None, :], (self.cause_,)
        curves = Curves(
            found.grid, probability, found.origin, found.last, causes, found.rows.labels, *bounds, level, complete
        )
        return within_support(curves, asked, self.event_times_, stacklevel=3)

    def predicted_hazard(
        self,
        X: pd.DataFrame | ArrayLike,
        times: ArrayLike | None,
        *,
        start: ArrayLike | None,
        strata: RowArgument,
        offset: RowArgument,
    ) -> tuple[Floats, Floats, Floats, Floats, pd.Index]:
        """Give the cumulative hazard since `start` (n, T), with times, origin, end of support and row labels."""
        check_is_fitted(self)
        found = predicted_hazard(self, X, times, start=start, strata=strata, offset=offset)
        return found.hazard, found.grid, found.origin, found.last, found.rows.labels

    def hazard_steps(self, stratum: int) -> tuple[Floats, Floats]:
        """Give times and cumulative hazard at the centre of the covariates, of the stratum with this code."""
        return hazard_steps(self, stratum)

    def remembered(self, argument: str, value: RowArgument, frame: pd.DataFrame) -> RowArgument:
        """Give the argument, or the column(s) of X that had this role in the fit."""
        return remembered(self.argument_columns_, argument, value, frame)
