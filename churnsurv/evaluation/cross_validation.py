"""Cross-validation: models fitted on some customers and judged by the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.data.features import feature_frame
from churnsurv.estimators.inputs import RowArgument, check_rows, columns_named, resolved, weights_argument
from churnsurv.evaluation.judging import Setting, judge
from churnsurv.evaluation.measures import Metric, read_censoring, read_metrics
from churnsurv.evaluation.records import Evaluation
from churnsurv.evaluation.splitting import Parts, read_splits, warn_of_later
from churnsurv.evaluation.trials import Asked, Rows, Trial, cut_arguments, run_trials, seeded
from churnsurv.exceptions import DataError
from churnsurv.messages import confidence_level, counted, numeric_column
from churnsurv.nonparametric import CensoringModel
from churnsurv.outcome import Outcome
from churnsurv.rows import as_outcome, refuse_recurrent, row_labels

Floats = NDArray[np.float64]


class Sample(NamedTuple):
    """All rows, and what is asked of them."""

    rows: Rows
    asked: Asked
    metrics: list[Metric]
    random_state: int | None
    level: float
    censoring: CensoringModel | None = None


def cross_validate(
    model: Any,
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    *,
    cv: Any = 5,
    groups: RowArgument = None,
    horizons: float | ArrayLike | None = None,
    metrics: Sequence[Any] | str | None = None,
    cause: str | Sequence[str] | None = None,
    sample_weight: RowArgument = None,
    fit_params: Mapping[str, Any] | None = None,
    dates: ArrayLike | None = None,
    censoring: CensoringModel | None = None,
    n_jobs: int | None = None,
    random_state: int | None = 0,
    progress: bool = False,
    level: float = 0.95,
) -> Evaluation:
    """Estimate how well a model predicts customers that it was not fitted to.

    The estimand is the average, over the folds, of how the fold's fitted model does among all such customers: estimates and
    intervals are conditional on the fitted models, so they do not tell how another sample would have changed the fits, nor
    exactly how the model fitted to all rows does (it has seen more, and is on average a little better; Bates, Hastie and
    Tibshirani 2024). They assume that customers are independent and that censoring does not depend on the risk.

    Parameters
    ----------
    model : estimator
        Anything with ``fit(X, y)``, ``predict`` and ``predict_curves`` as the models here have them, or a pipeline or search
        that ends in one. It is cloned for each fold.
    X : frame or array (n, p)
    y : Outcome or scikit-survival's structured array, n rows
    cv : int, splitter of scikit-learn, or iterable of pairs of positions
        A number: so many folds of whole customers with about the same events (:class:`churnsurv.data.CustomerKFold`).
    groups : array of n, or name of a column of X, optional
        Customers: they are on one side of a split, and the independent units of the standard errors. Default: the subjects of
        `y`.
    horizons : number or increasing numbers, optional
        Times by which probabilities of leaving are judged, on the scale of ``y.stop``.
    metrics : names or functions, optional
        ``"concordance"`` (Harrell's, entry-adjusted, cause-specific, of what ``predict`` gives, over all follow-up), ``"uno"``
        (Uno's, up to each horizon), and of the probabilities of having left by each horizon ``"auc"``, ``"brier"``,
        ``"integrated_brier"`` (from the first to the last horizon), ``"ipa"`` (1 − Brier score over that of the held-out rows'
        own Aalen–Johansen estimate), ``"observed_expected"`` and ``"calibration_slope"``; as in :mod:`churnsurv.metrics`.
        Default: the concordance, and with horizons on a landmark cohort all those but Uno's and the integrated one.
        A function is called with ``(y, risk, cause=, horizon=, sample_weight=)`` of the held-out rows and gives a number
        (no interval), or a number and the influence of each row on it, (n,).
    cause : str or several, optional
        Default: the model's own cause, else all.
    sample_weight : array of n, or name of a column of X, optional
        Case weights, in the fits and the metrics.
    fit_params : mapping, optional
        More arguments of ``fit``, such as ``{"strata": "vintage"}``: names of columns of X, or arrays of n. An array is not
        passed to the predictions; a column is remembered.
    dates : array of n, optional
        When each row was known: folds whose development reaches into their test's time are warned of.
    censoring : CensoringModel, optional
        Unfitted, e.g. ``CensoringModel(CoxPH("tenure"))``: how the chance of not being censored depends on covariates. It is
        fitted anew to the held-out rows of each fold with their X (without it: no covariates, Kaplan–Meier), and weights Uno's
        C, AUC, Brier scores and IPA; the standard errors take it as known. Observed/expected and the calibration slope, from
        Aalen–Johansen, and functions of your own do not use it.
    n_jobs : int, optional
        Processes, of any joblib backend (``joblib.parallel_config``). The answer does not depend on it.
    random_state : int, optional
        Seed of the folds, and of the models whose own seed is left open.
    progress : bool
        Show a bar.
    level : float
        Confidence level.

    Returns
    -------
    Evaluation
        ``table`` of pooled estimates, ``folds``, ``predictions_``. A pooled estimate is the folds' own, weighted by their
        events of the cause (concordances, AUC) or by their rows; its variance comes from the influence of the held-out
        customers. Intervals: concordances on the logit scale, observed/expected on the log scale, others plain.

    Raises
    ------
    DataError
        A fit that fails (the message names the fold), unknown metrics, no usable prediction at all.
    NotIdentifiedError
        A metric of a landmark cohort asked of rows that enter late.

    Warns
    -----
    LeakageWarning
        Customers on both sides, development rows later than the test, a concordance or AUC above 0.97.

    References
    ----------
    LeDell, Petersen, van der Laan (2015) Electron. J. Stat. 9:1583. Bates, Hastie, Tibshirani (2024) JASA 119:1434.

    Examples
    --------
    >>> import churnsurv as cs, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"rate_incentive": rng.normal(size=400)})
    >>> y = cs.Outcome(np.ceil(rng.exponential(20 * np.exp(-X["rate_incentive"]))), np.ones(400, int))
    >>> found = cs.evaluation.cross_validate(cs.CoxPH(), X, y, horizons=[12], metrics=["concordance", "brier"])
    >>> found.table[["metric", "folds", "n"]].values.tolist()
    [['concordance', 5, 400], ['brier', 5, 400]]
    """
    own = own_cause(model)
    sample = read_sample(
        X, y, groups, horizons, metrics, own if cause is None else cause, sample_weight, random_state, level, censoring
    )
    name = type(_last(model)).__name__
    parts = read_splits(cv, sample.rows.X, sample.rows.y, sample.rows.unit, random_state)
    warn_of_later(parts, dates, len(sample.rows.y))
    return by_folds({name: model}, sample, parts, {name: fit_params or {}}, None, frozenset(), n_jobs, progress)


def by_folds(
    models: Mapping[str, Any],
    sample: Sample,
    parts: Parts,
    fit_params: Mapping[str, Mapping[str, Any]],
    reference: str | None,
    may_fail: frozenset[str],
    n_jobs: int | None,
    progress: bool,
) -> Evaluation:
    """Fit the models on the same folds and judge them."""
    estimators = {name: seeded(model, sample.random_state) for name, model in models.items()}
    tests = tuple(_some(sample.rows, test) for _, test in parts)

    def trials() -> Iterator[Trial]:
        for number, ((train, _), test) in enumerate(zip(parts, tests, strict=True), start=1):
            for name, estimator in estimators.items():
                arguments = cut_arguments(fit_params.get(name), train, len(sample.rows.y))
                fold = f"Fold {number} of {len(parts)}"
                yield Trial(name, fold, estimator, arguments, _some(sample.rows, train), test)

    n = len(parts) * len(models)
    found = run_trials(trials(), n, sample.asked, n_jobs=n_jobs, progress=progress, report=may_fail)
    n_customers = len(np.unique(np.concatenate([test.unit for test in tests])))
    rows = tuple(test for _, test in parts)
    return judge(
        Setting(
            models=tuple(models),
            labels=tuple(range(1, len(parts) + 1)),
            tests=tests,
            rows=rows,
            repeats=len(np.concatenate(rows)) / len(np.unique(np.concatenate(rows))),
            metrics=sample.metrics,
            asked=sample.asked,
            reference=reference,
            level=sample.level,
            censoring=sample.censoring,
            method=f"Out of fold, {counted(len(parts), 'fold')}: the folds' estimates, weighted; standard errors by the "
            f"influence of {counted(n_customers, 'held-out customer')}, the fitted models taken as given.",
        ),
        found,
        stacklevel=5,
    )


def read_sample(
    X: pd.DataFrame | ArrayLike,
    y: Outcome | NDArray[Any],
    groups: RowArgument,
    horizons: float | ArrayLike | None,
    metrics: Any,
    cause: str | Sequence[str] | None,
    sample_weight: RowArgument,
    random_state: int | None,
    level: float,
    censoring: CensoringModel | None = None,
) -> Sample:
    """Read the arguments that all evaluations of rows share."""
    frame, outcome = feature_frame(X), as_outcome(y)
    check_rows(frame, outcome)
    refuse_recurrent(outcome, "An evaluation")
    customer = resolved(groups, frame)
    unit = row_labels(outcome.subject if customer is None else customer, len(outcome), "groups")[0]
    weight = weights_argument(sample_weight, frame)
    named = {*columns_named(groups, frame), *columns_named(sample_weight, frame)}
    times = read_horizons(horizons)
    measures = read_metrics(metrics, outcome, times)
    return Sample(
        Rows(frame.drop(columns=list(named)), outcome, weight, unit),
        Asked(read_causes(cause, outcome), times, by_risk=False),
        measures,
        read_seed(random_state),
        confidence_level(level),
        read_censoring(censoring, measures),
    )


def read_horizons(horizons: float | ArrayLike | None) -> Floats:
    """Give increasing positive horizons; none as an empty array."""
    if horizons is None:
        return np.empty(0)
    asked = np.atleast_1d(np.asarray(horizons))
    if asked.ndim > 1 or asked.dtype == bool:
        raise DataError(f"horizons={horizons!r}: give a number, or a list of numbers.")
    times = numeric_column(asked, "horizons")
    if not len(times) or not np.all(np.isfinite(times)) or times[0] <= 0 or np.any(np.diff(times) <= 0):
        raise DataError(f"horizons={horizons!r}: give positive numbers that increase, on the scale of `stop`.")
    return times


def read_causes(cause: str | Sequence[str] | None, y: Outcome) -> tuple[str, ...]:
    """Give the causes to be judged; default all."""
    if not isinstance(cause, str | Iterable | None):
        raise DataError(f"cause={cause!r}: give one of {list(y.causes)}, or several.")
    causes = y.causes if cause is None else (cause,) if isinstance(cause, str) else tuple(cause)
    if not causes or len(set(causes)) < len(causes):
        raise DataError(f"cause={cause!r}: name at least one of {list(y.causes)}, and each once.")
    for each in causes:
        y.cause_code(each)
    return tuple(causes)


def read_seed(random_state: Any) -> int | None:
    """Refuse seeds that are no whole number of 0 or more."""
    if random_state is None:
        return None
    if isinstance(random_state, bool) or not isinstance(random_state, int | np.integer) or random_state < 0:
        raise DataError(f"random_state={random_state!r}: give a whole number of 0 or more, or None.")
    return int(random_state)


def own_cause(model: Any) -> str | None:
    """Give the one cause that a model is of; None: all, or the only one."""
    return getattr(_last(model), "cause", None)


def _last(model: Any) -> Any:
    if hasattr(model, "steps"):
        return _last(model.steps[-1][1])
    # a search
    return _last(model.estimator) if hasattr(model, "estimator") and hasattr(model, "cv") else model


def _some(rows: Rows, at: NDArray[np.int64]) -> Rows:
    weight = None if rows.weight is None else rows.weight[at]
    return Rows(rows.X.iloc[at], rows.y[at], weight, rows.unit[at])
