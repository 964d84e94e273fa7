import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import ConfigError, DataError
from churnsurv.report import hazard_ratio_table


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(3)
    n = 600
    X = pd.DataFrame(
        {
            "rate_incentive": rng.normal(size=n),
            "noise": rng.normal(size=n),
            "segment": rng.choice(["a", "b", "<script>alert(1)</script>"], n),
        }
    )
    time = rng.exponential(np.exp(-0.8 * X["rate_incentive"])) * 10
    cause = rng.choice([1, 2], n, p=[0.7, 0.3])
    y = cs.Outcome(np.minimum(np.ceil(time), 30), np.where(time < 30, cause, 0), causes=("attrition", "default"))
    return cs.CauseSpecificCox().fit(X, y)


def test_a_ratio_refers_to_the_stated_number_of_units(model):
    plain = hazard_ratio_table(model).row("rate_incentive", "attrition")
    scaled = hazard_ratio_table(model, units={"rate_incentive": (2, "pp")}).row("rate_incentive", "attrition")
    for column in ("hazard_ratio", "hr_lower", "hr_upper"):
        assert scaled[column] == pytest.approx(plain[column] ** 2)
    assert scaled["per"] == "per +2 pp"
    assert scaled["p_value"] == plain["p_value"]


def test_a_negative_unit_turns_the_ratio_and_its_interval_round(model):
    plain = hazard_ratio_table(model).row("rate_incentive", "attrition")
    turned = hazard_ratio_table(
        model, units={"rate_incentive": (-1, "pp")}, expected_signs={"rate_incentive": "+"}
    ).row("rate_incentive", "attrition")
    assert turned["hazard_ratio"] == pytest.approx(1 / plain["hazard_ratio"])
    assert turned["hr_lower"] == pytest.approx(1 / plain["hr_upper"])
    assert turned["hr_lower"] < turned["hazard_ratio"] < turned["hr_upper"]
    assert turned["verdict"] == "as expected"


@pytest.mark.parametrize(
    ("term", "sign", "verdict"),
    [
        ("rate_incentive", "+", "as expected"),
        ("rate_incentive", "-", "contrary"),
        ("noise", "+", "not distinguishable"),
        ("noise", "", ""),
    ],
)
def test_the_sign_check_says_what_the_interval_says(model, term, sign, verdict):
    table = hazard_ratio_table(model, expected_signs={"attrition": {term: sign}})
    assert table.row(term, "attrition")["verdict"] == verdict
    assert table.row(term, "default")["expected"] == ""


def test_a_category_is_named_with_its_reference(model):
    table = hazard_ratio_table(model, labels={"segment": "Customer segment"})
    labels = table.to_frame()["label"].tolist()
    assert "Customer segment: b vs <script>alert(1)</script>" in labels


def test_rows_of_a_group_stand_together(model):
    table = hazard_ratio_table(model, groups={"rate_incentive": "Terms", "noise": "Other", "segment": "Terms"})
    groups = table.of("attrition").to_frame()["group"].tolist()
    assert groups == sorted(groups, key=groups.index)


def test_html_escapes_text_and_marks_headers(model):
    html = hazard_ratio_table(model).to_html()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert html.count("<th ") == html.count('scope="')


def test_latex_escapes_special_characters(model):
    latex = hazard_ratio_table(model, labels={"noise": "5% & _x_ {y}"}, title="A_1 # 50%").to_latex()
    assert r"5\% \& \_x\_ \{y\}" in latex
    assert r"A\_1 \# 50\%" in latex


def test_word_holds_an_editable_table(model):
    pytest.importorskip("docx")
    document = hazard_ratio_table(model, title="Ratios").to_docx()
    cells = [cell.text for row in document.tables[0].rows for cell in row.cells]
    assert document.paragraphs[0].text == "Ratios"
    assert "Rate incentive" in cells
    assert any("<script>" in cell for cell in cells)


def test_word_without_its_package_says_what_to_install(model, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "docx", None)
    with pytest.raises(ConfigError, match=r"churnsurv\[report\]"):
        hazard_ratio_table(model).to_docx()


def test_inline_agrees_with_the_table(model):
    table = hazard_ratio_table(model, units={"rate_incentive": "pp"})
    row = table.row("rate_incentive", "attrition")
    assert table.inline("rate_incentive", "attrition") == (
        f"HR {row['hazard_ratio']:.2f} per +1 pp (95% CI {row['hr_lower']:.2f} to {row['hr_upper']:.2f}, p <0.001)"
    )


def test_terms_and_models_that_are_not_there_are_named(model):
    table = hazard_ratio_table(model)
    with pytest.raises(DataError, match="No term 'rate'"):
        table.inline("rate")
    with pytest.raises(DataError, match="model="):
        table.inline("noise")
    with pytest.raises(DataError, match="No model 'renewed'"):
        table.of("renewed")
    with pytest.raises(DataError, match="'up'"):
        hazard_ratio_table(model, expected_signs={"noise": "up"})
    with pytest.raises(DataError, match="no coefficients"):
        hazard_ratio_table(cs.CoxPH())
    with pytest.raises(DataError, match="not zero"):
        hazard_ratio_table(model, units={"noise": (0, "pp")})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"expected_signs": {"rate_incentiv": "+"}}, "expected_signs names 'rate_incentiv'.*'rate_incentive'"),
        ({"expected_signs": {"atrition": {"noise": "+"}}}, "no model: 'atrition'.*'attrition'"),
        ({"expected_signs": {"default": {"nois": "+"}}}, "of 'default' names 'nois'.*'noise'"),
        ({"labels": {"nois": "Noise"}}, "labels names 'nois'"),
        ({"units": {"nois": "pp"}}, "units names 'nois'"),
    ],
)
def test_words_for_no_term_are_refused_with_the_nearest_one(model, words, message):
    with pytest.raises(DataError, match=message):
        hazard_ratio_table(model, **words)


def test_a_level_keeps_its_decimals(model):
    table = hazard_ratio_table(model, level=0.975)
    assert "97.5% CI" in table.inline("noise", "default")
    assert "97.5% CI" in table.to_html()
