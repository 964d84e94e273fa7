"""Tests of arms on two real randomised experiments: the Pennsylvania bonus experiment, and financial aid (Rossi)."""

import numpy as np
import pandas as pd
import pytest
from lifelines.datasets import load_rossi

import churnsurv as cs
from churnsurv.effects import cox_test, gray_test, logrank_test, maxcombo_test, pairwise_tests
from tests.real.experiments import experiment

PENN, needs_penn = experiment("penn_bonus.parquet")


@pytest.fixture(scope="module")
def penn():
    frame = pd.read_parquet(PENN)
    quarter = frame[[f"q{k}" for k in range(1, 7)]].to_numpy().argmax(axis=1) + 1
    # weeks from 27 on are the exhaustion of benefits
    y = cs.Outcome(np.minimum(frame["inuidur1"], 27), frame["inuidur1"] < 27)
    return y, frame["tg"].to_numpy(), quarter


@needs_penn
def test_the_bonus_arms_differ(penn):
    y, arm, _ = penn
    result = logrank_test(y, arm)
    assert (result.n, result.df) == (13913, 6)
    assert result.p_value == pytest.approx(0.015, abs=0.0006)
    for kind in ("likelihood-ratio", "score", "wald"):
        assert cox_test(y, arm, kind=kind).p_value == pytest.approx(result.p_value, abs=0.005)
    # one cause only: the incidence is 1 − S, and Gray's test the log-rank test but for its variance
    assert gray_test(y, arm, cause="event").statistic == pytest.approx(result.statistic, rel=0.02)


@needs_penn
def test_arm_six_leaves_sooner_than_control(penn):
    y, arm, quarter = penn
    model = cs.CoxPH("C(arm)").fit(pd.DataFrame({"arm": arm}), y)
    assert model.coef_["C(arm)[T.6]"] == pytest.approx(0.119, abs=0.0005)
    pairs = pairwise_tests(y, arm, reference=0, strata=quarter)
    assert pairs["adjusted_p_value"].idxmin() == (6, 0)
    assert pairs.loc[(6, 0), "adjusted_p_value"] < 0.05
    two = np.isin(arm, [0, 6])
    assert maxcombo_test(y[two], arm[two], alternative="greater").p_value < 0.01


@needs_penn
def test_within_quarters_less_is_left_of_the_difference(penn):
    # arm 6 was offered in quarters 1 to 4 only, arm 1 mostly late: some of the difference is one of quarters
    y, arm, quarter = penn
    assert set(quarter[arm == 6]) == {1, 2, 3, 4}
    within = logrank_test(y, arm, strata=quarter)
    assert within.df == 6
    assert within.p_value > logrank_test(y, arm).p_value
    assert within.p_value == pytest.approx(cox_test(y, arm, strata=quarter, kind="score").p_value, abs=0.01)


def test_financial_aid_lowers_the_rate_of_arrests():
    rossi = load_rossi()
    y = cs.Outcome(rossi["week"], rossi["arrest"])
    covariates = ["age", "race", "wexp", "mar", "paro", "prio"]
    model = cs.CoxPH().fit(rossi[["fin", *covariates]], y)
    assert np.exp(model.coef_["fin"]) == pytest.approx(0.684, abs=0.001)
    alone = cs.CoxPH().fit(rossi[["fin"]], y)
    assert np.exp(alone.coef_["fin"]) == pytest.approx(0.69, abs=0.005)
    adjusted = cox_test(y, rossi["fin"], X=rossi[covariates], kind="wald")
    assert adjusted.p_value == pytest.approx(model.summary().loc["fin", "p_value"], rel=1e-8)
    # R: survdiff(Surv(week, arrest) ~ fin): 3.84
    assert logrank_test(y, rossi["fin"]).statistic == pytest.approx(3.84, abs=0.005)
