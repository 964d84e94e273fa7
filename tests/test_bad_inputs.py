"""The catalogue of bad inputs, one test per kind, over the estimators it concerns: an error that names what and where.

Each is met by at least one well-known package with a silent wrong answer or a traceback from its depths. Details per
estimator are in the tests beside it.
"""

import warnings

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import (
    CollinearityError,
    ConfigError,
    DataError,
    NoEventsError,
    SeparationWarning,
    SmallSampleWarning,
    SupportWarning,
    TooFewEventsError,
    UnseenCategoryError,
    ZeroDurationWarning,
)

N = 300
MODELS = {
    "cox": cs.CoxPH,
    "causes": cs.CauseSpecificCox,
    "fine-gray": lambda: cs.FineGray("event"),
    "discrete": cs.DiscreteHazard,
    "forest": lambda: cs.RandomSurvivalForest(n_estimators=5, random_state=0),
}
every_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
COX = ("cox", "causes", "fine-gray", "discrete")
cox_models = pytest.mark.parametrize("make", [MODELS[name] for name in COX], ids=COX)


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    return pd.DataFrame({"x1": rng.normal(size=N), "x2": rng.normal(size=N), "segment": rng.choice(list("ABC"), N)})


@pytest.fixture(scope="module")
def df(X):
    rng = np.random.default_rng(1)
    months = np.ceil(rng.exponential(10 * np.exp(-0.5 * X["x1"]))).clip(1, 40)
    return pd.DataFrame({"months": months, "left": rng.integers(0, 2, N), "loan": np.arange(N)})


@pytest.fixture(scope="module")
def y(df):
    return cs.Outcome.from_frame(df, stop="months", event="left")


def changed(frame, column, row, value):
    out = frame.copy()
    out[column] = out[column].astype(object if isinstance(value, str) else float)
    out.loc[row, column] = value
    return out


@every_model
def test_01_missing_covariate(make, X, y):
    holes = changed(X, "x1", 3, np.nan)
    if make().__class__.__name__ == "RandomSurvivalForest":
        # a forest learns where missing values go
        assert make().fit(holes, y).missing_columns_ == ["x1"]
        return
    with pytest.raises(DataError, match=r"'x1' has 1 missing value \(row 3\)"):
        make().fit(holes, y)


@every_model
def test_02_infinite_covariate(make, X, y):
    with pytest.raises(DataError, match=r"'x1' has 1 infinite value \(row 3\)"):
        make().fit(changed(X, "x1", 3, np.inf), y)


@pytest.mark.parametrize("column", ["months", "left"])
def test_03_missing_duration_or_event(column, df):
    with pytest.raises(DataError, match=rf"'{column}' has 1 missing value \(row 3"):
        cs.Outcome.from_frame(changed(df, column, 3, np.nan), stop="months", event="left")


def test_04_negative_duration(df):
    with pytest.raises(DataError, match=r"'months' has 1 negative value \(row 3; -5\).*before the origin"):
        cs.Outcome.from_frame(changed(df, "months", 3, -5), stop="months", event="left")


def test_05_event_at_time_zero(df):
    zero = changed(changed(df, "months", 3, 0), "left", 3, 1)
    with pytest.warns(ZeroDurationWarning, match=r"1 event at time 0 \(row 3\): kept, at risk at time 0"):
        y = cs.Outcome.from_frame(zero, stop="months", event="left")
    assert cs.KaplanMeier().fit(y).table_.iloc[0][["time", "n_risk", "n_event"]].tolist() == [0, N, 1]


def test_06_start_not_before_stop(df):
    swapped = df.assign(entry=0.0)
    swapped.loc[17, ["entry", "months"]] = [6.2, 5.2]
    with pytest.raises(DataError, match=r"1 row with start >= stop \(id 17: 6\.2 >= 5\.2"):
        cs.Outcome.from_frame(swapped, stop="months", event="left", start="entry", subject="loan")


def test_07_event_coded_one_and_two(df):
    with pytest.raises(DataError, match=r"\{1, 2\}.*Name every cause"):
        cs.Outcome(df["months"], df["left"] + 1)
    with pytest.raises(DataError, match=r"'left' holds 2 in \d+ rows.*causes="):
        cs.Outcome.from_frame(df.assign(left=df["left"] + 1), stop="months", event="left")
    coded = cs.Outcome.from_frame(
        df.assign(left=df["left"] + 1), stop="months", event="left", censored=1, causes={2: "attrition"}
    )
    np.testing.assert_array_equal(coded.event, df["left"])


def test_08_competing_codes_in_a_fit_of_one_cause(X, df):
    codes = np.where(df["left"] == 1, 1 + np.arange(N) % 2, 0)
    with pytest.raises(DataError, match=r"'left' holds 2 in \d+ rows"):
        cs.Outcome.from_frame(df.assign(left=codes), stop="months", event="left")
    y = cs.Outcome(df["months"], codes, causes=("attrition", "default"))
    with pytest.raises(DataError, match=r"2 causes.*cause='attrition'.*CauseSpecificCox"):
        cs.CoxPH().fit(X, y)


def test_09_event_as_text(df):
    text = df.assign(left=np.where(df["left"] == 1, "paid", "open"))
    with pytest.raises(DataError, match=r"'left' holds 'open', 'paid'.*causes="):
        cs.Outcome.from_frame(text, stop="months", event="left")


@every_model
def test_10_all_censored(make, X, df):
    y = cs.Outcome(df["months"], np.zeros(N, int))
    with pytest.raises(NoEventsError, match="300 rows"):
        make().fit(X, y)
    with pytest.warns(SmallSampleWarning, match="No events among 300"):
        assert np.all(cs.KaplanMeier().fit(y).table_["estimate"] == 1)


@cox_models
def test_11_a_single_event(make, X, df):
    one = np.zeros(N, int)
    one[5] = 1
    with pytest.raises(TooFewEventsError, match="1 event for 2 coefficients"):
        make().fit(X[["x1", "x2"]], cs.Outcome(df["months"], one))


@cox_models
def test_12_constant_column(make, X, y):
    with pytest.raises(DataError, match="'k' is constant"):
        make().fit(X.assign(k=3.0), y)


@cox_models
def test_13_exact_collinearity(make, X, y):
    with pytest.raises(CollinearityError, match="'x3' is a linear combination of 'x1', 'x2'"):
        make().fit(X.assign(x3=X["x1"] + X["x2"]), y)


@cox_models
def test_14_complete_separation(make, X, y):
    with pytest.warns(SeparationWarning, match="monotone in 'x3'.*likelihood-ratio"):
        make().fit(X.assign(x3=(y.event == 1).astype(float)), y)


def test_15_a_covariate_of_extreme_scale_and_offset(X, y):
    plain = cs.CoxPH().fit(X, y)
    extreme = cs.CoxPH().fit(X.assign(x1=X["x1"] * 1e9 + 1e12), y)
    np.testing.assert_allclose(extreme.summary()["statistic"], plain.summary()["statistic"], rtol=1e-7)


def test_16_overlapping_intervals(df):
    with pytest.raises(DataError, match=r"subject 4 is at risk twice on \(1, 3\]: rows 0, 1"):
        cs.Outcome(stop=[3, 4], event=[0, 1], start=[0, 1], subject=[4, 4])


def test_17_rows_after_the_event():
    with pytest.raises(DataError, match="subject 4 has rows after its event at 3.*recurrent=True"):
        cs.Outcome(stop=[3, 5], event=[1, 0], start=[0, 3], subject=[4, 4])


@every_model
def test_18_unseen_category(make, X, y):
    model = make().fit(X, y)
    with pytest.raises(UnseenCategoryError, match=r"'segment'.*'Z'.*known: A, B, C"):
        model.predict_curves(changed(X, "segment", 3, "Z"))


@cox_models
def test_18_unseen_stratum(make, X, y):
    model = make().fit(X, y, strata="segment")
    with pytest.raises(UnseenCategoryError, match=r"'Z' \(row 3\) not seen in training \(known: A, B, C\)"):
        model.predict_curves(changed(X, "segment", 3, "Z"))


@every_model
def test_19_columns_reordered_missing_or_with_gaps_at_prediction(make, X, y):
    model = make().fit(X, y)
    expected = model.predict_curves(X, times=[5]).survival[:, 0]
    np.testing.assert_array_equal(model.predict_curves(X[["segment", "x2", "x1"]], times=[5]).survival[:, 0], expected)
    with pytest.raises(DataError, match="'x2'"):
        model.predict_curves(X.drop(columns="x2"))
    gap = model.predict_curves(changed(X, "x1", 3, np.nan), times=[5]).survival[:, 0]
    assert np.isnan(gap[3])
    np.testing.assert_array_equal(np.delete(gap, 3), np.delete(expected, 3))


@every_model
def test_20_empty_frame(make, X, df, y):
    with pytest.raises(DataError, match="0 rows"):
        make().fit(X.iloc[:0], y)
    with pytest.raises(DataError, match="0 rows"):
        cs.Outcome.from_frame(df.iloc[:0], stop="months", event="left")


@every_model
@pytest.mark.parametrize(
    ("values", "words"),
    [
        (lambda x: x.astype(str), r"'x1'.*pd\.to_numeric"),
        (lambda x: pd.to_timedelta(x, unit="D"), "'x1' is timedelta64"),
        (lambda x: pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(x, unit="D"), "'x1' is datetime64"),
    ],
    ids=["text", "timedelta", "date"],
)
def test_21_wrong_types(values, words, make, X, y):
    with pytest.raises(DataError, match=words):
        make().fit(X.assign(x1=values(X["x1"])), y)


def test_21_durations_of_the_wrong_type(df):
    with pytest.raises(DataError, match=r"'months' is timedelta64.*Timedelta\(days=1\)"):
        cs.Outcome.from_frame(df.assign(months=pd.to_timedelta(df["months"], unit="D")), stop="months", event="left")


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_22_weights(bad, X, y):
    weight = np.ones(N)
    weight[3] = bad
    for make in MODELS.values():
        with pytest.raises(DataError, match=r"sample_weight has 1 \w+ value \(row 3"):
            make().fit(X, y, sample_weight=weight)
    for curve in (cs.KaplanMeier, cs.NelsonAalen, cs.AalenJohansen):
        with pytest.raises(DataError, match=r"sample_weight has 1 \w+ value \(row 3"):
            curve().fit(y, sample_weight=weight)


@every_model
def test_23_horizon_beyond_the_follow_up(make, X, y):
    model = make().fit(X, y)
    with pytest.warns(SupportWarning, match=r"Time 94 is past the last time known \(\d+\).*not estimable"):
        asked = model.predict_curves(X, times=[5, 94])
    assert np.isfinite(asked.survival[:, 0]).all()
    assert np.isnan(asked.survival[:, 1]).all()
    curves = model.predict_curves(X)
    with pytest.warns(SupportWarning, match="not estimable"):
        assert np.isnan(curves.at([94]).survival).all()
    with pytest.raises(DataError, match="not estimable"):
        curves.at([94], strict=True)
    with pytest.raises(DataError, match="94"):
        cs.effects.rmst_difference(y, X["segment"].eq("A"), horizon=94)


def test_24_level_or_stratum_without_events(X, df):
    event = np.where(X["segment"] == "C", 0, df["left"])
    n = int((X["segment"] == "C").sum())
    y = cs.Outcome(df["months"], event)
    with pytest.warns(SeparationWarning, match=rf"0 events of {n}"):
        cs.CoxPH().fit(X, y)
    with pytest.warns(SmallSampleWarning, match=f"C: 0 events of {n}"):
        cs.CoxPH().fit(X, y, strata="segment")
    with pytest.warns(SmallSampleWarning, match="'C'"):
        cs.KaplanMeier().fit(y, by=X["segment"])


@every_model
def test_25_curves_that_would_fill_the_memory(make, X):
    y = cs.Outcome(np.arange(1, N + 1), np.ones(N, int))
    model = make().fit(X, y)
    many = X.iloc[np.zeros(1_000_000, int)]
    with pytest.raises(DataError, match=r"1,000,000 rows x 2 states x .* GB. Pass times="):
        model.predict_curves(many, times=np.linspace(1, N, 250))


def test_26_wrong_key_in_a_configuration(tmp_path):
    path = tmp_path / "report.toml"
    path.write_text('titel = "x"\nas_of = 2026-09-30\n[data]\nloans = "a"\nperformance = "b"\n')
    with pytest.raises(ConfigError, match="titel.*title"):
        cs.report.quarterly.build(path)


def test_27_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.toml"):
        cs.report.quarterly.build(tmp_path / "absent.toml")


def test_good_input_warns_of_nothing(X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for make in MODELS.values():
            make().fit(X, y).predict_curves(X, times=[5, 10])
