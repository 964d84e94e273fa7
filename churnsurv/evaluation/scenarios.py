"""What a portfolio is expected to do under paths of rates and unemployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandas as pd

from churnsurv.data.config import did_you_mean
from churnsurv.data.landmark import Cohort
from churnsurv.evaluation.scenario_engine import beyond_support, check_model, known_until, refuse_beyond, run
from churnsurv.evaluation.scenario_paths import positive_integer, read_path
from churnsurv.evaluation.scenario_ranges import development_ranges, outside_ranges
from churnsurv.evaluation.scenario_result import ScenarioResult
from churnsurv.evaluation.scenario_rows import Book, external_held, followed_values, read_book
from churnsurv.exceptions import DataError
from churnsurv.messages import confidence_level, counted, first_of

__all__ = ["ScenarioResult", "scenario"]

#: the column that is used where nothing else is said
_AS_IN_COHORT = "as in the cohort"


def scenario(
    model: Any,
    cohort: Cohort,
    paths: Mapping[str, pd.DataFrame],
    *,
    horizon: int,
    balance: str | None = _AS_IN_COHORT,
    term: str | None = _AS_IN_COHORT,
    rate: str | None = _AS_IN_COHORT,
    override: Sequence[str] = (),
    beyond: Literal["raise", "leave out"] = "raise",
    development: pd.DataFrame | Mapping[str, tuple[float, float]] | None = None,
    replicates: Sequence[Any] | None = None,
    level: float = 0.95,
) -> ScenarioResult:
    r"""Predict how many customers and how much balance leave in each period ahead, under paths of external covariates.

    Each loan open at the landmark goes through the periods ahead at its age, with the hazards of all causes, until it leaves,
    matures or the horizon ends: with cause-specific hazards along the path, the expected number that leave by cause k in
    period m is :math:`\sum_i F_{ik}(m) - F_{ik}(m-1)` (Aalen–Johansen of the predicted hazards). New loans are not part of it.

    External covariates (columns of the macro table, or of kind M or X in :func:`churnsurv.data.covariates`) follow the path
    at the lags of the rules; rate incentive, burnout and season are made along it as in :func:`churnsurv.data.build_spells`.
    **All other covariates are frozen at the landmark**, see ``frozen`` of the result: what becomes of a customer's score or
    arrears under the path is not predicted, so that a recession acts through the path alone.

    Parameters
    ----------
    model : CauseSpecificCox, CoxPH of one cause, or any fitted model with ``predict_path`` and ``causes_``
        Fitted to spells on loan age, so that its covariates may vary.
    cohort : Cohort
        Of one landmark, without missing covariates (:meth:`churnsurv.data.Spells.landmark`): loan, customer, age and
        covariates as known then.
    paths : mapping of scenario to DataFrame
        Periods (the rules' column), the region if the series differ by it, and series as in the macro table: values of the
        period, the lag is applied here. The first scenario is the base. :func:`shock_paths` makes the standard ones.
    horizon : int
        Periods ahead.
    balance, term, rate : str or None
        Columns of ``cohort.frame``: balance at the landmark, scheduled number of periods, contractual rate in % a year. By
        default "balance", the rules' term and the rules' own rate, if the cohort has them. With term and rate the balance
        follows level payments, else it stays; at the term exposure ends. None: not used.
    override : sequence of str
        Internal covariates that a path may move nevertheless, being set from outside in this scenario.
    beyond : {"raise", "leave out"}
        Loans that would grow older within the horizon than anybody in development, so that no hazard is known for them: an
        error, or they are left out and counted in the notes.
    development : DataFrame or mapping of covariate to (lowest, highest), optional
        The covariates the model was fitted to, or their ranges: loan-periods outside are counted by covariate and scenario.
    replicates : sequence of fitted models, optional
        Refits of the model on resampled customers, from which intervals are taken. Cox models need none; others have no
        intervals of the mean without them.
    level : float
        Confidence level.

    Returns
    -------
    ScenarioResult

    Raises
    ------
    NotIdentifiedError
        A Fine–Gray model, a model of one of several causes, or one without paths; a path that moves an internal covariate; a
        loan that would grow older than anybody in development.
    DataError
        Missing covariates or balances, a path that lacks a period or region, a series that is no covariate.

    Notes
    -----
    Variance: by the delta method through all coefficients and all increments of the baselines (Cheng, Fine & Wei 1998; Ozenne
    et al. 2017), in the variance of the fit (robust after a fit with ``cluster``); of differences to the base with the
    covariance of the two. The path is taken as known, the model as right. Loans of one customer are independent given their
    covariates; a customer counts for a cause in the period in which the first of his loans leaves by it.

    Examples
    --------
    >>> import churnsurv as cs, pandas as pd
    >>> portfolio = cs.data.simulate(400, seed=1)
    >>> spells = cs.data.build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)
    >>> spells = spells.complete()
    >>> model = cs.CauseSpecificCox("rate_incentive + unemployment_rate").fit(spells.X, spells.y)
    >>> cohort = spells.landmark("2026-03-31").complete()
    >>> paths = cs.evaluation.shock_paths(portfolio.macro, portfolio.rules, date=cohort.date, horizon=6)
    >>> found = cs.evaluation.scenario(model, cohort, paths, horizon=6)
    >>> found.followed, found.frozen
    (('unemployment_rate', 'rate_incentive'), ())
    """
    level, horizon, causes = confidence_level(level), positive_integer(horizon, "horizon"), check_model(model)
    if not isinstance(paths, Mapping) or not paths:
        raise DataError("paths: give a mapping of scenario to DataFrame, the base first, as of shock_paths.")
    features = _features(model, cohort)
    columns = _columns(cohort, {"balance": balance, "term": term, "rate": rate})
    book, notes = read_book(cohort, features, horizon, **columns)
    book = _within_support(model, book, beyond, notes)
    ranges = development_ranges(development, features)
    override = [override] if isinstance(override, str) else list(override)
    unknown = [name for name in override if name not in features]
    if unknown:
        raise DataError(
            f"override names {unknown[0]!r}, which is no covariate of the model. {did_you_mean(unknown[0], features)}"
        )
    if replicates is not None and (not isinstance(replicates, Sequence) or len(replicates) < 2):
        raise DataError("replicates: give at least two refits, better a hundred or more.")
    read = {str(name): read_path(frame, str(name), cohort.rules, features, override) for name, frame in paths.items()}
    runs, outside, followed = {}, [], []
    for name, path in read.items():
        values = followed_values(book, path, features, name)
        runs[name] = run(model, book, values, replicates)
        outside.append(outside_ranges(book, values, ranges, name))
        followed += [covariate for covariate in values if covariate not in followed]
    frozen = [name for name in features if name not in followed]
    held = external_held(frozen, followed, cohort.rules)
    if held:
        notes.append(f"External but on no path, held at the landmark: {first_of(held, 30)}.")
    return ScenarioResult(
        causes=tuple(causes),
        runs=runs,
        date=pd.Timestamp(str(cohort.date)),
        unit=cohort.rules.period,
        n_loans=len(book),
        n_customers=int(book.customer[-1]) + 1,
        followed=tuple(followed),
        frozen=tuple(frozen),
        extrapolation=pd.concat(outside, ignore_index=True),
        notes=tuple(notes),
        level=level,
    )


def _within_support(model: Any, book: Book, beyond: str, notes: list[str]) -> Book:
    """Refuse or leave out loans of ages that nobody reached in development."""
    if beyond not in ("raise", "leave out"):
        raise DataError(f"beyond={beyond!r} is not known: give 'raise' or 'leave out'.")
    last = known_until(model, book)
    outside = beyond_support(last, book.end)
    if not outside.any():
        return book
    if beyond == "raise" or outside.all():
        refuse_beyond(outside, book.end, last)
    notes.append(f"{counted(int(outside.sum()), 'loan')} left out that would grow older than anybody in development.")
    return book.kept(~outside)


def _features(model: Any, cohort: Cohort) -> list[str]:
    """Give the columns that the model's formula or its row arguments use."""
    if not isinstance(cohort, Cohort):
        raise DataError("cohort: give the landmark cohort of one date, as of Spells.landmark(date).")
    parts = list(getattr(model, "models_", {"": model}).values())
    names = [str(name) for name in model.feature_names_in_]
    used = [getattr(getattr(part, "encoder_", None), "columns_", None) for part in parts]
    if any(columns is None for columns in used):
        return names
    rest = [c for part in parts for role in ("strata", "offset") for c in part.argument_columns_.get(role, [])]
    wanted = {column for columns in used if columns is not None for column in columns} | set(rest)
    return [name for name in names if name in wanted]


def _columns(
    cohort: Cohort, given: dict[str, str | None]
) -> dict[Literal["balance", "term", "rate"] | str, str | None]:
    """Fill in the columns that the rules or the usual name stand for, where the cohort has them."""
    rules = cohort.rules
    usual = {
        "balance": "balance", "term": rules.term, "rate": rules.rate_incentive.own if rules.rate_incentive else None
    }  # fmt: skip
    return {
        key: (usual[key] if usual[key] in cohort.frame.columns else None) if value == _AS_IN_COHORT else value
        for key, value in given.items()
    }
