"""What tests/test_oracles_metrics.py does not read from the scripts of the cases: splits by subject, integrated scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from tests.oracle_cases import folders, input_of, read

PRESENT = {folder.name for folder in folders()}


def expected_of(case: str, *path: str) -> Any:
    if case not in PRESENT:
        pytest.skip(f"the oracle case {case!r} is neither in tests/oracles nor in ../shared/oracles")
    found = read(case)["expected"]
    for name in path:
        found = found[name]
    return found


def linear_predictor(frame: pd.DataFrame, coef: dict[str, float]) -> np.ndarray:
    """Give Σ coef · column, rounded, as equal covariates must stay tied."""
    return np.round(np.sum([value * frame[name].to_numpy() for name, value in coef.items()], axis=0), 9)


def test_concordance_of_split_spells_by_subject_is_that_of_whole_ones():
    expected = expected_of("split_invariance_lung")
    frame = input_of("split_invariance_lung")
    score = linear_predictor(frame, expected["efron"]["fit"]["coef"])
    y = cs.Outcome(frame["stop"], frame["event"], frame["start"], frame["id"])
    found = cs.metrics.concordance_index(y, score)
    assert found.value == pytest.approx(expected["concordance_unsplit"]["concordance"], rel=1e-8)
    assert found.se == pytest.approx(expected["concordance_unsplit"]["se"], rel=1e-8)


def test_the_integrated_brier_score_is_the_trapezoid_of_rs_brier_scores():
    expected = expected_of("score_gbsg")
    frame = input_of("score_gbsg").query("set == 'test'")
    y = cs.Outcome(frame["time"], frame["event"])
    found = cs.metrics.integrated_brier_score(y, expected["risk_model1"], expected["times"])
    assert found.value == pytest.approx(expected["ibs_trapezoid_1_to_5"], rel=1e-8)
