"""Kaplan–Meier and Nelson–Aalen curves, quantiles and restricted means of the oracle cases."""

from __future__ import annotations

import pytest

from tests.oracle_cases import Check, checks, verify


@pytest.mark.parametrize("check", checks("km"), ids=str)
def test_curve_agrees_with_the_oracle(check: Check) -> None:
    verify(check)


@pytest.mark.parametrize("check", checks("rmst"), ids=str)
def test_restricted_mean_agrees_with_the_oracle(check: Check) -> None:
    verify(check)
