"""Effects of interventions: did attrition change, and by how much.

Lives here: tests and effect estimates of arms, on the time since assignment, and the designs that line cohorts up for them.
Models of covariates are in ``estimators``.
"""

from churnsurv.effects.averted import exits_averted
from churnsurv.effects.balance import balance_table
from churnsurv.effects.censoring import TippingPoint, delta_adjusted, tipping_point
from churnsurv.effects.cox import cox_test
from churnsurv.effects.design import DesignEstimate, StudyCohort
from churnsurv.effects.design_dated import TimeVaryingTreatment
from churnsurv.effects.design_encouragement import Encouragement
from churnsurv.effects.design_episodes import treatment_episodes
from churnsurv.effects.design_landmark import Landmark
from churnsurv.effects.design_randomised import Randomised
from churnsurv.effects.design_rollout import StaggeredRollout
from churnsurv.effects.design_switches import switch_dates
from churnsurv.effects.doubly_robust import doubly_robust_effect
from churnsurv.effects.gray import gray_test
from churnsurv.effects.hazards import hazard_ratio, subdistribution_hazard_ratio
from churnsurv.effects.logrank import logrank_test
from churnsurv.effects.maxcombo import maxcombo_test
from churnsurv.effects.noninferiority import noninferiority_test
from churnsurv.effects.pairwise import pairwise_tests
from churnsurv.effects.power import SimulatedSize, power_curve, sample_size_by_simulation, simulated_power
from churnsurv.effects.propensity import Propensity, propensity
from churnsurv.effects.quantiles import median_difference
from churnsurv.effects.register import InterventionRegister
from churnsurv.effects.register_entries import Entry as RegisterEntry
from churnsurv.effects.register_entries import Result as RegisterResult
from churnsurv.effects.retained import retained_balance, retained_months
from churnsurv.effects.risks import number_needed_to_treat, risk_difference, risk_ratio
from churnsurv.effects.rmst import rmst_difference, rmst_ratio, rmtl_difference, rmtl_ratio
from churnsurv.effects.sample_size import SampleSize, required_events, sample_size
from churnsurv.effects.sensitivity import EValue, NegativeControl, e_value, negative_control
from churnsurv.effects.sequential import SequentialPlan, group_sequential
from churnsurv.effects.standardised import standardised_effect, standardised_risks
from churnsurv.effects.subgroups import SubgroupEffects, effect_by_subgroup
from churnsurv.effects.trials import Trial, TrialScenario
from churnsurv.effects.weighted import weighted_effect
from churnsurv.effects.weights import effective_sample_size

__all__ = [
    "DesignEstimate",
    "EValue",
    "Encouragement",
    "InterventionRegister",
    "Landmark",
    "NegativeControl",
    "Propensity",
    "Randomised",
    "RegisterEntry",
    "RegisterResult",
    "SampleSize",
    "SequentialPlan",
    "SimulatedSize",
    "StaggeredRollout",
    "StudyCohort",
    "SubgroupEffects",
    "TimeVaryingTreatment",
    "TippingPoint",
    "Trial",
    "TrialScenario",
    "balance_table",
    "cox_test",
    "delta_adjusted",
    "doubly_robust_effect",
    "e_value",
    "effect_by_subgroup",
    "effective_sample_size",
    "exits_averted",
    "gray_test",
    "group_sequential",
    "hazard_ratio",
    "logrank_test",
    "maxcombo_test",
    "median_difference",
    "negative_control",
    "noninferiority_test",
    "number_needed_to_treat",
    "pairwise_tests",
    "power_curve",
    "propensity",
    "required_events",
    "retained_balance",
    "retained_months",
    "risk_difference",
    "risk_ratio",
    "rmst_difference",
    "rmst_ratio",
    "rmtl_difference",
    "rmtl_ratio",
    "sample_size",
    "sample_size_by_simulation",
    "simulated_power",
    "standardised_effect",
    "standardised_risks",
    "subdistribution_hazard_ratio",
    "switch_dates",
    "tipping_point",
    "treatment_episodes",
    "weighted_effect",
]
