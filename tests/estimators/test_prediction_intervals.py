"""Standard errors and intervals of what a Cox model predicts: against loops, identities, and coverage by simulation."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import churnsurv as cs
from churnsurv.exceptions import DataError, NotIdentifiedError, SupportWarning
from churnsurv.kernels.cox_prediction import root_of, survival_bounds
from tests.estimators.prediction_twins import path_twin, sample, steps_of

pytestmark = pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SmallSampleWarning")
NEW = pd.DataFrame(
    {"rate": [0.0, 1.5, -1.0], "score": [600.0, 700.0, 650.0], "branch": [0, 1, 1]}, index=["a", "b", "c"]
)
LABELS = np.array(["east", "west", "east"])


def hazard_table(model, times, **arguments):
    table = model.predict_cumulative_hazard(NEW, times, **arguments)
    return table["cumulative_hazard"].to_numpy().reshape(3, -1), table["se"].to_numpy().reshape(3, -1)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("start", [None, 5.0, np.array([8.0, 9.5, 12.0])])
def test_hazard_and_error_are_the_sums_over_risk_sets(ties, seed, start):
    s = sample(seed, offset=seed == 2, late=seed != 1)
    model = s.fit(ties=ties, cluster=np.arange(120) // 2 if seed == 2 else None)
    times = np.array([4.0, 9.0, 14.0])
    offset = np.array([0.1, -0.2, 0.0]) if seed == 2 else None
    hazard, se = hazard_table(model, times, start=start, strata=LABELS, offset=offset)
    origin = np.broadcast_to(-np.inf if start is None else start, 3)
    for i in range(3):
        for j, t in enumerate(times):
            piece = (NEW.iloc[i], origin[i], np.inf, LABELS[i])
            value, variance, _ = path_twin(s, model, [piece], t, 0.0 if offset is None else offset[i])
            assert hazard[i, j] == pytest.approx(value, rel=1e-9, abs=1e-14)
            assert se[i, j] == pytest.approx(np.sqrt(variance), rel=1e-8, abs=1e-14)


def test_the_part_of_the_coefficients_is_the_derivative_of_the_profiled_hazard():
    # c = d/dβ Σ e^{x'β} dN / S0(β), differentiated numerically
    s = sample(4, strata=False)
    model = s.fit(ties="breslow")
    x, beta = NEW.iloc[1].to_numpy(dtype=float), model.coef_.to_numpy()

    def hazard(b):
        return np.exp(x @ b) * sum(step for t, step, _, _ in steps_of(s, b, "breslow", None) if t <= 10)

    *_, c = path_twin(s, model, [(x, -np.inf, np.inf, None)], 10.0)
    for j, scale in enumerate([1e-5, 1e-7, 1e-5]):
        e = np.zeros(3)
        e[j] = scale
        assert (hazard(beta + e) - hazard(beta - e)) / (2 * scale) == pytest.approx(c[j], rel=1e-5, abs=1e-7)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 50),
    conf_type=st.sampled_from(["log-log", "log", "plain"]),
    level=st.floats(0.5, 0.999),
    far=st.floats(-1e4, 1e4),
)
def test_curves_fall_from_one_and_intervals_hold_them_within_zero_and_one(seed, conf_type, level, far):
    s = sample(seed % 5, strata=False, weights=False)
    new = NEW.assign(rate=[far, 0.5, 1.0])
    curves = s.fit().predict_curves(new, level=level, conf_type=conf_type)
    survival, lower, upper = curves.survival, curves.lower[:, 0], curves.upper[:, 0]
    assert np.all(np.diff(survival, axis=1) <= 1e-15)
    assert np.all(curves.at([0.0]).survival == 1.0)
    assert np.all((lower >= 0) & (lower <= survival) & (survival <= upper) & (upper <= 1))
    np.testing.assert_allclose(curves.lower[:, 1], 1 - upper)
    assert curves.level == level


def test_a_higher_level_gives_a_wider_interval():
    model = sample(1, strata=False).fit()
    wide, narrow = (model.predict_curves(NEW, [6.0, 9.0], level=level) for level in (0.99, 0.8))
    assert np.all(wide.lower[:, 0] < narrow.lower[:, 0])
    assert np.all(wide.upper[:, 0] > narrow.upper[:, 0])


def test_bounds_of_each_scale_by_their_formula():
    hazard, se, z = np.array([0.7]), np.array([0.2]), 1.959963984540054
    survival = np.exp(-0.7)
    expected = {
        "log": (survival * np.exp(-z * 0.2), survival * np.exp(z * 0.2)),
        "plain": (survival * (1 - z * 0.2), survival * (1 + z * 0.2)),
        "log-log": (survival ** np.exp(z * 0.2 / 0.7), survival ** np.exp(-z * 0.2 / 0.7)),
    }
    for kind, bounds in expected.items():
        np.testing.assert_allclose(np.ravel(survival_bounds(hazard, se, 0.95, kind)), bounds)


def test_bounds_are_cut_with_the_curves_and_end_where_they_end():
    model = sample(1, strata=False).fit()
    curves = model.predict_curves(NEW, level=0.9)
    some = curves[[label == "b" for label in NEW.index]]
    np.testing.assert_array_equal(some.lower, curves.lower[1:2])
    at = curves.at([0.0, 7.0])
    np.testing.assert_array_equal(at.upper[:, :, 1], model.predict_curves(NEW, [7.0], level=0.9).upper[:, :, 0])
    assert np.all(at.lower[:, 0, 0] == 1)
    frame = at.to_frame()
    assert (frame["lower"] <= frame["probability"]).all()
    with pytest.warns(SupportWarning):
        late = model.predict_curves(NEW, [7.0, 1e6], level=0.9)
    assert np.isnan(late.lower[:, :, 1]).all()
    assert np.isfinite(late.lower[:, :, 0]).all()


def test_curves_without_a_level_have_no_bounds():
    curves = sample(1, strata=False).fit().predict_curves(NEW)
    assert curves.lower is None
    assert curves.level is None


def test_a_missing_value_gives_nan_bounds_of_its_row_only():
    curves = sample(1, strata=False).fit().predict_curves(NEW.assign(rate=[0.1, np.nan, 0.3]), [5.0], level=0.95)
    assert np.isnan(curves.lower[1]).all()
    assert np.isfinite(curves.lower[[0, 2]]).all()


def test_the_order_and_a_shift_of_covariates_change_no_bound():
    s = sample(6)
    order = np.random.default_rng(1).permutation(120)
    moved = s.X.assign(score=s.X["score"] * 0.01 + 1e4)
    y = cs.Outcome(s.stop, s.event, start=s.start)
    one = s.fit().predict_curves(NEW, [6.0, 12.0], strata=LABELS, level=0.95)
    other = (
        cs.CoxPH()
        .fit(moved.iloc[order], y[order], strata=s.stratum[order], sample_weight=s.weight[order])
        .predict_curves(NEW.assign(score=NEW["score"] * 0.01 + 1e4), [6.0, 12.0], strata=LABELS, level=0.95)
    )
    np.testing.assert_allclose(one.lower, other.lower, rtol=1e-8)


def test_the_scale_of_sampling_weights_changes_no_interval():
    s = sample(3)
    intervals = []
    for factor in (1.0, 1000.0):
        s.weight = s.weight * factor
        intervals.append(s.fit(weight_type="sampling").predict_curves(NEW, [6.0], strata=LABELS, level=0.95).lower)
    np.testing.assert_allclose(intervals[0], intervals[1], rtol=1e-8)


def test_case_weights_are_copies_of_rows():
    s = sample(3, weights=False)
    s.weight = np.random.default_rng(0).integers(1, 4, 120).astype(float)
    weighted = s.fit(ties="breslow").predict_curves(NEW, [6.0, 12.0], strata=LABELS, level=0.95)
    copies = np.repeat(np.arange(120), s.weight.astype(int))
    s.X, s.start, s.stop = s.X.iloc[copies], s.start[copies], s.stop[copies]
    s.event, s.stratum, s.weight = s.event[copies], s.stratum[copies], None
    copied = s.fit(ties="breslow").predict_curves(NEW, [6.0, 12.0], strata=LABELS, level=0.95)
    np.testing.assert_allclose(weighted.upper, copied.upper, rtol=1e-8)


def test_two_copies_as_two_strata_double_the_precision_of_beta_only():
    s = sample(5, strata=False, weights=False)
    single = s.fit()
    s2 = sample(5, strata=False, weights=False)
    s2.X, s2.start = pd.concat([s.X, s.X], ignore_index=True), np.tile(s.start, 2)
    s2.stop, s2.event, s2.stratum = np.tile(s.stop, 2), np.tile(s.event, 2), np.repeat(["east", "west"], 120)
    double = s2.fit()
    np.testing.assert_allclose(
        double.hazard_variance_[: len(single.hazard_variance_)], single.hazard_variance_, rtol=1e-7
    )
    np.testing.assert_allclose(double.covariance_, single.covariance_ / 2, rtol=1e-7)


@pytest.mark.parametrize("strata", [False, True])
def test_expected_events_of_the_fit_sum_to_the_observed_with_breslows_ties(strata):
    s = sample(7, strata=strata, offset=True)
    model = s.fit(ties="breslow")
    expected = model.expected_events(s.X, s.stop, start=s.start, strata=s.stratum, offset=s.offset)
    assert expected["estimate"] @ s.weight == pytest.approx(s.event @ s.weight, rel=1e-9)


def test_expected_events_have_the_errors_of_a_path_of_one_row():
    s = sample(8, strata=False)
    model = s.fit()
    found = model.expected_events(s.X[:9], s.stop[:9], start=s.start[:9])
    for i in range(9):
        value, variance, _ = path_twin(s, model, [(s.X.iloc[i], s.start[i], s.stop[i], None)], np.inf)
        np.testing.assert_allclose(found[["estimate", "se"]].iloc[i], [value, np.sqrt(variance)], rtol=1e-8, atol=1e-12)
    with pytest.raises(DataError, match="stop is before start"):
        model.expected_events(s.X[:2], [1.0, 2.0], start=[3.0, 1.0])


@pytest.mark.parametrize("start", [None, 3.0, np.array([1.0, 2.5, 6.0])])
def test_expected_lifetime_is_the_area_and_its_error_integrates_the_covariance_of_the_hazard(start):
    s = sample(9, strata=False)
    model = s.fit()
    found = model.expected_lifetime(NEW, 9.0, start=start)
    curves = model.predict_curves(NEW, start=start)
    np.testing.assert_allclose(found["estimate"], curves.rmst(9.0), rtol=1e-12)
    for i in range(3):
        begin = curves.origin[i]
        times = curves.times[(curves.times > begin) & (curves.times <= begin + 9.0)]
        width = np.diff(np.append(times, begin + 9.0))
        piece = [(NEW.iloc[i], -np.inf if start is None else begin, np.inf, None)]
        parts = [path_twin(s, model, piece, t) for t in times]
        S, c = np.exp(-np.array([p[0] for p in parts])), np.array([p[2] for p in parts])
        V = model.covariance_.to_numpy()
        own = np.array([p[1] for p in parts]) - np.einsum("tj,jk,tk->t", c, V, c)
        # the baseline's martingale has independent increments: Cov(Λ(u), Λ(v)) = Var at the earlier + c'Vc
        covariance = np.minimum.outer(own, own) + c @ V @ c.T
        assert found["se"].iloc[i] == pytest.approx(np.sqrt((S * width) @ covariance @ (S * width)), rel=1e-8)
    assert (found["lower"] >= 0).all()
    assert (found["upper"] <= 9.0).all()


def test_expected_lifetime_past_the_follow_up_is_nan_with_a_warning():
    model = sample(9, strata=False).fit()
    with pytest.warns(SupportWarning, match="past the last time known"):
        assert model.expected_lifetime(NEW, 1e5).isna().all(axis=None)
    with pytest.raises(DataError, match="positive"):
        model.expected_lifetime(NEW, 0)


def test_the_median_has_the_interval_at_which_the_bounds_cross_one_half():
    model = sample(9, strata=False).fit()
    found = model.median_lifetime(NEW, level=0.9)
    curves = model.predict_curves(NEW, level=0.9)
    for i in range(3):
        for name, values in (("estimate", curves.probability), ("lower", curves.lower), ("upper", curves.upper)):
            below = np.flatnonzero(values[i, 0] < 0.5)
            expected = curves.times[below[0]] if len(below) else np.nan
            np.testing.assert_equal(found[name].iloc[i], expected)


def test_a_current_age_conditions_the_median_and_needs_one_value_per_row():
    model = sample(9, strata=False).fit()
    found = model.median_lifetime(NEW, start=[2.0, 3.0, 6.0])
    np.testing.assert_array_equal(found["estimate"], model.predict_curves(NEW, start=[2.0, 3.0, 6.0]).median())
    with pytest.raises(DataError, match=r"start has shape \(2,\)"):
        model.median_lifetime(NEW, start=[2.0, 3.0])


def test_a_relative_hazard_is_a_contrast_of_covariates():
    model = sample(2, strata=False).fit()
    found = model.hazard_ratio(NEW, reference=NEW.iloc[[0]])
    difference = (NEW - NEW.iloc[0]).to_numpy(dtype=float)
    np.testing.assert_allclose(found["estimate"], difference @ model.coef_)
    variance = np.einsum("ij,jk,ik->i", difference, model.covariance_.to_numpy(), difference)
    np.testing.assert_allclose(found["se"], np.sqrt(variance), rtol=1e-9, atol=1e-12)
    assert found["se"].iloc[0] == 0
    with pytest.raises(DataError, match="give one row"):
        model.hazard_ratio(NEW, reference=NEW.iloc[:2])


def test_a_model_of_one_cause_among_several_gives_bounds_of_its_hazard_and_no_lifetime():
    s = sample(2, strata=False)
    event = np.where(s.event == 1, 1 + (np.arange(120) % 3 == 0), 0)
    y = cs.Outcome(s.stop, event, start=s.start, causes=("attrition", "default"))
    model = cs.CoxPH(cause="attrition").fit(s.X, y)
    curves = model.predict_curves(NEW, [6.0], level=0.95)
    table = model.predict_cumulative_hazard(NEW, [6.0])
    np.testing.assert_allclose(curves.lower[:, 0, 0], table["lower"])
    np.testing.assert_allclose(curves.upper[:, 0, 0], table["upper"])
    for refused in (lambda: model.expected_lifetime(NEW, 5), lambda: model.median_lifetime(NEW)):
        with pytest.raises(NotIdentifiedError, match="CauseSpecificCox"):
            refused()


def test_options_that_are_not_known_are_refused():
    model = sample(2, strata=False).fit()
    with pytest.raises(DataError, match="conf_type"):
        model.predict_curves(NEW, [3.0], level=0.95, conf_type="cubic")
    with pytest.raises(DataError, match="level=95"):
        model.predict_curves(NEW, [3.0], level=95)


def test_a_saved_model_gives_the_same_bounds_to_the_bit(tmp_path):
    model = sample(2).fit()
    again = cs.load(cs.save(model, tmp_path / "model.churnsurv"))
    a, b = (m.predict_curves(NEW, [3.0, 9.0], strata=LABELS, level=0.95) for m in (model, again))
    np.testing.assert_array_equal(a.lower, b.lower)
    np.testing.assert_array_equal(a.upper, b.upper)


def test_a_model_saved_without_intervals_predicts_and_says_why_it_has_none(tmp_path):
    s = sample(2, strata=False)
    model = s.fit()
    again = cs.load(cs.save(model, tmp_path / "model.churnsurv", intervals=False))
    np.testing.assert_array_equal(model.predict_curves(NEW).survival, again.predict_curves(NEW).survival)
    with pytest.raises(NotIdentifiedError, match="intervals=True"):
        again.predict_curves(NEW, level=0.95)
    causes = cs.CauseSpecificCox().fit(s.X, cs.Outcome(s.stop, s.event, start=s.start))
    part = cs.load(cs.save(causes, tmp_path / "causes.churnsurv", intervals=False)).models_["event"]
    assert part.hazard_gradient_ is None
    assert causes.models_["event"].hazard_gradient_ is not None


def test_the_root_of_a_singular_covariance_is_a_root():
    residual = np.random.default_rng(0).normal(size=(2, 4)) * [1, 1e6, 1e-6, 1]
    covariance = residual.T @ residual
    root = root_of(covariance)
    scale = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(root @ root.T / np.outer(scale, scale), covariance / np.outer(scale, scale), atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_intervals_cover_the_true_survival_with_late_entry_and_ties(ties):
    # months: h(t|x) = 1 − exp(−0.05 e^{0.5 x}), exactly proportional on the cumulative scale when grouped (log-log link)
    rng, covered, lives, wide, B = np.random.default_rng(5), np.zeros((2, 2)), np.zeros(2), 0, 1000
    new, times = pd.DataFrame({"x": [0.0, 1.0]}), np.array([12.0, 24.0])
    truth = np.exp(-0.05 * np.exp(0.5 * new.to_numpy()) * times)
    # survival steps at quarters of a month: the mean time within 24 months is a sum
    area = np.exp(-0.05 * np.exp(0.5 * new.to_numpy()) * np.arange(0, 24, 0.25)).sum(axis=1) * 0.25
    for _ in range(B):
        n = 400
        x, entry = rng.normal(size=n), np.where(rng.random(n) < 0.5, 0, rng.integers(0, 12, n))
        life = np.ceil(rng.exponential(1 / (0.05 * np.exp(0.5 * x))) * 4) / 4
        end = entry + rng.integers(12, 37, n)
        seen = life > entry
        y = cs.Outcome(np.minimum(life, end)[seen], (life <= end)[seen].astype(int), start=entry[seen].astype(float))
        model = cs.CoxPH(ties=ties).fit(pd.DataFrame({"x": x[seen]}), y)
        curves, life_time = model.predict_curves(new, times, level=0.95), model.expected_lifetime(new, 24)
        lives += (life_time["lower"] <= area) & (area <= life_time["upper"])
        covered += (curves.lower[:, 0] <= truth) & (truth <= curves.upper[:, 0])
        wide += np.mean(curves.upper[:, 0] - curves.lower[:, 0])
    # 0.95 ± 3 Monte-Carlo standard errors and 0.01 for the finite sample; quarters of a month keep Breslow's bias small
    assert np.all(np.abs(covered / B - 0.95) < 0.031), covered / B
    assert np.all(np.abs(lives / B - 0.95) < 0.031), lives / B
    assert wide / B < 0.25
