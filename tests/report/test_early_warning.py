from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from churnsurv.exceptions import ConfigError
from churnsurv.report import Report, Table, Text, hashed_ids, read_config
from churnsurv.report.contents import chapters_of, made
from churnsurv.report.early_signs import early_signs
from churnsurv.report.outlook import outlook, today
from churnsurv.report.render import render_json
from churnsurv.report.render.html import render_html
from churnsurv.report.sections.early_warning import band, early_warning, most_at_risk
from churnsurv.report.settings import EarlyWarning
from tests.report.sample import EVIL

SALT = "a secret of sixteen or more characters"


@pytest.fixture(scope="module")
def analysis(small_analysis):
    return small_analysis


@pytest.fixture(autouse=True)
def salt(monkeypatch):
    monkeypatch.setenv("LENDER_SALT", SALT)


def with_list(analysis, terms=None, **given):
    settings = EarlyWarning(**{"salt_variable": "LENDER_SALT", "horizon": 12, "loans": 10, **given})
    update = {"early_warning": settings} | ({"terms": terms} if terms else {})
    other = replace(analysis, config=analysis.config.model_copy(update=update), parts=[])
    vars(other)["model"] = analysis.model
    return other


def table(part, key):
    return next(b for b in part.section.blocks if isinstance(b, Table) and b.key == key)


@pytest.fixture(scope="module")
def part(analysis):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LENDER_SALT", SALT)
        return early_warning(with_list(analysis))


def test_there_is_no_list_unless_it_is_asked_for(small_config, small_report):
    assert "early-warning" not in [c.key for c in chapters_of(read_config(small_config))]
    assert "early-warning" not in [s.key for s in small_report.sections]


@pytest.mark.parametrize("secret", [None, "", "too short"])
def test_without_a_secret_there_is_no_list_but_a_red_finding(analysis, monkeypatch, secret):
    monkeypatch.delenv("LENDER_SALT")
    if secret is not None:
        monkeypatch.setenv("LENDER_SALT", secret)
    asked = with_list(analysis)
    with pytest.raises(ConfigError, match=r"\[early_warning\].*LENDER_SALT.*token_hex"):
        early_warning(asked)
    chapter = next(c for c in chapters_of(asked.config) if c.key == "early-warning")
    failed = made(chapter, asked)
    assert failed.failed
    assert [b.severity for b in failed.section.blocks] == ["red"]


def test_the_loans_listed_are_those_of_the_highest_risk_and_can_be_joined_back(analysis, part):
    view = outlook(analysis, 12)
    rows = table(part, "most-at-risk-attrition").rows
    by_risk = view.risk["attrition"].sort_values(ascending=False)
    ids = view.cohort.frame["loan_id"]
    lookup = dict(zip(hashed_ids(ids, SALT), ids, strict=True))
    assert [lookup[row[1]] for row in rows] == ids[by_risk.index[:10]].to_list()
    np.testing.assert_allclose([row[2] for row in rows], by_risk.iloc[:10], rtol=1e-10)
    assert all(lower < risk < upper for _, _, risk, (lower, upper), *_ in rows)
    assert [row[0] for row in rows] == list(range(1, 11))


def test_the_safety_cause_has_a_list_of_its_own(analysis, part):
    view = outlook(analysis, 12)
    assert table(part, "most-at-risk-default").rows[0][2] == pytest.approx(view.risk["default"].max())
    only = replace(with_list(analysis), config=with_list(analysis).config.model_copy(update={"safety_cause": None}))
    vars(only)["model"] = analysis.model
    assert [b.key for b in early_warning(only).section.blocks if isinstance(b, Table)] == [
        "most-at-risk-attrition",
        "early-warning-signs",
    ]


def test_the_risk_of_a_loan_is_that_of_its_age_and_covariates(analysis):
    view = outlook(analysis, 12)
    row = view.cohort.frame.iloc[[7]]
    curves = analysis.model.predict_curves(row[analysis.model_columns], start=row["age"].to_numpy())
    assert view.risk["attrition"].iloc[7] == curves.risk("attrition", 12)[0]
    assert view.n_open == len(today(analysis)) == len(view.cohort) + view.n_incomplete + view.n_beyond


def test_loans_of_the_same_risk_are_ordered_by_their_identifiers_not_their_rows(analysis):
    view = outlook(analysis, 12)
    same = replace(view, risk=view.risk * 0)
    expected = sorted(view.cohort.frame["loan_id"].astype(str))[:5]
    assert view.cohort.frame["loan_id"].astype(str).iloc[most_at_risk(same, "attrition", 5)].to_list() == expected


def test_reasons_are_the_largest_factors_against_the_mean_of_todays_loans(analysis, part):
    view = outlook(analysis, 12)
    first = view.risk["attrition"].idxmax()
    model = analysis.model.models_["attrition"]
    X = view.cohort.frame[list(model.coef_.index)].astype(float)
    factors = np.exp((X.loc[first] - X.mean()) * model.coef_).sort_values(ascending=False)
    reasons = table(part, "most-at-risk-attrition").rows[0][4].split("; ")
    assert [r.split("\u00a0\u00d7")[1] for r in reasons] == [f"{f:.2f}" for f in factors.iloc[:3]]


def test_bands_stand_in_place_of_risks_and_hide_the_factors(analysis):
    rows = table(early_warning(with_list(analysis, bands=(0.1, 0.3))), "most-at-risk-attrition").rows
    assert {len(row) for row in rows} == {5}
    assert {row[2] for row in rows} <= {"below 10%", "10% to below 30%", "30% or more"}
    assert not any("\u00d7" in row[3] for row in rows)
    assert [band(r, (0.1, 0.3)) for r in (0.0999, 0.1, 0.3)] == ["below 10%", "10% to below 30%", "30% or more"]


def test_no_raw_identifier_is_in_the_report(analysis, part):
    told = render_json(Report("t", "p", "d", (), (part.section,)).to_dict())
    frame = analysis.spells.frame
    long = [str(v) for v in [*frame["loan_id"].unique(), *frame["customer_id"].unique()] if len(str(v)) > 5]
    assert len(long) > 1_000
    assert not [i for i in long if i in told.replace(",", " ").split()]
    assert not [i for i in long if f'"{i}"' in told]
    assert SALT not in told


def test_the_list_says_that_it_is_about_single_loans_and_how_to_join_it(part):
    text = " ".join(b.text for b in part.section.blocks if isinstance(b, Text))
    assert "about single loans, by intention" in text
    assert "hashed_ids(ids, secret)" in text


class TestSigns:
    def frame(self, **columns):
        return pd.DataFrame(columns)

    def of(self, analysis, frame, *columns):
        asked = with_list(analysis)
        return early_signs(frame, asked, EarlyWarning(salt_variable="X", horizon=1, covariates=columns))

    def test_the_worst_tenth_is_on_the_side_stated_for_the_safety_cause(self, analysis):
        values = np.arange(1.0, 101)
        score, debt = self.of(
            analysis, self.frame(credit_score=values, debt_to_income=values), "credit_score", "debt_to_income"
        )
        assert (score.begins, debt.begins) == ("up to 10", "from 91")
        assert list(np.flatnonzero(score.shown)) == list(range(10))
        assert list(np.flatnonzero(debt.shown)) == list(range(90, 100))

    def test_a_value_that_half_the_loans_share_is_no_sign(self, analysis):
        (late,) = self.of(analysis, self.frame(days_past_due_max_12m=[0.0] * 95 + [30.0] * 5), "days_past_due_max_12m")
        assert late.begins == "above 0"
        assert late.shown.sum() == 5
        (nobody,) = self.of(analysis, self.frame(unemployed=[1.0] * 10), "unemployed")
        assert not nobody.shown.any()

    def test_covariates_without_a_direction_give_none(self, analysis):
        assert self.of(analysis, self.frame(months=[1.0, 2.0]), "months") == []

    def test_the_default_is_finances_and_early_warning_of_the_catalogue(self, analysis):
        settings = EarlyWarning(salt_variable="X", horizon=1)
        columns = {s.column for s in early_signs(today(analysis).complete().frame, with_list(analysis), settings)}
        assert {"days_past_due_max_12m", "balance_slope_3m", "credit_score", "income_change_12m"} <= columns
        assert "csat" not in columns


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bands": (0.3, 0.1)}, "give rising limits"),
        ({"bands": (0.1, 1.5)}, "bands"),
        ({"loans": 0}, "loans"),
        ({"salt": "x"}, "no key 'salt'. Known are salt_variable"),
        ({"salt_variable": ""}, "salt_variable"),
    ],
)
def test_wrong_settings_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        EarlyWarning(**{"salt_variable": "X", "horizon": 12, **given})


def test_a_covariate_that_the_spells_lack_is_refused(small_config):
    config = read_config(small_config)
    values = {name: getattr(config, name) for name in type(config).model_fields}
    asked = EarlyWarning(salt_variable="X", horizon=12, covariates=("credit_scor",))
    with pytest.raises(ConfigError, match=r"\[early_warning\].*'credit_scor'.*Did you mean 'credit_score'"):
        type(config)(**values | {"early_warning": asked})


def test_markup_in_labels_stays_text(analysis):
    terms = {n: t.model_copy(update={"label": f"{EVIL} {n}"}) for n, t in analysis.config.terms.items()}
    part = early_warning(with_list(analysis, terms=terms))
    html = render_html(Report("t", "p", "d", (), (part.section,)).to_dict())
    assert "<script" not in html
    assert html.count("&lt;script&gt;") > 10
