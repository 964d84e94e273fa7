"""A model whose predictions are brought back to what happens: hazards scaled by cause, or the risk at a horizon mapped."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from churnsurv.data.features import feature_frame
from churnsurv.data.splits import CustomerKFold
from churnsurv.estimators.inputs import (
    RowArgument,
    as_outcome,
    check_rows,
    codes_argument,
    weights_argument,
)
from churnsurv.estimators.recalibrated_fit import (
    Expected,
    cohort_time,
    expected_of,
    hazard_factors,
    log_hazards,
    risk_map,
    risks,
)
from churnsurv.estimators.recalibrated_prediction import WHOLE_CURVES, RecalibratedPrediction
from churnsurv.exceptions import DataError, NotIdentifiedError, SmallSampleWarning
from churnsurv.messages import confidence_level, numeric_column, one_number
from churnsurv.outcome import Outcome
from churnsurv.rows import refuse_one_cluster, refuse_recurrent

Floats = NDArray[np.float64]
Method = Literal["hazard", "slope", "cloglog", "isotonic"]


class Recalibrated(RecalibratedPrediction, BaseEstimator):  # type: ignore[misc]
    r"""Recalibrate the probabilities of a model on later data, by cause, keeping its order of customers.

    With ``"hazard"`` and ``"slope"`` the cause-specific hazards of the model are multiplied,

    .. math:: h'_k(t|x) = h_k(t|x) \exp\{a_k + (b_k - 1) (r_k(x) - \bar r_k)\},\qquad r_k = \log \Lambda_k(\tau|x),

    and the states follow by the product integral: they sum to 1 and are monotone at all horizons. a and b are of the Poisson
    regression of the exits on what the model expected of each row while it was under observation (Breslow et al. 1983; Crowson,
    Atkinson & Therneau 2016), so that late entry, censoring and (start, stop] rows are accounted for; ``exp(a)`` without slope
    is observed over expected. With proportional hazards r is the linear predictor and a constant, and b the calibration slope.
    ``"cloglog"`` and ``"isotonic"`` map the risk at one horizon, and know nothing of others.

    Parameters
    ----------
    model : estimator or Pipeline
        With ``predict_curves`` of all causes. Fitted, on other data than `fit` gets; or, with `cv`, to be fitted.
    method : {"hazard", "slope", "cloglog", "isotonic"}
        ``"hazard"``: the level of each cause's hazard (b = 1), by band of age where `bands` are given. ``"slope"``: level and
        slope. ``"cloglog"``: intercept and slope on the complementary log-log scale of the risk at `horizon`, by least squares
        on pseudo-values (Andersen, Klein & Rosthøj 2003), as :func:`metrics.calibration` judges it. ``"isotonic"``: a monotone
        function fitted to the pseudo-values, for some thousand customers and more.
    horizon : float, optional
        Of ``"cloglog"`` and ``"isotonic"``: time after the row's start.
    bands : sequence of float, optional
        Ages at which one factor of ``"hazard"`` ends and the next begins.
    cv : int, optional
        Number of folds of customers: the model is fitted to the others, and the recalibration to predictions for those left
        out; then the model is fitted to all. Default: the model is fitted already.
    random_state : int
        Seed of the folds.
    level : float
        Confidence level of `recalibration_`.

    Attributes
    ----------
    recalibration_ : DataFrame
        One row per parameter: cause, parameter ("log_ratio", "slope"; "intercept", "slope"; "step"), value, se, lower, upper
        (sandwich by subject or cluster, the model taken as given), null_value (what a calibrated model has), observed and
        expected exits; begin and end of the band. Isotonic: the steps, without standard errors.
    model_ : estimator
        The model underneath.
    causes_ : list of str

    Raises
    ------
    NotFittedError
        The model is not fitted and there is no `cv`.
    TooFewEventsError
        No event of a cause (in a band).
    NotIdentifiedError
        A model of one cause among several; recurrent events; several rows per subject at a horizon; predictions at other
        times than the horizon.

    Warns
    -----
    SmallSampleWarning
        A slope of 0 or less.
    SupportWarning
        Events past the last age that the model knows; they are left out.

    Notes
    -----
    Rows that the model was fitted to are no validation cohort: an overfitted model looks calibrated there. Strata and offsets
    of the model must be columns of X, named in its fit. Predictions have no bounds.

    References
    ----------
    van Houwelingen (2000), Stat. Med. 19; Crowson, Atkinson and Therneau (2016), Stat. Methods Med. Res. 25; Breslow, Lubin,
    Marek and Langholz (1983), J. Am. Stat. Assoc. 78.

    Examples
    --------
    >>> import churnsurv as cs, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"rate": rng.normal(size=900)})
    >>> months = np.ceil(rng.exponential(20, 900) * np.where(np.arange(900) < 600, 1.0, 0.5) * np.exp(-X["rate"]))
    >>> y = cs.Outcome(np.minimum(months, 36), months <= 36)
    >>> model = cs.CoxPH().fit(X[:600], y[:600])
    >>> lately = cs.Recalibrated(model).fit(X[600:], y[600:])
    >>> lately.recalibration_["value"].round(1).tolist()  # twice as many leave
    [0.6]
    """

    def __init__(
        self,
        model: Any,
        *,
        method: Method = "hazard",
        horizon: float | None = None,
        bands: Sequence[float] | None = None,
        cv: int | None = None,
        random_state: int = 0,
        level: float = 0.95,
    ) -> None:
        self.model = model
        self.method = method
        self.horizon = horizon
        self.bands = bands
        self.cv = cv
        self.random_state = random_state
        self.level = level

    def fit(
        self,
        X: pd.DataFrame | ArrayLike,
        y: Outcome | NDArray[Any],
        *,
        sample_weight: RowArgument = None,
        cluster: RowArgument = None,
        **model_columns: str,
    ) -> Self:
        """Compare the model with a validation cohort.

        Parameters
        ----------
        X, y : covariates and outcome, on the time scale of the model (loan age)
            With `cv` the model is fitted to them too.
        sample_weight, cluster : array of n, or name of a column
            The cluster (customer; default: the subject) is the unit of the variance, and of the folds.
        **model_columns : str
            With `cv`: names of columns for the model's ``fit``, such as ``strata="region"``.
        """
        edges = self._checked_edges()
        frame, outcome = feature_frame(X), as_outcome(y)
        check_rows(frame, outcome)
        refuse_recurrent(outcome, "A recalibration")
        given = weights_argument(sample_weight, frame)
        weight = np.ones(len(frame)) if given is None else given
        codes = codes_argument(cluster, frame, "cluster")
        unit = np.asarray(pd.factorize(outcome.subject)[0] if codes is None else codes[0])
        refuse_one_cluster(unit)
        self.feature_names_in_, self.n_features_in_ = np.asarray(frame.columns, dtype=object), frame.shape[1]
        judged = self._judges(frame, outcome, unit, given, model_columns)
        self.causes_ = list(outcome.causes)
        if self.method in WHOLE_CURVES:
            self._fit_hazards(judged, frame, outcome, weight, unit, edges)
        else:
            self._fit_risks(judged, frame, outcome, weight, unit)
        table = self.recalibration_
        turned = table[(table["parameter"] == "slope") & (table["value"] <= 0)]
        if len(turned):
            warnings.warn(
                f"The slope of {turned['cause'].iloc[0]!r} is {turned['value'].iloc[0]:.2f}: on these data the model does not "
                "rank customers, and its order would be turned round. Use method='hazard', more data, or another model.",
                SmallSampleWarning,
                stacklevel=2,
            )
        return self

    @property
    def model_(self) -> Any:
        """The fitted model underneath."""
        return getattr(self, "refitted_", self.model)

    def _judges(
        self, frame: pd.DataFrame, y: Outcome, unit: NDArray[np.int64], weight: Floats | None, columns: dict[str, str]
    ) -> list[tuple[Any, NDArray[np.int64]]]:
        """Give fitted models with the rows that judge each; with `cv` they did not see these."""
        for name, column in columns.items():
            if not isinstance(column, str) or column not in frame.columns:
                raise DataError(f"{name}={column!r}: give the name of a column of X, which folds can cut.")
        if self.cv is None:
            if columns:
                raise DataError(
                    f"{next(iter(columns))}= is for fitting the model, which needs cv=; without cv it is fitted already."
                )
            try:
                check_is_fitted(self.model[-1] if isinstance(self.model, Pipeline) else self.model)
            except NotFittedError as error:
                raise NotFittedError(
                    f"{type(self.model).__name__} is not fitted: fit it on other data than these first, or pass cv=5 to have "
                    "it fitted and judged by folds. (clone() gives unfitted copies: use cv= within cross-validation.)"
                ) from error
            self.__dict__.pop("refitted_", None)
            return [(self.model, np.arange(len(y)))]
        judged = []
        for train, test in CustomerKFold(self.cv, random_state=self.random_state).split(frame, y, unit):
            judged.append(
                (self._fitted(frame.iloc[train], y[train], None if weight is None else weight[train], columns), test)
            )
        self.refitted_ = self._fitted(frame, y, weight, columns)
        return judged

    def _fitted(self, frame: pd.DataFrame, y: Outcome, weight: Floats | None, columns: dict[str, str]) -> Any:
        weights = {} if weight is None else {"sample_weight": weight}
        return clone(self.model).fit(frame, y, **weights, **columns)

    def _fit_hazards(
        self,
        judged: list[tuple[Any, NDArray[np.int64]]],
        frame: pd.DataFrame,
        y: Outcome,
        weight: Floats,
        unit: NDArray[np.int64],
        edges: Floats,
    ) -> None:
        exits = np.zeros((len(y), len(y.causes), len(edges) - 1))
        known = np.zeros(len(y))
        for model, rows in judged:
            exits[rows], known[rows] = expected_of(model, frame.iloc[rows], y[rows], edges)
        score = None
        self.edges_, self.score_center_, self.score_until_ = edges, np.zeros(len(y.causes)), np.nan
        if self.method == "slope":
            # up to an age that all models know for all rows
            self.score_until_ = float(known.min())
            score = np.zeros((len(y), len(y.causes)))
            for model, rows in judged:
                score[rows] = log_hazards(model, frame.iloc[rows], self.score_until_)
            mass = weight[:, None] * exits[:, :, 0]
            self.score_center_ = (mass * score).sum(axis=0) / np.maximum(mass.sum(axis=0), np.finfo(np.float64).tiny)
            score = score - self.score_center_
            flat = np.flatnonzero(np.ptp(score, axis=0) < 1e-9)
            if len(flat):
                raise NotIdentifiedError(
                    f"The model predicts the same of {y.causes[flat[0]]!r} for everybody, which has no slope: use "
                    "method='hazard'."
                )
        self.recalibration_ = hazard_factors(
            y, Expected(exits, known), score, weight, unit, edges, confidence_level(self.level)
        )

    def _fit_risks(
        self,
        judged: list[tuple[Any, NDArray[np.int64]]],
        frame: pd.DataFrame,
        y: Outcome,
        weight: Floats,
        unit: NDArray[np.int64],
    ) -> None:
        horizon = one_number(self.horizon, "horizon")
        cohort = cohort_time(y)
        risk = np.zeros((len(y), len(y.causes)))
        for model, rows in judged:
            risk[rows] = risks(model, frame.iloc[rows], None if y.from_origin else y.start[rows], y.causes, horizon)[0]
        maps, frames = [], []
        for k, cause in enumerate(y.causes):
            of_cause, table = risk_map(
                cohort, risk[:, k], cause, horizon, self.method, weight, unit, confidence_level(self.level)
            )
            maps.append(of_cause)
            frames.append(table)
        self.maps_: list[tuple[Any, ...]] = [tuple(one) for one in maps]
        self.recalibration_ = pd.concat(frames, ignore_index=True)

    def _checked_edges(self) -> Floats:
        """Check the parameters; give the ages at which bands begin and end."""
        last = self.model.steps[-1][1] if isinstance(self.model, Pipeline) else self.model
        if isinstance(self.model, type) or not hasattr(last, "predict_curves"):
            raise DataError(f"model={self.model!r} has no predict_curves: give an estimator such as CoxPH().")
        if self.method not in ("hazard", "slope", "cloglog", "isotonic"):
            raise DataError(f"method={self.method!r} is not known: use 'hazard', 'slope', 'cloglog' or 'isotonic'.")
        confidence_level(self.level)
        if self.method in WHOLE_CURVES and self.horizon is not None:
            raise DataError(f"method={self.method!r} recalibrates whole curves: leave horizon out.")
        if self.method not in WHOLE_CURVES and (self.horizon is None or one_number(self.horizon, "horizon") <= 0):
            raise DataError(f"method={self.method!r} needs a positive horizon, such as 12.")
        if self.bands is not None and self.method != "hazard":
            raise DataError("bands are of method='hazard'; leave them out.")
        inner = numeric_column(np.asarray([] if self.bands is None else self.bands, dtype=object).reshape(-1), "bands")
        if inner.ndim != 1 or not np.all(np.isfinite(inner)) or np.any(np.diff(inner, prepend=0.0) <= 0):
            raise DataError("bands must be increasing ages above 0, such as (12, 36).")
        return np.concatenate(([0.0], inner, [np.inf]))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "recalibration_")
