import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import churnsurv as cs
from churnsurv.effects import exits_averted
from churnsurv.exceptions import DataError
from tests.shipped import shipped


def ratio(value=0.8, lower=0.6, upper=1.1):
    return cs.Estimate("Hazard ratio", value, 0.1, lower, upper, 0.95, 500, 60, "Cox")


@given(value=st.floats(0.2, 3), spread=st.floats(1.05, 3), events=st.integers(0, 500), years=st.floats(1, 5000))
def test_untreated_the_exits_would_have_come_at_the_rate_over_the_ratio(value, spread, events, years):
    found = exits_averted(ratio(value, value / spread, value * spread), events, years, per=1)
    assert (events / years + found.value) * value == pytest.approx(events / years)
    assert found.lower <= found.value <= found.upper


def test_the_standard_error_is_the_slope_times_that_of_the_ratio():
    found, step = exits_averted(ratio(), 40, 500), 1e-6
    slope = (exits_averted(ratio(0.8 + step), 40, 500).value - found.value) / step
    assert found.se == pytest.approx(abs(slope) * 0.1, rel=1e-4)


@pytest.mark.parametrize(
    "wrong", [{"n_events": -1, "exposure": 5}, {"n_events": 1, "exposure": 0}, {"n_events": np.nan, "exposure": 1}]
)
def test_counts_that_are_none_are_refused(wrong):
    with pytest.raises(DataError):
        exits_averted(ratio(), **wrong)


def test_a_ratio_whose_interval_reaches_zero_is_refused():
    with pytest.raises(DataError, match="above 0"):
        exits_averted(ratio(lower=0.0), 4, 10)


def test_a_column_of_one_value_is_no_difference_at_baseline():
    portfolio, spells = shipped()
    design = cs.effects.Randomised(intervention="rate_offer", treated="offer", control="hold_out", follow_up=12)
    cohort = design.cohort(spells, portfolio.interventions)
    # the same at one date for all, but for rounding of its mean
    assert cohort.X["regulatory_cost"].nunique() == 1
    assert cohort.baseline_table(["regulatory_cost"])["standardised_difference"].iloc[0] == 0
