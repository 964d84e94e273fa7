"""State probabilities of cause-specific models along paths: against loops, and against curves of covariates that stay."""

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import DataError, NotIdentifiedError

pytestmark = pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SupportWarning")
TIMES = [3.0, 5.0, 6.5, 9.0, 11.0]


def fitted(robust=False, strata=False, seed=0, n=240):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"rate": rng.normal(size=n), "score": rng.normal(size=n), "region": rng.integers(0, 2, n)})
    stop = rng.integers(1, 15, n).astype(float)
    start = np.where(rng.random(n) < 0.3, np.minimum(2.0, stop - 1), 0.0)
    y = cs.Outcome(stop, rng.integers(0, 3, n), start=start, causes=("attrition", "default"))
    options = {"cluster": np.arange(n) // 2} if robust else {}
    if strata:
        options["strata"] = "region"
    return cs.CauseSpecificCox("rate + score").fit(X, y, **options), X, y


def path_of(X, changing=True):
    first = X.iloc[:3].assign(loan=[5, 1, 3], start=[2.0, 2, 4], stop=[5.0, 6, 7])
    second = X.iloc[:3].assign(loan=[5, 1, 3], start=[5.0, 6, 7], stop=[11.0, 9, 12])
    if changing:
        second[["rate", "score"]] += [0.8, -0.3]
    return pd.concat([second, first]).sample(frac=1, random_state=0)


@pytest.mark.parametrize("strata", [False, True])
def test_a_path_is_followed_step_by_step(strata):
    model, X, _ = fitted(strata=strata)
    pieces = path_of(X)
    curves = model.predict_path(pieces, "start", "stop", "loan", TIMES)
    assert curves.index.tolist() == [1, 3, 5]
    for i, loan in enumerate(curves.index):
        mine = pieces[pieces["loan"] == loan].sort_values("start")
        states = np.array([1.0, 0.0, 0.0])
        reached = {}
        for t in np.arange(1.0, 15.0):
            reached[t] = states
            row = mine[(mine["start"] < t) & (t <= mine["stop"])]
            if len(row):
                jump = []
                for cox in model.models_.values():
                    base = cox.baseline_cumulative_hazard_
                    if strata:
                        base = base[base["stratum"] == row["region"].iloc[0]]
                    steps = base.set_index("time")["hazard"].diff().fillna(base["hazard"].iloc[0])
                    jump.append(steps.get(t, 0.0) * np.exp(cox.predict(row)[0]))
                states = states + states[0] * np.array([-sum(jump), *jump])
            reached[t] = states
        for j, t in enumerate(TIMES):
            if mine["start"].min() <= t <= mine["stop"].max():
                np.testing.assert_allclose(curves.probability[i, :, j], reached[np.floor(t)], rtol=1e-9)
            elif t > mine["stop"].max():
                assert np.isnan(curves.probability[i, :, j]).all()


@pytest.mark.parametrize("robust", [False, True])
@pytest.mark.parametrize("strata", [False, True])
def test_covariates_that_stay_give_the_curves_and_bounds_of_predict_curves(robust, strata):
    model, X, _ = fitted(robust, strata)
    pieces = path_of(X, changing=False)
    along = model.predict_path(pieces, "start", "stop", "loan", [5.0, 8.0], level=0.9)
    rows = X.iloc[[1, 2, 0]]
    stays = model.predict_curves(rows, [5.0, 8.0], start=[2.0, 4.0, 2.0], level=0.9)
    for name in ("probability", "lower", "upper"):
        np.testing.assert_allclose(getattr(along, name), getattr(stays, name), rtol=1e-9)


def test_cutting_a_piece_in_two_and_the_order_of_rows_change_nothing():
    model, X, _ = fitted()
    pieces = path_of(X)
    longer = pieces["stop"] - pieces["start"] > 2
    middle = pieces[longer]["start"] + 1.3
    cut = pd.concat([pieces[~longer], pieces[longer].assign(stop=middle), pieces[longer].assign(start=middle)])
    whole = model.predict_path(pieces, "start", "stop", "loan", TIMES, level=0.95)
    parts = model.predict_path(cut, "start", "stop", "loan", TIMES, level=0.95)
    for name in ("probability", "lower", "upper"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-9)


def test_what_has_no_path_is_refused():
    model, X, y = fitted(strata=True)
    moved = path_of(X)
    moved["region"] = (moved["start"] == 5.0).astype(int)
    with pytest.raises(DataError, match="stratum changes along the path of subject 5"):
        model.predict_path(moved, "start", "stop", "loan")
    with pytest.raises(DataError, match="gap"):
        model.predict_path(
            path_of(X).query("stop != 6").assign(stop=lambda f: f["stop"] - 0.5), "start", "stop", "loan"
        )
    rng = np.random.default_rng(0)
    again = cs.Outcome(
        np.tile([2, 5], 60), rng.integers(1, 3, 120), start=np.tile([0, 2], 60), subject=np.repeat(range(60), 2),
        causes=y.causes, recurrent=True,
    )  # fmt: skip
    recurrent = cs.CauseSpecificCox().fit(X[["rate"]].iloc[:120], again)
    with pytest.raises(NotIdentifiedError, match="recurrent"):
        recurrent.predict_path(path_of(X), "start", "stop", "loan")


def test_a_saved_model_follows_the_same_path(tmp_path):
    model, X, _ = fitted(robust=True)
    cs.save(model, tmp_path / "model.churnsurv")
    again = cs.load(tmp_path / "model.churnsurv")
    a, b = (m.predict_path(path_of(X), "start", "stop", "loan", [5.0, 9.0], level=0.95) for m in (model, again))
    np.testing.assert_array_equal(a.lower, b.lower)
