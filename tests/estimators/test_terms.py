"""Terms of formulas in Cox models: reference levels, splines, interactions, levels and values the fit did not see, labels."""

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import DataError, UnseenCategoryError
from churnsurv.report.term_labels import category_of, factors_of, label_of


def loans(seed=0, n=400):
    rng = np.random.default_rng(seed)
    age = rng.normal(45, 10, n)
    X = pd.DataFrame({"age": age, "rate": rng.normal(size=n), "grade": rng.choice(list("ABC"), n)})
    stop = np.ceil(rng.exponential(10 * np.exp(-(((age - 45) / 10) ** 2) / 4 - 0.4 * X["rate"])))
    return X, cs.Outcome(stop, rng.integers(0, 2, n))


def harrell(x, knots):
    """Harrell's (2015, section 2.4.5) restricted cubic spline, as R's rms::rcs makes it."""
    cube = lambda v: np.maximum(v, 0.0) ** 3  # noqa: E731
    last, before = knots[-1], knots[-2]
    columns = [x]
    for k in knots[:-2]:
        inner = cube(x - k) - cube(x - before) * (last - k) / (last - before)
        columns.append((inner + cube(x - last) * (before - k) / (last - before)) / (last - knots[0]) ** 2)
    return pd.DataFrame(np.column_stack(columns), columns=[f"x{j}" for j in range(len(columns))])


@pytest.mark.parametrize("name", ["cs", "cr"])
@pytest.mark.parametrize("quantiles", [(0.1, 0.5, 0.9), (0.05, 0.35, 0.65, 0.95), (0.05, 0.275, 0.5, 0.725, 0.95)])
def test_natural_splines_with_harrells_knots_are_harrells_restricted_cubic_splines(name, quantiles):
    X, y = loans()
    knots = np.quantile(X["age"], quantiles)
    inner = ", ".join(repr(float(k)) for k in knots[1:-1])
    formula = f"{name}(age, knots=[{inner}], lower_bound={float(knots[0])!r}, upper_bound={float(knots[-1])!r})"
    ours, theirs = cs.CoxPH(formula).fit(X, y), cs.CoxPH().fit(harrell(X["age"].to_numpy(), knots), y)
    assert len(ours.coef_) == len(theirs.coef_) == len(knots) - 1
    assert ours.log_likelihood_ == pytest.approx(theirs.log_likelihood_, rel=1e-11)
    # beyond the outermost knots too both are the same straight line
    ages = np.linspace(0, 120, 25)
    difference = ours.predict(pd.DataFrame({"age": ages})) - theirs.predict(harrell(ages, knots))
    np.testing.assert_allclose(difference - difference[0], 0.0, atol=1e-7)
    (tested,) = ours.term_tests()["statistic"]
    assert tested == pytest.approx(theirs.tests().loc["wald", "statistic"], rel=1e-6)


def test_beyond_the_boundary_a_natural_spline_is_a_straight_line_and_a_b_spline_is_refused():
    X, y = loans(1)
    natural = cs.CoxPH("cs(age, df=4)").fit(X, y)
    beyond = pd.DataFrame({"age": X["age"].max() + np.array([5.0, 10.0, 15.0])})
    np.testing.assert_allclose(np.diff(natural.predict(beyond), n=2), 0.0, atol=1e-8)
    with pytest.raises(DataError, match=r"bs\(age, df=4\) is known from .* 3 rows \(row 0, 1, 2\)"):
        cs.CoxPH("bs(age, df=4)").fit(X, y).predict(beyond)


def test_a_b_spline_is_the_same_fit_for_any_knots_given_as_df_or_written_out():
    X, y = loans(2)
    inner = float(np.quantile(X["age"], 0.5))
    a, b = cs.CoxPH("bs(age, df=4)").fit(X, y), cs.CoxPH(f"bs(age, knots=[{inner!r}])").fit(X, y)
    assert a.log_likelihood_ == pytest.approx(b.log_likelihood_, rel=1e-11)
    # a cubic on either side of the knot, joined twice differentiably
    age = X["age"] / 50
    cubic = pd.DataFrame({"a": age, "b": age**2, "c": age**3, "d": np.maximum(age - inner / 50, 0) ** 3})
    assert a.log_likelihood_ == pytest.approx(cs.CoxPH().fit(cubic, y).log_likelihood_, rel=1e-9)


def test_the_reference_level_is_chosen_in_the_formula_or_by_the_order_of_the_categories():
    X, y = loans(3)
    by_formula = cs.CoxPH("C(grade, contr.treatment('B')) + rate").fit(X, y)
    ordered = X.assign(grade=pd.Categorical(X["grade"], categories=["B", "A", "C"]))
    by_order = cs.CoxPH().fit(ordered[["grade", "rate"]], y)
    default = cs.CoxPH().fit(X[["grade", "rate"]], y)
    np.testing.assert_allclose(by_formula.coef_, by_order.coef_, rtol=1e-8)
    assert by_order.coef_["grade[T.A]"] == pytest.approx(-default.coef_["grade[T.B]"], rel=1e-8)
    assert by_formula.log_likelihood_ == pytest.approx(default.log_likelihood_, rel=1e-12)


def test_a_reference_that_is_no_level_is_an_error_that_names_it():
    X, y = loans(3)
    with pytest.raises(DataError, match="contr.treatment"):
        cs.CoxPH("C(grade, contr.treatment('Z'))").fit(X, y)


@pytest.mark.parametrize(
    "formula",
    ["rate * grade", "rate:C(grade) + age", "cs(age, df=3):grade", "C(grade, contr.treatment('B')):rate"],
)
def test_levels_the_fit_did_not_see_are_refused_within_interactions_too(formula):
    X, y = loans(4)
    model = cs.CoxPH(formula).fit(X, y)
    with pytest.raises(UnseenCategoryError, match=r"'grade' has 'Z' in 1 row \(row 2\)"):
        model.predict(X.iloc[:4].assign(grade=["A", "B", "Z", "C"]))


def test_an_interaction_with_a_category_is_separate_slopes():
    X, y = loans(5)
    slopes = cs.CoxPH("grade + rate:grade").fit(X, y)
    main = cs.CoxPH("grade * rate").fit(X, y)
    assert slopes.log_likelihood_ == pytest.approx(main.log_likelihood_, rel=1e-11)
    of_b = main.contrast("rate + grade[T.B]:rate").iloc[0]
    other = cs.CoxPH("C(grade, contr.treatment('B')) * rate").fit(X, y).summary().loc["rate"]
    assert of_b["estimate"] == pytest.approx(other["coef"], rel=1e-7)
    assert of_b["se"] == pytest.approx(other["se"], rel=1e-7)


def test_columns_whose_names_are_no_identifiers_may_be_categories_of_a_formula():
    X, y = loans(9)
    plain = cs.CoxPH("grade * rate").fit(X, y)
    spaced = cs.CoxPH("`risk grade` * rate").fit(X.rename(columns={"grade": "risk grade"}), y)
    np.testing.assert_allclose(spaced.coef_, plain.coef_, rtol=1e-12)
    assert spaced.contrast("risk grade[T.B]:rate")["estimate"].iloc[0] == spaced.coef_["risk grade[T.B]:rate"]


def test_hazard_ratios_between_rows_are_contrasts_of_their_designs():
    X, y = loans(7)
    model = cs.CoxPH("cs(age, df=3) * grade + rate").fit(X, y)
    rows, reference = X.head(5), X.iloc[[9]]
    table = model.hazard_ratio(rows, reference, level=0.9)
    difference = model.encoder_.design(rows) - model.encoder_.design(reference)
    np.testing.assert_allclose(table["estimate"], difference @ model.coef_)
    np.testing.assert_allclose(table["se"], np.sqrt(np.diag(difference @ model.covariance_.to_numpy() @ difference.T)))
    np.testing.assert_allclose(np.log(table["hr_upper"]), table["estimate"] + 1.6448536269514722 * table["se"])
    assert table.index.equals(rows.index)
    straight = cs.CoxPH("rate + grade").fit(X, y)
    by_two = straight.hazard_ratio(X.assign(rate=2.0).head(1), X.assign(rate=0.0).head(1)).iloc[0]
    assert by_two["se"] == pytest.approx(2 * straight.summary().loc["rate", "se"])


def test_a_row_against_itself_or_with_a_missing_value_has_no_statistic():
    X, y = loans(8)
    model = cs.CoxPH("cs(age, df=3) + rate").fit(X, y)
    rows = X.head(3).assign(rate=[X["rate"][0], np.nan, 1.0])
    table = model.hazard_ratio(rows, X.head(1))
    assert table["hazard_ratio"].iloc[0] == 1
    assert np.isnan(table["statistic"].iloc[0])
    assert table.iloc[1][["estimate", "se", "hr_lower"]].isna().all()
    with pytest.raises(DataError, match="reference has 2 rows, X has 3 rows"):
        model.hazard_ratio(rows, X.head(2))


@pytest.mark.parametrize(
    ("term", "label"),
    [
        ("rate_incentive", "Rate incentive"),
        ("C(term)[T.36]", "Term: 36 vs 12"),
        ("segment[T.b]", "Segment: b vs a"),
        ("C(grade, contr.treatment('B'))[T.A]", "Grade: A vs B"),
        ('C(grade, contr.treatment(base="B: best"))[T.A]', "Grade: A vs B: best"),
        ("C(term, contr.treatment(24))[T.36]", "Term: 36 vs 24"),
        ("cs(rate, df=4)[2]", "Contract rate, natural spline 2"),
        ("bs(`my rate`, df=4)[1]", "my rate, B-spline 1"),
        ("rate:C(grade, contr.treatment('B'))[T.A]", "Contract rate × Grade: A"),
        ("my segment[T.b]", "my segment: b vs a"),
        ("segment[T.x:y]", "Segment: x:y vs a"),
        ("np.log(income)", "np.log(income)"),
        # such codings compare with a mean of levels: no single reference can be stated
        ("C(grade, contr.sum)[S.A]", "C(grade, contr.sum)[S.A]"),
    ],
)
def test_terms_read_as_words_with_their_reference(term, label):
    levels = {"term": [12, 24, 36], "segment": ["a", "b"], "my segment": ["a", "b"], "grade": ["A", "B"]}
    assert label_of(term, levels, {"rate": "Contract rate"}) == label


def test_factors_of_a_term_name_their_columns():
    assert [f.column for f in factors_of("rate:C(term)[T.36]:cs(age, df=3)[1]")] == ["rate", "term", "age"]
    assert category_of("rate:C(term)[T.36]") is None
    assert category_of("C(term)[T.36]").level == "36"


def test_the_table_of_hazard_ratios_states_the_reference_that_was_fitted():
    X, y = loans(6)
    model = cs.CoxPH("C(grade, contr.treatment('B')) * rate + cs(age, df=2)").fit(X, y)
    table = cs.report.hazard_ratio_table(model, labels={"grade": "Risk grade", "age": "Age"}, units={"rate": "pp"})
    frame = table.to_frame()
    assert frame["label"].tolist() == [
        "Risk grade: A vs B",
        "Risk grade: C vs B",
        "Rate",
        "Age, natural spline 1",
        "Age, natural spline 2",
        "Risk grade: A × Rate",
        "Risk grade: C × Rate",
    ]
    assert frame["per"].tolist() == ["", "", "per +1 pp", "", "", "", ""]
    with pytest.raises(DataError, match="which is no term of the model"):
        cs.report.hazard_ratio_table(model, units={"age": "years"})
