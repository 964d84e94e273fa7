r"""Fine and Gray's proportional subdistribution hazards model.

The cumulative incidence of the cause is :math:`F(t|x) = 1 - \exp(-\Lambda_{0s}(t) e^{x'\beta})`: a positive coefficient means
that more customers leave by this cause, whatever the other causes do. The kernel is :mod:`churnsurv.kernels.fine_gray`.
"""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from churnsurv.curves import Curves, within_support
from churnsurv.data.encoder import DesignEncoder
from churnsurv.data.features import feature_frame
from churnsurv.estimators.cox_fit import baseline, extreme_times
from churnsurv.estimators.cox_inference import CoxInference
from churnsurv.estimators.cox_prediction import CoxPrediction
from churnsurv.estimators.cox_rows import Rows, read_rows
from churnsurv.estimators.cox_state import refuse_off
from churnsurv.estimators.fine_gray_curves import incidence_bounds
from churnsurv.estimators.fine_gray_fit import Laid, fit_laid, laid
from churnsurv.estimators.fine_gray_test import score_test
from churnsurv.estimators.inputs import RowArgument, as_outcome, codes_argument, columns_named, requested_start
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.kernels.cox import gradient
from churnsurv.kernels.newton import evaluate
from churnsurv.kernels.times import slack
from churnsurv.messages import counted, first_of
from churnsurv.outcome import Missing, Outcome
from churnsurv.rows import refuse_recurrent

Floats = NDArray[np.float64]


class FineGray(CoxInference, CoxPrediction, BaseEstimator):  # type: ignore[misc]
    r"""Regression of the cumulative incidence of one cause by its subdistribution hazard (Fine & Gray 1999).

    Coefficients tell how many leave by the cause, not why: ``hazard_ratio`` in :meth:`summary` is a subdistribution hazard
    ratio, in whose risk set those who left by other causes stay. Rows that left by a competing cause at T count
    G(t−) H(t−) / (G(T−) H(T−)) at t > T, with G the probability of remaining uncensored and H of having entered (Geskus 2011),
    both product-limit estimates. Assumes that censoring and entry do not depend on covariates within a censoring stratum.
    Time-varying covariates keep their last value after an exit by another cause.

    Parameters
    ----------
    cause : str
        The cause to model.
    formula, ties, missing, max_iter, tol
        As in :class:`CoxPH`.
    tied_censoring : {"after", "with"}
        At a tie, exits come before censorings, as everywhere in churnsurv and in R's ``survival::finegray``; or, ``"with"``,
        exits at a time are at risk of being censored there, which replicates ``cmprsk::crr`` (with ``ties="breslow"``).
    variance : {"full", "known weights"}
        The covariance is a sandwich by subject or cluster, with the part due to estimating the weights (Fine & Gray 1999), or
        without it, as a robust ``coxph`` on R's ``finegray`` data. The full one is that of the estimator that is computed;
        the two mostly differ little.

    Attributes
    ----------
    coef_ : Series
        Log subdistribution hazard ratios by term.
    covariance_, naive_covariance_ : DataFrame
        The sandwich, and the inverse information, which is no valid variance unless nobody is censored or enters late.
    log_likelihood_, null_log_likelihood_ : float
        Log weighted partial likelihood (no likelihood of data: its ratio test and "score" are rough guides).
    baseline_cumulative_hazard_ : DataFrame
        Columns stratum, time, hazard: the cumulative subdistribution hazard at all covariates zero.
    n_observations_, n_subjects_, n_events_, n_competing_, n_iter_ : int

    Raises
    ------
    NotIdentifiedError
        Gaps in a subject's rows, recurrent events, or an age through which nobody was watched.
    DataError
        As in :class:`CoxPH`; an unknown cause.

    References
    ----------
    Fine and Gray (1999), J. Am. Stat. Assoc. 94; Geskus (2011), Biometrics 67; Zhou et al. (2011), Biometrics 67 (strata).

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> X = pd.DataFrame({"rate_incentive": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3, 0.4, 0.8]})
    >>> y = cs.Outcome([9, 2, 5, 4, 6, 5, 7, 3], [1, 1, 1, 2, 0, 2, 1, 2], causes=("attrition", "default"))
    >>> model = cs.FineGray("attrition").fit(X, y)
    >>> model.predict_curves(X.iloc[:2], [6]).cumulative_incidence("attrition").shape
    (2, 1)
    """

    def __init__(
        self,
        cause: str,
        *,
        formula: str | None = None,
        ties: Literal["efron", "breslow"] = "efron",
        tied_censoring: Literal["after", "with"] = "after",
        variance: Literal["full", "known weights"] = "full",
        missing: Missing = "raise",
        max_iter: int = 50,
        tol: float = 1e-9,
    ) -> None:
        self.cause = cause
        self.formula = formula
        self.ties = ties
        self.tied_censoring = tied_censoring
        self.variance = variance
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
        censoring_strata: RowArgument = None,
    ) -> Self:
        """Estimate the coefficients and the baseline.

        Parameters
        ----------
        X, y, strata, cluster, offset
            As in :meth:`CoxPH.fit`; rows of one subject must follow each other without gaps.
        sample_weight
            Weights of the rows, in the likelihood and in the estimates of G and H; the sandwich takes them as sampling weights.
        censoring_strata
            Groups with censoring (and entry) distributions of their own, such as vintages; by default there is one group,
            also when the baseline has strata.
        """
        self._check_parameters()
        frame, outcome = feature_frame(X), as_outcome(y)
        refuse_recurrent(outcome, "A cumulative incidence")
        outcome.cause_code(self.cause)
        self.cause_, self.causes_, self.is_recurrent_ = self.cause, list(outcome.causes), False
        given = {
            "strata": strata, "sample_weight": sample_weight, "cluster": cluster, "offset": offset,
            "censoring_strata": censoring_strata,
        }  # fmt: skip
        self.argument_columns_ = {k: list(columns_named(v, frame)) for k, v in given.items() if v is not None}
        rows, fit = self._laid(frame, outcome, given, self.formula, stacklevel=4)
        found = fit_laid(fit, rows, self.variance == "full", self.max_iter, self.tol, stacklevel=3)
        data = fit.data
        self.encoder_: DesignEncoder = rows.encoder
        self.strata_ = rows.strata_labels
        terms = rows.encoder.terms_
        self.n_features_in_, self.feature_names_in_ = frame.shape[1], np.asarray(frame.columns, dtype=object)
        self.coef_ = pd.Series(found.coef, index=pd.Index(terms, name="term"), name="coef")
        self.naive_covariance_ = pd.DataFrame(found.naive_covariance, index=terms, columns=terms)
        self.covariance_ = pd.DataFrame(found.covariance, index=terms, columns=terms)
        self.is_robust_, self.covariance_rank_ = True, found.covariance_rank
        self.log_likelihood_, self.null_log_likelihood_ = found.log_likelihood, found.null_log_likelihood
        self.score_statistic_, self.robust_score_statistic_ = found.score_statistic, found.robust_score_statistic
        self.center_ = pd.Series(data.center, index=terms)
        self.offset_center_ = data.offset_center
        self.centred_hazard_ = baseline(found.state, data.buckets, rows.strata_labels)
        self.event_times_ = np.unique(data.buckets.time)
        self.curve_parts_ = found.curve_parts
        self.first_ = extreme_times(np.minimum, rows.outcome.start, rows, data.shard.weight, data.n_strata)
        self.last_ = extreme_times(np.maximum, rows.outcome.stop, rows, data.shard.weight, data.n_strata)
        self.n_iter_, self.n_events_ = found.n_iter, data.n_events
        self.n_competing_ = int(np.count_nonzero((rows.outcome.event > 0) & ~rows.event & (data.shard.weight > 0)))
        self.n_observations_, self.n_subjects_ = len(rows.outcome), rows.outcome.n_subjects
        self.n_dropped_ = len(outcome) - len(rows.outcome)
        return self

    def predict_curves(  # type: ignore[override]  # bounds of an incidence are on one scale
        self,
        X: pd.DataFrame | ArrayLike,
        times: ArrayLike | None = None,
        *,
        start: ArrayLike | None = None,
        strata: RowArgument = None,
        offset: RowArgument = None,
        level: float | None = None,
    ) -> Curves:
        r"""Predict the cumulative incidence of the cause, :math:`1 - \exp(-\Lambda(t) e^{x'\beta})`.

        Parameters
        ----------
        X, times, strata, offset
            As in :meth:`CoxPH.predict_curves`.
        start : number or array of n, optional
            Only the first age at which customers were watched: the risk of those still customers at a later age needs the
            other causes too, and is refused.
        level : float, optional
            Gives pointwise confidence bounds on the complementary log-log scale, from the infinitesimal jackknife by subject
            or cluster with the part of the estimated weights (by `variance`).

        Returns
        -------
        Curves
            With ``complete=False``: the incidence of this cause only. NaN past the follow-up.
        """
        hazard, grid, origin, last, index = self.predicted_hazard(X, times, start=None, strata=strata, offset=offset)
        if start is not None:
            asked = requested_start(start, len(index), origin)
            late = np.flatnonzero(asked > origin + slack(np.unique(asked)))
            if len(late):
                raise NotIdentifiedError(
                    f"start is {asked[late[0]]:g} in {counted(len(late), 'row')} (row {first_of(late)}): a Fine-Gray model "
                    "gives the incidence from the first age on. Given that a customer is still there at a later age, it "
                    "needs the probability of that, which the other causes decide too: use CauseSpecificCox, or a landmark."
                )
        incidence = -np.expm1(-hazard)
        bounds = {} if level is None else incidence_bounds(self, X, hazard, grid, level, strata)
        if len(self.causes_) == 1:
            whole = np.stack([1 - incidence, incidence], axis=1)
            if bounds:
                bounds |= {
                    "lower": np.concatenate([1 - bounds["upper"], bounds["lower"]], axis=1),
                    "upper": np.concatenate([1 - bounds["lower"], bounds["upper"]], axis=1),
                }
            curves = Curves(grid, whole, origin, last, tuple(self.causes_), index, **bounds)
        else:
            curves = Curves(
                grid, incidence[:, None, :], origin, last, (self.cause_,), index,
                complete=False, incomplete_kind="cumulative incidence", **bounds,
            )  # fmt: skip
        return within_support(curves, times is not None, self.event_times_, stacklevel=2)

    def proportional_hazards_test(
        self,
        X: pd.DataFrame | ArrayLike,
        y: Outcome | NDArray[Any],
        *,
        transform: Literal["km", "identity", "rank", "log"] = "km",
        strata: RowArgument = None,
        sample_weight: RowArgument = None,
        cluster: RowArgument = None,
        offset: RowArgument = None,
        censoring_strata: RowArgument = None,
    ) -> pd.DataFrame:
        """Test that the subdistribution hazard ratios do not change over time.

        The robust score test of x · g(t) added to the model, in the same weighted likelihood; its variance is the sandwich by
        subject or cluster, with the part of the estimated weights (by `variance`), as for the coefficients.

        Parameters
        ----------
        X, y, strata, sample_weight, cluster, offset, censoring_strata
            The data of the fit; columns are remembered, arrays are passed again.
        transform
            g: one minus the Kaplan–Meier curve of the weighted risk sets (of remaining without this cause), the time, the
            rank of the event time among the events, or log time.

        Returns
        -------
        DataFrame
            Index terms and GLOBAL; columns statistic, df, p_value.
        """
        check_is_fitted(self)
        frame, outcome = feature_frame(X, self.feature_names_in_), as_outcome(y)
        given = {
            "strata": strata, "sample_weight": sample_weight, "cluster": cluster, "offset": offset,
            "censoring_strata": censoring_strata,
        }  # fmt: skip
        arguments = {name: self.remembered(name, value, frame) for name, value in given.items()}
        for name, value in arguments.items():
            if value is None and name in self.argument_columns_:
                raise DataError(f"The model was fitted with {name}: pass {name}= for these rows too.")
        rows, fit = self._laid(frame, outcome, arguments, self.encoder_, stacklevel=4)
        state = evaluate(fit.data.problem, self.coef_.to_numpy() * fit.data.scale)
        score, scale = gradient(state.sums, state.terms), fit.data.scale
        inverse = self.naive_covariance_.to_numpy() * np.outer(scale, scale)
        refuse_off(float(score @ inverse @ score) * fit.data.factor**2, len(rows.outcome), self.n_observations_)
        return score_test(fit, state, list(self.coef_.index), transform, self.variance == "full")

    def _laid(
        self,
        frame: pd.DataFrame,
        outcome: Outcome,
        arguments: dict[str, RowArgument],
        formula: str | DesignEncoder | None,
        stacklevel: int,
    ) -> tuple[Rows, Laid]:
        rows = read_rows(frame, outcome, arguments, formula, self.missing, self.cause, stacklevel)
        groups = codes_argument(arguments["censoring_strata"], frame, "censoring_strata")
        return rows, laid(
            rows, self.ties == "efron", self.tied_censoring == "after", None if groups is None else rows.cut(groups[0])
        )

    def _check_parameters(self) -> None:
        allowed = {
            "ties": ("efron", "breslow"), "tied_censoring": ("after", "with"), "variance": ("full", "known weights"),
            "missing": ("raise", "drop"),
        }  # fmt: skip
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise DataError(f"{name}={getattr(self, name)!r} is not known: use one of {list(values)}.")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coef_")
