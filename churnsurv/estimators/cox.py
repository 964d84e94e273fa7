r"""Cox's proportional hazards model.

The hazard of leaving at age t is :math:`h(t|x) = h_{0s}(t) \exp(x'\beta)` with a free baseline :math:`h_{0s}` in each
stratum s (Cox 1972). β maximises the partial likelihood with Efron's or Breslow's treatment of ties; the kernel is
:mod:`churnsurv.kernels.cox`.
"""

from __future__ import annotations

from typing import Any, Literal, Self, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2, norm
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from churnsurv.curves import Curves, within_support
from churnsurv.data.encoder import DesignEncoder
from churnsurv.data.features import feature_frame
from churnsurv.estimators.cox_curves import hazard_steps, predicted_hazard
from churnsurv.estimators.cox_fit import fit_rows
from churnsurv.estimators.cox_rows import read_rows
from churnsurv.estimators.inputs import (
    RowArgument,
    as_outcome,
    columns_named,
)
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.messages import confidence_level
from churnsurv.outcome import Missing, Outcome

Floats = NDArray[np.float64]


class CoxPH(BaseEstimator):  # type: ignore[misc]
    """Cox proportional hazards regression of the time to one kind of exit.

    Delayed entry, (start, stop] rows with time-varying covariates, strata, case and sampling weights and clusters are
    supported. With several causes the named one is modelled and the others are censored (cause-specific hazard); their
    covariate effects are rates among those still customers, not effects on the probability of leaving.

    Parameters
    ----------
    formula : str, optional
        Right-hand side in formulaic's grammar, e.g. ``"rate_incentive + C(term) + bs(age, df=4)"``. Default: every column
        of X, text and categories by indicators against their first level.
    ties : {"efron", "breslow"}
        Treatment of tied exits; months tie heavily, and Breslow's rule then biases coefficients towards zero.
    cause : str, optional
        The cause to model; required when the outcome has several.
    weight_type : {"case", "sampling"}
        ``"case"``: a row stands for `weight` customers. ``"sampling"``: weights correct for how rows were chosen; the
        covariance is then the sandwich by subject (or `cluster`).
    missing : {"raise", "drop"}
        Rows with missing covariates are an error, or left out with a counted :class:`MissingDataWarning`.
    max_iter, tol : int, float
        Limit of Newton iterations; they stop when the next step is below `tol` standard errors.

    Attributes
    ----------
    coef_ : Series
        Log hazard ratios by term.
    covariance_, naive_covariance_ : DataFrame
        Covariance of the coefficients, and the inverse observed information; they differ when a `cluster` is given or
        weights are sampling weights: then `covariance_` is the sandwich of Lin and Wei (1989), summed by cluster.
    log_likelihood_, null_log_likelihood_ : float
        Log partial likelihood at the estimate and at zero.
    baseline_cumulative_hazard_ : DataFrame
        Columns stratum, time, hazard: the cumulative hazard at all covariates zero, by the tie rule of the fit.
    n_observations_, n_subjects_, n_events_, n_iter_ : int
        Rows and subjects used, events of the cause, Newton steps.

    Raises
    ------
    NoEventsError, TooFewEventsError
        No event of the cause; fewer events than coefficients.
    CollinearityError, DataError
        Columns that are combinations of others, or constant within every risk set, or not finite; they are named.

    References
    ----------
    Cox (1972), J. R. Stat. Soc. B 34; Efron (1977), J. Am. Stat. Assoc. 72; Lin and Wei (1989), J. Am. Stat. Assoc. 84.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> X = pd.DataFrame({"rate_incentive": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3]})
    >>> y = cs.Outcome(stop=[9, 2, 12, 4, 6, 5], event=[1, 1, 0, 1, 0, 1])
    >>> model = cs.CoxPH().fit(X, y)
    >>> bool(model.summary().loc["rate_incentive", "hazard_ratio"] > 1)
    True
    """

    def __init__(
        self,
        formula: str | None = None,
        *,
        ties: Literal["efron", "breslow"] = "efron",
        cause: str | None = None,
        weight_type: Literal["case", "sampling"] = "case",
        missing: Missing = "raise",
        max_iter: int = 50,
        tol: float = 1e-9,
    ) -> None:
        self.formula = formula
        self.ties = ties
        self.cause = cause
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
        """Estimate the coefficients and the baseline hazard.

        Parameters
        ----------
        X : frame or array (n, p)
            Covariates, one row per row of `y`.
        y : Outcome
            (Or scikit-survival's structured array.)
        strata, sample_weight, cluster, offset : array of n, or name(s) of column(s) of X
            A column so named is no covariate. Strata have baselines of their own; rows of a cluster (a customer's loans)
            may depend on each other; the offset is added to the linear predictor.
        """
        self._check_parameters()
        frame, outcome = feature_frame(X), as_outcome(y)
        self.cause_ = self._modelled_cause(outcome)
        arguments = {"strata": strata, "sample_weight": sample_weight, "cluster": cluster, "offset": offset}
        self.argument_columns_ = {k: list(columns_named(v, frame)) for k, v in arguments.items() if v is not None}
        rows = read_rows(frame, outcome, arguments, self.formula, self.missing, self.cause_)
        fit = fit_rows(
            rows,
            self.ties == "efron",
            self.max_iter,
            self.tol,
            robust=self.weight_type == "sampling" or outcome.recurrent,
            stacklevel=3,
        )
        self.is_recurrent_ = outcome.recurrent
        self.encoder_: DesignEncoder = rows.encoder
        self.causes_ = list(outcome.causes)
        self.strata_ = rows.strata_labels
        terms = rows.encoder.terms_
        self.n_features_in_, self.feature_names_in_ = frame.shape[1], np.asarray(frame.columns, dtype=object)
        self.coef_ = pd.Series(fit.coef, index=pd.Index(terms, name="term"), name="coef")
        self.naive_covariance_ = pd.DataFrame(fit.naive_covariance, index=terms, columns=terms)
        self.covariance_ = pd.DataFrame(fit.covariance, index=terms, columns=terms)
        self.is_robust_ = fit.is_robust
        self.log_likelihood_, self.null_log_likelihood_ = fit.log_likelihood, fit.null_log_likelihood
        self.score_statistic_, self.robust_score_statistic_ = fit.score_statistic, fit.robust_score_statistic
        self.center_ = pd.Series(fit.center, index=terms)
        self.centred_hazard_, self.event_times_ = fit.centred_hazard, np.unique(fit.centred_hazard["time"].to_numpy())
        self.offset_center_, self.first_, self.last_ = fit.offset_center, fit.first, fit.last
        self.covariance_rank_ = fit.covariance_rank
        self.n_iter_, self.n_events_ = fit.n_iter, fit.n_events
        self.n_observations_, self.n_subjects_ = len(rows.outcome), rows.outcome.n_subjects
        self.n_dropped_ = len(outcome) - len(rows.outcome)
        return self

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

    def summary(self, level: float = 0.95) -> pd.DataFrame:
        """Give coefficients, hazard ratios and Wald intervals, one row per term.

        Columns: coef, se, statistic (coef / se), p_value (two-sided), hazard_ratio, hr_lower, hr_upper.
        """
        check_is_fitted(self)
        se = pd.Series(np.sqrt(np.diag(self.covariance_)), index=self.coef_.index)
        statistic = self.coef_ / se
        margin = norm.ppf(0.5 + confidence_level(level) / 2) * se
        # a covariate in tiny units has a hazard ratio per unit that no double holds: inf is the right answer
        with np.errstate(over="ignore"):
            ratio, lower, upper = (
                np.exp(self.coef_.to_numpy() + d) for d in (0.0, -margin.to_numpy(), margin.to_numpy())
            )
        return pd.DataFrame(
            {
                "coef": self.coef_,
                "se": se,
                "statistic": statistic,
                "p_value": 2 * norm.sf(np.abs(statistic)),
                "hazard_ratio": ratio,
                "hr_lower": lower,
                "hr_upper": upper,
            }
        )

    def tests(self) -> pd.DataFrame:
        """Test that all coefficients are zero: likelihood_ratio, wald, score (and robust_score with clusters).

        Columns: statistic, df, p_value. The likelihood-ratio and score tests assume independent rows; with clusters or
        sampling weights rely on the Wald and robust score tests (NaN when there are too few clusters for them).
        """
        check_is_fitted(self)
        coef = self.coef_.to_numpy()
        full_rank = self.covariance_rank_ == len(coef)
        statistics = {
            "likelihood_ratio": 2 * (self.log_likelihood_ - self.null_log_likelihood_),
            "wald": float(coef @ np.linalg.solve(self.covariance_.to_numpy(), coef)) if full_rank else np.nan,
            "score": self.score_statistic_,
        }
        if self.robust_score_statistic_ is not None:
            statistics["robust_score"] = self.robust_score_statistic_ if full_rank else np.nan
        frame = pd.DataFrame({"statistic": statistics, "df": len(coef)})
        frame["p_value"] = chi2.sf(frame["statistic"], frame["df"])
        return frame.rename_axis("test")

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

        Returns
        -------
        Curves
            When the model is of one cause among several, or of recurrent events: the cumulative hazard only
            (``complete=False``), since a probability needs the other causes too. NaN past the follow-up.
        """
        hazard, grid, origin, last, index = self.predicted_hazard(X, times, start=start, strata=strata, offset=offset)
        if len(self.causes_) > 1 or self.is_recurrent_:
            curves = Curves(grid, hazard[:, None, :], origin, last, (self.cause_,), index, complete=False)
        else:
            survival = np.exp(-hazard)
            curves = Curves(grid, np.stack([survival, 1 - survival], axis=1), origin, last, tuple(self.causes_), index)
        return within_support(curves, times is not None, self.event_times_, stacklevel=2)

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
        return predicted_hazard(self, X, times, start=start, strata=strata, offset=offset)

    def hazard_steps(self, stratum: int) -> tuple[Floats, Floats]:
        """Give times and cumulative hazard at the centre of the covariates, of the stratum with this code."""
        return hazard_steps(self, stratum)

    def remembered(self, argument: str, value: RowArgument, frame: pd.DataFrame) -> RowArgument:
        """Give the argument, or the column(s) of X that had this role in the fit."""
        columns = self.argument_columns_.get(argument, [])
        if value is not None or not columns:
            return value
        absent = [c for c in columns if c not in frame.columns]
        if absent:
            raise DataError(f"X lacks the column {absent[0]!r}, which was {argument} in the fit.")
        return cast(RowArgument, columns)

    def _modelled_cause(self, y: Outcome) -> str:
        if self.cause is not None:
            y.cause_code(self.cause)
            return self.cause
        if len(y.causes) > 1:
            raise DataError(
                f"The outcome has {len(y.causes)} causes {list(y.causes)}: name the one to model, e.g. "
                f"CoxPH(cause={y.causes[0]!r}), or fit all of them with CauseSpecificCox()."
            )
        return y.causes[0]

    def _check_parameters(self) -> None:
        allowed = {"ties": ("efron", "breslow"), "weight_type": ("case", "sampling"), "missing": ("raise", "drop")}
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise DataError(f"{name}={getattr(self, name)!r} is not known: use one of {list(values)}.")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coef_")
