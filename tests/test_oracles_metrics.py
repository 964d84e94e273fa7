"""Metrics of predictions of the oracle cases: concordance, AUC, Brier score, calibration."""

from __future__ import annotations

import pytest

from tests.oracle_cases import Check, checks, verify


@pytest.mark.parametrize("check", checks("concordance"), ids=str)
def test_concordance_agrees_with_the_oracle(check: Check) -> None:
    verify(check)


@pytest.mark.parametrize("check", checks("auc", "brier"), ids=str)
def test_score_of_predictions_agrees_with_the_oracle(check: Check) -> None:
    verify(check)


@pytest.mark.parametrize("check", checks("calibration"), ids=str)
def test_calibration_agrees_with_the_oracle(check: Check) -> None:
    verify(check)
