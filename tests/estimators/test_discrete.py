"""The monthly hazard model against regressions of explicit person-months, against Cox and against the truth."""

from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

import churnsurv as cs
from churnsurv.exceptions import (
    CollinearityError,
    ConvergenceError,
    DataError,
    NoEventsError,
    NotIdentifiedError,
    SeparationWarning,
    SmallSampleWarning,
    TooFewEventsError,
)

CAUSES = ("attrition", "default")


def portfolio(seed=0, n=300):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "rate": rng.normal(size=n),
            "segment": rng.choice(["u", "v", "w"], n),
            "region": rng.choice(["p", "q"], n),
            "w": rng.integers(1, 4, n).astype(float),
            "shift": rng.normal(0, 0.3, n),
            "customer": rng.integers(0, n // 2, n),
        }
    )
    start = rng.integers(0, 5, n)
    stop = start + np.minimum(np.ceil(rng.exponential(12 * np.exp(-0.4 * X["rate"]))), 14).astype(int)
    y = cs.Outcome(stop, rng.choice(3, n, p=[0.4, 0.4, 0.2]), start=start, causes=CAUSES)
    return X, y


def person_months(X, y, code, strata):
    """Make a row per month at risk, of months in which some customer of the stratum leaves by the cause."""
    row = np.repeat(np.arange(len(y)), (y.stop - y.start).astype(int))
    month = np.concatenate([np.arange(a + 1, b + 1) for a, b in zip(y.start, y.stop, strict=True)])
    left = ((y.event[row] == code) & (month == y.stop[row])).astype(float)
    cell = pd.Series([f"{s}-{m:g}" for s, m in zip(np.asarray(strata)[row], month, strict=True)])
    kept = pd.Series(left).groupby(cell).transform("sum").to_numpy() > 0
    return row[kept], month[kept], left[kept], cell[kept].reset_index(drop=True)


def slow_fit(design, left, weight, offset):
    """Newton's method on binary rows with the complementary log-log link; give estimate, information and scores."""
    coef = np.zeros(design.shape[1])
    coef[:] = np.log(-np.log1p(-left.mean())) * np.linalg.lstsq(design, np.ones(len(left)), rcond=None)[0]
    for _ in range(60):
        mu = np.exp(design @ coef + offset)
        phi = mu / np.expm1(mu)
        residual = np.where(left > 0, phi, -mu)
        bend = np.where(left > 0, -phi * (1 - mu - phi), mu)
        information = design.T @ ((weight * bend)[:, None] * design)
        step = np.linalg.solve(information, design.T @ (weight * residual))
        coef = coef + step / max(1.0, np.abs(step).max() / 2)
    value = weight @ np.where(left > 0, np.log(-np.expm1(-mu)), -mu)
    return coef, information, (weight * residual)[:, None] * design, value


def columns_of(X):
    return np.column_stack([X["rate"], X["segment"] == "v", X["segment"] == "w"]).astype(float)


@pytest.mark.parametrize("case", ["plain", "all"])
def test_it_is_the_regression_of_person_months(case):
    X, y = portfolio()
    extra = {} if case == "plain" else {
        "strata": "region", "sample_weight": "w", "offset": "shift", "cluster": "customer",
    }  # fmt: skip
    model = cs.DiscreteHazard("rate + segment").fit(X, y, **extra)
    weight = X["w"].to_numpy() if extra else np.ones(len(X))
    offset = X["shift"].to_numpy() if extra else np.zeros(len(X))
    customer = X["customer"].to_numpy() if extra else np.arange(len(X))
    value = 0.0
    for code, cause in enumerate(CAUSES, 1):
        row, _, left, cell = person_months(X, y, code, X["region"] if extra else np.zeros(len(X)))
        months = pd.get_dummies(cell).to_numpy(float)
        # months in which all leave have no finite coefficient, and say nothing of the others
        finite = (months.T @ left) < months.sum(axis=0)
        kept = months[:, finite].any(axis=1)
        design = np.column_stack((columns_of(X)[row], months[:, finite]))[kept]
        row, left = row[kept], left[kept]
        coef, information, scores, of_cause = slow_fit(design, left, weight[row], offset[row])
        np.testing.assert_allclose(model.coef_[cause], coef[:3], rtol=0, atol=1e-9)
        inverse = np.linalg.inv(information)
        np.testing.assert_allclose(model.naive_covariance_.loc[cause, cause], inverse[:3, :3], rtol=1e-7)
        if extra:
            by_customer = pd.DataFrame(scores).groupby(customer[row]).sum().to_numpy()
            robust = inverse @ (by_customer.T @ by_customer) @ inverse
            np.testing.assert_allclose(model.covariance_.loc[cause, cause], robust[:3, :3], rtol=1e-7)
        value += of_cause
    assert model.log_likelihood_ == pytest.approx(value, rel=1e-10)


def test_it_agrees_with_statsmodels():
    sm = pytest.importorskip("statsmodels.api")
    X, y = portfolio(1)
    y = y.only("attrition")
    row, _, left, cell = person_months(X, y, 1, np.zeros(len(X)))
    months = pd.get_dummies(cell).to_numpy(float)
    full = months.T @ left == months.sum(axis=0)
    kept = ~months[:, full].any(axis=1)
    design = np.column_stack((columns_of(X)[row], months[:, ~full]))[kept]
    family = sm.families.Binomial(sm.families.links.CLogLog())
    glm = sm.GLM(left[kept], design, family=family, freq_weights=X["w"].to_numpy()[row][kept])
    found = glm.fit(method="newton", tol=1e-12, maxiter=100)
    model = cs.DiscreteHazard("rate + segment").fit(X, y, sample_weight="w")
    np.testing.assert_allclose(model.coef_, found.params[:3], atol=1e-8)
    np.testing.assert_allclose(model.summary()["se"], np.sqrt(np.diag(found.cov_params()))[:3], rtol=1e-6)
    assert model.log_likelihood_ == pytest.approx(found.llf, rel=1e-9)


def test_a_smooth_baseline_is_the_regression_on_its_basis():
    from churnsurv.kernels.splines import natural_basis, spline_knots

    X, y = portfolio(2)
    y = y.only("attrition")
    model = cs.DiscreteHazard("rate + segment", baseline="spline", df=4).fit(X, y)
    row = np.repeat(np.arange(len(y)), (y.stop - y.start).astype(int))
    month = np.concatenate([np.arange(a + 1, b + 1) for a, b in zip(y.start, y.stop, strict=True)])
    left = ((y.event[row] == 1) & (month == y.stop[row])).astype(float)
    exits = y.stop[y.event == 1]
    basis = natural_basis(month.astype(float), spline_knots(exits, exits.min(), exits.max(), 4))
    coef, information, *_ = slow_fit(np.column_stack((columns_of(X)[row], basis)), left, np.ones(len(row)), 0.0)
    np.testing.assert_allclose(model.coef_, coef[:3], atol=1e-8)
    np.testing.assert_allclose(model.covariance_, np.linalg.inv(information)[:3, :3], rtol=1e-7)


def test_without_effects_the_curves_are_aalen_johansen():
    _, y = portfolio(3)
    # each customer twice, once with either value: the covariate explains nothing
    twice = pd.DataFrame({"x": np.tile([0.0, 1.0], len(y))})
    rows = np.repeat(np.arange(len(y)), 2)
    doubled = cs.Outcome(y.stop[rows], y.event[rows], start=y.start[rows], causes=CAUSES)
    model = cs.DiscreteHazard().fit(twice, doubled)
    curves = model.predict_curves(twice.iloc[:2])
    null = cs.NullModel().fit(twice, doubled).predict_curves(twice.iloc[:2], curves.times)
    np.testing.assert_allclose(curves.probability, null.probability, atol=1e-10)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1_000), st.integers(0, 8))
def test_states_sum_to_one_and_a_later_start_is_conditional(seed, start):
    X, y = portfolio(seed, 150)
    model = cs.DiscreteHazard("rate").fit(X, y)
    curves, later = model.predict_curves(X), model.predict_curves(X, start=start)
    np.testing.assert_allclose(np.nansum(later.probability, axis=1)[:, 0], 1, atol=1e-12)
    at = np.flatnonzero(curves.times <= start)
    stay = curves.survival[:, at[-1]] if len(at) else np.ones(len(X))
    after = curves.times > start
    np.testing.assert_allclose(later.survival[:, after] * stay[:, None], curves.survival[:, after], atol=1e-12)
    assert np.all(np.diff(curves.cumulative_incidence("default"), axis=1) >= 0)


def test_rows_cut_into_pieces_and_put_in_another_order_change_nothing():
    X, y = portfolio(4)
    model = cs.DiscreteHazard("rate").fit(X, y)
    middle = np.floor((y.start + y.stop) / 2)
    cut = np.flatnonzero(middle > y.start)
    pieces = cs.Outcome(
        np.concatenate((np.where(middle > y.start, middle, y.stop), y.stop[cut])),
        np.concatenate((np.where(middle > y.start, 0, y.event), y.event[cut])),
        start=np.concatenate((y.start, middle[cut])),
        subject=np.concatenate((np.arange(len(y)), cut)),
        causes=CAUSES,
    )
    order = np.random.default_rng(0).permutation(len(pieces))
    frame = pd.concat((X, X.iloc[cut])).iloc[order]
    again = cs.DiscreteHazard("rate").fit(frame, pieces[order])
    np.testing.assert_allclose(again.coef_, model.coef_, atol=1e-10)
    np.testing.assert_allclose(again.covariance_, model.covariance_, rtol=1e-8)


def test_a_weight_is_a_number_of_rows_and_weights_of_zero_leave_out():
    X, y = portfolio(5)
    rows = np.repeat(np.arange(len(y)), X["w"].astype(int))
    many = cs.DiscreteHazard("rate").fit(
        X.iloc[rows], cs.Outcome(y.stop[rows], y.event[rows], start=y.start[rows], causes=CAUSES)
    )
    model = cs.DiscreteHazard("rate").fit(X, y, sample_weight="w")
    np.testing.assert_allclose(model.coef_, many.coef_, atol=1e-10)
    np.testing.assert_allclose(model.covariance_, many.covariance_, rtol=1e-8)
    curves, others = model.predict_curves(X.iloc[:3], level=0.9), many.predict_curves(X.iloc[:3], level=0.9)
    np.testing.assert_allclose(curves.lower, others.lower, rtol=1e-7)
    zero = np.where(np.arange(len(y)) < 200, 1.0, 0.0)
    np.testing.assert_allclose(
        cs.DiscreteHazard("rate").fit(X, y, sample_weight=zero).coef_,
        cs.DiscreteHazard("rate").fit(X[:200], y[:200]).coef_,
        atol=1e-10,
    )


@pytest.mark.parametrize("baseline", ["month", "spline"])
def test_bounds_are_those_of_the_delta_method_by_differences(baseline):
    X, y = portfolio(6)
    model = cs.DiscreteHazard("rate + segment", baseline=baseline).fit(X, y)
    grid, row = [4.0, 9.0], X.iloc[[7]]
    curves = model.predict_curves(row, grid, level=0.95)
    # standard errors from numerical derivatives in the months' log hazards and the coefficients
    from churnsurv.kernels.nonparametric import interval

    variance = np.zeros((3, 2))
    for cause in CAUSES:
        fit = model.fits_[cause]
        finite = np.isfinite(fit.log_hazard)
        z = fit.encoder.design(row)[0] - fit.center
        mean = fit.slope[finite]
        own = np.diag(fit.variance[finite]) if fit.root is None else fit.root[finite] @ fit.root[finite].T
        # the covariance of α + z'β over the months
        covariance = own + (z - mean) @ fit.covariance.to_numpy() @ (z - mean).T
        gradient = []
        for cell in np.flatnonzero(finite):
            moved = []
            for sign in (1, -1):
                changed = deepcopy(model)
                changed.fits_[cause].log_hazard[cell] += sign * 1e-5
                moved.append(changed.predict_curves(row, grid).probability[0])
            gradient.append((moved[0] - moved[1]) / 2e-5)
        gradient = np.stack(gradient)
        variance += np.einsum("cst,cd,dst->st", gradient, covariance, gradient)
    lower, upper = interval(curves.probability[0], np.sqrt(variance), 0.95, "log-log")
    np.testing.assert_allclose(curves.lower[0], lower, rtol=1e-5)
    np.testing.assert_allclose(curves.upper[0], upper, rtol=1e-5)


def test_it_survives_a_file_and_a_clone(tmp_path):
    X, y = portfolio(7)
    model = cs.DiscreteHazard("rate + segment", baseline="spline").fit(X, y, strata="region")
    again = cs.load(cs.save(model, tmp_path / "discrete.churnsurv"))
    pd.testing.assert_frame_equal(again.summary(), model.summary())
    curves, others = (m.predict_curves(X, level=0.9) for m in (model, again))
    np.testing.assert_allclose(others.lower, curves.lower, rtol=1e-12)
    pd.testing.assert_frame_equal(again.baseline_hazard_, model.baseline_hazard_)
    assert clone(model).get_params() == model.get_params()


def grouped(seed, n, monthly):
    """Draw from a proportional hazards model that is seen in whole months; mean monthly hazard about `monthly`."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    time = rng.weibull(1.2, n) / monthly * np.exp(-0.7 * x / 1.2)
    end = rng.integers(3, 25, n)
    months = np.ceil(time)
    return pd.DataFrame({"x": x}), cs.Outcome(np.minimum(months, end), (months <= end).astype(int))


def test_with_small_hazards_it_is_close_to_cox():
    X, y = grouped(0, 20_000, 0.01)
    model, cox = cs.DiscreteHazard().fit(X, y), cs.CoxPH().fit(X, y)
    assert abs(model.coef_.iloc[0] - cox.coef_.iloc[0]) < 0.1 * cox.summary()["se"].iloc[0]
    assert model.summary()["se"].iloc[0] == pytest.approx(cox.summary()["se"].iloc[0], rel=0.01)


def test_its_coefficients_are_those_of_the_hazard_in_continuous_time_however_heavily_months_tie():
    # 40 portfolios of 2,000: the band is that of a mean of 40 estimates, ± 3 standard errors
    estimates = []
    for seed in range(40):
        X, y = grouped(100 + seed, 2_000, 0.15)
        table = cs.DiscreteHazard().fit(X, y).summary()
        estimates.append((table["coef"].iloc[0], table["se"].iloc[0]))
    value, se = np.array(estimates).T
    assert abs(value.mean() - 0.7) < 3 * se.mean() / np.sqrt(40)
    assert 0.65 < value.std(ddof=1) / se.mean() < 1.4


def test_months_without_exits_have_hazard_zero_and_months_in_which_all_leave_one():
    X = pd.DataFrame({"x": [0.0, 1, 0, 1, 0.5, 0.2, 0.9, 0.3]})
    y = cs.Outcome([1, 1, 3, 3, 5, 5, 9, 9], [1, 0, 1, 0, 1, 0, 1, 1])
    model = cs.DiscreteHazard().fit(X, y)
    assert model.event_times_.tolist() == [1, 3, 5, 9]
    curves = model.predict_curves(X, [2, 4, 8, 9])
    assert np.all(curves.survival[:, 3] == 0)
    assert np.all(curves.survival[:, 2] > 0)
    bounds = model.predict_curves(X, level=0.95)
    assert np.isfinite(bounds.lower).all()
    assert np.all(bounds.upper[:, 0, 3] == 0)


def test_exits_at_age_zero_are_a_month_of_their_own():
    X = pd.DataFrame({"x": [0.0, 1, 0, 1, 0.5, 0.2]})
    with pytest.warns(cs.exceptions.ZeroDurationWarning):
        y = cs.Outcome([0, 0, 3, 3, 5, 5], [1, 0, 1, 0, 1, 0])
    curves = cs.DiscreteHazard().fit(X, y).predict_curves(X)
    assert curves.times[0] == 0
    assert np.all(curves.survival[:, 0] < 1)


def test_missing_covariates_are_refused_dropped_and_predicted_as_missing():
    X, y = portfolio(8)
    hole = X.assign(rate=X["rate"].where(X.index != 3))
    with pytest.raises(DataError, match="rate"):
        cs.DiscreteHazard("rate").fit(hole, y)
    with pytest.warns(cs.exceptions.MissingDataWarning):
        model = cs.DiscreteHazard("rate", missing="drop").fit(hole, y)
    np.testing.assert_allclose(
        model.coef_, cs.DiscreteHazard("rate").fit(X.drop(index=3), y[X.index != 3]).coef_, atol=1e-10
    )
    assert np.isnan(model.predict_curves(hole.iloc[[3]], [5]).probability).all()


def test_separation_is_said():
    X, y = portfolio(9)
    y = y.only("attrition")
    flag = pd.DataFrame({"rate": X["rate"], "flag": ((y.event == 0) & (np.arange(len(y)) % 3 == 0)).astype(float)})
    with pytest.warns(SeparationWarning, match="flag"):
        cs.DiscreteHazard().fit(flag, y)


def test_what_is_not_identified_is_refused():
    X, y = portfolio(10)
    fit = cs.DiscreteHazard("rate").fit
    with pytest.raises(NoEventsError, match="attrition"):
        fit(X, cs.Outcome(y.stop, np.where(y.event == 1, 0, y.event), causes=CAUSES))
    with pytest.raises(DataError, match="whole"):
        fit(X, cs.Outcome(y.stop + 0.5, y.event, causes=CAUSES))
    with pytest.raises(CollinearityError, match="twice"):
        cs.DiscreteHazard("rate + twice").fit(X.assign(twice=2 * X["rate"]), y)
    with pytest.raises(DataError, match="constant"):
        cs.DiscreteHazard("same").fit(X.assign(same=1.0), y)
    with pytest.raises(TooFewEventsError):
        cs.DiscreteHazard("rate + segment").fit(X[:6], cs.Outcome([5, 6, 7, 8, 9, 9], [1, 0, 0, 0, 0, 0]))
    with pytest.raises(NotIdentifiedError, match="recurrent"):
        fit(X[:3], cs.Outcome([1, 2, 3], [1, 1, 0], start=[0, 1, 2], subject=[1, 1, 1], recurrent=True))
    with pytest.raises(DataError, match="baseline"):
        cs.DiscreteHazard(baseline="weekly").fit(X[["rate"]], y)
    with pytest.raises(DataError, match="formula"):
        cs.DiscreteHazard({"churn": "rate"}).fit(X, y)
    with pytest.raises(DataError, match="offset"):
        cs.DiscreteHazard("rate").fit(X, y, offset=X["shift"].to_numpy()).predict_curves(X)
    with pytest.raises(DataError, match="one cluster"):
        fit(X, y, cluster=np.zeros(len(X)))
    empty = np.where(np.arange(len(X)) < 5, "new", "old")
    with pytest.warns(SmallSampleWarning, match="new"):
        fit(X, cs.Outcome(y.stop, np.where(empty == "new", 0, y.event), start=y.start, causes=CAUSES), strata=empty)


def test_a_smooth_baseline_that_runs_away_is_an_error_that_says_so():
    X, _ = portfolio(12)
    leaves = np.arange(len(X)) < 40
    y = cs.Outcome(np.where(leaves, 7 + np.arange(len(X)) % 2, 20), leaves.astype(int))
    with pytest.raises(ConvergenceError, match="baseline='month'"):
        cs.DiscreteHazard("rate", baseline="spline").fit(X, y)
    with pytest.raises(ConvergenceError, match="offset"):
        cs.DiscreteHazard("rate").fit(X, y, offset=1_000 * X["shift"])


def test_formulas_may_differ_between_causes():
    X, y = portfolio(11)
    model = cs.DiscreteHazard({"attrition": "rate", "default": "segment"}).fit(X, y)
    assert model.coef_["attrition"].index.tolist() == ["rate"]
    assert len(model.coef_["default"]) == 2
    np.testing.assert_allclose(model.predict(X, cause="attrition"), X["rate"] * model.coef_["attrition"]["rate"])


@pytest.mark.slow
def test_intervals_of_coefficients_and_curves_cover():
    # 400 portfolios of 1,000: with a true coverage of 95 % the count of misses has a standard error of 1.1 points; band ± 3
    n_runs, at = 400, 12.0
    row = pd.DataFrame({"x": [0.5]})
    # time = weibull(1.2)/monthly exp(−0.7 x/1.2), so that S(t|x) = exp(−(monthly t)^1.2 exp(0.7 x))
    truth = 1 - np.exp(-((0.05 * at) ** 1.2) * np.exp(0.7 * 0.5))
    covered = np.zeros((n_runs, 4), dtype=bool)
    for run in range(n_runs):
        X, y = grouped(10_000 + run, 1_000, 0.05)
        for j, baseline in enumerate(("month", "spline")):
            model = cs.DiscreteHazard(baseline=baseline, df=4).fit(X, y)
            coef, se = model.summary()[["coef", "se"]].iloc[0]
            covered[run, 2 * j] = abs(coef - 0.7) < 1.96 * se
            curves = model.predict_curves(row, [at], level=0.95)
            covered[run, 2 * j + 1] = curves.lower[0, 1, 0] <= truth <= curves.upper[0, 1, 0]
    share = covered.mean(axis=0)
    assert np.all(np.abs(share - 0.95) < 3 * np.sqrt(0.95 * 0.05 / n_runs)), share


@pytest.mark.slow
def test_bounds_of_competing_causes_cover():
    # as above; two causes with hazards that do not depend on age, and exits in whole months
    n_runs, at = 400, 12.0
    row = pd.DataFrame({"x": [0.5]})
    rates = np.array([0.04 * np.exp(0.6 * 0.5), 0.02 * np.exp(-0.4 * 0.5)])
    truth = rates / rates.sum() * (1 - np.exp(-rates.sum() * at))
    covered = np.zeros((n_runs, 2), dtype=bool)
    for run in range(n_runs):
        rng = np.random.default_rng(20_000 + run)
        x = rng.normal(size=1_000)
        first, second = rng.exponential(np.exp(-0.6 * x) / 0.04), rng.exponential(np.exp(0.4 * x) / 0.02)
        end, months = rng.integers(6, 25, 1_000), np.ceil(np.minimum(first, second))
        event = np.where(months <= end, np.where(first < second, 1, 2), 0)
        y = cs.Outcome(np.minimum(months, end), event, causes=CAUSES)
        curves = cs.DiscreteHazard().fit(pd.DataFrame({"x": x}), y).predict_curves(row, [at], level=0.95)
        covered[run] = (curves.lower[0, 1:, 0] <= truth) & (truth <= curves.upper[0, 1:, 0])
    share = covered.mean(axis=0)
    assert np.all(np.abs(share - 0.95) < 3 * np.sqrt(0.95 * 0.05 / n_runs)), share
