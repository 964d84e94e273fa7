"""Propensities and weights: textbook formulas, identities, folds by customer, and what no model can learn."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import churnsurv as cs
from churnsurv.effects import balance_table, effective_sample_size, propensity
from churnsurv.exceptions import DataError, NotIdentifiedError, PositivityWarning
from tests.oracle_cases import input_of, read


def sample(n=300, seed=0, n_arms=2):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"strain": rng.normal(size=n), "age": rng.integers(0, 40, n)})
    X["segment"] = rng.choice(["retail", "premium", "online"], n)
    score = np.outer(0.6 * X["strain"] - 0.5 * (X["segment"] == "online"), np.arange(n_arms))
    p = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    code = (rng.random((n, 1)) > np.cumsum(p, axis=1)).sum(axis=1)
    return X, np.array(["none", "deferral", "restructuring"])[code]


def newton(design, y):
    """Maximum likelihood by the textbook's iteration."""
    z, beta = np.column_stack((np.ones(len(y)), design)), np.zeros(design.shape[1] + 1)
    for _ in range(30):
        p = 1 / (1 + np.exp(-z @ beta))
        beta += np.linalg.solve((z.T * (p * (1 - p))) @ z, z.T @ (y - p))
    return beta


def test_the_logistic_regression_is_at_its_maximum():
    X, arm = sample()
    ps = propensity(X, arm, reference="none")
    design = np.column_stack((X["strain"], X["age"], X["segment"] == "premium", X["segment"] == "retail"))
    beta = newton(design.astype(float), arm == "deferral")
    assert ps.coefficients.index.tolist() == ["Intercept", "strain", "age", "segment[T.premium]", "segment[T.retail]"]
    np.testing.assert_allclose(ps.coefficients["deferral"], beta, rtol=1e-8)
    p = 1 / (1 + np.exp(-beta[0] - design.astype(float) @ beta[1:]))
    np.testing.assert_allclose(ps.score, p, rtol=1e-8)
    assert ps.log_likelihood == pytest.approx(np.where(arm == "deferral", np.log(p), np.log(1 - p)).sum())


def test_with_more_arms_the_scores_of_the_likelihood_are_zero():
    X, arm = sample(600, n_arms=3)
    ps = propensity(X, arm, reference="none")
    assert ps.arms == ("none", "deferral", "restructuring")
    np.testing.assert_allclose(ps.probability.sum(axis=1), 1.0)
    for k, label in enumerate(ps.arms):
        residual = (arm == label) - ps.probability[:, k]
        assert abs(residual.sum()) < 1e-5
        assert abs(residual @ X["strain"]) < 1e-5
    with pytest.raises(DataError, match="3 arms"):
        _ = ps.score


def test_the_reference_only_names_the_arms():
    X, arm = sample()
    a, b = propensity(X, arm, reference="none"), propensity(X, arm)
    assert b.arms == ("deferral", "none")
    np.testing.assert_allclose(a.score, 1 - b.score, rtol=1e-9)
    np.testing.assert_allclose(a.weights("ate"), b.weights("ate"), rtol=1e-8)


def test_weights_are_those_of_their_definitions():
    X, arm = sample()
    ps = propensity(X, arm, reference="none")
    treated, e = arm == "deferral", ps.score
    np.testing.assert_allclose(ps.weights(), np.where(treated, 1 / e, 1 / (1 - e)))
    share = treated.mean()
    np.testing.assert_allclose(ps.weights(stabilised=True), np.where(treated, share / e, (1 - share) / (1 - e)))
    np.testing.assert_allclose(ps.weights("att"), np.where(treated, 1, e / (1 - e)))
    np.testing.assert_allclose(ps.weights("overlap"), np.where(treated, 1 - e, e))
    low, high = np.quantile(ps.weights(), [0.02, 0.98])
    np.testing.assert_allclose(ps.weights(truncate=0.02), np.clip(ps.weights(), low, high))
    trimmed = ps.weights(trim=0.3)
    np.testing.assert_array_equal(trimmed == 0, np.minimum(e, 1 - e) < 0.3)
    np.testing.assert_array_equal(ps.weights(trim=0.0, truncate=0.0), ps.weights())


@pytest.mark.filterwarnings("ignore::churnsurv.exceptions.PositivityWarning")
def test_weights_of_more_arms_are_those_of_their_definitions():
    X, arm = sample(600, n_arms=3)
    ps = propensity(X, arm, reference="none")
    own = ps.probability[np.arange(600), ps.code]
    np.testing.assert_allclose(ps.weights(), 1 / own)
    np.testing.assert_allclose(ps.weights("att", treated="restructuring"), ps.probability[:, 2] / own)
    np.testing.assert_allclose(ps.weights("overlap") * own, 1 / (1 / ps.probability).sum(axis=1))
    table = balance_table(X, arm, ps.weights(), reference="none")
    assert set(table["arm"]) == {"deferral", "restructuring"}
    assert table["weighted_smd"].abs().max() < table["smd"].abs().max() / 3


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_overlap_weights_balance_every_mean_exactly(seed):
    X, arm = sample(120, seed)
    ps = propensity(X, arm, reference="none")
    table = balance_table(X, arm, ps.weights("overlap"), reference="none")
    assert table["weighted_smd"].abs().max() < 1e-7


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_the_order_of_rows_and_columns_changes_nothing(seed):
    X, arm = sample(120, seed)
    customer = np.repeat(np.arange(60), 2)
    order = np.random.default_rng(seed).permutation(120)
    for options in ({}, {"folds": 3}):
        whole = propensity(X, arm, cluster=customer, **options)
        moved = propensity(X.iloc[order, ::-1], arm[order], cluster=customer[order], **options)
        np.testing.assert_allclose(moved.probability, whole.probability[order], rtol=1e-6)


def test_redundant_columns_do_not_change_the_probabilities():
    X, arm = sample()
    more = X.assign(twice=2 * X["strain"] + 1, constant=4.0)
    ps = propensity(more, arm, reference="none")
    np.testing.assert_allclose(ps.score, propensity(X, arm, reference="none").score, rtol=1e-8)
    assert ps.coefficients["deferral"].isna().sum() == 2


def test_scale_does_not_matter():
    X, arm = sample()
    far = X.assign(strain=1e9 + 1e6 * X["strain"], age=1e-9 * X["age"])
    np.testing.assert_allclose(propensity(far, arm).score, propensity(X, arm).score, rtol=1e-6)


def test_cross_fitted_probabilities_come_from_the_other_customers():
    X, arm = sample(200)
    customer = np.repeat(np.arange(50), 4)
    calls = []

    class Spy(LogisticRegression):
        def fit(self, X, y):
            calls.append({tuple(row) for row in np.asarray(X)})
            return super().fit(X, y)

        def predict_proba(self, X):
            assert not calls[-1] & {tuple(row) for row in np.asarray(X)}
            return super().predict_proba(X)

    ps = propensity(X[["strain", "age"]], arm, model=Spy(), cluster=customer, folds=4)
    assert len(calls) == 4
    assert "cross-fitted in 4 folds" in ps.method
    # no row of a customer was in the fit of another of his rows
    rows = [tuple(row) for row in X[["strain", "age"]].to_numpy()]
    for fitted in calls:
        inside = np.array([row in fitted for row in rows]).reshape(50, 4)
        assert np.all(inside.all(axis=1) | ~inside.any(axis=1))


def test_a_classifier_is_cloned_and_a_pipeline_may_impute():
    X, arm = sample()
    forest = RandomForestClassifier(30, min_samples_leaf=20, random_state=0)
    ps = propensity(X, arm, model=forest, reference="none")
    assert not hasattr(forest, "estimators_")
    assert ps.method == "RandomForestClassifier, cross-fitted in 5 folds"
    assert ps.coefficients is None
    holed = X[["strain", "age"]].mask(np.random.default_rng(1).random((300, 2)) < 0.1)
    pipe = make_pipeline(SimpleImputer(), LogisticRegression())
    assert np.isfinite(propensity(holed, arm, model=pipe).score).all()


def test_a_formula_chooses_the_columns():
    X, arm = sample()
    ps = propensity(X, arm, formula="strain + I(strain**2)")
    assert ps.coefficients.index.tolist() == ["Intercept", "strain", "I(strain ** 2)"]


def test_the_oracle_of_weights_and_balance_is_reproduced():
    data, expected = input_of("iptw_rotterdam"), read("iptw_rotterdam")["expected"]
    terms = [term for term in expected["propensity"]["coef"] if term != "(Intercept)"]
    X, arm = data[terms], data["hormon"]
    ps = propensity(X, arm)
    np.testing.assert_allclose(ps.coefficients[1], list(expected["propensity"]["coef"].values()), rtol=1e-8)
    np.testing.assert_allclose(ps.score[:20], expected["propensity"]["first20"], rtol=1e-8)
    assert ps.log_likelihood == pytest.approx(expected["propensity"]["loglik"], rel=1e-9)
    kinds = {
        "ate": {},
        "stabilized": {"stabilised": True},
        "att": {"estimand": "att"},
        "overlap": {"estimand": "overlap"},
        "ate_trim_01_99": {"truncate": 0.01},
    }
    for kind, options in kinds.items():
        weights = ps.weights(**options)
        table = balance_table(X, arm, weights).set_index("term")
        for term, smd in expected["smd"][kind].items():
            assert table.loc[term, "weighted_smd"] == pytest.approx(smd, rel=1e-8, abs=1e-10)
            assert table.loc[term, "smd"] == pytest.approx(expected["smd"]["unweighted"][term], rel=1e-8)
        sizes = expected["effective_sample_size"][kind]
        size = effective_sample_size(weights, arm)
        np.testing.assert_allclose(size, [sizes["control"], sizes["treated"]], rtol=1e-8)


def test_balance_by_hand():
    X = pd.DataFrame({"x": [1.0, 3.0, 2.0, 6.0], "c": ["a", "b", "b", "b"]})
    table = balance_table(X, ["n", "n", "t", "t"], [1, 3, 1, 1]).set_index("term")
    # means 2 and 4, variances 2 and 8; weighted mean of n (1 + 9)/4 = 2.5, variance (2.25 + 3 · 0.25)/(4 − 10/4) = 2
    assert table.loc["x", ["mean", "reference_mean", "variance_ratio"]].tolist() == [4, 2, 4]
    assert table.loc["x", "smd"] == pytest.approx(2 / 5**0.5)
    assert table.loc["x", "weighted_smd"] == pytest.approx(1.5 / 5**0.5)
    assert table.loc["x", "weighted_variance_ratio"] == pytest.approx(4)
    assert table.loc["c=a", ["mean", "reference_mean", "weighted_reference_mean"]].tolist() == [0, 0.5, 0.25]
    assert np.isnan(table.loc["c=b", "variance_ratio"])


def test_equal_weights_change_no_balance():
    X, arm = sample()
    table = balance_table(X, arm, np.full(300, 2.5))
    for column in ("mean", "reference_mean", "smd", "variance_ratio"):
        np.testing.assert_allclose(table[f"weighted_{column}"], table[column], atol=1e-12)


def test_positivity_is_described():
    X, arm = sample()
    table = propensity(X, arm, reference="none").positivity(0.2)
    e = propensity(X, arm, reference="none").score
    assert table.loc["deferral", "n_below"] == np.sum(e < 0.2)
    treated = e[arm == "deferral"]
    assert table.loc["deferral", "n_outside"] == np.sum((e < treated.min()) | (e > treated.max()))
    assert table["n"].sum() == 300


def far_apart():
    rng = np.random.default_rng(3)
    strain = rng.normal(size=500) * 3
    return pd.DataFrame({"strain": strain}), rng.random(500) < 1 / (1 + np.exp(-1.5 * strain))


def test_weights_warn_where_an_arm_hardly_occurs_but_overlap_weights_do_not():
    ps = propensity(*far_apart())
    with pytest.warns(PositivityWarning, match="below 1%"):
        ps.weights("ate")
    with pytest.warns(PositivityWarning, match="arm False"):
        ps.weights("att")
    ps.weights("overlap")
    ps.weights("ate", trim=0.02)


def test_a_probability_of_zero_for_the_own_arm_is_refused():
    X, arm = sample(60)
    deep = RandomForestClassifier(3, random_state=0)
    ps = propensity(X, arm, model=deep)
    assert ps.probability.min() == 0
    with pytest.raises(NotIdentifiedError, match="without end"):
        ps.weights("ate")
    assert np.isfinite(ps.weights("overlap")).all()


def test_a_column_that_separates_the_arms_is_named():
    X, arm = sample()
    with pytest.raises(NotIdentifiedError, match="'rule' separates the arms"):
        propensity(X.assign(rule=np.where(arm == "none", -1.0, 1.0)), arm)
    flag = (arm == "none") & (X["strain"] > 0.5)
    with pytest.raises(NotIdentifiedError, match="'flag' separates"):
        propensity(X.assign(flag=flag.astype(int)), arm)
    with pytest.raises(
        NotIdentifiedError, match=f"'flag' separates the arms: {flag.sum()} rows above 0 in arm 'none' only"
    ):
        propensity(X.assign(flag=flag.astype(int)), arm)
    closed = X.assign(segment=X["segment"].mask(flag, "closed"))
    with pytest.raises(NotIdentifiedError, match=r"'segment' separates.*'closed'.*'deferral'"):
        propensity(closed, arm)
    # a penalised model has an estimate; complete separation leaves nothing to compare whatever the model
    assert propensity(closed, arm, model=LogisticRegression()).probability.min() > 0
    with pytest.raises(NotIdentifiedError, match="'rule' separates the arms"):
        propensity(X.assign(rule=np.where(arm == "none", -1.0, 1.0)), arm, model=LogisticRegression())


def test_a_combination_that_separates_the_arms_is_found():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(200, 2)), columns=["income", "debt"])
    with pytest.raises(NotIdentifiedError, match=r"column '(income|debt)'"):
        propensity(X, X["debt"] - X["income"] > 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, a: (X, np.where(a == "none", a, None)), "arm has .* missing value"),
        (lambda X, a: (X, np.full(len(a), "none")), "All rows are in arm 'none'"),
        (lambda X, a: (X, np.where(np.arange(len(a)) == 5, "one", "none")), "Arm 'one' has one customer"),
        (lambda X, a: (X.mask(X["strain"] > 1), a), "'strain' has"),
        (lambda X, a: (X.iloc[1:], a), "arm has shape"),
    ],
)
def test_bad_rows_are_refused(change, message):
    with pytest.raises(DataError, match=message):
        propensity(*change(*sample()))


def test_bad_options_are_refused():
    X, arm = sample()
    with pytest.raises(DataError, match="reference='other' is no arm"):
        propensity(X, arm, reference="other")
    with pytest.raises(DataError, match="folds=0"):
        propensity(X, arm, folds=0)
    with pytest.raises(DataError, match="gives no probabilities"):
        propensity(X, arm, model=cs.CoxPH())
    ps = propensity(X, arm, reference="none")
    for options in ({"estimand": "atu"}, {"truncate": 0.5}, {"trim": -0.1}, {"estimand": "att", "stabilised": True}):
        with pytest.raises(DataError):
            ps.weights(**options)
    with pytest.raises(DataError, match="treated='none' is the reference"):
        ps.weights("att", treated="none")


def test_an_arm_that_a_fold_never_sees_is_refused():
    # the two customers with arm 'a' have rows in 'b' too, as ten others have: dealt at random, they may share a fold
    arm = np.r_[["a", "b"] * 2, ["b"] * 20]
    customer = np.r_[0, 0, 1, 1, np.repeat(np.arange(2, 12), 2)]
    X = pd.DataFrame({"x": np.resize([1.0, 2.0, 3.0], 24)})

    def complaint(seed):
        try:
            propensity(X, arm, cluster=customer, folds=2, random_state=seed, model=LogisticRegression())
        except DataError as error:
            return str(error)
        return ""

    complaints = [complaint(seed) for seed in range(30)]
    assert "" in complaints
    assert all("All customers of arm 'a' are in fold" in text for text in complaints if text)
    assert any(complaints)
    with pytest.raises(DataError, match="folds=20 for 12 customers"):
        propensity(X, arm, cluster=customer, folds=20)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, -1, 1, 1], "negative value"),
        ([1, np.nan, 1, 1], "missing"),
        ([0, 0, 1, 1], "Every weight of arm 'n'"),
        (None, "sample_weight is None"),
        ([1, 1], "one value per row"),
    ],
)
def test_bad_weights_are_refused(weights, message):
    arm = ["n", "n", "t", "t"]
    with pytest.raises(DataError, match=message):
        effective_sample_size(weights, arm)
    if weights is not None:
        with pytest.raises(DataError, match=message):
            balance_table(pd.DataFrame({"x": [1.0, 2, 3, 4]}), arm, weights)


def test_balance_refuses_missing_covariates():
    X, arm = sample()
    with pytest.raises(DataError, match="'age' has 3 missing values"):
        balance_table(X.assign(age=X["age"].astype(float).where(np.arange(300) > 2)), arm)


def test_the_record_says_what_it_is():
    X, arm = sample()
    ps = propensity(X, arm, reference="none")
    assert "300 customers" in repr(ps)
    assert ps.to_frame().columns.tolist() == ["arm", "probability_none", "probability_deferral"]
    assert ps.to_frame()["arm"].tolist() == arm.tolist()
