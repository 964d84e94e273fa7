import datetime as dt

import numpy as np
import pandas as pd
import pytest

from churnsurv.data.periods import NO_PERIOD, last_complete_period, period_numbers, period_starts
from churnsurv.exceptions import DataError
from tests.data.tables import rules

QUARTERS = rules(period="quarter", period_one="2000Q1")


@pytest.mark.parametrize(
    "values",
    [
        pd.Series(pd.to_datetime(["2024-01-31", None, "2024-02-01"])),
        pd.Series(pd.to_datetime(["2024-01-31", None, "2024-02-01"]).tz_localize("UTC")),
        pd.Series(["2024-01-31", None, "2024-02"]),
        pd.Series([dt.date(2024, 1, 31), None, dt.date(2024, 2, 1)]),
        pd.Series(pd.PeriodIndex(["2024-01", None, "2024-02"], freq="M")),
        pd.Series(["2024-01-31", None, "2024-02-01"], dtype="category"),
    ],
)
def test_dates_in_any_clothes_give_the_same_month(values):
    # January 2024 is 54 years after January 1970
    assert period_numbers(values.rename("m"), rules()).tolist() == [648, NO_PERIOD, 649]


def test_numbered_quarters_count_from_the_named_one():
    values = pd.Series([1, 60, -40], name="time")
    numbers = period_numbers(values, QUARTERS)
    assert period_starts(numbers, QUARTERS).strftime("%Y-%m-%d").tolist() == ["2000-01-01", "2014-10-01", "1989-10-01"]


def test_numbers_without_a_first_period_are_refused():
    with pytest.raises(DataError, match="'time' holds numbers .*period_one"):
        period_numbers(pd.Series([1, 2], name="time"), rules())


def test_fractions_and_text_that_is_no_date_name_the_row():
    with pytest.raises(DataError, match=r"'time' holds 1 fraction \(row 1, e.g. 2.5\)"):
        period_numbers(pd.Series([1, 2.5], name="time"), QUARTERS)
    with pytest.raises(DataError, match=r"'m' holds 1 value that is no date \(row 1, e.g. 'soon'\)"):
        period_numbers(pd.Series(["2024-01-01", "soon"], name="m"), rules())


def test_missing_numbers_are_no_period():
    assert period_numbers(pd.Series([1, np.nan], name="time"), QUARTERS)[1] == NO_PERIOD


def test_a_month_is_complete_at_the_end_of_its_last_day():
    assert last_complete_period("2024-01-31", rules()) == 648
    assert last_complete_period("2024-01-30", rules()) == 647
    with pytest.raises(DataError, match="'soon' is no date"):
        last_complete_period("soon", rules())
