"""Curves along paths of covariates: against loops, and what a path of pieces must share with a path of one."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import churnsurv as cs
from churnsurv.exceptions import DataError, NotIdentifiedError, SupportWarning
from tests.estimators.prediction_twins import path_twin, sample

pytestmark = pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SmallSampleWarning")
SCENARIO = pd.DataFrame(
    {
        "rate": [0.0, 1.5, -1.0, 0.2, 0.4],
        "score": [600.0, 600.0, 600.0, 700.0, 700.0],
        "branch": [0, 0, 0, 1, 1],
        "start": [2.0, 5.0, 9.0, 0.0, 6.0],
        "stop": [5.0, 9.0, 14.0, 6.0, 11.0],
        "loan": [17, 17, 17, 4, 4],
        "region": ["east", "east", "west", "west", "west"],
    },
    index=list("vwxyz"),
)
COVARIATES = ["rate", "score", "branch"]


def along(model, pieces=SCENARIO, times=None, **arguments):
    return model.predict_path(pieces, "start", "stop", "loan", times, **arguments)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("seed", range(3))
def test_a_path_is_the_sum_over_its_pieces_also_where_the_stratum_changes(ties, seed):
    s = sample(seed)
    model = s.fit(ties=ties)
    times = np.array([1.0, 4.0, 5.0, 7.0, 10.5])
    curves = along(model, times=times, strata="region", level=0.95, conf_type="log")
    assert list(curves.index) == [4, 17]
    for i, loan in enumerate(curves.index):
        rows = SCENARIO[SCENARIO["loan"] == loan]
        pieces = [(r[COVARIATES], r["start"], r["stop"], r["region"]) for _, r in rows.iterrows()]
        for j, t in enumerate(times):
            hazard, variance, _ = path_twin(s, model, pieces, t)
            assert curves.survival[i, j] == pytest.approx(np.exp(-hazard), rel=1e-9)
            lower = np.exp(-hazard - 1.959963984540054 * np.sqrt(variance))
            assert curves.lower[i, 0, j] == pytest.approx(lower, rel=1e-8)


def test_an_offset_belongs_to_its_row():
    s = sample(1, strata=False, offset=True)
    model = s.fit()
    rows = SCENARIO[SCENARIO["loan"] == 4]
    curves = along(model, rows, [10.0], offset=[0.5, 0.5], level=0.9, conf_type="log")
    pieces = [(r[COVARIATES], r["start"], r["stop"], None) for _, r in rows.iterrows()]
    hazard, _, _ = path_twin(s, model, pieces, 10.0, offset=0.5)
    assert curves.survival[0, 0] == pytest.approx(np.exp(-hazard), rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.floats(1.0, 15.0), max_size=6, unique=True), begin=st.sampled_from([0.0, 3.0, 4.5]))
def test_a_path_of_constant_covariates_is_the_curve_however_it_is_cut(cuts, begin):
    model = sample(3, strata=False).fit()
    edges = [begin, *sorted(c for c in cuts if begin + 1e-3 < c < 15.9), 16.0]
    edges = [e for k, e in enumerate(edges) if k == 0 or e - edges[k - 1] > 1e-3]
    pieces = pd.concat([SCENARIO.iloc[[0]]] * (len(edges) - 1)).assign(start=edges[:-1], stop=edges[1:])
    times = np.array([2.0, 6.0, 11.0, 15.0])
    path = along(model, pieces, times, level=0.95)
    fixed = model.predict_curves(SCENARIO.iloc[[0]], times, start=begin, level=0.95)
    np.testing.assert_allclose(path.probability, fixed.probability, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(path.lower, fixed.lower, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(path.origin, fixed.origin)


def test_the_order_of_rows_changes_nothing():
    model = sample(3).fit()
    order = [3, 0, 4, 2, 1]
    a, b = (along(model, pieces, strata="region", level=0.9) for pieces in (SCENARIO, SCENARIO.iloc[order]))
    np.testing.assert_array_equal(a.probability, b.probability)
    np.testing.assert_array_equal(a.lower, b.lower)


def test_arguments_may_be_arrays():
    model = sample(3, strata=False).fit()
    a = along(model, level=0.9)
    arrays = [SCENARIO[c].to_numpy() for c in ("start", "stop", "loan")]
    b = model.predict_path(SCENARIO[COVARIATES], *arrays, level=0.9)
    np.testing.assert_array_equal(a.upper, b.upper)


def test_nothing_is_predicted_past_the_end_of_the_path():
    model = sample(3, strata=False).fit()
    with pytest.warns(SupportWarning, match="past the last time known"):
        curves = along(model, times=[10.0, 12.0], level=0.9)
    assert np.isnan(curves.probability[0, :, 1]).all()  # loan 4 ends at 11
    assert np.isnan(curves.upper[0, :, 1]).all()
    assert np.isfinite(curves.probability[1]).all()
    assert list(curves.last) == [11.0, 14.0]
    every = along(model)
    assert every.times.max() <= 14.0
    assert np.isnan(every.survival[0, every.times > 11.0]).all()


def test_a_missing_covariate_ends_what_is_known_of_its_path():
    model = sample(3, strata=False).fit()
    pieces = SCENARIO.assign(rate=[0.0, np.nan, 0.1, 0.2, 0.4])
    curves = along(model, pieces, [4.0, 6.0, 10.0])
    np.testing.assert_array_equal(np.isnan(curves.survival), [[False] * 3, [False, True, True]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"start": [2.0, 6.0, 9.0, 0.0, 6.0]},
            "path of subject 17 has a gap: a row ends at 5 and the next starts at 6",
        ),
        ({"start": [2.0, 4.0, 9.0, 0.0, 6.0]}, "path of subject 17 has an overlap"),
        ({"start": [5.0, 5.0, 9.0, 0.0, 6.0]}, "start is not before stop"),
        ({"stop": [5.0, 9.0, np.inf, 6.0, 11.0]}, "stop has 1 infinite value"),
        ({"loan": [17, 17, np.nan, 4, 4]}, "subject has 1 missing value"),
    ],
)
def test_broken_paths_are_refused_by_name(change, message):
    model = sample(3, strata=False).fit()
    with pytest.raises(DataError, match=message):
        along(model, SCENARIO.assign(**change))


def test_a_path_from_before_anyone_was_watched_is_refused():
    s = sample(3, strata=False)
    s.start, s.stop = s.start + 3, s.stop + 3
    with pytest.raises(NotIdentifiedError, match="nobody was watched"):
        along(s.fit())


def test_a_model_of_one_cause_among_several_gives_the_hazard_along_the_path():
    s = sample(2, strata=False, weights=False)
    y = cs.Outcome(s.stop, np.where(np.arange(120) % 4 == 0, 2 * s.event, s.event), start=s.start, causes=("a", "b"))
    model = cs.CoxPH(cause="a").fit(s.X, y)
    curves = along(model, times=[6.0], level=0.95)
    assert not curves.complete
    hazard = curves.cumulative_hazard("a")
    assert np.all((curves.lower[:, 0] < hazard) & (hazard < curves.upper[:, 0]))
