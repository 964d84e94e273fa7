"""The out-of-time trial that the sections on prediction share: champion and challengers, fitted once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data import Cohort, Spells
from churnsurv.data.calendar_splits import Origin, out_of_time
from churnsurv.data.periods import last_complete_period, period_starts
from churnsurv.estimators.cause_specific import CauseSpecificCox
from churnsurv.evaluation import Evaluation, backtest
from churnsurv.exceptions import ConfigError
from churnsurv.outcome import Outcome
from churnsurv.report.analysis import Analysis, named
from churnsurv.report.disclosure import told, told_of_cause
from churnsurv.report.estimates import records
from churnsurv.report.exit_counts import DEVELOPMENT
from churnsurv.report.peers import peer
from churnsurv.report.settings import Evaluation as EvaluationSettings
from churnsurv.report.words import listed, periods

#: names of models in results and keys
CHAMPION, FOREST, MONTHLY, FINE_GRAY, NULL = "Cox", "Forest", "Monthly hazards", "Fine\u2013Gray", "null"
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trial:
    """Champion and challengers at the development date, and what became of the loans open then.

    Attributes
    ----------
    found : Evaluation
        Measures of all models on the same loans, the champion as reference.
    champion : CauseSpecificCox
        As fitted to what was known at the date.
    development, cohort
        What the champion was fitted to, and the loans judged (complete, of ages that the development knows).
    causes : tuple of str
        Main and safety cause, as far as enough exits are to be seen; `events` has the exits within the horizon.
    """

    found: Evaluation
    champion: CauseSpecificCox
    development: Spells
    cohort: Cohort
    date: pd.Timestamp
    horizon: int
    causes: tuple[str, ...]
    skipped: tuple[str, ...]
    events: dict[str, int]
    covariates: tuple[str, ...]
    constant: tuple[str, ...]
    fitted_on: dict[str, str]
    n_open: int
    n_incomplete: int
    left_out: int
    n_sampled: int | None

    @property
    def X(self) -> pd.DataFrame:  # noqa: N802
        """Covariates of the loans judged."""
        return self.cohort.frame[list(self.covariates)]

    @property
    def age(self) -> Floats:
        """Ages of the loans at the date."""
        return self.cohort.frame["age"].to_numpy(dtype=np.float64)

    def risk(self, cause: str, horizon: int | None = None, model: str = CHAMPION) -> Floats:
        """Give the predicted probabilities of the loans judged, (n,)."""
        table = self.found.predictions_
        rows = table[(table["model"] == model) & (table["cause"] == cause)]
        return np.asarray(rows[f"risk_{self.horizon if horizon is None else horizon}"], dtype=np.float64)

    def row(self, metric: str, cause: str, model: str = CHAMPION, horizon: int | None = None) -> dict[str, Any]:
        """Give an estimate as a row of the table of the evaluation."""
        table = self.found.table
        rows = table[(table["metric"] == metric) & (table["cause"] == cause) & (table["model"] == model)]
        if rows["horizon"].notna().any():
            rows = rows[rows["horizon"] == (self.horizon if horizon is None else horizon)]
        return records(rows)[0]


def evaluated(analysis: Analysis) -> tuple[Spells, int | None]:
    """Give the spells that are evaluated: all, or those of a random sample of customers, and then the number of loans."""
    settings = analysis.config.evaluation
    assert settings is not None
    sampled = sample_of(analysis.spells, settings.most_loans, settings.forest.seed)
    return (analysis.spells, None) if sampled is None else (sampled, sampled.frame["loan_id"].nunique())


def sample_of(spells: Spells, most: int, seed: int) -> Spells | None:
    """Give the spells of a random sample of customers with about `most` loans; None if there are no more loans than that."""
    n = spells.frame["loan_id"].nunique()
    if n <= most:
        return None
    customers = np.sort(spells.frame["customer_id"].unique())
    share = max(1, int(len(customers) * most / n))
    return spells.of_customers(np.random.default_rng(seed).choice(customers, share, replace=False))


def run_trial(analysis: Analysis) -> Trial:
    """Fit on the past, predict for the loans open at the development date, and judge."""
    settings = analysis.config.evaluation
    assert settings is not None
    with named("[evaluation]"):
        return _trial(analysis, settings)


def _trial(analysis: Analysis, settings: EvaluationSettings) -> Trial:
    config, horizon = analysis.config, settings.horizon
    date = checked_date(analysis, settings)
    spells, n_sampled = evaluated(analysis)
    development, cohort = out_of_time(spells.complete(), date, horizon=horizon)
    everybody = len(spells.landmark(date))
    covariates, constant = _covariates(analysis, development, date)
    n_open = len(cohort)
    kept = (cohort.frame["age"] + horizon <= development.frame["stop"].max()).to_numpy()
    judged = Cohort(cohort.frame[kept].reset_index(drop=True), cohort.rules, cohort.date)
    asked = [cause for cause in (config.main_cause, config.safety_cause) if cause is not None]
    events = {cause: _events_by(judged.y, cause, horizon) for cause in asked}
    causes = tuple(cause for cause in asked if events[cause] >= max(2, config.smallest_cell))
    if not causes:
        raise ConfigError(
            f"Too few exits by {listed(asked)} within {periods(horizon, config.unit)} of {date.date()} to measure a "
            "prediction: choose an earlier development_until or a longer horizon."
        )
    models, train = models_of(analysis, covariates)
    features = {name: [*covariates, *(["age"] if name in train else [])] for name in (*models, NULL)}
    found = backtest(
        models,
        spells,
        [Origin(date, development, cohort)],
        horizon=list(settings.steps),
        train=train,
        features=features,
        reference=CHAMPION,
        metrics=["concordance", "uno", "auc", "brier", "ipa", "observed_expected", "calibration_slope"],
        cause=list(causes),
        keep=[CHAMPION],
        random_state=settings.forest.seed,
        level=config.level,
    )
    return Trial(
        found=found,
        champion=found.models_[CHAMPION, date],
        development=development,
        cohort=judged,
        date=date,
        horizon=horizon,
        causes=causes,
        skipped=tuple(cause for cause in asked if cause not in causes),
        events=events,
        covariates=tuple(covariates),
        constant=constant,
        fitted_on=_fitted_on(analysis, development, date, bool(train)),
        n_open=everybody,
        n_incomplete=everybody - n_open,
        left_out=int((~kept).sum()),
        n_sampled=n_sampled,
    )


def _covariates(analysis: Analysis, development: Spells, date: pd.Timestamp) -> tuple[list[str], tuple[str, ...]]:
    """Give the covariates that varied by the date, and the others: what nobody had, such as a later offer, cannot be learnt."""
    constant = tuple(name for name in analysis.covariates if not _varies(development, name))
    formula = analysis.config.model.formula
    in_formula = [name for name in constant if formula and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", formula)]
    if in_formula:
        raise ConfigError(
            f"[model] formula uses {in_formula[0]!r}, which is the same for every loan before {date.date()}: its coefficient "
            "cannot be estimated then. Leave it out of the formula, or choose a later development_until."
        )
    return [name for name in analysis.covariates if name not in constant], constant


def _varies(spells: Spells, name: str) -> bool:
    values = spells.frame[name].to_numpy()
    return bool((values != values[0]).any())


def champion_of(analysis: Analysis) -> CauseSpecificCox:
    """Give the champion, not fitted, without strata: the baseline of a stratum ends where its development data end."""
    return CauseSpecificCox(analysis.config.model.formula, ties=analysis.config.model.ties)


def models_of(analysis: Analysis, covariates: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Give champion and challengers by name, and which of these are fitted to a landmark cohort."""
    # numba and other libraries are loaded only when a model needs them
    from churnsurv.estimators.adapters import adapt
    from churnsurv.estimators.discrete import DiscreteHazard
    from churnsurv.estimators.fine_gray import FineGray

    config, chosen = analysis.config, analysis.config.challengers
    formula = config.model.formula
    with_age = None if formula is None else f"{formula} + age"
    models: dict[str, Any] = {CHAMPION: champion_of(analysis), MONTHLY: DiscreteHazard(formula)}
    of_cohorts: dict[str, Any] = {}
    if chosen.forest:
        from churnsurv.estimators.forest import RandomSurvivalForest

        assert config.evaluation is not None
        trees = config.evaluation.forest
        of_cohorts[FOREST] = RandomSurvivalForest(
            trees.n_estimators, min_samples_leaf=trees.min_samples_leaf, random_state=trees.seed
        )
    if chosen.fine_gray:
        of_cohorts[FINE_GRAY] = FineGray(config.main_cause, formula=with_age)
    for name, parameters in chosen.peers.items():
        of_cohorts[name] = adapt(peer(name, parameters), per_cause=True, formula=with_age)
    return models | of_cohorts, dict.fromkeys(of_cohorts, "cohort")


def _fitted_on(analysis: Analysis, development: Spells, date: pd.Timestamp, cohorts: bool) -> dict[str, str]:
    """Say on how many loans and exits the models of each kind were fitted."""
    smallest, settings = analysis.config.smallest_cell, analysis.config.evaluation
    assert settings is not None
    exits = [told_of_cause(analysis.exits.of_model(c, DEVELOPMENT), c) for c in analysis.config.spells.cause_names]
    loans = told(development.frame["loan_id"].nunique(), "loan", smallest)
    words = {"spells": f"{loans}, with exits: {listed(exits)}"}
    if cohorts:
        months = settings.horizon * (1 if analysis.config.unit == "month" else 3)
        earlier = development.landmark(date - pd.DateOffset(months=months) + pd.offsets.MonthEnd(0))
        # their exits are nearly those of the cohort of the same date in the backtest: a few could be told from both
        words["cohort"] = told(len(earlier), "loan", smallest)
    return words


def _events_by(y: Outcome, cause: str, horizon: int) -> int:
    return int(np.count_nonzero((y.event == y.cause_code(cause)) & (y.stop <= horizon)))


def room_for(analysis: Analysis, horizon: int) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Give the first and last date with a horizon (and one period) of data before it and a horizon after it."""
    per = 1 if analysis.config.unit == "month" else 3
    first, last = analysis.spells.frame["period"].min(), analysis.spells.frame["period"].max()
    earliest = first + pd.DateOffset(months=per * (horizon + 1)) - pd.Timedelta(days=1)
    return earliest, last - pd.DateOffset(months=per * (horizon - 1)) - pd.Timedelta(days=1)


def end_of_period(analysis: Analysis, day: Any) -> pd.Timestamp:
    """Give the end of the last period complete on a day."""
    rules = analysis.config.spells
    following = last_complete_period(day, rules) + 1
    return pd.Timestamp(period_starts(np.array([following]), rules)[0] - pd.Timedelta(days=1))


def checked_date(analysis: Analysis, settings: EvaluationSettings) -> pd.Timestamp:
    """Give the end of the last period complete at the development date; refuse one without data before or after it."""
    unit, date = analysis.config.unit, end_of_period(analysis, settings.development_until)
    earliest, latest = room_for(analysis, settings.horizon)
    if not earliest <= date <= latest:
        room = (
            f"Give a date from {earliest:%Y-%m-%d} to {latest:%Y-%m-%d}, or a shorter horizon."
            if earliest <= latest
            else "The data are too short for this horizon; give a shorter one."
        )
        raise ConfigError(
            f"[evaluation] development_until = {settings.development_until}, horizon = {settings.horizon} {unit}s: there must "
            f"be {periods(settings.horizon + 1, unit)} of data before the date and {periods(settings.horizon, unit)} after it. "
            f"{room}"
        )
    return date


def backtest_dates(analysis: Analysis) -> list[pd.Timestamp]:
    """Give the dates of the rolling origins, in order: those of the configuration, or counted back from the development."""
    config, settings = analysis.config, analysis.config.backtest
    assert config.evaluation is not None
    horizon = config.evaluation.horizon
    earliest, latest = room_for(analysis, horizon)
    if settings.dates:
        dates = sorted({end_of_period(analysis, day) for day in settings.dates})
        wrong = [date for date in dates if not earliest <= date <= latest]
        if wrong:
            raise ConfigError(
                f"[backtest] dates: {wrong[0].date()} leaves no {periods(horizon + 1, config.unit)} of data before it and "
                f"{periods(horizon, config.unit)} after it. Give dates from {earliest:%Y-%m-%d} to {latest:%Y-%m-%d}."
            )
        return dates
    last = checked_date(analysis, config.evaluation)
    months = settings.step * (1 if config.unit == "month" else 3)
    # from the first of the following month, so that ends of months stay ends of months
    counted = [
        last + pd.Timedelta(days=1) - pd.DateOffset(months=months * k) - pd.Timedelta(days=1)
        for k in range(settings.origins)
    ]
    return [date for date in reversed(counted) if date >= earliest]


def run_origins(analysis: Analysis) -> Evaluation:
    """Fit the champion anew at every date of the backtest, and judge it and the null model by what followed."""
    settings = analysis.config.evaluation
    assert settings is not None
    with named("[backtest]"):
        spells = evaluated(analysis)[0].complete()
        dates = backtest_dates(analysis)
        cuts = [Origin(date, *out_of_time(spells, date, horizon=settings.horizon)) for date in dates]
        varying = [name for name in analysis.covariates if all(_varies(c.development, name) for c in cuts)]
        return backtest(
            {CHAMPION: champion_of(analysis)},
            spells,
            cuts,
            horizon=settings.horizon,
            features=varying,
            metrics=["auc", "ipa", "observed_expected"],
            cause=list(analysis.trial.causes),
            level=analysis.config.level,
        )
