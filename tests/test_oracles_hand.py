"""The hand-worked cases: closed forms of Therneau & Grambsch (2000, appendix E) and published textbook values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from tests.oracle_cases import input_of, read

TIES = ("efron", "breslow")
SPELLS = {"hand_test1": ("time", "status", None), "hand_test2_startstop": ("stop", "event", "start")}


def fit_of(case: str, ties: Any) -> cs.CoxPH:
    data = input_of(case)
    stop, event, start = SPELLS[case]
    y = cs.Outcome(data[stop], data[event], start=None if start is None else data[start])
    return cs.CoxPH(ties=ties).fit(data[["x"]], y)


def closed_forms(case: str, ties: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give what is derived by hand at β = 0 and at the maximum."""
    hand = read(case)["expected"]["hand"]
    if ties in hand:
        return hand[ties]["at_0"], hand[ties]["at_mle"]
    return hand[f"{ties}_at_0"], hand[f"{ties}_at_mle"]


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("case", SPELLS)
def test_maximum_is_where_the_score_derived_by_hand_vanishes(case: str, ties: str) -> None:
    model, (_, top) = fit_of(case, ties), closed_forms(case, ties)
    assert model.coef_["x"] == pytest.approx(top["beta"], rel=1e-10)
    assert model.log_likelihood_ == pytest.approx(top["loglik"], rel=1e-10)
    assert 1 / model.covariance_.loc["x", "x"] == pytest.approx(top["I"], rel=1e-10)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("case", SPELLS)
def test_likelihood_and_score_test_at_zero_are_those_derived_by_hand(case: str, ties: str) -> None:
    model, (zero, _) = fit_of(case, ties), closed_forms(case, ties)
    assert model.null_log_likelihood_ == pytest.approx(zero["loglik"], rel=1e-10)
    assert model.tests().loc["score", "statistic"] == pytest.approx(zero["U"] ** 2 / zero["I"], rel=1e-10)


@pytest.mark.parametrize("ties", TIES)
def test_baseline_hazard_of_data_set_1_is_the_one_derived_by_hand(ties: str) -> None:
    _, top = closed_forms("hand_test1", ties)
    baseline = fit_of("hand_test1", ties).baseline_cumulative_hazard_.set_index("time")["hazard"]
    np.testing.assert_allclose(baseline[[1.0, 6.0, 9.0]], top["cumhaz0_t1_t6_t9"], rtol=1e-10)


@pytest.mark.parametrize("ties", TIES)
def test_baseline_steps_of_data_set_2_are_those_derived_by_hand(ties: str) -> None:
    # row 6 is at risk on (7, 9]: at 8 and 9, not at 7
    _, top = closed_forms("hand_test2_startstop", ties)
    baseline = fit_of("hand_test2_startstop", ties).baseline_cumulative_hazard_.set_index("time")["hazard"]
    steps = np.diff(baseline[[2.0, 3.0, 6.0, 7.0, 8.0, 9.0]], prepend=0.0)
    np.testing.assert_allclose(steps, top["hazard_steps_t2_3_6_7_8_9"], rtol=1e-10)


@pytest.mark.parametrize("ties", TIES)
def test_splitting_spells_changes_nothing_of_data_set_1(ties: Any) -> None:
    whole, split = input_of("hand_test1"), input_of("hand_test1_split")
    y = cs.Outcome(split["stop"], split["status"], start=split["start"], subject=split["id"])
    model, unsplit = cs.CoxPH(ties=ties), cs.CoxPH(ties=ties)
    model.fit(split[["x"]], y, cluster=split["id"])
    unsplit.fit(whole[["x"]], cs.Outcome(whole["time"], whole["status"]), cluster=np.arange(len(whole)))
    assert (model.n_observations_, model.n_subjects_) == (len(split), len(whole))
    pd.testing.assert_series_equal(model.coef_, unsplit.coef_, rtol=1e-10)
    pd.testing.assert_frame_equal(model.covariance_, unsplit.covariance_, rtol=1e-10)
    pd.testing.assert_frame_equal(model.naive_covariance_, unsplit.naive_covariance_, rtol=1e-10)
    assert model.log_likelihood_ == pytest.approx(unsplit.log_likelihood_, rel=1e-12)


def test_remission_times_give_the_values_printed_in_textbooks() -> None:
    data = input_of("textbook_gehan")
    published = read("textbook_gehan")["expected"]["published"]
    y = cs.Outcome(data["time"], data["event"])
    for ties in TIES:
        coefficient = cs.CoxPH(ties=ties).fit(data[["control"]], y).coef_["control"]
        assert coefficient == pytest.approx(published[f"cox_{ties}"], abs=5e-4)
    medians = cs.KaplanMeier().fit(y, by=data["control"]).median()
    assert (medians[1].value, medians[0].value) == (published["median_control"], published["median_6mp"])
    logrank = cs.effects.logrank_test(y, data["control"])
    assert logrank.statistic == pytest.approx(published["logrank_chisq"], abs=5e-3)
