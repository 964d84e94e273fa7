"""Concordance and Brier scores against R's survival and riskRegression."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.kernels.buckets import lay_buckets
from churnsurv.kernels.concordance import count_pairs
from tests.oracle_cases import folders, input_of, read

PRESENT = {folder.name for folder in folders()}
TIES = ("efron", "breslow")


def expected_of(case: str, *path: str) -> Any:
    if case not in PRESENT:
        pytest.skip(f"the oracle case {case!r} is neither in tests/oracles nor in ../shared/oracles")
    found = read(case)["expected"]
    for name in path:
        found = found[name]
    return found


def linear_predictor(frame: pd.DataFrame, coef: dict[str, float]) -> np.ndarray:
    """Give Σ coef · column, products of columns for "a:b"; rounded, as equal covariates must stay tied."""
    terms = [value * frame[name.split(":")].prod(axis=1).to_numpy() for name, value in coef.items()]
    return np.round(np.sum(terms, axis=0), 9)


def layout(stop="time", event="event", start=None, **arguments):
    return {"stop": stop, "event": event, "start": start} | arguments


#: (case, where the fit stands, how the input is read); the score is the fit's linear predictor
FITS = [
    *[("cox_lung", (t, "fit"), layout()) for t in TIES],
    *[("cox_ovarian", (t, "fit"), layout()) for t in TIES],
    *[("cox_veteran", (t, "fit"), layout()) for t in TIES],
    *[("cox_flchain", (t, "fit"), layout()) for t in TIES],
    *[("cox_rossi", (t, "fit"), layout("week", "arrest")) for t in TIES],
    ("cox_rossi", ("strata_race",), layout("week", "arrest", strata="race")),
    *[("edge_timefix", (t, block), layout(stop)) for t in TIES for block, stop in
      (("days", "days"), ("roundoff_timefix", "years_roundoff"))],
    *[("cr_pbc", (f"cause_specific_{k}",), layout(event="cause", cause=k)) for k in (1, 2)],
    *[("cr_mgus2", (f"cause_specific_{k}", t), layout(event="cause", cause=k)) for k in (1, 2) for t in TIES],
    *[("hand_test1", (t, "fit"), layout(event="status")) for t in TIES],
    *[("textbook_gehan", (t, "fit"), layout()) for t in TIES],
    *[("cox_divorce", (t, "fit"), layout()) for t in TIES],
    *[("cox_hdfail_large", (t, "fit"), layout()) for t in TIES],
    *[("cox_hdfail_large", (f"{t}_strata_brand", "fit"), layout(strata="brand")) for t in TIES],
    *[("tvcoef_veteran", (t, "step_function"), layout("stop", start="start")) for t in TIES],
    *[("hand_test2_startstop", (t, "fit"), layout("stop", start="start")) for t in TIES],
    *[("startstop_heart", (t, block), layout("stop", start="start")) for t in TIES for block in ("fit", "interaction")],
    *[("startstop_heart", (t, "cluster_id"), layout("stop", start="start", cluster="id")) for t in TIES],
    *[("startstop_cgd_ag", (t, "andersen_gill"), layout("stop", start="start", cluster="id")) for t in TIES],
    *[("startstop_cgd_ag", (t, "pwp_total_time_enum_le3"),
       layout("stop", start="start", cluster="id", strata="enum", where="enum <= 3")) for t in TIES],
    *[("truncation_mgus2_age", (t, "fit"), layout("age_exit", "death", "age_entry")) for t in TIES],
    ("truncation_mgus2_age", ("fit_naive_ignoring_truncation",), layout("age_exit", "death")),
    *[("truncation_oldmort", (t, "fit"), layout("exit", start="enter")) for t in TIES],
    *[("truncation_oldmort", (t, "strata_cluster"), layout("exit", start="enter", strata="region", cluster="id"))
      for t in TIES],
    *[("strata_veteran", (t, "fit"), layout(strata="celltype")) for t in TIES],
    *[("strata_colon", (t, "fit"), layout(strata=["surg", "differ"])) for t in TIES],
    *[("cluster_rats", (t, "cluster_litter"), layout(cluster="litter")) for t in TIES],
    *[("cluster_rats", (t, "robust_per_row"), layout()) for t in TIES],
    *[("cluster_rats", (t, "strata_sex_cluster"), layout(strata="male", cluster="litter")) for t in TIES],
    *[("cluster_diabetic", (t, "cluster"), layout(cluster="id")) for t in TIES],
    *[("weights_lung", (t, "w_int"), layout(weight="w_int")) for t in TIES],
    *[("weights_lung", (t, "w_frac"), layout(weight="w_frac")) for t in TIES],
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*at time 0:churnsurv.exceptions.ZeroDurationWarning")
@pytest.mark.parametrize(("case", "path", "how"), FITS, ids=[".".join((case, *path)) for case, path, _ in FITS])
def test_harrells_c_of_a_cox_fit_is_rs(case, path, how):
    block = expected_of(case, *path)
    frame = input_of(case)
    frame = frame.query(how["where"]) if "where" in how else frame
    event = frame[how["event"]].to_numpy()
    causes = ("event",) if "cause" not in how else ("1", "2")
    y = cs.Outcome(frame[how["stop"]], event, None if how["start"] is None else frame[how["start"]], causes=causes)
    score = linear_predictor(frame, block["coef"])
    cause = str(how["cause"]) if "cause" in how else None
    column = {name: frame[how[name]] for name in ("strata", "cluster") if name in how}
    weight = frame[how["weight"]].to_numpy() if "weight" in how else np.ones(len(frame))

    found = cs.metrics.concordance_index(y, score, cause=cause, sample_weight=weight, **column)
    assert found.value == pytest.approx(block["concordance"]["concordance"], rel=1e-8)
    assert found.se == pytest.approx(block["concordance"]["std"], rel=1e-8)

    is_event = event == int(cause or 1)
    strata = frame.groupby(how["strata"]).ngroup().to_numpy() if "strata" in how else None
    n_strata = 1 if strata is None else strata.max() + 1
    entry = None if how["start"] is None else y.start
    buckets, first, last, death = lay_buckets(entry, y.stop, is_event, strata, n_strata)
    pairs = count_pairs(score, first, last, death, weight, np.ones(len(buckets.time)))
    assert pairs.concordant == pytest.approx(block["concordance"]["concordant"], rel=1e-8)
    assert pairs.discordant == pytest.approx(block["concordance"]["discordant"], rel=1e-8)
    tied = pairs.comparable - pairs.concordant - pairs.discordant
    assert tied == pytest.approx(block["concordance"]["tied.x"], rel=1e-8, abs=1e-6)


LUNG = [
    *[(f"lp_timewt_{w.replace('/', '_over_')}", {"weighting": w}) for w in ("n", "S", "S/G", "n/G2", "I")],
    *[(f"lp_ymax{t}_{w.replace('/', '_over_')}", {"weighting": w, "tau": t})
      for t in (200, 365, 600) for w in ("n", "n/G2")],
    ("ecog_tied_scores", {}),
    ("ecog_n_over_G2", {"weighting": "n/G2"}),
    ("lp_case_weights", {"sample_weight": "w"}),
    ("lp_strata_female", {"strata": "female"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), LUNG, ids=[name for name, _ in LUNG])
def test_weightings_horizons_weights_and_strata_are_rs(name, arguments):
    expected = expected_of("conc_lung")
    frame = input_of("conc_lung")
    y = cs.Outcome(frame["time"], frame["event"])
    score = frame["ph_ecog"] if name.startswith("ecog") else expected["lp"]
    arguments = {k: frame[v] if k in ("sample_weight", "strata") else v for k, v in arguments.items()}
    found = cs.metrics.concordance_index(y, score, **arguments)
    assert found.value == pytest.approx(expected[name]["concordance"], rel=1e-8)
    assert found.se == pytest.approx(expected[name]["se"], rel=1e-8)


def test_concordance_of_split_spells_is_that_of_whole_ones_and_per_row_rs():
    expected = expected_of("split_invariance_lung")
    frame = input_of("split_invariance_lung")
    score = linear_predictor(frame, expected["efron"]["fit"]["coef"])
    by_row = cs.metrics.concordance_index(cs.Outcome(frame["stop"], frame["event"], frame["start"]), score)
    assert by_row.value == pytest.approx(expected["concordance_split"]["concordance"], rel=1e-8)
    assert by_row.se == pytest.approx(expected["concordance_split"]["se"], rel=1e-8)
    by_subject = cs.metrics.concordance_index(
        cs.Outcome(frame["stop"], frame["event"], frame["start"], frame["id"]), score
    )
    assert by_subject.se == pytest.approx(expected["concordance_unsplit"]["se"], rel=1e-8)


def test_clustered_concordance_is_rs():
    expected = expected_of("cluster_rats", "concordance_cluster")
    frame = input_of("cluster_rats")
    found = cs.metrics.concordance_index(
        cs.Outcome(frame["time"], frame["event"]), frame["rx"], cluster=frame["litter"]
    )
    assert found.value == pytest.approx(expected["concordance"], rel=1e-8)
    assert found.se == pytest.approx(expected["se"], rel=1e-8)


def test_without_censoring_brier_is_the_mean_squared_error_and_unos_c_is_harrells():
    expected = expected_of("metrics_nocensor")
    frame = input_of("metrics_nocensor")
    y = cs.Outcome(frame["time"], frame["event"])
    for horizon in (90, 180):
        found = cs.metrics.brier_score(y, frame[f"risk{horizon}"], horizon)
        assert found.value == pytest.approx(expected[f"t{horizon}"]["brier"], abs=1e-12)
    for weighting, name in (("n", "c_harrell"), ("n/G2", "c_uno")):
        found = cs.metrics.concordance_index(y, frame["score"], weighting=weighting)
        assert found.value == pytest.approx(expected[name], abs=1e-12)


def test_external_validation_of_one_cause_is_rs():
    expected = expected_of("score_gbsg")
    frame = input_of("score_gbsg").query("set == 'test'")
    y = cs.Outcome(frame["time"], frame["event"])
    table = pd.DataFrame(expected["brier"]).set_index("model")
    for risk, model in (("risk_model1", "full"), ("risk_model2", "nodes")):
        found = cs.metrics.brier_score(y, expected[risk], expected["times"])
        np.testing.assert_allclose(found["value"], table.loc[model, "Brier"], rtol=1e-7)
        np.testing.assert_allclose(found["null_value"], table.loc["Null model", "Brier"], rtol=1e-7)
        for column in ("se", "lower", "upper"):
            np.testing.assert_allclose(found[column], table.loc[model, column], rtol=1e-5)
    integrated = cs.metrics.integrated_brier_score(y, expected["risk_model1"], expected["times"])
    assert integrated.value == pytest.approx(expected["ibs_trapezoid_1_to_5"], rel=1e-7)
    score = linear_predictor(frame, expected["train_fit"]["coef"])
    for arguments, name in (({}, "concordance_test"), ({"weighting": "n/G2", "tau": 5}, "uno_test_tau5")):
        found = cs.metrics.concordance_index(y, score, **arguments)
        assert found.value == pytest.approx(expected[name]["concordance"], rel=1e-8)
        assert found.se == pytest.approx(expected[name]["se"], rel=1e-8)


@pytest.mark.parametrize("code", [1, 2])
def test_brier_scores_of_competing_causes_are_rs(code):
    expected = expected_of("score_cr_mgus2")
    frame = input_of("score_cr_mgus2").query("set == 'test'")
    y = cs.Outcome(frame["time"], frame["cause"], causes=("progression", "death"))
    block = expected[f"cause{code}"]
    table = pd.DataFrame(block["brier"]).set_index("model")
    found = cs.metrics.brier_score(y, block["risk"], expected["times"], cause=y.causes[code - 1])
    np.testing.assert_allclose(found["value"], table.loc["csc", "Brier"], rtol=1e-7)
    np.testing.assert_allclose(found["value"], block["brier_ref"], rtol=1e-7)
    np.testing.assert_allclose(found["null_value"], table.loc["Null model", "Brier"], rtol=1e-7)
    for column in ("se", "lower", "upper"):
        np.testing.assert_allclose(found[column], table.loc["csc", column], rtol=1e-5)
