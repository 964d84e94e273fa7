"""A model of the censoring in evaluations: the measures are those of the metrics called by hand with it."""

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.data import CustomerKFold
from churnsurv.evaluation.measures import METRICS
from churnsurv.exceptions import DataError
from tests.evaluation.samples import shipped_spells

FEATURES = ["rate_incentive"]


def covariate_censored(n=500, seed=4):
    """Leaving and censoring both depend on a."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"])
    leave = rng.exponential(20 * np.exp(-X["a"]))
    censored = np.minimum(rng.exponential(25 * np.exp(-0.7 * X["a"])), 60)
    return X, cs.Outcome(np.minimum(leave, censored), leave <= censored)


@pytest.mark.parametrize("model", [None, cs.CoxPH("a")])
@pytest.mark.parametrize("weighted", [False, True])
def test_censoring_is_fitted_to_the_held_out_rows_of_each_fold(model, weighted):
    X, y = covariate_censored()
    weight = np.random.default_rng(0).integers(0, 3, len(y)).astype(float) if weighted else None
    found = cs.evaluation.cross_validate(
        cs.CoxPH(), X, y, horizons=[6, 12], metrics=list(METRICS), sample_weight=weight, censoring=cs.CensoringModel(model),
    )  # fmt: skip
    plain = cs.evaluation.cross_validate(
        cs.CoxPH(), X, y, horizons=[6, 12], metrics=list(METRICS), sample_weight=weight
    )
    for fold, (train, test) in enumerate(CustomerKFold(5, random_state=0).split(X, y, np.arange(len(y))), start=1):
        fit = cs.CoxPH().fit(X.iloc[train], y[train], **({} if weight is None else {"sample_weight": weight[train]}))
        test = test if weight is None else test[weight[test] > 0]
        seen, options = y[test], {"sample_weight": None if weight is None else weight[test]}
        own = cs.CensoringModel(model).fit(seen, None if model is None else X.iloc[test], **options)
        options["censoring"] = own
        curves, score = fit.predict_curves(X.iloc[test], [6, 12]), fit.predict(X.iloc[test])
        by_hand = {
            "uno": cs.metrics.concordance_index(seen, score, tau=12, weighting="n/G2", **options),
            "auc": cs.metrics.cumulative_dynamic_auc(seen, curves, 12, **options),
            "brier": cs.metrics.brier_score(seen, curves, 12, **options),
            "integrated_brier": cs.metrics.integrated_brier_score(seen, curves, [6, 12], **options),
            "ipa": cs.metrics.index_of_prediction_accuracy(seen, curves, 12, **options),
        }
        of_fold = found.folds[(found.folds["fold"] == fold) & (found.folds["horizon"] == 12)].set_index("metric")
        for name, expected in by_hand.items():
            row = of_fold.loc[name]
            np.testing.assert_allclose([row["value"], row["se"]], [expected.value, expected.se], rtol=1e-9)
    unweighted = ["concordance", "observed_expected", "calibration_slope"]
    same = [each.table[each.table["metric"].isin(unweighted)] for each in (found, plain)]
    pd.testing.assert_frame_equal(*same)
    if model is not None:
        rows = found.table["metric"] == "brier"
        assert not np.allclose(found.table.loc[rows, "value"], plain.table.loc[rows, "value"], rtol=1e-4)


@pytest.mark.parametrize(
    ("censoring", "metrics", "match"),
    [
        ("km", "brier", "unfitted CensoringModel"),
        (cs.CensoringModel().fit(cs.Outcome([1, 2, 3], [1, 0, 1])), "brier", "unfitted CensoringModel"),
        (cs.CensoringModel(), "concordance", "none is asked for"),
        (cs.CensoringModel(cs.CoxPH("nothing")), "brier", "held out in 1"),
    ],
)
def test_censoring_that_cannot_be_used_is_refused(censoring, metrics, match):
    X, y = covariate_censored()
    with pytest.raises(DataError, match=match):
        cs.evaluation.cross_validate(cs.CoxPH(), X, y, horizons=12, metrics=metrics, censoring=censoring)


def test_censoring_weights_all_models_of_a_comparison():
    X, y = covariate_censored()
    options = {"horizons": 12, "metrics": "brier", "censoring": cs.CensoringModel(cs.CoxPH("a"))}
    alone = cs.evaluation.cross_validate(cs.CoxPH(), X, y, **options)
    both = cs.evaluation.compare({"cox": cs.CoxPH(), "b": cs.CoxPH("b")}, X, y, **options)
    assert both.estimate("brier", model="cox").value == alone.estimate("brier").value


def test_censoring_is_fitted_to_the_cohort_with_the_columns_of_the_models():
    spells, champion = shipped_spells(), cs.CauseSpecificCox(FEATURES[0])
    censoring = cs.CensoringModel(cs.CoxPH(FEATURES[0]))
    found = cs.evaluation.backtest(
        {"cox": champion}, spells, "2025-09-30", horizon=6, features=FEATURES, cause="attrition", metrics="brier",
        null=False, censoring=censoring,
    )  # fmt: skip
    development, cohort = cs.data.out_of_time(spells, "2025-09-30", horizon=6)
    kept = cohort.frame["age"].to_numpy() + 6 <= development.frame["stop"].max()
    X, y = cohort.X[FEATURES][kept], cohort.y[kept]
    expected = cs.metrics.brier_score(
        y, found.predictions_["risk_6"].to_numpy(), 6, cause="attrition", cluster=cohort.groups[kept],
        censoring=censoring.fit(y, X),
    )  # fmt: skip
    row = found.table.iloc[0]
    np.testing.assert_allclose([row["value"], row["se"]], [expected.value, expected.se], rtol=1e-9)
