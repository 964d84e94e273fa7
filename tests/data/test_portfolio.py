import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.data import Portfolio, SpellRules, build_spells, load_example, simulate
from churnsurv.data.portfolio import example_folder
from churnsurv.data.synthetic_truth import COEFFICIENTS, baseline_hazard, hazards
from churnsurv.exceptions import ConfigError, DataError

ROOT = Path(__file__).resolve().parents[2]
TABLES = ("loans", "performance", "macro", "interventions")


@pytest.fixture(scope="module")
def example():
    return load_example()


@pytest.fixture(scope="module")
def spells(example):
    return build_spells(example.loans, example.performance, example.rules, macro=example.macro)


def test_the_shipped_portfolio_is_what_its_command_generates(example):
    again = simulate(example.truth["n_loans"], seed=example.truth["seed"], as_of=example.truth["as_of"])
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(example, name), getattr(again, name), check_exact=True)
    versions = {"versions": None}
    assert example.truth | versions == again.truth | versions


def test_the_rules_of_the_shipped_portfolio_are_those_of_the_quarterly_report(example):
    assert SpellRules.from_toml(ROOT / "reports" / "quarterly.toml") == example.rules


def test_the_shipped_portfolio_is_small():
    size = sum(file.stat().st_size for file in example_folder().iterdir())
    assert size < 2 * 2**20


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


@pytest.mark.parametrize(
    ("arguments", "message"), [({"n_loans": 10}, "at least 100"), ({"as_of": "2026-09-15"}, "not the end of a month")]
)
def test_a_portfolio_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        simulate(**arguments)


def test_the_same_seed_gives_the_same_portfolio_and_another_seed_another():
    first, again, other = simulate(100, seed=1), simulate(100, seed=1), simulate(100, seed=2)
    pd.testing.assert_frame_equal(first.performance, again.performance)
    assert not first.loans["amount"].equals(other.loans["amount"])


def test_the_portfolio_has_the_number_of_loans_asked_for_and_ends_at_the_date():
    portfolio = simulate(333, seed=1, as_of="2025-12-31")
    assert len(portfolio.loans) == portfolio.performance["loan_id"].nunique() == 333
    assert portfolio.performance["month"].max() == pd.Timestamp("2025-12-31")
    assert portfolio.loans["origination_date"].max() <= pd.Timestamp("2025-12-31")


def test_the_tables_need_no_cleaning(spells):
    assert spells.cleaning["rule"].tolist() == ["late entry", "same-period entry and exit"]
    assert spells.left_out == {}


def test_attrition_and_default_are_as_frequent_as_lenders_see_them(spells):
    yearly = spells.frame.groupby(spells.frame["period"].dt.year)["cause"].value_counts(normalize=True).unstack() * 12
    assert yearly["attrition"].between(0.10, 0.20).all()
    assert yearly["default"].between(0.01, 0.032).all()


def test_about_a_third_of_the_loans_or_more_enter_late(spells):
    first = spells.frame.drop_duplicates("loan_id")
    assert 0.33 < (first["start"] > 0).mean() < 0.5


def test_customers_hold_several_loans_in_branches_of_one_region(example):
    assert 1.2 < len(example.loans) / example.loans["customer_id"].nunique() < 2
    assert example.loans.groupby("branch")["region"].nunique().max() == 1
    assert example.loans.groupby("customer_id")["branch"].nunique().max() == 1


def test_values_lie_in_their_units(example):
    performance, loans = example.performance, example.loans
    assert performance["credit_score"].between(300, 850).all()
    assert performance["csat"].between(1, 5).all()
    assert performance["loyalty_tier"].between(0, 3).all()
    assert performance["debt_to_income"].between(0, 100).all()
    assert loans["contract_rate"].between(2, 20).all()
    assert example.macro["unemployment_rate"].between(2, 14).all()
    assert (performance["balance"] <= performance["loan_id"].map(loans.set_index("loan_id")["amount"])).all()


def test_the_covariates_are_correlated_as_in_life(example):
    correlation = example.performance[["credit_score", "debt_to_income", "fees_12m", "response_hours", "csat"]].corr()
    assert correlation.loc["credit_score", "debt_to_income"] < -0.2
    assert correlation.loc["credit_score", "fees_12m"] < -0.2
    assert correlation.loc["response_hours", "csat"] < -0.1


def test_the_offer_is_tossed_by_a_fair_coin_among_open_loans(example, spells):
    offers = example.interventions.query("intervention == 'rate_offer'")
    assert offers["assigned_on"].unique().tolist() == [pd.Timestamp("2025-09-30")]
    n, treated = len(offers), int((offers["arm"] == "offer").sum())
    assert abs(treated - n / 2) < 4 * np.sqrt(n / 4)
    cohort = spells.landmark("2025-09-30").frame.set_index("loan_id")
    assert set(offers["loan_id"]) <= set(cohort.index)
    # the flag known at the date is the arm, and is 0 before and for everyone else
    arm = offers.set_index("loan_id")["arm"] == "offer"
    np.testing.assert_array_equal(cohort.loc[arm.index, "rate_offer"], arm)
    assert cohort.drop(arm.index)["rate_offer"].sum() == 0
    assert spells.frame.query("period < '2025-10-01'")["rate_offer"].fillna(0).sum() == 0


def test_the_rollout_shortens_the_response_of_switched_branches_only(example):
    performance = example.performance.merge(example.loans[["loan_id", "branch"]], on="loan_id")
    by_branch = performance.groupby(["branch", "faster_service"])["response_hours"].mean().unstack()
    switched = by_branch.dropna()
    assert len(by_branch) - len(switched) == 8
    assert (switched[1] / switched[0]).between(0.5, 0.75).all()
    exposed = example.interventions.query("intervention == 'faster_service'")
    ever = performance.groupby("loan_id")["faster_service"].max()
    # a loan that left in the month of the switch shows the flag but met it only after leaving
    assert set(exposed["loan_id"]) <= set(ever.index[ever == 1])


def test_the_truth_names_every_covariate_of_both_hazards(example, spells):
    truth = example.truth
    terms = truth["formula"].split(" + ")
    assert sorted(terms) == sorted(spells.X.columns)
    assert all(list(coefficients) == terms for coefficients in truth["coefficients"].values())
    assert json.loads((example_folder() / "truth.json").read_text()) == truth


def test_the_hazard_is_the_baseline_at_the_centre_and_multiplies_by_the_stated_ratio(example):
    age = np.array([10.0])
    centre = {name: np.array([float(value)]) for name, value in example.truth["centre"].items()}
    at_centre = hazards(age, centre)
    assert at_centre["attrition"] == baseline_hazard("attrition", age)
    np.testing.assert_allclose(at_centre["default"], example.truth["baseline_hazard_by_age"]["default"][10], rtol=1e-4)
    more = hazards(age, centre | {"complaints_12m": centre["complaints_12m"] + 2})
    ratio = more["attrition"] / at_centre["attrition"]
    np.testing.assert_allclose(ratio, np.exp(2 * COEFFICIENTS["attrition"]["complaints_12m"]))
    assert more["default"] == at_centre["default"]


def test_a_fit_on_the_shipped_portfolio_is_near_the_truth(example, spells):
    from scipy.stats import chi2

    complete = spells.complete()
    model = cs.CauseSpecificCox(example.truth["formula"]).fit(complete.X, complete.y)
    for cause, fitted in model.models_.items():
        difference = fitted.coef_ - pd.Series(example.truth["coefficients"][cause])[fitted.coef_.index]
        statistic = difference @ np.linalg.solve(fitted.covariance_, difference)
        assert chi2.sf(statistic, len(difference)) > 0.001


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed is -1; give a whole number from 0"),
        ({"seed": 1.5}, "seed is 1.5; give a whole number"),
        ({"n_loans": 100.5}, "n_loans is 100.5; give a whole number"),
        ({"n_loans": "100"}, "n_loans is '100'; give a whole number"),
        ({"as_of": "30.09.2026"}, "'30.09.2026' is no date"),
        ({"as_of": "1700-01-31"}, "not the end of a month from 1900"),
    ],
)
def test_arguments_of_the_wrong_kind_are_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        simulate(**arguments)
