"""One fit on development rows and its predictions for held-out rows, and many of them in parallel."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from tqdm import tqdm

from churnsurv.estimators.predict import last_step, predict_curves
from churnsurv.estimators.scoring import predicted_risk
from churnsurv.exceptions import ChurnSurvError, DataError, SupportWarning
from churnsurv.outcome import Outcome

Floats = NDArray[np.float64]

#: rows that are predicted together when each has an age of its own: they share a grid of times
_CHUNK = 2_000


class Rows(NamedTuple):
    """Rows to fit or to judge: covariates, outcome, weights, customer (codes over all rows), age at their time 0."""

    X: pd.DataFrame
    y: Outcome
    weight: Floats | None
    unit: NDArray[np.int64]
    start: Floats | None = None


class Asked(NamedTuple):
    """What is to be predicted."""

    causes: tuple[str, ...]
    horizons: Floats
    by_risk: bool  #: customers of different ages are ranked by their risk up to the last horizon, not by ``predict``
    keep: frozenset[str] = frozenset()  #: models that are given back as they were fitted


class Trial(NamedTuple):
    """One model to fit on one set of rows, and the rows to predict."""

    model: str
    fold: str
    estimator: Any
    arguments: Mapping[str, Any]  #: of ``fit``
    development: Rows
    test: Rows


class Predicted(NamedTuple):
    """By cause: the score (n,) and the probabilities (n, H), or why there are none."""

    score: dict[str, Floats | str]
    risk: dict[str, Floats | str]
    fitted: Any = None  #: the model, where it is kept


class Failure(NamedTuple):
    """Why a fit or a prediction failed."""

    reason: str


def run_trials(
    trials: Iterable[Trial], n: int, asked: Asked, *, n_jobs: int | None, progress: bool, report: frozenset[str]
) -> list[Predicted | Failure]:
    """Fit and predict, in the order of the trials; models named in `report` may fail, another's error is raised.

    The trials are made as they are sent out, so that few of them are in memory at a time. Nothing goes on after an
    interrupt: the generator of the results is closed, which stops joblib's workers.
    """
    read_jobs(n_jobs)
    run = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_tried)(trial, asked, trial.model in report) for trial in trials
    )
    try:
        with tqdm(run, total=n, desc="Evaluating", unit="fit", disable=not progress, leave=False) as bar:
            return list(bar)
    finally:
        run.close()


def read_jobs(n_jobs: Any) -> None:
    """Refuse numbers of processes that joblib does not take."""
    if n_jobs is not None and (isinstance(n_jobs, bool) or not isinstance(n_jobs, int | np.integer) or n_jobs == 0):
        raise DataError(f"n_jobs={n_jobs!r}: give a number of processes, -1 for all, or None.")


def _tried(trial: Trial, asked: Asked, may_fail: bool) -> Predicted | Failure:
    try:
        return fit_and_predict(trial, asked)
    except Exception as error:
        if may_fail:
            return Failure(f"{trial.fold}: {type(error).__name__}: {error}")
        if isinstance(error, ChurnSurvError):
            raise type(error)(f"{trial.fold}, {trial.model} (rows counted within it): {error}") from error
        raise DataError(f"{trial.fold}, {trial.model} failed: {type(error).__name__}: {error}") from error


def fit_and_predict(trial: Trial, asked: Asked) -> Predicted:
    """Fit a copy of the model and predict the held-out rows."""
    model = fitted(trial.estimator, trial.arguments, trial.development)
    found = predicted(model, trial.test, asked)
    return found._replace(fitted=model) if trial.model in asked.keep else found


def fitted(estimator: Any, arguments: Mapping[str, Any], rows: Rows) -> Any:
    """Fit a copy of a model; arguments of a pipeline's fit go to its last step."""
    given = dict(arguments) | ({} if rows.weight is None else {"sample_weight": rows.weight})
    if isinstance(estimator, Pipeline):
        given = {f"{estimator.steps[-1][0]}__{name}": value for name, value in given.items()}
    model = clone(estimator)
    fit = model.fit(rows.X, rows.y, **given)
    return model if fit is None else fit


def predicted(model: Any, rows: Rows, asked: Asked) -> Predicted:
    """Give scores and probabilities of a fitted model; where a cause is not predicted, the reason."""
    risk = _risks(model, rows, asked)
    if asked.by_risk:
        return Predicted({cause: _at_the_end(r) for cause, r in risk.items()}, risk)
    last, X = last_step(model, rows.X)
    score: dict[str, Floats | str] = {}
    for cause in asked.causes:
        try:
            _refuse_another(last, cause)
            score[cause] = predicted_risk(last, X, cause) if hasattr(last, "predict") else _at_the_end(risk[cause])
        except ChurnSurvError as error:
            score[cause] = str(error)
    return Predicted(score, risk)


def _refuse_another(model: Any, cause: str) -> None:
    own = getattr(model, "cause_", None)
    if own is not None and len(getattr(model, "causes_", ())) > 1 and own != cause:
        raise DataError(f"{type(model).__name__} is a model of {own!r} alone.")


def _at_the_end(risk: Floats | str) -> Floats | str:
    return risk if isinstance(risk, str) else risk[:, -1]


def _risks(model: Any, rows: Rows, asked: Asked) -> dict[str, Floats | str]:
    found: dict[str, Floats | str] = {}
    if not len(asked.horizons):
        return dict.fromkeys(asked.causes, "no horizon was asked for")
    parts: dict[str, list[Floats]] = {cause: [] for cause in asked.causes}
    order = np.arange(len(rows.y)) if rows.start is None else np.argsort(rows.start, kind="stable")
    chunks = [order] if rows.start is None else np.array_split(order, -(-len(order) // _CHUNK))
    for chunk in chunks:
        for cause, risk in _risks_of(model, rows, chunk, asked).items():
            if isinstance(risk, str):
                found.setdefault(cause, risk)
            else:
                parts[cause].append(risk)
    for cause in asked.causes:
        if cause not in found:
            risks = np.empty((len(order), len(asked.horizons)))
            risks[order] = np.concatenate(parts[cause])
            found[cause] = risks
    return found


def _risks_of(model: Any, rows: Rows, chunk: NDArray[np.int64], asked: Asked) -> dict[str, Floats | str]:
    """Give the probabilities of some rows by cause."""
    X, horizons = rows.X.iloc[chunk], asked.horizons
    start = None if rows.start is None else rows.start[chunk]
    times = horizons if start is None else np.unique(start[:, None] + horizons)
    options = {} if start is None else {"start": start}
    try:
        last = last_step(model, X)[0]
        with warnings.catch_warnings():
            # rows that are not known so long are the error of strict=True below
            warnings.simplefilter("ignore", SupportWarning)
            curves = predict_curves(model, X, times, **options)
    except ChurnSurvError as error:
        return dict.fromkeys(asked.causes, str(error))
    found: dict[str, Floats | str] = {}
    for cause in asked.causes:
        # a model of one outcome may call its only cause otherwise
        named = None if len(curves.causes) == 1 == len(rows.y.causes) else cause
        try:
            _refuse_another(last, cause)
            found[cause] = np.column_stack([curves.risk(named, float(t), strict=True) for t in horizons])
        except ChurnSurvError as error:
            found[cause] = str(error)
    return found


def seeded(estimator: Any, random_state: int | None) -> Any:
    """Give a copy whose seeds that were left open are fixed, so that the answer does not depend on when it is fitted."""
    if isinstance(estimator, type) or not hasattr(estimator, "get_params") or not hasattr(estimator, "set_params"):
        name = f"The class {estimator.__name__}" if isinstance(estimator, type) else repr(estimator)
        raise DataError(f"{name} is no estimator: give one such as CoxPH(), or adapt() one of another library.")
    copy = clone(estimator)
    if random_state is None:
        return copy
    seed = int(np.random.default_rng(random_state).integers(2**31))
    own = [name for name in copy.get_params() if name.split("__")[-1] == "random_state"]
    return copy.set_params(**{name: seed for name in own if copy.get_params()[name] is None})


def cut_arguments(arguments: Mapping[str, Any] | None, rows: NDArray[np.int64], n: int) -> dict[str, Any]:
    """Give the arguments of a fit for some of n rows: names of columns as they are, values by row."""
    if not isinstance(arguments, Mapping | None):
        raise DataError(f"fit_params={arguments!r}: give arguments of fit by name, such as {{'strata': 'region'}}.")
    cut: dict[str, Any] = {}
    for name, value in (arguments or {}).items():
        if name in ("X", "y", "sample_weight"):
            raise DataError(f"fit_params hold {name!r}: pass it to the evaluation itself.")
        by_row = not isinstance(value, str) and np.ndim(value) > 0 and len(value) == n
        if by_row and not (isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)):
            value = value.iloc[rows] if isinstance(value, pd.DataFrame | pd.Series) else np.asarray(value)[rows]
        cut[name] = value
    return cut


def positions(parts: Iterable[tuple[Any, Any]]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Give splits as positions, of masks too."""
    for number, part in enumerate(parts, start=1):
        sides = [np.asarray(side) for side in part] if isinstance(part, tuple | list) and len(part) == 2 else []
        if not sides or any(side.ndim != 1 or (len(side) and side.dtype.kind not in "biu") for side in sides):
            raise DataError(
                f"Fold {number} is no pair of positions (or masks) of development and test rows: {part!r:.80}."
            )
        train, test = (np.flatnonzero(side) if side.dtype == bool else side.astype(np.int64) for side in sides)
        yield train, test
