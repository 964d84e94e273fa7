"""Reference levels, counts, univariable ratios, models side by side, and every form of the table."""

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import ConfigError, DataError
from churnsurv.report import hazard_ratio_table

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(3)
    n = 600
    X = pd.DataFrame(
        {
            "rate_incentive": rng.normal(size=n),
            "age": rng.normal(40, 10, n),
            "segment": rng.choice(["b", "c", EVIL], n),
            "vip": rng.choice(["no", "yes"], n),
        }
    )
    time = rng.exponential(np.exp(-0.8 * X["rate_incentive"])) * 10
    cause = rng.choice([1, 2], n, p=[0.7, 0.3])
    y = cs.Outcome(np.minimum(np.ceil(time), 30), np.where(time < 30, cause, 0), causes=("attrition", "default"))
    return X, y, {"cluster": np.arange(n) // 2}


@pytest.fixture(scope="module")
def model(rows):
    X, y, arguments = rows
    return cs.CauseSpecificCox().fit(X, y, **arguments)


def cells(table, name):
    """The cells of a table below the column of that name, by label of the row."""
    at = [c.name for c in table.columns].index(name)
    return {row[0].strip(): row[at] for row in table.rows}


def test_a_factor_stands_below_its_name_with_its_reference_in_the_order_of_the_levels(model):
    table = hazard_ratio_table(model.models_["attrition"], labels={"segment": "Customer segment"}).to_table()
    labels = [row[0] for row in table.rows]
    at = labels.index("Customer segment")
    assert [label.strip() for label in labels[at : at + 4]] == ["Customer segment", EVIL, "b", "c"]
    assert cells(table, "interval")[EVIL] == "reference"
    assert cells(table, "hazard_ratio")[EVIL] == 1.0
    joint = model.models_["attrition"].term_tests()["p_value"]
    assert cells(table, "p_value")["Customer segment"] == pytest.approx(joint["segment"])
    # one coefficient: its own p-value says the same
    assert cells(table, "p_value")["Vip"] == ""


def test_a_reference_of_a_coding_keeps_its_place(rows):
    X, y, _ = rows
    formula = "C(segment, contr.treatment('b')) + age"
    table = hazard_ratio_table(cs.CoxPH(formula, cause="attrition").fit(X, y))
    frame = table.to_frame(references=True)
    assert frame["level"].tolist() == [EVIL, "b", "c", ""]
    assert frame["is_reference"].tolist() == [False, True, False, False]
    assert table.inline("segment", level="b") == "HR 1 (reference)"


def test_a_spline_stands_on_one_line_with_its_joint_test(rows):
    X, y, _ = rows
    model = cs.CoxPH("cs(age, df=3) + rate_incentive", cause="attrition").fit(X, y)
    table = hazard_ratio_table(model)
    assert [row[0] for row in table.to_table().rows] == ["Age, natural spline", "Rate incentive"]
    assert cells(table.to_table(), "hazard_ratio")["Age, natural spline"] == "curve"
    joint = model.term_tests()["p_value"]["cs(age, df=3)"]
    assert cells(table.to_table(), "p_value")["Age, natural spline"] == pytest.approx(joint)
    assert len(table.to_frame()) == 4
    assert table.forest().get_ylim()[1] == pytest.approx(0.6)


def test_counts_are_those_of_level_and_whole(rows, model):
    X, y, _ = rows
    table = hazard_ratio_table(model, data=(X, y), layout="beside").to_table()
    leaves = y.event == 2
    assert cells(table, "1.n")["yes"] == (X["vip"] == "yes").sum()
    assert cells(table, "1.events")["yes"] == (leaves & (X["vip"] == "yes")).sum()
    assert cells(table, "1.events")["Age"] == leaves.sum()


def test_a_small_count_of_a_level_is_hidden_with_a_second_one(rows):
    X, y, _ = rows
    segment = X["segment"].where(np.arange(600) % 200 > 0, "z")
    fitted = cs.CoxPH("segment", cause="attrition").fit(X.assign(segment=segment), y)
    table = hazard_ratio_table(fitted, data=(X.assign(segment=segment), y)).to_table(smallest=5)
    assert cells(table, "n")["z"] == "<5"
    assert "not shown" in cells(table, "n").values()
    assert "recognised" in table.notes[-1]


def test_univariable_ratios_are_those_of_models_of_one_term(rows, model):
    X, y, arguments = rows
    table = hazard_ratio_table(
        model.models_["attrition"],
        data=(X, y, arguments),
        univariable=True,
        units={"rate_incentive": (-2, "pp")},
    )
    alone = cs.CoxPH("rate_incentive", cause="attrition").fit(X, y, **arguments).summary().loc["rate_incentive"]
    row = table.row("rate_incentive")
    assert row["uni_hazard_ratio"] == pytest.approx(alone["hazard_ratio"] ** -2)
    assert row["uni_hr_lower"] == pytest.approx(alone["hr_upper"] ** -2)
    assert row["uni_hr_upper"] == pytest.approx(alone["hr_lower"] ** -2)
    assert table.inline("rate_incentive", univariable=True).startswith(f"HR {row['uni_hazard_ratio']:.2f} per")
    assert [c.over for c in table.to_table().columns][2:] == ["", "", *["Univariable"] * 3, *["Multivariable"] * 3]
    assert "Univariable" in table.to_table().notes[-1]


def test_models_side_by_side_are_merged_on_their_terms(rows):
    X, y, _ = rows
    small = cs.CoxPH("rate_incentive + vip", cause="attrition").fit(X, y)
    large = cs.CoxPH("age + rate_incentive + segment", cause="attrition").fit(X, y)
    table = hazard_ratio_table({"Small": small, "Large": large}, layout="beside").to_table()
    labels = [row[0].strip() for row in table.rows]
    assert sorted(labels) == sorted(["Rate incentive", "Vip", "no", "yes", "Age", "Segment", EVIL, "b", "c"])
    assert cells(table, "0.hazard_ratio")["Rate incentive"] == pytest.approx(np.exp(small.coef_["rate_incentive"]))
    assert cells(table, "1.hazard_ratio")["Rate incentive"] == pytest.approx(np.exp(large.coef_["rate_incentive"]))
    assert cells(table, "0.hazard_ratio")["Age"] == ""
    assert [c.over for c in table.columns] == ["", *["Small"] * 3, *["Large"] * 3]


def test_groups_of_merged_models_stand_together(rows):
    X, y, _ = rows
    small = cs.CoxPH("rate_incentive", cause="attrition").fit(X, y)
    large = cs.CoxPH("vip + rate_incentive + age", cause="attrition").fit(X, y)
    groups = {"rate_incentive": "Terms", "vip": "Customer", "age": "Customer"}
    shown = hazard_ratio_table({"a": small, "b": large}, layout="beside", groups=groups).to_table().groups
    assert list(shown) == sorted(shown, key=shown.index)


def test_subdistribution_ratios_are_named_so(rows):
    X, y, _ = rows
    gray = cs.FineGray("attrition").fit(X, y)
    table = hazard_ratio_table(gray)
    assert "Subdistribution HR" in [c.label for c in table.to_table().columns]
    assert table.inline("age").startswith("SHR ")
    both = hazard_ratio_table({"c": cs.CoxPH(cause="attrition").fit(X, y), "s": gray}, layout="beside")
    assert [c.label for c in both.to_table().columns if c.label.endswith("HR")] == ["HR", "SHR"]
    assert both.inline("age", "c").startswith("HR ")


def test_a_firth_fit_shows_profile_intervals_and_no_joint_wald_test(rows):
    X, y, _ = rows
    fitted = cs.CoxPH("segment", cause="attrition", penalty="firth").fit(X.iloc[:120], y[np.arange(120)])
    table = hazard_ratio_table(fitted)
    assert table.row("segment", level="b")["hr_lower"] == pytest.approx(fitted.summary()["hr_lower"].iloc[0])
    assert cells(table.to_table(), "p_value")["Segment"] is None
    assert "profile penalised likelihood" in table.notes[0]


def test_a_model_with_causes_in_its_index_is_taken_apart(rows, model):
    """Monthly hazards hold all causes in one summary, indexed by cause and term."""

    class Monthly:
        fits_: dict
        coef_ = pd.concat({c: m.coef_ for c, m in model.models_.items()})
        covariance_, naive_covariance_ = pd.DataFrame([[1.0]]), pd.DataFrame([[1.0]])
        n_observations_, n_subjects_ = 600, 600

        def summary(self, level):
            return pd.concat({c: m.summary(level) for c, m in model.models_.items()})

    class Fit:
        def __init__(self, one):
            self.coef, self.covariance, self.encoder, self.n_events = (
                one.coef_,
                one.covariance_,
                one.encoder_,
                one.n_events_,
            )

    monthly = Monthly()
    monthly.fits_ = {c: Fit(m) for c, m in model.models_.items()}
    ours, theirs = hazard_ratio_table(monthly), hazard_ratio_table(model)
    pd.testing.assert_frame_equal(ours.to_frame(), theirs.to_frame())
    assert "complementary log-log" in ours.notes[0]


def test_notes_say_what_the_ratios_rest_on(rows, model):
    note = hazard_ratio_table(model.models_["attrition"]).notes[0]
    n_events = (rows[1].event == 1).sum()
    for words in (
        f"{n_events} events of attrition",
        "600 subjects",
        "Efron",
        "95% Wald",
        "sandwich variance by cluster",
    ):
        assert words in note


def test_rows_are_bold_only_when_asked(rows):
    X, y, _ = rows
    fitted = cs.CoxPH("rate_incentive + age", cause="attrition").fit(X, y)
    assert hazard_ratio_table(fitted).to_table().emphasis == ()
    assert hazard_ratio_table(fitted, emphasise=0.001).to_table().emphasis == (0,)


def test_variance_inflation_stands_beside_the_terms(model):
    one = model.models_["attrition"]
    table = hazard_ratio_table(one, vif=True).to_table()
    factors = cs.variance_inflation(one)["factor"]
    assert cells(table, "vif")["Segment"] == pytest.approx(factors["segment"])
    assert cells(table, "vif")["Age"] == pytest.approx(factors["age"])
    assert cells(table, "vif")["b"] == ""


def test_every_form_escapes_and_shows_the_headings_that_are_shared(model):
    table = hazard_ratio_table(model, layout="beside", title="50% & more")
    html = table.to_html()
    assert 'scope="colgroup" colspan="3" class="over">attrition<' in html
    assert html.count("<th ") == html.count('scope="')
    latex = table.to_latex()
    assert r"\multicolumn{3}{c}{attrition}" in latex
    assert r"\quad b" in latex
    assert r"\cmidrule(lr){2-4}" in latex
    markdown = table.to_markdown()
    assert "attrition: HR" in markdown
    for text in (html, markdown, table._repr_html_()):
        assert "<script" not in text.replace("<style>", "")


def test_word_merges_the_headings_that_are_shared(model):
    pytest.importorskip("docx")
    document = hazard_ratio_table(model, layout="beside").to_docx()
    head = [cell.text for cell in document.tables[0].rows[0].cells]
    assert head == ["", *["attrition"] * 3, *["default"] * 3]
    assert document.tables[0].rows[0].cells[1]._tc is document.tables[0].rows[0].cells[3]._tc


def test_great_tables_holds_headings_notes_and_escaped_text(model):
    pytest.importorskip("great_tables")
    html = hazard_ratio_table(model, layout="beside", emphasise=0.01).to_great_tables().as_raw_html()
    assert "<script>alert" not in html
    assert "&lt;script&gt;" in html
    assert 'class="gt_column_spanner">attrition<' in html
    assert "Efron" in html
    assert "font-weight: bold" in html


def test_great_tables_not_installed_says_what_to_install(model, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "great_tables", None)
    with pytest.raises(ConfigError, match=r"churnsurv\[tables\]"):
        hazard_ratio_table(model).to_great_tables()


def test_latex_without_shared_headings_has_one_line_of_them(model):
    latex = hazard_ratio_table(model).to_latex()
    assert r"\cmidrule" not in latex


def test_what_is_missing_is_named(rows, model):
    X, y, _ = rows
    with pytest.raises(DataError, match="univariable=True fits models"):
        hazard_ratio_table(model, univariable=True)
    with pytest.raises(DataError, match=r"data must be \(X, y\)"):
        hazard_ratio_table(model, data=X)
    with pytest.raises(DataError, match="layout='across'"):
        hazard_ratio_table(model, layout="across")
    with pytest.raises(DataError, match="no univariable ratios"):
        hazard_ratio_table(model).inline("age", "default", univariable=True)
    with pytest.raises(DataError, match="'segment' is a category"):
        hazard_ratio_table(model).inline("segment", "default")
    with pytest.raises(DataError, match="fitted with cluster"):
        hazard_ratio_table(model, data=(X, y), univariable=True)
    with pytest.raises(DataError, match="shows one model"):
        hazard_ratio_table(model).forest()
    with pytest.raises(DataError, match="No models"):
        hazard_ratio_table({})
