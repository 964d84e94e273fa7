import datetime as dt

import numpy as np
import pandas as pd
import pytest

from churnsurv.data.periods import last_complete_period, one_date, period_starts
from churnsurv.exceptions import DataError
from tests.data.tables import periods_read, rules

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
        pd.Series(["2024-01-31T00:00:00+01:00", None, "2024-02-01T00:00:00+02:00"]),
        pd.Series([dt.datetime(2024, 1, 31, tzinfo=dt.timezone(dt.timedelta(hours=1))), None, dt.date(2024, 2, 1)]),
    ],
)
def test_dates_in_any_clothes_give_the_same_month(values):
    # January 2024 is 54 years after January 1970
    assert periods_read(values.rename("m"), rules()) == [648, None, 649]


def test_numbered_quarters_count_from_the_named_one():
    values = pd.Series([1, 60, -40], name="time")
    numbers = periods_read(values, QUARTERS)
    starts = period_starts(np.array(numbers), QUARTERS)
    assert starts.strftime("%Y-%m-%d").tolist() == ["2000-01-01", "2014-10-01", "1989-10-01"]


def test_numbers_without_a_first_period_are_refused():
    with pytest.raises(DataError, match="'time' holds numbers .*period_one"):
        periods_read(pd.Series([1, 2], name="time"), rules())


def test_fractions_and_text_that_is_no_date_name_the_row():
    with pytest.raises(DataError, match=r"'time' holds 1 fraction \(e.g. 2.5\)"):
        periods_read(pd.Series([1, 2.5], name="time"), QUARTERS)
    with pytest.raises(DataError, match=r"'m' holds 1 value that is no date \(e.g. 'soon'\)"):
        periods_read(pd.Series(["2024-01-01", "soon"], name="m"), rules())


def test_missing_numbers_are_no_period():
    assert periods_read(pd.Series([1, np.nan], name="time"), QUARTERS)[1] is None


def test_a_month_is_complete_at_the_end_of_its_last_day():
    assert last_complete_period("2024-01-31", rules()) == 648
    assert last_complete_period("2024-01-30", rules()) == 647
    with pytest.raises(DataError, match="'soon' is no date"):
        last_complete_period("soon", rules())


@pytest.mark.parametrize(
    "date",
    [
        "2025-10-01",
        "2025-10-01T15:00",
        dt.date(2025, 10, 1),
        dt.datetime(2025, 10, 1, 23, 30, tzinfo=dt.UTC),
        pd.Timestamp("2025-10-01 12:00"),
        np.datetime64("2025-10-01"),
        pd.Period("2025-10-01", freq="D"),
    ],
)
def test_a_date_is_read_from_dates_and_full_iso_text(date):
    assert one_date(date) == pd.Timestamp("2025-10-01")


def test_a_period_stands_for_its_last_day():
    assert one_date(pd.Period("2025-09", freq="M")) == pd.Timestamp("2025-09-30")


@pytest.mark.parametrize(
    "date", ["01.10.2025", "September", "2025-09", "2025", "10/01/2025", "2025-13-01", 2025, None, pd.NaT]
)
def test_what_could_be_read_two_ways_is_no_date(date):
    with pytest.raises(DataError, match="is no date; give one such as '2026-09-30'"):
        one_date(date)


def test_a_date_beyond_the_calendar_of_pandas_is_refused():
    with pytest.raises(DataError, match="9999-12-31 is out of range"):
        last_complete_period("9999-12-31", rules())
    with pytest.raises(DataError, match=r"'m' holds 1 value that is no date .*9999-12-31.*1678 to 2261"):
        periods_read(pd.Series(["9999-12-31"], name="m"), rules())


def test_quarters_as_text_are_read_where_periods_are_quarters():
    assert periods_read(pd.Series(["2021Q2", "2021-Q3", None], name="q"), QUARTERS)[:2] == [205, 206]
    with pytest.raises(DataError, match="'2021Q2'"):
        periods_read(pd.Series(["2021Q2"], name="q"), rules())


@pytest.mark.parametrize(("number", "form"), [(20210630, "%Y%m%d"), (202106, "%Y%m")])
def test_numbers_that_look_like_dates_are_refused_with_their_format(number, form):
    with pytest.raises(DataError, match=f"look like dates \\(e.g. {number}.*dates = .*'{form}'"):
        periods_read(pd.Series([np.nan, number], name="time"), QUARTERS)


def test_numbers_centuries_away_are_refused():
    with pytest.raises(DataError, match=r"1 number centuries away from 2000Q1 \(e.g. 99999\)"):
        periods_read(pd.Series([1, 99999], name="time"), QUARTERS)


@pytest.mark.parametrize("stamp", ["2025-12-31T23:00:00Z", "2026-01-01T05:00:00+00:00"])
def test_utc_times_at_the_turn_of_a_month_are_refused(stamp):
    for values in (pd.Series([stamp]), pd.Series(pd.to_datetime([stamp], utc=True))):
        with pytest.raises(DataError, match="'m' holds 1 time in UTC within 12 hours of the turn of a month"):
            periods_read(values.rename("m"), rules())


def test_local_times_and_utc_times_far_from_the_turn_are_taken_as_written():
    berlin = pd.to_datetime(["2025-12-31 23:30"]).tz_localize("Europe/Berlin")
    utc = pd.to_datetime(["2025-12-15 23:30"]).tz_localize("UTC")
    assert {int(periods_read(pd.Series(v, name="m"), rules())[0]) for v in (berlin, utc)} == {671}


def test_lists_are_no_dates():
    with pytest.raises(DataError, match="'m' of the performance table holds a list"):
        periods_read(pd.Series([["2024-01-01"]], name="m"), rules())
