"""Models of lifelines and scikit-survival as challengers: known answers, their defects out of reach, clear refusals."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import churnsurv as cs
from churnsurv.exceptions import ConvergenceError, DataError, NoEventsError, NotIdentifiedError, UnseenCategoryError

lifelines = pytest.importorskip("lifelines")
sksurv = pytest.importorskip("sksurv", reason="scikit-survival has no release for this Python")
from sksurv.ensemble import (  # noqa: E402
    ComponentwiseGradientBoostingSurvivalAnalysis,
    ExtraSurvivalTrees,
    GradientBoostingSurvivalAnalysis,
    RandomSurvivalForest,
)
from sksurv.linear_model import CoxnetSurvivalAnalysis, CoxPHSurvivalAnalysis, IPCRidge  # noqa: E402
from sksurv.svm import FastKernelSurvivalSVM, FastSurvivalSVM  # noqa: E402
from sksurv.tree import SurvivalTree  # noqa: E402


def portfolio(n=240, seed=0, ties=True):
    """Customers whose rate incentive, as a number and a category, makes them leave; months as times."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"rate": rng.normal(size=n), "term": rng.choice(["36 m", "60 m"], n)}, index=np.arange(n) + 100)
    hazard = 0.05 * np.exp(0.9 * X["rate"] + 0.4 * (X["term"] == "60 m"))
    time = rng.exponential(1 / hazard.to_numpy())
    time = np.ceil(time) if ties else time
    cause = 1 + (rng.random(n) < 0.35)
    stop = np.where(time <= 30.0, time, 31.0)
    return X, stop, np.where(time <= 30.0, cause, 0)


X, STOP, CODE = portfolio()
ONE = cs.Outcome(STOP, CODE > 0)
TWO = cs.Outcome(STOP, CODE, causes=("attrition", "default"))

CURVES = [
    lifelines.CoxPHFitter(),
    lifelines.CoxPHFitter(penalizer=0.01),
    lifelines.CoxPHFitter(baseline_estimation_method="piecewise", breakpoints=[6, 15]),
    lifelines.CoxPHFitter(baseline_estimation_method="spline", n_baseline_knots=2),
    lifelines.WeibullAFTFitter(),
    lifelines.LogNormalAFTFitter(),
    lifelines.LogLogisticAFTFitter(),
    lifelines.PiecewiseExponentialRegressionFitter(breakpoints=[6, 15]),
    lifelines.AalenAdditiveFitter(coef_penalizer=0.1),
    CoxPHSurvivalAnalysis(),
    CoxPHSurvivalAnalysis(ties="efron"),
    CoxnetSurvivalAnalysis(),
    RandomSurvivalForest(15, min_samples_leaf=10, random_state=0),
    ExtraSurvivalTrees(15, min_samples_leaf=10, random_state=0),
    SurvivalTree(min_samples_leaf=30, random_state=0),
    GradientBoostingSurvivalAnalysis(n_estimators=20, random_state=0),
    ComponentwiseGradientBoostingSurvivalAnalysis(n_estimators=20, random_state=0),
    make_pipeline(StandardScaler(), CoxnetSurvivalAnalysis()),
]
RANKS = [
    IPCRidge(),
    FastSurvivalSVM(random_state=0),
    FastSurvivalSVM(rank_ratio=0.5, fit_intercept=True, random_state=0),
    FastKernelSurvivalSVM(kernel="rbf", random_state=0),
    GradientBoostingSurvivalAnalysis(loss="ipcwls", n_estimators=20, random_state=0),
    make_pipeline(StandardScaler(), IPCRidge()),
]
NULLS = [lifelines.KaplanMeierFitter(), lifelines.NelsonAalenFitter(), lifelines.WeibullFitter()]


def named(estimator):
    last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    return type(last).__name__


class TestKnownAnswers:
    @pytest.mark.parametrize("estimator", CURVES + RANKS, ids=named)
    def test_a_higher_prediction_leaves_sooner(self, estimator):
        model = cs.adapt(estimator).fit(X, ONE)
        new = pd.DataFrame({"rate": [-1.5, 1.5], "term": "36 m"})
        low, high = model.predict(new)
        assert low < high
        assert model.score(X, ONE) > 0.6

    @pytest.mark.parametrize("estimator", CURVES, ids=named)
    def test_curves_are_probabilities_that_fall_and_start_at_one(self, estimator):
        curves = cs.adapt(estimator).fit(X, ONE).predict_curves(X, np.arange(31.0))
        assert np.allclose(curves.survival[:, 0], 1)
        assert np.diff(curves.survival, axis=1).max() <= 1e-12
        assert ((curves.survival >= 0) & (curves.survival <= 1)).all()
        assert curves.index.equals(X.index)
        # on average the right number of customers is left, by Kaplan-Meier's measure
        left = cs.KaplanMeier().fit(ONE).curves_.at([24]).survival[0, 0]
        assert curves.survival[:, 24].mean() == pytest.approx(left, abs=0.08)

    @pytest.mark.parametrize("ties", ["efron", "breslow"])
    def test_coxs_model_of_scikit_survival_has_the_curves_of_its_tie_rule(self, ties):
        ours = cs.CoxPH(ties=ties).fit(X, ONE).predict_curves(X, [3, 12, 24], start=2).survival
        theirs = cs.adapt(CoxPHSurvivalAnalysis(ties=ties)).fit(X, ONE).predict_curves(X, [3, 12, 24], start=2).survival
        assert np.allclose(ours, theirs, atol=1e-8)

    def test_coxs_model_of_lifelines_has_efrons_baseline_and_steps_where_lifelines_has_neither(self):
        times = [3.0, 3.5, 12.0, 24.0]
        model = cs.adapt(lifelines.CoxPHFitter()).fit(X, ONE)
        ours = cs.CoxPH().fit(X, ONE).predict_curves(X, times).survival
        adapted = model.predict_curves(X, times).survival
        rows = pd.DataFrame(model.encoder_.design(X), columns=model.encoder_.terms_)
        theirs = model.estimators_["event"].predict_survival_function(rows, times=times).to_numpy().T
        assert np.allclose(ours, adapted, atol=1e-5)  # lifelines stops at coefficients good to six digits
        assert np.array_equal(adapted[:, 0], adapted[:, 1])  # nobody leaves between the months
        assert np.abs(theirs[:, 2:] - ours[:, 2:]).max() > 1e-3  # Breslow's baseline under Efron's coefficients
        assert np.abs(theirs[:, 0] - theirs[:, 1]).min() > 1e-4  # interpolated

    def test_cause_by_cause_coxs_models_join_as_ours_do(self):
        ours = cs.CauseSpecificCox().fit(X, TWO)
        for estimator in (lifelines.CoxPHFitter(), CoxPHSurvivalAnalysis(ties="efron")):
            theirs = cs.adapt(estimator, per_cause=True).fit(X, TWO)
            for start in (None, 5.0):
                a = ours.predict_curves(X, [6, 12, 24], start=start).probability
                b = theirs.predict_curves(X, [6, 12, 24], start=start).probability
                assert np.allclose(a, b, atol=1e-4)  # lifelines stops at coefficients good to five digits
            assert np.allclose(np.corrcoef(ours.predict(X, cause="default"), theirs.predict(X, cause="default")), 1)

    def test_one_leaf_is_kaplan_meier_and_by_cause_aalen_johansen(self):
        km, aj = cs.KaplanMeier().fit(ONE).curves_, cs.AalenJohansen().fit(TWO).curves_
        times = np.arange(1, 31.0)
        for estimator in (SurvivalTree(min_samples_leaf=240), lifelines.KaplanMeierFitter()):
            one = cs.adapt(estimator).fit(X, ONE).predict_curves(X.iloc[:2], times).survival
            two = cs.adapt(estimator, per_cause=True).fit(X, TWO).predict_curves(X.iloc[:2], times).probability
            assert np.allclose(one, km.at(times).survival[0], atol=1e-12)
            assert np.allclose(two, aj.at(times).probability[0], atol=1e-12)

    def test_weibulls_model_is_evaluated_exactly(self):
        model = cs.adapt(lifelines.WeibullAFTFitter()).fit(X, ONE)
        p = model.estimators_["event"].params_
        design = model.encoder_.design(X)
        scale = np.exp(p["lambda_", "Intercept"] + design @ p["lambda_"][model.encoder_.terms_].to_numpy())
        shape = np.exp(p["rho_", "Intercept"])
        times = np.array([0.3, 7.77, 30.0])
        exact = np.exp(-((times / scale[:, None]) ** shape))
        assert np.allclose(model.predict_curves(X, times).survival, exact, atol=1e-12)
        conditional = np.exp(-np.maximum((times / scale[:, None]) ** shape - (5 / scale[:, None]) ** shape, 0))
        assert np.allclose(model.predict_curves(X, times, start=5).survival, conditional, atol=1e-12)
        assert np.array_equal(np.argsort(model.predict(X)), np.argsort(-model.estimators_["event"].predict_median(
            pd.DataFrame(design, columns=model.encoder_.terms_))))  # fmt: skip

    def test_a_piecewise_exponential_model_is_evaluated_exactly(self):
        model = cs.adapt(lifelines.PiecewiseExponentialRegressionFitter([6, 15])).fit(X, ONE)
        p, design, times = (
            model.estimators_["event"].params_,
            model.encoder_.design(X),
            np.array([3, 6, 8.5, 15, 20.25]),
        )
        hazard, ends = 0.0, [0, 6, 15, np.inf]
        for k in range(3):
            part = p[f"lambda_{k}_"]
            rate = np.exp(-(part["Intercept"] + design @ part[model.encoder_.terms_].to_numpy()))
            hazard = hazard + rate[:, None] * np.clip(np.minimum(times, ends[k + 1]) - ends[k], 0, None)
        assert np.allclose(model.predict_curves(X, times).survival, np.exp(-hazard), atol=1e-12)

    def test_smooth_causes_join_to_the_integral(self):
        model = cs.adapt(lifelines.WeibullAFTFitter(), per_cause=True).fit(X, TWO)
        row, ends = X.iloc[:1], [12.0, 30.0]
        rows = pd.DataFrame(model.encoder_.design(row), columns=model.encoder_.terms_)
        parts = {}
        for cause, fitter in model.estimators_.items():
            p = fitter.params_
            scale = np.exp(
                p["lambda_", "Intercept"] + rows.to_numpy()[0] @ p["lambda_"][model.encoder_.terms_].to_numpy()
            )
            parts[cause] = (float(scale), float(np.exp(p["rho_", "Intercept"])))

        def stay(t):
            return np.exp(-sum((t / s) ** r for s, r in parts.values()))

        found = model.predict_curves(row, ends).probability[0]
        s, r = parts["default"]
        expected = [quad(lambda t: stay(t) * r / s * (t / s) ** (r - 1), 0, end, limit=500)[0] for end in ends]
        assert np.allclose(found[2], expected, atol=1e-6)
        assert np.allclose(found[0], [stay(t) for t in ends], atol=1e-12)

    @pytest.mark.parametrize(
        "estimator", [lifelines.WeibullAFTFitter(), lifelines.KaplanMeierFitter(), SurvivalTree(max_depth=2)], ids=named
    )
    def test_a_weight_of_two_is_two_customers_and_of_zero_none(self, estimator):
        weight = np.random.default_rng(1).integers(0, 3, len(X))
        rows = np.repeat(np.arange(len(X)), weight)
        once = cs.adapt(estimator).fit(X, ONE, sample_weight=weight)
        repeated = cs.adapt(estimator).fit(X.iloc[rows], cs.Outcome(STOP[rows], CODE[rows] > 0))
        a, b = (m.predict_curves(X, [3, 12, 24]).survival for m in (once, repeated))
        assert np.allclose(a, b, atol=1e-5)

    def test_customers_never_followed_add_nothing_to_a_parametric_fit(self):
        padded = pd.concat([X, X.iloc[:3]])
        y = cs.Outcome(np.r_[STOP, np.zeros(3)], np.r_[CODE, np.zeros(3, dtype=int)], causes=("attrition", "default"))
        model = cs.adapt(lifelines.WeibullAFTFitter(), per_cause=True)
        without, among = (model.fit(rows, of).predict_curves(X, [12]).survival for rows, of in ((X, TWO), (padded, y)))
        assert np.allclose(without, among, rtol=0, atol=1e-8)

    def test_weights_of_coxs_model_are_case_weights_in_coefficients_and_baseline(self):
        weight = np.random.default_rng(1).integers(0, 3, len(X))
        ours = cs.CoxPH().fit(X, ONE, sample_weight=weight).predict_curves(X, [3, 12, 24]).survival
        theirs = cs.adapt(lifelines.CoxPHFitter()).fit(X, ONE, sample_weight=weight)
        assert np.allclose(ours, theirs.predict_curves(X, [3, 12, 24]).survival, atol=1e-4)

    @pytest.mark.parametrize("estimator", NULLS, ids=named)
    def test_a_univariate_fitter_is_a_null_model(self, estimator):
        model = cs.adapt(estimator).fit(X, ONE)
        curves = model.predict_curves(X, [12])
        assert np.ptp(model.predict(X)) == np.ptp(curves.survival) == 0
        assert curves.survival[0, 0] == pytest.approx(
            cs.KaplanMeier().fit(ONE).curves_.at([12]).survival[0, 0], abs=0.05
        )


class TestManners:
    @pytest.mark.parametrize(
        "estimator", [lifelines.WeibullAFTFitter(penalizer=0.1), RandomSurvivalForest(5)], ids=named
    )
    def test_clone_and_pickle(self, estimator):
        model = cs.adapt(estimator, per_cause=True)
        again = clone(model)
        assert again.estimator is not estimator
        assert not hasattr(again, "peers_")
        fitted = pickle.loads(pickle.dumps(again.fit(X, TWO)))
        assert np.array_equal(fitted.predict(X), again.predict(X))
        assert not hasattr(estimator, "params_")  # what was passed is not fitted

    def test_parameters_of_the_estimator_are_reached_by_name(self):
        fitter = cs.adapt(lifelines.CoxPHFitter(penalizer=0.5))
        assert fitter.get_params()["estimator__penalizer"] == 0.5
        fitter.set_params(estimator__penalizer=0.0, per_cause=True)
        assert (fitter.estimator.penalizer, fitter.per_cause) == (0.0, True)
        pieces = cs.adapt(lifelines.PiecewiseExponentialRegressionFitter([5])).set_params(
            estimator__breakpoints=[6, 12]
        )
        assert pieces.estimator.n_breakpoints == 2
        with pytest.raises(DataError, match="has no parameter 'penaliser'"):
            fitter.set_params(estimator__penaliser=1)
        forest = cs.adapt(RandomSurvivalForest()).set_params(estimator__n_estimators=7)
        assert forest.get_params()["estimator__n_estimators"] == 7

    def test_a_grid_search_over_a_fitter_of_lifelines(self):
        search = GridSearchCV(
            cs.adapt(lifelines.CoxPHFitter()), {"estimator__penalizer": [0.0, 100.0]}, cv=3,
            scoring=cs.scorer("brier", horizon=12),
        ).fit(X, ONE)  # fmt: skip
        assert search.best_params_ == {"estimator__penalizer": 0.0}
        assert cs.predict_curves(search, X, [12]).survival.shape == (240, 1)

    def test_columns_are_found_by_name_and_missing_values_give_nan(self):
        model = cs.adapt(lifelines.CoxPHFitter()).fit(X, ONE)
        assert np.array_equal(model.predict(X[["term", "rate"]]), model.predict(X))
        gap = X.iloc[:3].copy()
        gap.iloc[1, 0] = np.nan
        assert np.isnan(model.predict(gap)).tolist() == [False, True, False]
        assert np.isnan(model.predict_curves(gap, [12]).probability).any(axis=(1, 2)).tolist() == [False, True, False]
        with pytest.raises(DataError, match="Missing 1 column 'rate'"):
            model.predict(X[["term"]])
        with pytest.raises(UnseenCategoryError, match="'72 m'"):
            model.predict(X.assign(term="72 m"))
        with pytest.raises(DataError, match="column 'rate' has 1 missing|Column 'rate' has 1 missing"):
            cs.adapt(lifelines.CoxPHFitter()).fit(X.assign(rate=[np.nan, *X["rate"][1:]]), ONE)

    def test_a_pipeline_may_encode_and_impute_by_itself(self):
        encoder = make_column_transformer(
            (SimpleImputer(), ["rate"]), (OneHotEncoder(drop="first"), ["term"]), sparse_threshold=0
        )
        gap = X.copy()
        gap.iloc[1, 0] = np.nan
        model = cs.adapt(make_pipeline(encoder, CoxPHSurvivalAnalysis()), encode=False).fit(gap, ONE)
        assert np.isfinite(model.predict(gap)).all()
        with pytest.raises(UnseenCategoryError, match="'72 m'"):
            model.predict(X.assign(term="72 m"))
        whole = cs.adapt(make_pipeline(encoder, CoxPHSurvivalAnalysis()), encode=False).fit(X, ONE).predict(X)
        plain = cs.adapt(CoxPHSurvivalAnalysis()).fit(X, ONE).predict(X)
        assert np.allclose(whole, plain)

    def test_a_formula_says_which_covariates(self):
        model = cs.adapt(lifelines.CoxPHFitter(), formula="rate").fit(X, ONE)
        assert list(model.estimators_["event"].params_.index) == ["rate"]

    def test_predictions_end_with_the_follow_up(self):
        model = cs.adapt(lifelines.WeibullAFTFitter()).fit(X, ONE)
        with pytest.warns(cs.exceptions.SupportWarning, match="past the last time known"):
            curves = model.predict_curves(X.iloc[:2], [12, 40])
        assert np.isnan(curves.survival[:, 1]).all()
        assert (curves.last == 31).all()

    def test_smooth_curves_are_known_at_their_times_only_and_steps_everywhere(self):
        smooth = cs.adapt(lifelines.WeibullAFTFitter()).fit(X, ONE).predict_curves(X.iloc[:2], [6, 12])
        with pytest.raises(DataError, match="evaluated at"):
            smooth.at([9.0])
        assert smooth.at([6.0]).survival.shape == (2, 1)
        steps = cs.adapt(CoxPHSurvivalAnalysis()).fit(X, ONE).predict_curves(X.iloc[:2])
        assert np.array_equal(steps.at([6.5]).survival, steps.at([6.0]).survival)
        assert np.isfinite(steps.rmst(12)).all()

    def test_row_order_changes_nothing(self):
        order = np.random.default_rng(3).permutation(len(X))
        for estimator in (lifelines.CoxPHFitter(), lifelines.AalenAdditiveFitter(coef_penalizer=0.1)):
            a = cs.adapt(estimator).fit(X, ONE).predict(X)
            b = cs.adapt(estimator).fit(X.iloc[order], ONE[order]).predict(X)
            assert np.allclose(a, b, atol=1e-6)


class TestDefectsOutOfReach:
    """Beside these: entry, strata, clusters, start-stop rows and causes coded 0/1/2 are refused; baselines and steps above."""

    def test_lifelines_residuals_and_test_of_proportional_hazards(self):
        model = cs.adapt(lifelines.CoxPHFitter()).fit(X, ONE)
        assert not hasattr(model, "check_assumptions")
        assert not hasattr(model, "residuals")
        with pytest.raises(DataError, match="AdaptedModel is no Cox model"):
            cs.proportional_hazards_test(model, X, ONE)

    def test_scores_are_by_our_metrics(self):
        model = cs.adapt(CoxPHSurvivalAnalysis()).fit(X, ONE)
        assert model.score(X, ONE) == cs.metrics.concordance_index(ONE, model.predict(X)).value
        brier = cs.metrics.brier_score(ONE, model.predict_curves(X, [12]), 12)
        assert cs.scorer("brier", horizon=12)(model, X, ONE) == -brier.value

    def test_numpys_random_state_is_left_alone(self):
        np.random.seed(1)  # noqa: NPY002
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        cs.adapt(lifelines.KaplanMeierFitter(), per_cause=True).fit(X, TWO).predict_curves(X, [12])
        assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002

    def test_an_event_at_the_last_time_of_censoring_that_breaks_scikit_survivals_weights(self):
        y = cs.Outcome(np.minimum(STOP, 20), (CODE > 0) & (STOP <= 20))
        with pytest.raises(DataError, match=r"IPCRidge \(scikit-survival\) failed to fit: .*a check of its own"):
            cs.adapt(IPCRidge()).fit(X, y)


class TestRefusals:
    @pytest.mark.parametrize("estimator", RANKS, ids=named)
    def test_ranks_have_no_curves(self, estimator):
        with pytest.raises(NotIdentifiedError, match="no probabilities over time"):
            cs.adapt(estimator).fit(X, ONE).predict_curves(X, [12])

    @pytest.mark.parametrize("estimator", [lifelines.CoxPHFitter(), RandomSurvivalForest(5)], ids=named)
    def test_rows_that_no_peer_can_take(self, estimator):
        model = cs.adapt(estimator, per_cause=True)
        event = CODE > 0
        with pytest.raises(NotIdentifiedError, match="no delayed entry: 1 row enter.*landmark"):
            model.fit(X, cs.Outcome(STOP, event, start=np.r_[0.5, np.zeros(len(X) - 1)]))
        subject = np.r_[1, np.arange(1, len(X))]
        begin = np.r_[0, STOP[0], np.zeros(len(X) - 2)]
        stop = np.r_[STOP[0], STOP[0] + 3, STOP[2:]]
        with pytest.raises(NotIdentifiedError, match="no start-stop rows: 240 rows of 239 subjects.*landmark"):
            model.fit(X, cs.Outcome(stop, np.r_[0, event[1:]], start=begin, subject=subject))
        with pytest.raises(NotIdentifiedError, match="no recurrent events"):
            model.fit(X, cs.Outcome(STOP, event, recurrent=True))
        with pytest.raises(NotIdentifiedError, match="no strata"):
            model.fit(X, ONE, strata="term")
        with pytest.raises(NotIdentifiedError, match="no clusters"):
            model.fit(X, ONE, cluster=np.arange(len(X)))

    def test_entry_at_zero_for_all_is_no_delayed_entry(self):
        zero = cs.Outcome(STOP, CODE > 0, start=np.zeros(len(X)))
        a, b = (cs.adapt(lifelines.CoxPHFitter()).fit(X, y).predict(X) for y in (zero, ONE))
        assert np.array_equal(a, b)

    def test_several_causes_need_to_be_asked_for(self):
        with pytest.raises(DataError, match="per_cause=True"):
            cs.adapt(lifelines.CoxPHFitter()).fit(X, TWO)
        with pytest.raises(DataError, match="Cause 'death' is unknown"):
            cs.adapt(lifelines.CoxPHFitter(), per_cause=True).fit(X, TWO).predict(X, cause="death")

    @pytest.mark.parametrize(
        "estimator",
        [CoxPHSurvivalAnalysis(), GradientBoostingSurvivalAnalysis(), ComponentwiseGradientBoostingSurvivalAnalysis()],
        ids=named,
    )
    def test_weights_that_the_peer_does_not_count(self, estimator):
        with pytest.raises(DataError, match="does not count sample_weight"):
            cs.adapt(estimator).fit(X, ONE, sample_weight=np.ones(len(X)))

    def test_what_cannot_be_adapted(self):
        with pytest.raises(DataError, match=r"is a class: pass an estimator, e.g. adapt\(CoxPHFitter\(\)\)"):
            cs.adapt(lifelines.CoxPHFitter)
        with pytest.raises(DataError, match="churnsurv's own"):
            cs.adapt(cs.CoxPH())
        with pytest.raises(DataError, match="search over the adapted model"):
            cs.adapt(GridSearchCV(CoxnetSurvivalAnalysis(), {}))
        with pytest.raises(DataError, match="StandardScaler cannot be adapted"):
            cs.adapt(make_pipeline(StandardScaler()))
        with pytest.raises(DataError, match="churnsurv.AalenJohansen"):
            cs.adapt(lifelines.AalenJohansenFitter())
        with pytest.raises(NotIdentifiedError, match="start-stop rows"):
            cs.adapt(lifelines.CoxTimeVaryingFitter())
        with pytest.raises(NotIdentifiedError, match="strata"):
            cs.adapt(lifelines.CoxPHFitter(strata=["term"])).fit(X, ONE)

    def test_nobody_leaves(self):
        with pytest.raises(NoEventsError):
            cs.adapt(lifelines.CoxPHFitter()).fit(X, cs.Outcome(STOP, np.zeros(len(X))))

    @pytest.mark.filterwarnings("ignore:.*")  # of the event at time 0, as it is read
    def test_errors_of_the_peer_come_in_our_words_with_its_text(self):
        with pytest.raises(
            DataError, match=r"WeibullAFTFitter \(lifelines\) failed to fit: .*[Tt]his model does not allow"
        ):
            cs.adapt(lifelines.WeibullAFTFitter()).fit(X, cs.Outcome(np.r_[0, STOP[1:]], np.r_[1, CODE[1:] > 0]))
        with pytest.raises(DataError, match=r"RandomSurvivalForest \(scikit-survival\) failed to fit: .*n_estimators"):
            cs.adapt(RandomSurvivalForest(n_estimators=-1)).fit(X, ONE)

    def test_warnings_of_the_peer_are_given_once_with_its_name_and_category(self):
        y = cs.Outcome(STOP, (CODE > 0) & (X["term"] == "36 m"))  # nobody with 60 months leaves
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            cs.adapt(lifelines.CoxPHFitter()).fit(X, y)
        said = [w for w in caught if w.category is lifelines.exceptions.ConvergenceWarning]
        assert said
        assert len({str(w.message) for w in said}) == len(said)
        assert all(str(w.message).startswith("CoxPHFitter (lifelines): ") for w in said)
        assert all(w.filename == __file__ for w in said)

    def test_a_parametric_fit_that_did_not_reach_its_maximum_without_saying_so(self):
        rng = np.random.default_rng(0)
        X = pd.DataFrame({"rate": rng.normal(size=300), "term": rng.random(300) < 0.4})
        left = np.ceil(20 * rng.exponential(np.exp(-0.8 * X["rate"])) ** 0.8)
        censored = rng.integers(5, 40, 300)
        model = cs.adapt(lifelines.GeneralizedGammaRegressionFitter(penalizer=0.01))
        with pytest.raises(ConvergenceError, match="exits in the rows of its fit where 180 were seen"):
            model.fit(X, cs.Outcome(np.minimum(left, censored), left <= censored))

    def test_a_spline_baseline_that_lifelines_misses_by_thousands_of_log_likelihood(self):
        model = cs.adapt(lifelines.CoxPHFitter(baseline_estimation_method="spline", n_baseline_knots=3))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            with pytest.raises(ConvergenceError, match="CoxPHFitter"):
                model.fit(X, ONE)

    def test_an_adapted_model_is_not_saved(self, tmp_path):
        model = cs.adapt(lifelines.CoxPHFitter()).fit(X, ONE)
        with pytest.raises(DataError, match="only a pickle could keep"):
            cs.save(model, tmp_path / "model.churnsurv")

    def test_a_forest_without_curves_says_so_in_its_own_words(self):
        model = cs.adapt(RandomSurvivalForest(5, low_memory=True, random_state=0)).fit(X, ONE)
        with pytest.raises(DataError, match="low_memory"):
            model.predict_curves(X, [12])
