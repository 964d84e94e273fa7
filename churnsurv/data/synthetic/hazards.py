"""The hazards of the simulated portfolio: what multiplies them, and their course over loan age.

The hazard of leaving by a cause in the month of loan age (a, a + 1] is ``baseline(a) * exp(Σ coefficient * (x − centre))``
with the covariates x at the end of the month before. Within the month it is constant, so a Cox model with lagged monthly
covariates is true up to the order of exits within a month, for which Efron's likelihood stands in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: cause → covariate → log hazard ratio per unit
Coefficients = Mapping[str, Mapping[str, float]]

CAUSES = ("attrition", "default", "renewed")

#: covariate → (centre, log hazard ratio per unit for attrition, for default, for renewal). The signs are those that lenders
#: expect; a column with a zero goes with others and causes nothing itself.
_COVARIATES: dict[str, tuple[float, float, float, float]] = {
    # terms; own rate and market rate act through the two columns derived from them
    "rate_incentive": (1.0, 0.28, 0.0, 0.15),
    "burnout": (20, -0.008, 0.0, -0.006),
    "term": (48, -0.006, 0.006, 0.0),
    "term_gap": (3, 0.012, 0.0, 0.0),
    "amount_gap": (6, 0.006, 0.0, 0.008),
    "top_up_declined": (0, 0.3, 0.2, -0.5),
    "balance": (12_000, 1e-5, 0.0, 0.0),
    "fees_12m": (20, 0.002, 0.002, 0.0),
    "penalties_12m": (5, 0.003, 0.002, 0.0),
    # finances and early warning
    "income_change_12m": (2, 0.0, -0.02, 0.0),
    "unemployed": (0, -0.2, 0.8, -0.4),
    "expense_shock_3m": (0, 0.0, 0.5, 0.3),
    "credit_score": (690, 0.002, -0.007, 0.002),
    "credit_score_change_6m": (0, 0.0, -0.008, 0.0),
    "debt_to_income": (32, 0.0, 0.025, -0.01),
    "days_past_due_max_12m": (5, 0.003, 0.03, -0.01),
    "balance_slope_3m": (3, 0.03, 0.0, 0.0),
    # service
    "response_hours": (24, 0.012, 0.0, 0.0),
    "sla_breaches_90d": (0.5, 0.05, 0.0, 0.0),
    "complaints_12m": (0.5, 0.15, 0.0, -0.1),
    "csat": (3.9, -0.18, 0.0, 0.15),
    "attitude_score": (4.0, -0.12, 0.0, 0.0),
    "approval_days": (6, 0.02, 0.0, 0.0),
    "application_steps": (9, 0.03, 0.0, 0.0),
    # competition
    "fee_gap": (20, 0.006, 0.0, 0.0),
    "flexibility_gap": (0, 0.08, 0.0, 0.0),
    "rival_service_score": (3.6, 0.3, 0.0, 0.0),
    "rival_products": (12, 0.025, 0.0, 0.0),
    "fintech_share": (15, 0.03, 0.0, 0.0),
    # life events
    "moved_12m": (0, 0.35, 0.0, 0.2),
    "job_change_12m": (0, 0.2, 0.0, 0.0),
    "married_12m": (0, 0.25, 0.0, 0.3),
    "divorced_12m": (0, 0.35, 0.5, 0.0),
    "retired_12m": (0, 0.3, 0.0, 0.0),
    "disabled_12m": (0, 0.3, 0.7, 0.0),
    # technology
    "outage_minutes": (20, 0.0015, 0.0, 0.0),
    "latency_ms": (400, 0.0006, 0.0, 0.0),
    "app_crashes_30d": (0.8, 0.05, 0.0, 0.0),
    "digital_completion": (65, -0.005, 0.0, 0.004),
    # economy
    "unemployment_rate": (5.5, -0.06, 0.12, 0.0),
    "policy_rate": (3, -0.05, 0.0, 0.0),
    "gdp_growth": (1.5, 0.03, -0.05, 0.0),
    # relationship and loyalty
    "months_since_contact": (8, 0.02, 0.01, -0.02),
    "needs_review_age": (16, 0.008, 0.0, -0.01),
    "personalised_share": (40, -0.004, 0.0, 0.004),
    "nps": (20, -0.004, 0.0, 0.004),
    "loyalty_tier": (1, -0.1, 0.0, 0.1),
    "products_held": (1.8, -0.1, 0.0, 0.12),
    # reputation, regulation, demography, shocks
    "negative_news_30d": (4, 0.015, 0.0, 0.0),
    "misconduct_event": (0, 0.1, 0.0, 0.0),
    "regulation_step": (0, 0.1, 0.0, 0.0),
    "regulatory_cost": (25, 0.003, 0.0, 0.0),
    "share_over_65": (20, -0.015, 0.0, 0.0),
    "net_migration": (0.1, -0.2, 0.0, 0.0),
    "disaster": (0, 0.3, 0.4, 0.0),
    # interventions in force
    "rate_offer": (0, -0.4, 0.0, 0.0),
    "loyalty_programme": (0, -0.3, 0.0, 0.15),
    "deferral": (0, -0.25, -0.5, 0.0),
    "restructuring": (0, -0.2, -0.6, 0.0),
    "faster_service": (0, -0.2, 0.0, 0.0),
    "new_app": (0, -0.08, 0.0, 0.0),
    "proactive_contact": (0, -0.15, 0.0, 0.2),
    "fee_advice": (0, -0.2, 0.0, 0.0),
    "seminar": (0, -0.15, 0.0, 0.0),
    "cross_selling": (0, -0.1, 0.0, 0.15),
    "feedback_action": (0, -0.1, 0.0, 0.0),
}

CENTRE = {name: float(values[0]) for name, values in _COVARIATES.items()}
COEFFICIENTS = {
    cause: {name: values[position] for name, values in _COVARIATES.items()}
    for position, cause in enumerate(CAUSES, start=1)
}
#: the formula whose Cox fit on the spells recovers the coefficients, for every cause
RECOVERY_FORMULA = " + ".join(_COVARIATES)
#: per cause the columns that its hazard depends on: what a rare cause can be fitted with
RECOVERY_FORMULAS = {
    cause: " + ".join(name for name, coefficient in of_cause.items() if coefficient != 0)
    for cause, of_cause in COEFFICIENTS.items()
} | {"attrition": RECOVERY_FORMULA}


def baseline_hazard(cause: str, age: Floats) -> Floats:
    """Give the monthly hazard at the centre of all covariates in the month of loan age (age, age + 1].

    Few leave in the first months; attrition peaks in the third year, default after the first and then fades, renewals
    begin when a good part of the loan is paid.
    """
    if cause == "attrition":
        return 0.0185 * (1 - 0.7 * np.exp(-age / 8)) * (1 + 0.3 * np.exp(-(((age - 30) / 12) ** 2)))
    if cause == "default":
        return 0.00054 * (1 - 0.9 * np.exp(-age / 6)) * np.exp(-np.maximum(age - 24, 0) / 60)
    return 0.0037 * (1 - np.exp(-((age / 14) ** 2)))


def hazards(age: Floats, columns: Mapping[str, NDArray[Any]], coefficients: Coefficients) -> dict[str, Floats]:
    """Give each cause's monthly hazard for loans of the given age and covariates."""
    result = {}
    for cause, of_cause in coefficients.items():
        predictor = np.zeros(len(age))
        for name, coefficient in of_cause.items():
            if coefficient != 0:
                predictor += coefficient * (columns[name] - CENTRE[name])
        result[cause] = baseline_hazard(cause, age) * np.exp(predictor)
    return result
