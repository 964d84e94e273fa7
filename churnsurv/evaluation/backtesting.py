"""Out-of-time evaluation: models fitted to what was known at a date, judged by what the loans open then did afterwards."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.data.calendar_splits import Origin, out_of_time
from churnsurv.data.landmark import Cohort
from churnsurv.data.periods import last_complete_period, period_starts
from churnsurv.data.spells import Spells
from churnsurv.evaluation.comparison import NULL, read_fit_params, read_models
from churnsurv.evaluation.cross_validation import read_causes, read_horizons, read_seed
from churnsurv.evaluation.judging import Setting, judge
from churnsurv.evaluation.measures import read_censoring, read_metrics
from churnsurv.evaluation.records import Evaluation
from churnsurv.evaluation.trials import Asked, Rows, Trial, run_trials, seeded
from churnsurv.exceptions import DataError, LeakageWarning
from churnsurv.messages import confidence_level, counted, first_of
from churnsurv.nonparametric import CensoringModel

#: covariate that models of cohorts have besides: the loan's age at the landmark
AGE = "age"

Columns = Sequence[str] | Mapping[str, Sequence[str]] | None


class _Cut(NamedTuple):
    """One date: what was known then, and the loans judged."""

    date: pd.Timestamp
    development: Spells
    cohort: Cohort
    unit: NDArray[np.int64]
    rows: NDArray[np.int64]  #: positions in the whole cohort of the date
    n_older: int  #: loans left out


def backtest(
    models: Mapping[str, Any],
    spells: Spells,
    dates: Any,
    *,
    horizon: float | ArrayLike,
    train: str | Mapping[str, str] = "spells",
    features: Columns = None,
    landmarks: int = 1,
    reference: str | None = None,
    null: bool = True,
    metrics: Sequence[Any] | str | None = None,
    cause: str | Sequence[str] | None = None,
    fit_params: Mapping[str, Mapping[str, Any]] | None = None,
    keep: Sequence[str] = (),
    censoring: CensoringModel | None = None,
    n_jobs: int | None = None,
    random_state: int | None = 0,
    progress: bool = False,
    level: float = 0.95,
) -> Evaluation:
    """Judge models out of time: fitted to what was known at a date, by what became of the loans open then.

    The held-out rows are the landmark cohort at the date, followed for the (last) horizon. All models are judged on it,
    whatever scale they were fitted on: those of the age scale predict for each loan from its age at the date, those of the
    time since a landmark from 0. Where some are of the age scale, loans that would reach an age within the horizon that no
    loan of the development had reached are left out for all models: nothing is known of that age (``method`` has their
    number). Customers are ranked by their probability of leaving by the last horizon, as loans of different ages cannot be
    ranked by a linear predictor. Several dates are pooled, each with the models fitted anew (rolling origin).

    Loans of one customer, and a loan at several dates, are one unit of the standard errors, which take the fitted models as
    given. Customers are in the development too, as they are when a model is used: what is new is the time.

    Parameters
    ----------
    models : mapping of name to estimator
        As for :func:`compare`.
    spells : Spells
        :meth:`Spells.complete` ones for models that take no missing values.
    dates : date or several, or origins of :func:`churnsurv.data.rolling_origin`
        When the models are fitted.
    horizon : whole number of periods, or increasing numbers
        By which the predictions are judged.
    train : {"spells", "cohort"}, or mapping of model name to these
        ``"spells"``: all spells until the date, on the loans' age, with delayed entry (Cox, forest). ``"cohort"``: the landmark
        cohort one (last) horizon before the date, whose outcome was known at the date, on the time since its landmark: for
        models that take right-censored data only. The null model is always fitted to a cohort.
    features : names of columns, or mapping of model name to them, optional
        Default: the covariates of the rules, and for cohorts ``"age"`` as well. Columns kept by the rules and ``"vintage"`` may
        be named; columns that `fit_params` name are added.
    landmarks : int
        Number of earlier cohorts, each a horizon before the next, that ``"cohort"`` models are fitted to together.
    fit_params : mapping of model name to mapping, optional
        More arguments of each model's ``fit``: names of columns, such as ``{"cox": {"strata": "vintage"}}``. A stratum that the
        development does not hold has no baseline hazard: its loans cannot be predicted, and the model is reported as failing.
    keep : names of models
        Give them back as they were fitted at each date, in ``models_``.
    censoring : CensoringModel, optional
        As for :func:`cross_validate`; its covariates are all columns that any of the models is given.
    reference, null, metrics, cause, n_jobs, random_state, progress, level
        As for :func:`compare`.

    Returns
    -------
    Evaluation
        ``folds`` has the dates, ``table`` and ``differences`` pool them.

    Raises
    ------
    DataError
        A date without the horizon observed after it, or for cohorts before it; columns that the spells do not have.

    Warns
    -----
    LeakageWarning
        Origins whose development reaches beyond their date; a concordance or AUC above 0.97.

    References
    ----------
    van Houwelingen (2007) Scand. J. Stat. 34:70 (landmark models).

    Examples
    --------
    >>> import churnsurv as cs
    >>> portfolio = cs.data.load_example()
    >>> spells = cs.data.build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)
    >>> found = cs.evaluation.backtest(
    ...     {"cox": cs.CauseSpecificCox("rate_incentive + credit_score")}, spells.complete(), "2025-09-30", horizon=6,
    ...     features=["rate_incentive", "credit_score"], cause="attrition", metrics=["auc"],
    ... )
    >>> found.table["model"].tolist()
    ['cox', 'null']
    """
    chosen, reference = read_models(models, reference, null)
    params = read_fit_params(fit_params, chosen)
    times, level, seed = read_horizons(horizon), confidence_level(level), read_seed(random_state)
    if not len(times) or np.any(times != np.round(times)):
        raise DataError(f"horizon={horizon!r}: give a whole number of periods, or several that increase.")
    how = _how(train, chosen)
    _check_features(features, chosen)
    cuts = _cuts(spells, dates, int(times[-1]), on_age="spells" in how.values())
    unknown = [name for name in keep if name not in chosen]
    if unknown:
        raise DataError(f"keep={unknown!r} is none of the models {list(chosen)}.")
    asked = Asked(read_causes(cause, cuts[0].cohort.y), times, by_risk=True, keep=frozenset(keep))
    chosen_metrics = read_metrics(metrics, cuts[0].cohort.y, times)
    estimators = {name: seeded(model, seed) for name, model in chosen.items()}
    censoring = read_censoring(censoring, chosen_metrics)
    columns = {name: _columns(features, name, how[name], params.get(name, {}), spells) for name in chosen}

    def trials() -> Iterator[Trial]:
        for cut in cuts:
            earlier = _earlier(cut, int(times[-1]), landmarks) if "cohort" in how.values() else None
            for name, estimator in estimators.items():
                development = cut.development if how[name] == "spells" else earlier
                assert development is not None
                age = cut.cohort.frame[AGE].to_numpy(dtype=np.float64) if how[name] == "spells" else None
                test = _rows(cut.cohort, columns[name], cut.unit, age)
                known = _rows(development, columns[name], np.zeros(len(development), dtype=np.int64), None)
                yield Trial(name, f"Date {cut.date.date()}", estimator, params.get(name, {}), known, test)

    seen = [] if censoring is None else list(dict.fromkeys(c for each in columns.values() for c in each))
    may_fail = frozenset(chosen) - {reference, NULL}
    n = len(cuts) * len(chosen)
    found = run_trials(trials(), n, asked, n_jobs=n_jobs, progress=progress, report=may_fail)
    n_customers = 1 + max(int(cut.unit.max()) for cut in cuts)
    n_older = sum(cut.n_older for cut in cuts)
    older = f" (without {counted(n_older, 'loan')} older than any in the development)" if n_older else ""
    words = f"the loans open on {first_of([str(cut.date.date()) for cut in cuts], 12)}"
    return judge(
        Setting(
            models=tuple(chosen),
            labels=tuple(cut.date for cut in cuts),
            tests=tuple(_rows(cut.cohort, seen, cut.unit, None) for cut in cuts),
            rows=tuple(cut.rows for cut in cuts),
            repeats=1.0,
            metrics=chosen_metrics,
            asked=asked,
            reference=reference,
            level=level,
            censoring=censoring,
            method=f"Out of time: {words}{older}, followed for {counted(int(times[-1]), spells.rules.period)}; standard errors "
            f"by the influence of {counted(n_customers, 'customer')}, the fitted models taken as given.",
        ),
        found,
        stacklevel=4,
    )


def _how(train: str | Mapping[str, str], models: Mapping[str, Any]) -> dict[str, str]:
    if not isinstance(train, str | Mapping):
        raise DataError(f"train={train!r}: give 'spells' or 'cohort', or one of them by name of the model.")
    given = dict.fromkeys(models, train) if isinstance(train, str) else {str(k): v for k, v in train.items()}
    unknown = [name for name in given if name not in models]
    wrong = [value for value in given.values() if value not in ("spells", "cohort")]
    if unknown or wrong:
        raise DataError(
            f"train={train!r}: give 'spells' or 'cohort', or one of them for some of the models {list(models)}."
        )
    how = dict.fromkeys(models, "spells") | given
    return how | ({NULL: "cohort"} if NULL in models else {})


def _cuts(spells: Spells, dates: Any, horizon: int, on_age: bool) -> list[_Cut]:
    """Give the cuts, with customers coded over all of them."""
    given = [dates] if isinstance(dates, str) or not isinstance(dates, Iterable) else list(dates)
    if not given:
        raise DataError("dates is empty: give at least one.")
    origins = []
    for each in given:
        if isinstance(each, Origin):
            _warn_of_lookahead(each)
            origins.append(each)
        else:
            development, cohort = out_of_time(spells, each, horizon=horizon)
            origins.append(Origin(pd.Timestamp(str(cohort.date)), development, cohort))
    if len({origin.date for origin in origins}) < len(origins):
        raise DataError(f"dates name one period twice: {first_of([str(o.date.date()) for o in origins], 12)}.")
    kept = [_known_ages(origin, horizon) if on_age else np.arange(len(origin.cohort)) for origin in origins]
    of_loans = [origin.cohort.groups[rows] for origin, rows in zip(origins, kept, strict=True)]
    codes = pd.factorize(np.concatenate(of_loans))[0].astype(np.int64)
    cuts, begin = [], 0
    for (date, development, whole), rows in zip(origins, kept, strict=True):
        cohort = replace(whole, frame=whole.frame.iloc[rows].reset_index(drop=True))
        unit = codes[begin : begin + len(rows)]
        cuts.append(_Cut(date, development, cohort, unit, rows, len(whole) - len(rows)))
        begin += len(rows)
    return cuts


def _known_ages(origin: Origin, horizon: int) -> NDArray[np.int64]:
    """Give the positions of the loans that stay within the ages of the development until the horizon."""
    oldest = origin.development.frame["stop"].max()
    rows = np.flatnonzero(origin.cohort.frame[AGE].to_numpy() + horizon <= oldest)
    if not len(rows):
        raise DataError(
            f"No loan open on {origin.date.date()} stays within the ages of the development (up to {oldest:g}) for {horizon} "
            "more: give a shorter horizon, a later date, or train='cohort'."
        )
    return rows


def _warn_of_lookahead(origin: Origin) -> None:
    last = origin.development.frame["period"].max()
    if last > origin.date:
        warnings.warn(
            f"The development of {origin.date.date()} holds spells of {last.date()}: it knows what it is judged by.",
            LeakageWarning,
            stacklevel=4,
        )


def _earlier(cut: _Cut, horizon: int, landmarks: int) -> Cohort:
    """Give the cohorts whose outcome over the horizon was known at the date."""
    if isinstance(landmarks, bool) or not isinstance(landmarks, int | np.integer) or landmarks < 1:
        raise DataError(f"landmarks={landmarks!r}: give a whole number, 1 or more.")
    rules = cut.development.rules
    number = last_complete_period(cut.date, rules)
    numbers = np.array([number + 1 - horizon * (1 + k) for k in range(int(landmarks))])
    days = pd.DatetimeIndex(period_starts(numbers, rules)) - pd.Timedelta(days=1)
    try:
        cohort = cut.development.landmark(days[0] if len(days) == 1 else days)
        # a loan not observed afterwards tells nothing of the time since the landmark, and some libraries refuse it
        return replace(cohort, frame=cohort.frame[cohort.frame["stop"] > 0].reset_index(drop=True))
    except DataError as error:
        raise DataError(
            f"A cohort to fit to is needed {counted(horizon * int(landmarks), rules.period)} before {cut.date.date()}: {error}"
        ) from error


def _check_features(features: Columns, models: Mapping[str, Any]) -> None:
    if features is not None and not isinstance(features, Iterable):
        raise DataError(f"features={features!r}: give names of columns, or by name of the model.")
    unknown = [name for name in features if name not in models] if isinstance(features, Mapping) else []
    if unknown:
        raise DataError(f"features name {unknown}, which are none of the models {list(models)}.")


def _columns(features: Columns, model: str, how: str, params: Mapping[str, Any], spells: Spells) -> list[str]:
    given = features.get(model) if isinstance(features, Mapping) else features
    if given is None:
        given = [*spells.rules.covariate_names, *([AGE] if how == "cohort" else [])]
    names = list(given)
    for value in params.values():
        listed = [value] if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else []
        names += [
            name for name in listed if isinstance(name, str) and name in spells.frame.columns and name not in names
        ]
    own = set(spells.frame.columns) | ({AGE} if how == "cohort" else set())
    absent = [name for name in names if name not in own]
    if absent:
        raise DataError(f"The {how} of {model!r} have no column {first_of([repr(a) for a in absent])}.")
    return names


def _rows(sample: Spells | Cohort, columns: Sequence[str], unit: NDArray[np.int64], start: Any) -> Rows:
    return Rows(sample.frame[list(columns)], sample.y, None, unit, start)
