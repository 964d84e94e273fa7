"""Spells in a file are the same spells."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churnsurv.data import SpellFile, build_spells, load_example, write_spells
from churnsurv.exceptions import DataError
from tests.data.tables import RULES, loan_table, performance_table, rules


@pytest.fixture(scope="module")
def example():
    portfolio = load_example()
    # 600 loans are enough, some of them with a gap
    loans = portfolio.loans.head(600)
    rows = portfolio.performance[portfolio.performance["loan_id"].isin(loans["loan_id"])]
    dropped = rows.sample(frac=0.02, random_state=4).index
    return loans, rows.drop(index=dropped), portfolio.rules.model_copy(update={"season": True}), portfolio.macro


@pytest.fixture(scope="module")
def spells(example):
    loans, performance, given, macro = example
    return build_spells(loans, performance, given, macro=macro)


@pytest.fixture(scope="module")
def stored(example, tmp_path_factory):
    loans, performance, given, macro = example
    return write_spells(tmp_path_factory.mktemp("spells") / "s.parquet", loans, performance, given, macro=macro)


def test_loaded_spells_are_those_built_in_memory(spells, stored):
    loaded = stored.load()
    pd.testing.assert_frame_equal(loaded.frame, spells.frame)
    pd.testing.assert_frame_equal(loaded.ahead, spells.ahead)
    assert loaded.rules == spells.rules
    pd.testing.assert_frame_equal(loaded.cleaning, spells.cleaning)
    assert "gap" in set(stored.cleaning["rule"])
    assert len(stored) == len(spells)


def test_the_reconciliation_is_the_same(spells, stored):
    pd.testing.assert_frame_equal(stored.reconciliation, spells.reconciliation)
    pd.testing.assert_frame_equal(stored.load().reconciliation, spells.reconciliation)


@pytest.mark.parametrize("date", ["2023-01-31", "2025-09-30", "2026-09-30"])
def test_cohorts_are_the_same(spells, stored, date):
    cohort, expected = stored.landmark(date), spells.landmark(date)
    assert cohort.date == expected.date
    in_order = [c.frame.sort_values("loan_id").reset_index(drop=True) for c in (cohort, expected)]
    pd.testing.assert_frame_equal(*in_order)


def test_batches_are_the_spells_in_pieces(spells, stored):
    batches = list(stored.batches(["loan_id", "start", "rate_incentive"], size=1000))
    assert len(batches) > 3
    whole = pa.Table.from_batches(batches).to_pandas()
    pd.testing.assert_frame_equal(whole, spells.frame[["loan_id", "start", "rate_incentive"]])
    assert next(iter(stored.batches())).schema.names == list(spells.frame.columns)


def test_a_file_that_is_there_is_left_alone_unless_asked_for(tmp_path):
    file = tmp_path / "spells.parquet"
    tables = loan_table((1, 0, 12)), performance_table((1, 0, "open", 600))
    write_spells(file, *tables, RULES)
    before = file.read_bytes()
    with pytest.raises(DataError, match=r"spells.parquet' exists and is left as it is"):
        write_spells(file, *tables, RULES)
    assert file.read_bytes() == before
    again = write_spells(
        file, *tables, rules(causes={"it's": ["prepaid"]}, open=["open", "charged off"]), overwrite=True
    )
    assert again.rules.cause_names == ("it's",)


def test_what_fails_leaves_nothing_behind(tmp_path):
    with pytest.raises(DataError, match="No row of the performance table is usable"):
        write_spells(tmp_path / "s.parquet", loan_table((1, 0, 12)), performance_table((2, 0, "open", 600)), RULES)
    with pytest.raises(DataError, match="which the rules do not explain"):
        write_spells(tmp_path / "s.parquet", loan_table((1, 0, 12)), performance_table((1, 0, "lost", 600)), RULES)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="is no folder"):
        write_spells(tmp_path / "x" / "s.parquet", loan_table((1, 0, 12)), performance_table((1, 0, "open", 1)), RULES)


def test_other_files_are_refused(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="is no file of spells"):
        SpellFile.open(tmp_path / "other.parquet")
    with pytest.raises(DataError, match="is no file of spells"):
        SpellFile.open(tmp_path / "text.parquet")
    with pytest.raises(DataError, match="There is no file"):
        SpellFile.open(tmp_path / "absent.parquet")


def test_a_small_memory_limit_changes_nothing(example, stored, tmp_path):
    loans, performance, given, macro = example
    file = tmp_path / "s.parquet"
    again = write_spells(file, loans, performance, given, macro=macro, memory_limit="100MB", progress=True)
    pd.testing.assert_frame_equal(again.load().frame, stored.load().frame)
    assert "600 loans" in repr(again)
