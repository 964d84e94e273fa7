"""The score test of proportional hazards: its definition, invariances, level, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

import churnsurv as cs
from churnsurv.exceptions import DataError, NotIdentifiedError, SmallSampleWarning
from tests.estimators.cox_twins import by_definition
from tests.estimators.test_residuals import spells, split_rows

TRANSFORMS = ("km", "identity", "rank", "log")
TIES = ("efron", "breslow")


def time_by_definition(y, transform):
    """Give g(t) by its definition, for the rows of spells that are not split."""
    entry, event = y.start, y.event > 0

    def km(t):
        survival = 1.0
        for u in np.unique(y.stop[event & (y.stop < t)]):
            survival *= 1 - np.sum(event & (y.stop == u)) / np.sum((entry < u) & (y.stop >= u))
        return 1 - survival

    def rank(t):
        ends = []
        for u in np.unique(y.stop):
            censored = np.sum(~event & (y.stop == u)) - np.sum(entry == u)
            ends += [u] * int(np.sum(event & (y.stop == u)) + max(censored, 0))
        return np.mean(np.flatnonzero(np.array(ends) == t)) + 1

    return {"km": km, "identity": float, "rank": rank, "log": np.log}[transform]


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), ties=st.sampled_from(TIES), transform=st.sampled_from(TRANSFORMS))
def test_statistics_follow_the_definition(seed, ties, transform):
    X, y, arguments = spells(seed)
    model = cs.CoxPH(ties=ties).fit(X, y, **arguments)
    table = cs.proportional_hazards_test(model, X, y, transform=transform, **arguments)
    g = time_by_definition(y, transform)
    x = np.column_stack([X.to_numpy(dtype=float), arguments["offset"]])
    weight = arguments["sample_weight"]
    data = (x, y.start, y.stop, y.event > 0, weight, arguments["strata"], ties)
    beta = np.append(model.coef_, 1.0)
    _, score, _, i12, i22 = by_definition(beta, *data, g=lambda _, t: g(t))
    *_, i11, _ = by_definition(beta, *data)
    i11, i12, i22 = (i[:3, :3] for i in (i11, i12, i22))
    u = (weight @ score)[:3]
    variance = i22 - i12 @ np.linalg.solve(i11, i12)
    expected = [*(u**2 / np.diag(variance)), u @ np.linalg.solve(variance, u)]
    np.testing.assert_allclose(table["statistic"], expected, rtol=1e-6, atol=1e-9)
    assert table["df"].tolist() == [1, 1, 1, 3]
    np.testing.assert_allclose(table["p_value"], chi2.sf(table["statistic"], table["df"]))
    assert table.index.tolist() == ["rate", "score", "offer", "GLOBAL"]


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), transform=st.sampled_from(TRANSFORMS))
def test_splitting_spells_changes_nothing(seed, transform):
    X, y, arguments = spells(11)
    split_X, split_y, rows = split_rows(X, y, seed)
    cut = {name: value[rows] for name, value in arguments.items()}
    a = cs.proportional_hazards_test(cs.CoxPH().fit(X, y, **arguments), X, y, transform=transform, **arguments)
    model = cs.CoxPH().fit(split_X, split_y, **cut)
    b = cs.proportional_hazards_test(model, split_X, split_y, transform=transform, **cut)
    pd.testing.assert_frame_equal(a, b, rtol=1e-6, atol=1e-9)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_splitting_spells_changes_no_robust_test(seed):
    X, y, _ = spells(12)
    split_X, split_y, rows = split_rows(X, y, seed)
    cluster = np.arange(len(X)) // 2
    whole, parts = cs.CoxPH().fit(X, y, cluster=cluster), cs.CoxPH().fit(split_X, split_y, cluster=cluster[rows])
    a = cs.proportional_hazards_test(whole, X, y, cluster=cluster)
    b = cs.proportional_hazards_test(parts, split_X, split_y, cluster=cluster[rows])
    pd.testing.assert_frame_equal(a, b, rtol=1e-6, atol=1e-9)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), transform=st.sampled_from(TRANSFORMS))
def test_the_order_of_rows_changes_nothing(seed, transform):
    X, y, arguments = spells(13)
    order = np.random.default_rng(seed).permutation(len(X))
    moved = {name: value[order] for name, value in arguments.items()}
    a = cs.proportional_hazards_test(cs.CoxPH().fit(X, y, **arguments), X, y, transform=transform, **arguments)
    model = cs.CoxPH().fit(X.iloc[order], y[order], **moved)
    b = cs.proportional_hazards_test(model, X.iloc[order], y[order], transform=transform, **moved)
    pd.testing.assert_frame_equal(a, b, rtol=1e-7, atol=1e-10)


@settings(max_examples=10, deadline=None)
@given(scale=st.sampled_from([1e-6, -3.0, 1e6]), shift=st.sampled_from([0.0, 1e3]), factor=st.floats(0.01, 100))
def test_units_of_columns_and_of_time_change_nothing(scale, shift, factor):
    X, y, _ = spells(14)
    moved = X.assign(rate=X["rate"] * scale + shift * abs(scale))
    slower = cs.Outcome(y.stop * factor, y.event, start=y.start * factor)
    for transform in TRANSFORMS:
        a = cs.proportional_hazards_test(cs.CoxPH().fit(X, y), X, y, transform=transform)
        b = cs.proportional_hazards_test(cs.CoxPH().fit(moved, slower), moved, slower, transform=transform)
        pd.testing.assert_frame_equal(a, b, rtol=1e-5, atol=1e-8)


def test_integer_weights_are_replicated_rows_under_breslow():
    X, y, _ = spells(15)
    weight = np.random.default_rng(0).integers(1, 4, len(X))
    copies = np.repeat(np.arange(len(X)), weight)
    # not km: its curve does not take weights, as R's does not
    weighted, replicated = cs.CoxPH(ties="breslow"), cs.CoxPH(ties="breslow")
    weighted.fit(X, y, sample_weight=weight)
    replicated.fit(X.iloc[copies], y[copies])
    for transform in ("identity", "log"):
        a = cs.proportional_hazards_test(weighted, X, y, transform=transform, sample_weight=weight)
        b = cs.proportional_hazards_test(replicated, X.iloc[copies], y[copies], transform=transform)
        pd.testing.assert_frame_equal(a, b, rtol=1e-7)


def test_a_common_factor_of_the_weights_multiplies_the_model_statistic_only():
    X, y, _ = spells(16)
    weight, cluster = np.random.default_rng(1).uniform(0.5, 2, len(X)), np.arange(len(X))
    a, b = (
        cs.proportional_hazards_test(
            cs.CoxPH().fit(X, y, sample_weight=w, cluster=cluster), X, y, sample_weight=w, cluster=cluster
        )
        for w in (weight, 3 * weight)
    )
    np.testing.assert_allclose(b["statistic"], 3 * a["statistic"], rtol=1e-7)
    np.testing.assert_allclose(b["robust_statistic"], a["robust_statistic"], rtol=1e-7)


def test_one_extra_term_is_the_score_test_of_a_time_dependent_covariate():
    # rows cut at every event time make x g(t) an ordinary covariate: the model with both has its own score test
    X, y, _ = spells(17, n=60)
    fine, outcome = cut_at_events(X, y)
    model = cs.CoxPH().fit(X, y)
    expected = cs.proportional_hazards_test(model, X, y, transform="identity").loc["rate", "statistic"]
    fine["rate_later"] = fine["rate"] * outcome.stop
    larger = cs.CoxPH().fit(fine, outcome)
    held = cs.CoxPH().fit(fine.drop(columns="rate_later"), outcome)
    larger.coef_ = pd.concat([held.coef_, pd.Series({"rate_later": 0.0})])
    score = larger.residuals(fine, outcome, "score").sum().to_numpy()

    def gradient(beta):
        larger.coef_ = pd.Series(beta, index=larger.coef_.index)
        return larger.residuals(fine, outcome, "score").sum().to_numpy()

    at = larger.coef_.to_numpy()
    step = 1e-5 / fine.std().to_numpy()
    information = -np.array([(gradient(at + e) - gradient(at - e)) / (2 * e.sum()) for e in np.diag(step)])
    assert score @ np.linalg.solve(information, score) == pytest.approx(expected, rel=1e-4)


def cut_at_events(X, y):
    """Cut every row at all event times inside it."""
    times = np.unique(y.stop[y.event > 0])
    pieces = [(i, a, b) for i in range(len(X)) for a, b in _cut(y.start[i], y.stop[i], times)]
    rows, start, stop = (np.array(column) for column in zip(*pieces, strict=True))
    event = np.where(stop == y.stop[rows], y.event[rows], 0)
    return X.iloc[rows].reset_index(drop=True), cs.Outcome(stop, event, start=start, subject=rows)


def _cut(start, stop, times):
    ends = [*times[(times > start) & (times < stop)], stop]
    return zip([start, *ends[:-1]], ends, strict=True)


def test_categories_and_splines_are_tested_jointly_unless_told_otherwise():
    X, y, _ = spells(18, n=200)
    X["segment"] = np.random.default_rng(2).choice(list("abc"), len(X))
    plain = cs.CoxPH().fit(X, y)
    assert cs.proportional_hazards_test(plain, X, y)["df"].to_dict() == {
        "rate": 1, "score": 1, "offer": 1, "segment": 2, "GLOBAL": 5
    }  # fmt: skip
    single = cs.proportional_hazards_test(plain, X, y, terms=False)
    assert single.index.tolist() == [*plain.coef_.index, "GLOBAL"]
    curved = cs.CoxPH("cs(rate, df=3) + C(segment) + offer:score").fit(X, y)
    table = cs.proportional_hazards_test(curved, X, y)
    assert table["df"].to_dict() == {"cs(rate, df=3)": 3, "C(segment)": 2, "offer:score": 1, "GLOBAL": 6}
    # whatever the reference level, the joint test of a category is the same
    other = cs.CoxPH("rate + score + offer + C(segment, contr.treatment('c'))").fit(X, y)
    joint = cs.proportional_hazards_test(other, X, y)
    assert joint["statistic"].iloc[-2] == pytest.approx(
        cs.proportional_hazards_test(plain, X, y).loc["segment", "statistic"], rel=1e-7
    )


def test_an_effect_that_acts_at_one_time_only_cannot_change():
    fine, outcome = cut_at_events(*spells(19)[:2])
    time = pd.Series(outcome.stop[outcome.event > 0]).mode()[0]
    wide = fine[["rate"]].assign(once=fine["offer"] * (outcome.stop == time))
    table = cs.proportional_hazards_test(cs.CoxPH().fit(wide, outcome), wide, outcome)
    assert table.loc["once", "df"] == 0
    assert np.isnan(table.loc["once", ["statistic", "p_value"]].astype(float)).all()
    assert table.loc["GLOBAL", "df"] == 1
    assert table.loc["GLOBAL", "statistic"] == pytest.approx(table.loc["rate", "statistic"], rel=1e-8)


def test_robust_columns_come_with_clusters_sampling_weights_and_recurrent_events_only():
    X, y, _ = spells(20)
    assert list(cs.proportional_hazards_test(cs.CoxPH().fit(X, y), X, y)) == ["statistic", "df", "p_value"]
    weight = np.random.default_rng(3).uniform(0.5, 2, len(X))
    sampled = cs.CoxPH(weight_type="sampling").fit(X, y, sample_weight=weight)
    table = cs.proportional_hazards_test(sampled, X, y, sample_weight=weight)
    assert list(table) == ["statistic", "df", "p_value", "robust_statistic", "robust_p_value"]


def test_fewer_clusters_than_coefficients_give_no_robust_test():
    X, y, _ = spells(21)
    cluster = np.arange(len(X)) % 3
    with pytest.warns(SmallSampleWarning):
        model = cs.CoxPH().fit(X, y, cluster=cluster)
    table = cs.proportional_hazards_test(model, X, y, cluster=cluster)
    assert np.isnan(table.loc["GLOBAL", "robust_statistic"])
    assert np.isfinite(table.loc["GLOBAL", "statistic"])


def test_clusters_that_are_not_passed_again_leave_the_robust_test_open():
    X, y, _ = spells(20)
    cluster = np.arange(len(X)) // 2
    model = cs.CoxPH().fit(X, y, cluster=cluster)
    with_them, without = (cs.proportional_hazards_test(model, X, y, cluster=c) for c in (cluster, None))
    assert without[["robust_statistic", "robust_p_value"]].isna().all(axis=None)
    pd.testing.assert_frame_equal(with_them.iloc[:, :3], without.iloc[:, :3])
    for question in (cs.diagnose, cs.functional_form, cs.hazard_ratio_over_time):
        with pytest.raises(DataError, match="cluster="):
            question(model, X, y, *([] if question is cs.diagnose else ["rate"]))


def test_rows_of_weight_zero_and_rows_dropped_change_nothing():
    X, y, _ = spells(22)
    extra, more = X.iloc[:5] * 7, y[np.arange(5)]
    both = pd.concat([X, extra])
    outcome = cs.Outcome(
        np.append(y.stop, more.stop), np.append(y.event, more.event), start=np.append(y.start, more.start)
    )
    weight = np.append(np.ones(len(X)), np.zeros(5))
    a = cs.proportional_hazards_test(cs.CoxPH().fit(X, y), X, y)
    model = cs.CoxPH().fit(both, outcome, sample_weight=weight)
    b = cs.proportional_hazards_test(model, both, outcome, sample_weight=weight)
    pd.testing.assert_frame_equal(a, b, rtol=1e-7)


def test_rows_that_are_not_those_of_the_fit_are_refused():
    X, y, arguments = spells(23)
    model = cs.CoxPH().fit(X, y, **arguments)
    with pytest.raises(DataError, match="its own rows"):
        cs.proportional_hazards_test(model, X.iloc[:-1], y[:-1], **{k: v[:-1] for k, v in arguments.items()})
    with pytest.raises(DataError, match="its own rows"):
        cs.proportional_hazards_test(model, X, y, **{**arguments, "strata": 1 - arguments["strata"] * (X["rate"] > 0)})


def test_an_event_at_time_zero_has_no_logarithm():
    X, y, _ = spells(24)
    with pytest.warns(cs.exceptions.ZeroDurationWarning):
        zero = cs.Outcome(np.where(np.arange(len(X)) == 0, 0, y.stop), np.maximum(y.event, np.arange(len(X)) == 0))
    model = cs.CoxPH().fit(X, zero)
    with pytest.raises(DataError, match="time 0"):
        cs.proportional_hazards_test(model, X, zero, transform="log")
    assert np.isfinite(cs.proportional_hazards_test(model, X, zero)["statistic"]).all()


def test_events_at_one_time_cannot_tell():
    X, y, _ = spells(25)
    once = cs.Outcome(np.full(len(X), 12.0), y.event)
    model = cs.CoxPH(ties="breslow").fit(X, once)
    with pytest.raises(NotIdentifiedError):
        cs.proportional_hazards_test(model, X, once)


def test_an_unknown_transform_is_refused():
    X, y, _ = spells(26)
    with pytest.raises(DataError, match="km"):
        cs.proportional_hazards_test(cs.CoxPH().fit(X, y), X, y, transform="sqrt")


def rejections(draw, repetitions, column="p_value", **fit):
    """Give the share of simulated data sets in which the test of the first term rejects at 5 %."""
    rejected = 0
    for seed in range(repetitions):
        X, y, arguments = draw(np.random.default_rng(seed))
        model = cs.CoxPH(**fit).fit(X, y, **arguments)
        rejected += cs.proportional_hazards_test(model, X, y, **arguments)[column].iloc[0] < 0.05
    return rejected / repetitions


@pytest.mark.slow
@pytest.mark.parametrize("per_arm", [30, 150])
def test_type_one_error_lies_in_the_band_of_the_reference(per_arm):
    # simulation_reference.json, cox_zph_type1: two arms of equal hazards, a binary stratum with a hazard ratio of 2.1
    def draw(rng):
        arm, stratum = np.repeat([0, 1], per_arm), rng.random(2 * per_arm) < 0.5
        time, censoring = rng.exponential(1 / np.where(stratum, 1.5, 0.7)), rng.uniform(0, 3, 2 * per_arm)
        return pd.DataFrame({"arm": arm}), cs.Outcome(np.minimum(time, censoring), time <= censoring), {}

    assert 0.03538 <= rejections(draw, 2000) <= 0.06462


@pytest.mark.slow
def test_robust_test_holds_its_level_with_clusters_and_the_model_test_does_not():
    # customers who leave with all of their three loans within days
    def draw(rng):
        customer = np.repeat(np.arange(200), 3)
        x = rng.normal(size=200)
        time = (rng.exponential(np.exp(-0.5 * x)))[customer] * rng.uniform(0.999, 1.001, 600)
        censoring = rng.uniform(0, 3, 200)[customer]
        X = pd.DataFrame({"rate": x[customer]})
        return X, cs.Outcome(np.minimum(time, censoring), time <= censoring), {"cluster": customer}

    assert 0.03538 <= rejections(draw, 2000, "robust_p_value") <= 0.06462
    assert rejections(draw, 500) > 0.15
