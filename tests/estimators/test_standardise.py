"""Averages of Cox curves over customers: against brute-force covariances, identities, and coverage by simulation."""

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import DataError, NotIdentifiedError, SupportWarning
from tests.estimators.prediction_twins import path_twin, sample
from tests.oracle_cases import input_of, read

pytestmark = pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SmallSampleWarning")
SETTINGS = {"branch": {"branch": 1}, "online": {"branch": 0}}


def hazards_covariance(s, model, rows, time):
    """Hazards at `time` of rows (x, origin, label) and their covariance, from the sums over risk sets."""
    found = [path_twin(s, model, [(x, origin, np.inf, label)], time) for x, origin, label in rows]
    V, beta = model.covariance_.to_numpy(), model.coef_.to_numpy()
    covariance = np.empty((len(rows), len(rows)))
    for i, (x, origin, label) in enumerate(rows):
        for j, (w, other, label_2) in enumerate(rows):
            common = 0.0
            if label == label_2:
                # what two rows share of the baseline's variance: the variance of a row at risk when both are
                both = path_twin(s, model, [(x, max(origin, other), np.inf, label)], time)
                common = (both[1] - both[2] @ V @ both[2]) / np.exp(2 * x @ beta) * np.exp(x @ beta + w @ beta)
            covariance[i, j] = common + found[i][2] @ V @ found[j][2]
    return np.array([f[0] for f in found]), covariance


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("late", [False, True])
def test_the_variance_is_that_of_the_average_of_correlated_hazards(ties, late):
    s = sample(1)
    model = s.fit(ties=ties)
    X, label, weight = s.X.iloc[:12], s.stratum[:12], np.arange(1.0, 13.0)
    start = np.linspace(7, 9, 12) if late else None
    found = cs.standardised_curves(
        model, X, [9.5, 12.0], values=SETTINGS, strata=label, start=start, sample_weight=weight
    )
    w = weight / weight.sum()
    for t, time in enumerate(found.times):
        rows = [
            (x, -np.inf if start is None else start[i], label[i])
            for branch in (1, 0)
            for i, x in enumerate(X.assign(branch=branch).to_numpy(dtype=float))
        ]
        hazard, covariance = hazards_covariance(s, model, rows, time)
        pull = np.exp(-hazard) * np.tile(w, 2)
        M = np.zeros((2, 24))
        M[0, :12], M[1, 12:] = pull[:12], pull[12:]
        np.testing.assert_allclose(found.estimate[:, t], M.sum(axis=1), rtol=1e-9)
        np.testing.assert_allclose(found.covariance[t], M @ covariance @ M.T, rtol=1e-7)


def test_the_average_of_one_customer_is_his_curve():
    s = sample(2, strata=False)
    model, one = s.fit(), s.X.iloc[[3]]
    table = cs.standardised_curves(model, one, [4.0, 9.0]).to_frame()
    curves = model.predict_curves(one, [4.0, 9.0], level=0.95)
    np.testing.assert_allclose(table["estimate"], curves.survival[0], rtol=1e-12)
    np.testing.assert_allclose(table["lower"], curves.lower[0, 0], rtol=1e-9)
    np.testing.assert_allclose(table["upper"], curves.upper[0, 0], rtol=1e-9)
    assert set(table["setting"]) == {"as observed"}


def test_the_average_is_the_mean_of_the_curves():
    s = sample(2)
    model = s.fit()
    found = cs.standardised_curves(model, s.X, [4.0, 9.0], strata=s.stratum, sample_weight=s.weight)
    survival = model.predict_curves(s.X, [4.0, 9.0], strata=s.stratum).survival
    np.testing.assert_allclose(found.estimate[0], np.average(survival, axis=0, weights=s.weight), rtol=1e-12)


def test_a_row_of_weight_two_is_two_rows_and_one_of_weight_zero_none():
    s = sample(2, strata=False)
    model = s.fit()
    weight = np.where(np.arange(120) < 40, 2.0, np.where(np.arange(120) < 60, 1.0, 0.0))
    X = s.X.copy()
    X.loc[100:, "rate"] = np.nan  # weight zero: not looked at
    copies = s.X.iloc[np.repeat(np.arange(120), weight.astype(int))]
    a = cs.standardised_curves(model, X, [5.0], values=SETTINGS, sample_weight=weight)
    b = cs.standardised_curves(model, copies, [5.0], values=SETTINGS)
    np.testing.assert_allclose(a.covariance, b.covariance, rtol=1e-9)


def test_contrasts_use_the_joint_covariance():
    s = sample(2, strata=False)
    found = cs.standardised_curves(s.fit(), s.X, [4.0, 9.0], values=SETTINGS)
    cov = found.covariance
    leaving, staying = (found.contrast("branch", "online", of=of) for of in ("leaving", "staying"))
    np.testing.assert_allclose(leaving["estimate"], found.estimate[1] - found.estimate[0])
    np.testing.assert_allclose(leaving["se"], np.sqrt(cov[:, 0, 0] + cov[:, 1, 1] - 2 * cov[:, 0, 1]))
    np.testing.assert_allclose(leaving["lower"], -staying["upper"])
    ratio = found.contrast("branch", "online", kind="ratio")
    back = found.contrast("online", "branch", kind="ratio")
    np.testing.assert_allclose(ratio["lower"] * back["upper"], 1.0)
    risk = 1 - found.estimate
    gradient = np.array([1 / risk[0], -1 / risk[1]])
    np.testing.assert_allclose(ratio["se"], np.sqrt(np.einsum("at,tab,bt->t", gradient, cov, gradient)))
    same = found.contrast("branch", "branch")
    assert (same["estimate"] == 0).all()
    assert (same["se"] < 1e-12).all()


def test_a_sample_of_customers_adds_the_variance_of_their_mean():
    s = sample(2, strata=False)
    model = s.fit()
    arguments = {"values": SETTINGS, "sample_weight": None}
    fixed = cs.standardised_curves(model, s.X, [6.0], **arguments)
    rows = cs.standardised_curves(model, s.X, [6.0], population="sample", **arguments)
    survival = np.stack([model.predict_curves(s.X.assign(**of), [6.0]).survival[:, 0] for of in SETTINGS.values()])
    np.testing.assert_allclose(rows.covariance[0] - fixed.covariance[0], np.cov(survival) / 120, rtol=1e-9)
    # every customer twice, as a cluster of two loans: no more information than once
    twice = pd.concat([s.X, s.X], ignore_index=True)
    pairs = cs.standardised_curves(
        model, twice, [6.0], population="sample", cluster=np.tile(np.arange(120), 2), **arguments
    )
    np.testing.assert_allclose(pairs.covariance, rows.covariance, rtol=1e-9)


def test_a_column_of_strata_may_be_set():
    s = sample(2)
    X = s.X.assign(region=s.stratum)
    model = cs.CoxPH().fit(X, cs.Outcome(s.stop, s.event, start=s.start), strata="region")
    found = cs.standardised_curves(model, X, [6.0], values={"east": {"region": "east"}, "west": {"region": "west"}})
    expected = model.predict_curves(X.assign(region="east"), [6.0]).survival.mean()
    assert found.estimate[0, 0] == pytest.approx(expected, rel=1e-12)
    assert found.estimate[0, 0] != pytest.approx(found.estimate[1, 0], rel=1e-6)


def test_past_the_follow_up_there_is_no_average():
    s = sample(2, strata=False)
    with pytest.warns(SupportWarning, match="past the last time known"):
        found = cs.standardised_curves(s.fit(), s.X, [6.0, 1e4])
    table = found.to_frame()
    assert table[["estimate", "lower", "upper"]].iloc[1].isna().all()
    assert table[["estimate", "lower", "upper"]].iloc[0].notna().all()


def test_what_is_not_identified_or_not_known_is_refused():
    s = sample(2, strata=False)
    model = s.fit()
    y = cs.Outcome(s.stop, s.event * (1 + np.arange(120) % 2), start=s.start, causes=("attrition", "default"))
    with pytest.raises(NotIdentifiedError, match="CauseSpecificCox"):
        cs.standardised_curves(cs.CoxPH(cause="attrition").fit(s.X, y), s.X, [6.0])
    with pytest.raises(NotIdentifiedError, match="average the incidences"):
        cs.standardised_curves(cs.CauseSpecificCox().fit(s.X, y), s.X, [6.0])
    with pytest.raises(DataError, match="takes a fitted CoxPH"):
        cs.standardised_curves(cs.KaplanMeier(), s.X, [6.0])
    with pytest.raises(DataError, match="'season', which does not enter the model"):
        cs.standardised_curves(model, s.X.assign(season=1), [6.0], values={"a": {"season": 2}})
    with pytest.raises(DataError, match="1 row to average over"):
        cs.standardised_curves(model, s.X.assign(rate=[np.nan, *s.X["rate"][1:]]), [6.0])
    with pytest.raises(DataError, match="values is empty"):
        cs.standardised_curves(model, s.X, [6.0], values={})
    with pytest.raises(DataError, match="population"):
        cs.standardised_curves(model, s.X, [6.0], population="all")
    found = cs.standardised_curves(model, s.X, [6.0], values=SETTINGS)
    with pytest.raises(DataError, match="no setting 'phone'"):
        found.contrast("phone", "online")
    with pytest.raises(DataError, match="kind="):
        found.contrast("branch", "online", kind="odds")


def test_errors_are_near_the_empirical_ones_of_the_oracle():
    # riskRegression's ate() takes the squares of empirical influence functions, which agree in large samples (n = 2,982)
    frame, oracle = input_of("iptw_rotterdam"), read("iptw_rotterdam")["expected"]["gformula_cox"]
    names = ["hormon", "age", "meno", "size20_50", "size50", "grade3", "log_nodes", "pgr100", "er100", "chemo"]
    model = cs.CoxPH().fit(frame[names], cs.Outcome(frame["time"], frame["event"]))
    found = cs.standardised_curves(
        model, frame, [2, 5, 8], values={"0": {"hormon": 0}, "1": {"hormon": 1}}, population="sample"
    )
    np.testing.assert_allclose(found.to_frame()["se"], oracle["meanRisk"]["se"], rtol=0.07)
    np.testing.assert_allclose(found.contrast("1", "0")["se"], oracle["diffRisk"]["se"], rtol=0.07)
    np.testing.assert_allclose(found.contrast("1", "0")["estimate"], oracle["diffRisk"]["estimate"], rtol=1e-8)


@pytest.mark.slow
def test_intervals_cover_the_true_average_and_the_true_effect_with_late_entry_and_ties():
    rng, B = np.random.default_rng(11), 1000
    covered = np.zeros(3)
    time, many = 12.0, rng.normal(size=400_000)
    truth = [np.exp(-0.05 * time * np.exp(0.5 * many - 0.4 * a)).mean() for a in (1, 0)]
    for _ in range(B):
        n = 400
        z, arm = rng.normal(size=n), rng.integers(0, 2, n)
        entry = np.where(rng.random(n) < 0.5, 0, rng.integers(0, 6, n))
        life = np.ceil(rng.exponential(1 / (0.05 * np.exp(0.5 * z - 0.4 * arm))) * 4) / 4
        end, seen = entry + rng.integers(12, 37, n), life > entry
        X = pd.DataFrame({"z": z, "arm": arm})
        y = cs.Outcome(np.minimum(life, end)[seen], (life <= end)[seen].astype(int), start=entry[seen].astype(float))
        # everyone who might have come is the sample, also those who left before they were seen
        found = cs.standardised_curves(
            cs.CoxPH().fit(X[seen], y), X, [time], values={"offer": {"arm": 1}, "none": {"arm": 0}}, population="sample"
        )
        table, effect = found.to_frame(), found.contrast("offer", "none", of="staying").iloc[0]
        covered[:2] += (table["lower"] <= truth) & (truth <= table["upper"])
        covered[2] += effect["lower"] <= truth[0] - truth[1] <= effect["upper"]
    # three Monte-Carlo standard errors and 0.01 for the finite sample
    assert np.all(np.abs(covered / B - 0.95) < 0.031), covered / B
