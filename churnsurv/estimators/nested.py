"""Comparison of Cox models: nested ones by the likelihood-ratio test, or Wald's where rows are not independent; criteria."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import null_space
from scipy.stats import chi2
from sklearn.utils.validation import check_is_fitted

from churnsurv.data.features import feature_frame
from churnsurv.estimators.contrasts import covariance_words, wald
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.messages import counted, first_of
from churnsurv.results import TestResult

if TYPE_CHECKING:
    from churnsurv.estimators.cox import CoxPH
    from churnsurv.estimators.cox_inference import CoxInference

Floats = NDArray[np.float64]
#: a column is a combination of others when less than this share of it is left over
SPANNED = 1e-7
#: models on the same rows have the same null likelihood up to rounding
SAME_ROWS = 1e-9


def compare_nested(small: CoxPH, large: CoxPH, X: pd.DataFrame | ArrayLike | None = None) -> TestResult:
    r"""Test whether the terms that the larger of two nested models adds are needed.

    The statistic is :math:`2 (\ell_{large} - \ell_{small})`, chi-square with as many degrees of freedom as columns are
    added, when the added coefficients are zero and rows are independent. In robust fits (clusters, sampling weights,
    recurrent events) the likelihood ratio has no such distribution; the added coefficients of the larger model are then
    tested by Wald's statistic with its sandwich covariance.

    Parameters
    ----------
    small, large : fitted CoxPH
        Of the same rows, strata, weights and offset, cause and tie rule.
    X : frame or array (n, p), optional
        The covariates of the fits. Without it `small` is nested when its columns are columns of `large`, by name. With it
        when its columns are linear combinations of those of `large` (and a constant): a straight line within a natural
        spline, a category within a finer one.

    Returns
    -------
    TestResult

    Raises
    ------
    DataError
        The models are not nested, or not of the same rows; ties or causes differ.
    NotIdentifiedError
        One fit is robust and the other not, likelihoods are penalised, or the clusters span too few dimensions.

    References
    ----------
    Cox (1975), Biometrika 62; Lin and Wei (1989), J. Am. Stat. Assoc. 84.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> X = pd.DataFrame({"rate": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3, 0.7], "income": [2.0, 3, 1, 5, 4, 2, 1]})
    >>> y = cs.Outcome(stop=[9, 2, 12, 4, 6, 5, 7], event=[1, 1, 0, 1, 0, 1, 1])
    >>> result = cs.compare_nested(cs.CoxPH("rate").fit(X, y), cs.CoxPH("rate + income").fit(X, y))
    >>> result.df
    1
    """
    for model in (small, large):
        check_is_fitted(model)
        if not hasattr(model, "null_log_likelihood_"):
            raise DataError(
                f"{type(model).__name__} has no partial likelihood of its own; compare its models_[cause], or CoxPH models."
            )
        _refuse_penalised(model)
    _refuse_other_rows(small, large)
    estimand, rows = _added_terms(small, large) if X is None else _added_directions(small, large, X)
    robust, df = large.is_robust_, len(rows)
    if robust:
        statistic = wald(large, rows, np.zeros(df))
        if np.isnan(statistic):
            raise NotIdentifiedError(
                f"The clusters give a covariance of rank {large.covariance_rank_}: {counted(df, 'added coefficient')} "
                "cannot be tested jointly. Use more, smaller clusters."
            )
    else:
        statistic = 2 * (large.log_likelihood_ - small.log_likelihood_)
        if statistic < -1e-7 * abs(large.log_likelihood_):
            raise DataError("The smaller model has the higher likelihood: the models are not nested.")
        statistic = max(statistic, 0.0)
    return TestResult(
        name="Wald test of nested models" if robust else "likelihood-ratio test of nested models",
        statistic=statistic,
        df=df,
        p_value=float(chi2.sf(statistic, df)),
        method=(
            f"Wald chi-square of the added coefficients with the {covariance_words(large)}"
            if robust
            else f"twice the difference of log partial likelihoods, {large.ties.capitalize()} ties"
        ),
        estimand=estimand,
        n=large.n_observations_,
        n_events=large.n_events_,
    )


def information_criterion(model: CoxInference, per_coefficient: float) -> float:
    """Give −2 log partial likelihood + a price per coefficient, of a fit without penalty."""
    _refuse_penalised(model)
    return float(-2 * model.log_likelihood_ + per_coefficient * len(model.coef_))


def _refuse_penalised(model: object) -> None:
    if getattr(model, "penalty", None):
        raise NotIdentifiedError(
            "Models are compared by likelihoods at their maximum, which a penalised fit does not reach. Fit without penalty."
        )


def _refuse_other_rows(small: CoxPH, large: CoxPH) -> None:
    """Refuse models of different data: the null likelihood knows rows, strata, weights, offset and tie rule."""
    for name, what in (("ties", "tie rule"), ("cause_", "cause"), ("n_observations_", "number of rows"),
                       ("n_events_", "number of events"), ("strata_", "strata")):  # fmt: skip
        ours, theirs = getattr(small, name), getattr(large, name)
        if not _same(ours, theirs):
            few = first_of(ours) if isinstance(ours, list) else ours
            others = first_of(theirs) if isinstance(theirs, list) else theirs
            remedy = " A covariate with missing values drops rows: drop them for both fits." if name[:2] == "n_" else ""
            raise DataError(f"The models differ in {what} ({few} and {others}): fit both to the same data.{remedy}")
    if small.is_robust_ != large.is_robust_:
        raise NotIdentifiedError("One fit is robust (cluster, sampling weights) and the other is not: fit both alike.")
    apart = abs(small.null_log_likelihood_ - large.null_log_likelihood_)
    if apart > SAME_ROWS * abs(large.null_log_likelihood_):
        raise DataError(
            f"The models have different null likelihoods ({small.null_log_likelihood_:.6g} and "
            f"{large.null_log_likelihood_:.6g}): rows, strata, weights or offset differ. Fit both to the same data."
        )


def _same(ours: Any, theirs: Any) -> bool:
    return type(ours) is type(theirs) and bool(ours == theirs)


def _added_terms(small: CoxPH, large: CoxPH) -> tuple[str, Floats]:
    """Give the hypothesis and its rows L (of L β = 0) that pick the added coefficients, by name."""
    outside = [term for term in small.coef_.index if term not in large.coef_.index]
    if outside:
        raise DataError(
            f"The models are not nested: {first_of([repr(t) for t in outside])} of the smaller one is no term of the larger. "
            "Where its columns are combinations of the larger one's, such as a line within a spline, pass X too."
        )
    for column, levels in small.encoder_.levels_.items():
        others = large.encoder_.levels_.get(column, levels)
        if list(levels) != list(others):
            raise DataError(
                f"Column {column!r} has the levels {first_of(levels)} in one fit and {first_of(others)} in the other: "
                "use the same categories and reference."
            )
    added = [str(term) for term in large.coef_.index if term not in small.coef_.index]
    if not added:
        raise DataError("Both models have the same terms: nothing is added by the larger one.")
    rows = np.eye(len(large.coef_))[large.coef_.index.get_indexer(pd.Index(added))]
    return f"the coefficients of {first_of(added, 12)} are zero", rows


def _added_directions(small: CoxPH, large: CoxPH, X: pd.DataFrame | ArrayLike) -> tuple[str, Floats]:
    """Give the hypothesis and rows L: with columns small = constant + large A, the smaller model is β in the span of A."""
    ours, theirs = (m.encoder_.design(feature_frame(X, m.feature_names_in_)) for m in (small, large))
    complete = np.isfinite(ours).all(axis=1) & np.isfinite(theirs).all(axis=1)
    ours, theirs = (d[complete] - d[complete].mean(axis=0) for d in (ours, theirs))
    scale = np.sqrt((theirs**2).mean(axis=0))
    share = np.linalg.lstsq(theirs / scale, ours, rcond=None)[0]
    apart = np.sqrt(((theirs / scale @ share - ours) ** 2).mean(axis=0)) > SPANNED * np.sqrt((ours**2).mean(axis=0))
    if apart.any():
        names = first_of([repr(t) for t in small.coef_.index[apart]])
        raise DataError(
            f"The models are not nested: {names} of the smaller one is no combination of the larger one's columns."
        )
    if len(small.coef_) >= len(large.coef_):
        raise DataError("Both models have as many coefficients: nothing is added by the larger one.")
    # directions of the larger model's (standardised) coefficients that the smaller one does not have
    rows = null_space(share.T).T * scale
    return f"the model {small.formula or 'without what is added'!r} holds", np.asarray(rows)
