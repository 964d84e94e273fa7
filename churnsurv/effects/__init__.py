"""Effects of interventions: did attrition change, and by how much.

Lives here: tests and effect estimates of arms, on the time since assignment. Models of covariates are in ``estimators``.
"""

from churnsurv.effects.cox import cox_test
from churnsurv.effects.gray import gray_test
from churnsurv.effects.logrank import logrank_test
from churnsurv.effects.maxcombo import maxcombo_test
from churnsurv.effects.pairwise import pairwise_tests
from churnsurv.effects.rmst import rmst_difference

__all__ = ["cox_test", "gray_test", "logrank_test", "maxcombo_test", "pairwise_tests", "rmst_difference"]
