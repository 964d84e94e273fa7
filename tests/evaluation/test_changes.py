import numpy as np
import pytest
from scipy.stats import norm

import churnsurv as cs
from churnsurv.evaluation import estimate_changes
from churnsurv.exceptions import DataError


def test_nested_and_separate_data_by_hand():
    found = estimate_changes([1.0, 1.0], [0.5, 0.5], [1.6, 1.6], [0.4, 0.4], nested=[True, False])
    # sqrt(0.25 - 0.16) = 0.3; sqrt(0.25 + 0.16)
    np.testing.assert_allclose(found["se"], [0.3, np.sqrt(0.41)])
    np.testing.assert_allclose(found["p_value"], 2 * norm.sf([0.6 / 0.3, 0.6 / np.sqrt(0.41)]))
    np.testing.assert_allclose(found["upper"] - found["change"], 1.959963984540054 * found["se"])
    assert list(found["basis"]) == ["nested", "independent"]


def test_p_values_are_holms_over_those_that_there_are():
    found = estimate_changes([0, 0, np.nan], [1, 1, 1], [4, 3, 1], [1, 1, 1])
    small, large = 2 * norm.sf(4 / np.sqrt(2)), 2 * norm.sf(3 / np.sqrt(2))
    np.testing.assert_allclose(found["p_adjusted"], [2 * small, max(2 * small, large), np.nan])


def test_errors_that_grew_although_data_were_added_are_taken_as_independent():
    (row,) = estimate_changes([0.1], [0.2], [0.2], [0.25], nested=True).to_dict("records")
    assert row["basis"] == "independent"
    assert row["se"] == pytest.approx(np.hypot(0.2, 0.25))


def test_two_equal_estimates_without_error_did_not_change():
    found = estimate_changes([1.0, 1.0], [0.0, 0.0], [1.0, 1.1], [0.0, 0.0])
    assert list(found["p_value"]) == [1.0, 0.0]


@pytest.mark.parametrize("arguments", [([1, 2], [1, 1], [1], [1]), ([1], [-1], [1], [1])])
def test_what_cannot_be_compared_is_refused(arguments):
    with pytest.raises(DataError):
        estimate_changes(*arguments)


def deliveries(rng, n_customers, change):
    """Estimates of one portfolio delivered at month 33 and at month 36: log incidence by 24 months, and a log hazard ratio.

    From month 33 on all hazards are `change` times as high. Loans of a customer share the covariate.
    """
    customer = np.repeat(np.arange(n_customers), rng.integers(1, 4, n_customers))
    x = (rng.random(n_customers) < 0.5)[customer].astype(float)
    opened = rng.uniform(0, 36, len(customer))
    left = opened + rng.exponential(1 / (0.012 * np.exp(0.5 * x)))
    before = np.maximum(33, opened)
    left = np.where(left > before, before + (left - before) / change, left)
    found = []
    for end in (33.0, 36.0):
        here = opened < end
        y = cs.Outcome((np.minimum(left, end) - opened)[here], (left <= end)[here].astype(int))
        curves = cs.AalenJohansen().fit(y, cluster=customer[here]).curves_
        at = np.searchsorted(curves.times, 24, side="right") - 1
        value, lower, upper = (a[0, 1, at] for a in (curves.probability, curves.lower, curves.upper))
        ratio = cs.CoxPH().fit(x[here, None], y, cluster=customer[here]).summary().iloc[0]
        found.append((np.log(value), np.log(upper / lower) / (2 * norm.ppf(0.975)), ratio["coef"], ratio["se"]))
    return found


def share_found(n, n_customers, change, seed):
    """Share of simulated portfolios in which a change is found at 5%, of the incidence and of the hazard ratio."""
    rng = np.random.default_rng(seed)
    pairs = np.array([deliveries(rng, n_customers, change) for _ in range(n)])
    return [
        [(estimate_changes(*pairs[:, 0, k : k + 2].T, *pairs[:, 1, k : k + 2].T, nested=nested)["p_value"] < 0.05).mean()
         for k in (0, 2)]
        for nested in (True, False)
    ]  # fmt: skip


def test_a_change_of_the_new_quarter_is_found_although_most_data_are_the_same():
    nested, independent = share_found(30, 500, 2.5, 1)
    # the earlier 33 months are in both estimates, and independent errors count them twice
    assert nested[0] > 0.6
    assert independent[0] < nested[0] - 0.3


@pytest.mark.slow
def test_without_a_change_the_test_of_nested_data_keeps_its_level():
    nested, independent = share_found(1_000, 500, 1.0, 2)
    # 0.05 within 3.5 Monte-Carlo errors of 1,000; robust errors of few clusters are a little small
    assert nested == pytest.approx([0.05, 0.05], abs=0.025)
    assert max(independent) < 0.01
