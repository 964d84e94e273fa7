import zipfile

import numpy as np
import pandas as pd
import pytest

from churnsurv.data import SpellRules, build_spells, read_fred
from churnsurv.exceptions import DataError
from tests.data.tables import loan_table, performance_table, rules


@pytest.fixture
def fred(tmp_path):
    """Read made-up files, given as name → lines."""

    def reader(files, **options):
        paths = []
        for name, lines in files.items():
            paths.append(tmp_path / f"{name}.csv")
            paths[-1].write_text("\n".join(lines) + "\n", encoding="utf-8")
        return read_fred(paths, **options)

    return reader


def one(name, *rows, dates="observation_date"):
    return {name: [f"{dates},{name}", *rows]}


def known(table, name):
    """Give month → value as text → number, without missing values."""
    values = table.set_index(table["month"].dt.strftime("%Y-%m"))[name].dropna()
    return values.to_dict()


def test_a_monthly_value_is_known_in_the_month_after_it(fred):
    table = fred(one("UNRATE", "2023-12-01,3.7", "2024-01-01,3.8", "2024-02-01,3.9"))
    assert known(table, "UNRATE") == {"2024-01": 3.7, "2024-02": 3.8, "2024-03": 3.9}
    assert table["month"].dtype == np.dtype("datetime64[ns]")


def test_a_quarterly_value_is_known_from_the_month_after_the_quarter_for_three_months(fred):
    # the first quarter is published at the end of April
    table = fred(one("GDP", "2024-01-01,100", "2024-04-01,101"))
    assert known(table, "GDP") == {
        "2024-04": 100, "2024-05": 100, "2024-06": 100, "2024-07": 101, "2024-08": 101, "2024-09": 101,
    }  # fmt: skip


def test_a_yearly_value_is_known_for_twelve_months_after_its_year(fred):
    table = fred(one("POP", "2022-01-01,1", "2023-01-01,2"))
    assert table["month"].iloc[[0, -1]].dt.strftime("%Y-%m").tolist() == ["2023-01", "2024-12"]
    assert table["POP"].tolist() == [1] * 12 + [2] * 12


def test_daily_and_weekly_values_are_known_in_their_month_as_its_mean_or_last(fred):
    week = one("MORTGAGE30US", "2024-01-25,6.69", "2024-01-04,6.62", "2024-02-01,6.63")
    assert known(fred(week), "MORTGAGE30US") == pytest.approx({"2024-01": 6.655, "2024-02": 6.63})
    assert known(fred(week, within_month="last"), "MORTGAGE30US") == {"2024-01": 6.69, "2024-02": 6.63}
    with pytest.raises(DataError, match="within_month='median' is not known"):
        fred(week, within_month="median")


def test_publication_lags_can_be_given_for_all_or_by_series(fred):
    files = one("UNRATE", "2024-01-01,3.7", "2024-02-01,3.9") | one("HPI", "2024-01-01,300", "2024-02-01,301")
    assert known(fred(files, publication_lag=0), "UNRATE") == {"2024-01": 3.7, "2024-02": 3.9}
    table = fred(files, publication_lag={"HPI": 2})
    assert known(table, "HPI") == {"2024-03": 300, "2024-04": 301}
    assert known(table, "UNRATE") == {"2024-02": 3.7, "2024-03": 3.9}
    assert len(table) == 3


@pytest.mark.parametrize(
    ("lag", "message"),
    [
        ({"UNRAT": 1}, "publication_lag names 'UNRAT', which is no series. Did you mean 'UNRATE'"),
        (-1, "publication_lag of 'UNRATE' is -1"),
        ({"UNRATE": 1.5}, "publication_lag of 'UNRATE' is 1.5"),
        (True, "publication_lag of 'UNRATE' is True"),
    ],
)
def test_lags_that_are_none_are_refused(fred, lag, message):
    with pytest.raises(DataError, match=message):
        fred(one("UNRATE", "2024-01-01,3.7"), publication_lag=lag)


def test_files_of_several_series_of_different_frequency_are_read(fred):
    lines = ["DATE,GDP,UNRATE,DGS10", "2024-01-01,100,3.7,4.0", "2024-01-02,.,.,4.2", "2024-02-01,,3.9,4.1"]
    lines += ["2024-03-01,.,3.8,4.3", "2024-04-01,101,3.9,."]
    table = fred({"fredgraph": lines})
    assert table.columns.tolist() == ["month", "GDP", "UNRATE", "DGS10"]
    assert known(table, "GDP") == {"2024-04": 100, "2024-05": 100, "2024-06": 100} | {
        f"2024-0{m}": 101 for m in (7, 8, 9)
    }
    assert known(table, "UNRATE") == {"2024-02": 3.7, "2024-03": 3.9, "2024-04": 3.8, "2024-05": 3.9}
    assert known(table, "DGS10") == pytest.approx({"2024-01": 4.1, "2024-02": 4.1, "2024-03": 4.3})


def test_months_without_a_value_stay_missing(fred):
    table = fred(one("UNRATE", "2025-09-01,4.4", "2025-10-01,.", "2025-11-01,4.5"))
    assert table["month"].dt.month.tolist() == [10, 11, 12]
    assert table["UNRATE"].isna().tolist() == [False, True, False]


def test_a_spell_uses_what_was_published_before_it_began(fred):
    # unemployment of February, published in March, is known to the spell of April
    macro = fred(one("UNRATE", *(f"2024-{month:02d}-01,{month}" for month in range(1, 5))))
    with_macro = rules(covariates={"macro": ["UNRATE"]}, macro={"period": "month"})
    performance = performance_table(*[(1, number, "open", 600) for number in range(2, 5)])
    spells = build_spells(loan_table((1, 0, 12)), performance, with_macro, macro=macro)
    assert spells.frame["period"].dt.month.tolist() == [3, 4, 5]
    np.testing.assert_array_equal(spells.X["UNRATE"], [1, 2, 3])
    assert isinstance(with_macro, SpellRules)


def test_a_series_in_two_files_or_columns_is_refused(fred, tmp_path):
    rows = ["observation_date,UNRATE", "2024-01-01,3.7"]
    with pytest.raises(DataError, match=r"Series 'UNRATE' is in '.*a.csv' and in '.*b.csv'"):
        fred({"a": rows, "b": rows})
    with pytest.raises(DataError, match=r"c.csv' has two columns 'UNRATE'"):
        fred({"c": ["observation_date,UNRATE,UNRATE", "2024-01-01,3.7,3.7"]})


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            ["2024-01-01,3.7", "01/02/2024,3.8", "soon,3.9"],
            r"2 values .*are no dates .* \(line 3, 4, e.g. '01/02/2024'\)",
        ),
        (["2024-01-01,3.7", "2024-02-30,3.8"], r"1 value .*is no date .* \(line 3, e.g. '2024-02-30'\)"),
        (["2024-01-01,3.7", "2024-01-01,3.8"], r"1 value of column 'observation_date' .* is there twice \(line 3"),
        (["2024-01-01,3.7", "2024-02-01,high"], r"1 value of column 'UNRATE' .* is no number \(line 3, e.g. 'high'\)"),
        (["2024-01-01,inf"], "is no number"),
        (["2024-01-01,.", "2024-02-01,"], "Series 'UNRATE' of .* has no value"),
        (["2024-01-01,3.7,9"], "is no CSV file"),
        ([], "has no rows"),
    ],
)
def test_rows_that_cannot_be_read_are_named(fred, rows, message):
    with pytest.raises(DataError, match=message):
        fred(one("UNRATE", *rows))


@pytest.mark.parametrize(
    "lines",
    [["2024-01-01,3.7"], ["observation_date;UNRATE", "2024-01-01;3.7"], ["<!DOCTYPE html>"], ["time,UNRATE", "1,2"]],
)
def test_files_that_are_none_of_fred_are_refused(fred, lines):
    with pytest.raises(DataError, match="a file of FRED has observation_date"):
        fred({"other": lines})


def test_quarters_dated_by_their_last_month_are_refused(fred):
    with pytest.raises(
        DataError, match=r"a value every 3 months, in month 3 of the year: .* dates a quarter by its first"
    ):
        fred(one("GDP", "2024-03-31,100", "2024-06-30,101"))


def test_patterns_and_archives_are_found(tmp_path, fred):
    fred(one("A", "2024-01-01,1") | one("B", "2024-01-01,2"))
    assert read_fred(tmp_path / "*.csv").columns.tolist() == ["month", "A", "B"]
    archive = tmp_path / "fred.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(tmp_path / "A.csv", "A.csv")
        packed.writestr("README.txt", "FRED")
    assert read_fred(archive, extract_to=tmp_path / "plain").columns.tolist() == ["month", "A"]
    with pytest.raises(DataError, match="There is no file of FRED"):
        read_fred(tmp_path / "C.csv")


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    file = tmp_path / "bom.csv"
    file.write_bytes("observation_date,UNRATE\n2024-01-01,3.7\n".encode("utf-8-sig"))
    assert read_fred(file)["month"].tolist() == [pd.Timestamp(2024, 2, 1)]
