r"""The monthly hazard of leaving: binary regression of each customer's months, with the complementary log-log link.

The hazard of month m is the probability of leaving by cause k in it, of a customer at risk when it begins,

.. math:: h_k(m|x) = 1 - \exp(-\exp(\alpha_{km} + x'\beta_k)).

With one cause this is Cox's model seen in whole months (Prentice & Gloeckler 1978). The kernel is
:mod:`churnsurv.kernels.grouped_hazard`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from churnsurv.curves import Curves, check_size, within_support
from churnsurv.data.features import feature_frame
from churnsurv.estimators.cox_fit import extreme_times
from churnsurv.estimators.cox_rows import Rows, read_rows
from churnsurv.estimators.discrete_fit import Baseline, CauseFit, fit_cause, refuse_parts_of_months
from churnsurv.estimators.discrete_prediction import states
from churnsurv.estimators.inputs import (
    RowArgument,
    as_outcome,
    columns_named,
    formulas_of_causes,
    known_codes,
    offset_argument,
    remembered,
    requested_start,
    requested_times,
)
from churnsurv.exceptions import DataError
from churnsurv.messages import confidence_level, one_number
from churnsurv.outcome import Missing, Outcome
from churnsurv.rows import refuse_recurrent

Floats = NDArray[np.float64]


class DiscreteHazard(BaseEstimator):  # type: ignore[misc]
    """Discrete-time (monthly) hazards of leaving by each cause; the model of most credit-risk departments.

    Estimand: the probability that a customer at risk at the begin of a month leaves in it by the cause. Each cause has its own
    binary regression with the complementary log-log link, in which a month that ends by another cause counts as a month
    without this exit (Lee, Feuer & Fine 2018); without covariates the curves are those of Aalen–Johansen. Coefficients are
    log hazard ratios of the proportional hazards model that is seen in whole months (Prentice & Gloeckler 1978; with several
    causes up to the product of two causes' monthly hazards). Assumes that a month in which observation ends without exit was
    seen whole, and that entry and censoring depend on nothing but covariates and strata.

    The fit is that of person-month data without making them: its work and memory are those of the rows of X, of which each
    may last any number of months; covariates that change have rows of their own, (start, stop].

    Parameters
    ----------
    formula : str or mapping, optional
        As in :class:`CoxPH`, for all causes or by the name of the cause (causes that are not named take every column). Age
        is no covariate: it is in the baseline.
    baseline : {"month", "spline"}
        α free in each month with an exit (hazard 0 in others, as of Aalen–Johansen), or a natural cubic spline of the month,
        where exits are few: the hazard is then also known in months that had none.
    df : int
        Columns of the spline, the constant included; knots at quantiles of the months of exit.
    weight_type : {"case", "sampling"}
        ``"case"``: a row stands for `weight` customers. ``"sampling"``: the covariance is the sandwich by subject or cluster.
    missing : {"raise", "drop"}
        As in :class:`CoxPH`.
    max_iter, tol : int, float
        Limit of Newton iterations; they stop when the next step is below `tol` standard errors.

    Attributes
    ----------
    coef_ : Series
        Log hazard ratios, index (cause, term): ``coef_["attrition"]`` are those of one cause.
    covariance_, naive_covariance_ : DataFrame
        Covariance of the coefficients, and the inverse observed information; they differ when a `cluster` is given or weights
        are sampling weights: then `covariance_` is the sandwich by cluster. Blocks of two causes are 0.
    log_likelihood_, null_log_likelihood_ : float
        Sums over the causes of the binary log likelihoods, at the estimate and with the baseline alone.
    baseline_hazard_ : DataFrame
        Columns cause, stratum, month, hazard: the monthly probability at all covariates zero.
    n_events_ : Series
        Events by cause.
    n_observations_, n_subjects_, n_iter_ : int
    fits_ : dict
        By cause, what predictions need.

    Raises
    ------
    NoEventsError, TooFewEventsError
        No event of a cause; fewer events than coefficients.
    CollinearityError, DataError
        Columns that are combinations of others, or constant; times that are not whole; missing values.
    NotIdentifiedError
        Recurrent events.

    Warns
    -----
    SeparationWarning
        A coefficient is infinite.

    References
    ----------
    Prentice and Gloeckler (1978), Biometrics 34; Allison (1982), Sociol. Methodol. 13; Tutz and Schmid (2016), Modeling
    Discrete Time-to-Event Data; Lee, Feuer and Fine (2018), Biometrics 74.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> X = pd.DataFrame({"rate_incentive": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3, 0.4, 0.8]})
    >>> y = cs.Outcome([9, 2, 5, 4, 6, 5, 7, 3], [1, 1, 1, 2, 0, 2, 1, 2], causes=("attrition", "default"))
    >>> model = cs.DiscreteHazard().fit(X, y)
    >>> model.predict_curves(X.iloc[:2], [6]).cumulative_incidence("attrition").shape
    (2, 1)
    """

    def __init__(
        self,
        formula: str | Mapping[str, str] | None = None,
        *,
        baseline: Baseline = "month",
        df: int = 5,
        weight_type: str = "case",
        missing: Missing = "raise",
        max_iter: int = 50,
        tol: float = 1e-9,
    ) -> None:
        self.formula = formula
        self.baseline = baseline
        self.df = df
        self.weight_type = weight_type
        self.missing = missing
        self.max_iter = max_iter
        self.tol = tol

    def fit(
        self,
        X: pd.DataFrame | ArrayLike,
        y: Outcome | NDArray[Any],
        *,
        strata: RowArgument = None,
        sample_weight: RowArgument = None,
        cluster: RowArgument = None,
        offset: RowArgument = None,
    ) -> Self:
        """Estimate the monthly hazards of each cause.

        Parameters
        ----------
        X : frame or array (n, p)
            Covariates, one row per row of `y`.
        y : Outcome
            In whole months.
        strata, sample_weight, cluster, offset : array of n, or name(s) of column(s) of X
            As in :meth:`CoxPH.fit`: strata have baselines of their own; the offset is added to the linear predictor.
        """
        self._check_parameters()
        frame, outcome = feature_frame(X), as_outcome(y)
        refuse_recurrent(outcome, "A monthly hazard of leaving")
        refuse_parts_of_months(outcome)
        arguments = {"strata": strata, "sample_weight": sample_weight, "cluster": cluster, "offset": offset}
        self.argument_columns_ = {k: list(columns_named(v, frame)) for k, v in arguments.items() if v is not None}
        formulas = formulas_of_causes(self.formula, outcome.causes)
        self.fits_: dict[str, CauseFit] = {}
        ends: list[tuple[list[float], list[float]]] = []
        for cause in outcome.causes:
            rows = read_rows(frame, outcome, arguments, formulas[cause], self.missing, cause)
            robust = self.weight_type == "sampling"
            self.fits_[cause] = fit_cause(rows, self.baseline, int(self.df), self.max_iter, self.tol, robust, 3)
            ends.append(_ends(rows))
        self.causes_, self.strata_, self.has_offset_ = list(outcome.causes), rows.strata_labels, offset is not None
        # formulas of causes may drop different rows: what all of them know
        self.first_ = np.max([first for first, _ in ends], axis=0).tolist()
        self.last_ = np.min([last for _, last in ends], axis=0).tolist()
        self.n_features_in_, self.feature_names_in_ = frame.shape[1], np.asarray(frame.columns, dtype=object)
        self.n_observations_, self.n_subjects_ = len(rows.outcome), rows.outcome.n_subjects
        return self

    @property
    def coef_(self) -> pd.Series:
        """Log hazard ratios by cause and term."""
        check_is_fitted(self)
        found: pd.Series = pd.concat({cause: fit.coef for cause, fit in self.fits_.items()}, names=["cause", "term"])
        return found

    @property
    def covariance_(self) -> pd.DataFrame:
        """Covariance of the coefficients."""
        check_is_fitted(self)
        return self._blocks({cause: fit.covariance for cause, fit in self.fits_.items()})

    @property
    def naive_covariance_(self) -> pd.DataFrame:
        """Inverse observed information."""
        check_is_fitted(self)
        return self._blocks({cause: fit.naive_covariance for cause, fit in self.fits_.items()})

    @property
    def log_likelihood_(self) -> float:
        """Log likelihood at the estimate."""
        check_is_fitted(self)
        return float(sum(fit.log_likelihood for fit in self.fits_.values()))

    @property
    def null_log_likelihood_(self) -> float:
        """Log likelihood of the baseline alone."""
        check_is_fitted(self)
        return float(sum(fit.null_log_likelihood for fit in self.fits_.values()))

    @property
    def n_events_(self) -> pd.Series:
        """Events by cause."""
        check_is_fitted(self)
        return pd.Series([fit.n_events for fit in self.fits_.values()], index=pd.Index(self.causes_, name="cause"))

    @property
    def n_iter_(self) -> int:
        """Newton steps of the cause that took most."""
        check_is_fitted(self)
        return max(fit.n_iter for fit in self.fits_.values())

    @property
    def event_times_(self) -> Floats:
        """Months in which somebody may leave."""
        check_is_fitted(self)
        return np.unique(np.concatenate([fit.month for fit in self.fits_.values()]))

    @property
    def baseline_hazard_(self) -> pd.DataFrame:
        """Monthly probabilities of leaving at all covariates zero."""
        check_is_fitted(self)
        parts = []
        for cause, fit in self.fits_.items():
            with np.errstate(over="ignore"):
                eta = fit.log_hazard - float(fit.center @ fit.coef.to_numpy()) - fit.offset_center
                hazard = -np.expm1(-np.exp(eta))
            stratum = fit.stratum if self.strata_ is None else [self.strata_[s] for s in fit.stratum]
            parts.append(pd.DataFrame({"cause": cause, "stratum": stratum, "month": fit.month, "hazard": hazard}))
        return pd.concat(parts, ignore_index=True)

    def summary(self, level: float = 0.95) -> pd.DataFrame:
        """Give coefficients, hazard ratios and Wald intervals by cause and term; columns as of :meth:`CoxPH.summary`."""
        coef, se = self.coef_, np.sqrt(np.diag(self.covariance_))
        margin, statistic = norm.ppf(0.5 + confidence_level(level) / 2) * se, coef / se
        with np.errstate(over="ignore"):
            ratio, lower, upper = (np.exp(coef + d) for d in (0.0, -margin, margin))
        columns = {"coef": coef, "se": se, "statistic": statistic, "p_value": 2 * norm.sf(np.abs(statistic))}
        return pd.DataFrame(columns | {"hazard_ratio": ratio, "hr_lower": lower, "hr_upper": upper})

    def predict(self, X: pd.DataFrame | ArrayLike, *, cause: str | None = None) -> Floats:
        """Give the linear predictor x'β of one cause (default: the first), uncentred, without offset; higher leaves sooner."""
        check_is_fitted(self)
        name = self.causes_[0] if cause is None else cause
        if name not in self.fits_:
            raise DataError(f"Cause {name!r} is unknown; the model has {self.causes_}.")
        fit = self.fits_[name]
        return np.asarray(fit.encoder.design(feature_frame(X, self.feature_names_in_)) @ fit.coef.to_numpy())

    def predict_curves(
        self,
        X: pd.DataFrame | ArrayLike,
        times: ArrayLike | None = None,
        *,
        start: ArrayLike | None = None,
        strata: RowArgument = None,
        offset: RowArgument = None,
        level: float | None = None,
    ) -> Curves:
        """Predict the probabilities of staying and of having left by each cause, for covariates that stay as given.

        S(t) = Π (1 − Σ_k h_k(m)), F_k(t) = Σ S(m − 1) h_k(m) over the months m ≤ t after the current age; hazards that sum to
        more than 1, possible for extreme covariates, empty the state and are shared in proportion.

        Parameters
        ----------
        X : frame or array
            Covariates; a row with a missing value gives NaN.
        times : array, optional
            Default: the months with exits in the fit.
        start : number or array of n, optional
            Current age: probabilities are conditional on being a customer then. Default: the first age at which
            customers were watched; an earlier start is refused.
        strata, offset
            As in :meth:`fit`; column names are remembered from there.
        level : float, optional
            Adds pointwise confidence bounds on the log(−log) scale by the delta method, for the uncertainty of baseline and
            coefficients (the robust covariance where the fit has one; the baseline's own part is that of independent
            customers).
        """
        check_is_fitted(self)
        frame = feature_frame(X, self.feature_names_in_)
        level = None if level is None else confidence_level(level)
        stratum = np.zeros(len(frame), dtype=np.int64)
        if self.strata_ is not None:
            named = remembered(self.argument_columns_, "strata", strata, frame)
            stratum = known_codes(named, frame, self.strata_, "strata")
        shift = offset_argument(remembered(self.argument_columns_, "offset", offset, frame), frame)
        if shift is None and self.has_offset_:
            raise DataError("The model was fitted with an offset: pass offset= for the new rows too.")
        origin = requested_start(start, len(frame), np.asarray(self.first_)[stratum])
        months = self.event_times_
        grid = requested_times(times, months)
        check_size(len(frame), 1 + len(self.causes_), len(grid), asked=times is not None)
        # at age 0 those at risk from the closed origin are at risk in "month 0" too
        since = np.where(origin == 0, -1.0, origin) if start is None else origin
        probability, lower, upper = states(list(self.fits_.values()), frame, stratum, shift, since, months, grid, level)
        last = np.asarray(self.last_)[stratum]
        curves = Curves(
            grid, probability, origin, last, tuple(self.causes_), frame.index, lower=lower, upper=upper, level=level
        )
        return within_support(curves, times is not None, months, stacklevel=2)

    def _blocks(self, of_cause: dict[str, pd.DataFrame]) -> pd.DataFrame:
        index = self.coef_.index
        matrix, at = np.zeros((len(index), len(index))), 0
        for block in of_cause.values():
            matrix[at : at + len(block), at : at + len(block)] = block
            at += len(block)
        return pd.DataFrame(matrix, index=index, columns=index)

    def _check_parameters(self) -> None:
        words = {"baseline": ("month", "spline"), "weight_type": ("case", "sampling"), "missing": ("raise", "drop")}
        for name, known in words.items():
            if getattr(self, name) not in known:
                raise DataError(f"{name}={getattr(self, name)!r} is not known: use one of {list(known)}.")
        for name, number, least in (("df", self.df, 2), ("max_iter", self.max_iter, 1)):
            if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < least:
                raise DataError(f"{name}={number!r}: give a whole number of at least {least}.")
        if one_number(self.tol, "tol") <= 0:
            raise DataError(f"tol={self.tol!r}: give a positive number.")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "has_offset_")


def _ends(rows: Rows) -> tuple[list[float], list[float]]:
    """Give the first and last age under observation by stratum."""
    n = 1 if rows.strata_labels is None else len(rows.strata_labels)
    weight = np.ones(len(rows.outcome)) if rows.weight is None else rows.weight
    return (
        extreme_times(np.minimum, rows.outcome.start, rows, weight, n),
        extreme_times(np.maximum, rows.outcome.stop, rows, weight, n),
    )
