"""A warehouse runs the same expression: the spells of PostgreSQL are those of DuckDB."""

import ibis
import pandas as pd
import pytest

from churnsurv.data import SpellRules, build_spells, check_tables, write_spells
from churnsurv.data.rule_tables import Covariates
from churnsurv.exceptions import DataError
from tests.data import postgres, test_spells_exits, test_spells_history
from tests.data.test_spells_sources import GIVEN, LOANS, PERFORMANCE, TABLES, same
from tests.real.panel import FOLDER, ROOT, needs_panel

pytestmark = pytest.mark.skipif(
    postgres.programs() is None,
    reason="PostgreSQL is not installed: neither initdb on the PATH nor /usr/lib/postgresql/*/bin (apt install postgresql)",
)


@pytest.fixture(scope="module")
def warehouse():
    with postgres.server() as folder:
        connection = ibis.postgres.connect(host=str(folder), user="lender", database="postgres")
        yield connection
        connection.disconnect()


@pytest.fixture
def stored(warehouse):
    """Give a function that stores frames and gives them as tables of the warehouse."""
    made = []

    def store(**frames):
        for name, frame in frames.items():
            warehouse.create_table(name, frame, overwrite=True)
            made.append(name)
        return {name: warehouse.table(name) for name in frames}

    yield store
    for name in made:
        warehouse.drop_table(name, force=True)


def ours(warehouse):
    """Give the tables that are there, without the temporary ones of Ibis itself."""
    return sorted(name for name in warehouse.list_tables() if not name.startswith("ibis_"))


def test_the_spells_are_those_of_duckdb(stored, warehouse):
    same(build_spells(rules=GIVEN, **stored(**TABLES)), build_spells(rules=GIVEN, **TABLES))
    assert ours(warehouse) == sorted(TABLES)


def test_frames_are_sent_to_the_warehouse_of_the_others(stored, warehouse):
    table = stored(performance=PERFORMANCE)["performance"]
    same(build_spells(LOANS, table, GIVEN, macro=TABLES["macro"]), build_spells(rules=GIVEN, **TABLES))
    assert ours(warehouse) == ["performance"]


def test_truth_values_are_those_of_duckdb(stored):
    given = GIVEN.model_copy(
        update={"covariates": Covariates(loans=("amount", "secured"), performance=("score", "paid"))}
    )
    tables = TABLES | {
        "loans": LOANS.assign(secured=pd.array([True, False, None], dtype="boolean")),
        "performance": PERFORMANCE.assign(paid=PERFORMANCE["status"] == "prepaid"),
    }
    same(build_spells(rules=given, **stored(**tables)), build_spells(rules=given, **tables))


def test_windows_lags_and_burnout_are_those_of_duckdb(stored):
    loans = test_spells_history.loan_table((1, -3, 60), (2, 0, 60)).assign(
        region=["north", "south"], contract_rate=[5.2, 6.1]
    )
    months = (0, 1, 2, 3, 5, 6, 7, 8)
    performance = test_spells_history.performance_table(
        *[(loan, n, "open", 600 + n) for loan in (1, 2) for n in months]
    ).assign(dues=[float(n % 3) for n in range(16)])
    tables = {"loans": loans, "performance": performance, "macro": test_spells_history.MACRO}
    same(
        build_spells(rules=test_spells_history.HISTORY, **stored(**tables)),
        build_spells(rules=test_spells_history.HISTORY, **tables),
    )


def test_loans_told_by_their_last_row_are_those_of_duckdb(stored):
    table = test_spells_exits.per_loan((1, 0, 12, 2, "prepaid"), (2, 1, 12, 1, "charged off"), (3, 0, 3, 5, "prepaid"))
    tables = stored(ends=table)
    given = test_spells_exits.PER_LOAN
    same(build_spells(tables["ends"], tables["ends"], given), build_spells(table, table, given))


def test_faults_are_named_as_on_duckdb(stored):
    tables = stored(**(TABLES | {"performance": PERFORMANCE.assign(month="soon")}))
    with pytest.raises(DataError, match=r"'month' holds 13 values that are no date \(loan 1, 2, 3, e.g. 'soon'\)"):
        build_spells(rules=GIVEN, **tables)
    checks = check_tables(rules=GIVEN, **tables)
    assert (checks["status"] == "error").sum() == 1


def test_the_check_and_the_file_are_those_of_duckdb(stored, tmp_path):
    tables = stored(**TABLES)
    pd.testing.assert_frame_equal(check_tables(rules=GIVEN, **tables), check_tables(rules=GIVEN, **TABLES))
    files = [write_spells(tmp_path / f"{i}.parquet", rules=GIVEN, **t) for i, t in enumerate((tables, TABLES))]
    pd.testing.assert_frame_equal(files[0].load().frame, files[1].load().frame)


@needs_panel
def test_the_public_panel_gives_the_same_spells_in_the_warehouse(stored):
    rules = SpellRules.from_toml(ROOT / "reports" / "mortgage.toml")
    panel, macro = (pd.read_parquet(FOLDER / f"{n}.parquet") for n in ("dcr_mortgage_panel", "macro_monthly"))
    tables = stored(panel=panel, macro=macro)
    of_warehouse = build_spells(None, tables["panel"], rules, macro=tables["macro"])
    expected = build_spells(None, panel, rules, macro=macro)
    pd.testing.assert_frame_equal(of_warehouse.frame, expected.frame)
    pd.testing.assert_frame_equal(of_warehouse.cleaning, expected.cleaning)
