"""The encoder is a scikit-learn transformer; splines are those of the textbooks, with the knots of the fit."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.interpolate import BSpline, CubicSpline
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

import churnsurv as cs
from churnsurv.data import DesignEncoder
from churnsurv.exceptions import DataError, UnseenCategoryError


def frame(n=200, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.uniform(0, 60, n),
            "rate": rng.normal(5, 1, n),
            "segment": rng.choice(list("abc"), n),
            "term": rng.choice([12, 24, 36], n),
        },
        index=np.arange(n)[::-1] + 1000,
    )


SPLINES = [
    "bs(age, df=5)",
    "bs(age, knots=[20, 40], lower_bound=-10, upper_bound=90, degree=2)",
    "cs(age, df=4)",
    "cr(age, df=4) + rate",
    "cs(age, df=4, constraints=None)",
    "cc(term, df=2, lower_bound=0, upper_bound=48)",
    "bs(log(age + 1), df=4):segment",
    "bs(age * rate, df=4)",
    "cs(age * rate, df=4, extrapolation='raise')",
    "poly(age, 3) + scale(rate)",
]


def natural_spline(knots, values, x):
    """The natural cubic spline through the knots, continued by its tangents at the ends."""
    spline = CubicSpline(knots, values, bc_type="natural")
    low, high = knots[0], knots[-1]
    inside = spline(np.clip(x, low, high))
    return inside + spline(low, 1) * np.minimum(x - low, 0) + spline(high, 1) * np.maximum(x - high, 0)


# ---- splines


def test_a_b_spline_of_degree_one_is_the_hats_over_its_knots():
    # knots 0, 2, 4: the hat of knot 2 rises to 1 and falls to 0, the hat of knot 4 rises from 0; that of knot 0 is left out
    X = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0, 4.0]})
    design = DesignEncoder("bs(x, knots=[2], degree=1)").fit_transform(X)
    np.testing.assert_allclose(design, [[0, 0], [0.5, 0], [1, 0], [0.5, 0.5], [0, 1]], atol=1e-15)


def test_a_cubic_b_spline_without_inner_knots_is_bernsteins_polynomials():
    X = pd.DataFrame({"x": np.linspace(0, 1, 11)})
    x = X["x"].to_numpy()
    design = DesignEncoder("bs(x)").fit_transform(X)
    expected = np.column_stack([3 * x * (1 - x) ** 2, 3 * x**2 * (1 - x), x**3])
    np.testing.assert_allclose(design, expected, atol=1e-14)


def test_b_splines_are_scipys_with_knots_at_quantiles_of_the_fit():
    X, new = frame(), frame(50, seed=1)
    new["age"] = new["age"].clip(X["age"].min(), X["age"].max())
    low, high = X["age"].min(), X["age"].max()
    inner = np.quantile(X["age"], [1 / 3, 2 / 3])
    knots = np.r_[[low] * 4, inner, [high] * 4]
    encoder = DesignEncoder("bs(age, df=5)").fit(X)
    for rows in (X, new):
        # the first column is the one that an intercept would take
        expected = BSpline.design_matrix(rows["age"].to_numpy(), knots, 3).toarray()[:, 1:]
        np.testing.assert_allclose(encoder.transform(rows), expected, atol=1e-12)


def test_the_columns_of_a_natural_spline_are_the_splines_of_unit_values_at_its_knots():
    X, new = frame(), pd.DataFrame({"age": np.linspace(-50, 120, 300)})
    encoder = DesignEncoder("cs(age, df=4, constraints=None)").fit(X)
    knots = np.quantile(X["age"], [0, 1 / 3, 2 / 3, 1])
    for rows in (X, new):
        x = rows["age"].to_numpy()
        expected = np.column_stack([natural_spline(knots, unit, x) for unit in np.eye(4)])
        np.testing.assert_allclose(encoder.transform(rows), expected, atol=1e-10)


@pytest.mark.parametrize("name", ["cs", "cr"])
def test_a_natural_spline_has_df_centred_columns_and_every_natural_spline_of_its_knots(name):
    X = frame()
    x = X["age"].to_numpy()
    design = DesignEncoder(f"{name}(age, df=4)").fit_transform(X)
    assert design.shape == (200, 4)
    np.testing.assert_allclose(design.mean(axis=0), 0, atol=1e-12)
    knots = np.quantile(x, np.linspace(0, 1, 5))
    some = natural_spline(knots, np.array([1.0, -2.0, 0.5, 3.0, 0.0]), x)
    with_constant = np.column_stack([np.ones(200), design])
    residual = some - with_constant @ np.linalg.lstsq(with_constant, some)[0]
    np.testing.assert_allclose(residual, 0, atol=1e-10)
    assert np.linalg.matrix_rank(with_constant) == 5


def test_a_natural_spline_goes_on_as_a_straight_line():
    encoder = DesignEncoder("cs(age, df=4)").fit(frame())
    beyond = encoder.transform(pd.DataFrame({"age": [61.0, 71.0, 81.0, 500.0, -1.0, -11.0, -21.0]}))
    np.testing.assert_allclose(beyond[1] - beyond[0], beyond[2] - beyond[1], atol=1e-12)
    np.testing.assert_allclose(beyond[3] - beyond[0], 43.9 * (beyond[1] - beyond[0]), atol=1e-9)
    np.testing.assert_allclose(beyond[5] - beyond[4], beyond[6] - beyond[5], atol=1e-12)


def test_a_restricted_spline_has_straight_tails_inside_the_data():
    # bounds at the 5th and 95th percentile: linear outside them, as epidemiologists use it
    X = frame()
    low, high = np.quantile(X["age"], [0.05, 0.95])
    encoder = DesignEncoder(f"cs(age, knots=[20, 40], lower_bound={low}, upper_bound={high}, constraints=None)").fit(X)
    x = X["age"].to_numpy()
    assert ((x < low) | (x > high)).sum() > 10
    knots = np.array([low, 20, 40, high])
    expected = np.column_stack([natural_spline(knots, unit, x) for unit in np.eye(4)])
    np.testing.assert_allclose(encoder.transform(X), expected, atol=1e-10)


def test_a_cyclic_spline_comes_back_to_where_it_began():
    X = pd.DataFrame({"month": np.tile(np.arange(1.0, 13.0), 5)})
    encoder = DesignEncoder("cc(month, df=4, lower_bound=1, upper_bound=13)").fit(X)
    ends = encoder.transform(pd.DataFrame({"month": [1.0, 13.0, 25.0, 3.5, 15.5]}))
    np.testing.assert_allclose(ends[1:3], ends[[0, 0]], atol=1e-12)
    np.testing.assert_allclose(ends[4], ends[3], atol=1e-12)
    step = 1e-4
    around = encoder.transform(pd.DataFrame({"month": [1.0, 1 + step, 13 - step, 13.0]}))
    np.testing.assert_allclose((around[1] - around[0]) / step, (around[3] - around[2]) / step, atol=1e-3)


@pytest.mark.parametrize("formula", SPLINES)
def test_what_the_fit_learnt_is_replayed_row_by_row_and_after_every_copy(formula):
    X = frame()
    encoder = DesignEncoder(formula).fit(X)
    design = encoder.transform(X)
    some = [3, 77, 150]
    np.testing.assert_allclose(encoder.transform(X.iloc[some]), design[some], atol=1e-12)
    np.testing.assert_allclose(encoder.transform(X.iloc[::-1])[::-1], design, atol=1e-12)
    copies = [
        DesignEncoder.from_state(encoder.state()),
        pickle.loads(pickle.dumps(encoder)),
        copy.deepcopy(encoder),
    ]
    for again in copies:
        assert again.terms_ == encoder.terms_
        np.testing.assert_array_equal(again.transform(X.iloc[:40]), encoder.transform(X.iloc[:40]))


@pytest.mark.parametrize("options", ["", ", extrapolation='raise'"])
def test_an_encoder_is_rebuilt_though_the_mean_customer_lies_beyond_the_knots(options):
    # the product of the means is 0.82, all products are 0 to 0.1
    X = pd.DataFrame({"a": [0.0, 2.0, 1.0, 0.0, 2.0], "b": [2.0, 0.0, 0.1, 2.0, 0.0]})
    encoder = DesignEncoder(f"bs(a * b, df=3{options})").fit(X)
    again = DesignEncoder.from_state(encoder.state())
    np.testing.assert_array_equal(again.transform(X), encoder.transform(X))
    with pytest.raises(DataError, match="is known from 0 to 0.1"):
        again.transform(pd.DataFrame({"a": [1.0], "b": [1.0]}))


def test_a_model_with_splines_is_saved_and_predicts_beyond_the_fit(tmp_path):
    X = frame()
    rng = np.random.default_rng(2)
    y = cs.Outcome(rng.integers(1, 40, 200), rng.integers(0, 2, 200))
    model = cs.CoxPH("cs(age, df=3) + C(term, contr.treatment(24))").fit(X, y)
    assert len(model.coef_) == 5
    again = cs.load(cs.save(model, tmp_path / "model.churnsurv"))
    new = pd.DataFrame({"age": [-5.0, 30.0, 90.0], "term": [12, 24, 36]})
    np.testing.assert_array_equal(again.predict(new), model.predict(new))
    assert np.isfinite(model.predict(new)).all()


def test_values_beyond_the_knots_of_a_b_spline_are_refused_with_rows_and_remedies():
    encoder = DesignEncoder("bs(age, df=4) + rate").fit(frame())
    new = pd.DataFrame({"age": [30.0, np.nan, 75.0, 20.0, -3.0], "rate": [5.0, 5.0, 5.0, np.nan, 5.0]})
    with pytest.raises(
        DataError, match=r"bs\(age, df=4\) is known from 0\.\d+ to 59\.\d+, .*2 rows \(row 2, 4\).*cs\(\)"
    ):
        encoder.transform(new)


def test_the_remedies_for_values_beyond_the_knots_work():
    X, new = frame(), pd.DataFrame({"age": [30.0, 75.0, 80.0]})
    held = DesignEncoder("bs(age, df=4, extrapolation='clip')").fit(X).transform(new)
    np.testing.assert_allclose(held[1:], [[0, 0, 0, 1], [0, 0, 0, 1]], atol=1e-12)
    knots = np.r_[[0] * 4, np.median(X["age"]), [100] * 4]
    wide = DesignEncoder("bs(age, df=4, lower_bound=0, upper_bound=100)").fit(X).transform(new)
    expected = BSpline.design_matrix(new["age"].to_numpy(), knots, 3).toarray()[:, 1:]
    np.testing.assert_allclose(wide, expected, atol=1e-12)


# ---- categories


def test_the_reference_is_the_level_that_the_formula_names():
    X = pd.DataFrame({"segment": ["a", "b", "c", "b"], "term": [36, 12, 24, 36]})
    encoder = DesignEncoder("C(segment, contr.treatment('b')) + C(term, contr.treatment(36))").fit(X)
    #                         a  c  12 24
    np.testing.assert_array_equal(encoder.transform(X), [[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 1], [0, 0, 0, 0]])
    assert [term.split("[T.")[1] for term in encoder.terms_] == ["a]", "c]", "12]", "24]"]


def test_another_reference_leaves_the_fit_the_same():
    X = frame()
    rng = np.random.default_rng(3)
    y = cs.Outcome(rng.integers(1, 40, 200), rng.integers(0, 2, 200))
    first = cs.CoxPH("rate + C(segment)").fit(X, y)
    other = cs.CoxPH("rate + C(segment, contr.treatment('b'))").fit(X, y)
    assert other.log_likelihood_ == pytest.approx(first.log_likelihood_, rel=1e-12)
    against_a = first.coef_.filter(like="T.b").iloc[0]
    against_b = other.coef_.filter(like="T.a").iloc[0]
    assert against_b == pytest.approx(-against_a, rel=1e-6)


def test_sums_of_contrasts_are_coded_by_hand():
    X = pd.DataFrame({"segment": ["a", "b", "c"]})
    design = DesignEncoder("C(segment, contr.sum)").fit_transform(X)
    np.testing.assert_array_equal(design, [[1, 0], [0, 1], [-1, -1]])


def test_interactions_multiply_columns():
    X = pd.DataFrame({"rate": [2.0, 3.0, 5.0], "segment": ["a", "b", "b"]})
    encoder = DesignEncoder("rate * segment").fit(X)
    np.testing.assert_array_equal(encoder.transform(X), [[2, 0, 0], [3, 1, 3], [5, 1, 5]])
    assert encoder.terms_ == ["rate", "segment[T.b]", "rate:segment[T.b]"]


def test_levels_that_a_formula_leaves_out_are_refused_at_the_fit():
    with pytest.raises(DataError, match=r"C\(term, levels=\[12, 36\]\).*24"):
        DesignEncoder("C(term, levels=[12, 36])").fit(frame())


def test_a_reference_that_is_no_level_is_refused():
    with pytest.raises(DataError, match="'Z'.*not among the provided levels"):
        DesignEncoder("C(segment, contr.treatment('Z'))").fit(frame())


def test_unseen_levels_are_refused_inside_formulas_too():
    encoder = DesignEncoder("cs(age, df=3) * C(term)").fit(frame())
    with pytest.raises(UnseenCategoryError, match=r"'term' has .*48.* in 1 row \(row 1\)"):
        encoder.transform(frame(3).assign(term=[12, 48, 36]))


# ---- rows


@pytest.mark.parametrize("formula", ["I(rate - np.mean(rate))", "rate.rank()", "age + lag(rate)", "np.cumsum(rate)"])
def test_terms_that_depend_on_other_rows_are_refused(formula):
    with pytest.raises(DataError, match="of a row depends on the other rows.*center"):
        DesignEncoder(formula).fit(frame())


@pytest.mark.parametrize("formula", [None, "cs(age, df=3) + segment"])
def test_rows_with_a_missing_value_are_missing_throughout(formula):
    X = frame()[["age", "rate", "segment"]]
    encoder = DesignEncoder(formula).fit(X)
    gappy = X.iloc[:4].assign(age=[np.nan, 1.0, 2.0, 3.0], segment=["a", None, "b", "c"])
    assert np.isnan(encoder.transform(gappy)).all(axis=1).tolist() == [True, True, False, False]
    assert np.isfinite(encoder.transform(gappy)[2:]).all()


def test_numbers_with_gaps_are_missing_throughout_and_the_frame_stays_as_it_was():
    # a frame made of one array gives that array to whoever asks
    gappy = pd.DataFrame(np.array([[np.nan, 1.0], [2.0, 3.0]]), columns=["age", "rate"])
    design = DesignEncoder().fit(gappy.iloc[[1]]).transform(gappy)
    np.testing.assert_array_equal(design, [[np.nan, np.nan], [2, 3]])
    assert gappy["rate"].tolist() == [1, 3]


def test_rows_may_share_an_index():
    X = frame().set_axis(np.zeros(200), axis=0)
    encoder = DesignEncoder("bs(age, df=4) * segment").fit(X)
    np.testing.assert_array_equal(encoder.transform(X), encoder.transform(X.reset_index(drop=True)))


# ---- scikit-learn


def test_frames_come_out_with_names_and_index_when_asked():
    X = frame()
    encoder = DesignEncoder("rate + C(term)").set_output(transform="pandas")
    design = encoder.fit_transform(X)
    assert list(design.columns) == ["rate", "C(term)[T.24]", "C(term)[T.36]"]
    assert design.index.equals(X.index)
    np.testing.assert_array_equal(design["rate"], X["rate"])
    for again in (clone(encoder).fit(X), pickle.loads(pickle.dumps(encoder)), copy.copy(encoder)):
        pd.testing.assert_frame_equal(again.transform(X), design)


def test_models_do_not_mind_how_transformers_give_their_output():
    X = frame()
    rng = np.random.default_rng(4)
    y = cs.Outcome(rng.integers(1, 40, 200), rng.integers(0, 2, 200))
    plain = cs.CoxPH("cs(age, df=3) + rate").fit(X, y)
    with sklearn.config_context(transform_output="pandas"):
        model = cs.CoxPH("cs(age, df=3) + rate").fit(X, y)
        np.testing.assert_array_equal(model.predict(X), plain.predict(X))
        curves = model.predict_curves(X.iloc[:3])
    np.testing.assert_array_equal(curves.probability, plain.predict_curves(X.iloc[:3]).probability)


def test_names_out_are_the_terms():
    encoder = DesignEncoder("rate + segment").fit(frame())
    assert encoder.get_feature_names_out().tolist() == ["rate", "segment[T.b]", "segment[T.c]"]
    assert encoder.get_feature_names_out(["age", "rate", "segment", "term"]).tolist() == encoder.terms_
    with pytest.raises(DataError, match="input_features are rate; the fit had age, rate, segment, term"):
        encoder.get_feature_names_out(["rate"])


def test_a_pipeline_fits_what_the_design_by_hand_fits():
    X = frame()
    z = (X["age"] + 5 * (X["segment"] == "b") > 33).astype(int)
    pipeline = make_pipeline(DesignEncoder("age + segment"), LogisticRegression(C=1e3, max_iter=5000)).fit(X, z)
    by_hand = np.column_stack([X["age"], X["segment"] == "b", X["segment"] == "c"]).astype(float)
    alone = LogisticRegression(C=1e3, max_iter=5000).fit(by_hand, z)
    np.testing.assert_allclose(pipeline.predict_proba(X), alone.predict_proba(by_hand), atol=1e-12)
    assert pipeline.score(X, z) > 0.95


def test_a_spline_in_a_pipeline_follows_a_curve():
    X = frame()
    z = np.sin(X["age"] / 10)
    straight = make_pipeline(DesignEncoder("age"), LinearRegression()).fit(X, z).score(X, z)
    curved = make_pipeline(DesignEncoder("cs(age, df=8)"), LinearRegression()).fit(X, z).score(X, z)
    assert straight < 0.7
    assert curved > 0.999


def test_it_is_a_part_of_a_column_transformer():
    X = frame()
    both = ColumnTransformer(
        [("own", DesignEncoder("cs(age, df=3) + segment"), ["age", "segment"])], remainder="passthrough"
    )
    design = both.set_output(transform="pandas").fit_transform(X)
    assert design.shape == (200, 7)
    assert list(design.columns[:1]) == ["own__cs(age, df=3)[1]"]


def test_parameters_are_those_of_the_constructor():
    encoder = DesignEncoder("rate")
    assert encoder.get_params() == {"formula": "rate"}
    assert clone(encoder.set_params(formula="age")).formula == "age"


def test_scikit_learns_own_checks_pass_but_for_the_words_of_errors():
    results = check_estimator(DesignEncoder(), on_fail=None, on_skip=None)
    failed = {result["check_name"] for result in results if result["status"] == "failed"}
    # these ask for scikit-learn's own wording of an error that is raised here in other words
    words = {
        "check_complex_data",
        "check_estimators_empty_data_messages",
        "check_fit2d_predict1d",
        "check_n_features_in_after_fitting",
    }
    assert failed <= words, failed
    assert sum(result["status"] == "passed" for result in results) > 40


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (csr_array(np.eye(3)), "sparse matrix.*toarray"),
        (np.array([[1 + 2j, 1.0]]), "'x0' is complex128, not numeric"),
        (pd.DataFrame({"when": pd.date_range("2026-01-01", periods=3)}), "'when' is datetime64"),
    ],
)
def test_what_is_no_number_is_refused_at_the_fit(X, message):
    with pytest.raises(DataError, match=message):
        DesignEncoder().fit(X)


@pytest.mark.parametrize("ask", ["transform", "get_feature_names_out", "state"])
def test_an_encoder_must_be_fitted_first(ask):
    with pytest.raises(DataError, match="not fitted yet: call fit"):
        getattr(DesignEncoder("rate"), ask)(*([frame()] if ask == "transform" else []))


def test_a_formula_is_text():
    with pytest.raises(DataError, match="formula is a list; give text such as"):
        DesignEncoder(["rate", "term"]).fit(frame())
