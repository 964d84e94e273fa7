"""Baseline cumulative hazards at covariates 0, and survival predicted for new rows, of the oracle cases."""

from __future__ import annotations

import pytest

from tests.oracle_cases import Check, checks, verify


@pytest.mark.parametrize("check", checks("baseline"), ids=str)
def test_baseline_hazard_agrees_with_the_oracle(check: Check) -> None:
    verify(check)


@pytest.mark.parametrize("check", checks("prediction"), ids=str)
def test_predicted_survival_agrees_with_the_oracle(check: Check) -> None:
    verify(check)
