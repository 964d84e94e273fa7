"""Differences of Kaplan–Meier curves at horizons of the oracle cases."""

from __future__ import annotations

import pytest

from tests.oracle_cases import Check, checks, verify


@pytest.mark.parametrize("check", checks("km-difference"), ids=str)
def test_difference_of_curves_agrees_with_the_oracle(check: Check) -> None:
    verify(check)
