"""The report on the public panel of US mortgages."""

import pytest

import churnsurv as cs
from tests.real.panel import FOLDER, ROOT, needs_panel

pytestmark = needs_panel


@pytest.fixture(scope="module")
def report():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHURNSURV_DATA", str(FOLDER))
        return cs.report.quarterly.build(ROOT / "reports" / "mortgage.toml")


def block(report, key):
    return next(b for s in report.to_dict()["sections"] for b in s["blocks"] if b.get("key") == key)


def ratios(report, cause):
    return {row[0]: row for row in block(report, f"ratios-{cause}")["rows"]}


def test_the_ratios_have_the_documented_signs(report):
    payoff, default = ratios(report, "attrition"), ratios(report, "default")
    assert payoff["Rate incentive"][-2:] == ["above 1", "as expected"]
    assert payoff["Loan to value"][-2:] == ["below 1", "as expected"]
    assert default["Loan to value"][-2:] == ["above 1", "as expected"]
    assert default["FICO score at origination"][-2:] == ["below 1", "as expected"]


def test_it_has_the_sections_for_which_there_are_data(report):
    assert [s.key for s in report.sections] == [
        "summary", "definitions", "portfolio", "attrition", "hazard-ratios", "assumptions",
        "evaluation", "calibration", "stability", "backtest", "challengers", "scenarios",
        "fairness", "limitations", "provenance",
    ]  # fmt: skip


def test_all_models_are_measured_on_the_year_of_the_crisis(report):
    models = ["Cox", "Monthly hazards", "Forest"]
    assert [row[0] for row in block(report, "discrimination")["rows"]] == models * 2


def test_probabilities_worse_than_the_same_risk_for_all_are_a_finding(report):
    # fitted before 2009: the market of that year was not in the data
    worse = [row for row in block(report, "accuracy")["rows"] if row[0] == "Cox" and row[4][0] > 0]
    assert worse
    assert len([f for f in report.findings if f.evidence == "accuracy"]) == len(worse)


def test_it_says_where_the_data_come_from_without_a_path(report):
    files = report.provenance["files"]
    assert files["performance"]["file"] == "dcr_mortgage_panel.parquet"
    assert str(FOLDER) not in str(report.to_dict())


def test_no_loan_is_named_and_small_vintages_are_suppressed(report):
    for row in block(report, "by-vintage")["rows"]:
        assert not any(isinstance(n, int) and 0 < n < 5 for n in row[1:4])
