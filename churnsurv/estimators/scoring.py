"""Scorers for scikit-learn: how well a model predicts rows it has not seen, as one number of which more is better.

A scorer asks the model for risks, of customers leaving first (concordance) or by given times (Brier scores), and hands them
to :mod:`churnsurv.metrics`, so that every model that predicts curves is judged alike.
"""

from __future__ import annotations

from inspect import signature
from typing import Any, ClassVar, Literal, cast, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils.metadata_routing import UNUSED

from churnsurv.data.features import feature_frame
from churnsurv.estimators.predict import last_step
from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of, numeric_column, one_number
from churnsurv.metrics import (
    brier_score,
    concordance_index,
    cumulative_dynamic_auc,
    index_of_prediction_accuracy,
    integrated_brier_score,
)
from churnsurv.metrics.inputs import judged_rows, require_cohort, the_cause
from churnsurv.nonparametric import CensoringModel
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate
from churnsurv.rows import as_outcome

Floats = NDArray[np.float64]
ScoreName = Literal["concordance", "uno", "auc", "brier", "integrated_brier", "ipa"]

#: scores of an order, for which no probability is needed
RANKINGS = ("concordance", "uno")


def scorer(
    name: ScoreName,
    *,
    cause: str | None = None,
    horizon: float | None = None,
    times: ArrayLike | None = None,
    censoring: CensoringModel | None = None,
) -> Scorer:
    """Make a scorer for ``GridSearchCV``, ``cross_val_score`` and :func:`churnsurv.tune_forest`.

    Parameters
    ----------
    name : {"concordance", "uno", "auc", "brier", "integrated_brier", "ipa"}
        ``"concordance"``: Harrell's C of what the model's ``predict`` gives, entry-adjusted, other causes censored;
        ``"uno"``: Uno's. Of the probability of leaving by `horizon`: ``"auc"`` its cumulative/dynamic AUC, ``"brier"`` minus
        its Brier score, ``"ipa"`` its index of prediction accuracy. ``"integrated_brier"``: minus the average over `times`.
        All but the first need a landmark cohort (all rows from time 0), and the test rows' own Kaplan–Meier weights them for
        censoring.
    cause : str, optional
        Cause whose prediction is judged; needed when there are several.
    horizon : number, optional
        For ``"auc"``, ``"brier"`` and ``"ipa"``, required. For concordances: only leavers until then are compared with who is
        left.
    times : array of two or more, optional
        For ``"integrated_brier"``, required: the same for every fold, within the follow-up of each.
    censoring : CensoringModel, optional
        For Brier scores: fitted anew to the scored rows and their X in the place of their Kaplan–Meier, e.g.
        ``cs.CensoringModel(cs.CoxPH())`` where censoring depends on the covariates.

    Returns
    -------
    Scorer
        Called with ``(model, X, y, sample_weight=None)``; more is better. Models of churnsurv, pipelines that end in
        one, and fitted searches over them. Weights reach it in a search when ``sample_weight`` is passed to its ``fit``
        (with metadata routing switched on: after ``set_score_request(sample_weight=True)``).

    Raises
    ------
    DataError
        An unknown name, or a horizon or times that the score does not take. When scoring: a row without prediction, a
        model of another cause.
    NotIdentifiedError
        When scoring: the model knows one cause among several, so that it has no probabilities to judge, or rows enter late
        for a Brier score.

    Examples
    --------
    >>> import churnsurv as cs, numpy as np, pandas as pd
    >>> from sklearn.model_selection import cross_val_score
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"rate_incentive": rng.normal(size=300)})
    >>> y = cs.Outcome(np.ceil(rng.exponential(20 * np.exp(-X["rate_incentive"]))), np.ones(300, int))
    >>> scores = cross_val_score(cs.CoxPH(), X, y, scoring=cs.scorer("integrated_brier", times=[6, 12, 18]), cv=3)
    >>> bool((scores > -0.25).all())
    True
    """
    made = Scorer(name, cause=cause, horizon=horizon, times=times, censoring=censoring)
    made.check()
    return made


class Scorer(BaseEstimator):  # type: ignore[misc]
    """One score of a fitted model, made by :func:`churnsurv.scorer`, which describes the parameters."""

    # metadata that scikit-learn may route to a scorer are its weights, not the model
    __metadata_request__score: ClassVar[dict[str, str]] = {"estimator": UNUSED}

    def __init__(
        self,
        name: ScoreName,
        *,
        cause: str | None = None,
        horizon: float | None = None,
        times: ArrayLike | None = None,
        censoring: CensoringModel | None = None,
    ) -> None:
        self.name = name
        self.cause = cause
        self.horizon = horizon
        self.times = times
        self.censoring = censoring

    def __call__(
        self,
        estimator: Any,
        X: pd.DataFrame | ArrayLike,
        y: Outcome | NDArray[Any],
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Give the score of a fitted model on (X, y); more is better."""
        self.check()
        outcome = as_outcome(y)
        if len(self.horizons()):
            # before the model is asked: its curves begin where rows enter
            what = {"auc": "an AUC", "ipa": "an index of prediction accuracy"}.get(self.name, "a Brier score")
            require_cohort(judged_rows(outcome, sample_weight, None), what)
        predicted, censoring = self._predicted(estimator, X, outcome), self.censoring_of(X, outcome, sample_weight)
        return self.signed(self.estimate(outcome, predicted, sample_weight, censoring=censoring))

    score = __call__  # by this name scikit-learn finds what may be routed here

    def _accept_sample_weight(self) -> bool:
        # scikit-learn ≥ 1.9 asks this of every scorer in a dict of several
        return True

    def check(self) -> None:
        """Refuse parameters that the score does not take."""
        if self.name not in get_args(ScoreName):
            raise DataError(f"Score {self.name!r} is not known; choose one of {list(get_args(ScoreName))}.")
        if self.horizon is not None:
            if self.name == "integrated_brier":
                raise DataError("integrated_brier averages over times: pass times=[...] instead of horizon.")
            if one_number(self.horizon, "horizon") <= 0:
                raise DataError(f"horizon={self.horizon!r}: give a positive number, on the scale of `stop`.")
        elif self.name in ("auc", "brier", "ipa"):
            raise DataError(f"{self.name} judges probabilities of leaving by a time: pass horizon=, such as 12 months.")
        if self.censoring is not None and self.name == "concordance":
            raise DataError("concordance (Harrell's) weights nothing by the censoring: leave censoring out.")
        if self.times is not None and self.name != "integrated_brier":
            raise DataError(
                f"{self.name} takes no times; they are for integrated_brier. Pass horizon= or leave them out."
            )
        if self.name == "integrated_brier":
            self._check_times()

    def _check_times(self) -> None:
        given = np.asarray([] if self.times is None else self.times)
        if given.ndim != 1 or len(given) < 2 or not np.all(np.diff(numeric_column(given, "times")) > 0):
            raise DataError("integrated_brier averages over times: pass times=, two or more, increasing.")
        if not 0 < given[0] <= given[-1] < np.inf:
            raise DataError(f"times={first_of(given)}: give positive numbers, on the scale of `stop`.")

    def horizons(self) -> Floats:
        """Give the times by which probabilities are judged; none for concordances."""
        if self.name in RANKINGS:
            return np.empty(0)
        return np.atleast_1d(
            np.asarray(self.times if self.name == "integrated_brier" else self.horizon, dtype=np.float64)
        )

    def censoring_of(
        self, X: pd.DataFrame | ArrayLike, y: Outcome, sample_weight: ArrayLike | None
    ) -> CensoringModel | None:
        """Fit the censoring model to scored rows; None without one."""
        if self.censoring is None:
            return None
        covariates = None if self.censoring.model is None else X
        model: CensoringModel = clone(self.censoring)
        return model.fit(y, covariates, sample_weight=sample_weight)

    def signed(self, estimate: Estimate) -> float:
        """Give the value of an estimate so that more is better."""
        return -estimate.value if self.name in ("brier", "integrated_brier") else estimate.value

    def estimate(
        self,
        y: Outcome,
        predicted: Floats,
        sample_weight: ArrayLike | None = None,
        cluster: ArrayLike | None = None,
        censoring: CensoringModel | None = None,
    ) -> Estimate:
        """Estimate the metric itself from predictions.

        Parameters
        ----------
        y : Outcome of n rows
        predicted : (n,) risks for concordances, (n, T) probabilities of having left by :meth:`horizons` otherwise
        sample_weight, cluster : (n,), optional
        censoring : CensoringModel, optional
            Fitted on these rows, or made theirs by ``.at``.
        """
        given: dict[str, Any] = {"cause": self.cause, "sample_weight": sample_weight, "cluster": cluster}
        if self.name in RANKINGS:
            weighting: Literal["n", "n/G2"] = "n/G2" if self.name == "uno" else "n"
            if weighting == "n/G2":
                given["censoring"] = censoring
            return concordance_index(y, predicted, tau=self.horizon, weighting=weighting, **given)
        given["censoring"] = censoring
        if self.name == "integrated_brier":
            return integrated_brier_score(y, predicted, self.horizons(), **given)
        metric = {"auc": cumulative_dynamic_auc, "brier": brier_score, "ipa": index_of_prediction_accuracy}[self.name]
        return cast(Estimate, metric(y, predicted[:, 0], float(self.horizons()[0]), **given))

    def _predicted(self, estimator: Any, X: pd.DataFrame | ArrayLike, y: Outcome) -> Floats:
        model, rows = last_step(estimator, X)
        cause = the_cause(y, self.cause)
        _refuse_another_cause(model, cause)
        if self.name in RANKINGS:
            return _complete(predicted_risk(model, rows, cause), model, rows)
        if not hasattr(model, "predict_curves"):
            raise DataError(f"{type(model).__name__} predicts no probabilities over time: use scorer('concordance').")
        times = self.horizons()
        curves = model.predict_curves(rows, times)
        # a model of one outcome may call its only cause otherwise
        named = None if len(curves.causes) == 1 == len(y.causes) else cause
        return _complete(np.column_stack([curves.risk(named, float(t), strict=True) for t in times]), model, rows)


def predicted_risk(model: Any, X: pd.DataFrame | ArrayLike, cause: str) -> Floats:
    """Give what ``predict`` gives for the cause; higher leaves sooner."""
    several = len(getattr(model, "causes_", ())) > 1 and "cause" in signature(model.predict).parameters
    return np.asarray(model.predict(X, cause=cause) if several else model.predict(X), dtype=np.float64)


def _complete(predicted: Floats, model: Any, X: pd.DataFrame | ArrayLike) -> Floats:
    """Give the predictions; rows without one are refused, with the columns that they lack values in."""
    silent = np.flatnonzero(np.isnan(predicted).reshape(len(predicted), -1).any(axis=1))
    if not len(silent):
        return predicted
    frame = feature_frame(X, names=getattr(model, "feature_names_in_", None)).iloc[silent]
    learnt = getattr(model, "missing_columns_", [])
    used = [c for c in frame.columns if c in getattr(model, "feature_names_in_", frame.columns) and c not in learnt]
    lacking = [repr(c) for c in used if frame[c].isna().any()]
    raise DataError(
        f"{counted(len(silent), 'row')} (row {first_of(silent)}) without a prediction cannot be judged"
        + (f": a value is missing in {first_of(lacking)}, unlike in the fit" if lacking else "")
        + ". Fill it in, or leave these rows out of X and y, and say so."
    )


def _refuse_another_cause(model: Any, cause: str) -> None:
    modelled, all_of_them = getattr(model, "cause_", None), getattr(model, "causes_", ())
    if modelled is not None and len(all_of_them) > 1 and modelled != cause:
        raise DataError(
            f"The model is of the cause {modelled!r}, the score of {cause!r}: pass scorer(..., cause={modelled!r}), or "
            f"fit {type(model).__name__}(cause={cause!r})."
        )


class ScoredByConcordance:
    """The ``score`` that scikit-learn takes for a model when it is given no other."""

    def score(
        self,
        X: pd.DataFrame | ArrayLike,
        y: Outcome | NDArray[Any],
        sample_weight: ArrayLike | None = None,
        *,
        cause: str | None = None,
    ) -> float:
        """Give Harrell's concordance of the predicted risk on (X, y): 0.5 is chance, 1 perfect.

        Pairs are entry-adjusted, and other causes count as censored (:func:`churnsurv.metrics.concordance_index`, which
        also gives its interval).

        Parameters
        ----------
        X : frame or array (n, p)
            Covariates. A row for which the forest has no prediction is refused.
        y : Outcome of n rows
        sample_weight : (n,), optional
            Case weights.
        cause : str, optional
            Required when there are several. scikit-learn does not pass it on: give a search or cross-validation
            ``scoring=cs.scorer("concordance", cause=...)``.
        """
        outcome = as_outcome(y)
        if cause is None and len(outcome.causes) > 1:
            raise DataError(
                f"The outcome has the causes {list(outcome.causes)}: pass cause={outcome.causes[0]!r}, and to "
                f"cross-validation scoring=cs.scorer('concordance', cause={outcome.causes[0]!r})."
            )
        return Scorer("concordance", cause=cause)(self, X, outcome, sample_weight)
