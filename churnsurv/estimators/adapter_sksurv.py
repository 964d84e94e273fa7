"""Estimators of scikit-survival as peers, alone or at the end of a scikit-learn pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from churnsurv.estimators.adapter_peers import Peer, ProportionalPeer
from churnsurv.exceptions import DataError
from churnsurv.kernels.times import step_values

Floats = NDArray[np.float64]

#: estimators whose prediction is the logarithm of a hazard ratio (boosting: with the loss "coxph")
_PROPORTIONAL = {"CoxPHSurvivalAnalysis", "CoxnetSurvivalAnalysis"}
_BOOSTED = {"GradientBoostingSurvivalAnalysis", "ComponentwiseGradientBoostingSurvivalAnalysis"}
#: estimators with a curve in every leaf; the log-rank criterion counts weights
_TREES = {"SurvivalTree", "ExtraSurvivalTree", "RandomSurvivalForest", "ExtraSurvivalTrees"}


def final_step(estimator: Any) -> Any:
    """Give the estimator at the end of a pipeline, or the estimator."""
    return final_step(estimator.steps[-1][1]) if isinstance(estimator, Pipeline) else estimator


def model_names(estimator: Any) -> set[str]:
    """Give the names of the model's classes in scikit-survival, itself and what it inherits from."""
    return {c.__name__ for c in type(final_step(estimator)).__mro__ if c.__module__.split(".")[0] == "sksurv"}


def sksurv_peer(estimator: Any) -> Peer:
    """Give the peer for an estimator of scikit-survival or a pipeline that ends in one."""
    names, model = model_names(estimator), final_step(estimator)
    if not hasattr(model, "predict"):
        raise DataError(
            f"{type(model).__name__} of scikit-survival has no predict: it is no model that can be adapted."
        )
    if names & _PROPORTIONAL or (names & _BOOSTED and model.loss == "coxph"):
        return RatioPeer(estimator)
    return TreePeer(estimator) if names & _TREES else RankPeer(estimator)


class SksurvPeer(Peer):
    """An estimator of scikit-survival, which takes a structured array as outcome."""

    library = "scikit-survival"

    @property
    def name(self) -> str:
        """The class of the model and its library, for messages."""
        return f"{type(final_step(self.estimator)).__name__} ({self.library})"

    @property
    def takes_weights(self) -> bool:
        """Trees and forests count weights; boosting takes them and leaves them out of the likelihood."""
        return bool(model_names(self.estimator) & _TREES)

    def fit(self, frame: pd.DataFrame, stop: Floats, event: NDArray[np.bool_], weight: Floats | None) -> None:
        """Fit to right-censored rows."""
        y = np.empty(len(stop), dtype=[("event", np.bool_), ("time", np.float64)])
        y["event"], y["time"] = event, stop
        argument = "sample_weight"
        step: Any = self.estimator
        while isinstance(step, Pipeline):
            argument, step = f"{step.steps[-1][0]}__{argument}", step.steps[-1][1]
        self.estimator.fit(frame, y, **({} if weight is None else {argument: weight}))

    def predicted(self, frame: pd.DataFrame) -> Floats:
        """Give what ``predict`` gives."""
        return np.asarray(self.estimator.predict(frame), dtype=np.float64)

    def risk(self, frame: pd.DataFrame) -> Floats:
        """Give the prediction, with its sign turned where it is a time (IPCRidge, regression by SVM, losses of time)."""
        is_time = not getattr(final_step(self.estimator), "_predict_risk_score", True)
        return -self.predicted(frame) if is_time else self.predicted(frame)


class RatioPeer(SksurvPeer, ProportionalPeer):
    """Cox's model, plain, penalised or boosted: its log hazard ratio, our baseline by the tie rule of its likelihood."""

    @property
    def efron(self) -> bool:  # type: ignore[override]
        """Only the plain Cox model knows Efron's rule."""
        return getattr(final_step(self.estimator), "ties", "breslow") == "efron"

    def fit(self, frame: pd.DataFrame, stop: Floats, event: NDArray[np.bool_], weight: Floats | None) -> None:
        """Fit to right-censored rows."""
        super().fit(frame, stop, event, weight)
        self.keep_baseline(frame, stop, event, weight)

    def log_hazard(self, frame: pd.DataFrame) -> Floats:
        """Give the logarithm of the hazard ratio."""
        return self.predicted(frame)


class TreePeer(SksurvPeer):
    """A tree or forest: its survival curve where there is one way to leave, its cumulative hazard where there are more."""

    def hazard(self, frame: pd.DataFrame, times: Floats) -> Floats:
        """Give the cumulative hazard (n, T) at the times, the mean of the trees' Nelson–Aalen estimates."""
        steps = self.estimator.predict_cumulative_hazard_function(frame, return_array=True)
        return self._read(steps, times, before=0.0)

    def survival(self, frame: pd.DataFrame, times: Floats) -> Floats:
        """Give the probability of staying (n, T) at the times, the mean of the trees' Kaplan–Meier estimates."""
        return self._read(self.estimator.predict_survival_function(frame, return_array=True), times, before=1.0)

    def _read(self, steps: Any, times: Floats, before: float) -> Floats:
        model = final_step(self.estimator)
        return step_values(np.asarray(model.unique_times_, np.float64), np.asarray(steps, np.float64), times, before)


class RankPeer(SksurvPeer):
    """A model that ranks only: survival support vector machines, ridge regression of times, boosting of times."""

    gives_curves = False
