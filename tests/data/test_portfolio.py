import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from churnsurv.data import Portfolio, SpellRules, load_example, simulate
from churnsurv.data.portfolio import example_folder
from churnsurv.data.synthetic.hazards import COEFFICIENTS, baseline_hazard, hazards
from churnsurv.exceptions import ConfigError, DataError
from tests.shipped import shipped

ROOT = Path(__file__).resolve().parents[2]
TABLES = ("loans", "performance", "macro", "interventions")


def numbers_of(record, prefix=""):
    """Give the leaves of nested dicts and lists by their path."""
    items = record.items() if isinstance(record, dict) else enumerate(record) if isinstance(record, list) else None
    if items is None:
        return {prefix: record}
    return {path: leaf for key, value in items for path, leaf in numbers_of(value, f"{prefix}/{key}").items()}


@pytest.fixture(scope="module")
def example():
    return shipped()[0]


@pytest.fixture(scope="module")
def spells():
    return shipped()[1]


def test_the_shipped_portfolio_is_what_its_command_generates(example):
    truth = example.truth
    again = simulate(truth["n_loans"], seed=truth["seed"], as_of=truth["as_of"], drift="population")
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(example, name), getattr(again, name), check_exact=True)
    assert numbers_of(truth | {"versions": None}) == pytest.approx(
        numbers_of(again.truth | {"versions": None}), abs=2e-6
    )


def test_the_rules_of_the_shipped_portfolio_are_those_of_the_quarterly_report(example):
    assert SpellRules.from_toml(ROOT / "reports" / "quarterly.toml") == example.rules


def test_the_shipped_portfolio_is_small():
    size = sum(file.stat().st_size for file in example_folder().iterdir())
    assert size < 3 * 2**20


def test_an_installed_package_reads_its_own_copy(tmp_path):
    package = tmp_path / "churnsurv" / "data"
    shutil.copytree(example_folder(), package / "shipped")
    assert example_folder(package) == package / "shipped"


def test_a_package_without_the_portfolio_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(DataError, match="shipped.*nor in"):
        example_folder(tmp_path / "churnsurv" / "data")


def test_the_build_puts_the_portfolio_into_the_package():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"] == {
        "data/synthetic": "churnsurv/data/shipped"
    }


def test_a_saved_portfolio_is_read_back_unchanged(tmp_path):
    portfolio = simulate(150, seed=3)
    again = Portfolio.load(portfolio.save(tmp_path / "new" / "folder"))
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(portfolio, name), getattr(again, name))
    assert portfolio.truth == again.truth


def test_a_folder_without_a_table_is_refused_naming_it(tmp_path):
    simulate(100, seed=3).save(tmp_path)
    (tmp_path / "macro.parquet").unlink()
    with pytest.raises(DataError, match="has no macro.parquet"):
        Portfolio.load(tmp_path)


def test_the_tables_need_no_cleaning(spells):
    assert spells.cleaning["rule"].tolist() == ["late entry", "same-period entry and exit"]
    assert spells.left_out == {}


def test_the_portfolio_of_the_quarter_before_is_what_was_known_then(example):
    earlier = load_example(as_of="2026-06-30")
    assert earlier.performance["month"].max() == earlier.macro["month"].max() == pd.Timestamp("2026-06-30")
    assert earlier.loans["origination_date"].max() <= pd.Timestamp("2026-06-30")
    assert len(earlier.loans) == earlier.performance["loan_id"].nunique() == earlier.truth["n_loans"] < 5_000
    assert earlier.interventions["assigned_on"].max() <= pd.Timestamp("2026-06-30")
    # a row delivered then is a row delivered now
    now = example.performance.merge(earlier.performance[["loan_id", "month"]])
    pd.testing.assert_frame_equal(now, earlier.performance)
    assert set(earlier.interventions["loan_id"]) <= set(earlier.loans["loan_id"])
    assert list(earlier.truth["cumulative_incidence"]) == ["2026-06-30"]
    assert earlier.truth["coefficients"] == example.truth["coefficients"]


def test_an_uptake_that_came_later_was_not_known_then(example):
    date = pd.Timestamp("2025-03-31")
    earlier = example.until(date)
    joined = example.interventions.query("intervention == 'loyalty_programme'")["uptake_on"]
    assert (joined > date).any()
    assert earlier.interventions["uptake_on"].max() == date
    assert (earlier.interventions["uptake_on"] == date).sum() == (joined == date).sum()
    assert "rate_offer" not in earlier.truth["interventions"]


def test_a_date_without_data_is_refused(example):
    with pytest.raises(DataError, match="2022-12-31 lies outside the observed time: give a date from 2023-01-31 to"):
        example.until("2022-12-31")
    with pytest.raises(DataError, match="'2026-06' is no date"):
        load_example(as_of="2026-06")


def test_the_customers_drifted_in_the_last_quarter_and_the_truth_says_by_how_much(example):
    drift = example.truth["drift"]
    assert drift["since"] == "2026-07"
    assert drift["coefficients"] == {}
    rows = example.performance.set_index("month")
    for name, shift in drift["covariates"].items():
        moved = rows.loc["2026-07-31", name].mean() - rows.loc["2026-06-30", name].mean()
        assert moved == pytest.approx(shift, rel=0.25)
        before = rows.loc["2026-06-30", name].mean() - rows.loc["2026-05-31", name].mean()
        assert abs(before) < abs(shift) / 5


def test_the_truth_names_every_covariate_of_the_hazards(example, spells):
    truth = example.truth
    terms = truth["formula"].split(" + ")
    assert sorted(terms) == sorted(spells.X.columns)
    assert list(truth["coefficients"]) == truth["causes"] == list(spells.y.causes)
    assert all(list(coefficients) == terms for coefficients in truth["coefficients"].values())
    for cause, formula in truth["formulas"].items():
        in_hazard = {name for name, coefficient in truth["coefficients"][cause].items() if coefficient != 0}
        assert in_hazard <= set(formula.split(" + ")) <= set(terms)
    assert json.loads((example_folder() / "truth.json").read_text()) == truth


def test_the_hazard_is_the_baseline_at_the_centre_and_multiplies_by_the_stated_ratio(example):
    age = np.array([10.0])
    centre = {name: np.array([float(value)]) for name, value in example.truth["centre"].items()}
    at_centre = hazards(age, centre, COEFFICIENTS)
    assert at_centre["attrition"] == baseline_hazard("attrition", age)
    for cause, hazard in at_centre.items():
        np.testing.assert_allclose(hazard, example.truth["baseline_hazard_by_age"][cause][10], rtol=1e-4)
    more = hazards(age, centre | {"complaints_12m": centre["complaints_12m"] + 2}, COEFFICIENTS)
    ratio = more["attrition"] / at_centre["attrition"]
    np.testing.assert_allclose(ratio, np.exp(2 * COEFFICIENTS["attrition"]["complaints_12m"]))
    assert more["default"] == at_centre["default"]


def test_a_folder_with_a_portfolio_is_left_alone_unless_told_otherwise(tmp_path):
    simulate(100, seed=3).save(tmp_path)
    before = (tmp_path / "truth.json").read_bytes()
    with pytest.raises(ConfigError, match="already has loans.parquet, .*nothing was written.*overwrite=True"):
        simulate(100, seed=4).save(tmp_path)
    assert (tmp_path / "truth.json").read_bytes() == before
    simulate(100, seed=4).save(tmp_path, overwrite=True)
    assert Portfolio.load(tmp_path).truth["seed"] == 4


def test_one_file_of_a_portfolio_is_enough_to_leave_a_folder_alone(tmp_path):
    (tmp_path / "macro.parquet").write_text("mine")
    with pytest.raises(ConfigError, match="already has macro.parquet;"):
        simulate(100, seed=4).save(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["macro.parquet"]
    with pytest.raises(ConfigError, match="is a file"):
        simulate(100, seed=4).save(tmp_path / "macro.parquet")


@pytest.mark.parametrize("name", ["loans.parquet", "truth.json"])
def test_a_damaged_file_is_named(tmp_path, name):
    simulate(100, seed=3).save(tmp_path)
    (tmp_path / name).write_bytes(b"\xff{ not this")
    with pytest.raises(DataError, match=f"{name}' cannot be read"):
        Portfolio.load(tmp_path)
