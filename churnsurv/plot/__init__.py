"""Figures of results, by matplotlib: every function takes ``ax`` and returns ``ax``.

Lives here: :func:`survival`, :func:`cumulative_incidence`, :func:`forest`, :func:`rates`,
:func:`hazard_ratio_over_time`, :func:`functional_form`, :func:`importance`, :func:`love_plot`,
:func:`partial_dependence`, :func:`power_curve`, :func:`predicted_incidence`, :func:`subgroup_forest` and the one
theme they share (:mod:`churnsurv.plot.theme`). Nothing is estimated here; a figure shows what a result already holds.
"""

from churnsurv.plot.balance import love_plot
from churnsurv.plot.curves import cumulative_incidence, survival
from churnsurv.plot.dependence import partial_dependence
from churnsurv.plot.diagnostics import functional_form, hazard_ratio_over_time
from churnsurv.plot.hazard_ratios import forest, forest_height
from churnsurv.plot.importance import importance
from churnsurv.plot.power import power_curve
from churnsurv.plot.predicted import predicted_incidence
from churnsurv.plot.rates import rates
from churnsurv.plot.subgroups import subgroup_forest

__all__ = [
    "cumulative_incidence",
    "forest",
    "forest_height",
    "functional_form",
    "hazard_ratio_over_time",
    "importance",
    "love_plot",
    "partial_dependence",
    "power_curve",
    "predicted_incidence",
    "rates",
    "subgroup_forest",
    "survival",
]
