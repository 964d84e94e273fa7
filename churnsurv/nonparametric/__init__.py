"""Curves without a model: Kaplan–Meier, Nelson–Aalen, Aalen–Johansen, and the censoring distribution.

Lives here: estimators of whole curves from an Outcome, with entry, weights, groups, clusters. No covariates: those are
models, in ``estimators``. The arithmetic is in ``kernels.nonparametric``; conventions are those of R's ``survfit``.
"""

from churnsurv.nonparametric.censoring import CensoringModel
from churnsurv.nonparametric.incidence import AalenJohansen
from churnsurv.nonparametric.survival import KaplanMeier, NelsonAalen

__all__ = ["AalenJohansen", "CensoringModel", "KaplanMeier", "NelsonAalen"]
