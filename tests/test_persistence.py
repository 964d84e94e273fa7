"""Saved models come back the same, tampering is found, and nothing is overwritten."""

import datetime
import decimal
import zipfile

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import DataError


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    n = 150
    X = pd.DataFrame(
        {"rate": rng.normal(size=n), "months": rng.uniform(1, 60, n), "segment": rng.choice(list("ABC"), n)}
    )
    y = cs.Outcome(rng.integers(1, 30, n), rng.integers(0, 3, n), causes=("attrition", "default"))
    return X, y


FORMULAS = [
    None,
    "rate * segment",
    "rate + bs(months, df=4) + C(segment, contr.treatment('B'))",
    "center(rate) + np.log(months)",
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_cox_model_comes_back_bit_for_bit(formula, data, tmp_path):
    X, y = data
    model = cs.CoxPH(formula, cause="attrition").fit(X, y, cluster=np.arange(len(X)) // 2)
    again = cs.load(cs.save(model, tmp_path / "model.churnsurv"))
    pd.testing.assert_frame_equal(again.summary(), model.summary(), check_exact=True)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.get_params() == model.get_params()
    if formula is None or "segment" in formula:
        with pytest.raises(DataError, match="'Z'"):
            again.predict(X.assign(segment="Z"))


def test_models_of_several_causes_with_strata_and_forests_come_back(data, tmp_path):
    X, y = data
    cox = cs.CauseSpecificCox().fit(X, y, strata="segment")
    forest = cs.RandomSurvivalForest(n_estimators=5, random_state=0).fit(X, y)
    for name, model in {"cox": cox, "forest": forest}.items():
        again = cs.load(cs.save(model, tmp_path / name))
        np.testing.assert_array_equal(again.predict_curves(X).probability, model.predict_curves(X).probability)


@pytest.mark.parametrize(
    "estimator", [cs.KaplanMeier(), cs.NelsonAalen(), cs.AalenJohansen()], ids=lambda e: type(e).__name__
)
def test_curves_without_a_model_come_back(estimator, data, tmp_path):
    X, y = data
    fitted = estimator.fit(y, by=X["segment"])
    again = cs.load(cs.save(fitted, tmp_path / "curves"))
    pd.testing.assert_frame_equal(again.table_, fitted.table_)
    np.testing.assert_array_equal(again.curves_.probability, fitted.curves_.probability)
    assert again.rmst(12) == fitted.rmst(12)


def test_saving_twice_gives_the_same_bytes_and_never_overwrites_unasked(data, tmp_path):
    X, y = data
    model = cs.CoxPH("rate", cause="default").fit(X, y)
    first, second = cs.save(model, tmp_path / "a"), cs.save(model, tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    with pytest.raises(DataError, match="overwrite=True"):
        cs.save(model, first)
    cs.save(model, first, overwrite=True)


def test_a_changed_file_is_refused(data, tmp_path):
    X, y = data
    path = cs.save(cs.CoxPH("rate", cause="default").fit(X, y), tmp_path / "model")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["header.json"] = parts["header.json"].replace(b'"default"', b'"attrition"')
    with zipfile.ZipFile(tmp_path / "changed", "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    with pytest.raises(DataError, match="altered or damaged"):
        cs.load(tmp_path / "changed")


def test_files_that_are_no_models_are_refused(tmp_path):
    with pytest.raises(DataError, match="no file"):
        cs.load(tmp_path / "absent")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(DataError, match="not a model saved by churnsurv"):
        cs.load(tmp_path / "text")
    with pytest.raises(DataError, match="not fitted"):
        cs.save(cs.CoxPH(), tmp_path / "x")
    with pytest.raises(DataError, match="cannot be saved"):
        cs.save({"a": 1}, tmp_path / "x")


def test_no_training_row_is_in_the_file(data, tmp_path):
    X, y = data
    X = X.assign(rate=X["rate"].to_numpy() + 0.123456789)
    path = cs.save(cs.CoxPH("rate", cause="default").fit(X, y), tmp_path / "model")
    with zipfile.ZipFile(path) as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
    assert X["rate"].iloc[0].tobytes() not in content
    assert repr(X["rate"].iloc[0]).encode() not in content


def test_out_of_bag_curves_and_row_labels_stay_out_of_the_file(data, tmp_path):
    X, y = data
    forest = cs.RandomSurvivalForest(30, oob=True, random_state=0).fit(X.set_axis([f"CUST{i:04d}" for i in X.index]), y)
    path = cs.save(forest, tmp_path / "forest")
    with zipfile.ZipFile(path) as archive:
        assert b"CUST0007" not in b"".join(archive.read(name) for name in archive.namelist())
    again = cs.load(path)
    assert not hasattr(again, "oob_curves_")
    np.testing.assert_array_equal(again.predict(X, cause="default"), forest.predict(X, cause="default"))


def test_damage_anywhere_in_the_file_is_found(data, tmp_path):
    X, y = data
    path = cs.save(cs.CoxPH("rate", cause="default").fit(X, y), tmp_path / "model")
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    harmless = 0
    for position in rng.integers(0, len(good), 150):
        bad = bytearray(good)
        bad[position] ^= 0xFF
        path.write_bytes(bytes(bad))
        try:
            cs.load(path)
            harmless += 1  # a byte of the archive that carries no content, such as a date
        except DataError:
            pass
    assert harmless < 60


def test_folders_are_named_when_they_are_missing_or_no_file(data, tmp_path):
    X, y = data
    model = cs.CoxPH("rate", cause="default").fit(X, y)
    with pytest.raises(DataError, match="no folder"):
        cs.save(model, tmp_path / "absent" / "model")
    with pytest.raises(DataError, match="no file"):
        cs.load(tmp_path)


@pytest.mark.parametrize(
    "levels",
    [
        pd.cut(np.arange(4.0), 2).categories,
        pd.PeriodIndex(["2020-01", "2020-02"], freq="M"),
        pd.PeriodIndex(["2020Q1", "2020Q2"], freq="Q-JAN"),
        pd.to_timedelta(["1d", "36h"]),
        [decimal.Decimal("1.50"), decimal.Decimal("2")],
        [datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)],
        pd.to_datetime(["2020-01-01 00:00", "2021-01-01 12:30"]),
    ],
    ids=["interval", "month", "quarter", "duration", "decimal", "date", "time"],
)
def test_levels_of_any_kind_come_back_as_they_were(levels, data, tmp_path):
    X, y = data
    X = X[["rate"]].assign(level=pd.Categorical.from_codes(np.arange(len(X)) % 2, categories=levels))
    forest = cs.RandomSurvivalForest(3, random_state=0).fit(X, y)
    again = cs.load(cs.save(forest, tmp_path / "forest"))
    assert again.levels_ == forest.levels_
    assert [type(v) for v in again.levels_["level"]] == [type(v) for v in forest.levels_["level"]]
    np.testing.assert_array_equal(again.predict(X, cause="default"), forest.predict(X, cause="default"))


def test_levels_that_cannot_be_saved_are_named_with_the_remedy(data, tmp_path):
    X, y = data
    levels = np.array([frozenset("a"), frozenset("b")], dtype=object)
    X = X[["rate"]].assign(level=pd.Categorical.from_codes(np.arange(len(X)) % 2, categories=levels))
    forest = cs.RandomSurvivalForest(3, random_state=0).fit(X, y)
    with pytest.raises(DataError, match="Of 'level': a value of type frozenset .* Make text of such values"):
        cs.save(forest, tmp_path / "forest")
    assert not (tmp_path / "forest").exists()
