"""Partial dependence: averages of predictions with a column set, for every model with curves."""

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import churnsurv as cs
from churnsurv.exceptions import DataError, NotIdentifiedError, UnseenCategoryError

N = 240


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "rate": rng.normal(size=N),
            "segment": rng.choice(["private", "retail", "sme"], N),
            "online": rng.uniform(size=N) < 0.5,
        },
        index=[f"loan {i}" for i in range(N)],
    )


@pytest.fixture(scope="module")
def y(X):
    rng = np.random.default_rng(1)
    months = np.ceil(rng.exponential(20 * np.exp(-X["rate"] - (X["segment"] == "sme"))))
    cause = np.where(months <= 36, rng.integers(1, 3, N), 0)
    return cs.Outcome(np.minimum(months, 36), cause, causes=("attrition", "default"))


@pytest.fixture(scope="module")
def all_causes(y):
    return cs.Outcome(y.stop, y.event > 0)


@pytest.fixture(scope="module")
def models(X, y):
    return {
        "forest": cs.RandomSurvivalForest(20, random_state=0).fit(X, y),
        "cause-specific": cs.CauseSpecificCox().fit(X, y),
        "fine-gray": cs.FineGray("attrition").fit(X, y),
    }


@pytest.mark.parametrize("kind", ["forest", "cause-specific", "fine-gray"])
@pytest.mark.parametrize(
    ("column", "values"), [("rate", [-1.0, 0.5]), ("segment", ["sme", "retail"]), ("online", [True, False])]
)
def test_the_average_is_that_of_predictions_with_the_column_set(kind, column, values, models, X):
    model = models[kind]
    result = cs.partial_dependence(model, X, column, horizon=12, cause="attrition", grid=values, ice=N)
    for g, value in enumerate(result.values):
        curves = model.predict_curves(X.assign(**{column: value}), [12])
        each = curves.risk("attrition", 12)
        assert result.average[g] == pytest.approx(each.mean())
        np.testing.assert_allclose(result.individual_frame().iloc[:, g].loc[X.index], each)
        assert (each < result.lower[g]).mean() <= 0.1 <= (each <= result.lower[g]).mean()
        assert (each < result.upper[g]).mean() <= 0.9 <= (each <= result.upper[g]).mean()
    assert set(result.values) == set(values)
    assert result.band == "spread"
    assert result.observed == pytest.approx(model.predict_curves(X, [12]).risk("attrition", 12).mean())


def test_customers_of_different_age_are_followed_from_their_own(models, X):
    age = np.random.default_rng(2).integers(0, 12, N)
    result = cs.partial_dependence(models["forest"], X, "rate", horizon=12, cause="default", start=age, grid=[0, 1])
    expected = models["forest"].predict_curves(X.assign(rate=1), start=age).risk("default", 12).mean()
    assert result.average[1] == pytest.approx(expected)


def test_of_a_cox_model_the_interval_is_that_of_the_standardised_curve(X, all_causes):
    model = cs.CoxPH().fit(X, all_causes)
    result = cs.partial_dependence(model, X, "segment", horizon=6, start=3, level=0.9)
    table = cs.standardised_curves(model, X, [9], values={"sme": {"segment": "sme"}}, start=3, level=0.9).to_frame()
    assert (result.band, result.level) == ("interval", 0.9)
    found = result.to_frame().set_index("value").loc["sme"]
    np.testing.assert_allclose(
        [found["average"], found["lower"], found["upper"]],
        1 - table.loc[0, ["estimate", "upper", "lower"]].to_numpy(float),
    )
    spread = cs.partial_dependence(model, X, "segment", horizon=6, start=np.arange(N) % 3)
    assert spread.band == "spread"


def test_weights_are_repeated_customers(models, X):
    weight = np.random.default_rng(3).integers(0, 4, N)
    repeated = X.iloc[np.repeat(np.arange(N), weight)]
    options = {"horizon": 12, "cause": "attrition"}
    one = cs.partial_dependence(models["forest"], X, "rate", sample_weight=weight, **options)
    other = cs.partial_dependence(models["forest"], repeated, "rate", **options)
    for name in ("values", "average", "lower", "upper", "support", "observed"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name))
    assert one.n == np.count_nonzero(weight)


def test_the_grid_is_of_quantiles_and_what_lies_outside_is_flagged(models, X):
    result = cs.partial_dependence(models["forest"], X, "rate", horizon=12, cause="attrition", grid=9)
    assert len(result.values) == 9
    assert np.isin(result.values, X["rate"]).all()
    assert result.values[4] == pytest.approx(X["rate"].median(), abs=0.05)
    assert not result.extrapolated.any()
    np.testing.assert_allclose(result.support[4], X["rate"].median(), atol=0.05)
    wide = cs.partial_dependence(models["forest"], X, "rate", horizon=12, cause="attrition", grid=[-9, 0, 9])
    assert wide.extrapolated.tolist() == [True, False, True]
    some = X[X["segment"] != "sme"]
    levels = cs.partial_dependence(
        models["forest"], some, "segment", horizon=12, cause="default", grid=["sme", "retail"]
    )
    assert levels.extrapolated.tolist() == [True, False]
    assert levels.categorical
    assert levels.support[0] == 0


def test_a_categorical_keeps_its_levels(models, X):
    stored = X.assign(segment=pd.Categorical(X["segment"], categories=["sme", "retail", "private"]))
    result = cs.partial_dependence(models["forest"], stored, "segment", horizon=12, cause="attrition")
    assert result.values.tolist() == ["sme", "retail", "private"]
    plain = cs.partial_dependence(models["forest"], X, "segment", horizon=12, cause="attrition")
    np.testing.assert_allclose(result.average, plain.average[::-1])
    assert result.support.sum() == pytest.approx(1)


def test_single_customers_are_spread_over_the_order_of_their_risk(models, X):
    result = cs.partial_dependence(models["forest"], X, "rate", horizon=12, cause="attrition", ice=True)
    own = models["forest"].predict_curves(X, [12]).risk("attrition", 12)
    rank = pd.Series(own, X.index).rank(method="first")[result.individual_index].to_numpy()
    assert len(rank) == 50
    assert (np.diff(np.sort(rank)) <= N / 50 + 1).all()
    assert cs.partial_dependence(models["forest"], X, "rate", horizon=12, cause="attrition").individual.shape == (0, 20)


def test_a_pipeline_is_explained_in_its_own_columns(X, all_causes):
    numbers = X[["rate"]].assign(noise=np.arange(N) % 7)
    pipeline = make_pipeline(StandardScaler(), cs.CoxPH()).fit(numbers, all_causes)
    result = cs.partial_dependence(pipeline, numbers, "rate", horizon=12, grid=[-1, 1])
    plain = cs.partial_dependence(cs.CoxPH().fit(numbers, all_causes), numbers, "rate", horizon=12, grid=[-1, 1])
    np.testing.assert_allclose(result.average, plain.average, atol=1e-8)


def test_what_cannot_be_answered_is_refused(models, X, y, all_causes):
    forest = models["forest"]
    options = {"horizon": 12, "cause": "attrition"}
    for column, more, message in (
        ("age", {}, "No column 'age' in X"),
        ("other", {}, "does not use the column 'other'"),
        ("rate", {"grid": 1}, "grid=1"),
        ("rate", {"grid": []}, "a list of values"),
        ("rate", {"grid": [0, np.nan]}, "missing or infinite"),
        ("rate", {"ice": 501}, "ice=501"),
        ("rate", {"horizon": 99}, "past the last time known"),
        ("rate", {"horizon": -1}, "horizon=-1"),
        ("rate", {"cause": None}, "Name the cause"),
        ("rate", {"cause": "sale"}, "Cause 'sale' is unknown"),
    ):
        with pytest.raises(DataError, match=message):
            cs.partial_dependence(forest, X.assign(other=1), column, **(options | more))
    with pytest.raises(UnseenCategoryError):
        cs.partial_dependence(forest, X, "segment", grid=["public"], **options)
    with pytest.raises(NotIdentifiedError, match="alone does not identify"):
        cs.partial_dependence(cs.CoxPH(cause="attrition").fit(X, y), X, "rate", **options)
    with pytest.raises(DataError, match="'segment', which does not enter the model; the model uses rate"):
        cs.partial_dependence(cs.CoxPH("rate").fit(X, all_causes), X, "segment", horizon=12)
    gaps = X.assign(rate=X["rate"].where(X["rate"] < 1))
    cox = cs.CoxPH().fit(X, all_causes)
    with pytest.raises(DataError, match="lack a covariate"):
        cs.partial_dependence(cox, gaps, "segment", horizon=12)
    with pytest.raises(DataError, match="has no value"):
        cs.partial_dependence(cox, X.assign(rate=np.nan), "rate", horizon=12)
