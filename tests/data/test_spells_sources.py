"""The same spells come from frames, files and databases."""

import duckdb
import ibis
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from churnsurv.data import build_spells, check_tables
from churnsurv.exceptions import DataError
from tests.data.tables import RULES, loan_table, performance_table, rules

LOANS = loan_table((1, -2, 12), (2, 0, 12), (3, 0, 12)).assign(region=["n", "s", "n"], contract_rate=[5.0, 6.0, 7.0])
PERFORMANCE = performance_table(
    *[(1, 0, "open", 600), (1, 1, "open", float("nan")), (1, 3, "open", 610), (1, 4, "prepaid", 0)],
    *[(2, 0, "open", 620), (2, 0, "open", 620), (2, 1, "charged off", 0), (2, 2, "open", 1)],
    *[(3, n, "open", 630 + n) for n in range(5)],
)
MACRO = pd.DataFrame(
    {
        "month": pd.date_range("2023-06-01", periods=12, freq="MS").repeat(2),
        "region": ["n", "s"] * 12,
        "market_rate": [4.0 + n / 10 for n in range(24)],
    }
)
GIVEN = rules(
    macro={"period": "month", "region": "region"},
    rate_incentive={"own": "contract_rate", "market": "market_rate"},
    burnout=True,
    season=True,
    windows={"recent": {"column": "score", "width": 2, "statistic": "mean"}},
)
TABLES = {"loans": LOANS, "performance": PERFORMANCE, "macro": MACRO}


@pytest.fixture(scope="module")
def expected():
    return build_spells(rules=GIVEN, **TABLES)


def same(spells, expected):
    pd.testing.assert_frame_equal(spells.frame, expected.frame)
    pd.testing.assert_frame_equal(spells.ahead, expected.ahead)
    pd.testing.assert_frame_equal(spells.cleaning, expected.cleaning)
    pd.testing.assert_frame_equal(spells.reconciliation, expected.reconciliation)


def lazily(frame):
    return pl.from_pandas(frame).lazy()


def as_dataset(frame):
    return pa.dataset.dataset(pa.Table.from_pandas(frame, preserve_index=False))


@pytest.mark.parametrize(
    "convert",
    [pl.from_pandas, lazily, pa.Table.from_pandas, as_dataset, duckdb.from_df, lambda f: f.convert_dtypes()],
    ids=["polars", "polars lazy", "arrow", "dataset", "duckdb", "nullable"],
)
def test_frames_of_all_kinds_give_the_same_spells(convert, expected):
    same(build_spells(rules=GIVEN, **{name: convert(table) for name, table in TABLES.items()}), expected)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "csv.gz"])
def test_files_give_the_same_spells(suffix, expected, tmp_path):
    files = {name: tmp_path / f"{name}.{suffix}" for name in TABLES}
    for name, table in TABLES.items():
        if suffix == "parquet":
            table.to_parquet(files[name])
        else:
            table.to_csv(files[name], index=False)
    same(build_spells(rules=GIVEN, **files), expected)
    same(build_spells(rules=GIVEN, **{name: str(file) for name, file in files.items()}, memory_limit="200MB"), expected)


def test_a_folder_of_parquet_files_is_one_table(expected, tmp_path):
    for part, rows in enumerate((PERFORMANCE.iloc[:5], PERFORMANCE.iloc[5:])):
        (tmp_path / f"year={part}").mkdir()
        rows.to_parquet(tmp_path / f"year={part}" / "rows.parquet")
    same(build_spells(rules=GIVEN, **(TABLES | {"performance": tmp_path})), expected)


def test_ibis_tables_stay_in_their_database_and_others_are_sent_there(expected):
    con = ibis.duckdb.from_connection(duckdb.connect())
    for name, table in TABLES.items():
        con.con.register(f"bank_{name}", table)
    tables = {name: con.table(f"bank_{name}") for name in TABLES}
    same(build_spells(rules=GIVEN, **tables), expected)
    same(build_spells(rules=GIVEN, **(tables | {"macro": MACRO})), expected)
    # nothing is left behind
    assert sorted(con.list_tables()) == sorted(f"bank_{name}" for name in TABLES)
    other = ibis.duckdb.from_connection(duckdb.connect())
    other.con.register("macro", MACRO)
    with pytest.raises(DataError, match="lie in different databases"):
        build_spells(rules=GIVEN, **(tables | {"macro": other.table("macro")}))
    with pytest.raises(DataError, match="limit the database that holds the tables itself"):
        build_spells(rules=GIVEN, memory_limit="1GB", **tables)


def test_dates_of_files_may_be_text_and_times_of_utc(expected, tmp_path):
    as_text = PERFORMANCE.assign(month=PERFORMANCE["month"].dt.strftime("%Y-%m"))
    same(build_spells(rules=GIVEN, **(TABLES | {"performance": pa.Table.from_pandas(as_text)})), expected)
    in_utc = PERFORMANCE.assign(month=PERFORMANCE["month"].dt.tz_localize("UTC"))
    in_utc.to_parquet(tmp_path / "utc.parquet")
    same(build_spells(rules=GIVEN, **(TABLES | {"performance": tmp_path / "utc.parquet"})), expected)
    late = in_utc.assign(month=in_utc["month"] + pd.Timedelta(hours=3))
    late.to_parquet(tmp_path / "late.parquet")
    for table in (tmp_path / "late.parquet", late, pa.Table.from_pandas(late)):
        with pytest.raises(DataError, match="13 times in UTC within 12 hours of the turn of a month .loan 1, 2, 3"):
            build_spells(rules=GIVEN, **(TABLES | {"performance": table}))


def test_missing_numbers_are_missing_in_whatever_form(tmp_path):
    table = pa.table({name: pa.array(PERFORMANCE[name], from_pandas=name != "score") for name in PERFORMANCE})
    pq.write_table(table, tmp_path / "nan.parquet")
    spells = build_spells(LOANS, tmp_path / "nan.parquet", RULES)
    assert spells.frame["score"].isna().sum() == build_spells(LOANS, PERFORMANCE, RULES).frame["score"].isna().sum()


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(DataError, match=r"performance table: there is no file '.*absent.parquet'"):
        build_spells(LOANS, tmp_path / "absent.parquet", RULES)
    (tmp_path / "broken.parquet").write_text("no parquet")
    with pytest.raises(DataError, match=r"loans table: '.*broken.parquet' cannot be read as Parquet"):
        build_spells(tmp_path / "broken.parquet", PERFORMANCE, RULES)
    checks = check_tables(tmp_path / "broken.parquet", PERFORMANCE, RULES)
    assert checks["rule"].tolist() == ["table can be read"]
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(DataError, match=r"macro table: the file '.*empty.csv' is empty"):
        build_spells(LOANS, PERFORMANCE, GIVEN, macro=tmp_path / "empty.csv")
    with pytest.raises(DataError, match="memory_limit='little' is no size"):
        build_spells(LOANS, PERFORMANCE, RULES, memory_limit="little")
    with pytest.raises(DataError, match="No performance table was given"):
        build_spells(LOANS, None, RULES)


def test_the_check_reads_files_too(tmp_path):
    files = {name: tmp_path / f"{name}.parquet" for name in TABLES}
    for name, table in TABLES.items():
        table.to_parquet(files[name])
    pd.testing.assert_frame_equal(check_tables(rules=GIVEN, **files), check_tables(rules=GIVEN, **TABLES))
