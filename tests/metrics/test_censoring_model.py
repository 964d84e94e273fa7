"""Censoring that depends on covariates: against riskRegression, definitions, and where Kaplan–Meier weights are biased."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import churnsurv as cs
from churnsurv.exceptions import DataError, NotIdentifiedError, UnseenCategoryError, ZeroDurationWarning
from churnsurv.nonparametric.reversed import reversed_outcome
from tests.metrics.simulate_censoring import bias, draw

HERE = Path(__file__).parent / "covariate_censoring"
metrics = cs.metrics


@pytest.fixture(scope="module")
def r():
    frame = pd.read_csv(HERE / "input.csv")
    one = cs.Outcome(frame["time"], frame["cause"] > 0)
    two = cs.Outcome(frame["time"], frame["cause"], causes=("attrition", "default"))
    risks = [frame[["risk", "risk24"]].to_numpy(), frame[["other", "other24"]].to_numpy()]
    return json.loads((HERE / "expected.json").read_text()), frame[["a", "b"]], one, two, risks


class TestAgainstR:
    @pytest.mark.parametrize("which", ["one_cause", "two_causes"])
    def test_brier_and_auc_with_a_cox_model_of_censoring_are_riskregressions(self, r, which):
        expected, X, one, two, risks = r
        y, cause = (one, None) if which == "one_cause" else (two, "attrition")
        model = cs.CensoringModel(cs.CoxPH()).fit(y, X)
        for k, risk in enumerate(risks):
            brier = metrics.brier_score(y, risk, [12, 24], cause=cause, censoring=model)
            auc = metrics.cumulative_dynamic_auc(y, risk, [12, 24], cause=cause, censoring=model)
            np.testing.assert_allclose(brier["value"], expected[which]["brier"][2 * k : 2 * k + 2], rtol=1e-8)
            np.testing.assert_allclose(auc["value"], expected[which]["auc"][2 * k : 2 * k + 2], rtol=1e-8)
            assert "taken as known" in brier["method"][0]

    def test_probabilities_are_rs(self, r):
        expected, X, one, _, _ = r
        found = cs.CensoringModel(cs.CoxPH()).fit(one, X).probability([12, 24])[:5]
        np.testing.assert_allclose(found, np.column_stack(list(expected["uncensored"].values())), rtol=1e-8)

    @pytest.mark.parametrize("weighting", ["n", "n/G2"])
    def test_differences_of_concordances_are_rs(self, r, weighting):
        expected, _, one, _, risks = r
        found = metrics.concordance_difference(one, risks[0][:, 0], risks[1][:, 0], weighting=weighting, tau=24)
        wanted = expected["difference_" + weighting.replace("/", "_over_")]
        assert found.value == pytest.approx(wanted["value"], rel=1e-8, abs=1e-12)
        assert found.se == pytest.approx(wanted["se"], rel=1e-8)


class TestReversedOutcome:
    def test_who_leaves_is_at_risk_of_censoring_until_just_before(self):
        with pytest.warns(ZeroDurationWarning):
            y = cs.Outcome([3, 3, 5, 0, 7, 7], [1, 0, 1, 1, 0, 0])
        found, rows = reversed_outcome(y)
        assert rows.tolist() == [0, 1, 2, 4, 5]
        assert found.stop.tolist() == [1.5, 3, 4, 7, 7]
        # the end of follow-up is no event
        assert found.event.tolist() == [0, 1, 0, 0, 0]

    def test_a_spell_that_goes_on_is_not_censored(self):
        y = cs.Outcome([4, 9, 6, 12], [0, 0, 1, 0], start=[0, 4, 2, 0], subject=["a", "a", "b", "c"])
        found, _ = reversed_outcome(y)
        assert found.event.tolist() == [0, 1, 0, 0]

    def test_a_model_without_information_is_kaplan_meier_but_for_the_form_of_the_product(self):
        y, _, _, _ = draw(np.random.default_rng(0), 3_000)
        null = cs.CensoringModel(cs.CoxPH()).fit(y, pd.DataFrame({"z": np.tile([0.0, 1.0], len(y) // 2)}))
        times = np.arange(1, 40)
        for before in (False, True):
            found = null.probability(times, before=before)
            # exp(−Σ d/n) beside Π (1 − d/n), ties broken by months
            np.testing.assert_allclose(
                found.mean(axis=0), cs.CensoringModel().fit(y).probability(times, before=before), atol=0.01
            )


class TestOfRows:
    def test_strata_are_kaplan_meier_within_each(self):
        y, X, risk, _ = draw(np.random.default_rng(1), 400)
        model = cs.CensoringModel().fit(y, strata=X["x"])
        whole = model.probability([3, 12], before=True)
        for x in np.unique(X["x"]):
            rows = np.flatnonzero(X["x"] == x)
            own = cs.CensoringModel().fit(y[rows]).probability([3, 12], before=True)
            np.testing.assert_array_equal(whole[rows], np.tile(own, (len(rows), 1)))
        # within a stratum the score is that of the stratum alone: the mean of the strata's sums
        whole = metrics.brier_score(y, risk, 12, censoring=model).value
        sums = 0.0
        for x in np.unique(X["x"]):
            rows = np.flatnonzero(X["x"] == x)
            sums += len(rows) * metrics.brier_score(y[rows], risk[rows], 12).value
        assert whole == pytest.approx(sums / len(y))

    @pytest.mark.parametrize("estimator", [cs.CoxPH(), make_pipeline(StandardScaler(), cs.CoxPH())])
    def test_each_row_at_its_time_is_the_diagonal(self, estimator):
        y, X, _, _ = draw(np.random.default_rng(2), 60)
        model = cs.CensoringModel(estimator).fit(y, X, sample_weight=np.ones(len(y)))
        for before in (False, True):
            np.testing.assert_allclose(
                model.probability_each(y.stop, before=before),
                np.diag(model.probability(y.stop, before=before)),
                rtol=1e-12,
            )

    def test_uno_weights_pairs_by_both_customers(self):
        y, X, risk, _ = draw(np.random.default_rng(3), 40)
        strata, weight = np.arange(40) % 2, 1.0 + np.arange(40) % 3
        model = cs.CensoringModel(cs.CoxPH()).fit(y, X)
        G = model.probability(y.stop, before=True)  # (j, i): of row j just before the time of row i
        concordant = comparable = 0.0
        for i in np.flatnonzero((y.event == 1) & (y.stop <= 24)):
            for j in range(40):
                later = y.stop[j] > y.stop[i] or (y.stop[j] == y.stop[i] and not y.event[j])
                if later and strata[i] == strata[j]:
                    pair = weight[i] * weight[j] / G[i, i] / G[j, i]
                    comparable += pair
                    concordant += pair * (1.0 if risk[i] > risk[j] else 0.5 if risk[i] == risk[j] else 0.0)
        options = {"weighting": "n/G2", "tau": 24, "sample_weight": weight, "strata": strata}
        found = metrics.concordance_index(y, risk, censoring=model, **options)
        assert found.value == pytest.approx(concordant / comparable, rel=1e-12)
        assert "G of each customer" in found.method

    def test_uno_by_a_model_that_is_the_same_for_all_is_uno(self):
        y, _, risk, _ = draw(np.random.default_rng(4), 200)
        same = cs.CensoringModel().fit(y, strata=np.zeros(len(y)))
        options = {"weighting": "n/G2", "tau": 24}
        found = metrics.concordance_index(y, risk, censoring=same, **options)
        expected = metrics.concordance_index(y, risk, censoring=cs.CensoringModel().fit(y), **options)
        assert (found.value, found.se) == (pytest.approx(expected.value), pytest.approx(expected.se))

    def test_all_metrics_take_it(self):
        y, X, risk, _ = draw(np.random.default_rng(5), 300)
        model = cs.CensoringModel(cs.CoxPH()).fit(y, X)
        both, other = np.column_stack((risk, np.minimum(1, 1.4 * risk))), np.full((len(y), 2), 0.4)
        single = metrics.brier_score(y, risk, 12, censoring=model).value
        assert metrics.integrated_brier_score(y, both, [12, 24], censoring=model).value > 0
        assert metrics.index_of_prediction_accuracy(y, risk, 12, censoring=model).se > 0
        difference = metrics.brier_difference(y, both, other, [12, 24], censoring=model)["value"]
        assert difference[0] == pytest.approx(single - metrics.brier_score(y, other[:, 0], 12, censoring=model).value)
        assert metrics.auc_difference(y, risk, X["x"] * 0, 12, censoring=model).value == pytest.approx(
            metrics.cumulative_dynamic_auc(y, risk, 12, censoring=model).value - 0.5
        )
        assert metrics.concordance_difference(
            y, risk, -risk, weighting="n/G2", tau=24, censoring=model
        ).value == pytest.approx(
            2 * metrics.concordance_index(y, risk, weighting="n/G2", tau=24, censoring=model).value - 1
        )

    def test_weight_zero_leaves_a_row_out(self):
        y, X, risk, _ = draw(np.random.default_rng(6), 300)
        weight = (np.arange(300) % 4 > 0).astype(float)
        kept = np.flatnonzero(weight)
        whole, part = (
            cs.CensoringModel(cs.CoxPH()).fit(y, X, sample_weight=weight),
            cs.CensoringModel(cs.CoxPH()).fit(y[kept], X.iloc[kept]),
        )
        found = metrics.brier_score(y, risk, 12, sample_weight=weight, censoring=whole)
        expected = metrics.brier_score(y[kept], risk[kept], 12, censoring=part)
        assert (found.value, found.se) == (pytest.approx(expected.value), pytest.approx(expected.se))


class TestOtherRows:
    def test_a_fit_elsewhere_is_told_the_rows(self, tmp_path):
        rng = np.random.default_rng(7)
        (y, X, _, _), (test, rows, risk, _) = draw(rng, 300), draw(rng, 200)
        model = cs.CensoringModel(cs.CoxPH()).fit(y, X)
        with pytest.raises(
            DataError, match=r"was fitted on 300 rows, the outcome has 200: pass censoring=model.at\(X\)"
        ):
            metrics.brier_score(test, risk, 12, censoring=model)
        found = metrics.brier_score(test, risk, 12, censoring=model.at(rows))
        again = cs.load(cs.save(model, tmp_path / "censoring.churnsurv"))
        with pytest.raises(DataError, match="knows no customers"):
            metrics.brier_score(test, risk, 12, censoring=again)
        assert metrics.brier_score(test, risk, 12, censoring=again.at(rows)) == found

    def test_strata_are_saved_and_given_again(self, tmp_path):
        rng = np.random.default_rng(8)
        (y, X, _, _), (test, rows, risk, _) = draw(rng, 300), draw(rng, 200)
        model = cs.CensoringModel().fit(y, strata=X["x"])
        again = cs.load(cs.save(model, tmp_path / "censoring.churnsurv"))
        found, wanted = (metrics.brier_score(test, risk, 12, censoring=m.at(strata=rows["x"])) for m in (again, model))
        assert found == wanted
        with pytest.raises(UnseenCategoryError, match=r"row 0.*known: -1.5, -0.5"):
            model.at(strata=rows["x"] + 0.2)

    def test_other_rows_of_the_same_number_are_noticed(self):
        y, X, risk, _ = draw(np.random.default_rng(9), 200)
        model = cs.CensoringModel(cs.CoxPH()).fit(y, X)
        order = np.random.default_rng(0).permutation(200)
        for call in (
            lambda: metrics.brier_score(y[order], risk[order], 12, censoring=model),
            lambda: metrics.concordance_index(y[order], risk[order], weighting="n/G2", censoring=model),
        ):
            with pytest.raises(DataError, match="the outcome has 200 others"):
                call()
        assert metrics.brier_score(y[order], risk[order], 12, censoring=model.at(X.iloc[order])).value == pytest.approx(
            metrics.brier_score(y, risk, 12, censoring=model).value
        )

    def test_the_scorer_fits_it_to_the_rows_it_scores(self):
        rng = np.random.default_rng(10)
        (y, X, _, _), (test, rows, _, _) = draw(rng, 300), draw(rng, 200)
        model = cs.CoxPH().fit(X, y)
        scorer = cs.scorer("brier", horizon=12, censoring=cs.CensoringModel(cs.CoxPH()))
        own = cs.CensoringModel(cs.CoxPH()).fit(test, rows)
        risk = model.predict_curves(rows, [12]).risk(horizon=12)
        assert scorer(model, rows, test) == -metrics.brier_score(test, risk, 12, censoring=own).value
        with pytest.raises(DataError, match="leave censoring out"):
            cs.scorer("concordance", censoring=own)

    def test_tuning_a_forest_out_of_bag_takes_it(self):
        y, X, _, _ = draw(np.random.default_rng(11), 300)
        scorer = cs.scorer("brier", horizon=12, censoring=cs.CensoringModel(cs.CoxPH()))
        forest = cs.RandomSurvivalForest(20, random_state=0)
        options = {"forest": forest, "search": {"min_samples_leaf": [20]}, "random_state": 0, "progress": False}
        weighted, plain = (
            cs.tune_forest(X, y, scoring=s, **options).table["score"] for s in (scorer, cs.scorer("brier", horizon=12))
        )
        assert not np.allclose(weighted, plain)
        assert np.all(weighted < 0)


class TestBadInput:
    y = cs.Outcome([2, 3, 5, 7], [1, 0, 1, 0])
    X = pd.DataFrame({"x": [0.0, 1.0, 1.0, 0.0]})

    def test_a_model_needs_covariates_and_covariates_a_model(self):
        with pytest.raises(DataError, match=r"fit\(y, X\)"):
            cs.CensoringModel(cs.CoxPH()).fit(self.y)
        with pytest.raises(DataError, match="X is for a model"):
            cs.CensoringModel().fit(self.y, self.X)
        with pytest.raises(DataError, match="either a model with X or strata"):
            cs.CensoringModel(cs.CoxPH()).fit(self.y, self.X, strata=[1, 1, 2, 2])

    def test_rows_must_match(self):
        with pytest.raises(DataError, match="X has 3 rows, y has 4"):
            cs.CensoringModel(cs.CoxPH()).fit(self.y, self.X.iloc[:3])

    def test_nobody_censored_teaches_nothing(self):
        with pytest.raises(NotIdentifiedError, match="Nobody is censored before the end"):
            cs.CensoringModel(cs.CoxPH()).fit(cs.Outcome([2, 3, 5, 7], [1, 1, 1, 1]), self.X)

    def test_a_model_without_curves_is_refused(self):
        with pytest.raises(DataError, match="StandardScaler predicts no curves"):
            cs.CensoringModel(StandardScaler()).fit(self.y, self.X)

    def test_at_takes_what_the_model_depends_on(self):
        with pytest.raises(DataError, match="same for all customers"):
            cs.CensoringModel().fit(self.y).at(self.X)
        with pytest.raises(DataError, match=r"depends on strata: at\(strata=...\)"):
            cs.CensoringModel().fit(self.y, strata=[1, 1, 2, 2]).at(self.X)
        with pytest.raises(DataError, match="not fitted"):
            cs.CensoringModel(cs.CoxPH()).at(self.X)

    def test_other_weightings_of_concordance_refuse_it(self):
        model = cs.CensoringModel().fit(self.y, strata=[1, 1, 2, 2])
        with pytest.raises(DataError, match="'S/G' takes a censoring that is the same for all"):
            metrics.concordance_index(self.y, [4, 3, 2, 1], weighting="S/G", censoring=model)

    def test_a_customer_without_chance_to_be_seen_is_refused(self):
        y = cs.Outcome([2, 3, 8, 9], [1, 0, 1, 0])
        model = cs.CensoringModel().fit(cs.Outcome([2, 3, 2, 3], [0, 0, 1, 0]), strata=[1, 1, 2, 2])
        with pytest.raises(NotIdentifiedError, match="gives nobody a chance"):
            metrics.brier_score(y, [0.5, 0.4, 0.3, 0.2], 5, censoring=model.at(strata=[1, 1, 2, 2]))


def _bands(found: pd.DataFrame, models: tuple[str, ...]) -> None:
    """Stated before looking: the models' mean within three Monte-Carlo errors of 0, Kaplan–Meier's beyond."""
    z = found.mean() / (found.std(ddof=1) / np.sqrt(len(found)))
    assert abs(z["kaplan_meier"]) > 3
    assert all(abs(z[name]) < 3 for name in models)


def test_kaplan_meier_weights_are_biased_where_censoring_depends_on_covariates_and_a_models_are_not():
    _bands(bias(40, 1_000, seed=1, months=False), ("strata", "cox"))


@pytest.mark.slow
@pytest.mark.parametrize("months", [False, True])
def test_so_they_are_in_many_data_sets(months):
    found = bias(300, 1_000, seed=2 + months, months=months)
    # with ties by month Cox's model is an approximation: its bias is small beside that of Kaplan–Meier
    _bands(found, ("strata",) if months else ("strata", "cox"))
    assert abs(found["cox"].mean()) < abs(found["kaplan_meier"].mean()) / 5
