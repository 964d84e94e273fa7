"""The spells of simulated portfolios give back the coefficients they were drawn with (slow)."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, norm

import churnsurv as cs
from churnsurv.data import build_spells, simulate

CAUSES = ("attrition", "default")


def differences(n_loans, seed):
    """Give per cause (estimate − truth, covariance) of one portfolio."""
    portfolio = simulate(n_loans, seed=seed)
    spells = build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro).complete()
    model = cs.CauseSpecificCox(portfolio.truth["formula"]).fit(spells.X, spells.y)
    result = {}
    for cause, fitted in model.models_.items():
        truth = pd.Series(portfolio.truth["coefficients"][cause])[fitted.coef_.index]
        result[cause] = fitted.coef_ - truth, fitted.covariance_
    return result


@pytest.mark.slow
def test_a_portfolio_of_200000_loans_gives_back_the_truth():
    # needs about 6 GB and a minute; the seed was fixed before the first run of this test
    for cause, (difference, covariance) in differences(200_000, seed=2026).items():
        statistic = difference @ np.linalg.solve(covariance, difference)
        assert chi2.sf(statistic, len(difference)) > 0.001, cause


@pytest.mark.slow
def test_intervals_of_200_small_portfolios_cover_the_truth():
    # default is rare: the portfolios must be large enough for the normal interval of 17 coefficients
    covered = {cause: [] for cause in CAUSES}
    for seed in range(200):
        for cause, (difference, covariance) in differences(3_000, seed=seed).items():
            z = difference / np.sqrt(np.diag(covariance))
            covered[cause].append(np.abs(z) < norm.ppf(0.975))
    for cause, rows in covered.items():
        coverage = pd.DataFrame(rows).mean()
        # three Monte-Carlo errors of 200 portfolios, for each coefficient and for their mean
        error = np.sqrt(0.95 * 0.05 / 200)
        assert abs(coverage.mean() - 0.95) < 3 * error, cause
        assert (abs(coverage - 0.95) < 3 * error).all(), coverage.to_dict()
