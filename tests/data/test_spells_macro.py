"""Macro columns and the rate incentive of spells."""

import numpy as np
import pandas as pd
import pytest

from churnsurv.data import build_spells
from churnsurv.exceptions import DataError
from tests.data.tables import loan_table, month, performance_table, rules

MACRO_RULES = rules(
    covariates={"performance": ["score"], "macro": ["unemployment_rate"]},
    macro={"period": "month", "region": "region"},
    rate_incentive={"own": "contract_rate", "market": "market_rate"},
)


MACRO = pd.DataFrame(
    {
        "month": [month(number) for number in (-1, 0, 1)] * 2,
        "region": ["north"] * 3 + ["south"] * 3,
        "market_rate": [5.0, 5.5, 6.0, 7.0, 7.5, 8.0],
        "unemployment_rate": [3.0, 3.1, 3.2, 4.0, 4.1, 4.2],
    }
)


def test_macro_columns_and_the_rate_incentive_are_those_of_the_month_before_in_the_loans_region():
    loans = loan_table((1, 0, 12), (2, 0, 12)).assign(region=["north", "south"], contract_rate=[8.0, 9.0])
    performance = performance_table(*[(loan, number, "open", 600) for loan in (1, 2) for number in (0, 1, 3)])
    spells = build_spells(loans, performance, MACRO_RULES, macro=MACRO)
    assert spells.X.columns.tolist() == ["rate_incentive", "score", "unemployment_rate"]
    np.testing.assert_allclose(spells.X["unemployment_rate"], [3.0, 3.1, np.nan, 4.0, 4.1, np.nan])
    np.testing.assert_allclose(spells.X["rate_incentive"], [3.0, 2.5, np.nan, 2.0, 1.5, np.nan])


def test_an_own_rate_that_is_observed_over_time_is_lagged_with_the_market_rate():
    loans = loan_table((1, 0, 12)).assign(region="north")
    performance = performance_table(*[(1, number, "open", 600) for number in (0, 1)]).assign(contract_rate=[8.0, 7.0])
    spells = build_spells(loans, performance, MACRO_RULES, macro=MACRO)
    np.testing.assert_allclose(spells.X["rate_incentive"], [np.nan, 8.0 - 5.5])


def test_months_of_a_macro_table_are_averaged_over_quarters():
    quarterly = rules(
        period="quarter", covariates={"macro": ["unemployment_rate"]}, macro={"period": "month"}, term=None
    )
    macro = pd.DataFrame({"month": [month(number) for number in range(3)], "unemployment_rate": [3.0, np.nan, 5.0]})
    performance = performance_table((1, 0, "open", 600), (1, 3, "open", 600))
    spells = build_spells(loan_table((1, 0, 12)), performance, quarterly, macro=macro)
    np.testing.assert_array_equal(spells.X["unemployment_rate"], [np.nan, 4.0])


def test_a_macro_table_that_is_absent_or_repeats_a_month_is_refused():
    loans = loan_table((1, 0, 12)).assign(region="north", contract_rate=8.0)
    performance = performance_table((1, 0, "open", 600))
    with pytest.raises(DataError, match="no macro table was given"):
        build_spells(loans, performance, MACRO_RULES)
    with pytest.raises(DataError, match=r"1 row of the macro table repeats \['region', 'month'\]"):
        build_spells(loans, performance, MACRO_RULES, macro=pd.concat([MACRO, MACRO.iloc[[0]]]))


def test_macro_rows_of_one_month_that_differ_are_refused_and_equal_ones_are_not():
    loans = loan_table((1, 0, 12)).assign(region="north", contract_rate=8.0)
    performance = performance_table((1, 0, "open", 600))
    later = MACRO.iloc[[0]].assign(month=MACRO["month"].iloc[0] + pd.Timedelta(days=14))
    again = pd.concat([MACRO, later])
    assert len(build_spells(loans, performance, MACRO_RULES, macro=again)) == 1
    with pytest.raises(DataError, match=r"1 row of the macro table repeats .*\['north', '2023-12-15'\]"):
        build_spells(loans, performance, MACRO_RULES, macro=pd.concat([MACRO, later.assign(market_rate=9.9)]))


def test_a_month_that_is_written_twice_counts_once_in_its_quarter():
    quarterly = rules(period="quarter", covariates={"macro": ["rate"]}, macro={"period": "month"}, term=None)
    days = ["2024-01-01", "2024-01-31", "2024-02-01", "2024-03-01"]
    macro = pd.DataFrame({"month": days, "rate": [1.0, 1.0, 4.0, 7.0]})
    performance = performance_table((1, 0, "open", 600), (1, 3, "open", 600))
    frame = build_spells(loan_table((1, 0, 12)), performance, quarterly, macro=macro).frame
    assert frame["rate"].tolist()[1] == 4


def test_a_month_of_a_macro_table_that_is_there_twice_is_refused_in_quarters_too():
    quarterly = rules(period="quarter", covariates={"macro": ["rate"]}, macro={"period": "month"}, term=None)
    macro = pd.DataFrame({"month": ["2024-01-01", "2024-01-31", "2024-02-29"], "rate": [3.0, 4.0, 5.0]})
    with pytest.raises(DataError, match=r"repeats \['month'\] \(e.g. \['2024-01-31'\]\)"):
        build_spells(loan_table((1, 0, 12)), performance_table((1, 0, "open", 600)), quarterly, macro=macro)


def test_an_empty_macro_table_is_named():
    loans = loan_table((1, 0, 12)).assign(region="north", contract_rate=8.0)
    with pytest.raises(DataError, match="macro table has 0 rows, none with 'region' and 'month'"):
        build_spells(loans, performance_table((1, 0, "open", 600)), MACRO_RULES, macro=MACRO.iloc[:0])


@pytest.mark.parametrize("table", ["macro", "loans"])
def test_lists_are_no_regions(table):
    loans = loan_table((1, 0, 12)).assign(region="north", contract_rate=8.0)
    tables = {"macro": MACRO, "loans": loans}
    tables[table] = tables[table].assign(region=[["north"]] * len(tables[table]))
    with pytest.raises(DataError, match=f"'region' of the {table} table holds a list"):
        build_spells(performance=performance_table((1, 0, "open", 600)), rules=MACRO_RULES, **tables)
