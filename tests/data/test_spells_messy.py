"""Columns of odd types and names are read right or refused by name; none becomes another value in silence."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pytest

from churnsurv.data import SpellRules, build_spells
from churnsurv.exceptions import ConfigError, DataError
from tests.data.tables import RULES, loan_table, performance_table, rules

LOANS = loan_table((1, 0, 12), (2, 0, 12), (3, 0, 12))
PERFORMANCE = performance_table(
    *[(1, 0, "open", 600), (1, 1, "open", 601)], *[(2, 0, "open", 610), (2, 1, "open", 611)], (3, 0, "charged off", 620)
)
MACRO = pd.DataFrame({"month": pd.date_range("2023-06-01", periods=12, freq="MS"), "market": 1.0})
BY_CODE = rules(exits=[{"cause": "default", "when": [{"column": "code", "at_least": 3}]}])


def amounts(values, given=RULES):
    """Give the covariate ``amount`` by loan."""
    frame = build_spells(LOANS.assign(amount=values), PERFORMANCE, given).frame
    return frame.drop_duplicates("loan_id")["amount"].tolist()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pd.Categorical([True, False, None]), [1, 0, None]),
        (pd.Categorical([3, 1, None]), [3, 1, None]),
        (pd.Categorical([1.5, 2.5, None]), [1.5, 2.5, None]),
        (pd.Categorical([1, "a", None]), ["1", "a", None]),
        (pd.Categorical([(1, 2), (2, 3), None]), ["(1, 2)", "(2, 3)", None]),
        (pd.array([True, None, False], dtype="boolean"), [1, None, 0]),
        ([Decimal("1.5"), None, Decimal(2)], [1.5, None, 2]),
        (np.array([1, 2, np.nan], dtype="float16"), [1, 2, None]),
    ],
    ids=[
        "category bool",
        "category int",
        "category float",
        "category mixed",
        "category tuple",
        "bool",
        "decimal",
        "half",
    ],
)
def test_values_of_odd_types_are_kept(values, expected):
    got = amounts(values)
    assert [None if pd.isna(value) else value for value in got] == expected


@pytest.mark.parametrize(
    "values",
    [
        [[1], [2], [3]],
        [{"a": 1}] * 3,
        pd.arrays.IntervalArray.from_breaks([0, 1, 2, 3]),
        [2**70] * 3,
        [dt.timedelta(1)] * 3,
    ],
    ids=["list", "struct", "interval", "huge", "duration"],
)
def test_values_that_are_no_covariate_are_refused_by_name(values):
    with pytest.raises(DataError, match="'amount'"):
        amounts(pd.Series(values))


def test_the_order_of_categories_is_that_of_the_table_a_covariate_comes_from():
    given = rules(covariates={"loans": ["grade"]}, keep=["region"])
    loans = LOANS.assign(grade=pd.Categorical(["b", "a", "c"], categories=["c", "b", "a"]), region=["n", "s", "x"])
    performance = PERFORMANCE.assign(grade=pd.Categorical(["b"] * 5), region=pd.Categorical(["n"] * 5))
    frame = build_spells(loans, performance, given).frame.drop_duplicates("loan_id")
    assert frame["grade"].tolist() == ["b", "a", "c"]
    assert frame["grade"].cat.categories.tolist() == ["c", "b", "a"]
    assert frame["region"].tolist() == ["n", "s", "x"]


def test_categories_at_origination_that_the_performance_table_does_not_have_are_kept():
    given = rules(covariates={"performance": ["grade"]}, at_origination={"grade": "first"})
    first = pd.Categorical(["a", "b", "z"])
    performance = PERFORMANCE.assign(grade=pd.Categorical(["a", "b", "a", "b", "a"]))
    for column in (first, first.astype(str)):
        frame = build_spells(LOANS.assign(first=column), performance, given).frame
        assert frame.loc[frame["start"] == 0, "grade"].tolist() == ["a", "b", "z"]


def test_text_in_categories_is_read_as_numbers_when_the_rules_say_so():
    assert amounts(pd.Categorical(["36 months", "60 months", "36 months"]), rules(numbers=["amount"])) == [36, 60, 36]


def test_origination_and_performance_columns_of_different_kinds_are_refused():
    given = rules(at_origination={"score": "first"})
    for first in (["a", "b", "c"], pd.to_datetime(["2020-01-01"] * 3)):
        with pytest.raises(DataError, match="'first' of the loans table is .* 'score' of the performance table"):
            build_spells(LOANS.assign(first=first), PERFORMANCE, given)


@pytest.mark.parametrize("convert", [pl.from_pandas, pa.Table.from_pandas], ids=["polars", "arrow"])
def test_nan_is_missing_and_no_number_above_all_others(convert):
    code = [np.nan, 1.0, np.nan, 2.0, np.nan]
    table = convert(PERFORMANCE.drop(columns="score"))
    score = pa.array(code)  # a true NaN, no null
    if isinstance(table, pl.DataFrame):
        table = table.with_columns(pl.Series("code", code), score=pl.Series(code))
    else:
        table = table.append_column("code", score).append_column("score", score)
    assert build_spells(LOANS, table, BY_CODE).frame["cause"].tolist() == ["open"] * 4 + ["default"]


def test_regions_and_loans_of_different_types_are_refused_by_name():
    macro = MACRO.assign(region="n")
    given = rules(macro={"period": "month", "region": "region"}, covariates={"macro": ["market"]})
    with pytest.raises(DataError, match="'region' is number in the loans table .* text in the macro table"):
        build_spells(LOANS.assign(region=[1, 2, 3]), PERFORMANCE, given, macro=macro)
    with pytest.raises(DataError, match="'loan_id' is number in the performance table .* date in the loans table"):
        build_spells(LOANS.assign(loan_id=pd.to_datetime(["2020-01-01"] * 3)), PERFORMANCE, RULES)
    truth = build_spells(LOANS.assign(region=True), PERFORMANCE, given, macro=MACRO.assign(region=True))
    assert truth.frame["market"].eq(1).all()


def test_small_integers_do_not_overflow_in_windows():
    given = rules(windows={"move": {"column": "count", "width": 2, "statistic": "change"}})
    rows = performance_table(*[(1, n, "open", 600) for n in range(5)])
    rows["count"] = np.array([200, 10, 5, 0, 0], dtype="uint8")
    assert build_spells(LOANS[:1], rows, given).frame["move"].tolist()[3:] == [-195, -10]


def test_infinite_numbers_of_periods_are_told():
    given = rules(period_one="2024-01")
    rows = PERFORMANCE.assign(month=[1, np.inf, 1, 2, 1])
    with pytest.raises(DataError, match=r"'month' holds 1 number centuries away .* inf"):
        build_spells(LOANS.assign(opened=1), rows, given)


def test_columns_that_differ_by_case_alone_are_refused():
    with pytest.raises(
        ConfigError, match=r"covariates names 'score' twice \(names that differ by case alone are one\)"
    ):
        rules(covariates={"performance": ["score", "SCORE"]})
    with pytest.raises(ConfigError, match="'START' is taken by a column of the spells"):
        rules(covariates={"performance": ["START"]})
    given = rules(windows={"w": {"column": "SCORE", "width": 2, "statistic": "mean"}})
    with pytest.raises(DataError, match="'score' and 'SCORE' of the performance table differ by case alone"):
        build_spells(LOANS, PERFORMANCE.assign(SCORE=1.0), given)
    # a column that is not used is in nobody's way
    frame = build_spells(LOANS, PERFORMANCE.assign(SCORE=1.0), RULES).frame
    assert frame["score"].dropna().tolist() == [600, 610]


def test_columns_that_are_there_twice_are_refused():
    table = pa.Table.from_pandas(PERFORMANCE)
    twice = table.append_column("score", table.column("score"))
    for given in (twice, pa.dataset.dataset(twice)):
        with pytest.raises(DataError, match="performance table has 2 columns called 'score'"):
            build_spells(LOANS, given, RULES)


@pytest.mark.parametrize(
    "name", ["it's", 'a "quoted" name', "x; DROP TABLE t", "größe😀", "a\nb", "p:score", "100%", "x" * 90]
)
def test_columns_may_have_any_name(name):
    given = rules(
        covariates={"performance": [name]}, windows={f"{name}!": {"column": name, "width": 2, "statistic": "mean"}}
    )
    frame = build_spells(LOANS, PERFORMANCE.rename(columns={"score": name}), given).frame
    assert frame[name].dropna().tolist() == frame[f"{name}!"].dropna().tolist() == [600, 610]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"observed": ""}, "observed"),
        ({"covariates": {"performance": ["a\0b"]}}, "performance.0"),
        ({"lag": 601}, "lag"),
        ({"period_one": ""}, "period_one = ''"),
        ({"causes": {"no usable row": ["prepaid"]}}, "the reconciliation has a line 'no usable row' of its own"),
        ({"exits": [{"cause": "x", "when": [{"column": "c", "values": []}]}]}, "values"),
        ({"exits": [{"cause": "x", "when": [{"column": "c", "at_least": 5, "at_most": 3}]}]}, "never holds"),
        ({"exits": [{"cause": "x", "when": [{"column": "c", "at_least": float("nan")}]}]}, "finite"),
    ],
)
def test_rules_that_cannot_hold_are_refused(changes, told):
    with pytest.raises(ConfigError, match=told):
        SpellRules(**(RULES.model_dump(exclude_none=True) | changes))


def test_memory_below_zero_is_no_limit():
    with pytest.raises(DataError, match="memory_limit='-1GB' is no size"):
        build_spells(LOANS, PERFORMANCE, RULES, memory_limit="-1GB")
