"""What is true in the simulated portfolio: the hazards, the effects of the interventions, and the rules of its tables.

The hazard of leaving by a cause in the month of loan age (a, a + 1] is ``baseline(a) * exp(Σ coefficient * (x − centre))``
with the covariates x at the end of the month before. Within the month it is constant, so a Cox model with lagged monthly
covariates is true up to the order of exits within a month, for which Efron's likelihood stands in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from churnsurv.data.rule_tables import Covariates, MacroKeys, RateIncentive
from churnsurv.data.rules import SpellRules

Floats = NDArray[np.float64]

#: how the shipped and simulated tables become spells
PORTFOLIO_RULES = SpellRules(
    period="month",
    loan_id="loan_id",
    customer_id="customer_id",
    origination="origination_date",
    term="term",
    observed="month",
    status="status",
    open=("open",),
    matured=("matured",),
    causes={"attrition": ("prepaid",), "default": ("charged_off",)},
    covariates=Covariates(
        loans=("term", "approval_days"),
        performance=(
            "balance",
            "credit_score",
            "debt_to_income",
            "fees_12m",
            "response_hours",
            "complaints_12m",
            "csat",
            "outage_minutes",
            "months_since_contact",
            "products_held",
            "loyalty_tier",
            "rate_offer",
            "faster_service",
        ),
        macro=("unemployment_rate",),
    ),
    macro=MacroKeys(period="month", region="region"),
    rate_incentive=RateIncentive(own="contract_rate", market="market_rate"),
    keep=("product", "segment", "region", "branch"),
)

#: covariate → (centre, log hazard ratio per unit for attrition, for default)
_COVARIATES: dict[str, tuple[float, float, float]] = {
    "rate_incentive": (1.0, 0.25, 0.0),
    "term": (48, -0.006, 0.006),
    "approval_days": (6, 0.02, 0.0),
    "balance": (12_000, 1e-5, 0.0),
    "credit_score": (690, 0.002, -0.009),
    "debt_to_income": (32, 0.0, 0.03),
    "fees_12m": (30, 0.002, 0.002),
    "response_hours": (24, 0.012, 0.0),
    "complaints_12m": (0.5, 0.18, 0.0),
    "csat": (3.9, -0.22, 0.0),
    "outage_minutes": (20, 0.0015, 0.0),
    "months_since_contact": (8, 0.02, 0.01),
    "products_held": (1.8, -0.12, 0.0),
    "loyalty_tier": (1, -0.12, 0.0),
    "unemployment_rate": (5.5, -0.06, 0.15),
    "rate_offer": (0, -0.4, 0.0),
    "faster_service": (0, -0.2, 0.0),
}

CENTRE = {name: values[0] for name, values in _COVARIATES.items()}
COEFFICIENTS = {
    "attrition": {name: values[1] for name, values in _COVARIATES.items()},
    "default": {name: values[2] for name, values in _COVARIATES.items()},
}
#: the formula whose Cox fit on the spells recovers the coefficients, for both causes
RECOVERY_FORMULA = " + ".join(_COVARIATES)

#: share by which the faster-service programme shortens the response time, reached over three months
FASTER_RESPONSE = 0.4


def baseline_hazard(cause: str, age: Floats) -> Floats:
    """Give the monthly hazard at the centre of all covariates in the month of loan age (age, age + 1].

    Few leave in the first months; attrition peaks in the third year, default after the first and then fades.
    """
    if cause == "attrition":
        return 0.0165 * (1 - 0.7 * np.exp(-age / 8)) * (1 + 0.3 * np.exp(-(((age - 30) / 12) ** 2)))
    return 0.0016 * (1 - 0.9 * np.exp(-age / 6)) * np.exp(-np.maximum(age - 24, 0) / 60)


def hazards(age: Floats, columns: Mapping[str, NDArray[Any]]) -> dict[str, Floats]:
    """Give each cause's monthly hazard for loans of the given age and covariates."""
    result = {}
    for cause, coefficients in COEFFICIENTS.items():
        predictor = np.zeros(len(age))
        for name, coefficient in coefficients.items():
            if coefficient != 0:
                predictor += coefficient * (columns[name] - CENTRE[name])
        result[cause] = baseline_hazard(cause, age) * np.exp(predictor)
    return result


def truth_of_effects() -> dict[str, Any]:
    """Describe the effects of the two interventions for ``truth.json``."""
    per_hour = COEFFICIENTS["attrition"]["response_hours"]
    direct = COEFFICIENTS["attrition"]["faster_service"]
    saved = FASTER_RESPONSE * CENTRE["response_hours"]
    return {
        "rate_offer": {
            "design": "randomised 1:1 among eligible loans at one date, permanent hold-out",
            "log_hazard_ratio": {
                "attrition": COEFFICIENTS["attrition"]["rate_offer"],
                "default": COEFFICIENTS["default"]["rate_offer"],
            },
            "note": "conditional on the covariates; the discount is paid as a rebate, so contract_rate stays",
        },
        "faster_service": {
            "design": "staggered by branch in random order, one fifth of the branches never",
            "direct_log_hazard_ratio": {"attrition": direct, "default": COEFFICIENTS["default"]["faster_service"]},
            "response_hours_factor": 1 - FASTER_RESPONSE,
            "total_log_hazard_ratio": {"attrition": round(direct - per_hour * saved, 4), "default": 0.0},
            "note": "total = direct + through the response time of an average customer, three months after the switch; "
            "complaints and csat improve with the response time and add about -0.03",
        },
    }
