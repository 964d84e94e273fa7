"""The catalogue covers every cause, intervention and requirement of the domain; what is misspelt is refused."""

import pkgutil
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.data.catalogue import SHIPPED, read_catalogue
from churnsurv.data.catalogue_page import page
from churnsurv.exceptions import ConfigError, DataError

#: reference → column, kind, sign of attrition; the columns of the domain's table of causes
DOMAIN = {
    "C1": [
        ("income_change_12m", "T", ""),
        ("unemployed", "T", ""),
        ("expense_shock_3m", "T", ""),
        ("credit_score", "T", ""),
        ("credit_score_change_6m", "T", ""),
        ("debt_to_income", "T", ""),
    ],
    "C2": [("days_past_due_max_12m", "T", "+"), ("balance_slope_3m", "T", "+")],
    "C3": [("contract_rate", "S", "+"), ("rate_incentive", "T", "+")],
    "C4": [("term", "S", ""), ("term_gap", "S", "+"), ("amount_gap", "S", "+"), ("top_up_declined", "T", "+")],
    "C5": [("fees_12m", "T", "+"), ("penalties_12m", "T", "+")],
    "C6": [("response_hours", "T", "+"), ("sla_breaches_90d", "T", "+")],
    "C7": [("complaints_12m", "T", "+"), ("csat", "T", "-"), ("attitude_score", "T", "-")],
    "C8": [("approval_days", "S", "+"), ("application_steps", "S", "+")],
    "C9": [
        # the cause, cheaper rivals, has a plus: the rate of the rivals then has a minus
        ("market_rate", "X", "-"),
        ("fee_gap", "X", "+"),
        ("flexibility_gap", "X", "+"),
        ("rival_service_score", "X", "+"),
        ("rival_products", "X", "+"),
        ("fintech_share", "X", "+"),
    ],
    "C10": [
        (name, "T", "+")
        for name in ("moved_12m", "job_change_12m", "married_12m", "divorced_12m", "retired_12m", "disabled_12m")
    ],
    "C11": [
        ("outage_minutes", "X", "+"),
        ("latency_ms", "X", "+"),
        ("app_crashes_30d", "T", "+"),
        ("digital_completion", "T", "-"),
    ],
    # by column: the sign of the policy rate depends on the contracts, that of growth is open
    "C12": [("unemployment_rate", "M", "-"), ("policy_rate", "M", ""), ("gdp_growth", "M", "")],
    "C13": [("months_since_contact", "T", "+"), ("needs_review_age", "T", "+"), ("personalised_share", "T", "-")],
    "C14": [("nps", "T", "-"), ("loyalty_tier", "T", "-"), ("products_held", "T", "-")],
    "C15": [("negative_news_30d", "X", "+"), ("misconduct_event", "X", "+")],
    "C16": [("regulation_step", "X", ""), ("regulatory_cost", "X", "")],
    "C17": [("share_over_65", "M", ""), ("net_migration", "M", "")],
    "C18": [("disaster", "M", "+")],
}
DERIVED = ["burnout", "loan_age", "rate_incentive", "season", "vintage"]
ROLES = [
    "amount", "balance", "branch", "customer_id", "loan_id", "origination_date", "product", "region", "segment",
]  # fmt: skip
#: reference → designs named by the domain, the first one first
DESIGNS = {
    "I1": ["Randomised"],
    "I2": ["Randomised", "StaggeredRollout"],
    "I3": ["observational with weighting"],
    "I4": ["observational with weighting"],
    "I5": ["StaggeredRollout", "Randomised"],
    "I6": ["StaggeredRollout"],
    "I7": ["Encouragement", "TimeVaryingTreatment"],
    "I8": ["Encouragement", "observational with weighting"],
    "I9": ["Encouragement"],
    "I10": ["StaggeredRollout"],
    "I11": ["StaggeredRollout"],
}


@pytest.fixture
def columns():
    return cs.data.covariates().set_index("column")


@pytest.mark.parametrize("reference", DOMAIN)
def test_every_column_of_a_cause_is_there_with_its_kind_and_sign(columns, reference):
    rows = columns[columns["reference"] == reference]
    assert list(zip(rows.index, rows["letter"], rows["expected_attrition"], strict=True)) == DOMAIN[reference]


def test_nothing_is_there_beside_the_causes_the_derived_columns_and_the_roles(columns):
    of_causes = [name for entries in DOMAIN.values() for name, _, _ in entries]
    assert sorted(columns.index) == sorted({*of_causes, *DERIVED, *ROLES})
    assert sorted(columns.index[columns["kind"] == "derived"]) == DERIVED
    assert sorted(columns.index[columns["family"] == "portfolio"]) == ROLES


def test_distress_raises_default(columns):
    signs = columns.loc[[name for name, _, _ in DOMAIN["C1"]], "expected_default"]
    assert signs.tolist() == ["-", "+", "+", "-", "-", "+"]
    assert columns.loc["days_past_due_max_12m", "expected_default"] == "+"


def test_signs_of_the_simulated_truth_are_none_that_the_catalogue_contradicts(columns):
    truth = cs.data.load_example().truth["coefficients"]
    checked = 0
    for cause, coefficients in truth.items():
        for name, value in coefficients.items():
            expected = columns[f"expected_{cause}"].get(name, "")
            if expected and value:
                assert (value > 0) == (expected == "+"), (cause, name)
                checked += 1
    assert checked >= 15


def test_columns_of_the_shipped_tables_are_those_of_the_catalogue(columns):
    portfolio = cs.data.load_example()
    known = {
        "loans": set(portfolio.loans),
        "performance": set(portfolio.performance),
        "macro": set(portfolio.macro),
    }
    for table, names in known.items():
        shared = columns.loc[[name for name in columns.index if name in names and name not in ("loan_id", "region")]]
        assert (shared["table"] == table).all(), shared["table"]
        assert len(shared) >= 2


def test_texts_are_there_and_names_are_unique(columns):
    assert columns.index.is_unique
    assert columns["label"].is_unique
    assert (columns["description"].str.len() > 30).all()
    assert columns["description"].str.endswith(".").all()
    for frame in (cs.data.interventions(), cs.data.requirements()):
        assert frame["reference"].is_unique


def test_lags_are_given_where_a_value_is_not_known_at_once(columns):
    assert columns.loc[columns["table"].isin(["performance", "macro"]), "lag"].ge(1).all()
    assert columns.loc[columns["table"] == "loans", "lag"].isna().all()
    assert columns.loc[["unemployment_rate", "policy_rate", "gdp_growth"], "lag"].tolist() == [2, 1, 5]
    assert (columns.loc[columns["lag"].gt(1), "lag_note"] != "").all()


def test_a_lag_of_the_catalogue_is_one_the_rules_take(columns):
    lags = columns.loc[["unemployment_rate", "gdp_growth"], "lag"].to_dict()
    rules = cs.data.SpellRules(
        origination="opened",
        observed="month",
        status="status",
        open=["open"],
        causes={"attrition": ["prepaid"]},
        covariates={"macro": list(lags)},
        macro={"period": "month"},
        lags=lags,
    )
    assert rules.lag_of("gdp_growth") == 5


def test_interventions_have_the_designs_of_the_domain():
    known = cs.data.interventions().set_index("reference")
    assert list(known.index) == list(DESIGNS)
    for reference, designs in DESIGNS.items():
        assert list(known.loc[reference, "designs"])[: len(designs)] == designs
    assert (known["safety"] == "default").all()
    # given to the distressed: default counts as much as attrition
    assert known.index[known["outcome"] == "attrition and default"].tolist() == ["I3", "I4"]


def test_interventions_work_through_known_columns(columns):
    known = cs.data.interventions()
    assert set(known["covariates"].explode()) <= set(columns.index)
    assert set(columns.loc[known["covariates"].explode(), "role"]) == {"covariate"}


def test_requirements_are_all_there():
    known = cs.data.requirements()
    assert known["reference"].tolist() == [f"P{number}" for number in range(1, 10)]
    assert known.set_index("reference").loc["P6", "covariates"] == (
        "market_rate", "rate_incentive", "fee_gap", "flexibility_gap", "rival_service_score",
    )  # fmt: skip


def test_frames_are_copies():
    mine = cs.data.covariates()
    mine.loc[0, "label"] = "other"
    assert cs.data.covariates().loc[0, "label"] != "other"


def test_words_go_into_a_table_of_hazard_ratios():
    rng = np.random.default_rng(0)
    n = 300
    X = pd.DataFrame(
        {
            "credit_score": rng.normal(690, 40, n),
            "moved_12m": rng.integers(0, 2, n),
            "season": rng.choice(["1", "7"], n),
            "own_column": rng.normal(size=n),
        }
    )
    y = cs.Outcome(rng.integers(1, 30, n), rng.integers(0, 3, n), causes=("payoff", "default"))
    model = cs.CauseSpecificCox("credit_score + moved_12m + C(season) + own_column").fit(X, y)
    words = cs.data.catalogue_words(X, causes={"payoff": "attrition", "default": "default"})
    frame = cs.report.hazard_ratio_table(model, **words).to_frame().set_index(["model", "term"])
    shown = frame.loc[("payoff", "moved_12m"), ["group", "label", "per", "expected"]].tolist()
    assert shown == ["Life events", "Moved, last 12 months", "yes vs no", "+"]
    assert frame.loc[("default", "credit_score"), ["per", "expected"]].tolist() == ["per +20 points", "-"]
    assert frame.loc[("payoff", "credit_score"), "expected"] == ""
    assert frame.loc[("payoff", "C(season)[T.7]"), "label"] == "Season: 7 vs 1"
    assert frame.loc[("payoff", "own_column"), "label"] == "Own column"
    coef = model.models_["default"].coef_["credit_score"]
    assert frame.loc[("default", "credit_score"), "hazard_ratio"] == pytest.approx(np.exp(20 * coef))


def test_a_cause_without_signs_is_refused():
    with pytest.raises(DataError, match=r"No sign is stated for the cause 'payoff'.*causes=\{'payoff': 'attrition'\}"):
        cs.data.catalogue_words(["csat"], causes=["payoff"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "static"', 'kind = "fixed"', r"contract_rate: \[covariates\] kind: .*'static', 'varying'"),
        ('unit = "hours"', 'units = "hours"', r"response_hours: .*no key 'units'. Did you mean 'unit'\?"),
        ('expected = { default = "-" }', 'expected = { defalt = "-" }', "no key 'defalt'. Did you mean 'default'"),
        ('expected = { default = "-" }', 'expected = { default = "minus" }', "income_change_12m: .*expected. default"),
        ("per = 8", "per = 0", "response_hours: .*per: .*greater than 0"),
        ("per = 8", "per = inf", "response_hours: .*per: .*finite"),
        ('column = "csat"', 'column = "nps"', "has the column 'nps' twice"),
        ('label = "Response time"', 'label = "Term"', "has the label 'Term' twice"),
        ('reference = "I2"', 'reference = "I1"', "has the reference 'I1' twice"),
        ('reference = "I2"', 'reference = "2"', r"2: \[interventions\] reference"),
        ('covariates = ["nps",', 'covariates = ["npss",', "I9 names 'npss', no column here. Did you mean 'nps'"),
        ('designs = ["Randomised"]', 'designs = ["Randomized"]', "I1: .*designs"),
        ('letter = "T"\n', "", "rate_incentive: .*letter is given for derived columns"),
        ('unit = "0/1"\n', 'unit = "0/1"\nper = 2\n', "unemployed: .*yes against no"),
        ("[[requirements]]", "[[requirement]]", r"\[catalogue\] has no key 'requirement'"),
        ('met_by = "Answers', 'met = "Answers', "P8: .*no key 'met'"),
    ],
)
def test_what_is_misspelt_is_refused_naming_the_entry(tmp_path, old, new, message):
    text = SHIPPED.read_text(encoding="utf-8")
    assert old in text
    file = tmp_path / "catalogue.toml"
    changed = text.replace(old, new) if old == "[[requirements]]" else text.replace(old, new, 1)
    file.write_text(changed, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_catalogue(file)


def test_the_page_is_the_one_that_the_catalogue_writes():
    written = Path(__file__).parents[2] / "docs" / "covariates.md"
    assert written.read_text(encoding="utf-8") == page(), "write it again: python -m churnsurv.data.catalogue_page"


def test_every_row_of_the_page_has_the_cells_of_its_table():
    tables = re.split(r"\n(?=\| Ref )", page())[1:]
    assert [table.count("\n| C") + table.count("\n| I") + table.count("\n| P") for table in tables] == [55, 11, 9]
    for table in tables:
        rows = [line for line in table.splitlines() if line.startswith("|")]
        assert len({line.count(" | ") for line in rows}) == 1


def test_no_module_takes_the_place_of_a_public_name():
    # a package may be the public name itself
    names = {info.name for info in pkgutil.iter_modules(cs.data.__path__) if not info.ispkg}
    assert names.isdisjoint(cs.data.__all__)
