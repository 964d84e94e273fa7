"""Residuals and tests of proportional hazards of the oracle cases."""

from __future__ import annotations

import pytest

from tests.oracle_cases import Check, checks, verify

#: numbers that are what is left of much larger ones: a statistic of 1.5e-5, entries of residuals 10,000 times below the others
FEW_DIGITS = {
    "cox_flchain": {"chisq": 1e-7, "score": 1e-7},
    "cox_veteran": {"dfbetas": 1e-6},
}


@pytest.mark.parametrize("check", checks("residuals"), ids=str)
def test_residuals_agree_with_the_oracle(check: Check) -> None:
    verify(check, FEW_DIGITS.get(check.case))


@pytest.mark.parametrize("check", checks("ph-test"), ids=str)
def test_proportional_hazards_test_agrees_with_the_oracle(check: Check) -> None:
    verify(check, FEW_DIGITS.get(check.case))
