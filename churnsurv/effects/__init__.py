"""Effects of interventions: did attrition change, and by how much.

Lives here: tests and effect estimates of arms, on the time since assignment. Models of covariates are in ``estimators``.
"""

from churnsurv.effects.censoring import TippingPoint, delta_adjusted, tipping_point
from churnsurv.effects.hazards import hazard_ratio, subdistribution_hazard_ratio
from churnsurv.effects.logrank import logrank_test
from churnsurv.effects.quantiles import median_difference
from churnsurv.effects.retained import retained_balance, retained_months
from churnsurv.effects.risks import number_needed_to_treat, risk_difference, risk_ratio
from churnsurv.effects.rmst import rmst_difference, rmst_ratio, rmtl_difference, rmtl_ratio
from churnsurv.effects.sensitivity import EValue, NegativeControl, e_value, negative_control
from churnsurv.effects.subgroups import SubgroupEffects, effect_by_subgroup

__all__ = [
    "EValue",
    "NegativeControl",
    "SubgroupEffects",
    "TippingPoint",
    "delta_adjusted",
    "e_value",
    "effect_by_subgroup",
    "hazard_ratio",
    "logrank_test",
    "median_difference",
    "negative_control",
    "number_needed_to_treat",
    "retained_balance",
    "retained_months",
    "risk_difference",
    "risk_ratio",
    "rmst_difference",
    "rmst_ratio",
    "rmtl_difference",
    "rmtl_ratio",
    "subdistribution_hazard_ratio",
    "tipping_point",
]
