"""Effects of interventions: did attrition change, and by how much.

Lives here: tests and effect estimates of arms, on the time since assignment. Models of covariates are in ``estimators``.
"""

from churnsurv.effects.logrank import logrank_test
from churnsurv.effects.rmst import rmst_difference

__all__ = ["logrank_test", "rmst_difference"]
