"""Estimators of lifelines and scikit-survival as challengers: fitted, asked and judged as churnsurv's own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from churnsurv.curves import Curves, check_size, within_support
from churnsurv.data.encoder import DesignEncoder, missing_report
from churnsurv.data.features import feature_frame
from churnsurv.estimators.adapter_lifelines import fitter_names, fitter_settings, lifelines_peer
from churnsurv.estimators.adapter_peers import Peer, in_our_words, refuse_rows
from churnsurv.estimators.adapter_sksurv import final_step, model_names, sksurv_peer
from churnsurv.estimators.adapter_states import conditional, fine_grid, rise, since_age, smooth_states
from churnsurv.estimators.cause_specific import aalen_johansen_of
from churnsurv.estimators.inputs import (
    RowArgument,
    as_outcome,
    check_rows,
    columns_named,
    requested_start,
    requested_times,
    weights_argument,
)
from churnsurv.estimators.scoring import ScoredByConcordance
from churnsurv.exceptions import DataError, NoEventsError
from churnsurv.kernels.times import steps_until
from churnsurv.messages import counted, first_of
from churnsurv.outcome import Outcome

Floats = NDArray[np.float64]

#: most numbers (rows x causes x times) that a prediction holds at once
CHUNK = 4_000_000


def adapt(estimator: Any, per_cause: bool = False, *, formula: str | None = None, encode: bool = True) -> AdaptedModel:
    """Make a churnsurv-like estimator of one of lifelines or scikit-survival, to compare with the champion.

    Parameters
    ----------
    estimator : fitter of lifelines, estimator of scikit-survival, or scikit-learn Pipeline that ends in one
        Not fitted, or to be fitted anew: it is copied and never changed.
    per_cause : bool
        With several causes: one copy per cause, fitted with the other causes censored; their hazards are joined to the
        probability of leaving by each cause (Aalen–Johansen).
    formula : str, optional
        Covariates, as in :class:`CoxPH`. Default: every column, text and categories by indicators against their first level.
    encode : bool
        False: the estimator (a pipeline with an encoder or imputer of its own) gets the columns as they are, missing
        values too; categories that the fit did not see are refused all the same.

    Returns
    -------
    AdaptedModel

    Raises
    ------
    DataError, NotIdentifiedError
        What is no such estimator, or cannot be adapted; the remedy is named.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> from lifelines import WeibullAFTFitter
    >>> X = pd.DataFrame({"rate_incentive": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3, 0.7, 0.5]})
    >>> y = cs.Outcome(stop=[9, 2, 12, 4, 6, 5, 3, 8], event=[1, 1, 0, 1, 0, 1, 1, 1])
    >>> challenger = cs.adapt(WeibullAFTFitter()).fit(X, y)
    >>> low, high = challenger.predict(pd.DataFrame({"rate_incentive": [0.0, 1.0]}))
    >>> bool(low < high)
    True
    """
    peer_maker(estimator)
    return AdaptedModel(estimator, per_cause=per_cause, formula=formula, encode=encode)


def peer_maker(estimator: Any) -> Callable[[Any], Peer]:
    """Give what makes a peer of the estimator; refuse what is neither lifelines' nor scikit-survival's."""
    if isinstance(estimator, type):
        raise DataError(f"{estimator.__name__} is a class: pass an estimator, e.g. adapt({estimator.__name__}()).")
    if fitter_names(estimator):
        lifelines_peer(estimator)
        return lifelines_peer
    if model_names(estimator):
        sksurv_peer(estimator)
        return sksurv_peer
    model = final_step(estimator)
    remedy = (
        "it is churnsurv's own and needs no adapter"
        if type(model).__module__.startswith("churnsurv.")
        else "of a search, adapt its estimator and search over the adapted model"
        if hasattr(model, "estimator")
        else "pass a fitter of lifelines, an estimator of scikit-survival, or a pipeline that ends in one"
    )
    raise DataError(f"{type(model).__name__} cannot be adapted: {remedy}.")


class AdaptedModel(ScoredByConcordance, BaseEstimator):  # type: ignore[misc]
    r"""A model of lifelines or scikit-survival with churnsurv's manners; made by :func:`adapt`, which has the parameters.

    Its answers are those of the other library only where these are right. Of models with proportional hazards (Cox, plain,
    penalised or boosted) the coefficients or log hazard ratios are taken, and the baseline hazard is estimated here by the
    tie rule of the likelihood: under Efron's ties both libraries use Breslow's, and lifelines interpolates between its steps.
    Trees and Aalen's additive model are read as right-continuous steps, parametric models evaluated at exactly the times
    asked for. The concordance, Brier score and so on that the libraries report are not used.

    Valid when censoring is independent of the time of leaving given the covariates. Rows must be watched from time zero on.

    Attributes
    ----------
    estimators_ : dict
        The fitted estimators of the other library by cause. Those of lifelines keep the outcomes they were fitted to.
    causes_ : list of str
    event_times_ : (T,) array
        Event times of the fit, at which curves are given by default.
    last_ : float
        End of the follow-up, past which nothing is predicted, not even by parametric models.
    feature_names_in_ : (p,) array of str
    n_events_, n_observations_ : int

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> from lifelines import CoxPHFitter
    >>> X = pd.DataFrame({"rate_incentive": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3]})
    >>> y = cs.Outcome(stop=[9, 2, 12, 4, 6, 5], event=[1, 1, 0, 1, 0, 1])
    >>> ours, theirs = cs.CoxPH().fit(X, y), cs.adapt(CoxPHFitter()).fit(X, y)
    >>> difference = ours.predict_curves(X).survival - theirs.predict_curves(X).survival
    >>> bool(abs(difference).max() < 1e-6)
    True
    """

    def __init__(
        self, estimator: Any, *, per_cause: bool = False, formula: str | None = None, encode: bool = True
    ) -> None:
        self.estimator = estimator
        self.per_cause = per_cause
        self.formula = formula
        self.encode = encode

    def fit(
        self,
        X: pd.DataFrame | ArrayLike,
        y: Outcome | NDArray[Any],
        *,
        sample_weight: RowArgument = None,
        strata: RowArgument = None,
        cluster: RowArgument = None,
    ) -> Self:
        """Fit a copy of the estimator, or one per cause.

        Parameters
        ----------
        X : frame or array (n, p)
        y : Outcome
            (Or scikit-survival's structured array.) Rows from time zero on, one per subject; one cause, or ``per_cause``.
        sample_weight : array of n, or name of a column of X
            Case weights, where the estimator counts them (lifelines; trees and forests of scikit-survival). Rows of weight 0
            take no part.
        strata, cluster
            Refused: no challenger can take them.

        Raises
        ------
        NotIdentifiedError
            Delayed entry, several rows per subject, recurrent events, strata, clusters.
        DataError
            Several causes without ``per_cause``; missing values; weights that the estimator ignores; what the other library
            says.
        ConvergenceError
            The other library's fit did not converge.
        """
        make = peer_maker(self.estimator)
        frame, outcome = feature_frame(X), as_outcome(y)
        check_rows(frame, outcome)
        refuse_rows(f"An adapted {type(final_step(self.estimator)).__name__}", outcome, strata, cluster)
        if len(outcome.causes) > 1 and not self.per_cause:
            raise DataError(
                f"The outcome has the causes {list(outcome.causes)}, the model knows one: adapt(estimator, per_cause=True) "
                f"fits one per cause and joins them. (y.only({outcome.causes[0]!r}) censors the others: a hazard, not a "
                "probability of leaving.)"
            )
        weight = weights_argument(sample_weight, frame)
        covariates = frame.drop(columns=list(columns_named(sample_weight, frame)))
        if weight is not None:
            kept = weight > 0
            covariates, outcome, weight = covariates[kept], outcome[kept], weight[kept]
        peers = {cause: make(self._copied()) for cause in outcome.causes}
        first = next(iter(peers.values()))
        if weight is not None and not first.takes_weights:
            raise DataError(
                f"{first.name} does not count sample_weight in its likelihood. Leave it out and say so, or use lifelines' "
                "regressions, forests, or churnsurv's own estimators."
            )
        self.encoder_ = DesignEncoder(self.formula).fit(covariates)
        rows, complete = self._encoded(covariates)
        if not complete.all():
            report = missing_report(self.encoder_.design(covariates), covariates[self.encoder_.columns_])
            raise DataError(
                f"{report[0].upper()}{report[1:]}. Drop such rows from X and y, or impute the values (in a pipeline of its "
                "own: encode=False)."
            )
        for code, (cause, peer) in enumerate(peers.items(), start=1):
            event = outcome.event == code
            if not event.any():
                raise NoEventsError(f"No {cause!r} event among {counted(len(event), 'row')}: there is nothing to fit.")
            peer.check()
            with in_our_words(peer.name, "fit", stacklevel=2):
                peer.fit(rows, outcome.stop, event, weight)
        self.feature_names_in_, self.n_features_in_ = np.asarray(frame.columns, dtype=object), frame.shape[1]
        self.peers_, self.causes_ = peers, list(outcome.causes)
        self.event_times_ = np.unique(outcome.stop[outcome.event > 0])
        self.last_ = float(outcome.stop.max())
        self.n_events_, self.n_observations_ = outcome.n_events, len(outcome)
        return self

    @property
    def estimators_(self) -> dict[str, Any]:
        """The fitted estimators of the other library, by cause."""
        check_is_fitted(self)
        return {cause: peer.estimator for cause, peer in self.peers_.items()}

    def predict(self, X: pd.DataFrame | ArrayLike, *, cause: str | None = None) -> Floats:
        """Give a risk score of one cause (default: the first), higher leaves sooner; NaN where a value is missing.

        The log hazard ratio of models with proportional hazards; of scikit-survival's other models their prediction, its
        sign turned where it is a time; of lifelines' other models the cumulative hazard at the end of the follow-up, which
        orders accelerated failure times as minus the predicted median does.
        """
        check_is_fitted(self)
        name = self.causes_[0] if cause is None else cause
        if name not in self.peers_:
            raise DataError(f"Cause {name!r} is unknown; the model has {self.causes_}.")
        rows, complete = self._encoded(feature_frame(X, self.feature_names_in_))
        risk, peer = np.full(len(complete), np.nan), self.peers_[name]
        if complete.any():
            with in_our_words(peer.name, "predict", stacklevel=2):
                risk[complete] = peer.risk(rows[complete])
        return risk

    def predict_curves(
        self, X: pd.DataFrame | ArrayLike, times: ArrayLike | None = None, *, start: ArrayLike | None = None
    ) -> Curves:
        """Predict the probabilities of staying and of leaving by each cause.

        Parameters
        ----------
        X : frame or array
            Covariates; a row with a missing value gives NaN.
        times : array, optional
            Default: the event times of the fit. Smooth curves (of parametric models) are known at these times only: name
            those of interest.
        start : number or array of n, optional
            Current age: probabilities are conditional on being a customer then. Default 0.

        Raises
        ------
        NotIdentifiedError
            The estimator only ranks (support vector machines, IPCRidge, boosting of times).
        """
        check_is_fitted(self)
        frame = feature_frame(X, self.feature_names_in_)
        grid, n, k = requested_times(times, self.event_times_), len(frame), len(self.causes_)
        check_size(n, 1 + k, len(grid), asked=times is not None)
        ages = None if start is None else requested_start(start, n, np.zeros(n))
        rows, complete = self._encoded(frame)
        probability = np.full((n, 1 + k, len(grid)), np.nan)
        first = next(iter(self.peers_.values()))
        width = (len(grid) if k == 1 else len(self.event_times_)) + (512 if first.smooth else 0)
        size = max(1, CHUNK // (k * max(width, 1)))
        known = np.flatnonzero(complete)
        with in_our_words(first.name, "predict", stacklevel=2):
            for begin in range(0, len(known), size):
                chunk = known[begin : begin + size]
                probability[chunk] = self._states(rows.iloc[chunk], grid, None if ages is None else ages[chunk])
        origin = np.zeros(n) if ages is None else ages
        curves = Curves(grid, probability, origin, np.full(n, self.last_), tuple(self.causes_), frame.index)
        if not first.smooth:
            return within_support(curves, times is not None, self.event_times_, stacklevel=2)
        # smooth curves are no steps: nothing is known between the times
        return replace(within_support(curves, times is not None, grid, stacklevel=2), steps=False, last=curves.last)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Give the parameters; `deep`: also those of the estimator, as ``estimator__name`` (lifelines' too)."""
        params: dict[str, Any] = super().get_params(deep)
        if deep and not hasattr(self.estimator, "get_params"):
            params |= {f"estimator__{name}": value for name, value in fitter_settings(self.estimator).items()}
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters, those of the estimator as ``estimator__name``; a fitter of lifelines is built anew with them."""
        if "estimator" in params:
            self.estimator = params.pop("estimator")
        if hasattr(self.estimator, "get_params"):
            super().set_params(**params)
            return self
        prefix = "estimator__"
        nested = {name.removeprefix(prefix): params.pop(name) for name in list(params) if name.startswith(prefix)}
        if nested:
            settings = fitter_settings(self.estimator)
            unknown = [name for name in nested if name not in settings]
            if unknown:
                raise DataError(
                    f"{type(self.estimator).__name__} has no parameter {unknown[0]!r}; it has {first_of(settings, 12)}."
                )
            with in_our_words(f"{type(self.estimator).__name__} (lifelines)", "take its parameters", stacklevel=2):
                self.estimator = type(self.estimator)(**(settings | nested))
        super().set_params(**params)
        return self

    def _copied(self) -> Any:
        """Give a copy of the estimator for one cause."""
        is_sklearn = hasattr(self.estimator, "get_params")
        return clone(self.estimator) if is_sklearn else copy.deepcopy(self.estimator)

    def _encoded(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
        """Give rows as the estimator takes them, and which of them it can be asked about."""
        encoder = self.encoder_
        design = encoder.design(frame)  # refuses absent columns and unseen levels, whatever the estimator then gets
        if not self.encode:
            return frame[encoder.columns_], np.ones(len(frame), dtype=np.bool_)
        return pd.DataFrame(design, columns=encoder.terms_, index=frame.index), np.asarray(
            ~np.isnan(design).any(axis=1)
        )

    def _states(self, rows: pd.DataFrame, grid: Floats, ages: Floats | None) -> Floats:
        """Give state probabilities (n, 1 + K, T) of rows, from the age of each on."""
        peers = list(self.peers_.values())
        if len(peers) == 1:
            stay = since_age(peers[0].survival, rows, grid, ages, conditional)
            return np.stack([stay, 1.0 - stay], axis=1)
        is_smooth = peers[0].smooth
        until = np.minimum(grid, self.last_)
        steps = fine_grid(self.last_, until) if is_smooth else self.event_times_
        hazards = np.stack([since_age(peer.hazard, rows, steps, ages, rise) for peer in peers], axis=1)
        states = smooth_states(hazards) if is_smooth else aalen_johansen_of(hazards)
        return states[:, :, steps_until(steps, until)]

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "peers_")
