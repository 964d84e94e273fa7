"""Log-rank and Fleming–Harrington tests of the oracle cases: plain, stratified, of several groups."""

from __future__ import annotations

import pytest

from tests.oracle_cases import Check, checks, verify


@pytest.mark.parametrize("check", checks("logrank"), ids=str)
def test_comparison_of_groups_agrees_with_the_oracle(check: Check) -> None:
    verify(check)
