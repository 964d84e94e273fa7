"""Comparison of models on the same held-out rows, with paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.estimators.inputs import RowArgument
from churnsurv.estimators.null import NullModel
from churnsurv.evaluation.cross_validation import by_folds, read_sample
from churnsurv.evaluation.records import Evaluation
from churnsurv.evaluation.splitting import read_splits, warn_of_later
from churnsurv.exceptions import DataError
from churnsurv.nonparametric import CensoringModel
from churnsurv.outcome import Outcome

#: name of the model without covariates in every comparison
NULL = "null"


def compare(
    models: Mapping[str, Any],
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    *,
    reference: str | None = None,
    null: bool = True,
    cv: Any = 5,
    groups: RowArgument = None,
    horizons: float | ArrayLike | None = None,
    metrics: Sequence[Any] | str | None = None,
    cause: str | Sequence[str] | None = None,
    sample_weight: RowArgument = None,
    fit_params: Mapping[str, Mapping[str, Any]] | None = None,
    dates: ArrayLike | None = None,
    censoring: CensoringModel | None = None,
    n_jobs: int | None = None,
    random_state: int | None = 0,
    progress: bool = False,
    level: float = 0.95,
) -> Evaluation:
    """Compare models on the same folds: each one's estimates, and paired differences from a reference.

    Differences are of the models that were fitted in the folds, on the same held-out customers; their p-values test that the
    two do equally well there. A model that fails, or does not offer a measure, is in the table with the reason: the others are
    not lost. The null model (Aalen–Johansen for everybody) is always added, unless ``null=False``.

    Parameters
    ----------
    models : mapping of name to estimator
        The champion and its challengers, as for :func:`cross_validate`.
    X, y
        As for :func:`cross_validate`.
    reference : str, optional
        Model that the others are compared with; default: the first.
    null : bool
        Add :class:`churnsurv.NullModel` as "null".
    fit_params : mapping of model name to mapping, optional
        More arguments of each model's ``fit``.
    cv, groups, horizons, metrics, cause, sample_weight, dates, censoring, n_jobs, random_state, progress, level
        As for :func:`cross_validate`; by default all causes are judged.

    Returns
    -------
    Evaluation
        Its ``differences`` hold p-values as they are and adjusted by Holm's rule for all rows of that table. Observed/expected
        and the calibration slope, of which neither more nor less is better, are not compared.

    Raises
    ------
    DataError
        No models, an unknown reference, a reference or null model that fails.
    NotIdentifiedError
        As for :func:`cross_validate`.

    Examples
    --------
    >>> import churnsurv as cs, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"rate_incentive": rng.normal(size=400), "noise": rng.normal(size=400)})
    >>> y = cs.Outcome(np.ceil(rng.exponential(20 * np.exp(-X["rate_incentive"]))), np.ones(400, int))
    >>> models = {"cox": cs.CoxPH(), "noise alone": cs.CoxPH("noise")}
    >>> found = cs.evaluation.compare(models, X, y, horizons=[12], metrics=["concordance"])
    >>> found.differences[["model", "reference"]].values.tolist()
    [['noise alone', 'cox'], ['null', 'cox']]
    """
    chosen, reference = read_models(models, reference, null)
    params = read_fit_params(fit_params, chosen)
    sample = read_sample(X, y, groups, horizons, metrics, cause, sample_weight, random_state, level, censoring)
    parts = read_splits(cv, sample.rows.X, sample.rows.y, sample.rows.unit, random_state)
    warn_of_later(parts, dates, len(sample.rows.y))
    may_fail = frozenset(chosen) - {reference, NULL}
    return by_folds(chosen, sample, parts, params, reference, may_fail, n_jobs, progress)


def read_models(models: Mapping[str, Any], reference: str | None, null: bool) -> tuple[dict[str, Any], str]:
    """Give the models with the null model, and the name of the reference."""
    if not isinstance(models, Mapping) or not models:
        raise DataError(f"models={models!r}: give a mapping of name to estimator, such as {{'cox': CoxPH()}}.")
    chosen = {str(name): model for name, model in models.items()}
    if null:
        if NULL in chosen:
            raise DataError(f"{NULL!r} is the name of the null model: rename yours, or pass null=False.")
        chosen[NULL] = NullModel()
    reference = next(iter(chosen)) if reference is None else reference
    if not isinstance(reference, str) or reference not in chosen:
        raise DataError(f"reference={reference!r} is none of the models {list(chosen)}.")
    return chosen, reference


def read_fit_params(
    given: Mapping[str, Mapping[str, Any]] | None, models: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Give the arguments of each model's fit."""
    if not isinstance(given, Mapping | None) or any(not isinstance(each, Mapping) for each in (given or {}).values()):
        raise DataError(f"fit_params={given!r}: give model → arguments of its fit, {{'cox': {{'strata': 'region'}}}}.")
    unknown = [name for name in given or {} if name not in models]
    if unknown:
        raise DataError(f"fit_params name {unknown}, which are none of the models {list(models)}.")
    return {name: dict(arguments) for name, arguments in (given or {}).items()}
