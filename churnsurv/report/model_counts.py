"""Exits that the models and cohorts of a report rest on, as parts of the exits that its other tables show."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from churnsurv.data import Spells
from churnsurv.data.calendar_splits import out_of_time
from churnsurv.exceptions import ChurnSurvError
from churnsurv.report.analysis import Analysis
from churnsurv.report.exit_counts import COMPLETE, DEVELOPMENT, ModelExits
from churnsurv.report.trial import backtest_dates, checked_date, evaluated


def model_exits(analysis: Analysis) -> list[ModelExits]:
    """Count the exits of the models of the report, of what the trial was fitted on, and of the cohorts that judge it.

    What cannot be counted because the settings of the evaluation do not fit the data is left out: its sections say why.
    """
    found = [ModelExits(COMPLETE, _by_cause(analysis.complete))]
    settings = analysis.config.evaluation
    if settings is None:
        return found
    try:
        date = checked_date(analysis, settings)
        spells, n_sampled = evaluated(analysis)
        spells = spells.complete()
        dates = {date, *(backtest_dates(analysis) if analysis.config.sections.backtest is not False else ())}
        for each in sorted(dates):
            development, exits = _cohort(spells, each, settings.horizon)
            if each == date:
                part = ModelExits(DEVELOPMENT, _by_cause(development), until=date, nested=n_sampled is None)
                found.append(part)
            ends = _later(each, settings.horizon * (1 if analysis.config.unit == "month" else 3))
            found.append(ModelExits(each, exits, after=each, until=ends, known=each == date))
    except ChurnSurvError:
        return found[:1]
    return found


def _by_cause(spells: Spells) -> Mapping[str, int]:
    return {cause: int((spells.frame["cause"] == cause).sum()) for cause in spells.rules.cause_names}


def _cohort(spells: Spells, date: pd.Timestamp, horizon: int) -> tuple[Spells, Mapping[str, int]]:
    """Give the development, and the exits within the horizon of loans whose ages it knows, as the evaluation keeps them."""
    development, cohort = out_of_time(spells, date, horizon=horizon)
    y = cohort.y
    kept = (cohort.frame["age"] + horizon <= development.frame["stop"].max()).to_numpy() & (y.stop <= horizon)
    return development, {cause: int(np.sum(kept & (y.event == y.cause_code(cause)))) for cause in y.causes}


def _later(date: pd.Timestamp, months: int) -> pd.Timestamp:
    # from the first of the following month, so that ends of months stay ends of months
    return date + pd.Timedelta(days=1) + pd.DateOffset(months=months) - pd.Timedelta(days=1)
