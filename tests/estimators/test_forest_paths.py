"""Curves of a forest along paths of covariates: against loops, and what a path shares with curves that stay."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import churnsurv as cs
from churnsurv.exceptions import DataError, NotIdentifiedError, SmallSampleWarning, SupportWarning
from tests.estimators.forest_path_twins import path_of_curves

N = 300
COVARIATES = ["rate", "score", "segment"]
SCENARIO = pd.DataFrame(
    {
        "rate": [0.0, 1.5, -1.0, 0.2, 0.4],
        "score": [600.0, 600.0, 600.0, 700.0, 700.0],
        "segment": ["sme", "sme", "retail", "retail", "retail"],
        "start": [2.0, 5.0, 9.0, 2.0, 6.0],
        "stop": [5.0, 9.0, 14.0, 6.0, 11.0],
        "loan": [17, 17, 17, 4, 4],
    },
    index=list("vwxyz"),
)


@pytest.fixture(scope="module")
def forest():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {"rate": rng.normal(size=N), "score": rng.integers(500, 800, N), "segment": rng.choice(["retail", "sme"], N)}
    )
    hazard = np.exp(0.8 * X["rate"] + 0.6 * (X["segment"] == "sme")).to_numpy()
    month, start = np.ceil(rng.exponential(20 / hazard)), rng.integers(1, 6, N)
    y = cs.Outcome(
        start + np.minimum(month, 16), np.where(month <= 16, rng.integers(1, 3, N), 0), start=start,
        causes=("attrition", "default"),
    )  # fmt: skip
    return cs.RandomSurvivalForest(20, random_state=0).fit(X, y)


def along(forest, pieces=SCENARIO, times=None, **arguments):
    return forest.predict_path(pieces, "start", "stop", "loan", times, **arguments)


def test_a_path_goes_through_the_hazards_of_its_pieces(forest):
    times = np.array([1.0, 4.0, 5.0, 7.0, 10.5])
    curves = along(forest, times=times)
    assert list(curves.index) == [4, 17]
    assert list(curves.origin) == [2, 2]
    for i, loan in enumerate(curves.index):
        rows = SCENARIO[SCENARIO["loan"] == loan]
        expected = path_of_curves(forest, rows, rows["start"].to_numpy(), rows["stop"].to_numpy(), times)
        np.testing.assert_allclose(curves.probability[i], expected, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.floats(1.0, 15.0), max_size=6, unique=True), begin=st.sampled_from([1.0, 3.0, 4.5]))
def test_a_path_of_constant_covariates_is_the_curve_however_it_is_cut(forest, cuts, begin):
    edges = [begin, *sorted(c for c in cuts if begin + 1e-3 < c < 15.9), 16.0]
    edges = [e for k, e in enumerate(edges) if k == 0 or e - edges[k - 1] > 1e-3]
    pieces = pd.concat([SCENARIO.iloc[[0]]] * (len(edges) - 1)).assign(start=edges[:-1], stop=edges[1:])
    times = np.array([2.0, 6.0, 11.0, 15.0])
    with warnings.catch_warnings():
        # these 20 trees are few for standard errors
        warnings.simplefilter("ignore", SmallSampleWarning)
        path = along(forest, pieces, times, level=0.9)
        fixed = forest.predict_curves(SCENARIO.iloc[[0]], times, start=begin, level=0.9)
    np.testing.assert_allclose(path.probability, fixed.probability, atol=1e-12)
    np.testing.assert_allclose(path.se, fixed.se, atol=1e-12)
    np.testing.assert_allclose(path.lower, fixed.lower, atol=1e-9)
    np.testing.assert_array_equal(path.origin, fixed.origin)


def test_the_order_of_rows_and_columns_or_arrays_change_nothing(forest):
    expected = along(forest).probability
    np.testing.assert_array_equal(along(forest, SCENARIO.iloc[[3, 0, 4, 2, 1], ::-1]).probability, expected)
    arrays = [SCENARIO[c].to_numpy() for c in ("start", "stop", "loan")]
    np.testing.assert_array_equal(forest.predict_path(SCENARIO[COVARIATES], *arrays).probability, expected)


@pytest.mark.parametrize("chunk", [1, 50])
def test_chunks_and_threads_change_nothing(forest, chunk, monkeypatch):
    pieces = pd.concat([SCENARIO.assign(loan=SCENARIO["loan"] + 100 * k) for k in range(7)])
    expected = along(forest, pieces).probability
    monkeypatch.setattr("churnsurv.estimators.forest_paths.CHUNK", chunk)
    threads = cs.RandomSurvivalForest(**(forest.get_params() | {"n_jobs": 2}))
    threads.__dict__.update({k: v for k, v in vars(forest).items() if k.endswith("_")})
    np.testing.assert_array_equal(along(threads, pieces).probability, expected)


def test_nothing_is_predicted_past_the_end_of_the_path(forest):
    with pytest.warns(SupportWarning, match="past the last time known"):
        curves = along(forest, times=[10.0, 12.0])
    assert np.isnan(curves.probability[0, :, 1]).all()  # loan 4 ends at 11
    assert np.isfinite(curves.probability[1]).all()
    assert list(curves.last) == [11.0, 14.0]
    every = along(forest)
    assert every.times.max() <= 14.0
    assert np.isnan(every.survival[0, every.times > 11.0]).all()
    beyond = along(forest, SCENARIO.assign(stop=[5.0, 9.0, 90.0, 6.0, 11.0]))
    assert list(beyond.last) == [11.0, forest.last_]


def test_a_path_that_starts_before_anyone_was_observed_is_not_identified(forest):
    with pytest.raises(NotIdentifiedError, match="nobody was watched before the age of 1"):
        along(forest, SCENARIO.assign(start=[0.0, 5, 9, 2, 6]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"start": [2.0, 6.0, 9.0, 2.0, 6.0]},
            "path of subject 17 has a gap: a row ends at 5 and the next starts at 6",
        ),
        ({"start": [2.0, 4.0, 9.0, 2.0, 6.0]}, "path of subject 17 has an overlap"),
        ({"start": [5.0, 5.0, 9.0, 2.0, 6.0]}, "start is not before stop"),
        ({"loan": [np.nan, 17, 17, 4, 4]}, "subject has 1 missing value"),
    ],
)
def test_broken_paths_are_refused(forest, change, message):
    with pytest.raises(DataError, match=message):
        along(forest, SCENARIO.assign(**change))
