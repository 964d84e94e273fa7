"""Mistakes that users make with paths and backtests."""

from __future__ import annotations

import numpy as np
import pytest

import churnsurv as cs
from churnsurv.exceptions import DataError

evaluation = cs.evaluation


@pytest.fixture(scope="module")
def sample():
    portfolio = cs.data.simulate(300, seed=1)
    spells = cs.data.build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)
    spells = spells.complete()
    model = cs.CauseSpecificCox("rate_incentive + unemployment_rate").fit(spells.X, spells.y)
    return portfolio, spells, model, spells.landmark("2026-03-31").complete()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shocks": ["recession"]}, "shocks="),
        ({"shocks": {"base": {"unemployment_rate": 1.0}}}, "path without a shock"),
        ({"shocks": {"slump": 3}}, "series → change"),
        ({"shocks": {"slump": {"unemployment_rate": np.nan}}}, "finite number"),
        ({"shocks": {"slump": {"unemployment_rate": "2"}}}, "finite number"),
        ({"ramp": {"reccesion": 3}}, "'reccesion', which is no scenario"),
    ],
)
def test_shocks(sample, options, words):
    portfolio, _, _, last = sample
    with pytest.raises(DataError, match=words):
        evaluation.shock_paths(portfolio.macro, portfolio.rules, date=last.date, horizon=3, **options)


def test_macro_tables(sample):
    portfolio, _, _, last = sample
    for macro, words in ((None, "macro:"), (portfolio.macro.assign(unemployment_rate="x"), "give numbers")):
        with pytest.raises(DataError, match=words):
            evaluation.shock_paths(macro, portfolio.rules, date=last.date, horizon=3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"override": ["zz"]}, "override names 'zz'"),
        ({"development": "x"}, "development is a str"),
        ({"development": {"rate_incentive": 3}}, "lowest, highest"),
        ({"replicates": 3}, "at least two refits"),
        ({"model": cs.CauseSpecificCox()}, "not fitted"),
        ({"model": cs.CoxPH}, "not fitted"),
    ],
)
def test_options_of_scenarios(sample, options, words):
    portfolio, _, model, last = sample
    paths = evaluation.shock_paths(portfolio.macro, portfolio.rules, date=last.date, horizon=3)
    with pytest.raises(DataError, match=words):
        evaluation.scenario(**({"model": model, "cohort": last, "paths": paths, "horizon": 3} | options))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"train": 3}, "train=3"),
        ({"features": 3}, "features=3"),
        ({"features": {"zz": ["rate_incentive"]}}, "none of the models"),
        ({"models": {"cox": "cox"}}, "is no estimator"),
        ({"n_jobs": "x"}, "n_jobs='x'"),
    ],
)
def test_options_of_backtests(sample, options, words):
    _, spells, _, _ = sample
    given = {"models": {"cox": cs.CauseSpecificCox("rate_incentive")}, "horizon": 6, "features": ["rate_incentive"]}
    with pytest.raises(DataError, match=words):
        evaluation.backtest(spells=spells, dates="2025-09-30", **(given | options))
