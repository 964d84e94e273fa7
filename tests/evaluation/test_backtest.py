import warnings

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.data.calendar_splits import Origin
from churnsurv.exceptions import DataError, LeakageWarning, SmallSampleWarning
from tests.evaluation.samples import shipped_spells

FEATURES = ["rate_incentive"]


@pytest.fixture(scope="module")
def spells():
    return shipped_spells()


@pytest.fixture(scope="module")
def champion():
    return cs.CauseSpecificCox(" + ".join(FEATURES))


@pytest.fixture(scope="module")
def found(spells, champion):
    models = {"cox": champion, "on cohorts": champion, "by vintage": champion}
    with warnings.catch_warnings():
        # of strata with few events
        warnings.simplefilter("ignore", SmallSampleWarning)
        return cs.evaluation.backtest(
            models, spells, ["2025-03-31", "2025-09-30"], horizon=6, features=FEATURES, train={"on cohorts": "cohort"},
            cause="attrition", metrics=["auc", "brier", "observed_expected"], fit_params={"by vintage": {"strata": "vintage"}},
        )  # fmt: skip


def test_models_of_both_scales_are_judged_on_the_same_cohort_as_by_hand(found, spells, champion):
    development, cohort = cs.data.out_of_time(spells, "2025-09-30", horizon=6)
    kept = cohort.frame["age"].to_numpy() + 6 <= development.frame["stop"].max()
    X, y, groups = cohort.X[FEATURES][kept], cohort.y[kept], cohort.groups[kept]
    earlier = development.landmark("2025-03-31")
    model = champion.fit(development.X[FEATURES], development.y)
    start = cohort.frame["age"][kept].to_numpy(dtype=float)
    by_age = np.argsort(start, kind="stable")

    def one_age(age):
        return model.predict_curves(X[start == age], start=age).risk("attrition", 6)

    risk = {
        "cox": np.concatenate([one_age(age) for age in np.unique(start)])[np.argsort(by_age)],
        "on cohorts": champion.fit(earlier.X[FEATURES], earlier.y).predict_curves(X).risk("attrition", 6),
        "null": cs.NullModel().fit(earlier.X, earlier.y).predict_curves(X).risk("attrition", 6),
    }
    for name, predicted in risk.items():
        row = found.folds[
            (found.folds["model"] == name) & (found.folds["metric"] == "brier") & (found.folds["fold"] == "2025-09-30")
        ].iloc[0]
        expected = cs.metrics.brier_score(y, predicted, 6, cause="attrition", cluster=groups)
        np.testing.assert_allclose([row["value"], row["se"]], [expected.value, expected.se], rtol=1e-9)
        given = found.predictions_
        given = given[(given["model"] == name) & (given["fold"] == "2025-09-30")]
        np.testing.assert_array_equal(given["row"], np.flatnonzero(kept))
        np.testing.assert_allclose(given["risk_6"], predicted, rtol=1e-9)


def test_loans_older_than_any_in_the_development_are_left_out_and_counted(found, spells):
    n = 0
    for date in ("2025-03-31", "2025-09-30"):
        development, cohort = cs.data.out_of_time(spells, date, horizon=6)
        n += int((cohort.frame["age"] + 6 > development.frame["stop"].max()).sum())
    assert n > 0
    assert f"without {n:,} loans older than any in the development" in found.method


def test_strata_that_the_development_hardly_knows_are_refused_with_the_reason(found):
    table = found.table[found.table["model"] == "by vintage"]
    assert table["value"].isna().all()
    assert table["reason"].str.contains("past the last time known|not seen in training").all()


def test_dates_are_pooled_with_customers_as_units(found, spells):
    folds = found.folds[(found.folds["model"] == "cox") & (found.folds["metric"] == "brier")]
    row = found.table[(found.table["model"] == "cox") & (found.table["metric"] == "brier")].iloc[0]
    weight = folds["n"] / folds["n"].sum()
    np.testing.assert_allclose(row["value"], weight @ folds["value"], rtol=1e-12)
    # loans that are there on both dates are one unit: no more than if the dates told the same, not less than one of them
    independent = np.sqrt(weight**2 @ folds["se"] ** 2)
    assert 0.9 * independent < row["se"] < weight @ folds["se"] * 1.01
    assert found.folds["fold"].nunique() == 2


def test_rolling_origins_are_taken_as_they_are(found, spells, champion):
    origins = list(cs.data.rolling_origin(spells, first="2025-03-31", step=6, horizon=6))[:2]
    again = cs.evaluation.backtest(
        {"cox": champion}, spells, origins, horizon=6, features=FEATURES, cause="attrition", metrics=["auc"]
    )
    expected = found.table[(found.table["metric"] == "auc") & (found.table["model"] == "cox")]["value"]
    np.testing.assert_allclose(again.table["value"].iloc[0], expected.iloc[0], rtol=1e-12)


def test_cohorts_know_the_age_unless_features_are_named(spells):
    models = {"forest": cs.RandomSurvivalForest(5, random_state=0)}
    options = {"train": "cohort", "cause": "attrition", "metrics": ["auc"], "horizon": 6}
    default = cs.evaluation.backtest(models, spells, "2025-09-30", **options)
    with_age = [*spells.rules.covariate_names, "age"]
    named = cs.evaluation.backtest(models, spells, "2025-09-30", features=with_age, **options)
    pd.testing.assert_frame_equal(default.table, named.table)
    assert "without" not in default.method
    more = cs.evaluation.backtest(models, spells, "2025-09-30", landmarks=2, **options)
    assert more.table["value"].iloc[0] != default.table["value"].iloc[0]


def test_models_asked_for_are_given_back_as_fitted(spells, champion):
    found = cs.evaluation.backtest(
        {"cox": champion}, spells, "2025-09-30", horizon=6, features=FEATURES, cause="attrition", metrics=["auc"], keep=["cox"]
    )  # fmt: skip
    ((name, date), model), *others = found.models_.items()
    development, _ = cs.data.out_of_time(spells, "2025-09-30", horizon=6)
    by_hand = champion.fit(development.X[FEATURES], development.y)
    assert (name, date, others) == ("cox", pd.Timestamp("2025-09-30"), [])
    pd.testing.assert_series_equal(model.models_["attrition"].coef_, by_hand.models_["attrition"].coef_)


def test_processes_change_nothing(found, spells, champion):
    options = {"horizon": 6, "features": FEATURES, "cause": "attrition", "metrics": ["auc"]}
    one = cs.evaluation.backtest({"cox": champion}, spells, "2025-09-30", **options)
    from joblib import parallel_config

    with parallel_config(backend="threading"):
        two = cs.evaluation.backtest({"cox": champion}, spells, "2025-09-30", n_jobs=2, **options)
    pd.testing.assert_frame_equal(one.table, two.table, check_exact=True)


def test_a_development_beyond_its_date_is_warned_of(spells, champion):
    _, cohort = cs.data.out_of_time(spells, "2025-09-30", horizon=6)
    ahead = Origin(pd.Timestamp("2025-09-30"), spells, cohort)
    with pytest.warns(LeakageWarning, match="knows what it is judged by"):
        cs.evaluation.backtest(
            {"cox": champion},
            spells,
            [ahead],
            horizon=6,
            features=FEATURES,
            cause="attrition",
            metrics=["auc"],
            null=False,
        )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dates": []}, "empty"),
        ({"dates": ["2025-09-30", "2025-09-30"]}, "twice"),
        ({"horizon": 2.5}, "whole number"),
        ({"horizon": 60}, "earlier date"),
        ({"dates": "2020-03-31", "horizon": 6}, "A cohort to fit to is needed|outside the observed"),
        ({"train": "loans"}, "'spells' or 'cohort'"),
        ({"train": {"lasso": "cohort"}}, "some of the models"),
        ({"features": ["shoe_size"]}, "no column"),
        ({"landmarks": 0}, "1 or more"),
    ],
)
def test_bad_arguments_are_refused_in_words(spells, champion, options, words):
    given = {"models": {"cox": champion}, "spells": spells, "dates": "2025-09-30", "horizon": 6, "features": FEATURES}
    with pytest.raises(DataError, match=words):
        cs.evaluation.backtest(**(given | options))
