"""What is true of a simulated portfolio, for ``truth.json``."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np

from churnsurv.data.synthetic.hazards import (
    CAUSES,
    CENTRE,
    COEFFICIENTS,
    RECOVERY_FORMULA,
    RECOVERY_FORMULAS,
    baseline_hazard,
)
from churnsurv.data.synthetic.world import World

#: ages in months at which cumulative incidences are given
AGES = (12, 24, 36)

_HAZARD = (
    "baseline_hazard_by_age[a] * exp(sum of coefficient * (covariate - centre)) in the month of loan age (a, a + 1], "
    "covariates at the end of the month before; rate_incentive = contract_rate - market_rate; burnout of the spell of month "
    "t = sum over the months s of the loan, from its origination to t - 1, of max(contract_rate - market_rate at the end of "
    "month s - 1, 0)"
)
_INCIDENCE = (
    "probability of having left by the cause by a loan age, from the mean hazards of the loans at risk at each age until the "
    "date: what the Aalen-Johansen estimator of all spells estimates"
)


def truth_of_hazards() -> dict[str, Any]:
    """Give what is the same for every portfolio."""
    ages = np.arange(84.0)
    return {
        "causes": list(CAUSES),
        "formula": RECOVERY_FORMULA,
        "formulas": RECOVERY_FORMULAS,
        "hazard": _HAZARD,
        "incidence": _INCIDENCE,
        "coefficients": COEFFICIENTS,
        "centre": CENTRE,
        "baseline_hazard_by_age": {
            cause: [round(float(hazard), 8) for hazard in baseline_hazard(cause, ages)] for cause in CAUSES
        },
    }


def truth_of_incidence(world: World) -> dict[str, Any]:
    """Give the cumulative incidences, by cause and age, that the hazards met so far add up to."""
    # where nobody is at risk, nobody is seen to leave
    probability = world.expected / np.maximum(world.at_risk, 1)
    stays = np.cumprod(1 - probability.sum(axis=0))
    before = np.concatenate(([1.0], stays[:-1]))
    incidence = np.cumsum(before * probability, axis=1)
    return {
        cause: {str(age): round(float(incidence[code, age - 1]), 6) for age in AGES}
        for code, cause in enumerate(CAUSES)
    }


def versions() -> dict[str, str]:
    """Give the versions that the numbers depend on."""
    return {"churnsurv": version("churnsurv"), "numpy": np.__version__}
