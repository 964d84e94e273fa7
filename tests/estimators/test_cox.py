"""Cox models: identities any right implementation satisfies, predictions, and scikit-learn's manners."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lifelines import CoxPHFitter
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import churnsurv as cs
from churnsurv.exceptions import DataError, NotIdentifiedError


def loans(seed=0, n=200, late=True):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "rate_incentive": rng.normal(0.5, 1, n),
            "score": rng.normal(650, 60, n),
            "segment": rng.choice(list("ABC"), n),
        }
    )
    start = rng.integers(0, 10, n).astype(float) if late else None
    stop = (0 if start is None else start) + rng.geometric(np.clip(0.08 * np.exp(0.5 * X["rate_incentive"]), 0, 0.9))
    event = rng.choice([0, 1, 2], n, p=[0.3, 0.5, 0.2])
    return X, cs.Outcome(stop.astype(float), event, start=start, causes=("attrition", "default"))


def fitted(X, y, **arguments):
    return cs.CoxPH(cause="attrition", ties=arguments.pop("ties", "efron")).fit(X, y, **arguments)


def assert_same_fit(a, b, rtol=1e-9):
    np.testing.assert_allclose(a.coef_, b.coef_, rtol=rtol, atol=1e-10)
    np.testing.assert_allclose(a.covariance_, b.covariance_, rtol=1e-8, atol=1e-12)
    assert a.log_likelihood_ == pytest.approx(b.log_likelihood_, rel=1e-11)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_rows_changes_nothing(seed):
    X, y = loans()
    order = np.random.default_rng(seed).permutation(len(X))
    cluster = np.arange(len(X)) // 2
    a = fitted(X, y, cluster=cluster)
    b = fitted(X.iloc[order], y[order], cluster=cluster[order])
    assert_same_fit(a, b)


@settings(max_examples=15, deadline=None)
@given(shift=st.floats(0, 100), factor=st.floats(1e-3, 1e3))
def test_time_shift_and_scale_change_no_coefficient(shift, factor):
    X, y = loans(1)
    moved = cs.Outcome(y.stop * factor + shift, y.event, start=y.start * factor + shift, causes=y.causes)
    assert_same_fit(fitted(X, y), fitted(X, moved))


@settings(max_examples=15, deadline=None)
@given(offset=st.sampled_from([0.0, -3.0, 1e12]), scale=st.sampled_from([1e-9, 0.5, -2.0, 1e9]))
def test_affine_covariates_keep_likelihood_and_statistics(offset, scale):
    # digits that the column itself loses when a large offset is added to small numbers
    tolerance = 1e-8 + 20 * np.finfo(float).eps * abs(offset / scale)
    assume(tolerance < 1e-4)
    X, y = loans(2)
    moved = X.assign(rate_incentive=X["rate_incentive"] * scale + offset)
    a, b = fitted(X, y), fitted(moved, y)
    assert b.log_likelihood_ == pytest.approx(a.log_likelihood_, rel=tolerance)
    statistics = b.summary()["statistic"] * np.where(b.coef_.index == "rate_incentive", np.sign(scale), 1)
    np.testing.assert_allclose(statistics, a.summary()["statistic"], rtol=tolerance)
    assert b.coef_["rate_incentive"] * scale == pytest.approx(a.coef_["rate_incentive"], rel=tolerance)


def test_integer_case_weights_are_replicated_rows_under_breslow():
    X, y = loans(3)
    weight = np.random.default_rng(0).integers(1, 4, len(X))
    copies = np.repeat(np.arange(len(X)), weight)
    a = fitted(X, y, ties="breslow", sample_weight=weight)
    b = fitted(X.iloc[copies], y[copies], ties="breslow")
    assert_same_fit(a, b)
    pd.testing.assert_frame_equal(a.baseline_cumulative_hazard_, b.baseline_cumulative_hazard_)


def test_a_common_factor_of_the_weights_divides_the_model_variance_only():
    X, y = loans(4)
    cluster = np.arange(len(X))
    weight = np.random.default_rng(1).uniform(0.5, 2, len(X))
    a, b = (fitted(X, y, sample_weight=w, cluster=cluster) for w in (weight, 3 * weight))
    np.testing.assert_allclose(a.coef_, b.coef_, rtol=1e-9)
    np.testing.assert_allclose(a.naive_covariance_, 3 * b.naive_covariance_, rtol=1e-8)
    np.testing.assert_allclose(a.covariance_, b.covariance_, rtol=1e-8)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_splitting_spells_changes_nothing(seed):
    X, y = loans(5)
    rng = np.random.default_rng(seed)
    cut = np.floor(rng.uniform(y.start, y.stop) * 2) / 2
    inside = (cut > y.start) & (cut < y.stop)
    rows = np.concatenate([np.arange(len(X)), np.flatnonzero(inside)])
    start = np.concatenate([y.start, cut[inside]])
    stop = np.concatenate([np.where(inside, cut, y.stop), y.stop[inside]])
    event = np.concatenate([np.where(inside, 0, y.event), y.event[inside]])
    split = cs.Outcome(stop, event, start=start, subject=rows, causes=y.causes)
    assert_same_fit(fitted(X, y, cluster=y.subject), fitted(X.iloc[rows], split, cluster=rows))


def test_a_row_that_covers_no_event_time_changes_nothing_however_wild():
    X, y = loans(6)
    never = float(y.stop.max())
    extra = pd.DataFrame({"rate_incentive": [500.0], "score": [1e6], "segment": ["A"]})
    wild = cs.Outcome(
        np.append(y.stop, never + 5), np.append(y.event, 0), start=np.append(y.start, never + 1), causes=y.causes
    )
    a, b = fitted(X, y), fitted(pd.concat([X, extra]), wild)
    np.testing.assert_allclose(a.coef_, b.coef_, rtol=1e-6)
    assert a.log_likelihood_ == pytest.approx(b.log_likelihood_, rel=1e-10)


def test_strata_add_up_and_two_copies_give_the_same_coefficients():
    X, y = loans(7)
    twice = pd.concat([X, X])
    copies = np.tile(np.arange(len(X)), 2)
    a = fitted(X, y)
    b = fitted(twice, y[copies], strata=np.repeat(["first", "second"], len(X)))
    np.testing.assert_allclose(a.coef_, b.coef_, rtol=1e-9)
    assert b.log_likelihood_ == pytest.approx(2 * a.log_likelihood_, rel=1e-12)
    np.testing.assert_allclose(b.covariance_, a.covariance_ / 2, rtol=1e-8)


def test_interactions_with_the_stratum_are_separate_fits():
    X, y = loans(8)
    group = np.where(np.arange(len(X)) % 2, "odd", "even")
    both = pd.DataFrame({g: X["rate_incentive"] * (group == g) for g in ("even", "odd")})
    joint = fitted(both, y, strata=group)
    for g in ("even", "odd"):
        alone = fitted(X.loc[group == g, ["rate_incentive"]], y[group == g])
        assert joint.coef_[g] == pytest.approx(alone.coef_["rate_incentive"], rel=1e-9)


def test_the_robust_variance_is_the_product_of_score_residuals_computed_by_hand():
    # x = 1, 0, 1, 0; deaths at 1, 2, 3 of the first three (no ties). With β̂ = log ρ, score residuals by definition:
    # u_i = e_i (x_i − x̄(t_i)) − Σ_{t ≤ t_i} r_i (x_i − x̄(t)) / S0(t)
    X = pd.DataFrame({"x": [1.0, 0.0, 1.0, 0.0]})
    stop, event = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 1, 1, 0])
    model = cs.CoxPH().fit(X, cs.Outcome(stop, event), cluster=[0, 0, 1, 1])
    x, r = X["x"].to_numpy(), np.exp(model.coef_["x"] * X["x"].to_numpy())
    u = np.zeros(4)
    for i in range(4):
        for t in (1.0, 2.0, 3.0):
            at_risk = stop >= t
            mean = (r * x)[at_risk].sum() / r[at_risk].sum()
            if stop[i] == t and event[i]:
                u[i] += x[i] - mean
            if stop[i] >= t:
                u[i] -= r[i] * (x[i] - mean) / r[at_risk].sum()
    v = model.naive_covariance_.iloc[0, 0]
    expected = v * ((u[0] + u[1]) ** 2 + (u[2] + u[3]) ** 2) * v
    assert model.covariance_.iloc[0, 0] == pytest.approx(expected, rel=1e-8)


def test_sampling_weights_turn_on_the_sandwich_by_subject():
    X, y = loans(9)
    weight = np.random.default_rng(0).uniform(0.5, 2, len(X))
    sampling = cs.CoxPH(cause="attrition", weight_type="sampling").fit(X, y, sample_weight=weight)
    by_row = cs.CoxPH(cause="attrition").fit(X, y, sample_weight=weight, cluster=np.arange(len(X)))
    np.testing.assert_allclose(sampling.covariance_, by_row.covariance_, rtol=1e-12)
    assert "robust_score" in sampling.tests().index


def test_coefficients_agree_with_lifelines_where_it_is_right():
    X, y = loans(10)
    table = pd.get_dummies(X, drop_first=True, dtype=float).assign(a=y.start, b=y.stop, e=y.event == 1)
    peer = CoxPHFitter().fit(table, "b", "e", entry_col="a")
    ours = fitted(X, y)
    np.testing.assert_allclose(ours.coef_, peer.params_, rtol=1e-5)
    assert ours.log_likelihood_ == pytest.approx(peer.log_likelihood_, rel=1e-9)


def test_columns_of_the_frame_serve_as_strata_weights_clusters_and_offset():
    X, y = loans(11)
    rng = np.random.default_rng(0)
    extra = X.assign(w=rng.uniform(0.5, 2, len(X)), customer=np.arange(len(X)) // 2, o=rng.normal(size=len(X)))
    by_name = fitted(extra, y, strata="segment", sample_weight="w", cluster="customer", offset="o")
    by_array = fitted(
        X[["rate_incentive", "score"]], y, strata=X["segment"], sample_weight=extra["w"], cluster=extra["customer"],
        offset=extra["o"],
    )  # fmt: skip
    assert list(by_name.coef_.index) == ["rate_incentive", "score"]
    assert_same_fit(by_name, by_array)
    at = by_name.predict_curves(extra.iloc[:5], times=[12])
    again = by_array.predict_curves(X.iloc[:5], times=[12], strata=X["segment"].iloc[:5], offset=extra["o"].iloc[:5])
    np.testing.assert_allclose(at.probability, again.probability)


def test_predicted_events_add_up_to_the_observed_ones():
    X, y = loans(12)
    y = y.only("attrition")
    model = cs.CoxPH(ties="breslow").fit(X, y)
    curves_stop = np.array(
        [-np.log(model.predict_curves(X.iloc[[i]], times=[y.stop[i]]).survival[0, 0]) for i in range(len(X))]
    )
    before = np.array(
        [
            -np.log(model.predict_curves(X.iloc[[i]], times=[y.start[i]]).survival[0, 0]) if y.start[i] > 0 else 0.0
            for i in range(len(X))
        ]
    )
    assert (curves_stop - before).sum() == pytest.approx(y.n_events, rel=1e-9)


def test_prediction_from_a_current_age_is_the_conditional_probability():
    X, y = loans(13)
    model = cs.CoxPH().fit(X, y.only("attrition"))
    whole = model.predict_curves(X.iloc[:4], times=[6, 12])
    since = model.predict_curves(X.iloc[:4], times=[12], start=6.0)
    np.testing.assert_allclose(since.survival[:, 0], whole.survival[:, 1] / whole.survival[:, 0], rtol=1e-12)
    np.testing.assert_allclose(since.risk(horizon=6), since.cumulative_incidence()[:, 0])


def test_a_baseline_at_zero_covariates_that_no_double_holds_is_refused():
    X, y = loans(14)
    far = X[["rate_incentive"]] + 1e5
    model = cs.CoxPH().fit(far, y.only("attrition"))
    with pytest.raises(NotIdentifiedError, match="Centre the covariates"):
        _ = model.baseline_cumulative_hazard_
    reference = cs.CoxPH().fit(X[["rate_incentive"]], y.only("attrition"))
    np.testing.assert_allclose(
        model.predict_curves(far, times=[6, 12]).survival,
        reference.predict_curves(X[["rate_incentive"]], times=[6, 12]).survival,
        rtol=1e-6,
    )


def test_one_cause_among_several_offers_its_hazard_and_refuses_probabilities():
    X, y = loans(15)
    curves = fitted(X, y).predict_curves(X.iloc[:3])
    assert not curves.complete
    assert np.all(np.diff(curves.cumulative_hazard("attrition"), axis=1) >= 0)
    with pytest.raises(NotIdentifiedError, match="CauseSpecificCox"):
        _ = curves.survival
    with pytest.raises(NotIdentifiedError):
        curves.risk("attrition", 12)


def test_causes_together_give_probabilities_that_add_up():
    X, y = loans(16)
    model = cs.CauseSpecificCox().fit(X, y)
    curves = model.predict_curves(X)
    np.testing.assert_allclose(curves.probability.sum(axis=1), 1.0, rtol=1e-12)
    assert np.all(np.diff(curves.survival, axis=1) <= 1e-15)
    assert np.all(np.diff(curves.cumulative_incidence("default"), axis=1) >= -1e-15)
    attrition = cs.CoxPH(cause="attrition").fit(X, y)
    pd.testing.assert_series_equal(model.models_["attrition"].coef_, attrition.coef_)


def test_the_product_integral_of_two_causes_by_hand():
    # increments at t=1: 0.1 and 0.3; at t=2: 0.2 and 0: S = .6, .48; F1 = .1, .1 + .6*.2 = .22; F2 = .3, .3
    from churnsurv.estimators.cause_specific import aalen_johansen_of

    probability = aalen_johansen_of(np.array([[[0.1, 0.3], [0.3, 0.3]]]))
    np.testing.assert_allclose(probability[0], [[1, 0.6, 0.48], [0, 0.1, 0.22], [0, 0.3, 0.3]])


def test_different_formulas_per_cause():
    X, y = loans(17)
    model = cs.CauseSpecificCox({"attrition": "rate_incentive", "default": "score + C(segment)"}).fit(X, y)
    assert list(model.models_["attrition"].coef_.index) == ["rate_incentive"]
    assert len(model.models_["default"].coef_) == 3
    assert model.summary().index.names == ["cause", "term"]


def test_the_summary_holds_the_wald_interval():
    X, y = loans(18)
    table = fitted(X, y).summary(level=0.9)
    row = table.loc["rate_incentive"]
    # 1.6448536 is the 95 % point of the normal distribution
    assert row["hr_upper"] == pytest.approx(np.exp(row["coef"] + 1.6448536269514722 * row["se"]), rel=1e-12)
    assert list(table.columns) == ["coef", "se", "statistic", "p_value", "hazard_ratio", "hr_lower", "hr_upper"]


def test_scikit_learn_clones_searches_and_pipes_the_model():
    X, y = loans(19)
    y = y.only("attrition")
    numbers = X[["rate_incentive", "score"]]

    def score(model, X, y):
        return cs.metrics.concordance_index(y, model.predict(X)).value

    search = GridSearchCV(cs.CoxPH(), {"ties": ["efron", "breslow"]}, cv=KFold(3), scoring=score).fit(numbers, y)
    assert 0.5 < search.best_score_ < 1
    assert clone(search.best_estimator_).get_params() == search.best_estimator_.get_params()
    pipeline = make_pipeline(StandardScaler(), cs.CoxPH()).fit(numbers, y)
    plain = cs.CoxPH().fit(numbers, y)
    np.testing.assert_allclose(
        cs.predict_curves(pipeline, numbers, times=[12]).survival,
        plain.predict_curves(numbers, times=[12]).survival,
        rtol=1e-9,
    )


def test_columns_are_matched_by_name_and_missing_values_give_missing_predictions():
    X, y = loans(20)
    model = fitted(X, y)
    shuffled = X[["segment", "score", "rate_incentive"]].copy()
    np.testing.assert_array_equal(model.predict(shuffled), model.predict(X))
    shuffled.loc[3, "segment"] = None
    predicted = model.predict(shuffled)
    assert np.isnan(predicted[3])
    assert np.isfinite(np.delete(predicted, 3)).all()
    assert np.isnan(model.predict_curves(shuffled.iloc[[3]], times=[12]).probability).all()


def test_an_array_of_new_rows_is_matched_by_position():
    X, y = loans(21)
    numbers = X[["rate_incentive", "score"]]
    model = fitted(numbers, y)
    np.testing.assert_array_equal(model.predict(numbers.to_numpy()), model.predict(numbers))
    with pytest.raises(DataError, match="'score'"):
        model.predict(numbers[["rate_incentive"]])


def test_no_training_row_stays_in_the_model():
    X, y = loans(22, n=300)
    model = fitted(X, y, cluster=np.arange(len(X)))
    assert all(np.size(value) < len(X) for value in vars(model).values())


def test_each_stratum_is_predicted_as_far_as_it_was_watched():
    X, y = loans(23)
    short = X["segment"] == "A"
    stop = np.where(short, np.minimum(y.stop, 12), y.stop)
    keep = y.start < stop
    cut = cs.Outcome(stop[keep], np.where(stop < y.stop, 0, y.event)[keep], start=y.start[keep], causes=y.causes)
    model = fitted(X[keep], cut, strata="segment")
    curves = model.predict_curves(X.iloc[:50])
    hazard = curves.cumulative_hazard()
    is_short = short.to_numpy()[:50]
    assert np.isnan(hazard[is_short][:, curves.times > 12]).all()
    assert np.isfinite(hazard[is_short][:, curves.times <= 12]).all()
    assert np.isfinite(hazard[~is_short][:, curves.times <= 12]).all()
