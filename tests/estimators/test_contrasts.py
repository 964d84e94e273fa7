"""Contrasts, joint Wald tests, tests of terms and information criteria of Cox models."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, norm

import churnsurv as cs
from churnsurv.exceptions import DataError, NotIdentifiedError, SmallSampleWarning

FORMULA = "C(term) * rate + cs(age, df=3) + grade"


def loans(seed=0, n=400):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "term": rng.choice([12, 24, 36], n),
            "rate": rng.normal(size=n),
            "age": rng.uniform(20, 70, n),
            "grade": rng.choice(list("ABC"), n),
        }
    )
    start = rng.integers(0, 4, n).astype(float)
    stop = start + np.ceil(rng.exponential(10 * np.exp(-0.5 * X["rate"])))
    return X, cs.Outcome(stop, rng.integers(0, 2, n), start=start)


@pytest.fixture(scope="module")
def model():
    return cs.CoxPH(FORMULA).fit(*loans())


def test_a_contrast_is_the_linear_combination_with_its_delta_method_interval(model):
    row = model.contrast("C(term)[T.36] - C(term)[T.24]", level=0.9).iloc[0]
    b, v = model.coef_, model.covariance_
    a, c = "C(term)[T.36]", "C(term)[T.24]"
    se = np.sqrt(v.loc[a, a] + v.loc[c, c] - 2 * v.loc[a, c])
    assert row["estimate"] == pytest.approx(b[a] - b[c], rel=1e-12)
    assert row["se"] == pytest.approx(se, rel=1e-10)
    assert row["upper"] == pytest.approx(b[a] - b[c] + norm.ppf(0.95) * se, rel=1e-10)
    assert row["p_value"] == pytest.approx(2 * norm.sf(abs(row["estimate"] / se)), rel=1e-9)
    ratios = row[["hazard_ratio", "hr_lower", "hr_upper"]].to_numpy(dtype=float)
    np.testing.assert_allclose(ratios, np.exp(row[["estimate", "lower", "upper"]].to_numpy(dtype=float)))


def test_the_contrast_against_another_reference_is_the_coefficient_of_the_fit_with_that_reference(model):
    X, y = loans()
    other = cs.CoxPH(FORMULA.replace("grade", "C(grade, contr.treatment('C'))")).fit(X, y)
    ours = model.contrast("grade[T.B] - grade[T.C]").iloc[0]
    theirs = other.summary().loc["C(grade, contr.treatment('C'))[T.B]"]
    for mine, his in (("estimate", "coef"), ("se", "se"), ("p_value", "p_value"), ("hr_upper", "hr_upper")):
        assert ours[mine] == pytest.approx(theirs[his], rel=1e-8)


@pytest.mark.parametrize(
    "written",
    [
        "C(term)[T.36]:rate - rate",
        "`C(term)[T.36]:rate` - `rate`",
        "'C(term)[T.36]:rate' - \"rate\"",
        "-1 * rate + 2 * C(term)[T.36]:rate / 2",
        {"C(term)[T.36]:rate": 1, "rate": -1},
    ],
)
def test_names_with_operators_brackets_and_levels_can_be_written_bare_or_quoted(model, written):
    expected = model.coef_["C(term)[T.36]:rate"] - model.coef_["rate"]
    assert model.contrast(written)["estimate"].iloc[0] == pytest.approx(expected, rel=1e-12)


def test_names_that_hold_quotes_or_begin_with_another_name_are_read_whole():
    X, y = loans(1)
    X = X.assign(B=X["rate"], B2=X["age"])[["grade", "B", "B2"]]
    fitted = cs.CoxPH("C(grade, contr.treatment('B')) + B + B2").fit(X, y)
    for name in fitted.coef_.index:
        assert fitted.contrast(name)["estimate"].iloc[0] == fitted.coef_[name]
    assert fitted.contrast("B2 - B")["estimate"].iloc[0] == pytest.approx(fitted.coef_["B2"] - fitted.coef_["B"])


def test_a_hypothesised_value_is_what_the_statistic_measures_from(model):
    by_text, by_value = model.contrast("rate = 0.3").iloc[0], model.contrast("rate", value=0.3).iloc[0]
    se = model.summary().loc["rate", "se"]
    assert by_text["statistic"] == by_value["statistic"] == pytest.approx((model.coef_["rate"] - 0.3) / se)
    assert by_text["estimate"] == model.coef_["rate"]
    with pytest.raises(DataError, match="a number of its own"):
        model.contrast("rate = 0.3", value=0.2)


def test_the_joint_test_of_all_coefficients_is_the_wald_test_of_the_model(model):
    result = model.wald_test(list(model.coef_.index))
    assert result.statistic == pytest.approx(model.tests().loc["wald", "statistic"], rel=1e-9)
    assert result.df == len(model.coef_)
    assert result.p_value == pytest.approx(chi2.sf(result.statistic, result.df))


def test_the_joint_test_of_one_contrast_is_its_squared_statistic(model):
    row = model.contrast("rate - grade[T.B] = 0.1").iloc[0]
    assert model.wald_test("rate - grade[T.B] = 0.1").statistic == pytest.approx(row["statistic"] ** 2, rel=1e-10)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_joint_test_does_not_depend_on_how_the_hypothesis_is_written(seed):
    X, y = loans(2)
    fitted = cs.CoxPH("rate + age + grade").fit(X, y)
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(2, 2)) + 3 * np.eye(2)
    rows = [dict(zip(["grade[T.B]", "grade[T.C]"], row, strict=True)) for row in mixing]
    plain = fitted.wald_test("grade[T.B], grade[T.C]")
    assert fitted.wald_test(rows).statistic == pytest.approx(plain.statistic, rel=1e-8)


@settings(max_examples=15, deadline=None)
@given(scale=st.sampled_from([1e-9, 1e-3, 1e6, 1e9]))
def test_units_of_a_covariate_change_no_test_of_a_term(scale):
    X, y = loans(3)
    a = cs.CoxPH("rate * grade + age").fit(X, y).term_tests()
    b = cs.CoxPH("rate * grade + age").fit(X.assign(rate=X["rate"] * scale), y).term_tests()
    np.testing.assert_allclose(a["statistic"], b["statistic"], rtol=1e-7)


def test_terms_are_tested_with_all_their_columns(model):
    tests = model.term_tests()
    assert dict(tests["df"]) == {"C(term)": 2, "rate": 1, "C(term):rate": 2, "cs(age, df=3)": 3, "grade": 2}
    spline = [name for name in model.coef_.index if name.startswith("cs(")]
    assert tests.loc["cs(age, df=3)", "statistic"] == pytest.approx(model.wald_test(spline).statistic, rel=1e-9)
    assert tests.loc["rate", "p_value"] == pytest.approx(model.summary().loc["rate", "p_value"], rel=1e-8)


def test_without_a_formula_the_terms_are_the_columns():
    X, y = loans(4)
    fitted = cs.CoxPH().fit(X[["grade", "rate"]], y)
    tests = fitted.term_tests()
    assert dict(tests["df"]) == {"grade": 2, "rate": 1}
    assert tests.loc["grade", "statistic"] == pytest.approx(
        fitted.wald_test("grade[T.B], grade[T.C]").statistic, rel=1e-9
    )


def test_the_test_of_a_category_does_not_depend_on_its_reference():
    X, y = loans(5)
    a = cs.CoxPH("grade + rate").fit(X, y).term_tests()
    b = cs.CoxPH("C(grade, contr.treatment('B')) + rate").fit(X, y).term_tests()
    np.testing.assert_allclose(a["statistic"], b["statistic"], rtol=1e-8)


def test_clusters_change_the_covariance_of_contrasts_and_tests():
    X, y = loans(6)
    cluster = np.arange(len(X)) // 4
    robust = cs.CoxPH("grade + rate").fit(X, y, cluster=cluster)
    row = robust.contrast("grade[T.B] - grade[T.C]").iloc[0]
    L = np.array([1.0, -1.0, 0.0])
    assert row["se"] == pytest.approx(np.sqrt(L @ robust.covariance_.to_numpy() @ L), rel=1e-10)
    assert "sandwich" in robust.wald_test("rate").method


def test_too_few_clusters_for_a_joint_test_are_an_error_and_nan_in_the_table():
    X, y = loans(7)
    with pytest.warns(SmallSampleWarning):
        fitted = cs.CoxPH("grade + rate + C(term)").fit(X, y, cluster=np.arange(len(X)) % 3)
    assert fitted.covariance_rank_ == 2
    with pytest.raises(NotIdentifiedError, match="rank 2"):
        fitted.wald_test("rate, grade[T.B], grade[T.C]")
    assert fitted.wald_test("grade[T.B], grade[T.C]").df == 2
    assert fitted.term_tests().notna().all(axis=None)


@pytest.mark.parametrize(
    ("contrast", "message"),
    [
        ("rat - rate", "names 'rat'.*Did you mean 'rate'"),
        ({"rat": 1}, "Did you mean 'rate'"),
        ("rate +", "cannot be read"),
        ("rate * rate", "cannot be read"),
        ("", "A contrast is a text"),
        ([], "No contrast is given"),
        (5, "A contrast is a text"),
        ("rate - rate", "leaves no coefficient"),
        ({"rate": np.nan}, "not a finite number"),
        (["rate", "2 * rate"], "not independent"),
    ],
)
def test_what_is_no_hypothesis_is_refused_with_words(model, contrast, message):
    with pytest.raises(DataError, match=message):
        model.wald_test(contrast)


def test_information_criteria_are_those_of_their_definitions(model):
    p = len(model.coef_)
    assert model.aic_ == pytest.approx(-2 * model.log_likelihood_ + 2 * p)
    assert model.bic_ == pytest.approx(-2 * model.log_likelihood_ + np.log(model.n_events_) * p)


def test_inference_survives_saving(model, tmp_path):
    loaded = cs.load(cs.save(model, tmp_path / "model.churnsurv"))
    pd.testing.assert_frame_equal(loaded.term_tests(), model.term_tests())
    pd.testing.assert_frame_equal(loaded.contrast("rate"), model.contrast("rate"))
    assert loaded.aic_ == model.aic_
