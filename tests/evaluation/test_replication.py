"""The champion fitted again by other libraries: agreement found, corruption caught, and what cannot be compared said."""

import sys
import warnings
from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.evaluation import replicate
from churnsurv.evaluation.replication_peers import CoxRows
from churnsurv.evaluation.replication_weights import geskus_rows
from churnsurv.exceptions import DataError

pytest.importorskip("lifelines")
pytest.importorskip("sksurv", reason="scikit-survival has no release for this Python")


def portfolio(n=300, seed=0, entry=False, ties=True, censoring=60.0):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {"rate": rng.normal(size=n), "balance": rng.lognormal(10, 1, n), "term": rng.choice(["36 m", "60 m"], n)}
    )
    hazard = 0.05 * np.exp(0.7 * X["rate"] + 0.4 * (X["term"] == "60 m")).to_numpy()
    left, censored = rng.exponential(1 / hazard), rng.uniform(2, censoring, n)
    if ties:
        left, censored = np.ceil(left), np.ceil(censored)
    stop, start = np.minimum(left, censored), None
    code = np.where(left <= censored, 1 + (rng.random(n) < 0.4), 0)
    if entry:
        start = np.where(rng.random(n) < 0.5, 0.0, rng.integers(0, 6, n))
        kept = stop > start
        X, stop, code, start = X[kept].reset_index(drop=True), stop[kept], code[kept], start[kept]
    one = cs.Outcome(stop, code > 0, start=start)
    return X, one, cs.Outcome(stop, code, start=start, causes=("attrition", "default"))


X, ONE, TWO = portfolio()
RNG = np.random.default_rng(5)
WEIGHT, STRATUM, CLUSTER = RNG.integers(0, 4, 300), RNG.integers(0, 3, 300), RNG.integers(0, 150, 300)


def quantities(record):
    return set(record.table["quantity"])


class TestAgreement:
    def test_a_cox_model_by_both_libraries(self):
        record = replicate(cs.CoxPH().fit(X, ONE), X, ONE)
        assert record.verdict == "replicated"
        assert set(record.table["peer"]) == {"count", "lifelines", "scikit-survival"}
        assert {"coefficient", "standard error (model)", "log likelihood", "likelihood-ratio statistic"} <= quantities(
            record
        )
        assert "baseline cumulative hazard" not in quantities(record)
        assert any("Breslow's under Efron's ties" in text for text in record.left_out)
        # a loan's balance has a coefficient of 1e-6: differences are counted in its standard errors
        row = record.table.query("term == 'balance' and quantity == 'coefficient' and peer == 'lifelines'").iloc[0]
        assert row["tolerance"] < 1e-8

    @pytest.mark.parametrize("entry", [False, True])
    @pytest.mark.parametrize("formula", [None, "rate + bs(balance, df=3, extrapolation='clip') + C(term)"])
    def test_with_strata_weights_clusters_and_entry(self, entry, formula):
        X, one, _ = portfolio(entry=entry)
        rng = np.random.default_rng(5)
        n = len(X)
        given = {
            "strata": rng.integers(0, 3, n),
            "sample_weight": rng.integers(0, 4, n),
            "cluster": rng.integers(0, 150, n),
        }
        record = replicate(cs.CoxPH(formula).fit(X, one, **given), X, one, **given)
        assert record.verdict == "replicated"
        assert len(record.table[record.table["peer"] == "lifelines"]) >= 9
        assert any("robust covariance" in text for text in record.left_out)
        assert any("scikit-survival: it takes no weights or strata" in text for text in record.left_out)

    def test_start_stop_rows_and_columns_as_arguments(self):
        frame = pd.concat([X.assign(segment=STRATUM, loan=np.arange(300))] * 2, ignore_index=True)
        cut = np.ceil(ONE.stop / 2)
        early = np.where(cut < ONE.stop, cut, ONE.stop / 2)
        frame.loc[300:, "rate"] += 0.3
        y = cs.Outcome(
            np.r_[early, ONE.stop],
            np.r_[np.zeros(300), ONE.event],
            start=np.r_[np.zeros(300), early],
            subject=frame.pop("loan"),
        )
        model = cs.CoxPH("rate + term").fit(frame, y, strata="segment")
        record = replicate(model, frame, y)
        assert (record.verdict, model.n_subjects_) == ("replicated", 300)

    def test_breslows_ties_and_the_absence_of_ties_give_a_baseline_to_compare(self):
        assert "baseline cumulative hazard" in quantities(replicate(cs.CoxPH(ties="breslow").fit(X, ONE), X, ONE))
        X2, one, _ = portfolio(ties=False)
        record = replicate(cs.CoxPH().fit(X2, one), X2, one)
        assert record.verdict == "replicated"
        assert "baseline cumulative hazard" in quantities(record)

    def test_all_causes_of_a_cause_specific_model(self):
        model = cs.CauseSpecificCox({"attrition": "rate + term", "default": "balance"}).fit(X, TWO)
        record = replicate(model, X, TWO)
        assert record.verdict == "replicated"
        terms = record.table.groupby("cause")["term"].unique()
        assert "balance" in terms["default"]
        assert "balance" not in terms["attrition"]

    @pytest.mark.parametrize("tied_censoring", ["after", "with"])
    def test_fine_and_grays_model_as_weighted_start_stop_rows(self, tied_censoring):
        X2, _, two = portfolio(censoring=15.0)
        weight = np.random.default_rng(1).integers(1, 4, len(X2))
        for given in ({}, {"sample_weight": weight}, {"strata": X2["term"]}):
            columns = X2[["rate", "balance"]]
            model = cs.FineGray("attrition", tied_censoring=tied_censoring).fit(columns, two, **given)
            record = replicate(model, columns, two, **given)
            assert record.verdict == "replicated", record
            assert {"coefficient", "standard error (model)"} <= quantities(record)

    def test_missing_values_are_dropped_as_in_the_fit(self):
        gap = X.copy()
        gap.loc[[3, 7], "rate"] = np.nan
        with pytest.warns(cs.exceptions.MissingDataWarning):
            model = cs.CoxPH(missing="drop").fit(gap, ONE)
        with pytest.warns(cs.exceptions.MissingDataWarning):
            record = replicate(model, gap, ONE)
        assert record.verdict == "replicated"
        assert record.table.query("quantity == 'rows'")["theirs"].item() == 298

    def test_a_forest_in_accuracy_and_from_its_own_seed(self):
        forest = cs.RandomSurvivalForest(60, random_state=3).fit(X, ONE)
        record = replicate(forest, X, ONE)
        assert record.verdict == "replicated"
        assert "out-of-bag concordance" in quantities(record)
        assert "not number by number" in record.method


class TestCorruption:
    @pytest.mark.parametrize("place", [0, 1, 2])
    @pytest.mark.parametrize("ties", ["efron", "breslow"])
    def test_a_coefficient_off_by_a_ten_thousandth_is_caught(self, place, ties):
        model = cs.CoxPH(ties=ties).fit(X, ONE)
        model.coef_.iloc[place] += 1e-4
        record = replicate(model, X, ONE)
        assert record.verdict == "not replicated"
        assert model.coef_.index[place] in set(record.table.query("verdict == 'different'")["term"])

    def test_a_covariance_a_likelihood_and_a_baseline_off_by_little_are_caught(self):
        model = cs.CoxPH().fit(X, ONE)
        model.naive_covariance_.iloc[0, 2] = model.naive_covariance_.iloc[2, 0] = (
            model.naive_covariance_.iloc[2, 0] + 1e-4
        )
        assert "Wald statistic" in replicate(model, X, ONE).reason
        model = cs.CoxPH().fit(X, ONE)
        model.log_likelihood_ += 1e-4
        assert "log likelihood" in replicate(model, X, ONE).reason
        model = cs.CoxPH(ties="breslow").fit(X, ONE)
        model.centred_hazard_["hazard"] *= 1.0001
        assert "baseline cumulative hazard" in replicate(model, X, ONE).reason

    def test_one_cause_of_several_and_a_fine_gray_model(self):
        model = cs.CauseSpecificCox().fit(X, TWO)
        model.models_["default"].coef_.iloc[0] += 1e-4
        record = replicate(model, X, TWO)
        assert set(record.table.query("verdict == 'different'")["cause"]) == {"default"}
        gray = cs.FineGray("default").fit(X, TWO)
        gray.coef_.iloc[0] -= 1e-4
        assert replicate(gray, X, TWO).verdict == "not replicated"

    def test_other_rows_than_those_of_the_fit(self):
        model = cs.CoxPH().fit(X, ONE)
        assert "rows (count): 300, not 290" in replicate(model, X[:290], ONE[:290]).reason

    def test_a_model_that_is_no_number_does_not_agree(self):
        model = cs.CoxPH().fit(X, ONE)
        model.coef_.iloc[0] = np.nan
        assert replicate(model, X, ONE).verdict == "not replicated"

    def test_a_forest_with_a_changed_leaf(self):
        forest = cs.RandomSurvivalForest(60, random_state=3).fit(X, ONE)
        forest.portfolio_hazard_ = forest.portfolio_hazard_[:, ::-1].copy()
        forest.trees_["cut"] = np.where(forest.trees_["feature"] >= 0, forest.trees_["cut"] // 2, forest.trees_["cut"])
        assert replicate(forest, X, ONE).verdict == "not replicated"


class TestNotApplicable:
    def test_separation(self):
        lucky = X.assign(vip=(np.arange(300) % 10 == 0) & (ONE.event == 0))
        with pytest.warns(cs.exceptions.SeparationWarning):
            model = cs.CoxPH().fit(lucky, ONE)
        record = replicate(model, lucky, ONE)
        assert record.verdict == "not applicable"
        assert "no maximum in 'vip'" in record.reason
        assert "vip" not in set(record.table["term"])

    def test_what_no_peer_fits(self):
        offset = cs.CoxPH().fit(X, ONE, offset=np.linspace(0, 1, 300))
        firth = cs.CoxPH(penalty="firth").fit(X[["rate"]], ONE)
        assert replicate(offset, X, ONE).reason == "no peer takes an offset"
        assert "Firth" in replicate(firth, X[["rate"]], ONE).reason
        late, _, two = portfolio(entry=True)
        assert "delayed entry" in replicate(cs.FineGray("default").fit(late, two), late, two).reason
        breslow = cs.CoxPH(ties="breslow").fit(X, ONE, strata=STRATUM)
        record = replicate(breslow, X, ONE, strata=STRATUM)
        assert record.verdict == "not applicable"
        assert "Efron's tie rule only" in record.reason

    def test_forests_that_scikit_survival_cannot_grow(self):
        def reason(y, X=X, **options):
            return replicate(cs.RandomSurvivalForest(5, random_state=0, **options).fit(X, y), X, y).reason

        assert "knows one cause" in reason(TWO)
        assert "without bootstrap" in reason(ONE, bootstrap=False)
        assert "missing values" in reason(ONE, X=X.assign(rate=[np.nan, *X["rate"][1:]]))
        late, one, _ = portfolio(entry=True)
        assert "delayed entry" in reason(one, X=late)

    def test_a_library_that_is_not_installed_is_said(self, monkeypatch):
        model = cs.CoxPH().fit(X, ONE)
        monkeypatch.setitem(sys.modules, "sksurv.linear_model", None)
        record = replicate(model, X, ONE)
        assert record.verdict == "replicated"  # by lifelines
        assert any("scikit-survival is not installed (it has no release for Python 3.13" in t for t in record.left_out)
        monkeypatch.setitem(sys.modules, "lifelines", None)
        assert replicate(model, X, ONE).verdict == "not applicable"

    def test_models_and_arguments_that_are_wrong(self):
        with pytest.raises(DataError, match="A KaplanMeier cannot be replicated"):
            replicate(cs.KaplanMeier().fit(ONE), X, ONE)
        model = cs.CoxPH().fit(X, ONE, strata=STRATUM)
        with pytest.raises(DataError, match="fitted with strata: pass strata="):
            replicate(model, X, ONE)
        with pytest.raises(DataError, match="tolerance=0"):
            replicate(model, X, ONE, strata=STRATUM, tolerance=0)
        with pytest.raises(DataError, match="neither strata nor clusters"):
            replicate(cs.RandomSurvivalForest(5).fit(X, ONE), X, ONE, cluster=CLUSTER)
        with pytest.raises(DataError, match="X has 300 rows, y has 10"):
            replicate(model, X, ONE[:10])


class TestRecord:
    def test_the_record_is_frozen_and_says_what_it_is(self):
        record = replicate(cs.CoxPH().fit(X, ONE), X, ONE)
        with pytest.raises(FrozenInstanceError):
            record.verdict = "fine"
        assert list(record.to_frame().columns[:3]) == ["cause", "peer", "quantity"]
        text, html = repr(record), record._repr_html_()
        for shown in (text, html):
            assert "Replication of CoxPH: replicated" in shown
            assert "not compared: baseline hazard" in shown
        assert "lifelines 0." in text
        copied = record.to_frame()
        copied["ours"] = 0.0
        assert record.table["ours"].iloc[0] == 300

    def test_the_model_is_not_changed_and_peers_stay_quiet(self):
        model = cs.CoxPH().fit(X, ONE, sample_weight=WEIGHT / 3)
        before = model.coef_.copy()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            record = replicate(model, X, ONE, sample_weight=WEIGHT / 3)
        assert record.verdict == "replicated"
        assert model.coef_.equals(before)


def test_the_weights_of_geskus_by_hand():
    """Exits of the cause at 1, 3 and 6, of another at 2; censored at 2, 4 and 5. After 2: G = 1, then 3/4 past the tie at 2."""
    stop, code = np.array([1.0, 2, 2, 3, 4, 5, 6]), np.array([1, 2, 0, 1, 0, 0, 1])
    rows = CoxRows(np.arange(7.0)[:, None], None, stop, code == 1, None, None)
    made = geskus_rows(rows, code > 0, after=True)
    assert made.start[7:].tolist() == [2, 3]
    assert made.stop[7:].tolist() == [3, 6]
    # G(2-) = 1; at 2 one of 5 is censored (who left at 2 is not at risk of it); at 4 one of 3, at 5 one of 2
    assert np.allclose(made.weight[7:], [4 / 5, 4 / 5 * 2 / 3 * 1 / 2])
    tied = geskus_rows(rows, code > 0, after=False)
    assert np.allclose(tied.weight[7:], [5 / 6, 5 / 6 * 2 / 3 * 1 / 2])
