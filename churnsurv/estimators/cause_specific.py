r"""Cause-specific Cox models, joined to probabilities of leaving by each cause.

Each cause k has its own hazard :math:`h_k(t|x) = h_{0k}(t) \exp(x'\beta_k)`, fitted with the other causes censored. The
probability of having left by cause k needs all of them: it is the Aalen–Johansen estimator applied to the predicted hazards.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from churnsurv.curves import Curves, check_size, within_support
from churnsurv.data.features import feature_frame
from churnsurv.estimators.cause_specific_bounds import state_bounds, variance_parts
from churnsurv.estimators.cause_specific_paths import predicted_path
from churnsurv.estimators.cox import CoxPH
from churnsurv.estimators.inputs import (
    RowArgument,
    as_outcome,
    formulas_of_causes,
    requested_start,
    requested_times,
    row_values,
)
from churnsurv.exceptions import DataError, NotIdentifiedError
from churnsurv.kernels.path_states import path_states
from churnsurv.kernels.times import steps_until
from churnsurv.messages import confidence_level
from churnsurv.outcome import Missing, Outcome

Floats = NDArray[np.float64]


@contextmanager
def _warnings_of(cause: str) -> Iterator[None]:
    """Put the cause before the warnings of its model, which does not know that there are others."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        # the caller of fit, beyond this manager and contextlib
        warnings.warn(f"Model of {cause}: {warning.message}", warning.category, stacklevel=4)


#: rows whose hazards of all causes are held at once
CHUNK = 2048


class CauseSpecificCox(BaseEstimator):  # type: ignore[misc]
    """One Cox model per cause; hazard ratios say why customers leave, the curves how many.

    Parameters
    ----------
    formula : str or mapping, optional
        For all causes, or by the name of the cause (causes that are not named take every column).
    ties, weight_type, missing, max_iter, tol
        As in :class:`CoxPH`.

    Attributes
    ----------
    models_ : dict
        The fitted :class:`CoxPH` by cause.
    causes_ : list of str

    References
    ----------
    Prentice et al. (1978), Biometrics 34; Cheng, Fine and Wei (1998), Biometrics 54; Putter, Fiocco and Geskus (2007), Stat.
    Med. 26; Ozenne et al. (2017), R Journal 9.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> X = pd.DataFrame({"rate_incentive": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3, 0.4, 0.8]})
    >>> y = cs.Outcome([9, 2, 5, 4, 6, 5, 7, 3], [1, 1, 1, 2, 0, 2, 1, 2], causes=("attrition", "default"))
    >>> model = cs.CauseSpecificCox().fit(X, y)
    >>> curves = model.predict_curves(X.iloc[:2])
    >>> curves.probability.sum(axis=1).round(12).min()
    np.float64(1.0)
    """

    def __init__(
        self,
        formula: str | Mapping[str, str] | None = None,
        *,
        ties: Literal["efron", "breslow"] = "efron",
        weight_type: Literal["case", "sampling"] = "case",
        missing: Missing = "raise",
        max_iter: int = 50,
        tol: float = 1e-9,
    ) -> None:
        self.formula = formula
        self.ties = ties
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
        """Fit a Cox model to each cause of the outcome; arguments as in :meth:`CoxPH.fit`."""
        frame, outcome = feature_frame(X), as_outcome(y)
        self.feature_names_in_, self.n_features_in_ = np.asarray(frame.columns, dtype=object), frame.shape[1]
        formulas = formulas_of_causes(self.formula, outcome.causes)
        options = {k: v for k, v in self.get_params(deep=False).items() if k != "formula"}
        self.models_: dict[str, CoxPH] = {}
        for cause in outcome.causes:
            with _warnings_of(cause):
                self.models_[cause] = CoxPH(formulas[cause], cause=cause, **options).fit(
                    frame, outcome, strata=strata, sample_weight=sample_weight, cluster=cluster, offset=offset
                )
        self.causes_, self.is_recurrent_ = list(outcome.causes), outcome.recurrent
        given = {"strata": strata, "sample_weight": sample_weight, "cluster": cluster, "offset": offset}
        self.variance_parts_ = {} if outcome.recurrent else variance_parts(self, frame, outcome, given)
        return self

    def summary(self, level: float = 0.95) -> pd.DataFrame:
        """Give the models' summaries below each other, indexed by cause and term."""
        check_is_fitted(self)
        return pd.concat({cause: model.summary(level) for cause, model in self.models_.items()}, names=["cause"])

    def predict(self, X: pd.DataFrame | ArrayLike, *, cause: str | None = None) -> Floats:
        """Give the linear predictor of one cause (default: the first)."""
        check_is_fitted(self)
        name = self.causes_[0] if cause is None else cause
        if name not in self.models_:
            raise DataError(f"Cause {name!r} is unknown; the model has {self.causes_}.")
        return self.models_[name].predict(X)

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
        """Predict the probabilities of staying and of having left by each cause; arguments as in :meth:`CoxPH.predict_curves`.

        Product-integral: S(t) = Π (1 − Σ_k dΛ_k), F_k(t) = Σ S(t−) dΛ_k, over all event times of all causes. An increment
        above 1, possible for extreme covariates, empties the state and is shared by the causes in proportion.

        With `level`, pointwise confidence bounds on the log(−log) scale of each probability, by the delta method: the hazards'
        martingales are taken as uncorrelated between causes and times (Cheng, Fine & Wei 1998); after a fit with `cluster` or
        sampling weights, the infinitesimal jackknife by cluster (Ozenne et al. 2017).
        """
        self._refuse_recurrent()
        frame = feature_frame(X, self.feature_names_in_)
        steps = np.unique(np.concatenate([m.event_times_ for m in self.models_.values()]))
        grid = requested_times(times, steps)
        n, n_states = len(frame), 1 + len(self.causes_)
        check_size(n, n_states, len(grid), asked=times is not None)
        row_arguments = {"strata": row_values(strata, frame, "strata"), "offset": row_values(offset, frame, "offset")}
        ages = start if start is None else requested_start(start, n, np.zeros(n))
        probability = np.empty((n, n_states, len(grid)))
        origin, last = np.empty(n), np.empty(n)
        bounds = None if level is None else (np.empty(probability.shape), np.empty(probability.shape))
        level = None if level is None else confidence_level(level)
        # bounds hold an array of rows by event times of all causes several times over
        chunk_rows = CHUNK if bounds is None else max(1, min(CHUNK, 4_000_000 // (len(steps) * len(self.causes_))))
        for begin in range(0, n, chunk_rows):
            rows = slice(begin, begin + chunk_rows)
            cut = {k: v if v is None else v.iloc[rows] for k, v in row_arguments.items()}
            hazards = []
            for model in self.models_.values():
                since = None if ages is None else ages[rows]
                hazard, _, origin[rows], last[rows], _ = model.predicted_hazard(
                    frame.iloc[rows], steps, start=since, **cut
                )
                hazards.append(hazard)
            chunk = aalen_johansen_of(np.stack(hazards, axis=1))
            until = steps_until(steps, grid)
            probability[rows] = chunk[:, :, until]
            if bounds is not None and level is not None:
                past = np.zeros(len(chunk), dtype=np.int64) if ages is None else steps_until(steps, ages[rows])
                bounds[0][rows], bounds[1][rows] = state_bounds(
                    self, frame.iloc[rows], cut, past, steps, np.stack(hazards, axis=1), chunk, until, level
                )
        lower, upper = (None, None) if bounds is None else bounds
        curves = Curves(
            grid, probability, origin, last, tuple(self.causes_), frame.index, lower=lower, upper=upper, level=level
        )
        return within_support(curves, times is not None, steps, stacklevel=2)

    def predict_path(
        self,
        X: pd.DataFrame | ArrayLike,
        start: RowArgument,
        stop: RowArgument,
        subject: RowArgument,
        times: ArrayLike | None = None,
        *,
        strata: RowArgument = None,
        offset: RowArgument = None,
        level: float | None = None,
    ) -> Curves:
        r"""Predict the state probabilities along a path of covariates, such as a scenario of rates.

        The hazards of all causes follow the path, :math:`d\Lambda_k(u) = e^{x(u)'\beta_k} d\Lambda_{0k}(u)`, and are joined as
        in :meth:`predict_curves`; the bounds take the changing covariates into the integral. The path must be known whatever
        the customer does: along a path of complaints or arrears the result is no probability of anything.

        Parameters
        ----------
        X, start, stop, subject, times, offset
            As of :meth:`CoxPH.predict_path`.
        strata
            As in :meth:`fit`; a path stays in one stratum.
        level : float, optional
            Confidence level of pointwise bounds, as of :meth:`predict_curves`.

        Returns
        -------
        Curves
            One row per subject, conditional on being a customer at the start of its path; NaN past its end.

        Raises
        ------
        DataError
            A path with gaps or overlaps, a row that ends before it starts, a stratum that changes.
        NotIdentifiedError
            A path that starts before anybody was watched; recurrent events.

        Examples
        --------
        >>> import churnsurv as cs, pandas as pd
        >>> X = pd.DataFrame({"rate_incentive": [0.2, 1.5, 0.1, 1.1, 0.9, 0.3, 0.4, 0.8]})
        >>> y = cs.Outcome([9, 2, 5, 4, 6, 5, 7, 3], [1, 1, 1, 2, 0, 2, 1, 2], causes=("attrition", "default"))
        >>> model = cs.CauseSpecificCox().fit(X, y)
        >>> path = pd.DataFrame({"loan": 1, "start": [0, 3], "stop": [3, 6], "rate_incentive": [0.2, 0.4]})
        >>> model.predict_path(path, "start", "stop", "loan", times=[3, 6]).survival.round(3).tolist()
        [[0.92, 0.548]]
        """
        self._refuse_recurrent()
        return predicted_path(self, X, start, stop, subject, times, strata=strata, offset=offset, level=level)

    def _refuse_recurrent(self) -> None:
        check_is_fitted(self)
        if self.is_recurrent_:
            raise NotIdentifiedError(
                "The model was fitted to recurrent events: probabilities of having left are not identified by their hazards. "
                "Use the cumulative hazards of .models_[cause].predict_curves."
            )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "models_")


def aalen_johansen_of(hazards: Floats) -> Floats:
    """Turn cumulative hazards (n, K, T) into state probabilities (n, 1 + K, 1 + T); column 0 is the time before all steps."""
    return states_of(np.diff(hazards, axis=2, prepend=0.0))


def states_of(increments: Floats) -> Floats:
    """Turn increments of hazards (n, K, T) into state probabilities (n, 1 + K, 1 + T), as :func:`aalen_johansen_of`."""
    return path_states(increments, product=True)[0]
