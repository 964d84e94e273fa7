"""Residuals of Cox models: definitions, closed forms, identities, and what is refused."""

from typing import get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import churnsurv as cs
from churnsurv.estimators.residuals import KINDS, Kind
from churnsurv.exceptions import DataError, MissingDataWarning
from tests.estimators.cox_twins import by_definition
from tests.oracle_cases import input_of, read

TIES = ("efron", "breslow")


def spells(seed=0, n=80, zero_weights=False):
    """Rows with late entry, ties, two strata, weights, an offset and clusters of two."""
    rng = np.random.default_rng(seed)
    start = np.where(rng.random(n) < 0.5, 0.0, rng.integers(0, 5, n)).astype(float)
    stop = start + rng.integers(1, 8, n)
    event = (rng.random(n) < 0.6).astype(int)
    X = pd.DataFrame({"rate": rng.normal(size=n), "score": rng.normal(650, 50, n), "offer": rng.integers(0, 2, n)})
    X.index = [f"loan {i}" for i in range(n)]
    arguments = {
        "strata": rng.integers(0, 2, n),
        "sample_weight": rng.choice([0.0, 0.5, 1.0, 2.0] if zero_weights else [0.5, 1.0, 2.0], n),
        "offset": rng.normal(0, 0.3, n),
    }
    return X, cs.Outcome(stop, event, start=start), arguments


def split_rows(X, y, seed):
    """Cut some spells in two; the rows of X, the outcome, and the original positions."""
    cut = np.floor(np.random.default_rng(seed).uniform(y.start, y.stop) * 2) / 2
    inside = (cut > y.start) & (cut < y.stop)
    rows = np.concatenate([np.arange(len(X)), np.flatnonzero(inside)])
    start = np.concatenate([y.start, cut[inside]])
    stop = np.concatenate([np.where(inside, cut, y.stop), y.stop[inside]])
    event = np.concatenate([np.where(inside, 0, y.event), y.event[inside]])
    return X.iloc[rows], cs.Outcome(stop, event, start=start, subject=rows), rows


def test_the_kinds_offered_are_those_described():
    assert get_args(Kind) == KINDS


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), ties=st.sampled_from(TIES), zero_weights=st.booleans())
def test_residuals_follow_their_definitions(seed, ties, zero_weights):
    X, y, arguments = spells(seed, zero_weights=zero_weights)
    model = cs.CoxPH(ties=ties).fit(X, y, **arguments)
    # an offset is a covariate whose coefficient is 1
    x = np.column_stack([X.to_numpy(dtype=float), arguments["offset"]])
    martingale, score, schoenfeld, _, _ = by_definition(
        np.append(model.coef_, 1.0),
        x,
        y.start,
        y.stop,
        y.event > 0,
        arguments["sample_weight"],
        arguments["strata"],
        ties,
    )
    score = score[:, :3]
    v = model.naive_covariance_.to_numpy()
    dfbeta = arguments["sample_weight"][:, None] * score @ v
    expected = {"martingale": martingale, "score": score, "dfbeta": dfbeta, "dfbetas": dfbeta / np.sqrt(np.diag(v))}
    events = np.where(np.isnan(martingale), np.nan, y.event)
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.where(y.event > 0, np.log(events - martingale), 0.0)
    expected["deviance"] = np.sign(martingale) * np.sqrt(np.maximum(-2 * (martingale + log), 0))
    for kind, values in expected.items():
        found = model.residuals(X, y, kind, **arguments)
        assert found.index.equals(X.index)
        # the deviance of a martingale residual near zero has half of its digits
        tolerance = 1e-7 if kind == "deviance" else 1e-9
        np.testing.assert_allclose(found, values, rtol=1e-8, atol=tolerance * np.nanmax(np.abs(values)))
    table = model.residuals(X, y, "schoenfeld", **arguments)
    rows = [X.index.get_loc(label) for label in table.index]
    assert sorted(rows) == sorted(schoenfeld)
    np.testing.assert_allclose(table[X.columns], np.array([schoenfeld[i][:3] for i in rows]), rtol=1e-8, atol=1e-9)
    np.testing.assert_array_equal(table["time"], y.stop[rows])
    np.testing.assert_array_equal(table["stratum"], arguments["strata"][rows])
    assert table[["stratum", "time"]].apply(tuple, axis=1).is_monotonic_increasing
    scaled = model.residuals(X, y, "scaled_schoenfeld", **arguments)
    np.testing.assert_allclose(scaled[X.columns], len(rows) * table[X.columns] @ v + model.coef_.to_numpy(), rtol=1e-10)


@pytest.mark.parametrize("ties", TIES)
def test_dfbeta_is_the_derivative_of_the_coefficients_by_the_weight(ties):
    X, y, arguments = spells(3)
    weight = arguments.pop("sample_weight")

    def coefficients(row, factor):
        changed = weight.copy()
        changed[row] *= factor
        return cs.CoxPH(ties=ties).fit(X, y, sample_weight=changed, **arguments).coef_.to_numpy()

    model = cs.CoxPH(ties=ties).fit(X, y, sample_weight=weight, **arguments)
    dfbeta = model.residuals(X, y, "dfbeta", sample_weight=weight, **arguments)
    for row in (0, 7, int(np.flatnonzero(y.event)[0])):
        numerical = (coefficients(row, 1.001) - coefficients(row, 0.999)) / 0.002
        np.testing.assert_allclose(dfbeta.iloc[row], numerical, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("ties", TIES)
def test_closed_forms_of_data_set_1(ties):
    data, hand = input_of("hand_test1"), read("hand_test1")["expected"]["hand"]
    X, y = data[["x"]], cs.Outcome(data["time"], data["status"])
    model = cs.CoxPH(ties=ties).fit(X, y)
    np.testing.assert_allclose(
        model.residuals(X, y, "martingale"), hand[f"{ties}_at_mle"]["martingale_by_subject"], rtol=1e-9
    )
    model.coef_ = model.coef_ * 0.0
    np.testing.assert_allclose(
        model.residuals(X, y, "martingale"), hand[f"{ties}_at_0"]["martingale_by_subject"], rtol=1e-10
    )
    # sorted by time, tied deaths before the censored one, those with x = 1 before x = 0
    order = [1, 2, 3, 4, 5, 0]
    score = model.residuals(X, y, "score")["x"].to_numpy()[order]
    np.testing.assert_allclose(score, hand["rationals_at_0"][f"{ties}_score_resid_sorted_time"], rtol=1e-10)


@pytest.mark.parametrize("ties", TIES)
def test_closed_forms_of_data_set_2(ties):
    data, expected = input_of("hand_test2_startstop"), read("hand_test2_startstop")["expected"]
    X, y = data[["x"]], cs.Outcome(data["stop"], data["event"], start=data["start"])
    model = cs.CoxPH(ties=ties).fit(X, y)
    model.coef_ = model.coef_ * 0.0
    if ties == "breslow":
        np.testing.assert_allclose(
            model.residuals(X, y, "martingale"), expected["hand"]["martingale_breslow_at_0"], rtol=1e-10
        )
    # at β = 0 the score residuals sum to the score derived by hand
    zero = expected["hand"][ties]["at_0"] if ties in expected["hand"] else expected["hand"][f"{ties}_at_0"]
    assert model.residuals(X, y, "score")["x"].sum() == pytest.approx(zero["U"], rel=1e-10)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("seed", range(3))
def test_weighted_sums_vanish_at_the_maximum(ties, seed):
    X, y, arguments = spells(seed)
    model = cs.CoxPH(ties=ties).fit(X, y, **arguments)
    weight = arguments["sample_weight"]
    assert abs(weight @ model.residuals(X, y, "martingale", **arguments)) < 1e-8
    for kind, factor in (("score", weight), ("dfbetas", np.ones(len(X)))):
        assert np.abs(factor @ model.residuals(X, y, kind, **arguments) / X.std()).max() < 1e-6
    table = model.residuals(X, y, "schoenfeld", **arguments)
    of_event = pd.Series(weight, index=X.index)[table.index].to_numpy()
    assert np.abs(of_event @ table[X.columns] / X.std()).max() < 1e-6


@pytest.mark.parametrize("ties", TIES)
def test_dfbeta_summed_by_cluster_gives_the_sandwich(ties):
    X, y, arguments = spells(1)
    arguments["cluster"] = np.arange(len(X)) // 2
    model = cs.CoxPH(ties=ties).fit(X, y, **arguments)
    total = model.residuals(X, y, "dfbeta", by="cluster", **arguments)
    assert total.index.tolist() == list(range(len(X) // 2))
    np.testing.assert_allclose(total.T @ total, model.covariance_, rtol=1e-8)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), kind=st.sampled_from(["martingale", "deviance", "score", "dfbeta"]))
def test_splitting_spells_changes_no_sum_by_subject(seed, kind):
    X, y, arguments = spells(5)
    split_X, split_y, rows = split_rows(X, y, seed)
    cut = {name: value[rows] for name, value in arguments.items()}
    whole = cs.CoxPH().fit(X, y, **arguments).residuals(X, y, kind, **arguments)
    parts = cs.CoxPH().fit(split_X, split_y, **cut).residuals(split_X, split_y, kind, by="subject", **cut)
    np.testing.assert_allclose(parts, whole, rtol=1e-7, atol=1e-7 * np.abs(whole).to_numpy().max())


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), kind=st.sampled_from(KINDS))
def test_the_order_of_rows_changes_nothing(seed, kind):
    X, y, arguments = spells(6)
    order = np.random.default_rng(seed).permutation(len(X))
    moved = {name: value[order] for name, value in arguments.items()}
    a = cs.CoxPH().fit(X, y, **arguments).residuals(X, y, kind, **arguments)
    b = cs.CoxPH().fit(X.iloc[order], y[order], **moved).residuals(X.iloc[order], y[order], kind, **moved)
    same = b.loc[a.index]
    scale = np.abs(a if a.ndim == 1 else a[X.columns]).to_numpy().max()
    np.testing.assert_allclose(same, a, rtol=1e-7, atol=1e-7 * scale)


def test_columns_named_at_the_fit_are_remembered():
    X, y, arguments = spells(2)
    wide = X.assign(
        region=arguments["strata"], w=arguments["sample_weight"], log_exposure=arguments["offset"], customer=1
    )
    wide["customer"] = np.arange(len(X)) // 3
    names = {"strata": "region", "sample_weight": "w", "offset": "log_exposure", "cluster": "customer"}
    named = cs.CoxPH().fit(wide, y, **names)
    given_as_arrays = cs.CoxPH().fit(X, y, **arguments)
    pd.testing.assert_series_equal(
        named.residuals(wide, y, "martingale"), given_as_arrays.residuals(X, y, "martingale", **arguments)
    )
    assert len(named.residuals(wide, y, "score", by="cluster")) == wide["customer"].nunique()


def test_dropped_rows_and_rows_of_weight_zero_have_no_residual():
    X, y, arguments = spells(4)
    X.iloc[3, 0] = np.nan
    weight = arguments["sample_weight"].copy()
    weight[8] = 0.0
    with pytest.warns(MissingDataWarning):
        model = cs.CoxPH(missing="drop").fit(X, y, sample_weight=weight)
    with pytest.warns(MissingDataWarning):
        residual = model.residuals(X, y, "martingale", sample_weight=weight)
    assert np.flatnonzero(residual.isna()).tolist() == [3, 8]
    with pytest.warns(MissingDataWarning):
        by_subject = model.residuals(X, y, "score", by="subject", sample_weight=weight)
    assert len(by_subject) == len(X) - 1
    assert by_subject.isna().all(axis=1).sum() == 1
    with pytest.warns(MissingDataWarning):
        events = model.residuals(X, y, "schoenfeld", sample_weight=weight)
    assert set(events.index) == set(X.index[(y.event > 0) & (weight > 0) & X["rate"].notna()])


def test_index_labels_may_repeat():
    X, y, _ = spells(4)
    X.index = ["same"] * len(X)
    residual = cs.CoxPH().fit(X, y).residuals(X, y, "martingale")
    assert residual.index.tolist() == ["same"] * len(X)


def test_deviance_by_subject_is_that_of_the_summed_residuals():
    # one subject with two events in recurrent rows: 2 log(2 / E), E the hazard over both
    X, y, _ = spells(7)
    subject = np.arange(len(X)) // 2
    start = np.where(np.arange(len(X)) % 2, 4.0, 0.0)
    recurrent = cs.Outcome(
        start + np.minimum(y.stop - y.start, 4), y.event, start=start, subject=subject, recurrent=True
    )
    model = cs.CoxPH().fit(X, recurrent)
    m = model.residuals(X, recurrent, "martingale", by="subject")
    n = pd.Series(recurrent.event).groupby(subject).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        log_part = np.where(n > 0, n * np.log((n - m) / n), 0.0)
    expected = np.sign(m) * np.sqrt(-2 * (m + log_part))
    np.testing.assert_allclose(model.residuals(X, recurrent, "deviance", by="subject"), expected, rtol=1e-8, atol=1e-8)


def test_a_saved_model_gives_the_same_residuals(tmp_path):
    X, y, arguments = spells(8)
    model = cs.CoxPH().fit(X, y, **arguments)
    again = cs.load(cs.save(model, tmp_path / "m.churnsurv"))
    pd.testing.assert_frame_equal(
        model.residuals(X, y, "dfbeta", **arguments), again.residuals(X, y, "dfbeta", **arguments)
    )


def test_an_array_without_names_gets_a_plain_index():
    X, y, _ = spells(8)
    model = cs.CoxPH().fit(X.to_numpy(dtype=float), y)
    residual = model.residuals(X.to_numpy(dtype=float), y, "score")
    assert residual.index.equals(pd.RangeIndex(len(X)))
    assert residual.columns.tolist() == ["x0", "x1", "x2"]


def test_extreme_linear_predictors_leave_residuals_finite():
    X, y, _ = spells(9)
    X["rate"] = X["rate"] * 1e6 + 1e9
    residual = cs.CoxPH().fit(X, y).residuals(X, y, "martingale")
    assert np.isfinite(residual).all()
    assert abs(residual.sum()) < 1e-6


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("pearson", {}, "martingale"),
        ("schoenfeld", {"by": "subject"}, "by="),
        ("martingale", {"by": "cluster"}, "cluster="),
        ("martingale", {"by": "branch"}, "subject"),
    ],
)
def test_what_makes_no_sense_is_refused(kind, options, words):
    X, y, arguments = spells(0)
    model = cs.CoxPH().fit(X, y, **arguments)
    with pytest.raises(DataError, match=words):
        model.residuals(X, y, kind, **arguments, **options)


@pytest.mark.parametrize("forgotten", ["strata", "sample_weight", "offset"])
def test_arguments_of_the_fit_that_are_forgotten_are_asked_for(forgotten):
    X, y, arguments = spells(0)
    model = cs.CoxPH().fit(X, y, **arguments)
    arguments.pop(forgotten)
    with pytest.raises(DataError, match=forgotten):
        model.residuals(X, y, "martingale", **arguments)
