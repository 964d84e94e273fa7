"""Fine–Gray models by cmprsk's conventions; the weighted Cox fits of ``finegray`` are among the fits of the Cox oracles."""

from __future__ import annotations

import pytest

from tests.oracle_cases import Check, checks, verify


@pytest.mark.parametrize("check", checks("fine-gray"), ids=str)
def test_subdistribution_model_agrees_with_the_oracle(check: Check) -> None:
    verify(check)
