"""A Cox fit from batches is the fit in memory: every source, option and kind of covariate; what it cannot do is refused."""

import duckdb
import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import churnsurv as cs
from churnsurv.exceptions import DataError, MissingDataWarning, NoEventsError, SeparationWarning, UnseenCategoryError

CAUSES = ("attrition", "default")


def loans(seed=0, n=900):
    rng = np.random.default_rng(seed)
    start = np.where(rng.random(n) < 0.4, 0, rng.integers(0, 8, n)).astype(float)
    rate = rng.normal(0.5, 1, n)
    return pd.DataFrame(
        {
            "rate": rate,
            "score": rng.normal(650, 60, n),
            "segment": rng.choice(list("BCA"), n),
            "term": rng.choice([12, 24, 36], n),
            "region": rng.choice(["north", "south"], n),
            "vintage": rng.integers(2018, 2021, n),
            "weight": rng.choice([0.0, 0.5, 1.0, 2.5], n),
            "shift": rng.normal(0, 0.3, n),
            "customer": rng.integers(0, 120, n),
            "start": start,
            "stop": start + rng.geometric(np.clip(0.15 * np.exp(0.4 * rate), 0, 0.9)),
            "left": rng.choice([0, 1, 2], n, p=[0.3, 0.5, 0.2]),
        }
    )


def outcome(frame):
    return cs.Outcome(frame["stop"], frame["left"], start=frame["start"], causes=CAUSES)


OUTCOME = {"stop": "stop", "event": "left", "start": "start", "causes": CAUSES}
NUMBERS = ["rate", "score"]


def assert_same_model(a, b):
    assert list(a.coef_.index) == list(b.coef_.index)
    np.testing.assert_allclose(b.coef_, a.coef_, rtol=1e-10, atol=1e-12)
    for name in ("covariance_", "naive_covariance_"):
        np.testing.assert_allclose(getattr(b, name), getattr(a, name), rtol=1e-10, atol=1e-14)
    for name in ("log_likelihood_", "null_log_likelihood_", "score_statistic_"):
        assert getattr(b, name) == pytest.approx(getattr(a, name), rel=1e-10)
    if a.robust_score_statistic_ is not None:
        assert b.robust_score_statistic_ == pytest.approx(a.robust_score_statistic_, rel=1e-9)
    left, right = a.baseline_cumulative_hazard_, b.baseline_cumulative_hazard_
    assert left[["stratum", "time"]].equals(right[["stratum", "time"]])
    np.testing.assert_allclose(right["hazard"], left["hazard"], rtol=1e-10)
    for name in (
        "n_events_",
        "n_observations_",
        "n_subjects_",
        "strata_",
        "first_",
        "last_",
        "causes_",
        "cause_",
        "is_robust_",
    ):
        assert getattr(a, name) == getattr(b, name), name


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize(
    "roles",
    [
        {},
        {"strata": "region"},
        {"strata": ["region", "vintage"], "sample_weight": "weight"},
        {"cluster": "customer", "offset": "shift", "sample_weight": "weight"},
        {"cluster": ["customer", "region"]},
    ],
    ids=lambda roles: "+".join(roles) or "plain",
)
def test_batches_give_the_model_of_the_whole_table(roles, ties, jobs):
    frame = loans()
    named = [c for value in roles.values() for c in ([value] if isinstance(value, str) else value)]
    X = frame[["rate", "score", "segment", *named]]
    whole = cs.CoxPH(cause="attrition", ties=ties).fit(X, outcome(frame), **roles)
    streamed = cs.CoxPH(cause="attrition", ties=ties).fit_stream(
        pa.Table.from_pandas(frame),
        columns=["rate", "score", "segment"],
        batch_size=130,
        n_jobs=jobs,
        **OUTCOME,
        **roles,
    )
    assert_same_model(whole, streamed)
    new = X.iloc[:20]
    arguments = {"offset": None} if "offset" in roles else {}
    np.testing.assert_allclose(
        streamed.predict_curves(new, times=[5.0], **arguments).cumulative_hazard(),
        whole.predict_curves(new, times=[5.0], **arguments).cumulative_hazard(),
        rtol=1e-9,
    )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), size=st.integers(40, 400))
def test_neither_the_size_of_batches_nor_the_order_of_rows_changes_the_model(seed, size):
    frame = loans(seed, n=400)
    shuffled = frame.sample(frac=1, random_state=seed)
    a, b = (
        cs.CoxPH(cause="attrition").fit_stream(
            pa.Table.from_pandas(table), columns=NUMBERS, cluster="customer", batch_size=n, **OUTCOME
        )
        for table, n in ((frame, 400), (shuffled, size))
    )
    assert_same_model(a, b)


@pytest.mark.parametrize(
    "formula",
    [
        "rate + score",
        "C(term) + rate",
        "rate * C(term)",
        "np.log(score) + I(rate**2) + segment",
        "bs(rate, knots=[0, 1], lower_bound=-4, upper_bound=5) + C(segment, contr.treatment('B'))",
    ],
)
def test_formulas_mean_the_same_as_in_memory(formula):
    frame = loans(1)
    whole = cs.CoxPH(formula, cause="attrition").fit(frame, outcome(frame))
    streamed = cs.CoxPH(formula, cause="attrition").fit_stream(pa.Table.from_pandas(frame), batch_size=200, **OUTCOME)
    assert_same_model(whole, streamed)


@pytest.mark.parametrize("formula", ["bs(rate, df=4)", "cs(score, df=3)", "center(rate)", "poly(rate, 2)"])
def test_transforms_that_learn_from_all_rows_are_refused_with_a_remedy(formula):
    with pytest.raises(DataError, match="learns from all rows.*knots="):
        cs.CoxPH(formula, cause="attrition").fit_stream(pa.Table.from_pandas(loans()), **OUTCOME)


def test_categories_keep_their_order_and_may_appear_late():
    frame = loans(2).sort_values("segment", ascending=False)
    frame["grade"] = pd.Categorical(np.where(frame["score"] > 650, "low", "high"), categories=["low", "mid", "high"])
    X = frame[["rate", "segment", "grade"]]
    whole = cs.CoxPH(cause="attrition").fit(X, outcome(frame))
    streamed = cs.CoxPH(cause="attrition").fit_stream(
        pa.Table.from_pandas(frame), columns=list(X.columns), batch_size=100, **OUTCOME
    )
    assert_same_model(whole, streamed)
    with pytest.raises(UnseenCategoryError, match="'Z'"):
        streamed.predict(X.assign(segment="Z"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("parts")
    frame = loans(3)
    for k, part in enumerate(np.array_split(np.arange(len(frame)), 3)):
        pq.write_table(pa.Table.from_pandas(frame.iloc[part]), path / f"part{k}.parquet", row_group_size=80)
    return path


def sources(folder):
    files = sorted(folder.glob("*.parquet"))
    return {
        "folder": folder,
        "text": str(folder),
        "files": files,
        "dataset": ds.dataset(folder),
        "relation": duckdb.from_parquet(str(folder / "*.parquet")),
        "query": f"SELECT * FROM read_parquet('{folder}/*.parquet')",
        "ibis": ibis.duckdb.connect().read_parquet(str(folder / "*.parquet")),
        "function": lambda: ds.dataset(folder).scanner().to_reader(),
    }


@pytest.mark.parametrize("kind", ["folder", "text", "files", "dataset", "relation", "query", "ibis", "function"])
def test_every_source_gives_the_same_model(kind, folder):
    frame = loans(3)
    whole = cs.CoxPH(cause="attrition").fit(frame[[*NUMBERS, "region"]], outcome(frame), strata="region")
    streamed = cs.CoxPH(cause="attrition").fit_stream(
        sources(folder)[kind], columns=NUMBERS, strata="region", batch_size=150, **OUTCOME
    )
    assert_same_model(whole, streamed)


def test_a_file_of_spells_knows_its_outcome(tmp_path):
    portfolio = cs.data.simulate(150, seed=3)
    tables = (portfolio.loans, portfolio.performance, portfolio.rules)
    stored = cs.data.write_spells(tmp_path / "spells.parquet", *tables, macro=portfolio.macro)
    spells = stored.load()
    formula = "rate_incentive + credit_score"
    model = cs.CoxPH(formula, cause="attrition", missing="drop")
    with pytest.warns(MissingDataWarning):
        whole = model.fit(spells.X[["rate_incentive", "credit_score"]], spells.y)
    with pytest.warns(MissingDataWarning):
        streamed = cs.CoxPH(formula, cause="attrition", missing="drop").fit_stream(stored, batch_size=500)
    assert_same_model(whole, streamed)


def test_categories_of_spells_in_a_file_keep_the_order_of_the_table(tmp_path):
    portfolio = cs.data.simulate(200, seed=4)
    regions = sorted(portfolio.loans["region"].unique())
    table = portfolio.loans.assign(region=pd.Categorical(portfolio.loans["region"], categories=regions[::-1]))
    tables = (table, portfolio.performance, portfolio.rules)
    stored = cs.data.write_spells(tmp_path / "spells.parquet", *tables, macro=portfolio.macro)
    spells = stored.load()
    whole = cs.CoxPH("region", cause="attrition").fit(spells.frame[["region"]], spells.y)
    streamed = cs.CoxPH("region", cause="attrition").fit_stream(stored, batch_size=300)
    assert_same_model(whole, streamed)
    assert not any(regions[-1] in term for term in streamed.coef_.index)


def test_clusters_spread_over_batches_and_blocks_of_clusters_are_summed_whole(monkeypatch):
    frame = loans(4)
    whole = cs.CoxPH(cause="attrition").fit(frame[NUMBERS], outcome(frame), cluster=frame["customer"])
    monkeypatch.setattr("churnsurv.estimators.cox_stream.MOST_SCORES", 4 * 17)
    labelled = frame.assign(customer="customer " + frame["customer"].astype(str))
    for table in (frame, labelled):
        streamed = cs.CoxPH(cause="attrition").fit_stream(
            pa.Table.from_pandas(table), columns=NUMBERS, cluster="customer", batch_size=90, **OUTCOME
        )
        np.testing.assert_allclose(streamed.covariance_, whole.covariance_, rtol=1e-10)
        assert streamed.robust_score_statistic_ == pytest.approx(whole.robust_score_statistic_, rel=1e-9)


def test_sampling_weights_give_the_sandwich_by_row_or_subject():
    frame = loans(5).assign(weight=lambda f: f["weight"] + 0.1)
    model = cs.CoxPH(cause="attrition", weight_type="sampling")
    whole = model.fit(frame[[*NUMBERS, "weight"]], outcome(frame), sample_weight="weight")
    streamed = cs.CoxPH(cause="attrition", weight_type="sampling").fit_stream(
        pa.Table.from_pandas(frame), columns=NUMBERS, sample_weight="weight", batch_size=90, **OUTCOME
    )
    assert_same_model(whole, streamed)


def test_times_that_differ_by_rounding_are_tied_across_batches():
    frame = loans(6)
    frame["stop"] = np.where(np.arange(len(frame)) % 2, frame["stop"] / 12, (2000 + frame["stop"] / 12) - 2000)
    frame["start"] = frame["start"] / 12
    whole = cs.CoxPH(cause="attrition").fit(frame[NUMBERS], outcome(frame))
    streamed = cs.CoxPH(cause="attrition").fit_stream(
        pa.Table.from_pandas(frame), columns=NUMBERS, batch_size=100, **OUTCOME
    )
    assert len(whole.event_times_) < 40
    assert_same_model(whole, streamed)


def test_missing_covariates_are_refused_by_column_and_batch_or_dropped_and_counted():
    frame = loans(7)
    frame.loc[[250, 600], "score"] = np.nan
    frame.loc[700, "segment"] = None
    columns = ["rate", "score", "segment"]
    with pytest.raises(DataError, match=r"Batch 3 \(rows from 200 on\): Column 'score' has 1 missing value \(row 50"):
        cs.CoxPH(cause="attrition").fit_stream(pa.Table.from_pandas(frame), columns=columns, batch_size=100, **OUTCOME)
    with pytest.warns(MissingDataWarning, match="3 rows of 900 dropped"):
        streamed = cs.CoxPH(cause="attrition", missing="drop").fit_stream(
            pa.Table.from_pandas(frame), columns=columns, batch_size=100, **OUTCOME
        )
    kept = frame.dropna()
    assert_same_model(cs.CoxPH(cause="attrition").fit(kept[columns], outcome(kept)), streamed)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.assign(stop=f["stop"].where(f.index != 450)), "Batch 5.*'stop' has 1 missing value"),
        (lambda f: f.assign(left=f["left"].where(f.index != 450, 7)), "Batch 5.*'left' holds 7 in 1 row"),
        (lambda f: f.assign(start=f["start"].where(f.index != 450, 500.0)), "Batch 5.*start >= stop"),
        (lambda f: f.assign(rate=f["rate"].where(f.index != 450, np.inf)), "'rate' is infinite"),
        (lambda f: f.assign(weight=f["weight"].where(f.index != 450, -1.0)), "Batch 5.*negative value"),
        (lambda f: f.assign(rate=1.5), "'rate' is constant"),
        (lambda f: f.assign(rate=pd.Timestamp("2026-01-01")), "'rate' is datetime64"),
        (lambda f: f.drop(columns="rate"), "No column 'rate' in the source"),
    ],
)
def test_rows_that_cannot_be_used_are_named(change, words):
    table = pa.Table.from_pandas(change(loans(8)), preserve_index=False)
    with pytest.raises(DataError, match=words):
        cs.CoxPH(cause="attrition").fit_stream(
            table, columns=NUMBERS, sample_weight="weight", batch_size=100, **OUTCOME
        )


def panel(n=60):
    rng = np.random.default_rng(9)
    loan, month = np.repeat(np.arange(n), 6), np.tile(np.arange(6.0), n)
    left = (month == 5) * rng.integers(0, 2, 6 * n)
    return pd.DataFrame({"loan": loan, "a": month, "b": month + 1, "left": left, "x": rng.normal(size=6 * n)})


def test_intervals_of_a_subject_are_held_to_each_other_across_batches():
    frame = panel()
    roles = {"stop": "b", "event": "left", "start": "a", "subject": "loan", "columns": ["x"]}
    model = cs.CoxPH().fit_stream(pa.Table.from_pandas(frame), batch_size=50, **roles)
    assert model.n_subjects_ == 60
    for row, column, value in ((50, "a", 1.5), (49, "left", 1)):
        wrong = frame.copy()
        wrong.loc[row, column] = value
        with pytest.raises(DataError, match="in two batches"):
            cs.CoxPH().fit_stream(pa.Table.from_pandas(wrong), batch_size=50, **roles)


def test_what_can_be_read_once_or_changes_between_passes_is_refused():
    table = pa.Table.from_pandas(loans(10))
    roles = {"columns": NUMBERS, **OUTCOME}
    with pytest.raises(DataError, match="read once only.*function"):
        cs.CoxPH(cause="attrition").fit_stream(table.to_reader(), **roles)
    with pytest.raises(DataError, match="read once only"):
        cs.CoxPH(cause="attrition").fit_stream(iter(table.to_batches()), **roles)
    with pytest.raises(DataError, match="use fit"):
        cs.CoxPH(cause="attrition").fit_stream(loans(10), **roles)
    with pytest.raises(DataError, match="There is no file"):
        cs.CoxPH(cause="attrition").fit_stream("absent.parquet", **roles)
    calls = iter(range(100))
    with pytest.raises(DataError, match="same rows each time"):
        cs.CoxPH(cause="attrition").fit_stream(lambda: table.slice(10 * next(calls)).to_reader(), **roles)


def test_without_events_and_with_separation_it_says_the_same_as_in_memory():
    frame = loans(11)
    with pytest.raises(NoEventsError):
        cs.CoxPH().fit_stream(pa.Table.from_pandas(frame.assign(left=0)), stop="stop", event="left", columns=NUMBERS)
    frame["never"] = ((frame["left"] != 1) & (frame["score"] > 600)).astype(float)
    with pytest.warns(SeparationWarning, match=r"'never' \(never: 0 events of \d+\)"):
        cs.CoxPH(cause="attrition").fit_stream(
            pa.Table.from_pandas(frame), columns=["rate", "never"], batch_size=100, **OUTCOME
        )


def test_several_causes_need_a_name_and_models_survive_saving(tmp_path):
    table = pa.Table.from_pandas(loans(12))
    with pytest.raises(DataError, match=r"2 causes.*CoxPH\(cause='attrition'\)"):
        cs.CoxPH().fit_stream(table, columns=NUMBERS, **OUTCOME)
    model = cs.CoxPH("rate + C(term)", cause="attrition").fit_stream(table, strata="region", **OUTCOME)
    again = cs.load(cs.save(model, tmp_path / "model"))
    new = loans(13).head(5)
    np.testing.assert_array_equal(again.predict(new), model.predict(new))
