"""Effects of interventions: did attrition change, and by how much.

Lives here: tests and effect estimates of arms, on the time since assignment. Models of covariates are in ``estimators``.
"""

from churnsurv.effects.balance import balance_table
from churnsurv.effects.doubly_robust import doubly_robust_effect
from churnsurv.effects.logrank import logrank_test
from churnsurv.effects.propensity import Propensity, propensity
from churnsurv.effects.rmst import rmst_difference
from churnsurv.effects.standardised import standardised_effect, standardised_risks
from churnsurv.effects.weighted import weighted_effect
from churnsurv.effects.weights import effective_sample_size

__all__ = [
    "Propensity",
    "balance_table",
    "doubly_robust_effect",
    "effective_sample_size",
    "logrank_test",
    "propensity",
    "rmst_difference",
    "standardised_effect",
    "standardised_risks",
    "weighted_effect",
]
