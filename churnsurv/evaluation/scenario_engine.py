"""From a model and the loans along a path to totals with their uncertainty.

Cox models: the delta method, with the gradients of the totals on the increments of all baselines and on all coefficients, so
that totals of many loans, and differences between scenarios, are as correlated as the one model makes them. Other models:
replicates of the model (refits on resampled customers), each along the same paths.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from churnsurv.estimators.cause_specific import CauseSpecificCox
from churnsurv.estimators.cox import CoxPH
from churnsurv.estimators.cox_curves import placed_rows
from churnsurv.estimators.fine_gray import FineGray
from churnsurv.estimators.hazard_paths import baselines, cause_models, derivatives, gradients, hazard_paths, influences
from churnsurv.estimators.path_rows import path_rows
from churnsurv.evaluation.scenario_rows import Book, Pieces, pieces_of
from churnsurv.evaluation.scenario_totals import Totals, quantity_derivatives, totals
from churnsurv.exceptions import DataError, NotIdentifiedError, SupportWarning
from churnsurv.kernels.absolute_risk import Baselines
from churnsurv.kernels.times import slack
from churnsurv.messages import counted

Floats = NDArray[np.float64]

#: loans taken at once
CHUNK = 512


class Run(NamedTuple):
    """Totals of a scenario; influence (H, K + 2, 3, R): its rows' products are covariances; None where unknown."""

    totals: Totals
    influence: Floats | None


def check_model(model: Any) -> list[str]:
    """Give the causes of a model that can follow paths; refused are the others, with the reason."""
    if isinstance(model, type) or (isinstance(model, BaseEstimator) and not hasattr(model, "causes_")):
        raise DataError("model is not fitted: pass a model after fit(X, y).")
    if isinstance(model, FineGray):
        raise NotIdentifiedError(
            "A Fine-Gray model keeps customers in the risk set who have left by another cause, for whom a path of covariates "
            "means nothing: its hazards give no probabilities along a path. Use CauseSpecificCox."
        )
    if not callable(getattr(model, "predict_path", None)):
        raise NotIdentifiedError(
            f"{type(model).__name__} has no predict_path, so its covariates cannot follow a scenario. Use CauseSpecificCox, "
            "CoxPH of one cause, RandomSurvivalForest, or another model with predict_path fitted to spells."
        )
    if getattr(model, "is_recurrent_", False):
        raise NotIdentifiedError("The model was fitted to recurrent events: nobody leaves for good.")
    causes = [str(cause) for cause in model.causes_]
    if isinstance(model, CoxPH) and len(causes) > 1:
        raise NotIdentifiedError(
            f"A model of {model.cause_!r} alone does not say how many are still there to leave: the other causes matter too. "
            "Fit all of them together (CauseSpecificCox)."
        )
    return causes


def run(model: Any, book: Book, values: dict[str, NDArray[Any]], replicates: Sequence[Any] | None) -> Run:
    """Give totals and influences of the loans along a path."""
    if isinstance(model, CauseSpecificCox | CoxPH) and replicates is None:
        return _by_gradients(model, book, values)
    found = _plain(model, book, values)
    if replicates is None:
        return Run(found, None)
    refits = np.stack([_plain(refit, book, values).value for refit in replicates], axis=-1)
    return Run(found, (refits - refits.mean(axis=-1, keepdims=True)) / np.sqrt(refits.shape[-1] - 1))


def _chunks(book: Book, values: dict[str, NDArray[Any]]) -> Iterator[tuple[Book, Pieces]]:
    for rows in book.chunks(CHUNK):
        part = book.take(rows)
        yield part, pieces_of(part, {name: array[rows] for name, array in values.items()})


def _summed(parts: Iterator[Totals]) -> Totals:
    total = next(parts)
    for part in parts:
        total = total + part
    return total


def _plain(model: Any, book: Book, values: dict[str, NDArray[Any]]) -> Totals:
    """Give the totals by the model's predict_path."""

    def parts() -> Iterator[Totals]:
        for part, pieces in _chunks(book, values):
            ages = np.unique(part.ages)
            with warnings.catch_warnings():
                # every loan is asked at the ages of all, and read at its own
                warnings.simplefilter("ignore", SupportWarning)
                curves = model.predict_path(pieces.X, pieces.start, pieces.stop, pieces.loan, ages)
            _require_support(np.asarray(curves.last), part.end)
            at = np.searchsorted(curves.times, part.ages - slack(curves.times))
            yield totals(part, np.take_along_axis(curves.probability, at[:, None, :], axis=2))

    return _summed(parts())


def _by_gradients(model: CauseSpecificCox | CoxPH, book: Book, values: dict[str, NDArray[Any]]) -> Run:
    known: dict[int, Baselines] = {}
    on_steps: dict[int, Floats] = {}
    on_coef: dict[int, Floats] = {}

    def parts() -> Iterator[Totals]:
        for part, pieces in _chunks(book, values):
            paths = path_rows(pieces.X, pieces.start, pieces.stop, pieces.loan)
            found = hazard_paths(model, pieces.X, paths, strata=None, offset=None)
            _require_support(found.last, part.end)
            probability, total = found.states()
            states = np.take_along_axis(probability, found.until(part.ages)[:, None, :], axis=2)
            rows = quantity_derivatives(part, states, derivatives(found, probability, total, part.ages))
            for s in np.unique(found.stratum):
                mine = np.flatnonzero(found.stratum == s)
                if s not in known:
                    known[s] = baselines(model, int(s), found.steps)
                a, b = gradients(found, rows[mine], mine, known[s])
                on_steps[s], on_coef[s] = on_steps.get(s, 0.0) + a, on_coef.get(s, 0.0) + b
            yield totals(part, states)

    found = _summed(parts())
    influence = influences(known, on_steps, on_coef).reshape(*found.value.shape, -1)
    return Run(found, influence)


def known_until(model: Any, book: Book) -> Floats:
    """Give the age (n,) up to which customers were watched in development, infinite where a model does not say."""
    if isinstance(model, CauseSpecificCox | CoxPH):
        first = cause_models(model)[0]
        return np.asarray(np.asarray(first.last_)[placed_rows(first, book.frame, None, None).stratum], dtype=np.float64)
    last = getattr(model, "last_", None)
    return np.full(len(book), np.inf if last is None else float(np.max(last)))


def beyond_support(last: Floats, end: Floats) -> NDArray[np.bool_]:
    """Mark loans that grow older than anybody in development."""
    return np.asarray(end > last + 1e-6 * np.maximum(np.where(np.isinf(last), 0.0, last), 1.0))


def _require_support(last: Floats, end: Floats) -> None:
    beyond = beyond_support(last, end)
    if beyond.any():
        refuse_beyond(beyond, end, last)


def refuse_beyond(beyond: NDArray[np.bool_], end: Floats, last: Floats) -> None:
    """Refuse loans whose hazard at the ages they reach is not known."""
    raise NotIdentifiedError(
        f"{counted(int(beyond.sum()), 'loan')} {'reaches an age' if beyond.sum() == 1 else 'reach ages'} up to "
        f"{end[beyond].max():g} within the horizon, but nobody was watched past {last[beyond].min():g}: the hazard there is "
        "unknown. Take a shorter horizon, or leave these loans out with beyond='leave out'; the result counts them."
    )
