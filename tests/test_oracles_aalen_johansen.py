"""State probabilities under competing causes of the oracle cases, with both variances."""

from __future__ import annotations

import pytest

from tests.oracle_cases import Check, checks, verify


@pytest.mark.parametrize("check", checks("aalen-johansen"), ids=str)
def test_state_probabilities_agree_with_the_oracle(check: Check) -> None:
    verify(check)
