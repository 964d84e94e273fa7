"""Saved forests come back bit for bit, forests of one seed are one file, and a file is small and holds no code."""

import json
import zipfile

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import DataError

CAUSES = ("attrition", "default")
N = 300


@pytest.fixture(scope="module")
def data():
    """Late entry, two causes, a category, missing values and weights that are no whole numbers."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "rate": np.where(rng.uniform(size=N) < 0.1, np.nan, rng.normal(size=N)),
            "segment": rng.choice(["retail", "sme", "private"], N),
            "grade": pd.Categorical(rng.choice(list("abc"), N), categories=list("cba"), ordered=True),
        }
    )
    start = rng.integers(0, 6, N)
    stop = start + np.ceil(rng.exponential(12, N))
    return X, cs.Outcome(stop, rng.integers(0, 3, N), start=start, causes=CAUSES), rng.uniform(0.5, 2, N)


def fitted(data, **parameters):
    X, y, weight = data
    return cs.RandomSurvivalForest(15, **({"random_state": 1} | parameters)).fit(X, y, sample_weight=weight)


@pytest.mark.parametrize(
    "parameters",
    [{}, {"criterion": "gray"}, {"splitter": "random"}, {"bootstrap": False}, {"time_bins": 5}, {"max_features": 0.5}],
    ids=str,
)
def test_a_loaded_forest_answers_bit_for_bit(parameters, data, tmp_path):
    X = data[0]
    forest = fitted(data, **parameters)
    again = cs.load(cs.save(forest, tmp_path / "forest.churnsurv"))
    for cause in CAUSES:
        np.testing.assert_array_equal(again.predict(X, cause=cause), forest.predict(X, cause=cause))
    for start in (None, 7.0):
        ours, theirs = (model.predict_curves(X, start=start) for model in (forest, again))
        np.testing.assert_array_equal(theirs.probability, ours.probability)
    assert again.get_params() == forest.get_params()
    assert {name for name in vars(again) if name.endswith("_")} == {name for name in vars(forest) if name.endswith("_")}
    for name, part in forest.trees_.items():
        assert again.trees_[name].dtype == part.dtype
        np.testing.assert_array_equal(again.trees_[name], part)


def test_a_loaded_forest_still_recognises_its_training_rows(data, tmp_path):
    from churnsurv.estimators.forest_bags import training_bags

    X, y, weight = data
    forest = fitted(data)
    again = cs.load(cs.save(forest, tmp_path / "forest"))
    np.testing.assert_array_equal(
        training_bags(again, X, y, weight).drawn, training_bags(forest, X, y, weight).drawn
    )  # fmt: skip


def test_a_forest_fitted_again_with_its_seed_is_the_same_file(data, tmp_path):
    one, again = (cs.save(fitted(data), tmp_path / name).read_bytes() for name in ("one", "again"))
    assert one == again
    loaded = cs.load(tmp_path / "one")
    X, y, weight = data
    refitted = cs.save(loaded.fit(X, y, sample_weight=weight), tmp_path / "refitted").read_bytes()
    assert refitted == one
    assert cs.save(fitted(data, random_state=2), tmp_path / "other").read_bytes() != one


def test_the_file_holds_numbers_versions_and_a_hash_and_no_pickle(data, tmp_path):
    path = cs.save(fitted(data), tmp_path / "forest")
    with zipfile.ZipFile(path) as archive:
        header = json.loads(archive.read("header.json"))
        members = [member for member in archive.infolist() if member.filename != "header.json"]
    assert sum(member.compress_size for member in members) < 0.7 * sum(member.file_size for member in members)
    assert header["format"] == 1
    assert {"churnsurv", "numpy", "pandas", "python", "scikit-learn"} <= set(header["versions"])
    assert len(header["sha256"]) == 64
    with np.load(path, allow_pickle=False) as arrays:
        for name in arrays.files:
            if name != "header.json":
                assert arrays[name].dtype != object


def test_a_changed_cut_is_found_by_the_hash(data, tmp_path):
    path = cs.save(fitted(data), tmp_path / "forest")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    changed = max((name for name in members if name != "header.json"), key=lambda name: len(members[name]))
    members[changed] = members[changed][:-1] + bytes([members[changed][-1] ^ 1])
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(DataError, match="SHA-256"):
        cs.load(path)


def test_the_file_grows_with_the_leaves_and_not_with_leaves_times_months(tmp_path):
    rng = np.random.default_rng(0)
    n = 2000
    X = pd.DataFrame(rng.normal(size=(n, 5)))
    y = cs.Outcome(np.ceil(rng.uniform(0, 240, n)), rng.integers(0, 2, n))
    forest = cs.RandomSurvivalForest(20, random_state=0).fit(X, y)
    size = cs.save(forest, tmp_path / "forest").stat().st_size
    n_leaves, n_times = int(forest.trees_["leaf_begin"][-1]), len(forest.event_times_)
    assert n_times > 200
    # a curve in every node, as doubles, is what scikit-survival keeps
    assert size < 0.05 * 2 * n_leaves * n_times * 2 * 8


def test_a_generator_as_random_state_is_refused_with_the_remedy(data, tmp_path):
    forest = fitted(data, random_state=np.random.RandomState(1))
    with pytest.raises(DataError, match="whole number as random_state"):
        cs.save(forest, tmp_path / "forest")
    assert not (tmp_path / "forest").exists()
